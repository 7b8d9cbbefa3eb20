/*
 * Job list: the jobs that run on peers for this machine, or on this machine (the peer ""), asked
 * for and shown; and one of them by what a user calls it.
 */
#ifndef CTL_JOB_LIST_H
#define CTL_JOB_LIST_H

#include "ctl/context.h"
#include "ctl/remote.h"

/* What a command line with PEER JOB, or --here JOB, means; `n_more` words may follow. Returns
 * CONTEXT_OK, or CONTEXT_USAGE having said why. */
struct job_words {
	const char *peer; /* "": this machine */
	const char *job;
	const char *more; /* NULL: there is none */
};
int job_list_words(const struct context *context, unsigned n_more, struct job_words *ret_words);

/* {"name","peer","cmd","state","exit","signal","tty","started","bytes_kept","offset"}; the peer is
 * where it runs, of jobs on this machine who started it */
json_t *job_list_json(const char *peer, const struct job_info *info);

/* Calls `each` for all jobs of this machine on the peer, oldest first; for the peer "", for all
 * jobs on this machine, one peer's after the other's. Returns 0 or -errno, with *ret_reason what
 * was said about it, as remote_ask. */
int job_list_each(struct remote *remote, const char *peer,
		  void (*each)(void *arg, const struct job_info *info), void *arg,
		  const char **ret_reason);

/* The job that is called `text`: by its name, the beginning of one name only, or its number; on
 * this machine also with its peer's name and a slash before it. Returns 0, or a negative errno
 * having said why. Texts in *ret_info are empty. */
int job_list_find(const struct context *context, struct remote *remote, const char *peer,
		  const char *text, struct job_info *ret_info);

/* Complains about a failed remote_ask. Returns CONTEXT_FAILURE. */
int job_list_complain(const struct context *context, int error, const char *reason);

#endif
