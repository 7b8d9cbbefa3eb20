#include "daemon/pair/pairing_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/pair/pairing_request.h"
#include "daemon/permissions.h"
#include "daemon/wall_clock.h"
#include "proto/pairing.h"

#define MESSAGE_MS 10000  /* until the other end's next message, before the code is shown */
#define PENDING_MS 120000 /* until the first hello */

/* An attempt: a stream and what was said on it. One at a time. */
struct attempt {
	struct pair_stream *stream; /* NULL once closed */
	struct pairing *pairing;    /* NULL while dialling */
	bool asked;                 /* the code was shown */
	struct store_peer peer;     /* from the moment the code is shown */
};

struct pairing_room {
	struct pairing_room_config config;
	uv_timer_t ttl;      /* of the window, then of the pending peer */
	uv_timer_t patience; /* for the next message of an attempt */
	unsigned n_closing;
	void (*closed)(void *arg);
	void *closed_arg;

	/* The window. */
	struct control_call *call; /* who runs `loopsyctl pair`; NULL: nobody */
	uint64_t connection;
	bool initiator;
	bool done;                      /* both sides have stored it: only the hello is missing */
	struct pairing_request request; /* what the user wants */
	struct attempt *attempt;
	unsigned n_storing;  /* answers of the store to come */
	unsigned generation; /* of the attempt, so that a late answer of the store is known */
};

struct storing {
	struct pairing_room *room;
	unsigned generation;
};

/* --- the end of attempts and windows ---------------------------------------------------------- */

static void attempt_free(struct pairing_room *room)
{
	struct attempt *attempt = room->attempt;

	if (!attempt)
		return;
	room->attempt = NULL;
	room->generation++;
	uv_timer_stop(&room->patience);
	if (attempt->stream)
		pair_stream_close(attempt->stream);
	pairing_free(attempt->pairing);
	free(attempt);
}

/* Nobody may pair any more. */
static void window_close(struct pairing_room *room)
{
	room->config.host->open(room->config.arg, false);
	uv_timer_stop(&room->ttl);
	attempt_free(room);
	room->call = NULL;
	room->done = false;
}

static void window_fail(struct pairing_room *room, int error, const char *text)
{
	struct control_call *call = room->call;
	const char *peer = room->attempt && room->attempt->asked ? room->attempt->peer.name
								 : room->request.address;

	log_warning("pair", "outcome=failed peer=%s reason=%s", LOG_VALUE(peer), LOG_VALUE(text));
	room->config.host->audit(room->config.arg, peer, "failed", text);
	window_close(room);
	if (call)
		control_fail(call, error, "%s", text);
}

/* Closed, and nothing is to come any more? */
static void settle_closing(struct pairing_room *room)
{
	void (*closed)(void *arg) = room->closed;
	void *arg = room->closed_arg;

	if (room->n_closing > 0 || room->n_storing > 0)
		return;
	free(room);
	closed(arg);
}

static void act(struct pairing_room *room, enum pairing_action action);

/* --- what an attempt does next ---------------------------------------------------------------- */

static void send_output(struct attempt *attempt)
{
	const uint8_t *data;
	size_t size = pairing_output(attempt->pairing, &data);

	if (size > 0 && attempt->stream)
		pair_stream_send(attempt->stream, (struct bytes){data, size});
}

/* Fills in what will be stored. */
static void describe_peer(struct pairing_room *room, struct attempt *attempt)
{
	const struct transcript_party *party = pairing_peer(attempt->pairing);
	struct store_peer *peer = &attempt->peer;
	const struct store_peer *known;

	identity_spki_fingerprint(party->spki, peer->fingerprint);
	identity_fingerprint_id(peer->fingerprint, peer->id);
	snprintf(peer->remote_name, sizeof(peer->remote_name), "%s", party->name);
	known = room->config.host->known(room->config.arg, peer->fingerprint);
	if (known && !room->request.name[0])
		snprintf(peer->name, sizeof(peer->name), "%s", known->name);
	else
		room->config.host->choose_name(
		    room->config.arg, room->request.name[0] ? room->request.name : party->name,
		    peer->fingerprint, peer->name);
	peer->permissions = room->request.allow;
	peer->state = STORE_PEER_PENDING;
	peer->added_ms = wall_clock_ms();
	peer->pending_until_ms = peer->added_ms + PENDING_MS;
	if (room->initiator) {
		snprintf(peer->addresses[0].text, sizeof(peer->addresses[0].text), "%s",
			 room->request.address);
		peer->addresses[0].manual = true;
		peer->n_addresses = 1;
	}
}

