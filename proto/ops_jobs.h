/*
 * The operations on jobs: programs that run on the peer. A part of ops_peer.h, which includes it.
 *
 * A job is meant by `job`, a number that its starter chose at random, or where that is 0 by `name`.
 * A peer sees only the jobs that it started; the machine's own user sees those of all by `job`.
 *
 * What a job writes is one sequence of bytes with absolute offsets from 0, kept in a ring of
 * bounded size: `kept` is the offset of the first byte that can still be read, `end` that behind
 * the last. Each piece of it was written to standard output or to standard error; a terminal has
 * only the former. JOB_START with JOB_ATTACH, and JOB_ATTACH, answer with a stream of it:
 *
 *     channel 0   standard output, or the terminal
 *     channel 1   standard error
 *     channel 2   encoded job_infos: one when the job has ended, after the last byte that it had
 *                 written by then; what comes later was written by what it left behind
 *
 * Both kinds of output are sent in the order of the sequence, so a reader knows its offset by
 * counting the bytes of channels 0 and 1. The stream ends (status 0) when the output has; it breaks
 * with ENOTCONN with its link, and the client attaches again at its offset; with ESHUTDOWN because
 * the daemon stops, and the job with it. A client that gives its stream up (CANCEL) with JOB_OWNER
 * set takes the job with it: SIGHUP, and SIGKILL 5 s later.
 */
#ifndef PROTO_OPS_JOBS_H
#define PROTO_OPS_JOBS_H

#include "proto/ops.h"

#define OPS_JOB_NAME_MAX    64 /* of [A-Za-z0-9._-], not beginning with a dot or a dash */
#define OPS_JOB_WORDS_MAX   4096
#define OPS_JOB_WORD_MAX    (128 * 1024)
#define OPS_JOB_CMD_MAX     1024
#define OPS_JOB_SIZE_MAX    10000 /* rows, columns */
#define OPS_JOB_PAGE_MAX    256
#define OPS_JOB_TIMEOUT_MAX (366ull * 24 * 3600 * 1000)
#define OPS_JOB_TITLE_MAX   1024

enum job_channel { JOB_STDOUT = 0, JOB_STDERR = 1, JOB_NOTICES = 2 };

enum job_flags {
	JOB_TTY = 1 << 0,    /* a terminal of rows x cols; standard error goes there too */
	JOB_STDIN = 1 << 1,  /* JOB_WRITE follows; else standard input is /dev/null */
	JOB_MERGED = 1 << 2, /* standard error is the same pipe as standard output */
	JOB_ATTACH = 1 << 3, /* its output follows the reply as a stream */
	/* It belongs to that stream: it ends with the client, and some time after the link. Else it
	 * is detached: it lives until it ends. */
	JOB_OWNER = 1 << 4,
	JOB_LOGIN = 1 << 5, /* a login shell; argv and line are empty */
	JOB_SCREEN =
	    1 << 6, /* the stream begins with what makes a terminal show the screen as it is */
	JOB_FLAGS_ALL = (1 << 7) - 1,
};

enum job_state {
	JOB_RUNNING = 0,
	JOB_EXITED = 1, /* with `exit`; 124: its time was over */
	JOB_KILLED = 2, /* by `signal` */
	JOB_LOST = 3,   /* loopsyd ended before it did, how it ended is not known */
	JOB_STATE_MAX = 3,
};

/* An element of JOB_START's lists. */
#define RECORD_job_word(F, O, X) F(X, BIN, text, OPS_JOB_WORD_MAX) /* no NUL within */
RECORD_DECLARE(job_word)

#define RECORD_job_info(F, O, X)                                                                   \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)                                                         \
	F(X, TEXT, cmd, OPS_JOB_CMD_MAX) /* as a shell would take it, cut; for people */           \
	F(X, UINT, state, JOB_STATE_MAX)                                                           \
	F(X, UINT, exit, 255)                                                                      \
	F(X, UINT, signal, 255)                                                                    \
	F(X, BOOL, tty, 0)                                                                         \
	F(X, BOOL, detached, 0)                                                                    \
	F(X, TIME, started, 0)                                                                     \
	F(X, TIME, ended, 0)      /* 0: it runs */                                                 \
	F(X, UINT, kept, OPS_ANY) /* offsets of its output, see above */                           \
	F(X, UINT, end, OPS_ANY)                                                                   \
	F(X, UINT, n_clients, UINT32_MAX) /* attached now */                                       \
	F(X, UINT, stdin_end, OPS_ANY)    /* bytes of standard input that were taken */            \
	F(X, UINT, rows, OPS_JOB_SIZE_MAX)                                                         \
	F(X, UINT, cols, OPS_JOB_SIZE_MAX)                                                         \
	O(X, TEXT, peer, OPS_JOB_NAME_MAX) /* who started it; only with JOB_LIST's `all` */
