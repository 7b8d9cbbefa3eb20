/*
 * Control errors: what went wrong lately, in words: the content of `last-error`.
 *
 * A shell's `cat last-error` is another process than the one that failed: a child of it, or of
 * whoever started both. So an error is kept with the process that got it and that one's parent, and
 * a reader gets the newest one of the nearest relation: its own, its parent's or of a child of its
 * parent's, and so on up; where there is none, the newest one of the same user.
 */
#ifndef FS_CONTROL_ERRORS_H
#define FS_CONTROL_ERRORS_H

#include "fs/peer.h"

struct control_errors;

/* Remembers why a request of a process failed, for `peer`'s last-error (may be NULL) and the local
 * machine's. */
void control_errors_note(fuse_req_t req, struct fs_peer *peer, const char *text);

/* Answers with an error (negative), and remembers it: "WHAT: WHY". `why` NULL: what the errno means
 * as an answer to `op` (0: to none). */
void control_errors_reply(fuse_req_t req, struct fs_peer *peer, const char *what, uint16_t op,
			  int error, const char *why);

/* Appends the line for the process and user that `req` comes from. 0 or -errno. */
int control_errors_print(fuse_req_t req, const struct fs_peer *peer, struct buffer *text);

/* The process that a thread belongs to; the thread itself where that is not to be seen. */
pid_t control_errors_process(pid_t tid);
/* Whether the thread is on its way out because of a signal: what it had open is closed for it. */
bool control_errors_was_killed(pid_t tid);

#endif