/* A machine of the name of a paired one, with another key: refused until the user decides. */
static bool refuse_namesake(struct pairing_room *room, struct attempt *attempt)
{
	const struct store_peer *peer = &attempt->peer;
	const struct store_peer *namesake;
	char theirs[IDENTITY_FINGERPRINT_TEXT], known[IDENTITY_FINGERPRINT_TEXT];
	char text[512], quoted[LOG_VALUE_MAX];

	if (room->request.name[0])
		return false;
	namesake =
	    room->config.host->namesake(room->config.arg, peer->remote_name, peer->fingerprint);
	if (!namesake)
		return false;
	identity_fingerprint_text(peer->fingerprint, theirs);
	identity_fingerprint_text(namesake->fingerprint, known);
	snprintf(text, sizeof(text),
		 "%s is paired already with another key: known %s, shown %s; if its key is new, "
		 "'loopsyctl peers remove %s' first; if it is another machine, give --name",
		 log_quote(quoted, namesake->name), known, theirs, namesake->name);
	pairing_cancel(attempt->pairing, PAIRING_REASON_KNOWN);
	send_output(attempt);
	window_fail(room, -EEXIST, text);
	return true;
}

static void ask(struct pairing_room *room)
{
	struct attempt *attempt = room->attempt;
	char fingerprint[IDENTITY_FINGERPRINT_TEXT], permissions[PERMISSIONS_TEXT_MAX];
	struct args_ctl_pair_code event;

	describe_peer(room, attempt);
	attempt->asked = true;
	if (refuse_namesake(room, attempt))
		return;
	uv_timer_stop(&room->patience); /* a person looks at two screens now: the ttl goes on */
	identity_fingerprint_text(attempt->peer.fingerprint, fingerprint);
	event = (struct args_ctl_pair_code){
	    .code = bytes_of_text(pairing_code(attempt->pairing)),
	    .name = bytes_of_text(attempt->peer.name),
	    .id = bytes_of_text(attempt->peer.id),
	    .fingerprint = bytes_of_text(fingerprint),
	    .address = bytes_of_text(pair_stream_address(attempt->stream)),
	    .permissions = bytes_of_text(permissions_print(room->request.allow, permissions)),
	};
	control_event(room->call, OP_CTL_PAIR_CODE, &event);
}

static void on_stored(void *data, int status)
{
	struct storing *storing = data;
	struct pairing_room *room = storing->room;
	bool current = room->attempt && room->generation == storing->generation;

	free(storing);
	room->n_storing--;
	if (room->closed)
		settle_closing(room);
	if (!current)
		return;
	if (status < 0)
		log_error("pair", "peer=%s error=%s", LOG_VALUE(room->attempt->peer.name),
			  strerror(-status));
	act(room, pairing_stored(room->attempt->pairing, status == 0));
}

static void store(struct pairing_room *room)
{
	struct storing *storing = calloc(1, sizeof(*storing));
	int error = -ENOMEM;

	if (storing) {
		storing->room = room;
		storing->generation = room->generation;
		error = room->config.host->store(room->config.arg, &room->attempt->peer, on_stored,
						 storing);
	}
	if (error == 0) {
		room->n_storing++;
		return;
	}
	free(storing);
	act(room, pairing_stored(room->attempt->pairing, false));
}

