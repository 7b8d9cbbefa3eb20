/*
 * The operations of the local control socket: what loopsyctl asks of loopsyd.
 *
 * Same frames as between peers, without TLS; whoever may connect may do all of them, until a key
 * with a scope is presented (CTL_KEY): from then on only those with permission none, within the
 * scope. Lists that could outgrow a frame are paged: `offset` is the first element wanted, `limit`
 * how many at most, and the reply's `total` how many there are.
 *
 * A request that fails may be preceded by the event CTL_REASON, which says why in words; one that
 * is of no request says why the connection ends.
 */
#ifndef PROTO_OPS_CTL_H
#define PROTO_OPS_CTL_H

#include "proto/ops.h"

#define OPS_CTL_ANY         UINT64_MAX
#define OPS_CTL_NAME_MAX    255
#define OPS_CTL_ADDRESS_MAX 300
#define OPS_CTL_TEXT_MAX    1024
#define OPS_CTL_PATH_MAX    4095
#define OPS_CTL_PAGE_MAX    4096
#define OPS_CTL_TTL_MAX     3600
#define OPS_CTL_CALL_MAX    (188 * 1024)
#define OPS_CTL_WINDOW      (32 * 1024 * 1024)
#define OPS_CTL_SECRET_MAX  128
#define OPS_CTL_KEYS_MAX    256 /* that there may be */

enum ctl_peer_state {
	CTL_PEER_OFFLINE = 0,
	CTL_PEER_CONNECTING = 1,
	CTL_PEER_ONLINE = 2,
	CTL_PEER_STATE_MAX = 2,
};

enum ctl_check_status {
	CTL_CHECK_OK = 0,
	CTL_CHECK_WARNING = 1,
	CTL_CHECK_FAILURE = 2,
	CTL_CHECK_STATUS_MAX = 2,
};

/* Element of CTL_STATUS.listen. */
#define RECORD_ctl_address(F, O, X) F(X, TEXT, address, OPS_CTL_ADDRESS_MAX) /* "host:port" */
RECORD_DECLARE(ctl_address)

/* Element of CTL_PEERS.peers. Permissions are as the user writes them: "fs:rw,exec". */
#define RECORD_ctl_peer(F, O, X)                                                                   \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, id, 128)                                                                        \
	F(X, TEXT, fingerprint, 128)                                                               \
	F(X, UINT, state, CTL_PEER_STATE_MAX)                                                      \
	F(X, TEXT, address, OPS_CTL_ADDRESS_MAX)  /* in use, or the last good one; may be empty */ \
	F(X, UINT, rtt_us, OPS_CTL_ANY)           /* OPS_CTL_ANY: not known */                     \
	F(X, TEXT, permissions, OPS_CTL_NAME_MAX) /* that we grant to it */                        \
	F(X, TEXT, granted, OPS_CTL_NAME_MAX)     /* that it grants to us, as it last said */      \
	F(X, TEXT, software, 64)                  /* what it runs, as it last said */              \
	F(X, TIME, last_seen, 0)                  /* 0: never */                                   \
	F(X, TEXT, error, OPS_CTL_TEXT_MAX)       /* why it is not online; may be empty */
RECORD_DECLARE(ctl_peer)

/* Element of CTL_DISCOVERED.found. What is announced proves nothing. */
#define RECORD_ctl_found(F, O, X)                                                                  \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, id, 128)                                                                        \
	F(X, TEXT, address, OPS_CTL_ADDRESS_MAX)                                                   \
	F(X, TEXT, peer, OPS_CTL_NAME_MAX) /* the paired peer it says it is, or empty */           \
	F(X, TEXT, source, 64)             /* "mdns" or "manual" */
RECORD_DECLARE(ctl_found)

/* Element of CTL_DOCTOR.checks. */
#define RECORD_ctl_check(F, O, X)                                                                  \
	F(X, TEXT, name, OPS_CTL_NAME_MAX + 64)                                                    \
	F(X, UINT, status, CTL_CHECK_STATUS_MAX)                                                   \
	F(X, TEXT, detail, OPS_CTL_TEXT_MAX)                                                       \
	F(X, TEXT, fix, OPS_CTL_TEXT_MAX) /* what to do; empty when ok */
RECORD_DECLARE(ctl_check)

/* Element of CTL_CONFIG.options. */
#define RECORD_ctl_option(F, O, X)                                                                 \
	F(X, TEXT, name, 64)                                                                       \
	F(X, TEXT, value, OPS_CTL_PATH_MAX)                                                        \
	F(X, TEXT, standard, OPS_CTL_PATH_MAX) /* the value when nothing is set */                 \
	F(X, TEXT, source, OPS_CTL_NAME_MAX)   /* "default", "file" or "command line" */           \
	F(X, TEXT, summary, OPS_CTL_TEXT_MAX)
