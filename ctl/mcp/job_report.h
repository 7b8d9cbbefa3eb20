/*
 * What tools say of a job and its output.
 */
#ifndef CTL_MCP_JOB_REPORT_H
#define CTL_MCP_JOB_REPORT_H

#include "ctl/mcp/job_follow.h"
#include "ctl/mcp/tool.h"

#define JOB_REPORT_BYTES     8192 /* of output in a reply, unless told otherwise */
#define JOB_REPORT_BYTES_MIN 256
#define JOB_REPORT_BYTES_MAX 65536

#define JOB_REPORT_FIELD_PEER                                                                      \
	{                                                                                          \
		"peer", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_CTL_NAME_MAX         \
	}
#define JOB_REPORT_FIELD_JOB                                                                       \
	{                                                                                          \
		"job", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_JOB_NAME_MAX          \
	}
#define JOB_REPORT_FIELD_MAX                                                                       \
	{                                                                                          \
		"max_bytes", SCHEMA_INTEGER, .min = JOB_REPORT_BYTES_MIN,                          \
					     .max = JOB_REPORT_BYTES_MAX,                          \
					     .description = "of output in the reply (8192)"        \
	}

/* What job_report_answer says. */
extern const struct schema_field job_report_fields[];
/* NULL-terminated, by enum job_state. */
extern const char *const job_report_states[];

/* Bytes of JSON that an output may take in each form of the reply: it is in the text and in the
 * structured part, and both together stay below max_bytes and a half. */
size_t job_report_room(const struct mcp_call *call, const json_t *arguments);

/* Where the log of a job is in the mount; NULL if there is no mount, or without memory. Malloc'ed.
 */
char *job_report_log_path(struct mcp_call *call, const char *peer, const char *name);

/* "exit 3", "killed by signal 9", "it runs": malloc'ed. */
char *job_report_state(const struct job_followed *followed);

/* Answers the call. A job that ended, and all of whose output is in the reply, need not be kept:
 * with `may_forget` true is returned then, and the reply does not name it. */
bool job_report_answer(struct mcp_call *call, const char *peer, struct job_followed *followed,
		       size_t room, bool may_forget);

#endif
