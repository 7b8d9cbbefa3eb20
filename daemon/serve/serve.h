/*
 * The serving side of files: the room for operations 10 to 59. Peers see the exports, and nothing
 * else of this machine.
 */
#ifndef DAEMON_SERVE_SERVE_H
#define DAEMON_SERVE_SERVE_H

#include "daemon/net/request.h"
#include "daemon/serve/exports.h"

struct mounts;
struct place;
struct serve;

struct serve_options {
	const struct exports_option *exports;
	size_t n_exports;
	size_t max_nodes;      /* per session; 0: 1,000,000 */
	size_t max_open_files; /* per session; 0: 4,096 */
	unsigned threads;      /* of the pool for us; 0: 14 of 16 */
	const char *mountinfo; /* NULL: /proc/self/mountinfo */
	int64_t verify_ms;     /* how long a descriptor is believed; 0: 2000; -1: never (tests) */
	uint64_t sweep_ms;     /* how often kept descriptors are looked over; 0: 5000 */
	size_t max_kept;       /* descriptors of nodes kept per session; 0: by RLIMIT_NOFILE */
};

/* Starts serving: sets the process's umask to 0 (modes are exact everywhere). Options are copied.
 * Returns 0, or as exports_init and mounts_new do. */
int serve_new(uv_loop_t *loop, const struct serve_options *options, struct serve **ret_serve);

/* The room, for daemon/net; valid until serve_free. */
const struct service *serve_service(const struct serve *serve);

/* For other rooms, on their threads, until serve_free: place_find (place.h) in what is served, and
 * what place_find_below needs. */
int serve_find_place(const struct serve *serve, struct bytes path, struct place *ret_place);
const struct exports *serve_exports(const struct serve *serve);
struct mounts *serve_mounts(const struct serve *serve);
/* The directory that a path leads to, as an O_PATH descriptor. Blocks. Returns it, or -errno as
 * place_find; -ENOTDIR. */
int serve_open_directory(const struct serve *serve, struct bytes path);

/* All sessions are closed. Calls `done` when the last work of the pool has ended, perhaps at once;
 * serve_free comes after it. */
void serve_stop(struct serve *serve, void (*done)(void *arg), void *arg);
void serve_free(struct serve *serve);

#endif
