/*
 * Receiving. Plaintext is read into a chunk and frames are parsed where they lie. A frame that
 * would cross the chunk's end is begun anew in another chunk; because no more is read than the
 * frame at hand needs and a few bytes of the next, hardly anything is copied for that.
 *
 * Back pressure. A link never stops reading. It looks like the natural answer to an other end that
 * takes no replies, but when both ends read much from each other, each stops reading because its
 * own replies are not taken, and both wait for ever: pongs, credits and the replies that would
 * empty the queues are behind the requests in the same stream. So frames are always taken in, and
 * memory is bounded by what may come in: a client has at most 1,024 calls and 16 MiB of writes in
 * flight (session.c ends the link otherwise), stream data stays within its window, replies are
 * asked for by ourselves. What is not taken in any further, above a mark of queued replies, is
 * *work*: requests wait in the session, decoded, until `drained`.
 *
 * Pings. One leaves every ping_ms. If then nothing at all arrives for pong_ms, the link is broken.
 * Any bytes count, since a pong may be far behind in the other end's socket. Before giving up, the
 * loop gets another turn: if it was we who were stopped, the pong waits to be read.
 */
#include "daemon/net/link.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/link_private.h"

#define READ_STEP     (16 * 1024) /* when no frame's length is known */
#define READ_BEYOND   64          /* bytes of the next frame: its length and a small header */
#define WRITE_PARTS   64
#define WRITE_SIZE    (128 * 1024) /* bytes encrypted at once, about */
#define DOUBT_MS      100
#define FIRST_PINGS   4 /* soon after each other: the first are made while much else begins */
#define FIRST_PING_MS 20
#define RATE_SPAN_US  100000
#define RATE_MIN      (64 * 1024)
#define QUIET_SIZE    (1024 * 1024) /* less moved between two pings: the link is idle */
#define BULK_RECEIVED (64 * 1024)   /* more than that before a pong: it had to wait */

static uint64_t now_us(void)
{
	return uv_hrtime() / 1000;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;
	struct conn_room *room = link->room;

	if (--link->n_handles > 0)
		return;
	free(link);
	conn_room_drop(room);
}

void link_release(struct link *link)
{
	if (--link->n_busy > 0 || !link->is_dead)
		return;
	uv_close((uv_handle_t *)&link->timer, on_handle_closed);
	uv_close((uv_handle_t *)&link->turn, on_handle_closed);
}

static void die(struct link *link)
{
	link->is_dead = true;
	uv_timer_stop(&link->timer);
	uv_idle_stop(&link->turn);
	outbox_clear(&link->outbox);
	link->chunk = chunk_unref(link->chunk);
	link->n_busy--; /* the owner has no link any more */
}

static void wake(struct link *link)
{
	if (link->conn)
		conn_want_space(link->conn);
	else
		link_twin_wake(link);
}

/* --- sending ---------------------------------------------------------------------------------- */

static size_t encode_control(struct link *link, uint8_t *data, size_t size)
{
	struct buffer buffer = {.data = data, .capacity = size, .limit = size};
	struct frame frame;

	if (link->owes_pong) {
		frame = (struct frame){.kind = FRAME_PONG, .id = link->pong_token};
		if (frame_encode(&frame, NULL, NULL, &buffer, NULL) == 0)
			link->owes_pong = false;
	}
	if (link->ping == PING_WANTED) {
		frame = (struct frame){.kind = FRAME_PING, .id = ++link->ping_token};
		if (frame_encode(&frame, NULL, NULL, &buffer, NULL) == 0) {
			link->ping = PING_SENT;
			link->ping_at_us = now_us();
			link->ping_saw_bulk = !TAILQ_EMPTY(&link->outbox.bulk);
			link->ping_was_alone = outbox_is_empty(&link->outbox);
			link->has_received = false;
			link->received = 0;
			if (link->ping_was_alone)
				link->handler->pinged(link->arg, link);
		}
	}
	return buffer.size;
}

