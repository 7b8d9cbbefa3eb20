#include "fs/control_events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/control_private.h"
#include "fs/control_watch.h"

struct control_ring {
	struct buffer text; /* whole lines; from `first` on */
	uint64_t first;
	struct control_handle *readers;
};

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

/* --- what is kept ----------------------------------------------------------------------------- */

/* The start of the line that the byte at `at` is in. */
static size_t line_at(const struct control_ring *ring, size_t at)
{
	while (at > 0 && ring->text.data[at - 1] != '\n')
		at--;
	return at;
}

/* It is behind what is kept from `first` on: it gets the rest of its line, and is told. */
static void overtake(const struct control_ring *ring, struct control_handle *reader, uint64_t first)
{
	static const char missed[] = "{\"event\":\"missed\"}\n";
	size_t at = (size_t)(reader->position - ring->first);
	const uint8_t *line = ring->text.data + at;
	size_t left = ring->text.size - at;

	if (line_at(ring, at) != at)
		buffer_append(&reader->text, line,
			      (size_t)((const uint8_t *)memchr(line, '\n', left) - line) + 1);
	buffer_append(&reader->text, missed, sizeof(missed) - 1);
	reader->position = first;
}

/* Not for each line: what goes, goes in pieces. What readers still need stays, within reason. */
static void trim(struct control_ring *ring)
{
	size_t drop;

	if (ring->text.size < 2 * CONTROL_EVENTS_KEPT)
		return;
	drop = ring->text.size - CONTROL_EVENTS_KEPT;
	for (const struct control_handle *reader = ring->readers;
	     reader && ring->text.size < CONTROL_EVENTS_MOST; reader = reader->next_reader)
		if (reader->position - ring->first < drop)
			drop = (size_t)(reader->position - ring->first);
	if (drop < CONTROL_EVENTS_KEPT)
		return;
	drop = line_at(ring, drop);
	for (struct control_handle *reader = ring->readers; reader; reader = reader->next_reader)
		if (reader->position < ring->first + drop)
			overtake(ring, reader, ring->first + drop);
	ring->text.size -= drop;
	memmove(ring->text.data, ring->text.data + drop, ring->text.size);
	ring->first += drop;
}

static void add(struct control_ring *ring, const char *line)
{
	size_t size;

	if (!ring)
		return;
	size = ring->text.size;
	if (buffer_append(&ring->text, line, strlen(line)) || buffer_append(&ring->text, "\n", 1)) {
		ring->text.size = size; /* without memory it is lost, as those of long ago */
		return;
	}
	trim(ring);
	control_follow_wake_all(ring->readers);
}

void control_events_note(struct fs *fs, struct fs_peer *peer, const char *machine, const char *name,
			 json_t *more)
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
	event = json_pack("{s:s, s:s, s:s}", "time", fine, "peer", machine, "event", name);
	if (event && more)
		json_object_update(event, more);
	json_decref(more);
	line = event ? json_dumps(event, JSON_COMPACT) : NULL;
	if (line) {
		if (peer)
			add(ring_of(fs, peer), line);
		add(ring_of(fs, NULL), line);
	}
	free(line);
	json_decref(event);
}

void control_events_link(struct fs_peer *peer, const char *event)
{
	control_events_note(peer->fs, peer, peer->name, event, NULL);
	if (strcmp(event, "up") == 0 && (peer->control.wants_events || peer->fs->wants_events))
		control_watch_peer(peer);
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
	if (ring->text.size > CONTROL_EVENTS_KEPT) /* the rest is there for others */
		handle->position += line_at(ring, ring->text.size - CONTROL_EVENTS_KEPT);
	if (peer)
		control_watch_peer(peer);
	else
		control_watch_all(fs);
	return 0;
}

static struct control_ring *ring_read_by(struct control_handle *handle)
{
	return ring_of(handle->fs, peer_of(handle));
}

static bool is_ready(struct control_handle *handle)
{
	const struct control_ring *ring = ring_read_by(handle);

	return ring && (handle->text.size > 0 || handle->position < ring->first + ring->text.size);
}

static size_t take_text(struct control_handle *handle, uint8_t *buffer, size_t size)
{
	struct buffer *text = &handle->text;

	if (size > text->size)
		size = text->size;
	memcpy(buffer, text->data, size);
	text->size -= size;
	memmove(text->data, text->data + size, text->size);
	return size;
}

static ssize_t take(struct control_handle *handle, uint8_t *buffer, size_t size)
{
	const struct control_ring *ring = ring_read_by(handle);
	size_t left = ring->text.size - (size_t)(handle->position - ring->first);

	if (handle->text.size > 0)
		return (ssize_t)take_text(handle, buffer, size);
	if (size > left)
		size = left;
	memcpy(buffer, ring->text.data + (handle->position - ring->first), size);
	handle->position += size;
	return (ssize_t)size;
}

/* From open on, so that what is done after it is told. */
const struct control_source control_events_source = {.start = start,
						     .is_ready = is_ready,
						     .take = take,
						     .leave = control_reader_leave,
						     .starts_at_open = true};
