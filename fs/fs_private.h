/*
 * The inside of struct fs, for the rooms of fs/ only.
 */
#ifndef FS_FS_PRIVATE_H
#define FS_FS_PRIVATE_H

#include <fuse_lowlevel.h>
#include <pthread.h>

#include "fs/fs.h"
#include "fs/read_ahead.h"

#define FS_SECOND      1000000000ull
#define FS_MILLISECOND 1000000ull

struct fs_node;
struct node_attr;
struct parked;
struct notify_done;
struct listing;
struct dir_handle;
struct control_handle;
struct control_names;
struct kv_known;
struct control_errors;
struct control_ring;

/* A timer of one of our rooms, embedded; zero-initialised, with `fn` set. */
struct fs_timer {
	uint64_t at;                  /* 0: not set */
	struct fs_timer *prev, *next; /* fs->timers, ascending by `at` */
	void (*fn)(struct fs *fs, struct fs_timer *timer);
};

struct node_table {
	struct fs_node **buckets;
	size_t n_buckets; /* a power of two */
	size_t n;
};

struct fs {
	struct fs_config config;
	struct fuse_session *session;
	int fd;
	uint64_t init_unique; /* of the INIT request, whose reply is patched; 0: none under way */
	uint64_t answered;    /* the request that was answered last */
	bool stopping;
	bool dead; /* unmounted by somebody else */
	bool is_mounted;
	char *mount_point;

	struct fs_node *root;
	struct fs_peer *
	    *peers; /* by index; slots of removed peers are NULL when nothing uses them */
	uint16_t n_peers;
	uint64_t peers_changed;     /* real time, ns: the root's mtime */
	struct node_table names;    /* nodes by (parent, name) */
	struct node_table nameless; /* those that have none */
	uint64_t seed;              /* of hashes */
	uint32_t generation;        /* the last one given */
	uint32_t change;            /* counts changes made from here: orders them and replies */
	uint32_t change_lost; /* the last change of a node that is freed: a new one may be it */
	size_t n_nodes;
	uint64_t n_freed; /* nodes and entries since memory was last trimmed */
	struct node_attr *attrs_oldest, *attrs_newest;

	struct dir_handle *dir_handles;                    /* open directories */
	struct listing *listings_oldest, *listings_newest; /* believed for a second (dir.c) */
	size_t listings_bytes;
	struct fs_timer listings_timer;
	struct parked *interrupted; /* requests whose callers had a signal */
	struct fs_timer *timers;
	uint64_t timer_set; /* what the daemon was asked for; 0: nothing */
	struct fs_timer attrs_timer, parked_timer, trim_timer, late_timer, gone_timer;
	struct read_pool read_pool; /* read ahead, of all files (file_read.c) */
	struct fs_timer read_timer;
	struct notify_done *late_done; /* notify.c */
	struct fuse_buf buffer;        /* that requests are read into */

	/* control files: of the local machine, and all open ones */
	struct control_handle *control_handles;
	struct control_names *control_names; /* open directories */
	struct kv_known *kv_known;           /* what they say of each key */
	/* The local machine, for its values, jobs and messages; in no directory. NULL: none */
	struct fs_peer *self;
	char own_name[64]; /* what others call it */
	struct control_errors *errors;
	struct control_ring *events; /* of all peers */
	bool wants_events;           /* somebody reads them */
};

/* Monotonic nanoseconds. */
uint64_t fs_now(const struct fs *fs);
/* Sets, moves or (delay UINT64_MAX) clears a timer. It fires once. */
void fs_timer_set(struct fs *fs, struct fs_timer *timer, uint64_t delay);

/* The fs of a request. */
static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

#endif