/* Encrypts one batch of messages. Returns whether there was something. */
static bool send_batch(struct link *link)
{
	struct iovec parts[WRITE_PARTS];
	struct message *messages[WRITE_PARTS / 2];
	uint8_t control[64];
	size_t n_parts = 0, n = 0, size;
	int r;

	size = encode_control(link, control, sizeof(control));
	if (size > 0)
		parts[n_parts++] = (struct iovec){control, size};
	while (n_parts + 2 <= WRITE_PARTS && n < WRITE_PARTS / 2) {
		struct message *message = outbox_next(&link->outbox);

		if (!message || (size > 0 && size + message_size(message) > WRITE_SIZE))
			break;
		outbox_pop(&link->outbox);
		message->is_sent = true;
		messages[n++] = message;
		parts[n_parts++] = (struct iovec){message->head, message->head_size};
		if (message->payload.size > 0)
			parts[n_parts++] =
			    (struct iovec){(void *)message->payload.data, message->payload.size};
		size += message_size(message);
	}
	if (n_parts == 0)
		return false;
	link->moved += size;
	r = conn_write(link->conn, parts, n_parts);
	for (size_t i = 0; i < n; i++)
		message_unref(messages[i]);
	/* There was room, so an error is final and the conn will meet it again by itself. */
	return r == 0;
}

/* Gives the conn what it takes at once, to be sent while it closes. */
static void say_goodbye(struct link *link)
{
	if (!link->conn) {
		link_twin_part(link);
		die(link);
		return;
	}
	while (send_batch(link) && conn_output_size(link->conn) < CONN_OUTPUT_LOW)
		;
	conn_close(link->conn);
	die(link);
}

void link_fail(struct link *link, int error, const char *why)
{
	if (link->is_dead)
		return;
	link->n_busy++;
	say_goodbye(link);
	link->handler->closed(link->arg, link, error, why);
	link_release(link);
}

void link_close(struct link *link)
{
	if (link->is_dead)
		return;
	link->n_busy++;
	say_goodbye(link);
	link_release(link);
}

void link_tell_drained(struct link *link)
{
	if (link->is_dead || !link->is_over_mark || link->outbox.size >= LINK_QUEUE_MARK / 2)
		return;
	link->is_over_mark = false;
	link->handler->drained(link->arg, link);
}

static void on_space(void *arg, struct conn *conn)
{
	struct link *link = arg;

	link->n_busy++;
	while (!link->is_dead && conn_output_size(conn) < CONN_OUTPUT_LOW && send_batch(link))
		;
	link_tell_drained(link);
	link_release(link);
}

void link_push(struct link *link, struct message *message)
{
	if (link->is_dead)
		return;
	outbox_push(&link->outbox, message);
	if (link->outbox.size >= LINK_QUEUE_MARK)
		link->is_over_mark = true;
	if (message->is_lazy && link->conn)
		conn_want_space_later(link->conn);
	else
		wake(link);
}

void link_hurry(struct link *link)
{
	if (!link->is_dead && !outbox_is_empty(&link->outbox))
		wake(link);
}

void link_note_key(struct link *link)
{
	if (!link->is_dead && link->conn)
		conn_note_key(link->conn);
}

int link_push_frame(struct link *link, const struct frame *frame)
{
	struct message *message;
	int r = message_new(&message, frame, NULL, NULL, NULL, NULL);

	if (r < 0)
		return r;
	link_push(link, message);
	message_unref(message);
	return 0;
}

void link_take_back(struct link *link, struct message *message)
{
	outbox_remove(&link->outbox, message);
}

bool link_is_passable(const struct link *link, uint64_t key)
{
	return outbox_is_passable(&link->outbox, key);
}

void link_want_drained(struct link *link)
{
	link->is_over_mark = true;
	wake(link);
}

/* --- pings ------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer);

static void want_ping(struct link *link)
{
	if (link->ping == PING_NONE)
		link->ping = PING_WANTED;
	uv_timer_start(&link->timer, on_timer, link->times.pong_ms, 0);
	wake(link);
}

/* After a copy the heap is as large as the copy's buffers (main.c keeps malloc from giving it back
 * with each); in a pause it goes back. */
