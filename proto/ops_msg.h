/*
 * The operations on messages. A part of ops_peer.h, which includes it.
 *
 * Between peers there are two: MSG_DELIVER brings messages of the asking machine, MSG_READ says
 * which of those that came from the asked one were acknowledged. All others are for the machine's
 * own user (loopsyctl and the mount), who sees an inbox and an outbox over all peers.
 *
 * Messages of one machine for another one have ascending sequence numbers, not without gaps (some
 * expire before they are sent). A message is stored by the receiver together with its number, in
 * one transaction; what has a number that is not higher than the highest stored one is there
 * already. An epoch, chosen at random, says which sequence the numbers are of: a machine that lost
 * its own begins another one.
 */
#ifndef PROTO_OPS_MSG_H
#define PROTO_OPS_MSG_H

#include "proto/ops.h"

#define OPS_MSG_BODY_MAX    (1024 * 1024) /* UTF-8 without NUL; not empty */
#define OPS_MSG_ID_MAX      64            /* of [0-9a-z] */
#define OPS_MSG_PEER_MAX    128           /* an id, or a name of this machine for it */
#define OPS_MSG_PEERS_MAX   512
#define OPS_MSG_BATCH_MAX   256
#define OPS_MSG_BATCH_BYTES (128 * 1024) /* of bodies in one MSG_DELIVER */
#define OPS_MSG_PAGE_MAX    256
#define OPS_MSG_PAGE_BYTES  (96 * 1024) /* of bodies in one MSG_LIST */
#define OPS_MSG_TTL_MAX     (366ull * 24 * 3600 * 1000)

enum msg_type {
	MSG_CHAT = 0,
	MSG_REQUEST = 1,
	MSG_RESPONSE = 2,
	MSG_BROADCAST = 3,
	MSG_TYPE_MAX = 3,
};

enum msg_box { MSG_ANY_BOX = 0, MSG_INBOX = 1, MSG_OUTBOX = 2, MSG_BOX_MAX = 2 };

/* Of messages that were sent. One that has expired was not delivered, and will not be. */
enum msg_state {
	MSG_QUEUED = 0,
	MSG_DELIVERED = 1, /* it is on the receiver's disk */
	MSG_READ_THERE = 2,
	MSG_EXPIRED = 3,
	MSG_STATE_MAX = 3,
};

/* An element of MSG_DELIVER: bytes `offset` and on of a body of `size`. */
#define RECORD_msg_part(F, O, X)                                                                   \
	F(X, UINT, seq, INT64_MAX)                                                                 \
	F(X, TEXT, id, OPS_MSG_ID_MAX)                                                             \
	F(X, UINT, type, MSG_TYPE_MAX)                                                             \
	F(X, TEXT, reply_to, OPS_MSG_ID_MAX) /* empty: to none */                                  \
	F(X, TIME, ts, 0)                                                                          \
	F(X, UINT, size, OPS_MSG_BODY_MAX)                                                         \
	F(X, UINT, offset, OPS_MSG_BODY_MAX)                                                       \
	F(X, BIN, body, OPS_MSG_BATCH_BYTES)
RECORD_DECLARE(msg_part)

/* An element of MSG_READ. */
#define RECORD_msg_receipt(F, O, X)                                                                \
	F(X, TEXT, id, OPS_MSG_ID_MAX)                                                             \
	F(X, TIME, read, 0)
RECORD_DECLARE(msg_receipt)

/* A message as its machine's own user sees it. Of one in the inbox `sent` is its sender's clock,
 * `delivered` when it came. Times that are not yet are 0. */
#define RECORD_msg_info(F, O, X)                                                                   \
	F(X, UINT, number, INT64_MAX) /* ascending in the order of coming or sending */            \
	F(X, UINT, box, MSG_BOX_MAX)                                                               \
	F(X, TEXT, id, OPS_MSG_ID_MAX)                                                             \
	F(X, TEXT, from, OPS_MSG_PEER_MAX) /* names of machines as they are called here */         \
	F(X, TEXT, to, OPS_MSG_PEER_MAX)                                                           \
	F(X, UINT, type, MSG_TYPE_MAX)                                                             \
	F(X, TEXT, reply_to, OPS_MSG_ID_MAX)                                                       \
	F(X, UINT, state, MSG_STATE_MAX)                                                           \
	F(X, TIME, sent, 0)                                                                        \
	F(X, TIME, delivered, 0)                                                                   \
	F(X, TIME, read, 0)                                                                        \
	F(X, TIME, expires, 0) /* outbox: if it is not delivered by then; 0: never */              \
	F(X, UINT, size, OPS_MSG_BODY_MAX)                                                         \
	F(X, BOOL, has_body, 0) /* `body` is all of it */                                          \
	F(X, BIN, body, OPS_MSG_PAGE_BYTES)
RECORD_DECLARE(msg_info)

