/*
 * Values of a machine ("": this one), asked for one at a time: each function waits for the answer.
 * Values that do not fit into a frame go in parts and come as a stream. All return 0 or -errno;
 * then the reason is a line for people (may be empty), valid until the next call.
 */
#ifndef CTL_KV_CLIENT_H
#define CTL_KV_CLIENT_H

#include "ctl/remote.h"
#include "proto/ops_ctl.h"

/* Bytes of the entry are valid until the next call. `args->value` may have any size, `upload` is
 * set here. -EEXIST, -EREMCHG and others of ops_kv.h; -EFBIG. */
int kv_client_set(struct remote *remote, const char *peer, const struct args_kv_set *args,
		  struct kv_entry *ret_entry, const char **ret_reason);

/* A value that was got. Zero at first; kv_got_deinit in any case. */
struct kv_got {
	struct buffer value;
	struct kv_entry entry; /* its bytes are in `encoded` */
	struct buffer encoded;
	char reason[OPS_CTL_TEXT_MAX + 1]; /* of a failure */
};
void kv_got_deinit(struct kv_got *got);
/* -ENOENT and others. */
int kv_client_get(struct remote *remote, const char *peer, const char *key, struct kv_got *got);

/* Tells of all keys with that prefix, in order. */
int kv_client_list(struct remote *remote, const char *peer, const char *prefix,
		   void (*each)(void *arg, const struct kv_entry *entry), void *arg,
		   const char **ret_reason);

#endif
