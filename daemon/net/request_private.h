/* The inside of sessions and requests: shared by session.c, request.c and kept.c. */
#ifndef DAEMON_NET_REQUEST_PRIVATE_H
#define DAEMON_NET_REQUEST_PRIVATE_H

#include "daemon/net/kept.h"
#include "daemon/net/message.h"
#include "daemon/net/session.h"

#define REQUEST_BUCKETS      1024
#define REQUEST_NODE_BUCKETS 256

enum request_state { REQUEST_PARKED, REQUEST_RUNNING, REQUEST_STREAMING };

struct request_stream {
	void (*ready)(void *arg, int error);
	void *arg;
	size_t credit;
	size_t window; /* what credit would be if all was used: at least that of the other end */
};

/* Freed when answered, or when its stream ends. */
struct request_entry {
	struct request request; /* the first: request.h casts */
	struct request_stream stream;
	enum request_state state;
	uint64_t id;
	LIST_ENTRY(request_entry) bucket; /* session->requests, by id; not once orphaned */
	TAILQ_ENTRY(request_entry) entry; /* session->parked or session->streams */
	struct chunk *chunk;              /* owned; what args point into; may be NULL */
	struct caller *caller;            /* owned */
	size_t size;                      /* of its frame */
	size_t write_size;                /* payload in the args */
	size_t promised;                  /* payload that the result may have; 0 unless RUNNING */
	bool is_lazy;                     /* nobody waits for its answer */
	_Alignas(max_align_t) uint8_t args[]; /* the record, and a copy of a small frame's bytes */
};
LIST_HEAD(request_bucket, request_entry);
TAILQ_HEAD(request_queue, request_entry);

struct session {
	struct session_options options;
	char name[64];
	uint8_t id[SESSION_ID_SIZE];
	uint8_t secret[SESSION_SECRET_SIZE];
	void **states;     /* of the services */
	struct link *link; /* borrowed; NULL while there is none */
	bool is_used;
	uint64_t lowest; /* of the requests that have come */
	struct kept kept;

	struct request_bucket requests[REQUEST_BUCKETS];
	struct request_queue parked, streams;
	uint16_t n_parked_nodes[REQUEST_NODE_BUCKETS]; /* parked requests, by the hash of nodes */
	unsigned n_requests;                           /* parked, running and streaming */
	unsigned n_running;
	unsigned n_streaming;       /* of operations with streams, in any state */
	unsigned n_streams;         /* in streams */
	size_t bytes;               /* of all requests */
	size_t running_write_bytes; /* of payload in running ones */
	size_t promised;

	uv_timer_t grace;
	uv_timer_t soon; /* parked ones may go on */
	unsigned n_handles;
};

/* Decodes what the frame asks into a new entry, which keeps the bytes: a copy of few, else their
 * chunk. It is in no table yet. Returns 0, or a negative errno and a text. */
int request_new(struct session *session, const struct op *op, const struct frame *frame,
		struct chunk *chunk, struct request_entry **ret_entry, const char **ret_why);
/* Takes it out of its session's tables and counts. */
void request_unlist(struct request_entry *entry);
void request_free(struct request_entry *entry);
/* Breaks a stream: tells the room, frees it. */
void request_break_stream(struct request_entry *entry, int error);
/* Answers what no room has seen. */
void request_refuse(struct session *session, uint64_t id, int error);

/* The room for an operation; never NULL for one of the table, asserted at the start. */
const struct service *session_service(const struct session *session, const struct op *op,
				      void **ret_state);
/* Takes it out of the parked ones. */
void session_take_parked(struct session *session, struct request_entry *entry);
/* Something became free: parked requests are looked at soon. */
void session_unpark_soon(struct session *session);

#endif