static void on_pending_over(uv_timer_t *timer)
{
	struct pairing_room *room = timer->data;
	struct store_peer peer = room->attempt->peer;

	window_fail(room, -ETIMEDOUT,
		    "the other side confirmed, but did not connect afterwards: nothing was paired");
	room->config.host->forget(room->config.arg, &peer);
}

/* Both sides have stored it: the window is closed to others; the hello is awaited. */
static void finish(struct pairing_room *room)
{
	struct attempt *attempt = room->attempt;

	room->config.host->open(room->config.arg, false);
	room->done = true;
	if (attempt->stream)
		pair_stream_close(attempt->stream);
	attempt->stream = NULL;
	uv_timer_stop(&room->patience);
	uv_timer_start(&room->ttl, on_pending_over, PENDING_MS, 0);
	room->config.host->admit(room->config.arg, &attempt->peer);
}

static void failed(struct pairing_room *room)
{
	struct attempt *attempt = room->attempt;
	bool by_peer;
	enum pairing_reason reason = pairing_reason(attempt->pairing, &by_peer);
	bool stored = pairing_has_stored(attempt->pairing);
	struct store_peer peer = attempt->peer;
	char text[512];

	if (!room->initiator && !attempt->asked) {
		/* Not a pairing yet: a scanner, an older version, a machine that changed its mind.
		 * The window stays open for the one that is meant. */
		log_info("pair", "outcome=dropped reason=%s", pairing_reason_text(reason));
		attempt_free(room);
		return;
	}
	snprintf(text, sizeof(text), "%s: %s",
		 by_peer ? "the other side refused" : "pairing failed",
		 pairing_reason_text(reason));
	if (reason == PAIRING_REASON_CLOSED)
		snprintf(text, sizeof(text),
			 "nobody is pairing at %s now: run 'loopsyctl pair' there first",
			 room->request.address);
	if (reason == PAIRING_REASON_REJECTED)
		snprintf(text, sizeof(text), "%s said no to the code",
			 by_peer ? "the other side" : "this side");
	window_fail(room, reason == PAIRING_REASON_TIMEOUT ? -ETIMEDOUT : -ECONNABORTED, text);
	if (stored)
		room->config.host->forget(room->config.arg, &peer);
}

static void act(struct pairing_room *room, enum pairing_action action)
{
	send_output(room->attempt);
	switch (action) {
	case PAIRING_WAIT:
		return;
	case PAIRING_ASK:
		ask(room);
		return;
	case PAIRING_STORE:
		store(room);
		return;
	case PAIRING_DONE:
		finish(room);
		return;
	case PAIRING_FAILED:
		failed(room);
		return;
	}
}

/* --- the stream ------------------------------------------------------------------------------- */

static void on_impatient(uv_timer_t *timer)
{
	struct pairing_room *room = timer->data;

	if (!room->attempt)
		return;
	if (!room->attempt->pairing)
		window_fail(room, -ETIMEDOUT, "nobody answers there");
	else
		act(room, pairing_cancel(room->attempt->pairing, PAIRING_REASON_TIMEOUT));
}

static void begin(struct pairing_room *room)
{
	struct attempt *attempt = room->attempt;
	struct tls *tls = pair_stream_tls(attempt->stream);
	struct pairing_config config = {
	    .role = room->initiator ? TRANSCRIPT_INITIATOR : TRANSCRIPT_RESPONDER,
	};
	int error;

	memcpy(config.own.spki, room->config.identity->spki, sizeof(config.own.spki));
	snprintf(config.own.name, sizeof(config.own.name), "%s", room->config.name);
	memcpy(config.peer_spki, tls_peer_spki(tls), sizeof(config.peer_spki));
	error = tls_export(tls, PAIRING_EXPORTER_LABEL, config.exporter);
	if (error == 0)
		error = pairing_new(&attempt->pairing, &config);
	if (error < 0) {
		if (room->initiator)
			window_fail(room, error, "pairing failed: a computation failed");
		else
			attempt_free(room);
		return;
	}
	uv_timer_start(&room->patience, on_impatient, MESSAGE_MS, 0);
	act(room, pairing_start(attempt->pairing));
}

