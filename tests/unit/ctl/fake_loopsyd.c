#include "tests/unit/ctl/fake_loopsyd.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/command.h"
#include "daemon/control/control.h"
#include "daemon/log.h"

#define N_PEERS 300 /* more than fit into a page */

struct daemon_side {
	uv_loop_t loop;
	struct control_socket *socket;
	enum fake_pairing pairing;
	struct control_call *pair;
	uint64_t pair_connection;
};

/* --- the daemon's side -------------------------------------------------------------------------
 */

static void on_status(void *arg, struct control_call *call, const struct args_ctl_status *args)
{
	struct control_page page;

	control_page_init(&page, 0, 64);
	control_page_offer(&page, &ctl_address_record,
			   &(struct ctl_address){bytes_of_text("127.0.0.1:19532")});
	control_page_finish(&page);
	control_reply(call, &(struct result_ctl_status){.name = bytes_of_text("tower"),
							.id = bytes_of_text("abcd"),
							.version = bytes_of_text("0.1.0"),
							.pid = (uint64_t)getpid(),
							.uptime_s = 7321,
							.mount = bytes_of_text("/home/me/loopsy"),
							.listen = page.list});
	control_page_deinit(&page);
}

static struct ctl_peer some_peer(const char *name)
{
	return (struct ctl_peer){.name = bytes_of_text(name),
				 .id = bytes_of_text("1234"),
				 .fingerprint = bytes_of_text("aa:bb"),
				 .state = CTL_PEER_ONLINE,
				 .address = bytes_of_text("10.0.0.7:19532"),
				 .rtt_us = 1500,
				 .permissions = bytes_of_text("fs:rw,exec"),
				 .granted = bytes_of_text("none"),
				 .software = bytes_of_text("loopsy 0.1.0"),
				 .last_seen = {.tv_sec = 1700000000},
				 .error = bytes_of_text("")};
}

static void on_peers(void *arg, struct control_call *call, const struct args_ctl_peers *args)
{
	struct control_page page;

	control_page_init(&page, args->offset, args->limit);
	for (unsigned i = 0; i < N_PEERS; i++) {
		char name[32];
		struct ctl_peer peer;

		snprintf(name, sizeof(name), "peer-%u", i);
		peer = some_peer(name);
		if (i == 1) {
			peer.state = CTL_PEER_OFFLINE;
			peer.rtt_us = OPS_CTL_ANY;
			peer.last_seen.tv_sec = 0;
		}
		control_page_offer(&page, &ctl_peer_record, &peer);
	}
	control_page_finish(&page);
	control_reply(call, &(struct result_ctl_peers){.total = page.total, .peers = page.list});
	control_page_deinit(&page);
}

static void on_discovered(void *arg, struct control_call *call,
			  const struct args_ctl_discovered *args)
{
	struct control_page page;

	control_page_init(&page, args->offset, args->limit);
	control_page_offer(&page, &ctl_found_record,
			   &(struct ctl_found){.name = bytes_of_text("evil\xc2\x9b"
								     "2Jname"),
					       .id = bytes_of_text("ff"),
					       .address = bytes_of_text("10.0.0.9:19532"),
					       .peer = bytes_of_text(""),
					       .source = bytes_of_text("mdns")});
	control_page_finish(&page);
	control_reply(call, &(struct result_ctl_discovered){
				.total = page.total,
				.found = page.list,
				.warning = bytes_of_text("avahi-daemon does not run")});
	control_page_deinit(&page);
}

static void on_doctor(void *arg, struct control_call *call, const struct args_ctl_doctor *args)
{
	struct control_page page;

	control_page_init(&page, args->offset, args->limit);
	control_page_offer(&page, &ctl_check_record,
			   &(struct ctl_check){.name = bytes_of_text("avahi"),
					       .status = CTL_CHECK_WARNING,
					       .detail = bytes_of_text("not there"),
					       .fix = bytes_of_text("apt install avahi-daemon")});
	control_page_finish(&page);
	control_reply(call, &(struct result_ctl_doctor){.total = page.total, .checks = page.list});
	control_page_deinit(&page);
}

