/*
 * File calls: calls to the peer through an open file.
 *
 * The peer's number for an open file holds in one session. A call that finds it void opens the file
 * again first: by its node, which peer.c finds and checks; without O_TRUNC and the like.
 */
#ifndef FS_FILE_CALL_H
#define FS_FILE_CALL_H

#include "fs/open_file.h"

/* A call through a handle: begins the context of one. */
struct file_call {
	struct peer_call call;
	struct open_file *handle; /* referenced */
	/* The answer, as peer_call's done. */
	void (*answer)(struct file_call *call, const struct transport_reply *reply);

	/* open_file.c's own */
	bool opening; /* OPEN is under way, before `op` */
	uint8_t n_opened;
	uint16_t op;
	void *args; /* in the context */
};

/* As peer_call_new. */
void *file_call_new(struct fs *fs, size_t size, struct open_file *handle, fuse_req_t req);
/*
 * Sends `args` (in the context: it stays as it is until the answer), of an operation whose args
 * begin with node and handle; `handle` is filled in here. May be called again within `answer`.
 */
void file_call_send(struct file_call *call, uint16_t op, void *args);
/* Only opens the file again; the answer has no result. */
void file_call_reopen(struct file_call *call);
#endif
