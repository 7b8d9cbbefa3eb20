/*
 * A connection to loopsyd's control socket: requests out, replies and events in, one at a time.
 */
#ifndef CTL_LOCAL_CLIENT_H
#define CTL_LOCAL_CLIENT_H

#include <sys/types.h>

#include "proto/frame.h"
#include "proto/ops_ctl.h"

struct local_client {
	int fd;
	pid_t pid; /* of the daemon; 0 if the system does not say */
	uint64_t last_id;
	struct buffer input;
	size_t n_read;                     /* bytes of input that are dealt with */
	char reason[OPS_CTL_TEXT_MAX + 1]; /* why the last request failed; may be empty */
	uint64_t reason_id;                /* of which request; OPS_CTL_ANY: of the end */
	int interrupt_fd;                  /* borrowed; -1: none */
};

/* How long a daemon that is alive may take for an answer, in milliseconds. */
#define LOCAL_CLIENT_TIMEOUT_MS 60000

/* Returns 0, -ENOENT or -ECONNREFUSED when no daemon runs, -ETIMEDOUT when it does not answer, or
 * another -errno. *ret_client is freed with local_client_free. */
int local_client_new(const char *path, struct local_client **ret_client);
struct local_client *local_client_free(struct local_client *client);

/* From now on everything that waits here ends with -ECANCELED when `fd` (an eventfd; borrowed; -1:
 * none) is readable. The connection is then to be freed: an answer may still be under way. */
void local_client_set_interrupt(struct local_client *client, int fd);
/* Until there is something to read, or (`events` as for poll) room to send. Returns 0, -ETIMEDOUT,
 * -ECANCELED or another -errno. `timeout_ms` -1 waits for ever. */
int local_client_wait(const struct local_client *client, short events, int timeout_ms);

/* Sends a request; returns 0 or -errno. `ret_id` may be NULL. */
int local_client_send(struct local_client *client, uint16_t op, const void *args, uint64_t *ret_id);

/*
 * The next frame (CTL_REASON is kept aside and not returned). Its bytes are valid until the next
 * call. `timeout_ms` -1 waits for ever, 0 takes what has arrived. Returns 0, -ETIMEDOUT,
 * -ECONNRESET when the daemon has gone, -EKEYREVOKED when it has ended the connection because the
 * key that was presented holds no more (`reason` says so), or -EBADMSG.
 */
int local_client_receive(struct local_client *client, int timeout_ms, struct frame *ret_frame);

/* The two halves of it. Takes the next frame of what was read: 1, 0 when there is none, -EBADMSG.
 */
int local_client_take(struct local_client *client, struct frame *ret_frame);
/* Reads what there is, once: 0, -EAGAIN when there is nothing, -ECONNRESET, -EKEYREVOKED or another
 * -errno. */
int local_client_fill(struct local_client *client);

/* Sends a request and waits for its reply, dropping events. `result` may be NULL. Returns 0 or
 * -errno, the daemon's or as above. */
int local_client_call(struct local_client *client, uint16_t op, const void *args, void *result);

#endif
