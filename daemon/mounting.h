/*
 * Mounting: the mount (fs/) on the daemon's loop.
 */
#ifndef DAEMON_MOUNTING_H
#define DAEMON_MOUNTING_H

#include <uv.h>

#include "daemon/failure.h"
#include "daemon/options.h"
#include "fs/fs.h"

struct mounting {
	struct fs *fs;    /* NULL while there is no mount */
	const char *path; /* of the mount; the daemon's */
	uv_poll_t poll;
	uv_timer_t timer;
	uv_async_t async;
	bool open; /* the handles are */
	unsigned n_closing;
	int (*status_text)(void *arg, void *peer_arg, struct buffer *text);
	void (*unmounted)(void *arg);
	void *arg; /* of the three callbacks */
	void (*closed)(void *arg);
};

/* Mounts at `path` (a directory that exists). status_text and unmounted as in fs/fs.h. Returns 0 or
 * -errno with a line in `failure`. */
int mounting_open(struct mounting *mounting, uv_loop_t *loop, const char *path,
		  const struct options *options, struct failure *failure);

/* Unmounts (may take seconds), and calls `closed` when the handles have gone; at once if it was
 * never open. */
void mounting_close(struct mounting *mounting, void (*closed)(void *arg));

#endif
