/*
 * The program loopsyd: found, and run for one of its verbs (README.md lists them).
 */
#ifndef CTL_DAEMON_PROGRAM_H
#define CTL_DAEMON_PROGRAM_H

#include <sys/types.h>

#include "ctl/context.h"

#define DAEMON_PROGRAM_ARGUMENTS_MAX 32

/* The program's path, malloc'ed: $LOOPSYD, else beside loopsyctl, else in PATH. NULL when there is
 * none. */
char *daemon_program_find(void);

/*
 * The argument vector for a verb: program, --home where it was asked for, the verb and `arguments`
 * (NULL-terminated). Borrows all strings. Returns 0 or -E2BIG.
 */
int daemon_program_arguments(const struct context *context, const char *program, const char *verb,
			     const char *const *arguments,
			     const char *ret_argv[DAEMON_PROGRAM_ARGUMENTS_MAX]);

/*
 * Runs a verb to its end; stderr is ours. With `ret_output` its stdout goes there (malloc'ed,
 * terminated), else to context->out. Returns its exit status, or CONTEXT_FAILURE having said why it
 * could not be run.
 */
int daemon_program_run(const struct context *context, const char *verb,
		       const char *const *arguments, char **ret_output);

/* As above, but what it says on stderr is returned too (malloc'ed) instead of shown. Either may be
 * NULL. */
int daemon_program_ask(const struct context *context, const char *verb,
		       const char *const *arguments, char **ret_output, char **ret_error);

#endif
