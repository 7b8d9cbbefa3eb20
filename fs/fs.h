/*
 * Fs: the mount. One FUSE session shows all peers as directories below one mount point.
 *
 * The daemon drives it from its loop: fs_process when fs_fd is readable or `wake` was called,
 * fs_tick when the timer fires that `set_timer` asked for. Nothing here blocks, but for fs_new
 * (mounts) and fs_free (unmounts). All functions and callbacks run on the loop's thread, except
 * `wake`.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/transport.h"
#include "proto/codec.h"

struct fs;
struct fs_peer;

struct fs_config {
	const char *mount_point; /* an existing directory; not needed with a channel */
	int channel;       /* -1, or a socket that speaks FUSE, instead of mounting: taken over */
	uint32_t uid, gid; /* of the mounting user */
	bool allow_other;  /* other users of this machine may enter; ids pass as they are */
	bool raw_symlinks; /* show the targets of symbolic links as they are */
	unsigned max_background; /* requests in flight in the kernel; 0: 512 */
	size_t write_behind_max; /* bytes not acknowledged by a peer; 0: 16 MiB */
	uint64_t trust;          /* ns that names and attributes are believed for; 0: a second */
	size_t read_ahead_max; /* bytes read ahead of a reader; 0: as delay and bandwidth ask for */

	/* Monotonic nanoseconds; NULL: CLOCK_MONOTONIC. */
	uint64_t (*now)(void *arg);
	/* Wants one fs_tick after that many nanoseconds; replaces what was asked before. */
	void (*set_timer)(void *arg, uint64_t delay);
	/* Wants one fs_process. Called on any thread. */
	void (*wake)(void *arg);
	/* Appends a peer's status (peer_arg of fs_peer_add), or the local machine's (NULL), as
	 * "key value" lines. 0 or -errno. */
	int (*status_text)(void *arg, void *peer_arg, struct buffer *text);
	/* The kernel has begun to use it. May be NULL. */
	void (*begun)(void *arg);
	/* Somebody else has unmounted it (or the kernel gave up): fs_fd is dead. May be NULL. */
	void (*unmounted)(void *arg);
	void *arg;
};

/*
 * Mounts. Returns 0; -errno of the mount (libfuse has said why on stderr): -EIO where it did not
 * tell; -EINVAL for a bad configuration; -ENOMEM. `config` is copied, not what it points to.
 */
int fs_new(const struct fs_config *config, struct fs **ret_fs);

/* Unmounts (lazily, if it is in use), ends every call and frees all; for at most about 5 s it
 * answers what the kernel still asks. Peers that were not removed are. NULL is fine. */
void fs_free(struct fs *fs);

/* To be polled for reading. */
int fs_fd(const struct fs *fs);

/* Takes and starts requests until there are none, or a fair number. 0, or -ENODEV when the mount
 * is gone. */
int fs_process(struct fs *fs);

/* What is due by now. */
void fs_tick(struct fs *fs);

/*
 * A peer appears as a directory called `name` (taken as it is: 1 to 63 of [A-Za-z0-9._-], not
 * starting with a dot). `id` is its stable identity, from which inode numbers are made.
 * `transport` must outlive it. `peer_arg` is for status_text. Returns 0, -EEXIST, -EINVAL or
 * -ENOMEM.
 */
int fs_peer_add(struct fs *fs, const char *name, struct bytes id, struct transport *transport,
		void *peer_arg, struct fs_peer **ret_peer);
/* Its directory is gone at once; what is still open there gives ESTALE. `peer` is freed, and
 * nothing is asked of `transport` afterwards. */
void fs_peer_remove(struct fs_peer *peer);
int fs_peer_rename(struct fs_peer *peer, const char *name);

/* How the local machine, called `name`, is asked for its own values and jobs and for all messages:
 * what is in its kv/, jobs/ and messages/ is there from now on. `transport` must outlive the mount.
 * Returns 0 or -ENOMEM. */
int fs_set_self(struct fs *fs, const char *name, struct bytes id, struct transport *transport);

#endif
