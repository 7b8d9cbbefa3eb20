/*
 * Starting and ending. Each step of the start has its counterpart; the end runs them backwards,
 * one after the other's handles are closed:
 *
 *     start: home, lock, options, identity; store; keys; serving side, jobs, kv, messages, net;
 *            mount; peers, discovery, control socket; ready
 *     end:   control socket; keys; discovery; pairing; jobs' programs; mount; peers, net; jobs; kv;
 *            messages; serving side; audit; store
 *
 * Programs end while there are links, so that their clients hear of it.
 *
 * What fails in the middle of the start ends through the same steps.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/actions.h"
#include "daemon/identity_file.h"
#include "daemon/key_actions.h"
#include "daemon/log.h"
#include "daemon/lost_jobs.h"
#include "daemon/options_file.h"
#include "daemon/paired.h"
#include "daemon/rooms.h"

/* --- the end ---------------------------------------------------------------------------------- */

static void on_signal_closed(uv_handle_t *handle)
{
}

static void end_store(void *arg)
{
	log_info("daemon", "state=stopped");
}

static void end_audit(void *arg)
{
	struct daemon *daemon = arg;

	for (size_t i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&daemon->signals[i], on_signal_closed);
	busy_poll_close(&daemon->busy_poll);
	daemon->audit = NULL;
	if (daemon->store)
		store_close(daemon->store, end_store, daemon);
}

static void end_serving(struct daemon *daemon)
{
	if (daemon->audit)
		audit_close(daemon->audit, end_audit, daemon);
	else
		end_audit(daemon);
}

static void end_serve(void *arg)
{
	struct daemon *daemon = arg;

	serve_free(daemon->serve);
	daemon->serve = NULL;
	end_serving(daemon);
}

static void end_watch(void *arg)
{
	struct daemon *daemon = arg;

	watch_room_free(daemon->watch);
	daemon->watch = NULL;
	if (daemon->serve)
		serve_stop(daemon->serve, end_serve, daemon);
	else
		end_serving(daemon);
}

static void end_msg(void *arg)
{
	struct daemon *daemon = arg;

	daemon->msg = NULL;
	if (daemon->watch)
		watch_room_stop(daemon->watch, end_watch, daemon);
	else
		end_watch(daemon);
}

static void end_kv(void *arg)
{
	struct daemon *daemon = arg;

	daemon->kv = NULL;
	if (daemon->msg)
		msg_close(daemon->msg, end_msg, daemon);
	else
		end_msg(daemon);
}

static void end_jobs(void *arg)
{
	struct daemon *daemon = arg;

	daemon->jobs = NULL;
	if (daemon->kv)
		kv_close(daemon->kv, end_kv, daemon);
	else
		end_kv(daemon);
}

static void end_net(void *arg)
{
	struct daemon *daemon = arg;

	daemon->net = NULL;
	if (daemon->jobs)
		jobs_free(daemon->jobs, end_jobs, daemon);
	else
		end_jobs(daemon);
}

static void end_mounting(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->net) {
		paired_close(daemon);
		net_close(daemon->net, end_net, daemon);
	} else {
		end_net(daemon);
	}
}

static void end_programs(void *arg)
{
	struct daemon *daemon = arg;

	for (struct paired *paired = daemon->paired; paired; paired = paired->next)
		paired->fs = NULL; /* fs_free removes them all */
	mounting_close(&daemon->mounting, end_mounting);
}

static void end_pairing(void *arg)
{
	struct daemon *daemon = arg;

	daemon->pairing_room = NULL;
	if (daemon->jobs)
		jobs_stop(daemon->jobs, end_programs, daemon);
	else
		end_programs(daemon);
}

static void end_discovery(void *arg)
{
	struct daemon *daemon = arg;

	daemon->discovery = NULL;
	if (daemon->pairing_room)
		pairing_room_close(daemon->pairing_room, end_pairing, daemon);
	else
		end_pairing(daemon);
}

static void end_keys(void *arg)
{
	struct daemon *daemon = arg;

	daemon->keys = NULL;
	if (daemon->discovery)
		discovery_stop(daemon->discovery, end_discovery, daemon);
	else
		end_discovery(daemon);
}

static void end_control(void *arg)
{
	struct daemon *daemon = arg;

	daemon->control = NULL;
	if (daemon->keys)
		keys_close(daemon->keys, end_keys, daemon);
	else
		end_keys(daemon);
}

void daemon_stop(struct daemon *daemon)
{
	if (daemon->stopping)
		return;
	daemon->stopping = true;
	log_info("daemon", "state=stopping");
	if (daemon->control)
		control_socket_close(daemon->control, end_control, daemon);
	else
		end_control(daemon);
}

static void on_signal(uv_signal_t *signal, int number)
{
	daemon_stop(signal->data);
}

/* --- the start -------------------------------------------------------------------------------- */

static void start_signals(struct daemon *daemon)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < 3; i++) {
		uv_signal_init(&daemon->loop, &daemon->signals[i]);
		daemon->signals[i].data = daemon;
		uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
	}
}