static void trim_when_quiet(struct link *link)
{
	if (link->moved >= QUIET_SIZE) {
		link->was_loud = true;
	} else if (link->was_loud) {
		link->was_loud = false;
		malloc_trim(0);
	}
	link->moved = 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct link *link = timer->data;

	trim_when_quiet(link);
	if (link->ping == PING_NONE || link->has_received) {
		if (link->start == link->end)
			link->chunk = chunk_unref(link->chunk); /* idle ones hold no memory */
		if (!link->chunk)
			link->start = link->end = 0;
		link->has_received = false;
		if (link->ping != PING_WANTED)
			link->ping = PING_NONE;
		want_ping(link);
	} else if (link->ping != PING_DOUBTED) {
		link->ping = PING_DOUBTED;
		uv_timer_start(&link->timer, on_timer, DOUBT_MS, 0);
	} else {
		link_fail(link, -ETIMEDOUT, "no sign of life");
	}
}

static void on_pong(struct link *link, uint64_t token)
{
	uint64_t sample = now_us() - link->ping_at_us, ping_ms = link->times.ping_ms;

	if (token != link->ping_token || link->ping == PING_NONE || link->ping == PING_WANTED)
		return;
	if (sample == 0)
		sample = 1;
	/* What a queue of bulk added to a round trip is not delay. */
	if (link->received >= BULK_RECEIVED)
		link->ping_saw_bulk = true;
	/* Less than before is nearer to the truth: what is more may be a busy machine's. */
	if (link->rtt_us == 0 || sample < link->rtt_us)
		link->rtt_us = sample;
	else if (!link->ping_saw_bulk)
		link->rtt_us = (7 * link->rtt_us + sample) / 8;
	link->ping = PING_NONE;
	if (link->ping_token < FIRST_PINGS && FIRST_PING_MS < ping_ms)
		ping_ms = FIRST_PING_MS;
	uv_timer_start(&link->timer, on_timer, ping_ms, 0);
	if (link->ping_was_alone)
		link->handler->confirmed(link->arg, link);
}

void link_ping(struct link *link)
{
	if (!link->is_dead && link->ping == PING_NONE) {
		link->has_received = false;
		want_ping(link);
	}
}

/* --- receiving -------------------------------------------------------------------------------- */

static void count_received(struct link *link, size_t n)
{
	uint64_t now = now_us(), span = now - link->rate_since_us, rate;

	link->has_received = true;
	link->received += n;
	link->moved += n;
	link->rate_bytes += n;
	if (span < RATE_SPAN_US)
		return;
	/* A pause between two bursts says nothing about the line. */
	if (link->rate_bytes >= RATE_MIN && span < 10 * RATE_SPAN_US) {
		rate = link->rate_bytes * 1000000 / span;
		link->rate = rate > link->rate ? rate : (7 * link->rate + rate) / 8;
	}
	link->rate_bytes = 0;
	link->rate_since_us = now;
}

/* Makes room for a frame of `size` bytes that begins at start (0: its length is not known). */
static int make_room(struct link *link, size_t size)
{
	size_t have = link->end - link->start;
	struct chunk *chunk = link->chunk;

	if (size == 0)
		size = have + READ_STEP;
	if (chunk && link->start + size + READ_BEYOND <= chunk->size)
		return 0;
	if (chunk && chunk->n_refs == 1) {
		memmove(chunk->data, chunk->data + link->start, have);
	} else {
		chunk = chunk_new(CHUNK_SIZE);
		if (!chunk)
			return -ENOMEM;
		if (have > 0)
			memcpy(chunk->data, link->chunk->data + link->start, have);
		chunk_unref(link->chunk);
		link->chunk = chunk;
	}
	link->start = 0;
	link->end = have;
	return 0;
}

