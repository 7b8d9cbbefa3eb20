/*
 *                 could not start (answered with an error)
 *     STARTING ──────────────────────────────────────────► gone
 *        │ a thread: directory, descriptors, exec
 *        ├─────────────── exec failed ───────────────────┐
 *        ▼                                               ▼ as an exit with 126 or 127
 *     ACTIVE ── pidfd: waitid ──► OVER ── what it had written was read ──► notice
 *        │                          │      (what it left behind may write on)
 *        │ HUP, TERM, KILL          └── all ends closed ──► complete
 *
 * The process of a job that we kill stays unreaped until SIGKILL has gone to its group, so that the
 * group's number cannot be another's by then. Else it is reaped at once.
 */
#include "daemon/jobs/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "daemon/jobs/jobs_private.h"
#include "daemon/log.h"

static void on_freed_handle(uv_handle_t *handle)
{
	free(handle);
}

static void close_timer(uv_timer_t **timer)
{
	if (*timer)
		uv_close((uv_handle_t *)*timer, on_freed_handle);
	*timer = NULL;
}

/* Without memory for it nothing happens in time: it must not be what ends the daemon. */
static void start_timer(struct job *job, uv_timer_t **timer, uv_timer_cb callback, uint64_t ms)
{
	if (!*timer) {
		*timer = malloc(sizeof(**timer));
		if (!*timer)
			return;
		uv_timer_init(job->jobs->options.loop, *timer);
		(*timer)->data = job;
	}
	uv_timer_start(*timer, callback, ms, 0);
}

/* --- signals ---------------------------------------------------------------------------------- */

int job_signal(struct job *job, int signal)
{
	pid_t foreground = 0;

	if (job->phase == JOB_STARTING)
		return -EAGAIN;
	if (job->is_reaped || job->pid <= 0)
		return -ESRCH;
	if (signal == 0)
		return job->phase == JOB_ACTIVE ? 0 : -ESRCH;
	if ((job->flags & JOB_TTY) && job->outputs[0].fd >= 0 &&
	    ioctl(job->outputs[0].fd, TIOCGPGRP, &foreground) == 0 && foreground > 0 &&
	    foreground != job->pid)
		ioctl(job->outputs[0].fd, TIOCSIG, signal);
	return kill(-job->pid, signal) < 0 ? -errno : 0;
}

static void reap(struct job *job)
{
	siginfo_t info;

	if (job->is_reaped)
		return;
	while (waitid(P_PIDFD, (id_t)job->pidfd, &info, WEXITED | WNOHANG) < 0 && errno == EINTR)
		;
	job->is_reaped = true;
	close(job->pidfd);
	job->pidfd = -1;
}

void job_kill(struct job *job)
{
	if (job->phase == JOB_STARTING) {
		job->is_cancelled = true;
		return;
	}
	job_hold(job);
	job->is_killed = true;
	job_signal(job, SIGKILL);
	if (job->flags & JOB_TTY)
		job_output_close(&job->outputs[0]);
	close_timer(&job->kill);
	if (job->phase == JOB_OVER)
		reap(job);
	job_release(job);
}

static void on_kill(uv_timer_t *timer)
{
	job_kill(timer->data);
}

void job_kill_after(struct job *job, uint64_t ms)
{
	if (job->phase == JOB_OVER)
		return;
	job->is_killed = true;
	start_timer(job, &job->kill, on_kill, ms);
}

void job_hang_up(struct job *job, uint64_t kill_after_ms)
{
	if (job->phase == JOB_STARTING) {
		job->is_cancelled = true;
		return;
	}
	if (job->phase == JOB_OVER)
		return;
	job_signal(job, SIGHUP);
	job_signal(job, SIGCONT); /* what is stopped does not hear it */
	job_kill_after(job, kill_after_ms);
}

static void on_limit(uv_timer_t *timer)
{
	struct job *job = timer->data;

	job->is_timed_out = true;
	job_signal(job, SIGTERM);
	job_signal(job, SIGCONT);
	job_kill_after(job, JOB_KILL_MS);
}

static void on_grace(uv_timer_t *timer)
{
	struct job *job = timer->data;

	log_info("jobs", "peer=%s job=%s grace=over", LOG_VALUE(job->peer_name), job->name);
	job->in_grace = false;
	job_hang_up(job, JOB_KILL_MS);
	job_stream_guard(job);
}

void job_begin_grace(struct job *job, uint64_t floor)
{
	job->in_grace = true;
	job->grace_floor = floor;
	start_timer(job, &job->grace, on_grace, job->jobs->options.grace_ms);
}

