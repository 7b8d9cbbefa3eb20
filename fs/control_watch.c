/*
 * One call for each kind and machine, whose answer is a stream of records. When its link breaks it
 * is asked for again: of values behind the last version that was told, so that none is missed.
 */
#include "fs/control_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_events.h"
#include "fs/control_private.h"

struct watch_ask {
	struct control_ask ask;
	const struct kind *kind;
	struct buffer rest; /* a record that has not come whole */
};

union event {
	struct job_info job;
	struct kv_change kv;
	struct msg_event msg;
};

struct kind {
	uint16_t op;
	const struct record *record;
	size_t most; /* bytes of one on the wire, at most */
	void (*note)(struct fs_peer *peer, const union event *event);
	/* Ended with that error, it is asked for again; something was missed. 0: there is none. */
	int missed;
	const char *of;
};

static json_t *text_of(struct bytes text)
{
	return json_stringn(text.size ? (const char *)text.data : "", text.size);
}

/* Of this machine's own things there are no events but the root's. */
static void note(struct fs_peer *machine, const char *event, json_t *more)
{
	struct fs *fs = machine->fs;
	bool is_self = machine == fs->self;

	control_events_note(fs, is_self ? NULL : machine, is_self ? fs->own_name : machine->name,
			    event, more);
}

/* --- kinds ------------------------------------------------------------------------------------ */

static void note_job(struct fs_peer *peer, const union event *event)
{
	static const char *const names[] = {"started", "exited", "killed", "lost"};
	const struct job_info *info = &event->job;
	json_t *more = json_pack("{s:o}", "job", text_of(info->name));

	if (!info->job) {
		note(peer, "removed", more);
		return;
	}
	json_object_set_new(more, "cmd", text_of(info->cmd));
	if (info->state == JOB_EXITED)
		json_object_set_new(more, "exit", json_integer((json_int_t)info->exit));
	if (info->state == JOB_KILLED)
		json_object_set_new(more, "signal", json_integer((json_int_t)info->signal));
	note(peer, names[info->state], more);
}

static void note_missed(struct fs_peer *peer, const char *of)
{
	note(peer, "missed", json_pack("{s:s}", "of", of));
}

static void note_value(struct fs_peer *peer, const union event *event)
{
	static const char *const names[] = {
	    [KV_SET_CHANGE] = "set", [KV_DELETED] = "deleted", [KV_EXPIRED] = "expired"};
	const struct kv_entry *entry = &event->kv.entry;
	json_t *more;

	peer->control.kv_version = entry->version;
	if (event->kv.kind == KV_LOST) {
		note_missed(peer, "kv");
		return;
	}
	more = json_pack("{s:o, s:I}", "key", text_of(entry->key), "version",
			 (json_int_t)entry->version);
	if (event->kv.kind == KV_SET_CHANGE)
		json_object_set_new(more, "size", json_integer((json_int_t)entry->size));
	note(peer, names[event->kv.kind], more);
}

static struct fs_peer *find_peer(const struct fs *fs, struct bytes name)
{
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i] && fs->peers[i]->transport &&
		    strlen(fs->peers[i]->name) == name.size &&
		    memcmp(fs->peers[i]->name, name.data, name.size) == 0)
			return fs->peers[i];
	return NULL;
}

static void note_message(struct fs_peer *self, const union event *event)
{
	const struct msg_event *msg = &event->msg;
	struct fs_peer *peer = find_peer(self->fs, msg->peer);

	if (peer) /* else it was unpaired just now, and its messages with it */
		note(peer, ops_msg_event_name(msg->kind),
		     json_pack("{s:o, s:s}", "message", text_of(msg->id), "type",
			       ops_msg_type_name(msg->type)));
}

