#include "fs/control_events.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/control_private.h"

#define NOTICE_MAX (2 * (OPS_JOB_CMD_MAX + 512)) /* bytes of a job_info on the wire, at most */

struct control_ring {
	struct buffer text; /* whole lines; from `first` on */
	uint64_t first;
	struct control_handle *readers;
};

struct watch_ask {
	struct control_ask ask;
	struct buffer notice; /* a job_info that has not come whole */
};

/* --- rings ------------------------------------------------------------------------------------ */

static struct control_ring *ring_of(struct fs *fs, struct fs_peer *peer)
{
	struct control_ring **ring = peer ? &peer->control.events : &fs->events;

	if (!*ring)
		*ring = calloc(1, sizeof(**ring));
	return *ring;
}

void control_events_free(struct control_ring *ring)
{
	if (!ring)
		return;
	buffer_deinit(&ring->text);
	free(ring);
}

static void add(struct control_ring *ring, const char *line)
{
	size_t size = strlen(line), drop = 0;

	if (!ring || buffer_append(&ring->text, line, size) || buffer_append(&ring->text, "\n", 1))
		return; /* without memory they are lost, as those of long ago */
	while (ring->text.size - drop > CONTROL_EVENTS_KEPT) {
		const uint8_t *start = ring->text.data + drop;

		drop +=
		    (size_t)((const uint8_t *)memchr(start, '\n', ring->text.size - drop) - start) +
		    1;
	}
	if (drop) {
		ring->text.size -= drop;
		memmove(ring->text.data, ring->text.data + drop, ring->text.size);
		ring->first += drop;
	}
	control_follow_wake_all(ring->readers);
}

/* Adds an event, which it takes over, with the time and the peer. */
static void note(struct fs_peer *peer, const char *name, json_t *more)
{
	char when[80], fine[96];
	struct timespec now;
	struct tm tm;
	json_t *event;
	char *line;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(fine, sizeof(fine), "%s.%03ldZ", when, now.tv_nsec / 1000000);
	event = json_pack("{s:s, s:s, s:s}", "time", fine, "peer", peer->name, "event", name);
	if (event && more)
		json_object_update(event, more);
	json_decref(more);
	line = event ? json_dumps(event, JSON_COMPACT) : NULL;
	if (line) {
		add(ring_of(peer->fs, peer), line);
		add(ring_of(peer->fs, NULL), line);
	}
	free(line);
	json_decref(event);
}

/* --- what the peer tells ---------------------------------------------------------------------- */

static void note_job(struct fs_peer *peer, const struct job_info *info)
{
	static const char *const names[] = {"started", "exited", "killed", "lost"};
	json_t *more = json_pack("{s:s%}", "job", (const char *)info->name.data, info->name.size);

	if (!more)
		return;
	if (!info->job) {
		note(peer, "removed", more);
		return;
	}
	json_object_set_new(more, "cmd",
			    json_stringn((const char *)info->cmd.data, info->cmd.size));
	if (info->state == JOB_EXITED)
		json_object_set_new(more, "exit", json_integer((json_int_t)info->exit));
	if (info->state == JOB_KILLED)
		json_object_set_new(more, "signal", json_integer((json_int_t)info->signal));
	note(peer, names[info->state], more);
}

static void on_data(struct control_ask *ask, unsigned channel, struct bytes data)
{
	struct buffer *notice = &((struct watch_ask *)ask)->notice;
	struct job_info info;
	struct bytes input;

	control_ask_consumed(ask, channel, data.size);
	notice->limit = NOTICE_MAX + data.size;
	if (channel || buffer_append(notice, data.data, data.size)) {
		notice->size = 0;
		return;
	}
	input = (struct bytes){notice->data, notice->size};
	while (input.size && codec_decode(&job_info_record, &input, &info, NULL) == 0)
		note_job(ask->peer, &info);
	memmove(notice->data, input.data, input.size);
	notice->size = input.size < NOTICE_MAX ? input.size : 0;
}

static void watch(struct fs_peer *peer);

static void on_end(struct control_ask *ask, int error)
{
	ask->peer->control.watch = NULL;
	if (error == -ENOTCONN)
		watch(ask->peer);
}

/* Where it fails, it is tried again when the peer is up, or `events` opened. */
static void on_reply(struct control_ask *ask, const struct transport_reply *reply)
{
	if (reply->error || !reply->more)
		ask->peer->control.watch = NULL;
}

static void release(struct control_ask *ask)
{
	buffer_deinit(&((struct watch_ask *)ask)->notice);
}

static void watch(struct fs_peer *peer)
{
	struct args_job_events args = {0};
	struct watch_ask *ask;

	peer->control.wants_events = true;
	if (peer->control.watch || !peer->transport)
		return;
	ask = control_ask_new(peer, sizeof(*ask), NULL);
	if (!ask)
		return;
	ask->ask.done = on_reply;
	ask->ask.data = on_data;
	ask->ask.end = on_end;
	ask->ask.release = release;
	peer->control.watch = &ask->ask;
	control_ask_send(&ask->ask, OP_JOB_EVENTS, &args);
}

void control_events_link(struct fs_peer *peer, const char *event)
{
	note(peer, event, NULL);
	if (strcmp(event, "up") == 0 && (peer->control.wants_events || peer->fs->wants_events))
		watch(peer);
}

/* --- readers ---------------------------------------------------------------------------------- */

/* Whose events it reads; NULL: all peers'. */
static struct fs_peer *peer_of(const struct control_handle *handle)
{
	return node_peer(handle->fs, handle->node);
}

static int start(struct control_handle *handle)
{
	struct fs *fs = handle->fs;
	struct fs_peer *peer = peer_of(handle);
	struct control_ring *ring = ring_of(fs, peer);

	if (!ring)
		return -ENOMEM;
	if (peer && !peer->transport)
		return -ESTALE;
	if (handle->readers == &ring->readers)
		return 0;
	control_reader_join(handle, &ring->readers);
	handle->position = ring->first;
	if (peer) {
		watch(peer);
		return 0;
	}
	fs->wants_events = true;
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i])
			watch(fs->peers[i]);
	return 0;
}

static struct control_ring *ring_read_by(struct control_handle *handle)
{
	return ring_of(handle->fs, peer_of(handle));
}

static bool is_ready(struct control_handle *handle)
{
	const struct control_ring *ring = ring_read_by(handle);

	return ring && handle->position < ring->first + ring->text.size;
}

static ssize_t take(struct control_handle *handle, uint8_t *buffer, size_t size)
{
	const struct control_ring *ring = ring_read_by(handle);
	size_t left;

	if (handle->position < ring->first)
		handle->position = ring->first; /* those between are not kept any more */
	left = ring->text.size - (size_t)(handle->position - ring->first);
	if (size > left)
		size = left;
	memcpy(buffer, ring->text.data + (handle->position - ring->first), size);
	handle->position += size;
	return (ssize_t)size;
}

const struct control_source control_events_source = {
    .start = start, .is_ready = is_ready, .take = take, .leave = control_reader_leave};
