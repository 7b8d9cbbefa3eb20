/*
 * Changes: what is changed of names and attributes of a peer's objects.
 */
#ifndef FS_CHANGES_H
#define FS_CHANGES_H

#include "fs/peer.h"

/* FUSE operations; nodes are a peer's (its top or remote ones), names are not hidden ones. */
void changes_setattr(fuse_req_t req, struct fs_node *node, const struct stat *attr, int valid,
		     struct fuse_file_info *info);
void changes_mknod(fuse_req_t req, struct fs_node *parent, struct bytes name, mode_t mode,
		   dev_t rdev);
void changes_mkdir(fuse_req_t req, struct fs_node *parent, struct bytes name, mode_t mode);
void changes_symlink(fuse_req_t req, struct fs_node *parent, struct bytes name,
		     struct bytes target);
void changes_link(fuse_req_t req, struct fs_node *node, struct fs_node *parent, struct bytes name);
void changes_unlink(fuse_req_t req, struct fs_node *parent, struct bytes name);
void changes_rmdir(fuse_req_t req, struct fs_node *parent, struct bytes name);
void changes_rename(fuse_req_t req, struct fs_node *parent, struct bytes name,
		    struct fs_node *new_parent, struct bytes new_name, unsigned flags);

/*
 * An object was made (or linked) in the directory: CREATE's answer. Remembers what changed and
 * returns its node, held; NULL: no memory. Its attributes are current as of fs->change now.
 */
struct fs_node *changes_made(struct fs_peer *peer, struct fs_node *parent, struct bytes name,
			     const struct entry *entry);

#endif