static void on_config(void *arg, struct control_call *call, const struct args_ctl_config *args)
{
	struct control_page page;

	control_page_init(&page, args->offset, args->limit);
	control_page_offer(&page, &ctl_option_record,
			   &(struct ctl_option){.name = bytes_of_text("port"),
						.value = bytes_of_text("0"),
						.standard = bytes_of_text("19532"),
						.source = bytes_of_text("command line"),
						.summary = bytes_of_text("where to listen")});
	control_page_finish(&page);
	control_reply(call, &(struct result_ctl_config){.total = page.total, .options = page.list});
	control_page_deinit(&page);
}

static void on_show(void *arg, struct control_call *call, const struct args_ctl_peer_show *args)
{
	if (args->name.size != 4 || memcmp(args->name.data, "desk", 4) != 0)
		control_fail(call, -ENOENT, "no peer is called '%.*s': see 'loopsyctl peers'",
			     (int)args->name.size, (const char *)args->name.data);
	else
		control_reply(call, &(struct result_ctl_peer_show){.peer = some_peer("desk")});
}

static void on_rename(void *arg, struct control_call *call, const struct args_ctl_peer_rename *args)
{
	control_reply(call, &(struct result_ctl_peer_rename){0});
}

static void on_remove(void *arg, struct control_call *call, const struct args_ctl_peer_remove *args)
{
	control_fail(call, -ENOENT, "%s", "");
}

static void on_allow(void *arg, struct control_call *call, const struct args_ctl_peer_allow *args)
{
	control_reply(call, &(struct result_ctl_peer_allow){.permissions = args->permissions});
}

static void on_add(void *arg, struct control_call *call, const struct args_ctl_peer_add *args)
{
	control_reply(call, &(struct result_ctl_peer_add){.address = args->address});
}

static void on_pair(void *arg, struct control_call *call, const struct args_ctl_pair *args)
{
	struct daemon_side *daemon = arg;
	struct args_ctl_pair_waiting waiting = {.port = 19532, .ttl_s = args->ttl_s};
	struct args_ctl_pair_code code = {.code = bytes_of_text("482913"),
					  .name = bytes_of_text("desk\x1b[2J"),
					  .id = bytes_of_text("1234"),
					  .fingerprint = bytes_of_text("aa:bb"),
					  .address = bytes_of_text("10.0.0.7:4444"),
					  .permissions = bytes_of_text("fs:rw,exec")};

	control_event(call, OP_CTL_PAIR_WAITING, &waiting);
	if (daemon->pairing == FAKE_NOBODY_COMES) {
		control_fail(call, -ETIMEDOUT, "nobody came within %d s", (int)args->ttl_s);
		return;
	}
	control_event(call, OP_CTL_PAIR_CODE, &code);
	if (daemon->pairing == FAKE_OTHER_SAYS_NO) {
		control_fail(call, -ECANCELED, "the other side said no");
		return;
	}
	daemon->pair = call;
	daemon->pair_connection = control_connection(call);
}

static void on_answer(void *arg, struct control_call *call, const struct args_ctl_pair_answer *args)
{
	struct daemon_side *daemon = arg;
	struct control_call *pair = daemon->pair;

	if (!pair || daemon->pair_connection != control_connection(call)) {
		control_fail(call, -ENOENT, "no pairing");
		return;
	}
	daemon->pair = NULL;
	control_reply(call, &(struct result_ctl_pair_answer){0});
	if (args->accept)
		control_reply(
		    pair, &(struct result_ctl_pair){.peer = bytes_of_text("desk"),
						    .permissions = bytes_of_text("fs:rw,exec")});
	else
		control_fail(pair, -ECANCELED, "said no");
}

static void on_stop(void *arg, struct control_call *call, const struct args_ctl_stop *args)
{
	struct daemon_side *daemon = arg;

	control_reply(call, &(struct result_ctl_stop){0});
	control_socket_close(daemon->socket, NULL, NULL);
}

static const struct control_actions actions = {
    .ctl_status = on_status,
    .ctl_stop = on_stop,
    .ctl_doctor = on_doctor,
    .ctl_config = on_config,
    .ctl_peers = on_peers,
    .ctl_discovered = on_discovered,
    .ctl_peer_add = on_add,
    .ctl_peer_show = on_show,
    .ctl_peer_rename = on_rename,
    .ctl_peer_remove = on_remove,
    .ctl_peer_allow = on_allow,
    .ctl_pair = on_pair,
    .ctl_pair_answer = on_answer,
};