static void on_opened(void *arg, struct pair_stream *stream)
{
	begin(arg);
}

static void on_message(void *arg, struct pair_stream *stream, struct bytes message)
{
	struct pairing_room *room = arg;

	if (!room->attempt || room->attempt->stream != stream || !room->attempt->pairing)
		return;
	if (!room->attempt->asked)
		uv_timer_start(&room->patience, on_impatient, MESSAGE_MS, 0);
	act(room, pairing_receive(room->attempt->pairing, message.data, message.size));
}

static void on_stream_closed(void *arg, int error, const char *why)
{
	struct pairing_room *room = arg;
	struct attempt *attempt = room->attempt;
	char text[512];

	if (!attempt)
		return;
	attempt->stream = NULL;
	if (attempt->pairing) {
		act(room, pairing_lost(attempt->pairing));
		return;
	}
	snprintf(text, sizeof(text), "cannot pair at %s: %s%s", room->request.address, why,
		 error == -ECONNRESET ? ": is 'loopsyctl pair' running there?" : "");
	window_fail(room, error, text);
}

static const struct pair_stream_handler stream_handler = {
    .opened = on_opened,
    .message = on_message,
    .closed = on_stream_closed,
};

void pairing_room_accept(struct pairing_room *room, struct pair_stream *stream)
{
	uint8_t refusal[PAIRING_MESSAGE_MAX];
	bool waiting = room->call && !room->initiator && !room->done;

	if (!waiting || room->attempt) {
		enum pairing_reason reason = waiting ? PAIRING_REASON_BUSY : PAIRING_REASON_CLOSED;

		pair_stream_listen(stream, &stream_handler, room);
		pair_stream_send(stream,
				 (struct bytes){refusal, pairing_encode_refusal(reason, refusal)});
		pair_stream_close(stream);
		return;
	}
	room->attempt = calloc(1, sizeof(*room->attempt));
	if (!room->attempt) {
		pair_stream_close(stream);
		return;
	}
	room->attempt->stream = stream;
	log_info("pair", "address=%s", pair_stream_address(stream));
	pair_stream_listen(stream, &stream_handler, room);
	begin(room);
}

/* --- the user --------------------------------------------------------------------------------- */

static void on_ttl(uv_timer_t *timer)
{
	struct pairing_room *room = timer->data;

	if (room->attempt && room->attempt->asked)
		act(room, pairing_cancel(room->attempt->pairing, PAIRING_REASON_TIMEOUT));
	else
		window_fail(room, -ETIMEDOUT, "nobody answered in time");
}

/* `loopsyctl pair` has gone. */
static void on_cancelled(void *arg)
{
	struct pairing_room *room = arg;
	struct control_call *call = room->call;

	if (!call)
		return;
	if (room->done) { /* too late to undo: the hello decides */
		room->call = NULL;
		control_fail(call, -ECANCELED, "cancelled");
		return;
	}
	if (room->attempt && room->attempt->pairing) {
		pairing_cancel(room->attempt->pairing, PAIRING_REASON_CANCELLED);
		room->attempt->asked = true; /* whatever it was: the window ends */
		act(room, PAIRING_FAILED);
		return;
	}
	window_fail(room, -ECANCELED, "cancelled");
}

static void tell_waiting(struct pairing_room *room, uint64_t ttl_s)
{
	struct args_ctl_pair_waiting event = {.ttl_s = ttl_s};
	struct buffer elements = {0};
	const char *text;

	for (size_t i = 0; i < 64 && (text = room->config.host->listening(room->config.arg, i));
	     i++) {
		struct ctl_address address = {.address = bytes_of_text(text)};
		const char *colon = strrchr(text, ':');

		if (codec_list_append(&event.listen, &elements, &ctl_address_record, &address) < 0)
			break;
		if (colon)
			event.port = strtoul(colon + 1, NULL, 10) & UINT16_MAX;
	}
	codec_list_finish(&event.listen, &elements);
	control_event(room->call, OP_CTL_PAIR_WAITING, &event);
	buffer_deinit(&elements);
}