static const struct kind kinds[CONTROL_WATCHES] = {
    [CONTROL_WATCH_JOBS] = {.op = OP_JOB_EVENTS,
			    .record = &job_info_record,
			    .most = 2 * (OPS_JOB_CMD_MAX + 512),
			    .note = note_job},
    [CONTROL_WATCH_KV] = {.op = OP_KV_WATCH,
			  .record = &kv_change_record,
			  .most = 2 * (OPS_KV_KEY_MAX + OPS_KV_FROM_MAX + 512),
			  .note = note_value},
    [CONTROL_WATCH_MESSAGES] = {.op = OP_MSG_EVENTS,
				.record = &msg_event_record,
				.most = 2 * (OPS_MSG_ID_MAX + OPS_MSG_PEER_MAX + 512),
				.note = note_message,
				.missed = -EMSGSIZE,
				.of = "messages"},
};

/* --- streams ---------------------------------------------------------------------------------- */

static struct control_ask **slot_of(const struct watch_ask *watch)
{
	return &watch->ask.peer->control.watches[watch->kind - kinds];
}

static void on_data(struct control_ask *ask, unsigned channel, struct bytes data)
{
	struct watch_ask *watch = (struct watch_ask *)ask;
	struct buffer *rest = &watch->rest;
	union event event;
	struct bytes input;

	control_ask_consumed(ask, channel, data.size);
	rest->limit = watch->kind->most + data.size;
	if (channel || buffer_append(rest, data.data, data.size)) {
		rest->size = 0;
		return;
	}
	input = (struct bytes){rest->data, rest->size};
	while (input.size && codec_decode(watch->kind->record, &input, &event, NULL) == 0)
		watch->kind->note(ask->peer, &event);
	memmove(rest->data, input.data, input.size);
	rest->size = input.size < watch->kind->most ? input.size : 0;
}

static void watch(struct fs_peer *peer, const struct kind *kind);

static void on_end(struct control_ask *ask, int error)
{
	const struct kind *kind = ((struct watch_ask *)ask)->kind;

	*slot_of((struct watch_ask *)ask) = NULL;
	if (kind->missed && error == kind->missed)
		note_missed(ask->peer, kind->of);
	if (error == -ENOTCONN || (kind->missed && error == kind->missed))
		watch(ask->peer, kind);
}

/* Where it fails, it is tried again when the peer is up, or `events` opened. */
static void on_reply(struct control_ask *ask, const struct transport_reply *reply)
{
	struct control_peer *control = &ask->peer->control;

	if (reply->error || !reply->more)
		*slot_of((struct watch_ask *)ask) = NULL;
	else if (ask->op == OP_KV_WATCH && control->kv_version == OPS_ANY)
		control->kv_version = ((const struct result_kv_watch *)reply->result)->version;
}

static void release(struct control_ask *ask)
{
	buffer_deinit(&((struct watch_ask *)ask)->rest);
}

static void watch(struct fs_peer *peer, const struct kind *kind)
{
	union {
		struct args_job_events jobs;
		struct args_kv_watch kv;
		struct args_msg_events msg;
	} args = {0};
	struct watch_ask *watch;

	if (!peer || !peer->transport || peer->control.watches[kind - kinds])
		return;
	watch = control_ask_new(peer, sizeof(*watch), NULL);
	if (!watch)
		return;
	watch->kind = kind;
	watch->ask.done = on_reply;
	watch->ask.data = on_data;
	watch->ask.end = on_end;
	watch->ask.release = release;
	peer->control.watches[kind - kinds] = &watch->ask;
	if (kind->op == OP_KV_WATCH)
		args.kv.since = peer->control.kv_version;
	control_ask_send(&watch->ask, kind->op, &args);
}

void control_watch_peer(struct fs_peer *peer)
{
	peer->control.wants_events = true;
	watch(peer, &kinds[CONTROL_WATCH_JOBS]);
	watch(peer, &kinds[CONTROL_WATCH_KV]);
	watch(peer->fs->self, &kinds[CONTROL_WATCH_MESSAGES]);
}

void control_watch_all(struct fs *fs)
{
	fs->wants_events = true;
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i])
			control_watch_peer(fs->peers[i]);
	watch(fs->self, &kinds[CONTROL_WATCH_KV]);
	watch(fs->self, &kinds[CONTROL_WATCH_MESSAGES]);
}
