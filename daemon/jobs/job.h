/* A job, for the files of this folder. All on the loop, but for what starts it. */
#ifndef DAEMON_JOBS_JOB_H
#define DAEMON_JOBS_JOB_H

#include <sys/queue.h>

#include "daemon/jobs/job_command.h"
#include "daemon/jobs/job_screen.h"
#include "daemon/jobs/jobs.h"
#include "daemon/jobs/spawn.h"
#include "daemon/jobs/spool.h"

#define JOB_KILL_MS  5000 /* from SIGHUP or SIGTERM to SIGKILL */
#define JOB_STOP_MS  1500 /* the same when the daemon ends */
#define JOB_FINISHED 100  /* finished jobs of a peer that are kept, and as many retired ones */

enum job_phase {
	JOB_STARTING, /* a thread is at it */
	JOB_ACTIVE,   /* its process is there */
	JOB_OVER,     /* it has ended; its output may go on */
};

enum job_pending_kind {
	JOB_PENDING_START,
	JOB_PENDING_WAIT,
	JOB_PENDING_WRITE,
	JOB_PENDING_SCREEN,
};

/* A request that is answered later; request->room. */
struct job_pending {
	enum job_pending_kind kind;
	struct request *request;
	struct job *job;
	struct jobs_guest *guest; /* NULL: its session has gone */
	TAILQ_ENTRY(job_pending) of_job, of_guest;
	uint64_t offset;       /* WRITE: of its first byte */
	struct asking *asking; /* SCREEN */
};
TAILQ_HEAD(job_pending_list, job_pending);

/* One of the program's ends: a pipe that it writes to, or its terminal. */
struct job_output {
	struct job *job;
	unsigned channel;
	int fd;          /* -1: closed */
	uv_poll_t *poll; /* freed when it is closed */
	bool is_paused;  /* the spool is full */
	bool is_grown;   /* its pipe has been made larger */
	bool is_drained; /* what it had when the process ended was read */
	size_t left;     /* of that; SIZE_MAX: until it is empty */
};

struct job_client;
TAILQ_HEAD(job_client_list, job_client);

struct job {
	struct jobs *jobs;
	struct jobs_peer *peer;
	TAILQ_ENTRY(job) entry; /* peer->jobs */
	bool is_listed;         /* in peer->jobs; else forgotten */
	bool is_retired;        /* over, and its client has had all: only to be found by number */
	bool is_noted;          /* jobs_options.note */
	uint64_t number;
	char name[OPS_JOB_NAME_MAX + 1];
	char peer_name[64];
	struct job_command command;
	uint64_t flags;
	unsigned rows, cols;
	uint64_t timeout_ms;

	enum job_phase phase;
	enum job_state state;
	int exit, signal;
	struct timespec started, ended;
	uint64_t started_ms; /* uv_now */
	bool is_detached;    /* belongs to no client */
	bool is_timed_out;
	bool is_cancelled; /* while it was started */
	bool is_killed;    /* by us: its group must not outlive it */
	bool in_grace;     /* its client's link has gone */
	uint64_t grace_floor;

	pid_t pid;
	int pidfd;
	bool is_reaped;
	uv_poll_t *pidfd_poll;
	struct job_output outputs[SPOOL_CHANNELS];
	uv_timer_t *limit, *kill, *grace;

	/* Standard input. */
	int in_fd;           /* a pipe, or outputs[0].fd of a terminal; -1: none */
	uv_poll_t *in_poll;  /* NULL for a terminal: its poll does both */
	bool in_waits;       /* for room */
	uint64_t in_end;     /* bytes that were taken */
	uint64_t in_offered; /* with those that wait */
	uint8_t in_last;     /* the last byte */
	struct job_pending_list writes;

	struct spool *spool;       /* NULL: closed */
	struct job_screen *screen; /* of a terminal; else NULL */
	bool has_notice;           /* ended, and all that it had written is in the spool */
	uint64_t notice_at;
	struct job_client_list clients;
	unsigned n_clients;
	struct job_client *owner;
	struct job_pending_list starters, waits;

	uv_work_t work;
	int start_error;
	struct spawned spawned;
	unsigned n_holds; /* by functions that are at it */
};

/* --- job.c: from the start to the end --------------------------------------------------------- */

/* Makes a job and starts it; job_started is called later. 0 or -errno. */
int job_new(struct jobs_peer *peer, const struct args_job_start *args, const char *peer_name,
	    struct job **ret_job, struct job_command *command);
/* One that has ended we do not know how. */
int job_new_lost(struct jobs_peer *peer, const struct job_info *info, const char *peer_name,
		 struct job **ret_job);
/* To its whole group, and a terminal's foreground group. 0 or -ESRCH. */
int job_signal(struct job *job, int signal);
/* SIGKILL after so long, unless it has ended. */
void job_kill_after(struct job *job, uint64_t ms);
/* The client has gone: SIGHUP, and SIGKILL later. */
void job_hang_up(struct job *job, uint64_t kill_after_ms);
/* SIGKILL now. */
void job_kill(struct job *job);
/* Its client's link has gone: it goes on for a while. */
void job_begin_grace(struct job *job, uint64_t floor);
void job_end_grace(struct job *job);
/* Out of the table; gone when nothing is under way any more. Must be over. */
void job_forget(struct job *job);
/* All output has come to its end. */
bool job_is_complete(const struct job *job);
void job_describe(const struct job *job, struct job_info *ret_info);
/* Something that held it has ended: it may be gone after it. */
void job_settle(struct job *job);
/* Until job_release it is not freed. */
void job_hold(struct job *job);
void job_release(struct job *job);
int job_resize(struct job *job, uint64_t rows, uint64_t cols);

/* --- job_output.c: what it writes --------------------------------------------------------------
 */

int job_output_open(struct job_output *output, struct job *job, unsigned channel, int fd);
void job_output_close(struct job_output *output);
/* The process has ended: reads what it left, as far as there is room. */
void job_output_drain(struct job *job);
/* The spool has room again. */
void job_output_resume(struct job *job);
/* A terminal is to be written to, or not any more. */
void job_output_want_write(struct job_output *output);

/* --- job_stdin.c: what it reads ----------------------------------------------------------------
 */

/* Takes a JOB_WRITE on, to be answered later. */
void job_stdin_write(struct job *job, struct jobs_guest *guest, struct request *request);
/* It can be written to again. */
void job_stdin_go_on(struct job *job);
void job_stdin_close(struct job *job);
/* Takes out one that is not to be done any more. */
void job_stdin_withdraw(struct job_pending *pending);

/* --- job_stream.c: who follows it --------------------------------------------------------------
 */

/* Answers with a stream from `offset` on. `screen` (may be NULL) comes before that; its bytes are
 * taken over. */
void job_stream_open(struct job *job, struct request *request, const void *result, uint64_t offset,
		     bool is_owner, struct buffer *screen);
void job_stream_pump(struct job *job);
void job_stream_guard(struct job *job);
/* Ends all with an error. */
void job_stream_end_all(struct job *job, int error);

#endif
