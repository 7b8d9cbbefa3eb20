/* What a job finds in its environment: ours without what is the daemon's own, then its peer's. */
#ifndef DAEMON_JOBS_JOB_ENV_H
#define DAEMON_JOBS_JOB_ENV_H

#include <stddef.h>

/* A list of "K=V", ended by NULL. Zero-initialised. */
struct job_env {
	char **items;
	size_t n, capacity;
};

void job_env_deinit(struct job_env *env);
/* Sets a variable. Returns 0 or -ENOMEM. */
int job_env_set(struct job_env *env, const char *name, const char *value);
/* The same for "K=V" of that size, which is copied. -EINVAL: it has no '=', no name, or a NUL. */
int job_env_put(struct job_env *env, const char *text, size_t size);
/* The value, or NULL. */
const char *job_env_get(const struct job_env *env, const char *name);

/* From a process's environment: without variables that are about the daemon, with those that every
 * program may expect. 0 or -ENOMEM. */
int job_env_base(struct job_env *env, char *const *environment);
int job_env_copy(struct job_env *env, const struct job_env *from);

/* `term` if this machine knows it, else the nearest that it does. `home`: the user's terminfo. On a
 * thread: looks into directories. Returns static text, or `term`. */
const char *job_env_choose_term(const char *term, const char *home);

#endif