/* An element of MSG_SEND's answer. */
#define RECORD_msg_sent(F, O, X)                                                                   \
	F(X, TEXT, id, OPS_MSG_ID_MAX)                                                             \
	F(X, TEXT, peer, OPS_MSG_PEER_MAX)
RECORD_DECLARE(msg_sent)

/* An element of MSG_ACK. */
#define RECORD_msg_id(F, O, X) F(X, TEXT, id, OPS_MSG_ID_MAX)
RECORD_DECLARE(msg_id)

enum msg_event_kind {
	MSG_EVENT_RECEIVED = 0,
	MSG_EVENT_QUEUED = 1,
	MSG_EVENT_DELIVERED = 2,
	MSG_EVENT_READ = 3, /* by the peer */
	MSG_EVENT_EXPIRED = 4,
	MSG_EVENT_ACKNOWLEDGED = 5, /* here */
	MSG_EVENT_MAX = 5,
};

/* An element of MSG_EVENTS' stream. */
#define RECORD_msg_event(F, O, X)                                                                  \
	F(X, UINT, kind, MSG_EVENT_MAX)                                                            \
	F(X, TEXT, id, OPS_MSG_ID_MAX)                                                             \
	F(X, TEXT, peer, OPS_MSG_PEER_MAX) /* the other machine */                                 \
	F(X, UINT, type, MSG_TYPE_MAX)                                                             \
	F(X, TIME, time, 0)
RECORD_DECLARE(msg_event)

/*
 * Messages in the order of their numbers, each whole but perhaps the last and the first one, whose
 * parts may be spread over several requests: kept in memory until the body is whole. Answered when
 * all that was whole is on the disk. `stored` is the highest number that is; `seq` and `taken` say
 * of which message how much was kept beyond it (0: of none). `error` (a number of the table of
 * errors, 0: none) is why the message behind `stored` was not: ENOSPC: its inbox is full; EEXIST:
 * another message has that id; EINVAL: its id or body; EILSEQ: no UTF-8. Without messages it only
 * tells.
 */
#define RECORD_args_msg_deliver(F, O, X)                                                           \
	F(X, UINT, epoch, INT64_MAX)                                                               \
	F(X, LIST, parts, OPS_MSG_BATCH_MAX) /* of msg_part */
#define RECORD_result_msg_deliver(F, O, X)                                                         \
	F(X, UINT, stored, INT64_MAX)                                                              \
	F(X, UINT, seq, INT64_MAX)                                                                 \
	F(X, UINT, taken, OPS_MSG_BODY_MAX)                                                        \
	F(X, UINT, error, UINT16_MAX)

/* Acknowledged messages that came from the asked machine; repeated until it is answered. What it
 * does not know (any more) is passed over. */
#define RECORD_args_msg_read(F, O, X)                                                              \
	F(X, UINT, unused, OPS_ANY)                                                                \
	F(X, LIST, receipts, OPS_MSG_BATCH_MAX) /* of msg_receipt */
#define RECORD_result_msg_read(F, O, X)

/* A part of a body that MSG_SEND will send: `draft` is a number that the caller chose at random.
 * Bytes at `offset`, which lies not behind the end. With `store` all of it is on the disk when it
 * is answered, and is sent even if MSG_SEND never comes, because the daemon ended before. EFBIG:
 * larger than a message; EILSEQ: no UTF-8, or a NUL within; EINVAL: empty; ENOSPC: the outbox or
 * the disk is full. Of draft 0 nothing is kept: it asks whether MSG_SEND would go to that peer. */
#define RECORD_args_msg_draft(F, O, X)                                                             \
	F(X, UINT, draft, OPS_ANY)                                                                 \
	F(X, TEXT, peer, OPS_MSG_PEER_MAX) /* as in MSG_SEND */                                    \
	F(X, UINT, offset, OPS_MSG_BODY_MAX)                                                       \
	F(X, BOOL, store, 0)                                                                       \
	F(X, PAYLOAD, body, OPS_IO_MAX)
#define RECORD_result_msg_draft(F, O, X) F(X, UINT, size, OPS_MSG_BODY_MAX)

/* The body is that of `draft`, which is over then, or where that is 0 `body`. An empty peer is all
 * that are paired, each with a message of its own. ttl_ms 0: a week; OPS_ANY: it never expires.
 * Answered when it is on the disk. ENOENT: no such peer; ENOKEY: no such draft; EACCES: the peer
 * does not take messages of this machine (of a draft that is stored, MSG_DRAFT has said so); the
 * rest as in MSG_DRAFT. */
#define RECORD_args_msg_send(F, O, X)                                                              \
	F(X, UINT, draft, OPS_ANY)                                                                 \
	F(X, TEXT, peer, OPS_MSG_PEER_MAX)                                                         \
	F(X, UINT, type, MSG_TYPE_MAX)                                                             \
	F(X, TEXT, reply_to, OPS_MSG_ID_MAX)                                                       \
	F(X, UINT, ttl_ms, OPS_ANY)                                                                \
	F(X, PAYLOAD, body, OPS_IO_MAX)
