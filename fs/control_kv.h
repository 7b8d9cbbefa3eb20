/*
 * `kv/`: a machine's shared values as files, one for each key.
 *
 * A key's node has its name (escaped) and what was last heard of the value; it is looked up each
 * time. An open one has the whole value: as of open, and as it is written; each FLUSH behind new
 * bytes sets it, at once and whole, so that no reader sees half of one.
 */
#ifndef FS_CONTROL_KV_H
#define FS_CONTROL_KV_H

#include "fs/control_private.h"

/* What was last heard of a value: control_node's. */
struct control_value {
	uint64_t version, size, ttl_ms; /* 0: it does not expire */
	struct timespec changed;
	unsigned n_unset;   /* open ones with bytes that are not set yet */
	unsigned n_setting; /* that were closed, and are being set: nobody waited for it */
};

/* Here it is another than what its machine says. */
static inline bool control_value_is_ahead(const struct fs_node *node)
{
	return node->control->value->n_unset > 0 || node->control->value->n_setting > 0;
}

/* Names of files, of keys and back. -ENAMETOOLONG where the name exceeds 255 bytes; -ENOENT for a
 * name that is none of a key. Return the size. */
int control_kv_name(struct bytes key, char ret_name[OPS_NAME_MAX + 1]);
int control_kv_key(struct bytes name, uint8_t ret_key[OPS_KV_KEY_MAX]);

/* Takes what was heard of it. */
void control_kv_heard(struct fs_node *node, const struct kv_entry *entry);
/* Answers with an error, as control_errors_reply. */
void control_kv_refuse(fuse_req_t req, const struct fs_node *node, uint16_t op, int error);
/* control_ask_new_about its machine. */
void *control_kv_ask_new(fuse_req_t req, struct fs *fs, struct fs_node *node, size_t size,
			 void (*done)(struct control_ask *ask,
				      const struct transport_reply *reply));

/* control_kv_list.c: OPENDIR of kv/. */
void control_kv_list(fuse_req_t req, struct fs_node *node);

/* On a value. */
void control_kv_getattr(fuse_req_t req, struct fs_node *node);
void control_kv_setattr(fuse_req_t req, struct fs_node *node, const struct stat *attr, int valid,
			struct fuse_file_info *info);
void control_kv_getxattr(fuse_req_t req, struct fs_node *node, struct bytes name, size_t size);
void control_kv_setxattr(fuse_req_t req, struct fs_node *node, struct bytes name,
			 struct bytes value, int flags);
void control_kv_listxattr(fuse_req_t req, struct fs_node *node, size_t size);
void control_kv_removexattr(fuse_req_t req, struct fs_node *node, struct bytes name);

/* control_value.c: open ones. */
void control_value_open(fuse_req_t req, struct control_handle *handle, struct fuse_file_info *info);
/* A new one: `handle` is to be answered with fuse_reply_create. */
void control_value_create(fuse_req_t req, struct control_handle *handle,
			  struct fuse_file_info *info);
void control_value_write(fuse_req_t req, struct control_handle *handle, struct bytes data,
			 off_t offset);
void control_value_truncate(fuse_req_t req, struct control_handle *handle, uint64_t size);
/* FLUSH and FSYNC. */
void control_value_flush(fuse_req_t req, struct control_handle *handle);
/* RELEASE: what was not set is. The handle is freed by the caller. */
void control_value_closed(struct control_handle *handle);
/* It is freed: what was not set is forgotten. */
void control_value_forget(struct control_handle *handle);

/* control_files.c */
bool control_is_value(const struct fs_node *node);

#endif
