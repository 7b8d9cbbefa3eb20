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
#include "daemon/dead_mount.h"
#include "daemon/identity_file.h"
#include "daemon/key_actions.h"
#include "daemon/log.h"
#include "daemon/lost_jobs.h"
#include "daemon/options_file.h"
#include "daemon/paired.h"

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

static int start_serve(struct daemon *daemon, struct failure *failure)
{
	const struct options *options = daemon->options;
	struct exports_option *exports = calloc(options->n_exports, sizeof(*exports));
	struct serve_options serve = {
	    .exports = exports,
	    .n_exports = options->n_exports,
	    .max_nodes = (size_t)options->max_nodes,
	    .max_open_files = (size_t)options->max_open_files,
	    /* The rest is libuv's, for what is not a peer's: a slow disk must not stop it. */
	    .threads = options->pool_threads > 2 ? (unsigned)options->pool_threads - 2 : 1,
	};
	int error;

	if (!exports)
		return failure_set(failure, -ENOMEM, "out of memory");
	for (size_t i = 0; i < options->n_exports; i++)
		exports[i] = (struct exports_option){
		    .name = options->exports[i].name,
		    .path = options->exports[i].path,
		    .read_only = options->exports[i].read_only,
		    .deny = (const char *const *)options->exports[i].deny,
		    .n_deny = options->exports[i].n_deny,
		};
	error = serve_new(&daemon->loop, &serve, &daemon->serve);
	free(exports);
	if (error < 0)
		return failure_set(failure, error, "cannot serve the exports: %s",
				   strerror(-error));
	error = watch_room_new(&daemon->loop, daemon->serve, &daemon->watch);
	if (error < 0)
		return failure_set(failure, error, "out of memory");
	daemon->services[daemon->n_services++] = *serve_service(daemon->serve);
	daemon->services[daemon->n_services++] = *watch_room_service(daemon->watch);
	return 0;
}

static int open_directory(void *arg, struct bytes path)
{
	struct daemon *daemon = arg;

	return serve_open_directory(daemon->serve, path);
}

static const char *peer_name(void *arg, const void *peer)
{
	struct daemon *daemon = arg;

	return net_is_self(daemon->net, peer) ? daemon->name : net_peer_name(peer);
}

static int start_jobs(struct daemon *daemon, const struct daemon_options *given,
		      struct failure *failure)
{
	const struct options *options = daemon->options;
	struct jobs_options jobs = {
	    .loop = &daemon->loop,
	    .spool_dir = daemon->paths->state_dir,
	    .spool_limit = (uint64_t)options->job_spool,
	    .max_jobs = (unsigned)options->max_jobs,
	    .grace_ms = (uint64_t)options->job_grace_ms,
	    .time_limit_ms = (uint64_t)options->job_time_limit_ms,
	    .allow = options->exec_allow,
	    .deny = options->exec_deny,
	    .environment = environ,
	    .umask = given->umask,
	    .n_files = given->n_files,
	    .open_directory = open_directory,
	    .peer_name = peer_name,
	    .told = paired_job_told,
	    .note = lost_jobs_note,
	    .arg = daemon,
	};

	if (jobs_new(&jobs, &daemon->jobs) < 0)
		return failure_set(failure, -ENOMEM, "out of memory");
	daemon->services[daemon->n_services++] = *jobs_service(daemon->jobs);
	return 0;
}

static void identify(void *arg, const struct session *session, char ret_id[IDENTITY_ID_SIZE],
		     const char **ret_name)
{
	struct daemon *daemon = arg;

	*ret_name = NULL;
	if (session_is_local(session)) {
		strcpy(ret_id, daemon->identity->id);
		return;
	}
	identity_fingerprint_id(net_peer_fingerprint(session_peer(session)), ret_id);
	*ret_name = net_peer_name(session_peer(session));
}

static int start_kv(struct daemon *daemon, struct failure *failure)
{
	struct kv_options kv = {
	    .loop = &daemon->loop,
	    .thread = store_get_thread(daemon->store),
	    .reader = store_get_reader(daemon->store),
	    .db = store_get_db(daemon->store),
	    .max_entries = (uint64_t)daemon->options->kv_max_entries,
	    .max_bytes = (uint64_t)daemon->options->kv_max_bytes,
	    .identify = identify,
	    .told = paired_kv_told,
	    .arg = daemon,
	};
	int error = kv_new(&kv, &daemon->kv);

	if (error < 0)
		return failure_set(failure, error, "cannot read the shared values: %s",
				   strerror(-error));
	daemon->services[daemon->n_services++] = *kv_service(daemon->kv);
	return 0;
}

static const char *find_peer(void *arg, const char *name)
{
	const struct paired *paired = paired_find_name(arg, name);

	return paired && paired_is_up(paired) ? paired->record.id : NULL;
}

static const char *name_of_peer(void *arg, const char *id)
{
	const struct paired *paired = paired_find_id(arg, id);

	return paired ? paired->record.name : NULL;
}

static bool refuses_messages(void *arg, const char *id)
{
	const struct paired *paired = paired_find_id(arg, id);
	struct net_peer_status status;

	if (!paired)
		return true;
	net_peer_get_status(paired->net, &status);
	return status.state == TRANSPORT_UP && !(status.granted & PERMISSION_MSG);
}

static void id_of_session(void *arg, const struct session *session, char ret_id[IDENTITY_ID_SIZE])
{
	identity_fingerprint_id(net_peer_fingerprint(session_peer(session)), ret_id);
}

