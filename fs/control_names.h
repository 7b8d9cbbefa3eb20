/*
 * Control names: the directories of .loopsy whose names are asked for (jobs/, kv/, the boxes of
 * messages): collected at OPENDIR, and listed as they were then.
 */
#ifndef FS_CONTROL_NAMES_H
#define FS_CONTROL_NAMES_H

#include "fs/fs_private.h"

/* An open one. */
struct control_names {
	struct fs *fs;
	struct control_names *prev, *next; /* fs->control_names */
	mode_t type;                       /* of what is listed: S_IFREG or S_IFDIR */
	struct buffer text;                /* the names, each with a NUL behind it */
	size_t n;
};

/* For at most `limit` bytes of names. NULL: no memory. */
struct control_names *control_names_new(struct fs *fs, mode_t type, size_t limit);
/* NULL is fine. */
void control_names_free(struct control_names *names);
/* Returns 0, -ENOMEM or -EMSGSIZE. A name is not empty, and has neither NUL nor '/'. */
int control_names_add(struct control_names *names, struct bytes name);
bool control_names_have(const struct control_names *names, struct bytes name);
/* Answers OPENDIR: from now on they are the open directory. */
void control_names_reply(fuse_req_t req, struct control_names *names);

/* READDIR and RELEASEDIR. */
void control_names_read(fuse_req_t req, const struct fs_node *node, size_t size, off_t offset,
			const struct fuse_file_info *info, bool plus);
void control_names_release(fuse_req_t req, const struct fuse_file_info *info);

/* The inode number of what has that name there. */
uint64_t control_names_ino(const struct fs_node *dir, struct bytes name);

/* The mount ends. */
void control_names_free_all(struct fs *fs);

#endif