RECORD_DECLARE(ctl_option)

/* Element of CTL_KEYS.keys: a named key, never itself. `peers` are their names, with commas between
 * ("." is this machine itself); with `is_for_all` it is for all of them. One that is unpaired has
 * none. */
#define RECORD_ctl_key_info(F, O, X)                                                               \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, permissions, OPS_CTL_NAME_MAX)                                                  \
	F(X, BOOL, is_for_all, 0)                                                                  \
	F(X, TEXT, peers, OPS_CTL_PATH_MAX)                                                        \
	F(X, TIME, created, 0)                                                                     \
	F(X, TIME, used, 0) /* when it was presented last; 0: never */
RECORD_DECLARE(ctl_key_info)

/* --- the daemon ------------------------------------------------------------------------------- */

#define RECORD_args_ctl_status(F, O, X)
#define RECORD_result_ctl_status(F, O, X)                                                          \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, id, 128)                                                                        \
	F(X, TEXT, version, 64)                                                                    \
	F(X, UINT, pid, INT32_MAX)                                                                 \
	F(X, UINT, uptime_s, OPS_CTL_ANY)                                                          \
	F(X, TEXT, mount, OPS_CTL_PATH_MAX) /* where; empty when not mounted */                    \
	F(X, LIST, listen, 64)              /* of ctl_address */

/* Answered first; then the daemon ends and the connection with it. */
#define RECORD_args_ctl_stop(F, O, X)
#define RECORD_result_ctl_stop(F, O, X)

#define RECORD_args_ctl_doctor(F, O, X)                                                            \
	F(X, UINT, offset, UINT32_MAX)                                                             \
	F(X, UINT, limit, OPS_CTL_PAGE_MAX)
#define RECORD_result_ctl_doctor(F, O, X)                                                          \
	F(X, UINT, total, UINT32_MAX)                                                              \
	F(X, LIST, checks, OPS_CTL_PAGE_MAX)

#define RECORD_args_ctl_config(F, O, X)                                                            \
	F(X, UINT, offset, UINT32_MAX)                                                             \
	F(X, UINT, limit, OPS_CTL_PAGE_MAX)
#define RECORD_result_ctl_config(F, O, X)                                                          \
	F(X, UINT, total, UINT32_MAX)                                                              \
	F(X, LIST, options, OPS_CTL_PAGE_MAX)

/* Event, to the connection whose request `id` fails next; OPS_CTL_ANY: which is ended next. */
#define RECORD_args_ctl_reason(F, O, X)                                                            \
	F(X, UINT, id, OPS_CTL_ANY)                                                                \
	F(X, TEXT, text, OPS_CTL_TEXT_MAX)
#define RECORD_result_ctl_reason(F, O, X)

/* --- peers ------------------------------------------------------------------------------------ */

#define RECORD_args_ctl_peers(F, O, X)                                                             \
	F(X, UINT, offset, UINT32_MAX)                                                             \
	F(X, UINT, limit, OPS_CTL_PAGE_MAX)
#define RECORD_result_ctl_peers(F, O, X)                                                           \
	F(X, UINT, total, UINT32_MAX)                                                              \
	F(X, LIST, peers, OPS_CTL_PAGE_MAX)

#define RECORD_args_ctl_discovered(F, O, X)                                                        \
	F(X, UINT, offset, UINT32_MAX)                                                             \
	F(X, UINT, limit, OPS_CTL_PAGE_MAX)
/* `warning` says why the list may lack machines (no avahi); else it is empty. */
#define RECORD_result_ctl_discovered(F, O, X)                                                      \
	F(X, UINT, total, UINT32_MAX)                                                              \
	F(X, LIST, found, OPS_CTL_PAGE_MAX)                                                        \
	F(X, TEXT, warning, OPS_CTL_TEXT_MAX)

#define RECORD_args_ctl_peer_add(F, O, X) F(X, TEXT, address, OPS_CTL_ADDRESS_MAX)
/* `peer` is the paired peer that is known to be there; may be empty. */
#define RECORD_result_ctl_peer_add(F, O, X)                                                        \
	F(X, TEXT, address, OPS_CTL_ADDRESS_MAX)                                                   \
	F(X, TEXT, peer, OPS_CTL_NAME_MAX)

#define RECORD_args_ctl_peer_show(F, O, X)   F(X, TEXT, name, OPS_CTL_NAME_MAX)
#define RECORD_result_ctl_peer_show(F, O, X) F(X, RECORD, peer, ctl_peer)

