/*
 * Acting: one step of a request is done as the user on whose behalf it is made (fs:ids).
 *
 * A thread of the pool puts on the caller's ids, groups and (lack of) capabilities, makes the
 * system call that decides, and takes them off. Finding the node and looking at what was made is
 * the daemon's own work: nobody else's rights are asked for that. The kernel keeps credentials per
 * thread; glibc's setfsuid and setgroups would change them in all threads, so the calls are raw.
 */
#ifndef DAEMON_SERVE_ACTING_H
#define DAEMON_SERVE_ACTING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct caller;

/* Who the daemon is, which its threads are again afterwards. */
struct acting_self {
	bool possible; /* it may act as others at all: it is root, with the capabilities for it */
	uint32_t permitted[2], effective[2],
	    inheritable[2]; /* capabilities, as capget gives them */
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
};

/* How a step is done. */
enum acting_how {
	ACTING_SELF,   /* as the daemon */
	ACTING_HUMBLY, /* as the daemon, but a write clears set-id bits as an ordinary user's does
			*/
	ACTING_CALLER,
};

struct acting {
	const struct acting_self *self; /* NULL: nothing to take off */
	enum acting_how how;
};

/* The variable that takes it off by itself. */
#define ACTING_NULL ((struct acting){0})
#define ACTING      __attribute__((cleanup(acting_end))) struct acting

/* 0 or -ENOMEM. */
int acting_self_init(struct acting_self *self);
void acting_self_deinit(struct acting_self *self);

/* How a request with `caller` (may be NULL) is done. `granted`: the peer holds fs:ids. */
enum acting_how acting_decide(const struct acting_self *self, const struct caller *caller,
			      bool granted);

/* On a pool thread. 0, or -EPERM or -ENOMEM with nothing put on. */
int acting_begin(const struct acting_self *self, enum acting_how how, const struct caller *caller,
		 struct acting *ret_acting);
/* Cannot fail: a thread that stayed somebody else would do what it must not, so the program ends
 * instead. */
void acting_end(struct acting *acting);

#endif
