/*
 * Locks of one session. Each (node, owner, kind) has a descriptor of its own: open-file-description
 * locks (fcntl(2)) and flock(2) locks belong to descriptors, so that owners exclude each other and
 * our machine's own programs, as they do on a local disk.
 *
 * A lock that has to wait holds no thread: it is tried again when one of ours on the same file was
 * released, and every 50 ms because of programs that are not ours. Of POSIX locks that wait for each
 * other, on any machines, the last is refused (EDEADLK).
 */
#ifndef DAEMON_SERVE_LOCKS_H
#define DAEMON_SERVE_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct lock_holder;
struct lock_try;
struct serve;

struct locks {
	struct serve *serve;
	struct lock_holder *holders; /* all of the session */
	size_t n, max;
};

/* Those who wait, of all sessions: part of struct serve. */
struct lock_waiters {
	struct lock_try *first, *last;
	uv_timer_t timer;
	bool closed;
};

void locks_init(struct locks *locks, struct serve *serve, size_t max);
/* Releases everything (no work is under way). */
void locks_deinit(struct locks *locks);
/* The open file is closed: what was locked through it is released. */
void locks_release_handle(struct locks *locks, uint64_t handle);

void locks_waiters_init(struct lock_waiters *waiters, struct serve *serve);
/* Nobody waits any more. Calls `closed` when the timer has gone. */
void locks_waiters_close(struct lock_waiters *waiters, void (*closed)(struct serve *serve));

#endif