#define RECORD_args_ctl_peer_rename(F, O, X)                                                       \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, new_name, OPS_CTL_NAME_MAX)
#define RECORD_result_ctl_peer_rename(F, O, X)

#define RECORD_args_ctl_peer_remove(F, O, X) F(X, TEXT, name, OPS_CTL_NAME_MAX)
#define RECORD_result_ctl_peer_remove(F, O, X)

#define RECORD_args_ctl_peer_allow(F, O, X)                                                        \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, permissions, OPS_CTL_NAME_MAX)
#define RECORD_result_ctl_peer_allow(F, O, X) F(X, TEXT, permissions, OPS_CTL_NAME_MAX)

/* --- pairing ---------------------------------------------------------------------------------- */

/*
 * Lasts until both sides said yes or something failed; events tell how it goes. It is cancelled
 * by a CANCEL frame and by the end of the connection. An empty address waits for the other side;
 * an empty name takes the peer's own; empty `allow` is the configured default.
 */
#define RECORD_args_ctl_pair(F, O, X)                                                              \
	F(X, TEXT, address, OPS_CTL_ADDRESS_MAX)                                                   \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, allow, OPS_CTL_NAME_MAX)                                                        \
	F(X, UINT, ttl_s, OPS_CTL_TTL_MAX)
#define RECORD_result_ctl_pair(F, O, X)                                                            \
	F(X, TEXT, peer, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, permissions, OPS_CTL_NAME_MAX)

/* Event: the window is open (or the address is being dialled). */
#define RECORD_args_ctl_pair_waiting(F, O, X)                                                      \
	F(X, UINT, port, UINT16_MAX)                                                               \
	F(X, UINT, ttl_s, OPS_CTL_TTL_MAX)                                                         \
	F(X, LIST, listen, 64) /* of ctl_address: where the other side can reach us */
#define RECORD_result_ctl_pair_waiting(F, O, X)

/* Event: both sides have the code; CTL_PAIR_ANSWER is awaited. */
#define RECORD_args_ctl_pair_code(F, O, X)                                                         \
	F(X, TEXT, code, 6) /* six digits */                                                       \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, id, 128)                                                                        \
	F(X, TEXT, fingerprint, 128)                                                               \
	F(X, TEXT, address, OPS_CTL_ADDRESS_MAX)                                                   \
	F(X, TEXT, permissions, OPS_CTL_NAME_MAX) /* that it will get */
#define RECORD_result_ctl_pair_code(F, O, X)

/* Of the pairing that runs on this connection; ENOENT when there is none. */
#define RECORD_args_ctl_pair_answer(F, O, X) F(X, BOOL, accept, 0)
#define RECORD_result_ctl_pair_answer(F, O, X)

/* --- what a peer is asked --------------------------------------------------------------------- */

/*
 * Asks a peer, as the mount does; an empty name asks this machine's own rooms the same way. `op` is
 * an operation of ops_peer.h with permission exec, kv or msg or one that streams (jobs, changes),
 * of this machine also one with permission local; `args` its encoded args; the reply is its encoded
 * result, or its error. Streams go through: data frames with this request's id and the peer's
 * channels, given credit by the caller as between peers (OPS_CTL_WINDOW bytes at first), and an end
 * frame; a CANCEL gives the call up, and so does the end of the connection.
 */
#define RECORD_args_ctl_call(F, O, X)                                                              \
	F(X, TEXT, peer, OPS_CTL_NAME_MAX)                                                         \
	F(X, UINT, op, UINT16_MAX)                                                                 \
	F(X, PAYLOAD, args, OPS_CTL_CALL_MAX)
#define RECORD_result_ctl_call(F, O, X) F(X, PAYLOAD, result, OPS_CTL_CALL_MAX)

/* --- keys ------------------------------------------------------------------------------------- */

/*
 * Presents an API key: this connection is limited to its scope from now on, and is ended, with a
 * CTL_REASON, when the key is revoked or replaced. EKEYREJECTED: there is no such key (any more).
 * EALREADY: one was presented before. An empty name is that of api.key, which has no limits.
 */
#define RECORD_args_ctl_key(F, O, X)   F(X, TEXT, key, OPS_CTL_SECRET_MAX)
#define RECORD_result_ctl_key(F, O, X) F(X, RECORD, key, ctl_key_info)

/* Whether the key of this connection allows something ("fs:ro") at a peer ("": this machine) that
 * is done without asking the daemon, as through the mount. EACCES: it does not. */
#define RECORD_args_ctl_may(F, O, X)                                                               \
	F(X, TEXT, peer, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, permissions, OPS_CTL_NAME_MAX)
