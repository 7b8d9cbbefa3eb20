/*
 * The daemon: the one struct from which everything hangs, and the order of starting and ending.
 * For the files of this folder; the rooms know only their own interfaces.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <sys/resource.h>
#include <uv.h>

#include "daemon/audit.h"
#include "daemon/busy_poll.h"
#include "daemon/control/control.h"
#include "daemon/discovery/discovery.h"
#include "daemon/instance.h"
#include "daemon/jobs/jobs.h"
#include "daemon/keys/keys.h"
#include "daemon/kv/kv.h"
#include "daemon/mounting.h"
#include "daemon/msg/msg.h"
#include "daemon/net/net.h"
#include "daemon/options.h"
#include "daemon/pair/pairing_room.h"
#include "daemon/paths.h"
#include "daemon/relay.h"
#include "daemon/serve/serve.h"
#include "daemon/store.h"
#include "daemon/watch/watch.h"

struct paired;

#define DAEMON_SERVICES 8 /* at most */

struct daemon {
	uv_loop_t loop;
	struct paths *paths;
	struct options *options;
	struct identity *identity;
	struct instance *instance;
	char name[PEER_NAME_MAX + 1]; /* what this machine calls itself */
	uint64_t instance_started_ms; /* uv_now */

	struct store *store;
	struct audit *audit;
	struct serve *serve;
	struct jobs *jobs;
	struct kv *kv;
	struct msg *msg;
	struct watch_room *watch;
	struct service services[DAEMON_SERVICES]; /* what peers are served by */
	size_t n_services;
	struct net *net;
	struct mounting mounting;
	struct discovery *discovery; /* NULL without mdns */
	struct pairing_room *pairing_room;
	struct control_socket *control;
	struct keys *keys;
	struct relay_guard key_guard; /* of callers with a limited key */

	struct paired *paired;           /* all peers, in the order of adding */
	struct store_address *addresses; /* to look at for machines that are not paired */
	size_t n_addresses;

	struct busy_poll busy_poll;
	uv_signal_t signals[3];
	bool stopping;
	int exit_status;
};

struct daemon_options {
	const char *home; /* --home, or NULL */
	bool lan;         /* --lan */
	const char *port; /* --port, or NULL */
	int ready_fd;     /* -1, or where "ready\n" goes */
	/* What the process was started with and has changed for itself: programs get it. */
	mode_t umask;
	struct rlimit n_files; /* RLIMIT_NOFILE */
};

/* Runs the daemon to its end. Returns the exit status; errors were written to stderr. */
int daemon_run(const struct daemon_options *options);

/* Begins to end: asynchronous, once. */
void daemon_stop(struct daemon *daemon);

#endif
