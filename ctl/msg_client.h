/*
 * Messages, asked of this machine's own daemon, which keeps the inbox and the outbox and delivers
 * by itself; as the JSON that is printed. All that return int return CONTEXT_OK, or CONTEXT_FAILURE
 * having said why.
 */
#ifndef CTL_MSG_CLIENT_H
#define CTL_MSG_CLIENT_H

#include "ctl/context.h"
#include "ctl/remote.h"

/* Says why something failed; returns CONTEXT_FAILURE. */
int msg_client_complain(const struct context *context, int error, const char *reason);
/* remote_ask of the own daemon. */
int msg_client_ask(const struct context *context, struct remote *remote, uint16_t op,
		   const void *args, void *result);

/* Waiting for something to happen to a message: what it is, is looked at then. Zero-initialised but
 * for the first two. */
struct msg_listening {
	const struct context *context;
	struct remote *remote;
	struct remote_call *call;
	bool is_set;       /* what happens from now on is told */
	unsigned n_events; /* have come, of any kind */
	int error;
};

/* From its return on, events are counted. To be called again before each look: a stream that was
 * ended because too much happened at once is begun anew. */
int msg_client_listen(struct msg_listening *listening);
/* Until something has happened since `n_events` was that. */
int msg_client_wait(struct msg_listening *listening, unsigned n_events);

/* The envelope of one message, with all of its body. */
int msg_client_fetch(const struct context *context, struct remote *remote, enum msg_box box,
		     const char *id, json_t **ret_envelope);
/* Those of the peer that --peer names, or of all, oldest first; without --json, large bodies are
 * null. */
int msg_client_list(const struct context *context, struct remote *remote, enum msg_box box,
		    json_t **ret_list);
int msg_client_status(const struct context *context, struct remote *remote, const char *id,
		      struct result_msg_status *ret_result);

#endif