static int start_msg(struct daemon *daemon, struct failure *failure)
{
	const struct options *options = daemon->options;
	struct msg_options msg = {
	    .loop = &daemon->loop,
	    .thread = store_get_thread(daemon->store),
	    .reader = store_get_reader(daemon->store),
	    .max_messages = (uint64_t)options->msg_max,
	    .max_bytes = (uint64_t)options->msg_max_bytes,
	    .ttl_ms = (uint64_t)options->msg_ttl_ms,
	    .keep_ms = (uint64_t)options->msg_keep_ms,
	    .own_name = daemon->name,
	    .find_peer = find_peer,
	    .peer_name = name_of_peer,
	    .is_refused = refuses_messages,
	    .identify = id_of_session,
	    .told = paired_msg_told,
	    .arg = daemon,
	};

	if (msg_new(&msg, &daemon->msg) < 0)
		return failure_set(failure, -ENOMEM, "out of memory");
	daemon->services[daemon->n_services++] = *msg_service(daemon->msg);
	return 0;
}

static int start_net(struct daemon *daemon, struct failure *failure)
{
	const struct options *options = daemon->options;
	struct net_options net = {
	    .loop = &daemon->loop,
	    .identity = daemon->identity,
	    .services = daemon->services,
	    .n_services = daemon->n_services,
	    .name = daemon->name,
	    .times = {.io_timeout = (uint64_t)options->io_timeout_ms,
		      .session = (uint64_t)options->session_grace_ms},
	    .limits = {.calls = (uint64_t)options->max_calls,
		       .streams = (uint64_t)options->max_streams,
		       .write_bytes = (uint64_t)options->max_write_bytes},
	    .observer = &paired_observer,
	    .arg = daemon,
	};
	int error = net_new(&daemon->net, &net);

	if (error == 0)
		error = net_open_self(daemon->net);
	if (error < 0)
		return failure_set(failure, error, "cannot start the network side: %s",
				   strerror(-error));
	error = net_listen(daemon->net, options->lan, (uint16_t)options->port);
	if (error == -EADDRINUSE)
		return failure_set(failure, error,
				   "port %d is taken by another program: give --port, or set port "
				   "in loopsy.conf",
				   (int)options->port);
	if (error < 0)
		return failure_set(failure, error, "cannot listen on port %d: %s",
				   (int)options->port, strerror(-error));
	return 0;
}

static void on_unmounted(void *arg)
{
	struct daemon *daemon = arg;

	log_error("daemon", "mount=%s state=unmounted-by-others", daemon->paths->mount);
	daemon_stop(daemon);
	daemon->exit_status = 1;
}

static int start_mount(struct daemon *daemon, struct failure *failure)
{
	int error = dead_mount_clear(daemon->paths->mount, failure);

	if (error == 0)
		error = paths_create_mount_point(daemon->paths, failure);
	if (error < 0)
		return error;
	daemon->mounting.status_text = paired_status_text;
	daemon->mounting.unmounted = on_unmounted;
	error = mounting_open(&daemon->mounting, &daemon->loop, daemon->paths->mount,
			      daemon->options, failure);
	if (error == 0 && fs_set_self(daemon->mounting.fs, daemon->name,
				      (struct bytes){daemon->identity->fingerprint,
						     sizeof(daemon->identity->fingerprint)},
				      net_self_transport(daemon->net)) < 0)
		error = failure_set(failure, -ENOMEM, "out of memory");
	return error;
}

static int start_pairing(struct daemon *daemon, struct failure *failure)
{
	struct pairing_room_config config = {
	    .loop = &daemon->loop,
	    .net = daemon->net,
	    .identity = daemon->identity,
	    .name = daemon->name,
	    .allow = daemon->options->allow,
	    .host = &paired_host,
	    .arg = daemon,
	};

	if (pairing_room_new(&config, &daemon->pairing_room) < 0)
		return failure_set(failure, -ENOMEM, "out of memory");
	return 0;
}

static void on_found(void *arg, const struct discovery_service *service)
{
	paired_announced(arg, service);
}

static const struct discovery_callbacks discovery_callbacks = {.found = on_found};

static int start_discovery(struct daemon *daemon, struct failure *failure)
{
	struct discovery_config config = {
	    .name = daemon->name,
	    .id = daemon->identity->id,
	    .version = LOOPSY_VERSION,
	    .caps = "fs,exec",
	    .port = net_listen_port(daemon->net),
	    .publish = daemon->options->lan,
	};
	int error;

	if (!daemon->options->mdns)
		return 0;
	error = discovery_start(&daemon->loop, &config, &discovery_callbacks, daemon,
				&daemon->discovery);
	if (error < 0)
		return failure_set(failure, error, "cannot start discovery: %s", strerror(-error));
	return 0;
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
		error = start_serve(daemon, failure);
	if (error == 0)
		error = start_jobs(daemon, given, failure);
	if (error == 0)
		error = start_kv(daemon, failure);
	if (error == 0)
		error = start_msg(daemon, failure);
	if (error == 0)
		error = start_net(daemon, failure);
	if (error == 0)
		error = start_pairing(daemon, failure);
	if (error == 0)
		error = start_mount(daemon, failure);
	if (error == 0)
		error = paired_load(daemon, failure);
	if (error == 0)
		lost_jobs_load(daemon);
	if (error == 0 &&
	    store_load_addresses(daemon->store, &daemon->addresses, &daemon->n_addresses) < 0)
		log_warning("daemon", "addresses=unreadable");
	if (error == 0)
		error = start_discovery(daemon, failure);
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