void job_end_grace(struct job *job)
{
	job->in_grace = false;
	close_timer(&job->grace);
}

/* --- the end ---------------------------------------------------------------------------------- */

bool job_is_complete(const struct job *job)
{
	return job->phase == JOB_OVER && job->has_notice && job->outputs[0].fd < 0 &&
	       job->outputs[1].fd < 0;
}

static void become_over(struct job *job)
{
	job->phase = JOB_OVER;
	clock_gettime(CLOCK_REALTIME, &job->ended);
	close_timer(&job->limit);
	job_end_grace(job);
	jobs_ended(job);
}

static void on_ended(uv_poll_t *poll, int status, int events)
{
	struct job *job = poll->data;
	siginfo_t info = {0};
	int r;

	do {
		r = waitid(P_PIDFD, (id_t)job->pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
	} while (r < 0 && errno == EINTR);
	if (r == 0 && info.si_pid == 0)
		return;
	job_hold(job);
	uv_close((uv_handle_t *)job->pidfd_poll, on_freed_handle);
	job->pidfd_poll = NULL;
	if (job->is_timed_out) {
		job->state = JOB_EXITED;
		job->exit = 124;
	} else if (r == 0 && info.si_code == CLD_EXITED) {
		job->state = JOB_EXITED;
		job->exit = info.si_status;
	} else {
		job->state = JOB_KILLED;
		job->signal = r == 0 ? info.si_status : SIGKILL;
	}
	if (job->is_killed && job->jobs->is_stopping)
		job_signal(job, SIGKILL);
	if (!job->is_killed || job->jobs->is_stopping || !job->kill)
		reap(job);
	job_output_drain(job);
	become_over(job);
	job_release(job);
}

void job_describe(const struct job *job, struct job_info *ret_info)
{
	*ret_info = (struct job_info){
	    .job = job->number,
	    .name = {(const uint8_t *)job->name, strlen(job->name)},
	    .cmd = {(const uint8_t *)job->command.text, strlen(job->command.text)},
	    .state = job->state,
	    .exit = (uint64_t)job->exit,
	    .signal = (uint64_t)job->signal,
	    .tty = (job->flags & JOB_TTY) != 0,
	    .detached = job->is_detached,
	    .started = job->started,
	    .ended = job->ended,
	    .kept = job->spool ? spool_kept(job->spool) : 0,
	    .end = job->spool ? spool_end(job->spool) : 0,
	    .n_clients = job->n_clients,
	    .stdin_end = job->in_end,
	    .rows = job->rows,
	    .cols = job->cols,
	};
}

/* --- the start -------------------------------------------------------------------------------- */

static int open_home(const struct job *job)
{
	const char *home = job_env_get(&job->jobs->env, "HOME");
	int fd = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int set_term(struct job *job)
{
	const char *term = job->command.term;

	if (job->flags & JOB_TTY)
		term = job_env_choose_term(term, job_env_get(&job->jobs->env, "HOME"));
	return term[0] ? job_env_set(&job->command.env, "TERM", term) : 0;
}

/* On a thread: the job is nobody else's until start_done. */
static void start_run(uv_work_t *work)
{
	struct job *job = work->data;
	struct jobs_options *options = &job->jobs->options;
	struct bytes cwd = {(const uint8_t *)job->command.cwd, job->command.cwd_size};
	int fd = cwd.size == 0 ? open_home(job) : options->open_directory(options->arg, cwd);
	int error = fd < 0 ? fd : set_term(job);
	const char *path = job_env_get(&job->command.env, "PATH");
	struct spawn_options spawn = {
	    .argv = job->command.argv,
	    .file = job->command.file,
	    .env = job->command.env.items,
	    .path = path ? path : "",
	    .cwd_fd = fd,
	    .tty = (job->flags & JOB_TTY) != 0,
	    .rows = job->rows,
	    .cols = job->cols,
	    .with_stdin = (job->flags & JOB_STDIN) != 0,
	    .merged = (job->flags & JOB_MERGED) != 0,
	    .umask = options->umask,
	    .n_files = options->n_files,
	};

	if (error == 0)
		error = spawn_run(&spawn, &job->spawned);
	if (fd >= 0)
		close(fd);
	job->start_error = error;
}

/* What a shell says and does when it cannot execute. */
static void fail_exec(struct job *job, int error)
{
	bool is_searched = strchr(job->command.file, '/') == NULL;
	unsigned channel = job->flags & (JOB_TTY | JOB_MERGED) ? JOB_STDOUT : JOB_STDERR;
	size_t room;
	uint8_t *to = spool_reserve(job->spool, &room);

	job->state = JOB_EXITED;
	job->exit = error == ENOENT || error == ENOTDIR ? 127 : 126;
	if (to) {
		int n =
		    snprintf((char *)to, room, "%.1024s: %s%s", job->command.file,
			     error == ENOENT && is_searched ? "command not found" : strerror(error),
			     job->flags & JOB_TTY ? "\r\n" : "\n");

		spool_commit(job->spool, channel, (size_t)n < room ? (size_t)n : room - 1);
	}
	spawn_close(&job->spawned);
	job->is_reaped = true;
	job->has_notice = true;
	job->notice_at = spool_end(job->spool);
}

/* Its descriptors into the loop. */
static int watch(struct job *job)
{
	struct spawned *spawned = &job->spawned;
	int error;

	job->pid = spawned->pid;
	job->pidfd = spawned->pidfd;
	job->in_fd = job->flags & JOB_TTY ? spawned->out[0] : spawned->in;
	job->pidfd_poll = malloc(sizeof(*job->pidfd_poll));
	error = job->pidfd_poll ? uv_poll_init(job->jobs->options.loop, job->pidfd_poll, job->pidfd)
				: -ENOMEM;
	if (error < 0) {
		free(job->pidfd_poll);
		job->pidfd_poll = NULL;
		return error;
	}
	job->pidfd_poll->data = job;
	for (unsigned i = 0; i < SPOOL_CHANNELS && error == 0; i++) {
		if (spawned->out[i] >= 0)
			error = job_output_open(&job->outputs[i], job, i, spawned->out[i]);
	}
	if (error == 0)
		error = uv_poll_start(job->pidfd_poll, UV_READABLE, on_ended);
	return error;
}

/* It runs, and cannot be looked after: no memory, no descriptor. */
static void give_up(struct job *job)
{
	siginfo_t info;

	kill(-job->pid, SIGKILL);
	/* It has been killed: this does not take long. */
	while (waitid(P_PIDFD, (id_t)job->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	job->is_reaped = true;
	if (job->pidfd_poll)
		uv_close((uv_handle_t *)job->pidfd_poll, on_freed_handle);
	job->pidfd_poll = NULL;
	close(job->pidfd);
	job->pidfd = -1;
	for (unsigned i = 0; i < SPOOL_CHANNELS; i++)
		job_output_close(&job->outputs[i]);
}

static void start_done(uv_work_t *work, int status)
{
	struct job *job = work->data;
	uint64_t limit = job->jobs->options.time_limit_ms;
	int error = job->start_error;

	if (job->timeout_ms && (!limit || job->timeout_ms < limit))
		limit = job->timeout_ms;
	job_hold(job);
	job->phase = JOB_ACTIVE;
	if (error == 0 && job->spawned.exec_error) {
		fail_exec(job, job->spawned.exec_error);
	} else if (error == 0) {
		error = watch(job);
		if (error < 0)
			give_up(job);
	}
	if (error < 0) {
		job->phase = JOB_OVER;
		job->is_reaped = true;
	}
	jobs_ops_started(job, error);
	if (job->in_fd < 0)
		job_stdin_close(job); /* what waits to be written: nobody reads it */
	else
		job_stdin_go_on(job);
	if (error == 0 && job->spawned.exec_error) {
		become_over(job);
	} else if (error == 0) {
		if (limit)
			start_timer(job, &job->limit, on_limit, limit);
		if (job->jobs->is_stopping)
			job_hang_up(job, JOB_STOP_MS);
		else if (!job->peer->key)
			job_kill(job);
		else if (job->is_cancelled)
			job_hang_up(job, JOB_KILL_MS);
	}
	job_release(job);
}

static void on_room(void *arg)
{
	job_output_resume(arg);
}

static void on_spool_closed(void *arg)
{
	struct job *job = arg;
	struct jobs_peer *peer = job->peer;
	struct jobs *jobs = job->jobs;

	job_command_deinit(&job->command);
	free(job);
	peer->n_jobs--;
	jobs_peer_settle(peer);
	jobs_settle(jobs);
}

/* Without a process yet. */
static int make(struct jobs_peer *peer, const char *peer_name, struct job **ret_job)
{
	struct jobs *jobs = peer->jobs;
	struct job *job = calloc(1, sizeof(*job));
	struct spool_options spool = {
	    .loop = jobs->options.loop,
	    .dir = jobs->options.spool_dir,
	    .limit = jobs->options.spool_limit,
	    .room = on_room,
	    .closed = on_spool_closed,
	    .arg = job,
	};
	int error = job ? spool_new(&spool, &job->spool) : -ENOMEM;

	if (error < 0) {
		free(job);
		return error;
	}
	job->jobs = jobs;
	job->peer = peer;
	job->pidfd = job->in_fd = job->outputs[0].fd = job->outputs[1].fd = -1;
	job->spawned = (struct spawned){.pidfd = -1, .in = -1, .out = {-1, -1}};
	snprintf(job->peer_name, sizeof(job->peer_name), "%s", peer_name);
	TAILQ_INIT(&job->clients);
	TAILQ_INIT(&job->starters);
	TAILQ_INIT(&job->waits);
	TAILQ_INIT(&job->writes);
	*ret_job = job;
	return 0;
}

int job_new(struct jobs_peer *peer, const struct args_job_start *args, const char *peer_name,
	    struct job **ret_job, struct job_command *command)
{
	struct jobs *jobs = peer->jobs;
	struct job *job;
	int error = make(peer, peer_name, &job);

	if (error < 0)
		return error;
	job->number = args->job;
	job->flags = args->flags;
	job->rows = args->rows ? (unsigned)args->rows : 24;
	job->cols = args->cols ? (unsigned)args->cols : 80;
	job->timeout_ms = args->timeout_ms;
	job->is_detached = !(args->flags & JOB_OWNER);
	job->command = *command;
	*command = (struct job_command){0};
	clock_gettime(CLOCK_REALTIME, &job->started);
	job->started_ms = uv_now(jobs->options.loop);
	if ((args->flags & JOB_TTY) && job_screen_new(job, job->rows, job->cols, &job->screen) < 0)
		job->screen = NULL; /* it is only not to be seen anew */
	*ret_job = job;
	job->work.data = job;
	return uv_queue_work(jobs->options.loop, &job->work, start_run, start_done);
}

int job_new_lost(struct jobs_peer *peer, const struct job_info *info, const char *peer_name,
		 struct job **ret_job)
{
	struct job *job;
	int error = make(peer, peer_name, &job);

	if (error < 0)
		return error;
	job->number = info->job;
	job->flags = info->tty ? JOB_TTY : 0;
	snprintf(job->name, sizeof(job->name), "%.*s", (int)info->name.size,
		 (const char *)info->name.data);
	snprintf(job->command.text, sizeof(job->command.text), "%.*s", (int)info->cmd.size,
		 (const char *)info->cmd.data);
	job->started = job->ended = info->started;
	job->phase = JOB_OVER;
	job->state = JOB_LOST;
	job->is_detached = job->is_reaped = job->has_notice = true;
	*ret_job = job;
	return 0;
}

int job_resize(struct job *job, uint64_t rows, uint64_t cols)
{
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};

	if (!(job->flags & JOB_TTY))
		return -ENOTTY;
	if (rows == 0 || cols == 0)
		return -EINVAL;
	if (job->rows == rows && job->cols == cols)
		return 0;
	job->rows = (unsigned)rows;
	job->cols = (unsigned)cols;
	if (job->outputs[0].fd >= 0)
		ioctl(job->outputs[0].fd, TIOCSWINSZ, &size);
	if (job->screen)
		job_screen_resize(job->screen, job->rows, job->cols);
	return 0;
}

/* --- gone ------------------------------------------------------------------------------------- */

void job_settle(struct job *job)
{
	struct spool *spool = job->spool;

	if (job->n_holds > 0 || job->is_listed || job->phase != JOB_OVER || !job->is_reaped ||
	    !TAILQ_EMPTY(&job->clients) || !spool ||
	    (job->screen && job_screen_is_busy(job->screen)))
		return;
	close_timer(&job->limit);
	close_timer(&job->kill);
	close_timer(&job->grace);
	job_stdin_close(job);
	for (unsigned i = 0; i < SPOOL_CHANNELS; i++)
		job_output_close(&job->outputs[i]);
	job_screen_free(job->screen);
	job->screen = NULL;
	job->spool = NULL;
	spool_close(spool);
}

void job_hold(struct job *job)
{
	job->n_holds++;
}

void job_release(struct job *job)
{
	job->n_holds--;
	job_settle(job);
}

void job_forget(struct job *job)
{
	job_hold(job);
	if (job->is_listed) {
		job->is_listed = false;
		TAILQ_REMOVE(&job->peer->jobs_list, job, entry);
	}
	jobs_note(job);
	if (!job->is_reaped)
		job_kill(job);
	job_stream_end_all(job, -ENOENT);
	job_release(job);
}
