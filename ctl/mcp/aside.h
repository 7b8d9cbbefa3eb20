/*
 * Aside: work on a thread that may be left behind. What touches the mount can block for half a
 * minute when a peer goes just then, and nothing but its own end ends that; a call that is
 * cancelled does not wait for it.
 */
#ifndef CTL_MCP_ASIDE_H
#define CTL_MCP_ASIDE_H

struct aside;

/* Begins work(arg). Returns 0, -EAGAIN or another -errno (nothing runs then). */
int aside_new(void (*work)(void *arg), void *arg, struct aside **ret_aside);
/* Waits until it is done: 0; or until `interrupt_fd` (-1: none) is readable: -ECANCELED; or so
 * long: -ETIMEDOUT. `timeout_ms` -1 waits for ever. */
int aside_wait(struct aside *aside, int interrupt_fd, int timeout_ms);
/* Done with it. If the work is not, it goes on by itself, and `release` is called with its argument
 * when it has ended; else before this returns. Returns NULL. */
struct aside *aside_free(struct aside *aside, void (*release)(void *arg));

#endif
