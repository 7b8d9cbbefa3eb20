/*
 * daemon/discovery alone, for tests: discovery_peer NAME ID PORT announces itself (with PORT 0 it
 * does not) and prints what happens, a JSON line each:
 *
 *   {"event":"found","id":…,"name":…,"addresses":["10.0.0.2:19532",…]}   {"event":"gone","id":…}
 *   {"event":"state","running":bool,"announced":NAME,"reason":TEXT}       {"event":"stopped"}
 *
 * Lines on stdin: "publish PORT" (0: withdraw). End of file stops it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/discovery/discovery.h"

struct peer {
	uv_loop_t loop;
	uv_pipe_t input;
	uv_timer_t timer; /* looks at the state */
	struct discovery *discovery;
	struct discovery_state state;
	char buffer[256];
	size_t n_buffer;
};

static void print_line(json_t *line)
{
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(line);
}

static void on_found(void *arg, const struct discovery_service *service)
{
	json_t *addresses = json_array();
	char text[DISCOVERY_ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < service->n_addresses; i++)
		json_array_append_new(addresses, json_string(discovery_service_address_text(
						     &service->addresses[i], text)));
	print_line(json_pack("{ss ss ss so}", "event", "found", "id", service->id, "name",
			     service->name, "addresses", addresses));
}

static void on_gone(void *arg, const char *id)
{
	print_line(json_pack("{ss ss}", "event", "gone", "id", id));
}

static void on_timer(uv_timer_t *timer)
{
	struct peer *peer = timer->data;
	struct discovery_state state;

	discovery_state(peer->discovery, &state);
	if (state.status == peer->state.status && state.published == peer->state.published &&
	    strcmp(state.service_name, peer->state.service_name) == 0 &&
	    strcmp(state.reason, peer->state.reason) == 0)
		return;
	peer->state = state;
	print_line(json_pack("{ss sb ss ss}", "event", "state", "running",
			     state.status == DISCOVERY_RUNNING, "announced", state.service_name,
			     "reason", state.reason));
}

static void on_stopped(void *arg)
{
	print_line(json_pack("{ss}", "event", "stopped"));
}

static void stop(struct peer *peer)
{
	uv_close((uv_handle_t *)&peer->input, NULL);
	uv_close((uv_handle_t *)&peer->timer, NULL);
	discovery_stop(peer->discovery, on_stopped, NULL);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct peer *peer = handle->data;

	*ret =
	    uv_buf_init(peer->buffer + peer->n_buffer, sizeof(peer->buffer) - 1 - peer->n_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct peer *peer = stream->data;
	char *end;

	if (n < 0) {
		stop(peer);
		return;
	}
	peer->n_buffer += (size_t)n;
	peer->buffer[peer->n_buffer] = '\0';
	while ((end = strchr(peer->buffer, '\n')) != NULL) {
		unsigned port;
		if (sscanf(peer->buffer, "publish %u", &port) == 1)
			discovery_set_publish(peer->discovery, port != 0, (uint16_t)port);
		peer->n_buffer -= (size_t)(end + 1 - peer->buffer);
		memmove(peer->buffer, end + 1, peer->n_buffer + 1);
	}
}

int main(int argc, char **argv)
{
	static const struct discovery_callbacks callbacks = {.found = on_found, .gone = on_gone};
	struct discovery_config config = {.version = LOOPSY_VERSION, .caps = "fs"};
	struct peer peer = {0};
	int r;

	if (argc != 4) {
		fprintf(stderr, "usage: discovery_peer NAME ID PORT\n");
		return 2;
	}
	config.name = argv[1];
	config.id = argv[2];
	config.port = (uint16_t)atoi(argv[3]);
	config.publish = config.port != 0;

	uv_loop_init(&peer.loop);
	r = discovery_start(&peer.loop, &config, &callbacks, &peer, &peer.discovery);
	if (r < 0) {
		fprintf(stderr, "discovery_peer: %s\n", strerror(-r));
		return 1;
	}
	uv_pipe_init(&peer.loop, &peer.input, 0);
	uv_timer_init(&peer.loop, &peer.timer);
	peer.input.data = peer.timer.data = &peer;
	uv_timer_start(&peer.timer, on_timer, 0, 20);
	uv_pipe_open(&peer.input, 0);
	uv_read_start((uv_stream_t *)&peer.input, on_alloc, on_read);
	uv_run(&peer.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&peer.loop) == 0 ? 0 : 1;
}