static void dial(struct pairing_room *room)
{
	int error;

	room->attempt = calloc(1, sizeof(*room->attempt));
	error = room->attempt ? pair_stream_dial(room->config.net, room->request.address,
						 &stream_handler, room, &room->attempt->stream)
			      : -ENOMEM;
	if (error < 0) {
		char text[STORE_ADDRESS_TEXT_MAX + 64];

		snprintf(text, sizeof(text), "cannot dial '%s': %s", room->request.address,
			 strerror(-error));
		window_fail(room, error, text);
	}
}

void pairing_room_pair(struct pairing_room *room, struct control_call *call,
		       const struct args_ctl_pair *args)
{
	struct pairing_request request;
	struct failure failure;
	int error;

	if (room->call || room->done) {
		control_fail(call, -EBUSY, "another pairing is going on here");
		return;
	}
	error = pairing_request_read(args, &room->config, &request, &failure);
	if (error < 0) {
		control_fail(call, error, "%s", failure.text);
		return;
	}
	room->call = call;
	room->connection = control_connection(call);
	room->request = request;
	room->initiator = request.address[0] != '\0';
	room->done = false;
	control_on_cancel(call, on_cancelled, room);
	uv_timer_start(&room->ttl, on_ttl, request.ttl_s * 1000, 0);
	if (!room->initiator)
		room->config.host->open(room->config.arg, true);
	tell_waiting(room, request.ttl_s);
	if (room->initiator)
		dial(room);
}

void pairing_room_answer(struct pairing_room *room, struct control_call *call,
			 const struct args_ctl_pair_answer *args)
{
	struct result_ctl_pair_answer result = {0};

	if (!room->call || control_connection(call) != room->connection || !room->attempt ||
	    !room->attempt->asked || room->done) {
		control_fail(call, -ENOENT, "no code is waiting for an answer");
		return;
	}
	control_reply(call, &result);
	act(room, pairing_answer(room->attempt->pairing, args->accept));
}

void pairing_room_proved(struct pairing_room *room, const char *id)
{
	struct control_call *call = room->call;
	char permissions[PERMISSIONS_TEXT_MAX], name[PEER_NAME_MAX + 1];
	struct result_ctl_pair result;

	if (!room->done || !room->attempt || strcmp(room->attempt->peer.id, id) != 0)
		return;
	memcpy(name, room->attempt->peer.name, sizeof(name));
	room->config.host->audit(room->config.arg, name, "paired", "");
	result = (struct result_ctl_pair){
	    .peer = bytes_of_text(name),
	    .permissions = bytes_of_text(permissions_print(room->request.allow, permissions)),
	};
	window_close(room);
	if (call)
		control_reply(call, &result);
}

/* --- the room --------------------------------------------------------------------------------- */

int pairing_room_new(const struct pairing_room_config *config, struct pairing_room **ret_room)
{
	struct pairing_room *room = calloc(1, sizeof(*room));

	if (!room)
		return -ENOMEM;
	room->config = *config;
	uv_timer_init(config->loop, &room->ttl);
	uv_timer_init(config->loop, &room->patience);
	room->ttl.data = room;
	room->patience.data = room;
	*ret_room = room;
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct pairing_room *room = handle->data;

	room->n_closing--;
	settle_closing(room);
}

void pairing_room_close(struct pairing_room *room, void (*closed)(void *arg), void *arg)
{
	if (!room->done && room->attempt && room->attempt->pairing) {
		pairing_cancel(room->attempt->pairing, PAIRING_REASON_CANCELLED);
		send_output(room->attempt);
	}
	window_close(room);
	room->closed = closed;
	room->closed_arg = arg;
	room->n_closing = 2;
	uv_close((uv_handle_t *)&room->ttl, on_handle_closed);
	uv_close((uv_handle_t *)&room->patience, on_handle_closed);
}