static void serve(struct fake *fake, enum fake_pairing pairing, int ready)
{
	struct daemon_side daemon = {.pairing = pairing};
	char path[128];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(path, sizeof(path), "%s/run/ctl.sock", fake->home);
	if (uv_loop_init(&daemon.loop) < 0 ||
	    control_socket_open(&daemon.loop, path, &actions, &daemon, &daemon.socket) < 0 ||
	    write(ready, "r", 1) != 1)
		_exit(1);
	close(ready);
	uv_run(&daemon.loop, UV_RUN_DEFAULT);
	_exit(uv_loop_close(&daemon.loop) == 0 ? 0 : 2);
}

/* --- the test's side ---------------------------------------------------------------------------
 */

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, mode);
}

/* What the program loopsyd does, as far as loopsyctl asks. */
static const char script[] =
    "#!/bin/sh\n"
    "shift 2\n" /* --home DIR */
    "case \"$1 $2\" in\n"
    "'init '*) echo 'made an identity'; echo \"$@\" >>\"$LOOPSY_HOME/calls\" ;;\n"
    "'config '*) echo '{\"name\":\"port\",\"value\":\"19532\",\"default\":\"19532\","
    "\"source\":\"default\",\"summary\":\"where to listen\"}' ;;\n"
    "'key show') echo abcdef ;;\n"
    "'key generate') echo 'cannot write' >&2; exit 1 ;;\n"
    "'run --ready-fd') [ -e \"$LOOPSY_HOME/hang\" ] && echo $$ >\"$LOOPSY_HOME/hangs\" &&\n"
    "	exec sleep 1000\n"
    "	echo 'time=1 level=info starting' >&2\n"
    "	echo 'loopsyd: the port 1 is taken: choose another with --port' >&2; exit 1 ;;\n"
    "*) exit 9 ;;\n"
    "esac\n";

void fake_init(struct fake *fake)
{
	char path[128];

	*fake = (struct fake){.home = "/tmp/loopsy-ctl-XXXXXX"};
	cr_assert_not_null(mkdtemp(fake->home));
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", fake->home,
			 (const char *[]){"config", "state", "run"}[i]);
		cr_assert_eq(mkdir(path, 0700), 0);
	}
	snprintf(path, sizeof(path), "%s/loopsyd", fake->home);
	write_file(path, script, 0755);
	setenv("LOOPSYD", path, 1);
	setenv("LOOPSY_HOME", fake->home, 1);
}

void fake_start(struct fake *fake, enum fake_pairing pairing)
{
	int ready[2];
	char byte;

	cr_assert_eq(pipe(ready), 0);
	fake->pid = fork();
	if (fake->pid == 0)
		serve(fake, pairing, ready[1]);
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the fake daemon does not start");
	close(ready[0]);
}

void fake_deinit(struct fake *fake)
{
	char command[128];

	if (fake->pid > 0) {
		kill(fake->pid, SIGKILL);
		waitpid(fake->pid, NULL, 0);
	}
	free(fake->out);
	free(fake->err);
	snprintf(command, sizeof(command), "rm -rf '%s'", fake->home);
	cr_assert_eq(system(command), 0);
}

void fake_run(struct fake *fake, const char *input, ...)
{
	char *argv[20] = {(char *)"loopsyctl"};
	size_t n_out, n_err;
	int argc = 1, in[2];
	va_list list;
	FILE *out, *err;

	va_start(list, input);
	while ((argv[argc] = va_arg(list, char *)))
		argc++;
	va_end(list);
	free(fake->out);
	free(fake->err);
	out = open_memstream(&fake->out, &n_out);
	err = open_memstream(&fake->err, &n_err);
	cr_assert_eq(pipe(in), 0);
	if (input)
		cr_assert_eq(write(in[1], input, strlen(input)), (ssize_t)strlen(input));
	close(in[1]);
	fake->status = command_main(argc, argv, in[0], out, err);
	close(in[0]);
	fclose(out);
	fclose(err);
}

json_t *fake_json(const struct fake *fake)
{
	json_error_t error;
	json_t *value = json_loads(fake->out, JSON_DECODE_ANY, &error);

	cr_assert_not_null(value, "no JSON: %s: %s%s", error.text, fake->out, fake->err);
	cr_assert_eq(fake->out[strlen(fake->out) - 1], '\n');
	return value;
}