/* All that needs the loop. */
static int start(struct daemon *daemon, const struct daemon_options *given, struct failure *failure)
{
	int error;

	error = store_open(&daemon->loop, daemon->paths->database, &daemon->store, failure);
	if (error < 0)
		return error;
	error =
	    audit_new(&daemon->loop, store_get_thread(daemon->store), daemon->paths->audit,
		      daemon->options->audit_max_size, daemon->options->audit_keep, &daemon->audit);
	if (error < 0)
		failure_set(failure, error, "cannot write %s: %s", daemon->paths->audit,
			    strerror(-error));
	if (error == 0)
		error = key_actions_open(daemon, failure);
	if (error == 0)
		error = rooms_open_serve(daemon, failure);
	if (error == 0)
		error = rooms_open_jobs(daemon, given, failure);
	if (error == 0)
		error = rooms_open_kv(daemon, failure);
	if (error == 0)
		error = rooms_open_msg(daemon, failure);
	if (error == 0)
		error = rooms_open_net(daemon, failure);
	if (error == 0)
		error = rooms_open_pairing(daemon, failure);
	if (error == 0)
		error = rooms_open_mount(daemon, failure);
	if (error == 0)
		error = paired_load(daemon, failure);
	if (error == 0)
		lost_jobs_load(daemon);
	if (error == 0 &&
	    store_load_addresses(daemon->store, &daemon->addresses, &daemon->n_addresses) < 0)
		log_warning("daemon", "addresses=unreadable");
	if (error == 0)
		error = rooms_open_discovery(daemon, failure);
	if (error == 0) {
		error = control_socket_open(&daemon->loop, daemon->paths->socket, &actions_table,
					    daemon, &daemon->control);
		if (error < 0)
			failure_set(failure, error, "cannot listen at %s: %s",
				    daemon->paths->socket, strerror(-error));
	}
	return error;
}

/* What this machine is called: the option, else the host's name. */
static void choose_name(struct daemon *daemon)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	peer_name_map(daemon->options->name[0] ? daemon->options->name : host, daemon->name);
}

static int set_options(struct daemon *daemon, const struct daemon_options *given,
		       struct failure *failure)
{
	struct options *options = daemon->options;
	int error = 0;

	if (given->lan)
		error = options_set(options, "lan", "yes", OPTIONS_SOURCE_COMMAND_LINE, failure);
	if (error == 0 && given->port)
		error =
		    options_set(options, "port", given->port, OPTIONS_SOURCE_COMMAND_LINE, failure);
	if (error == 0 && options->mount[0])
		error = paths_set_mount(daemon->paths, options->mount);
	return error;
}

/* libuv takes the size of its pool from here when it is used first. It is for what comes up rarely:
 * names of hosts, the end of sessions. */
static void set_pool_size(void)
{
	setenv("UV_THREADPOOL_SIZE", "4", 1);
}

/* All that needs no loop. Returns 0 or -errno with failure; options' errors are on stderr. */
static int prepare(struct daemon *daemon, const struct daemon_options *given,
		   struct failure *failure)
{
	char *errors = NULL;
	int error = paths_new(given->home, &daemon->paths, failure);

	if (error == 0)
		error = paths_create(daemon->paths, failure);
	if (error == 0)
		error = instance_take(daemon->paths->lock, &daemon->instance, NULL, failure);
	if (error < 0)
		return error;
	error = options_file_load(daemon->paths, &daemon->options, &errors);
	if (error < 0) {
		fputs(errors ? errors : "", stderr);
		free(errors);
		return failure_set(failure, error, "the configuration has errors");
	}
	error = set_options(daemon, given, failure);
	if (error < 0)
		return error;
	log_set_level((enum log_level)daemon->options->log_level);
	set_pool_size();
	error = identity_file_load(daemon->paths->identity, &daemon->identity, failure);
	if (error == -ENOENT)
		return failure_set(failure, error,
				   "this machine has no identity yet: make one "
				   "with 'loopsyctl init'");
	choose_name(daemon);
	return error;
}

static void tell_ready(int fd)
{
	if (fd < 0)
		return;
	if (write(fd, "ready\n", 6) < 0)
		log_warning("daemon", "ready_fd=%d error=%s", fd, strerror(errno));
	close(fd);
}

static void destroy(struct daemon *daemon)
{
	identity_free(daemon->identity);
	options_free(daemon->options);
	instance_free(daemon->instance);
	paths_free(daemon->paths);
	free(daemon->addresses);
	free(daemon);
}

int daemon_run(const struct daemon_options *given)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	struct failure failure = {""};
	int status;

	if (!daemon)
		return 1;
	daemon->mounting.arg = daemon;
	if (prepare(daemon, given, &failure) < 0) {
		fprintf(stderr, "loopsyd: %s\n", failure.text);
		destroy(daemon);
		return 1;
	}
	uv_loop_init(&daemon->loop);
	busy_poll_init(&daemon->busy_poll, &daemon->loop);
	start_signals(daemon);
	daemon->instance_started_ms = uv_now(&daemon->loop);
	if (start(daemon, given, &failure) < 0) {
		fprintf(stderr, "loopsyd: %s\n", failure.text);
		daemon->exit_status = 1;
		daemon_stop(daemon);
	} else {
		log_info("daemon", "state=ready name=%s id=%s listen=%s mount=%s", daemon->name,
			 daemon->identity->id, net_listen_address(daemon->net, 0),
			 LOG_VALUE(daemon->paths->mount));
		malloc_trim(0);
		tell_ready(given->ready_fd);
	}
	uv_run(&daemon->loop, UV_RUN_DEFAULT);
	uv_loop_close(&daemon->loop);
	status = daemon->exit_status;
	destroy(daemon);
	return status;
}
