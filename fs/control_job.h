/*
 * Control jobs: what the mount knows of jobs on a peer: what is set for one before it is started,
 * and who follows one.
 *
 *     NEW ── a line in cmd ──> STARTING ── the peer's answer ──> STARTED
 *      ^                          └── it failed ──┘ (back to NEW)
 *
 * A NEW one exists in the mount only, until it is removed or started. Of STARTED ones there is a
 * struct only as long as somebody uses it; all else about them the peer is asked.
 */
#ifndef FS_CONTROL_JOB_H
#define FS_CONTROL_JOB_H

#include "fs/control_ask.h"

/* Bytes of a START that a frame has room for: environment, directory and command. */
#define CONTROL_JOB_START_MAX (160 * 1024)

struct control_feed;
struct control_handle;
struct control_input;

enum control_job_state { CONTROL_JOB_NEW, CONTROL_JOB_STARTING, CONTROL_JOB_STARTED };

struct control_job {
	struct fs_peer *peer;
	struct control_job *prev, *next; /* peer->control.jobs */
	unsigned refs;                   /* nodes, open files, calls; and not being STARTED */
	enum control_job_state state;
	bool is_removed;
	uint64_t number;
	char name[OPS_JOB_NAME_MAX + 1]; /* empty: exec's */

	/* settings */
	char *cwd, *cmd;     /* NULL: not set */
	struct buffer env;   /* NAME=VALUE, each with a NUL behind it */
	unsigned rows, cols; /* 0: no terminal */

	/* control_feed.c */
	struct control_feed *feeds;

	/* how it ended, and who waits for that (control_wait.c) */
	bool has_ended;
	struct job_info end; /* its texts are void */
	struct control_ask *wait;
	int wait_error;
	struct control_handle *waiters;

	uint64_t size; /* of its log, when last asked */

	/* control_input.c: bytes for its stdin, in order; the first is under way */
	struct control_input *inputs, **inputs_end;
};

bool control_job_name_is_good(struct bytes name);

/* With one reference. NULL: no memory. */
struct control_job *control_job_new(struct fs_peer *peer, struct bytes name, uint64_t number,
				    enum control_job_state state);
struct control_job *control_job_ref(struct control_job *job);
void control_job_unref(struct control_job *job);

/* One that the mount knows of and that is not removed, or NULL. */
struct control_job *control_job_find(struct fs_peer *peer, struct bytes name);

struct control_job *control_job_find_number(struct fs_peer *peer, uint64_t number);

/* A random number for a new one; not 0. */
uint64_t control_job_number(void);

/* It is gone, or never came to be: nobody finds it any more. */
void control_job_removed(struct control_job *job);

/* The peer says that it has ended: those who wait are told. */
void control_job_ended(struct control_job *job, const struct job_info *info);

/* The peer is removed. */
void control_job_forget_all(struct fs_peer *peer);

/*
 * The args of JOB_START for it, with `line` as its command. `lists` holds what they point into, to
 * be freed. Returns 0, -ENOMEM, or -E2BIG.
 */
int control_job_start_args(const struct control_job *job, struct bytes line, uint64_t flags,
			   struct args_job_start *ret_args, struct buffer *lists);

/* Sets a variable in job->env, in the place of one of that name. 0, -ENOMEM or -E2BIG. */
int control_job_set_variable(struct control_job *job, struct bytes variable);

#endif
