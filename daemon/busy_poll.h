/*
 * Busy polling: before the loop sleeps it looks again for a moment whether something has come.
 *
 * A request that crosses from a program to the mount, to a peer and back wakes four sleepers, one
 * after the other. On a virtual machine, or a processor in a deep sleep, each wake-up costs more
 * than all that is done in between. Linux's halt polling (cpuidle/governors/haltpoll.c, KVM's
 * halt_poll_ns) answers that for a kernel that idles; this does for one process what only a
 * machine's owner can turn on there.
 *
 * It costs a processor that nobody else wants: each look ends with sched_yield, and where others
 * run then, it is given up for many rounds. Where nothing comes in time it is given up too, at
 * first for a few rounds: a daemon that idles sleeps.
 */
#ifndef DAEMON_BUSY_POLL_H
#define DAEMON_BUSY_POLL_H

#include <stdbool.h>
#include <uv.h>

enum busy_poll_end {
	BUSY_POLL_HIT,     /* something came */
	BUSY_POLL_MISS,    /* nothing came in time */
	BUSY_POLL_CROWDED, /* others want the processor */
};

struct busy_poll {
	uv_prepare_t prepare; /* the first that is started on the loop, so the last that runs */
	unsigned misses;      /* in a row */
	unsigned skip;        /* so many rounds sleep at once */
};

/* Starts on a loop that has no other prepare handle yet, and does not keep it alive. */
void busy_poll_init(struct busy_poll *busy, uv_loop_t *loop);
/* On the loop, which takes one more turn to close it. */
void busy_poll_close(struct busy_poll *busy);

/* The rule, for its test: is this round to look before it sleeps, and how did that end? */
bool busy_poll_begin(struct busy_poll *busy);
void busy_poll_end(struct busy_poll *busy, enum busy_poll_end end);

#endif
