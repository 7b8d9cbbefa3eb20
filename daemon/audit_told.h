/*
 * What the rooms tell of what peers did here, as lines of the audit log: jobs, values and messages
 * have one each time, where a file operation is only counted.
 */
#ifndef DAEMON_AUDIT_TOLD_H
#define DAEMON_AUDIT_TOLD_H

#include "daemon/jobs/jobs.h"
#include "daemon/kv/kv.h"
#include "daemon/msg/msg.h"

/* `arg` is the struct daemon, as in the rooms' options. */

/* A job was started, refused, or has ended (jobs_options.told). */
void audit_told_job(void *arg, const char *peer, const struct job_info *info, int error,
		    int64_t duration_ms);
/* A shared value was changed here (kv_options.told). */
void audit_told_kv(void *arg, const struct kv_told *told);
/* A message came or went (msg_options.told). */
void audit_told_msg(void *arg, const struct msg_told *told);

#endif
