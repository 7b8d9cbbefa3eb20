/*
 * Open files, from the inside: for file*.c and lock.c only.
 */
#ifndef FS_OPEN_FILE_H
#define FS_OPEN_FILE_H

#include <fcntl.h>

#include "fs/file.h"
#include "fs/read_ahead.h"
#include "fs/write_behind.h"

/* Which pages the kernel's cache may hold of a file. */
struct file_stamp {
	struct timespec ctime, mtime;
	uint64_t size;
};

/* node->file: from the first open on, as long as there is the node. */
struct file {
	struct fs *fs;
	struct fs_node *node;
	struct open_file *handles; /* open ones */
	struct write_behind writes;
	struct lock_call *locks; /* under way (lock.c) */
	bool posix_locked;       /* a POSIX lock was taken: each close must tell the peer */
	bool has_stamp;
	struct file_stamp stamp;
	unsigned n_writes;  /* calls under way */
	struct attr newest; /* of the answers since there were none; ctime 0: none yet */
	/* The attributes that the last write left behind, on the peer: what says otherwise and has
	 * an older ctime was overtaken by it. Looked at for a second. */
	struct attr settled;
	uint64_t settled_until;
	uint64_t plain_until;    /* it has no extended attributes; 0: not known */
	uint32_t xattrs_changed; /* fs->change when they were last changed from here */
	bool was_read;           /* on the peer, which may have moved its atime: file_was_read */
};

struct open_file {
	struct fs_node *node;            /* held */
	struct open_file *prev, *next;   /* file->handles, until released */
	const struct transport_ops *ops; /* frames may outlive the transport */
	unsigned refs;                   /* the open file, and each call */
	uint64_t number;                 /* the peer's, in `session` */
	uint32_t session;
	int flags;       /* as opened */
	int write_error; /* to be reported once; 0: none */
	bool direct;     /* no read-ahead */
	unsigned locked; /* 1 << enum lock_kind: a new session does not have them */
	bool released;
	struct read_ahead ahead;
};

/* node->file, made if need be. NULL: no memory. */
struct file *file_of_node(struct fs *fs, struct fs_node *node);

static inline struct open_file *open_file_of(const struct fuse_file_info *info)
{
	return (struct open_file *)(uintptr_t)info->fh;
}

static inline bool file_time_is_before(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* A new open file with one reference. NULL: no memory. */
struct open_file *open_file_new(struct file *file, uint64_t number, uint32_t session, int flags);
void open_file_ref(struct open_file *handle);
void open_file_unref(struct open_file *handle);
/* It was closed: it is on no list any more, and RELEASE goes out. Gives back that reference. */
void open_file_release(struct open_file *handle);
/* RELEASE for a number that came to nothing. */
void open_file_give_back(struct fs_peer *peer, struct fs_node *node, uint64_t number,
			 uint32_t session);

/* Whether its number holds now. */
bool open_file_is_current(const struct open_file *handle);

/* A reply to what was sent at `sent` (fs->change) told about extended attributes. */
void open_file_saw_attr(struct fs *fs, struct file *file, const struct attr *attr, uint32_t sent);

/* What was read of the file before is not true any more. */
void file_data_changed(struct file *file);
/* The error that a handle is to report (negative), if there is one: once. */
int open_file_take_error(struct open_file *handle);
/* Answers with `error`, 0, or what the handle has to report, when what was written before is
 * acknowledged. */
void file_reply_when_written(fuse_req_t req, struct open_file *handle, int error);

/* --- read-ahead (file_read.c) ----------------------------------------------------------------- */
void file_read_init(struct open_file *handle);
/* Content that came with OPEN. */
void file_read_seed(struct open_file *handle, struct bytes content, void *frame);

#endif
