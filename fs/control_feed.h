/*
 * Control feeds: the output of jobs as it comes, for the readers of stdout, stderr and exec.
 *
 * A feed is one stream of a job (JOB_ATTACH, or exec's JOB_START) and a window of its bytes. All
 * readers of a job whose next byte is in that window share it; the fastest gives credit for more,
 * and who falls behind it leaves the feed and gets one of its own when it reads on: a slow reader
 * delays nobody, and many who wait cost one stream.
 *
 * When the link breaks the feed attaches again, behind the last byte that it has.
 */
#ifndef FS_CONTROL_FEED_H
#define FS_CONTROL_FEED_H

#include "fs/control_job.h"

#define CONTROL_FEED_KEPT (64 * 1024) /* bytes that were passed, for readers who come later */
#define CONTROL_FEEDS_MAX 128         /* of one peer: other streams need room, too */
#define CONTROL_FEED_RUNS 16384       /* changes between stdout and stderr in a window */

/* Starts exec's job: `handle` reads its output from now on, and the job goes with it. `req` is
 * answered with `written` (see control_write_go_on) or an error. Returns 0 or -errno (then req is
 * not answered). */
int control_feed_exec(struct control_handle *handle, struct bytes line, fuse_req_t req,
		      size_t written);
/* Whether that was done already, and not refused. */
bool control_feed_is_used(const struct control_handle *handle);

#endif
