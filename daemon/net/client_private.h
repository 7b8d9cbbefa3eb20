/* The inside of clients: shared by client.c and the client_*.c files. */
#ifndef DAEMON_NET_CLIENT_PRIVATE_H
#define DAEMON_NET_CLIENT_PRIVATE_H

#include <sys/queue.h>

#include "daemon/net/client.h"
#include "daemon/net/message.h"
#include "daemon/net/stream_window.h"

#define CLIENT_BUCKETS 1024

enum call_state { CALL_WAITING, CALL_SENT, CALL_STREAMING, CALL_FINISHED };

struct transport_call {
	TAILQ_ENTRY(transport_call) entry; /* the list of its state */
	LIST_ENTRY(transport_call) bucket; /* by id; not when FINISHED */
	struct client *client;
	uint64_t id;
	const struct op *op;
	const struct transport_handler *handler; /* NULL: abandoned */
	void *arg;
	struct message *message; /* owned until answered */
	enum call_state state;
	bool is_cancelled;
	int error;        /* of FINISHED */
	uint64_t made_at; /* ms */
	size_t unconsumed;
	struct stream_window window; /* of STREAMING */
};
TAILQ_HEAD(calls, transport_call);
LIST_HEAD(calls_bucket, transport_call);

struct event {
	STAILQ_ENTRY(event) entry;
	struct message *message;
};

struct client {
	struct transport transport; /* the first: they are cast into each other */
	struct conn_room *room;
	const struct op_table *ops;
	uint64_t io_timeout_ms;
	struct limits limits; /* the peer's */
	enum transport_state state;
	struct link *link;     /* borrowed; NULL while there is none */
	uint64_t lost_at;      /* ms */
	uint64_t rtt_us, rate; /* of the last link */

	bool has_session;
	uint32_t uid, gid;
	const struct transport_listener *listener;
	void *listener_arg;
	bool owes_session_new; /* to a listener that came later */

	uint64_t next_id;
	struct calls waiting, sent, streaming, finished;
	struct calls_bucket buckets[CLIENT_BUCKETS];
	unsigned n_sent; /* SENT and STREAMING */
	unsigned n_streams;
	size_t window_more; /* by which the windows of streams have grown */
	size_t write_bytes;
	STAILQ_HEAD(, event) events;
	unsigned n_events;
	void *result; /* room for any operation's result */

	uv_timer_t soon;     /* for what may not be called at once */
	uv_timer_t deadline; /* of the oldest call, while there is no link */
	unsigned n_handles;
};

extern const struct transport_ops client_transport_ops;

static inline struct client *client_of(struct transport *transport)
{
	return (struct client *)transport;
}

static inline uint64_t client_now_ms(struct client *client)
{
	return uv_now(client->room->loop);
}

/* By its id; NULL if there is none. */
struct transport_call *client_call_find(struct client *client, uint64_t id);
/* Out of the list of its state, and of what is counted. */
void client_call_unlist(struct transport_call *call);
/* Its bytes are not needed any more. */
void client_call_drop_message(struct transport_call *call);
/* One that is out of its list. */
void client_call_free(struct transport_call *call);
/* Ends a call that is not STREAMING with an error. */
void client_call_fail(struct transport_call *call, int error);
/* Ends a STREAMING one. */
void client_call_end_stream(struct transport_call *call, unsigned channel, int error);
/* The call ends here, but its handler hears it later. */
void client_call_finish_soon(struct transport_call *call, int error);
/* Ends all calls made before `id`: waiting ones with `unsent`, SENT ones with `mutating` if they
 * change something and it is not known whether they did, else with `other`. */
void client_call_fail_before(struct client *client, uint64_t id, int unsent, int mutating,
			     int other);
/* Forgets events; or only those that were sent. */
void client_call_drop_events(struct client *client, bool only_sent);
/* Tells the peer that nobody waits for it. */
void client_call_send_cancel(struct transport_call *call);
/* Moves what may be sent from WAITING to SENT. */
void client_call_pump(struct client *client);
/* While there is no link: when the oldest call will have waited too long. */
void client_call_arm_deadline(struct client *client);
/* client->soon: FINISHED calls, and a listener that came later. */
void client_call_on_soon(uv_timer_t *timer);

#endif
