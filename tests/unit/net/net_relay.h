/*
 * A relay between two ends of TCP connections on loopback, on the test's loop: it can be cut,
 * stopped and counted.
 */
#ifndef TESTS_NET_RELAY_H
#define TESTS_NET_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct relay {
	uv_loop_t *loop;
	uv_tcp_t listener;
	int to_port;
	int port;
	bool is_stopped; /* takes nothing and gives nothing: a cable that was pulled */
	int64_t budget;  /* bytes until all connections are cut; negative: without end */
	uint64_t n_bytes;
	unsigned n_accepted;
	struct relay_pipe *pipes;
};

/* Listens on loopback, at `port`; zero-initialised before. */
void relay_open(struct relay *relay, uv_loop_t *loop, int to_port);
/* All connections are gone at once; new ones may be made. */
void relay_cut(struct relay *relay);
void relay_stop(struct relay *relay);
void relay_go_on(struct relay *relay);
void relay_close(struct relay *relay);

#endif