void link_take_frame(struct link *link, struct bytes bytes, struct chunk *chunk)
{
	const char *error = "malformed";
	struct frame frame;
	char why[128];

	if (frame_decode(bytes, &frame, &error) < 0) {
		snprintf(why, sizeof(why), "bad frame: %s", error);
		link_fail(link, -EBADMSG, why);
		return;
	}
	switch (frame.kind) {
	case FRAME_PING:
		link->owes_pong = true; /* one is owed, however many pings come */
		link->pong_token = frame.id;
		wake(link);
		return;
	case FRAME_PONG:
		on_pong(link, frame.id);
		return;
	default:
		chunk_ref(chunk);
		link->handler->frame(link->arg, link, &frame, chunk);
		chunk_unref(chunk);
	}
}

/* Takes all whole frames. Returns the size of the one that is not, 0 if that is not known. */
static size_t take_frames(struct link *link)
{
	struct bytes rest;
	size_t size;
	int r;

	while (!link->is_dead && link->end > link->start) {
		rest.data = link->chunk->data + link->start;
		rest.size = link->end - link->start;
		r = frame_measure(rest, FRAME_MAX, &size);
		if (r == 0)
			return rest.size < FRAME_LENGTH_SIZE ? 0 : size;
		if (r < 0) {
			link_fail(link, r,
				  r == -EMSGSIZE ? "bad frame: too long" : "bad frame: empty");
			return 0;
		}
		link->start += size;
		rest.data += FRAME_LENGTH_SIZE;
		rest.size = size - FRAME_LENGTH_SIZE;
		link_take_frame(link, rest, link->chunk);
	}
	return 0;
}

static void on_input(void *arg, struct conn *conn)
{
	struct link *link = arg;
	size_t size = 0, want;
	ssize_t n;

	link->n_busy++;
	while (!link->is_dead) {
		if (make_room(link, size) < 0) {
			link_fail(link, -ENOMEM, "out of memory");
			break;
		}
		want = size > 0 ? size - (link->end - link->start) + READ_BEYOND : READ_STEP;
		n = conn_read(conn, link->chunk->data + link->end, want);
		if (n <= 0)
			break; /* the conn ends by itself on an error */
		link->end += (size_t)n;
		count_received(link, (size_t)n);
		size = take_frames(link);
	}
	link_release(link);
}

static void on_closed(void *arg, struct conn *conn, int error, const char *why)
{
	struct link *link = arg;

	link->n_busy++;
	if (!link->is_dead) {
		die(link);
		link->handler->closed(link->arg, link, error, why);
	}
	link_release(link);
}

static const struct conn_handler conn_handler = {
    .input = on_input,
    .space = on_space,
    .closed = on_closed,
};

struct link *link_alloc(struct conn_room *room, const struct link_handler *handler, void *arg)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->room = room;
	link->handler = handler;
	link->arg = arg;
	link->n_busy = 1; /* the owner's */
	outbox_init(&link->outbox);
	uv_timer_init(room->loop, &link->timer);
	uv_idle_init(room->loop, &link->turn);
	conn_room_hold(room);
	link->timer.data = link->turn.data = link;
	link->n_handles = 2;
	return link;
}

int link_new(struct conn_room *room, struct conn *conn, const struct link_times *times,
	     const struct link_handler *handler, void *arg, struct link **ret_link)
{
	struct link *link = link_alloc(room, handler, arg);

	if (!link)
		return -ENOMEM;
	link->conn = conn;
	link->times = *times;
	conn_set_handler(conn, &conn_handler, link);
	*ret_link = link;
	return 0;
}

void link_start(struct link *link)
{
	link_ping(link); /* the first round trip */
	on_input(link, link->conn);
}

size_t link_queue_size(const struct link *link)
{
	return link->outbox.size;
}

size_t link_n_replies(const struct link *link)
{
	return link->outbox.n_replies;
}

uint64_t link_rtt_us(const struct link *link)
{
	return link->rtt_us;
}

uint64_t link_rate(const struct link *link)
{
	return link->rate;
}

const char *link_address(const struct link *link)
{
	return link->conn ? conn_address(link->conn) : "";
}