#define RECORD_result_ctl_may(F, O, X)

/* Makes a named key, in place of an older one of that name; what is empty, permissions or peers
 * (names with commas between, "." as above), is as of the older one, or all. The answer alone has
 * the key. */
#define RECORD_args_ctl_key_generate(F, O, X)                                                      \
	F(X, TEXT, name, OPS_CTL_NAME_MAX)                                                         \
	F(X, TEXT, permissions, OPS_CTL_NAME_MAX)                                                  \
	F(X, TEXT, peers, OPS_CTL_PATH_MAX)
#define RECORD_result_ctl_key_generate(F, O, X)                                                    \
	F(X, TEXT, key, OPS_CTL_SECRET_MAX)                                                        \
	F(X, RECORD, info, ctl_key_info)

#define RECORD_args_ctl_keys(F, O, X)                                                              \
	F(X, UINT, offset, UINT32_MAX)                                                             \
	F(X, UINT, limit, OPS_CTL_PAGE_MAX)
#define RECORD_result_ctl_keys(F, O, X)                                                            \
	F(X, UINT, total, UINT32_MAX)                                                              \
	F(X, LIST, keys, OPS_CTL_PAGE_MAX)

/* It holds no more at once; answered when that is on the disk. */
#define RECORD_args_ctl_key_revoke(F, O, X) F(X, TEXT, name, OPS_CTL_NAME_MAX)
#define RECORD_result_ctl_key_revoke(F, O, X)

#define OPS_ctl_requests(OP)                                                                       \
	OP(1, CTL_STATUS, ctl_status, NONE, 0, "how the daemon is")                                \
	OP(2, CTL_STOP, ctl_stop, LOCAL, OP_MUTATES, "ends the daemon")                            \
	OP(3, CTL_DOCTOR, ctl_doctor, LOCAL, 0, "what the daemon finds wrong")                     \
	OP(4, CTL_CONFIG, ctl_config, LOCAL, 0, "the options in force")                            \
	OP(10, CTL_PEERS, ctl_peers, NONE, 0, "the paired peers")                                  \
	OP(11, CTL_DISCOVERED, ctl_discovered, LOCAL, 0, "machines that announce themselves")      \
	OP(12, CTL_PEER_ADD, ctl_peer_add, LOCAL, OP_MUTATES, "an address to look for peers at")   \
	OP(13, CTL_PEER_SHOW, ctl_peer_show, NONE, 0, "one peer")                                  \
	OP(14, CTL_PEER_RENAME, ctl_peer_rename, LOCAL, OP_MUTATES, "gives a peer another name")   \
	OP(15, CTL_PEER_REMOVE, ctl_peer_remove, LOCAL, OP_MUTATES, "unpairs a peer")              \
	OP(16, CTL_PEER_ALLOW, ctl_peer_allow, LOCAL, OP_MUTATES, "sets what a peer may do")       \
	OP(20, CTL_PAIR, ctl_pair, LOCAL, OP_MUTATES, "pairs with another machine")                \
	OP(21, CTL_PAIR_ANSWER, ctl_pair_answer, LOCAL, OP_MUTATES, "yes or no to the code")       \
	OP(30, CTL_CALL, ctl_call, NONE, OP_STREAMS, "asks a peer")                                \
	OP(40, CTL_KEY, ctl_key, NONE, 0, "presents an API key")                                   \
	OP(41, CTL_MAY, ctl_may, NONE, 0, "whether the key allows something")                      \
	OP(42, CTL_KEY_GENERATE, ctl_key_generate, LOCAL, OP_MUTATES, "makes a named key")         \
	OP(43, CTL_KEYS, ctl_keys, LOCAL, 0, "the named keys")                                     \
	OP(44, CTL_KEY_REVOKE, ctl_key_revoke, LOCAL, OP_MUTATES, "revokes a named key")

#define OPS_ctl_events(OP)                                                                         \
	OP(100, CTL_REASON, ctl_reason, LOCAL, OP_EVENT, "why the request fails, in words")        \
	OP(101, CTL_PAIR_WAITING, ctl_pair_waiting, LOCAL, OP_EVENT, "the pairing has begun")      \
	OP(102, CTL_PAIR_CODE, ctl_pair_code, LOCAL, OP_EVENT, "the six digits to compare")

#define OPS_ctl(OP) OPS_ctl_requests(OP) OPS_ctl_events(OP)

enum op_ctl_number { OPS_ctl(OP_NUMBER) };
OPS_ctl(OP_DECLARE)

    extern const struct op_table ops_ctl;

#endif