RECORD_DECLARE(job_info)

/*
 * One of `argv`, `line` (for the user's shell) and JOB_LOGIN. With the number of a job that is
 * there it starts nothing and answers for that one, so that it can be asked again. An empty name is
 * made of the command's. `cwd`: empty is the home directory; beginning with '/', a path on the
 * peer; else one below what the peer shows at its top. It must be a directory that the peer shows,
 * but for the home. `env` are of the form K=V. A command that cannot be executed is a job that says
 * so on its standard error and exits with 127 (not found) or 126. ENOENT, ENOTDIR: the directory;
 * EPERM: a command name that is denied; EAGAIN: too many jobs; EEXIST: a job that runs has that
 * name; EINVAL: no such name, size or variable.
 */
#define RECORD_args_job_start(F, O, X)                                                             \
	F(X, UINT, job, OPS_ANY) /* not 0 */                                                       \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)                                                         \
	F(X, UINT, flags, JOB_FLAGS_ALL)                                                           \
	F(X, LIST, argv, OPS_JOB_WORDS_MAX) /* of job_word */                                      \
	F(X, BIN, line, OPS_JOB_WORD_MAX)                                                          \
	F(X, LIST, env, OPS_JOB_WORDS_MAX) /* of job_word */                                       \
	F(X, BIN, cwd, OPS_TARGET_MAX)                                                             \
	F(X, TEXT, term, OPS_JOB_NAME_MAX) /* TERM; the terminal's */                              \
	F(X, UINT, rows, OPS_JOB_SIZE_MAX)                                                         \
	F(X, UINT, cols, OPS_JOB_SIZE_MAX)                                                         \
	F(X, UINT, timeout_ms, OPS_JOB_TIMEOUT_MAX) /* 0: none */
#define RECORD_result_job_start(F, O, X) F(X, RECORD, info, job_info)

/* From `offset` on (OPS_ANY: from where it is now), to the end and on. ERANGE: that is not kept any
 * more. Of `flags`, JOB_OWNER makes this the client that the job belongs to, JOB_SCREEN takes a
 * terminal's screen as of now in the place of an offset. Rows and cols, where not 0, are its new
 * size. `offset` of the result is that of the first byte that follows (the screen is not counted).
 */
#define RECORD_args_job_attach(F, O, X)                                                            \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)                                                         \
	F(X, UINT, flags, JOB_FLAGS_ALL)                                                           \
	F(X, UINT, offset, OPS_ANY)                                                                \
	F(X, UINT, rows, OPS_JOB_SIZE_MAX)                                                         \
	F(X, UINT, cols, OPS_JOB_SIZE_MAX)
#define RECORD_result_job_attach(F, O, X)                                                          \
	F(X, RECORD, info, job_info)                                                               \
	F(X, UINT, offset, OPS_ANY)                                                                \
	F(X, UINT, screen_size, OPS_ANY) /* bytes of channel 0 that come first and are the screen  \
					  */

/* Standard input. `offset` is that of the first byte of data in all that is written (OPS_ANY:
 * behind what came before); what was taken already is left out, a gap is EINVAL. Answered when all
 * of it is taken over, which may be long. EPIPE: nobody reads it any more. */
#define RECORD_args_job_write(F, O, X)                                                             \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)                                                         \
	F(X, UINT, offset, OPS_ANY)                                                                \
	F(X, BOOL, eof, 0) /* this is the last; a terminal gets its end-of-file character */       \
	F(X, PAYLOAD, data, OPS_IO_MAX)
#define RECORD_result_job_write(F, O, X) F(X, UINT, end, OPS_ANY)

/* What was written, without waiting: at most `size` bytes from `offset` on, both kinds of output.
 */
#define RECORD_args_job_read(F, O, X)                                                              \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)                                                         \
	F(X, UINT, offset, OPS_ANY)                                                                \
	F(X, UINT, size, OPS_IO_MAX)
#define RECORD_result_job_read(F, O, X)                                                            \
	F(X, UINT, kept, OPS_ANY)                                                                  \
	F(X, UINT, end, OPS_ANY)                                                                   \
	F(X, BOOL, eof, 0) /* `end` will not grow */                                               \
	F(X, PAYLOAD, data, OPS_IO_MAX)

/* To the whole process group. With kill_after_ms, SIGKILL follows if it has not ended by then.
 * ESRCH: it has ended. */
#define RECORD_args_job_signal(F, O, X)                                                            \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)                                                         \
	F(X, UINT, signal, 64)                                                                     \
	F(X, UINT, kill_after_ms, OPS_JOB_TIMEOUT_MAX)
#define RECORD_result_job_signal(F, O, X)

/* ENOTTY: it has no terminal. */
#define RECORD_args_job_resize(F, O, X)                                                            \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)                                                         \
	F(X, UINT, rows, OPS_JOB_SIZE_MAX)                                                         \
	F(X, UINT, cols, OPS_JOB_SIZE_MAX)
