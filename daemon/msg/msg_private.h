/* The inside of the room: shared by the msg*.c files. */
#ifndef DAEMON_MSG_MSG_PRIVATE_H
#define DAEMON_MSG_MSG_PRIVATE_H

#include <sys/queue.h>

#include "daemon/msg/msg.h"
#include "daemon/msg/msg_sql.h"
#include "daemon/store_thread.h"

struct msg_draft;
struct msg_peer;
struct msg_sending;
struct msg_watcher;
TAILQ_HEAD(msg_drafts, msg_draft);
TAILQ_HEAD(msg_peers, msg_peer);
TAILQ_HEAD(msg_sendings, msg_sending);
TAILQ_HEAD(msg_watchers, msg_watcher);

struct msg {
	struct msg_options options;
	struct msg_limits limits;
	struct service service;
	struct msg_sql sql;       /* the store's thread */
	struct msg_sql reads_sql; /* the reader's */
	struct msg_peers peers;
	unsigned n_peers;
	struct msg_drafts drafts; /* those used last at the end */
	unsigned n_drafts;
	struct msg_watchers watchers;
	uv_timer_t timer;   /* until something expires, or a peer is tried again */
	int64_t expires_ns; /* when the next one does; 0: never */
	int64_t prune_ns;   /* when the outbox is tidied next */
	bool is_expiring;   /* the thread is at it */
	/* Drafts that an earlier daemon left: up to that number (-1: not looked at yet), and when
	 * it is tried again (uv_now, 0: it is not). */
	int64_t left_last;
	uint64_t left_at;
	struct msg_sendings failed; /* stored drafts that could not be sent yet */
	unsigned n_sending;         /* MSG_SENDs with the thread */
	unsigned n_under_way; /* requests with the thread, and peers that are removed by then */
	bool is_closing;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* A session. */
struct msg_guest {
	struct msg *msg;
	bool is_local;
	char peer[IDENTITY_ID_SIZE]; /* unless local */
	/* The message of which only a part has come. */
	struct msg_part_head {
		uint64_t epoch, seq; /* seq 0: there is none */
		size_t size, taken;
		uint8_t *body; /* of `taken` */
	} part;
};

/* Something has left for the thread, or is back. With the last one back, what waits for it goes
 * on. */
void msg_hold(struct msg *msg);
void msg_drop(struct msg *msg);
/* Hands a request to the thread, or to the reader's if it only reads, with a hold. 0 or -errno (no
 * hold then). */
int msg_submit(struct msg *msg, struct store_request *request);

struct timespec msg_time(int64_t ns);
/* Within what can be told to people; 0 for others. */
int64_t msg_time_ns(struct timespec time);

/* msg_send.c: DRAFT, DISCARD, SEND. */
void msg_draft_handle(struct msg_guest *guest, struct request *request);
void msg_discard_handle(struct msg_guest *guest, struct request *request);
void msg_send_handle(struct msg_guest *guest, struct request *request);
/* Drafts are sent that are on the disk, and whose sender has gone with an earlier daemon; and those
 * that could not be sent before. */
void msg_send_left(struct msg *msg);
/* Gives up those that could not be sent: they are left to the next daemon. */
void msg_send_end(struct msg *msg);

/* msg_draft.c: bodies that come in parts. */
struct msg_draft *msg_draft_find(struct msg *msg, uint64_t number);
/* Writes there, making it if it is not there; 0 or -errno. */
int msg_draft_write(struct msg *msg, uint64_t number, size_t offset, struct bytes bytes,
		    struct msg_draft **ret_draft);
struct msg_draft *msg_draft_oldest(struct msg *msg);
struct bytes msg_draft_body(const struct msg_draft *draft);
/* It goes to the disk, too: it is not dropped for others. */
void msg_draft_keep(struct msg_draft *draft);
bool msg_draft_is_kept(const struct msg_draft *draft);
void msg_draft_free(struct msg *msg, struct msg_draft *draft);

/* msg_look.c: LIST, SHOW, ACK, STATUS. */
void msg_look_handle(struct msg_guest *guest, struct request *request);

/* msg_receive.c: DELIVER, READ. */
void msg_receive_handle(struct msg_guest *guest, struct request *request);
void msg_read_handle(struct msg_guest *guest, struct request *request);

/* msg_events.c */
void msg_events_handle(struct msg_guest *guest, struct request *request);
void msg_events_tell(struct msg *msg, enum msg_event_kind kind, const struct msg_row *row);
void msg_events_tell_all(struct msg *msg, enum msg_event_kind kind, const struct msg_rows *rows);
void msg_audit(struct msg *msg, bool is_local, const char *what, const struct msg_row *row);

/* msg_deliver.c */
/* Calls it for all peers, until it fails; returns what it returned. */
int msg_peers_each(struct msg *msg, int (*each)(void *arg, const char *id), void *arg);
/* There may be something for that peer. */
void msg_deliver_wake(struct msg *msg, const char *peer);
/* When the next peer is to be tried again, uv_now; 0: none. */
uint64_t msg_deliver_retry(const struct msg *msg);
/* Those are tried whose time has come. */
void msg_deliver_try(struct msg *msg);

/* msg.c: the timer is set anew. */
void msg_arm(struct msg *msg);
/* Something was sent that expires then. */
void msg_expires_at(struct msg *msg, int64_t ns);

#endif
