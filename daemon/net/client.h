/*
 * Client: our calls to one peer. It implements fs/transport.h over whatever link there is now.
 */
#ifndef DAEMON_NET_CLIENT_H
#define DAEMON_NET_CLIENT_H

#include "daemon/net/limits.h"
#include "daemon/net/link.h"
#include "fs/transport.h"

struct client;

int client_new(struct client **ret_client, struct conn_room *room, const struct op_table *ops,
	       uint64_t io_timeout_ms);
/* Ends all calls with -ECONNABORTED and the listener with session_lost. Freed later. */
void client_free(struct client *client);

struct transport *client_transport(struct client *client);

/* What the peer says that we may have under way with it; 0 is the default. */
void client_set_limits(struct client *client, struct limits limits);
/* The hello on `link` was answered: calls go there from now on. If the session was `resumed`, all
 * unanswered ones are sent again; if it is another one than before, they end as transport.h says.
 */
void client_attach(struct client *client, struct link *link, bool resumed, uint32_t uid,
		   uint32_t gid);
/* The link has gone or is not to be used any more: calls wait, streams end. */
void client_detach(struct client *client);
/* The peer counts as down: all calls end with -EHOSTDOWN. */
void client_set_down(struct client *client);

/* A reply, stream data or the end of a stream. Returns 0, or a negative errno and a text if the
 * peer broke a rule. */
int client_frame(struct client *client, const struct frame *frame, struct chunk *chunk,
		 const char **ret_why);

/* The lowest request id that is still unanswered. */
uint64_t client_lowest(const struct client *client);
struct link *client_link(const struct client *client);
enum transport_state client_state(const struct client *client);
uint64_t client_rtt_us(const struct client *client);

#endif