#define RECORD_result_msg_send(F, O, X) F(X, LIST, sent, OPS_MSG_PEERS_MAX) /* of msg_sent */

/* Those behind number `after`, of one peer or of all, oldest first; with `bodies`, bodies as far as
 * they fit. With `fresh`, what was asked to be sent before is among them, and waited for. */
#define RECORD_args_msg_list(F, O, X)                                                              \
	F(X, UINT, box, MSG_BOX_MAX)                                                               \
	F(X, TEXT, peer, OPS_MSG_PEER_MAX)                                                         \
	F(X, UINT, after, INT64_MAX)                                                               \
	F(X, UINT, limit, OPS_MSG_PAGE_MAX)                                                        \
	F(X, BOOL, bodies, 0)                                                                      \
	O(X, BOOL, fresh, 0)
#define RECORD_result_msg_list(F, O, X)                                                            \
	F(X, BOOL, rest, 0)                    /* there are more behind the last one */            \
	F(X, LIST, messages, OPS_MSG_PAGE_MAX) /* of msg_info */

/* `body` are bytes from `offset` on, as many as fit; the info has none. */
#define RECORD_args_msg_show(F, O, X)                                                              \
	F(X, UINT, box, MSG_BOX_MAX)                                                               \
	F(X, TEXT, id, OPS_MSG_ID_MAX)                                                             \
	F(X, UINT, offset, OPS_MSG_BODY_MAX)
#define RECORD_result_msg_show(F, O, X)                                                            \
	F(X, RECORD, info, msg_info)                                                               \
	F(X, PAYLOAD, body, OPS_IO_MAX)

/* They leave the inbox, and their senders will hear of it. All or none: ENOENT, if one is not
 * there, or not from that peer. */
#define RECORD_args_msg_ack(F, O, X)                                                               \
	F(X, UINT, unused, OPS_ANY)                                                                \
	F(X, LIST, ids, OPS_MSG_BATCH_MAX) /* of msg_id */                                         \
	O(X, TEXT, peer, OPS_MSG_PEER_MAX) /* as in MSG_SEND; empty: any */
#define RECORD_result_msg_ack(F, O, X)

/* Of one that was sent. */
#define RECORD_args_msg_status(F, O, X)                                                            \
	F(X, UINT, unused, OPS_ANY)                                                                \
	F(X, TEXT, id, OPS_MSG_ID_MAX)
#define RECORD_result_msg_status(F, O, X) F(X, RECORD, info, msg_info)

/* A stream: encoded msg_events on channel 0, of one peer or of all. What happens after the reply is
 * told. EMSGSIZE ends it when its reader has fallen too far behind: look at everything again. */
#define RECORD_args_msg_events(F, O, X)                                                            \
	F(X, UINT, unused, OPS_ANY)                                                                \
	F(X, TEXT, peer, OPS_MSG_PEER_MAX)
#define RECORD_result_msg_events(F, O, X)

/* The draft will not be sent, not even by a later daemon. What is not there is passed over. */
#define RECORD_args_msg_discard(F, O, X) F(X, UINT, draft, OPS_ANY)
#define RECORD_result_msg_discard(F, O, X)

#define OPS_msg(OP)                                                                                \
	OP(100, MSG_DELIVER, msg_deliver, MSG, OP_REPEATABLE, "messages for the asked machine")    \
	OP(101, MSG_READ, msg_read, NONE, OP_REPEATABLE, "messages that were acknowledged")        \
	OP(102, MSG_DRAFT, msg_draft, LOCAL, OP_REPEATABLE, "a part of a message to be sent")      \
	OP(103, MSG_SEND, msg_send, LOCAL, OP_MUTATES, "sends a message")                          \
	OP(104, MSG_LIST, msg_list, LOCAL, OP_REPEATABLE, "what is in the inbox or the outbox")    \
	OP(105, MSG_SHOW, msg_show, LOCAL, OP_REPEATABLE, "one message")                           \
	OP(106, MSG_ACK, msg_ack, LOCAL, OP_MUTATES, "acknowledges messages")                      \
	OP(107, MSG_STATUS, msg_status, LOCAL, OP_REPEATABLE, "how far a message has come")        \
	OP(108, MSG_EVENTS, msg_events, LOCAL, OP_STREAMS, "tells of messages")                    \
	OP(109, MSG_DISCARD, msg_discard, LOCAL, OP_REPEATABLE, "gives up a draft")

/* Why an operation on messages failed, for people: as ops_jobs_error. */
const char *ops_msg_error(uint16_t op, int error);

/* "chat" and so on; "queued" and so on; "received" and so on. */
const char *ops_msg_type_name(uint64_t type);
const char *ops_msg_state_name(uint64_t state);
const char *ops_msg_event_name(uint64_t kind);
/* Whose name that is, or MSG_TYPE_MAX + 1. */
uint64_t ops_msg_type_find(const char *name);

#endif
