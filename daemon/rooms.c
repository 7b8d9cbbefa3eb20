#include "daemon/rooms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/audit_told.h"
#include "daemon/dead_mount.h"
#include "daemon/log.h"
#include "daemon/lost_jobs.h"
#include "daemon/paired.h"
#include "daemon/pairing_host.h"
#include "daemon/status_text.h"

int rooms_open_serve(struct daemon *daemon, struct failure *failure)
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

int rooms_open_jobs(struct daemon *daemon, const struct daemon_options *given,
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
	    .told = audit_told_job,
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

int rooms_open_kv(struct daemon *daemon, struct failure *failure)
{
	struct kv_options kv = {
	    .loop = &daemon->loop,
	    .thread = store_get_thread(daemon->store),
	    .reader = store_get_reader(daemon->store),
	    .db = store_get_db(daemon->store),
	    .max_entries = (uint64_t)daemon->options->kv_max_entries,
	    .max_bytes = (uint64_t)daemon->options->kv_max_bytes,
	    .identify = identify,
	    .told = audit_told_kv,
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

int rooms_open_msg(struct daemon *daemon, struct failure *failure)
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
	    .told = audit_told_msg,
	    .arg = daemon,
	};

	if (msg_new(&msg, &daemon->msg) < 0)
		return failure_set(failure, -ENOMEM, "out of memory");
	daemon->services[daemon->n_services++] = *msg_service(daemon->msg);
	return 0;
}

int rooms_open_net(struct daemon *daemon, struct failure *failure)
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

int rooms_open_mount(struct daemon *daemon, struct failure *failure)
{
	int error = dead_mount_clear(daemon->paths->mount, failure);

	if (error == 0)
		error = paths_create_mount_point(daemon->paths, failure);
	if (error < 0)
		return error;
	daemon->mounting.status_text = status_text_write;
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

int rooms_open_pairing(struct daemon *daemon, struct failure *failure)
{
	struct pairing_room_config config = {
	    .loop = &daemon->loop,
	    .net = daemon->net,
	    .identity = daemon->identity,
	    .name = daemon->name,
	    .allow = daemon->options->allow,
	    .host = &pairing_host,
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

int rooms_open_discovery(struct daemon *daemon, struct failure *failure)
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