#define RECORD_result_job_resize(F, O, X)                                                          \
	O(X, BOOL, same, 0) /* it had that size: its program is told nothing */

/* From now on it lives until it ends. */
#define RECORD_args_job_detach(F, O, X)                                                            \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)
#define RECORD_result_job_detach(F, O, X)

/* Answered when it has ended; CANCEL ends the waiting. */
#define RECORD_args_job_wait(F, O, X)                                                              \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)
#define RECORD_result_job_wait(F, O, X) F(X, RECORD, info, job_info)

#define RECORD_args_job_status(F, O, X)                                                            \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)
#define RECORD_result_job_status(F, O, X) F(X, RECORD, info, job_info)

/* Running and finished ones, oldest first. EACCES: `all` is for the machine's own user. */
#define RECORD_args_job_list(F, O, X)                                                              \
	F(X, UINT, offset, UINT32_MAX)                                                             \
	F(X, UINT, limit, OPS_JOB_PAGE_MAX)                                                        \
	O(X, BOOL, all, 0) /* those of all peers, one peer's after the other's */
#define RECORD_result_job_list(F, O, X)                                                            \
	F(X, UINT, total, UINT32_MAX)                                                              \
	F(X, LIST, jobs, OPS_JOB_PAGE_MAX) /* of job_info */

/* EBUSY: it runs. */
#define RECORD_args_job_remove(F, O, X)                                                            \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)
#define RECORD_result_job_remove(F, O, X)

/* What a terminal shows, as UTF-8 text: `scrollback` lines above the screen, then the screen, each
 * with a newline, trailing blanks left out. ENOTTY: it has no terminal. */
#define RECORD_args_job_screen(F, O, X)                                                            \
	F(X, UINT, job, OPS_ANY)                                                                   \
	F(X, TEXT, name, OPS_JOB_NAME_MAX)                                                         \
	F(X, UINT, scrollback, UINT16_MAX)
#define RECORD_result_job_screen(F, O, X)                                                          \
	F(X, UINT, rows, OPS_JOB_SIZE_MAX)                                                         \
	F(X, UINT, cols, OPS_JOB_SIZE_MAX)                                                         \
	F(X, UINT, cursor_row, OPS_JOB_SIZE_MAX) /* from 0 */                                      \
	F(X, UINT, cursor_col, OPS_JOB_SIZE_MAX)                                                   \
	F(X, TEXT, title, OPS_JOB_TITLE_MAX)                                                       \
	F(X, PAYLOAD, text, OPS_IO_MAX)

/* A stream: on channel 0 an encoded job_info whenever a job was started, ended or removed (its
 * `state` tells; a removed one has job 0). */
#define RECORD_args_job_events(F, O, X) F(X, UINT, unused, OPS_ANY)
#define RECORD_result_job_events(F, O, X)

#define OPS_jobs(OP)                                                                               \
	OP(60, JOB_START, job_start, EXEC, OP_STREAMS, "runs a program")                           \
	OP(61, JOB_ATTACH, job_attach, EXEC, OP_STREAMS, "follows what a job writes")              \
	OP(62, JOB_WRITE, job_write, EXEC, OP_MUTATES | OP_TYPED, "standard input for a job")      \
	OP(63, JOB_READ, job_read, EXEC, OP_REPEATABLE, "what a job wrote")                        \
	OP(64, JOB_SIGNAL, job_signal, EXEC, OP_MUTATES, "sends a job a signal")                   \
	OP(65, JOB_RESIZE, job_resize, EXEC, OP_REPEATABLE | OP_LAZY,                              \
	   "another size for a job's terminal")                                                    \
	OP(66, JOB_DETACH, job_detach, EXEC, OP_REPEATABLE, "lets a job outlive its client")       \
	OP(67, JOB_WAIT, job_wait, EXEC, OP_REPEATABLE, "waits for a job's end")                   \
	OP(68, JOB_STATUS, job_status, EXEC, OP_REPEATABLE, "one job")                             \
	OP(69, JOB_LIST, job_list, EXEC, OP_REPEATABLE, "all jobs of the asking peer")             \
	OP(70, JOB_REMOVE, job_remove, EXEC, OP_MUTATES, "forgets a finished job")                 \
	OP(71, JOB_SCREEN, job_screen, EXEC, OP_REPEATABLE, "what a job's terminal shows")         \
	OP(72, JOB_EVENTS, job_events, EXEC, OP_STREAMS, "tells of starts and ends of jobs")

/* Why an operation on jobs failed, for people: "no such directory on desk" is made of `peer`, the
 * peer's name. Returns a static format with one %s for it, or NULL where errno's own text is as
 * good. `op` is the operation's number, `error` the negative errno. */
const char *ops_jobs_error(uint16_t op, int error);

#endif
