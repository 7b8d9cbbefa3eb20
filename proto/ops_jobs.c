#include "proto/ops_jobs.h"

#include <errno.h>

#include "proto/ops_peer.h"

static const char *start_error(int error)
{
	switch (error) {
	case -ENOENT:
		return "there is no such directory on %s, or it is not shown to this machine";
	case -ENOTDIR:
		return "that is not a directory on %s";
	case -EPERM:
		return "that command is denied on %s (exec_allow and exec_deny in its loopsy.conf)";
	case -EAGAIN:
		return "too many jobs of this machine run on %s (max_jobs in its loopsy.conf)";
	case -EEXIST:
		return "a job of that name runs on %s";
	case -E2BIG:
	case -EMSGSIZE:
		return "the command is too long for %s";
	default:
		return NULL;
	}
}

const char *ops_jobs_error(uint16_t op, int error)
{
	const char *text = op == OP_JOB_START ? start_error(error) : NULL;

	if (text)
		return text;
	switch (error) {
	case -EACCES:
		return "%s does not let this machine run programs ('exec' of loopsyctl peers "
		       "allow, "
		       "there)";
	case -ENOENT:
		return "no such job on %s";
	case -ERANGE:
		return "that much of the job's output is not kept any more on %s";
	case -ESRCH:
		return "the job on %s has ended";
	case -EBUSY:
		return "the job on %s is still running";
	case -ENOTTY:
		return "the job on %s has no terminal";
	case -EPIPE:
		return "the job on %s does not read its input any more";
	case -ESHUTDOWN:
		return "loopsyd on %s was stopped, and its jobs with it";
	case -ENFILE:
		return "too many streams are open to %s (max_streams in its loopsy.conf)";
	default:
		return NULL;
	}
}
