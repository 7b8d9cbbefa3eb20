/*
 * Parked: a FUSE request that waits for somebody else, and what an interrupt means to it.
 *
 * The kernel says once that the caller of a request has a signal (FUSE_INTERRUPT) and afterwards
 * waits, unkillable, until we answer. Control files answer EINTR at once. Operations on files
 * answer only if the caller is dying (SIGKILL is pending, as for every fatal signal, or its task is
 * gone), which is looked at again every 50 ms, or 2 s after the interrupt: programs with timer
 * signals (git, Go) must not see EINTR from stat. A change of names keeps also a dying caller for
 * a moment, or who waited for its end would find that the name appears afterwards.
 */
#ifndef FS_PARKED_H
#define FS_PARKED_H

#include "fs/fs_private.h"

#define PARKED_PATIENCE (2 * FS_SECOND)
#define PARKED_CHANGE   (500 * FS_MILLISECOND) /* of a dying caller's change of names */
#define PARKED_POLL     (50 * FS_MILLISECOND)

enum parked_kind { PARKED_FILE, PARKED_NAMES, PARKED_CONTROL };

/* Embedded in what waits. */
struct parked {
	fuse_req_t req; /* NULL: it was answered already, or there never was one */
	struct fs *fs;
	uint64_t interrupted_at;    /* 0: never */
	struct parked *prev, *next; /* fs->interrupted */
	enum parked_kind kind;
	pid_t tid;
	bool is_starting;
	/* A WRITE whose bytes are taken over whatever happens: it is answered so, not with EINTR.
	 * 0: it is none. */
	size_t written;
	/* It was just answered with EINTR: give up what it waits for (the memory must stay for
	 * the rest of this call). May be NULL. */
	void (*gave_up)(struct parked *parked);
};

/* Parks a request (NULL: nobody waits). False: it was interrupted before, and has been answered
 * just now; gave_up is not called for that. */
bool parked_start(struct parked *parked, struct fs *fs, fuse_req_t req, enum parked_kind kind,
		  void (*gave_up)(struct parked *parked));

/* Takes the request out, to answer it right now; NULL if it was answered already. */
fuse_req_t parked_take(struct parked *parked);

#endif
