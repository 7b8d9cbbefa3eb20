/*
 * The room of values with a real store, asked by this machine itself (daemon/net/self.h), so that
 * everything goes through the codec and the session.
 */
#ifndef TESTS_KV_WORLD_H
#define TESTS_KV_WORLD_H

#include <errno.h>
#include <uv.h>

#include "daemon/kv/kv.h"
#include "daemon/net/net.h"
#include "daemon/store.h"
#include "tests/unit/daemon/scratch.h"

struct kv_world {
	uv_loop_t loop;
	uv_timer_t tick;
	struct store *store;
	struct kv *kv;
	struct service service;
	struct identity *identity;
	struct net *net;
	struct transport *transport;
	uint64_t max_entries, max_bytes; /* 0: much */
	char from[IDENTITY_ID_SIZE];     /* who asks */
	bool as_peer;                    /* who asks is called "desk" */
	unsigned n_told, n_closed;
	char told[64]; /* the last: "set key" */
};

/* Zero at first. */
void kv_world_open_at(struct kv_world *world, const char *database);
/* In the scratch directory of the test. */
static inline void kv_world_open(struct kv_world *world)
{
	kv_world_open_at(world, scratch_path("db"));
}
void kv_world_close(struct kv_world *world);

/* Asks and waits. Bytes of the result are valid until the next one. Returns 0 or -errno. */
int kv_world_ask(struct kv_world *world, uint16_t op, const void *args, void *result);

/* Runs the loop until it holds. */
#define kv_world_until(world, condition)                                                           \
	do {                                                                                       \
		uint64_t deadline = uv_hrtime() + 60000000000ull;                                  \
		while (!(condition)) {                                                             \
			cr_assert(uv_hrtime() < deadline, "never: %s", #condition);                \
			uv_run(&(world)->loop, UV_RUN_ONCE);                                       \
		}                                                                                  \
	} while (0)

/* KV_SET without conditions; the entry's version, or -errno. */
int64_t kv_set(struct kv_world *world, const char *key, const char *value);
/* A value of any size, in parts where it must be. 0 or -errno. */
int kv_set_large(struct kv_world *world, const char *key, const uint8_t *data, size_t size);
int kv_del(struct kv_world *world, const char *key);
/* The value as text, malloc'ed; NULL when it is absent. For small ones. */
char *kv_get(struct kv_world *world, const char *key);
/* Of any size, through the stream: malloc'ed. */
uint8_t *kv_get_large(struct kv_world *world, const char *key, size_t *ret_size);
/* "a b c": all keys with that prefix, in pages of `limit`. */
const char *kv_list(struct kv_world *world, const char *prefix, uint64_t limit);

#endif
