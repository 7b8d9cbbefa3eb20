/*
 * Discovery: which loopsy daemons the local network knows of, and that it knows of us.
 *
 * Everything found is a hint from strangers: bounded and well-formed, never trusted. A service is
 * told by found() when it is new and whenever its addresses, name, version or capabilities change;
 * gone() when nobody announces it any more. avahi-daemon may be missing, stop or restart at any
 * time: what it knew is then gone, and found again when it is back.
 *
 * libavahi-client blocks in D-Bus calls, up to 25 s, so it lives in a thread of its own
 * (discovery_worker.c). All functions and callbacks here belong to the loop's thread.
 */
#ifndef DAEMON_DISCOVERY_DISCOVERY_H
#define DAEMON_DISCOVERY_DISCOVERY_H

#include <uv.h>

#include "daemon/discovery/discovery_service.h"

struct discovery;

/* Strings are copied. */
struct discovery_config {
	const char *name; /* ours: a valid peer name */
	const char *id;   /* ours: 32 lower-case hex digits; a service with this id is not told */
	const char *version; /* TXT v */
	const char *caps;    /* TXT caps */
	uint16_t port;       /* where we listen */
	bool publish;        /* announce ourselves; we look for others in any case */
};

struct discovery_callbacks {
	/* `service` is borrowed for the call. */
	void (*found)(void *arg, const struct discovery_service *service);
	void (*gone)(void *arg, const char *id);
};

enum discovery_status {
	DISCOVERY_STARTING,    /* not known yet */
	DISCOVERY_RUNNING,     /* avahi answers; browsing, and announcing what was asked for */
	DISCOVERY_UNAVAILABLE, /* see reason; tried again by itself */
};

#define DISCOVERY_REASON_MAX 128

/* For `doctor` and `status`. */
struct discovery_state {
	enum discovery_status status;
	bool published;                            /* the announcement is out */
	char service_name[DISCOVERY_NAME_MAX + 1]; /* under which it is out, "" if it is not */
	char reason[DISCOVERY_REASON_MAX];         /* why not running, or not published; else "" */
};

/*
 * Starts the thread; never blocks. Returns 0 and publishes *ret, or -EINVAL (name or id not
 * valid), -ENOMEM, -EAGAIN and what else pthread_create and uv_async_init say. That avahi is not
 * there is no error: see discovery_state.
 */
int discovery_start(uv_loop_t *loop, const struct discovery_config *config,
		    const struct discovery_callbacks *callbacks, void *arg, struct discovery **ret);

/*
 * Withdraws the announcement and ends the thread. `done` (may be NULL) is called once, on the
 * loop, within 3 s, and is the last callback; `discovery` is gone with it. A thread that is stuck
 * in D-Bus then is left to itself; it touches nothing of ours any more.
 */
void discovery_stop(struct discovery *discovery, void (*done)(void *arg), void *arg);

/* Announces the port from now on, or nothing when `publish` is false. */
void discovery_set_publish(struct discovery *discovery, bool publish, uint16_t port);

void discovery_state(struct discovery *discovery, struct discovery_state *ret);

/* All that is known now, in no order; `each` must not call discovery functions. */
void discovery_list(struct discovery *discovery,
		    void (*each)(void *arg, const struct discovery_service *service), void *arg);

#endif
