/*
 * loopsyd's end of a connection, played by the test itself: a socket in a directory of its own in
 * /tmp, and the remote (ctl/remote.h) that is connected to it.
 */
#ifndef TESTS_UNIT_CTL_LOOPSYD_END_H
#define TESTS_UNIT_CTL_LOOPSYD_END_H

#include "ctl/remote.h"
#include "proto/frame.h"

struct loopsyd_end {
	char path[64];
	int listener;
	int fd; /* -1: closed by the test */
	struct remote *remote;
};

void loopsyd_end_init(struct loopsyd_end *end);
void loopsyd_end_deinit(struct loopsyd_end *end);
/* The connection ends here. */
void loopsyd_end_close(struct loopsyd_end *end);

void loopsyd_end_send(struct loopsyd_end *end, const struct frame *frame,
		      const struct record *record, const void *value);
/* Why the answer to call `id` will be what it is. */
void loopsyd_end_send_reason(struct loopsyd_end *end, uint64_t id, const char *text);
/* An answer without a result; error: 0 or -errno. */
void loopsyd_end_send_status(struct loopsyd_end *end, uint64_t id, int error);

#endif
