/*
 * The local control socket: loopsyctl's way into the daemon.
 *
 * daemon/control owns the socket, the frames, the limits and the decoding; the daemon gives a
 * table with a function for each request of proto/ops_ctl.h. Each call is answered exactly once,
 * by control_reply or control_fail, at once or at any later time, on the loop's thread.
 */
#ifndef DAEMON_CONTROL_CONTROL_H
#define DAEMON_CONTROL_CONTROL_H

#include <uv.h>

#include "proto/codec.h"
#include "proto/ops_ctl.h"

struct control_socket;
struct control_call;

/* One function per request. `args` and the bytes it points to live until the function returns:
 * copy to keep. A NULL member is answered with ENOSYS. */
#define CONTROL_ACTION(number, NAME, name, permission, flags, summary)                             \
	void (*name)(void *arg, struct control_call *call, const struct args_##name *args);
struct control_actions {
	OPS_ctl_requests(CONTROL_ACTION)
	    /* In place of the function: the caller's key is limited, and the operation is none for
	     * such. Answers, with EACCES. */
	    void (*refused)(void *arg, struct control_call *call, const struct op *op);
};

/* Answers with the operation's result struct, which is copied; `call` is gone after it. */
void control_reply(struct control_call *call, const void *result);

/* Answers with an errno (negative) and a line for people that says what is wrong and what to do
 * ("no peer is called 'desk'"). `call` is gone after it. */
void control_fail(struct control_call *call, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sends an event (OP_CTL_PAIR_CODE…, its args struct) to the caller of a call that is not answered
 * yet. */
void control_event(struct control_call *call, uint16_t op, const void *args);

/* `cancelled(cancel_arg)` is called once if the caller gives up or goes before the call is
 * answered, or before its stream ends. The room then stops its work; it still answers or ends the
 * stream, before or after that returns, and that is dropped if nobody is there. */
void control_on_cancel(struct control_call *call, void (*cancelled)(void *cancel_arg),
		       void *cancel_arg);

/*
 * Streams to the caller. control_stream_begin answers like control_reply, but the call lives on as
 * a stream until control_stream_end. Nothing is queued beyond the window: of what was written, at
 * most OPS_CTL_WINDOW bytes are those for which the caller has not given credit. `credit` is called
 * when it has: so many bytes of `channel` are dealt with. Returns 0 or -errno; then nothing was
 * answered.
 */
int control_stream_begin(struct control_call *call, const void *result,
			 void (*credit)(void *credit_arg, unsigned channel, size_t bytes),
			 void *credit_arg);
/* Bytes that may be written now. */
size_t control_stream_room(const struct control_call *call);
/* Sends data (copied), at most FRAME_STREAM_DATA_MAX bytes and at most the room. Returns 0, also if
 * the caller has gone, or -errno. */
int control_stream_write(struct control_call *call, unsigned channel, struct bytes data);
/* Ends it, with 0 or the negative errno why it broke; `call` is gone. */
void control_stream_end(struct control_call *call, int error);

/* Equal for calls of the same connection, never 0, and never used again by another one: how
 * CTL_PAIR_ANSWER finds its CTL_PAIR. */
uint64_t control_connection(const struct control_call *call);

/* The connection of that call has presented a key (the daemon's number for it, not 0), once. With
 * `is_limited`, only operations with permission none are let through from now on. */
void control_set_key(struct control_call *call, uint64_t key, bool is_limited);
/* The number of the key that was presented; 0: none. */
uint64_t control_key(const struct control_call *call);

/* What a paged reply (total, list) is built with. */
struct control_page {
	uint64_t offset, limit;
	uint64_t total;   /* elements offered so far */
	bool full;        /* no more is taken: what follows is only counted */
	struct list list; /* the reply's list, once finished */
	struct buffer elements;
};

void control_page_init(struct control_page *page, uint64_t offset, uint64_t limit);
/* Offers the next element; takes it if it is within the page and the reply has room. Returns 0,
 * -ENOMEM or -EINVAL. */
int control_page_offer(struct control_page *page, const struct record *record, const void *value);
/* Sets page->list; valid until deinit. */
void control_page_finish(struct control_page *page);
void control_page_deinit(struct control_page *page);

/*
 * Listens at `path` (replacing a socket that a killed daemon left: the caller holds the instance
 * lock). The directory must be there, 0700. Only callers of our own uid, or root, are heard.
 * `actions` and `actions_arg` are borrowed until the socket is closed. Returns 0 or -errno.
 */
int control_socket_open(uv_loop_t *loop, const char *path, const struct control_actions *actions,
			void *actions_arg, struct control_socket **ret_socket);

/* Ends the connections that have presented that key, having told them why. */
void control_end_key(struct control_socket *socket, uint64_t key, const char *why);

/*
 * Stops listening, removes the socket's file, cancels open calls and closes the connections
 * (answers already given have been handed to the system, but for more than a socket holds); calls
 * `closed(closed_arg)` when all is freed. Answers given to calls after this are dropped.
 */
void control_socket_close(struct control_socket *socket, void (*closed)(void *closed_arg),
			  void *closed_arg);

#endif
