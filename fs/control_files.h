/*
 * Control files: the hidden `.loopsy` of the root and of each peer's directory.
 *
 * One table of rows; a control file is a row with its functions. A node of kind NODE_IS_CONTROL
 * points to its row; its peer is that of the directory, or none for the local machine.
 */
#ifndef FS_CONTROL_FILES_H
#define FS_CONTROL_FILES_H

#include "fs/peer.h"

struct control {
	const char *name;
	uint16_t mode; /* type and permissions */
	bool of_peer;  /* it is in a peer's .loopsy */
	bool of_root;  /* it is in the local machine's */
	/* Appends the whole content, as of now. peer is NULL for the local machine. 0 or -errno. */
	int (*text)(struct fs *fs, struct fs_peer *peer, struct buffer *text);
};

/* Whether that name is the hidden directory's. */
bool control_is_hidden(struct bytes name);

/* FUSE operations. `parent` is the root, a peer's top, or a control directory. */
void control_lookup(fuse_req_t req, struct fs_node *parent, struct bytes name);
void control_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void control_read(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *info);
void control_release(fuse_req_t req, struct fuse_file_info *info);

/* Mode, size and link count of a control node. */
void control_stat(struct fs *fs, const struct fs_node *node, struct stat *stat);
/* An element of a control directory: as root.c's child_at. */
int control_child(struct fs *fs, const struct fs_node *node, uint64_t index, const char **ret_name,
		  struct stat *ret_stat);

#endif
