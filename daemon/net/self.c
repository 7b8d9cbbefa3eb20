/*
 * The client is at one end of two twin links, the session at the other. They break only if this
 * process lacks memory or breaks its own rules; then session and links are made anew, and what was
 * under way ends as with a peer that was started anew.
 */
#include "daemon/net/self.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/log.h"
#include "proto/ops_peer.h"

#define RETRY_MS 100

/* Of what is this user's own there is no limit but memory; a call that waited for another one's
 * stream might wait for ever. */
static const struct limits limits = {
    .calls = LIMITS_CALLS_MOST,
    .streams = LIMITS_CALLS_MOST,
    .write_bytes = 64 * 1024 * 1024,
};

struct self {
	struct self_options options;
	struct client *client;
	struct session *session;       /* NULL: broken, until `anew` */
	struct link *asking, *serving; /* the twins: the client's, the session's */
	uint16_t permissions;
	uv_timer_t anew;
};

static int self_open(struct self *self);

static void on_anew(uv_timer_t *timer)
{
	if (self_open(timer->data) < 0)
		uv_timer_start(timer, on_anew, RETRY_MS, 0);
}

/* The client and the links stay with nothing between them. */
static void self_break(struct self *self)
{
	struct link *asking = self->asking, *serving = self->serving;
	struct session *session = self->session;

	self->asking = self->serving = NULL;
	self->session = NULL;
	client_detach(self->client);
	if (session)
		session_close(session);
	if (asking)
		link_close(asking);
	if (serving)
		link_close(serving);
}

static void on_closed(void *arg, struct link *link, int error, const char *why)
{
	struct self *self = arg;

	log_error("net", "peer=self error=%d text=\"calls within this machine broke\" reason=%s",
		  error, LOG_VALUE(why));
	self_break(self);
	uv_timer_start(&self->anew, on_anew, 0, 0);
}

/* --- the client's end ------------------------------------------------------------------------- */

static void on_answer(void *arg, struct link *link, const struct frame *frame, struct chunk *chunk)
{
	struct self *self = arg;
	const char *why = "";
	int r = client_frame(self->client, frame, chunk, &why);

	if (r < 0)
		link_fail(link, r, why);
}

static void on_asking_event(void *arg, struct link *link)
{
}

static const struct link_handler asking_handler = {
    .frame = on_answer,
    .drained = on_asking_event,
    .pinged = on_asking_event,
    .confirmed = on_asking_event,
    .closed = on_closed,
};

/* --- the session's end ------------------------------------------------------------------------ */

static void on_asked(void *arg, struct link *link, const struct frame *frame, struct chunk *chunk)
{
	struct self *self = arg;
	const char *why = "";
	int r = session_frame(self->session, frame, chunk, &why);

	if (r < 0)
		link_fail(link, r, why);
}

static void on_drained(void *arg, struct link *link)
{
	session_drained(((struct self *)arg)->session);
}

static void on_pinged(void *arg, struct link *link)
{
	session_pinged(((struct self *)arg)->session);
}

static void on_confirmed(void *arg, struct link *link)
{
	session_confirmed(((struct self *)arg)->session);
}

static const struct link_handler serving_handler = {
    .frame = on_asked,
    .drained = on_drained,
    .pinged = on_pinged,
    .confirmed = on_confirmed,
    .closed = on_closed,
};

/* Of a session whose link has been gone for long: ours is closed with it. */
static void on_expired(void *arg)
{
	log_error("net", "peer=self text=\"a session without a link\"");
}

/* --- birth and death -------------------------------------------------------------------------- */

static int self_open(struct self *self)
{
	struct session_options session = {
	    .room = self->options.room,
	    .ops = self->options.ops,
	    .services = self->options.services,
	    .n_services = self->options.n_services,
	    .limits = limits,
	    .permissions = &self->permissions,
	    .name = "self",
	    .expired = on_expired,
	    .arg = self,
	};
	int r = session_new(&self->session, &session);

	if (r < 0)
		return r;
	r = link_new_twins(self->options.room, &asking_handler, self, &serving_handler, self,
			   &self->asking, &self->serving);
	if (r < 0) {
		session_close(self->session);
		self->session = NULL;
		return r;
	}
	session_attach(self->session, self->serving);
	client_attach(self->client, self->asking, false, (uint32_t)geteuid(), (uint32_t)getegid());
	return 0;
}

int self_new(struct self **ret_self, const struct self_options *options)
{
	struct self *self = calloc(1, sizeof(*self));
	int r;

	if (!self)
		return -ENOMEM;
	self->options = *options;
	self->permissions = PERMISSION_FS_RO | PERMISSION_FS_RW | PERMISSION_FS_IDS |
			    PERMISSION_EXEC | PERMISSION_KV | PERMISSION_MSG | PERMISSION_LOCAL;
	r = client_new(&self->client, options->room, options->ops, options->io_timeout_ms);
	if (r < 0) {
		free(self);
		return r;
	}
	client_set_limits(self->client, limits);
	r = self_open(self);
	if (r < 0) {
		client_free(self->client);
		free(self);
		return r;
	}
	uv_timer_init(options->room->loop, &self->anew);
	self->anew.data = self;
	conn_room_hold(options->room);
	*ret_self = self;
	return 0;
}

static void on_anew_closed(uv_handle_t *handle)
{
	struct self *self = handle->data;
	struct conn_room *room = self->options.room;

	free(self);
	conn_room_drop(room);
}

void self_close(struct self *self)
{
	self_break(self);
	client_free(self->client);
	uv_close((uv_handle_t *)&self->anew, on_anew_closed);
}

struct transport *self_transport(struct self *self)
{
	return client_transport(self->client);
}
