/*
 * A serving side with sessions, but without daemon/net: calls are made with typed args and answered
 * into memory. Results are encoded and decoded on the way, so that their bounds are checked too.
 */
#ifndef TESTS_SERVE_FAKE_H
#define TESTS_SERVE_FAKE_H

#include "daemon/net/request.h"
#include "daemon/serve/serve.h"
#include "proto/ops_peer.h"
#include "tests/unit/daemon/scratch.h"

#define SERVE_FAKE_SESSIONS 4

struct serve_fake_call {
	struct request request; /* first: requests are cast to calls */
	void *args;             /* a copy of the struct; its bytes are the test's */
	bool done;              /* answered */
	int error;
	void *result; /* the operation's struct, if error is 0 */
	struct buffer encoded;
	/* the stream after it */
	bool streaming, ended;
	int end_error;
	size_t window; /* bytes that may be sent now */
	struct buffer stream, names; /* channel 0, and the others */
	void (*ready)(void *arg, int error);
	void *ready_arg;
	struct serve_fake_call *next;
	struct serve_fake *fake;
};

struct serve_fake {
	uv_loop_t loop;
	struct serve *serve;
	const struct service *service;
	void *sessions[SERVE_FAKE_SESSIONS];
	struct serve_fake_call *calls; /* all, freed at the end */
	size_t window;                 /* of new calls' streams */
	uint16_t permissions;
	char export_path[600];
	struct caller caller;
};

void serve_fake_init_in(struct serve_fake *fake, const char *dir,
			const struct serve_options *options);

/* One export, scratch_dir/export, which is made; `options` (may be NULL) changes the rest. Opens
 * two sessions. */
static inline void serve_fake_init(struct serve_fake *fake, const struct serve_options *options)
{
	serve_fake_init_in(fake, scratch_dir, options);
}

/* Closes sessions, waits for the pool, checks that every call was answered. */
void serve_fake_deinit(struct serve_fake *fake);
void serve_fake_close_session(struct serve_fake *fake, unsigned session);

struct serve_fake_call *serve_fake_start(struct serve_fake *fake, unsigned session, uint16_t op,
					 const void *args);
/* Runs the loop until it is answered, at most 60 s. Returns its error. */
int serve_fake_wait(struct serve_fake *fake, struct serve_fake_call *call);
void serve_fake_wait_stream(struct serve_fake *fake, struct serve_fake_call *call);
void serve_fake_cancel(struct serve_fake *fake, unsigned session, struct serve_fake_call *call);
/* Start and wait, session 0. *ret_result (may be NULL) stays valid to the end. */
int serve_fake_call(struct serve_fake *fake, uint16_t op, const void *args, void *ret_result);
void serve_fake_forget(struct serve_fake *fake, unsigned session, uint64_t node, uint64_t count);

struct bytes serve_fake_bytes(const char *text);
/* Paths on the disk: scratch_dir/export/name; good for the next 16 calls. */
static inline char *serve_fake_path(const char *name)
{
	char below[400];

	snprintf(below, sizeof(below), "export/%s", name);
	return scratch_path(below);
}

/* LOOKUP along "a/b/c" from node 1; 0 and the last entry, or -errno. */
int serve_fake_walk(struct serve_fake *fake, unsigned session, const char *path,
		    struct entry *ret_entry);
/* The node of such a path, which must be there. */
uint64_t serve_fake_node(struct serve_fake *fake, const char *path);

#define SERVE_FAKE_CALL(fake, NAME, name, result, ...)                                             \
	serve_fake_call(fake, OP_##NAME, &(struct args_##name){__VA_ARGS__}, result)

#endif
