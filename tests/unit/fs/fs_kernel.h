/*
 * The kernel's side of a FUSE session over a socket pair, for tests of fs/: sends requests, gets
 * replies, with a clock that only moves when a test moves it.
 */
#ifndef TESTS_FS_KERNEL_H
#define TESTS_FS_KERNEL_H

#include <linux/fuse.h>

#include "fs/fs.h"
#include "fs_fake.h"

#define FS_KERNEL_REPLY_MAX    (256 * 1024)
#define FS_KERNEL_NOTIFY_EPOCH 8 /* FUSE_NOTIFY_INC_EPOCH: all names are to be asked for again */

struct fs_kernel_reply {
	uint64_t unique;
	int error; /* 0 or negative */
	size_t size;
	unsigned n_notified, n_epochs; /* kernel's when it came */
	struct fs_kernel_reply *next;
	_Alignas(8) uint8_t data[];
};

struct fs_kernel {
	struct fs *fs;
	struct fs_fake *fake; /* desk */
	struct fs_fake *self; /* the machine whose mount it is, lap */
	struct fs_peer *peer;
	int socket;
	uint64_t now, timer_at; /* timer_at 0: none */
	uint64_t unique;
	uint32_t pid; /* of the callers */
	struct fs_kernel_reply *replies;
	unsigned n_notified; /* FUSE_NOTIFY_* messages */
	unsigned n_epochs;   /* of these, FS_KERNEL_NOTIFY_EPOCH */
	struct fs_config config;
	unsigned n_begun;    /* for config.begun of a test */
	uint32_t init_flags; /* of the reply to INIT */
};

/* A mount with a peer called "desk", started. `config` may be NULL. */
struct fs_kernel *fs_kernel_new(const struct fs_config *config);
/* Ends it. Checks that the server got all its references back, if `is_clean`. */
void fs_kernel_free(struct fs_kernel *kernel, bool is_clean);

/* Sends a request with `size` bytes of body; returns its unique. */
uint64_t fs_kernel_send(struct fs_kernel *kernel, uint32_t opcode, uint64_t node, const void *body,
			size_t size);
/* Runs everything until nothing moves. Time stands still. */
void fs_kernel_run(struct fs_kernel *kernel);
/* Lets time pass (nanoseconds), with what is due in it. */
void fs_kernel_pass(struct fs_kernel *kernel, uint64_t time);
/* The reply, if it has come; to be freed. */
struct fs_kernel_reply *fs_kernel_take(struct fs_kernel *kernel, uint64_t unique);
/* All three: the reply must come. */
struct fs_kernel_reply *fs_kernel_ask(struct fs_kernel *kernel, uint32_t opcode, uint64_t node,
				      const void *body, size_t size);

/* Operations. They return 0 or -errno. */
int fs_kernel_lookup(struct fs_kernel *kernel, uint64_t parent, const char *name,
		     struct fuse_entry_out *ret_entry);
/* Looks up all of a path below the root; returns its node id (0: failed). */
uint64_t fs_kernel_walk(struct fs_kernel *kernel, const char *path);
int fs_kernel_getattr(struct fs_kernel *kernel, uint64_t node, struct fuse_attr_out *ret_attr);
void fs_kernel_forget(struct fs_kernel *kernel, uint64_t node, uint64_t count);
/* One of MKDIR, UNLINK, RMDIR: a request of (struct of `head_size` bytes, name). */
int fs_kernel_name_op(struct fs_kernel *kernel, uint32_t opcode, uint64_t parent, const void *head,
		      size_t head_size, const char *name, struct fuse_entry_out *ret_entry);
int fs_kernel_rename(struct fs_kernel *kernel, uint64_t parent, const char *name,
		     uint64_t new_parent, const char *new_name, uint32_t flags);
int fs_kernel_readlink(struct fs_kernel *kernel, uint64_t node, char *ret_target);
int fs_kernel_open(struct fs_kernel *kernel, uint32_t opcode, uint64_t node, uint64_t *ret_handle);
/* One READDIR or READDIRPLUS. `visit` gets each entry (plus: with its entry_out; else NULL).
 * Returns how many entries came, or -errno; ret_offset: the last one's. */
int fs_kernel_readdir(struct fs_kernel *kernel, uint64_t node, uint64_t handle, uint64_t *offset,
		      uint32_t size, bool plus,
		      void (*visit)(void *arg, const struct fuse_dirent *dirent,
				    const struct fuse_entry_out *entry),
		      void *arg);
void fs_kernel_release(struct fs_kernel *kernel, uint32_t opcode, uint64_t node, uint64_t handle);

/* The names in a directory, a space behind each, or the error's text. Good until the next call. */
const char *fs_kernel_list(struct fs_kernel *kernel, const char *path);

#endif
