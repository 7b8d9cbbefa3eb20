/*
 * Directories: reading them, and what is remembered of their contents.
 */
#ifndef FS_DIR_H
#define FS_DIR_H

#include "fs/peer.h"

struct listing;

/* FUSE operations (rows of fuse_ops.c); any kind of directory. */
void dir_open(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void dir_read(fuse_req_t req, struct fs_node *node, size_t size, off_t offset,
	      struct fuse_file_info *info, bool plus);
void dir_release(fuse_req_t req, struct fs_node *node, struct fuse_file_info *info);
void dir_fsync(fuse_req_t req, struct fs_node *node, bool data_only);

/* Answers a LOOKUP from what was listed within the last second, also that there is no such name;
 * false: the peer must be asked. */
bool dir_lookup(fuse_req_t req, struct fs_node *parent, struct bytes name);
/* Where a lookup is worth all of the directory, because it was read before and is small: its
 * listing while it comes, held; or NULL. */
struct listing *dir_listing_soon(struct fs *fs, struct fs_node *node);
/* What was listed about a node within the last second. False: nothing that can be believed. */
bool dir_attr(struct fs *fs, struct fs_node *node, struct attr *ret_attr, uint64_t *ret_left);
/* The peer was asked for one name in it, and said that it is not there (`is_absent`) or what it
 * is. After a few of them, all of it is asked for. */
void dir_was_asked(struct fs *fs, struct fs_node *node, struct bytes name, bool is_absent);

/* One name in it was changed from here (call it when the answer comes): made, removed or renamed.
 * Its attributes are not believed any more, nor what was listed of that name. */
void dir_name_changed(struct fs *fs, struct fs_node *node, struct bytes name);
/* The same where nobody knows what was changed: all that is known of it is dropped. */
void dir_changed(struct fs *fs, struct fs_node *node);
/* The same where what a name led to was replaced before it could be used: for the next second names
 * are looked up singly. The server keeps a descriptor of what it answers with, so that it can be
 * used even if it is replaced again; of what it lists it keeps none. */
void dir_is_replacing(struct fs *fs, struct fs_node *node);
/* It was made from here just now, and is empty. */
void dir_was_made(struct fs *fs, struct fs_node *node);

/* Who may search it was changed from here. Before that is answered (a program may use a name in it
 * right then), nothing that is known of its names is believed any more. */
void dir_search_changed(struct fs *fs, struct fs_node *node);

/* For the next 60 s, names and attributes in it are asked for each time: something in it is
 * locked. What the kernel was told before is taken back. */
void dir_ask_each_time(struct fs *fs, struct fs_node *node);
bool dir_is_asked_each_time(struct fs *fs, const struct fs_node *node);

/* The peer is removed: no listing of it is believed. */
void dir_forget_listings(struct fs_peer *peer);

/* The mount ends: directories that programs still have open are closed. */
void dir_free_handles(struct fs *fs);

/* What is remembered goes with the node. */
void dir_node_free(struct fs *fs, struct fs_node *node);

#endif
