/*
 * clone(CLONE_VM | CLONE_VFORK): no page tables are copied, however large the daemon is, and this
 * thread waits until the child has executed or ended, so that it can tell why it could not. Other
 * threads go on: the child must not touch a lock, and makes no call of the C library that might
 * (sanitizers put their own in the place of many; those are system calls here).
 */
#include "daemon/jobs/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024)
#define SHELL      "/bin/sh"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN __attribute__((no_sanitize("address", "thread", "undefined")))
#elif defined(__clang__)
#define PLAIN __attribute__((no_sanitize("address", "thread", "undefined", "coverage")))
#else
#define PLAIN
#endif

struct child {
	const struct spawn_options *options;
	char **files;       /* to be tried, in that order; NULL at its end */
	char **script_argv; /* "/bin/sh", the file, the arguments: for what has no format */
	int fds[3];         /* what become 0, 1 and 2: all above 2 */
	sigset_t mask;
	int error; /* out: of exec */
};

/* As the kernel takes it; all of it zero is the default. */
struct kernel_sigaction {
	unsigned long fields[8];
};

PLAIN static int try_files(struct child *child)
{
	int error = ENOENT;

	for (char **file = child->files; *file; file++) {
		syscall(SYS_execve, *file, child->options->argv, child->options->env);
		if (errno == ENOEXEC) {
			child->script_argv[1] = *file;
			syscall(SYS_execve, SHELL, child->script_argv, child->options->env);
		}
		/* As a shell: what cannot be executed is remembered, the search goes on. */
		if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
			continue;
		error = errno;
		if (error != EACCES)
			break;
	}
	return error;
}

PLAIN static int run_child(void *arg)
{
	struct child *child = arg;
	const struct spawn_options *options = child->options;
	struct kernel_sigaction standard;
	unsigned long none = 0;

	for (unsigned i = 0; i < 8; i++)
		standard.fields[i] = 0;
	for (int i = 1; i <= 64; i++)
		syscall(SYS_rt_sigaction, i, &standard, NULL, 8);
	syscall(SYS_setsid);
	if (options->tty)
		syscall(SYS_ioctl, child->fds[0], TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		syscall(SYS_dup3, child->fds[i], i, 0);
	syscall(SYS_close_range, 3, ~0u, 0);
	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &options->n_files, NULL);
	syscall(SYS_umask, options->umask);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	child->error = try_files(child);
	syscall(SYS_exit_group, 127);
	return 0;
}

/* --- what is allocated beforehand ------------------------------------------------------------- */

static void free_files(char **files)
{
	for (char **file = files; file && *file; file++)
		free(*file);
	free(files);
}

static int find_files(const struct spawn_options *options, char ***ret_files)
{
	const char *from = options->path;
	size_t n = 1, at = 0;
	char **files;

	for (const char *p = options->path; *p; p++)
		n += *p == ':';
	files = calloc(n + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	if (strchr(options->file, '/')) {
		files[at] = strdup(options->file);
		if (!files[at])
			goto fail;
		*ret_files = files;
		return 0;
	}
	while (options->file[0] != '\0') {
		int length = (int)strcspn(from, ":");

		/* An empty one is the directory that it runs in. */
		if (asprintf(&files[at], "%.*s%s%s", length, from, length ? "/" : "",
			     options->file) < 0) {
			files[at] = NULL;
			goto fail;
		}
		at++;
		if (from[length] == '\0')
			break;
		from += length + 1;
	}
	*ret_files = files;
	return 0;
fail:
	free_files(files);
	return -ENOMEM;
}

static char **make_script_argv(const struct spawn_options *options)
{
	size_t n = 0;
	char **argv;

	while (options->argv[n])
		n++;
	argv = calloc(n + 3, sizeof(*argv));
	if (!argv)
		return NULL;
	argv[0] = (char *)SHELL;
	argv[1] = (char *)"";
	for (size_t i = 1; i < n; i++)
		argv[i + 1] = options->argv[i];
	return argv;
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void spawn_close(struct spawned *spawned)
{
	close_fd(&spawned->pidfd);
	close_fd(&spawned->in);
	close_fd(&spawned->out[0]);
	close_fd(&spawned->out[1]);
}

/* None of the child's may be one of those that they are moved to. */
static int above_standard(int *fd)
{
	int moved;

	if (*fd > 2)
		return 0;
	moved = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
	if (moved < 0)
		return -errno;
	close(*fd);
	*fd = moved;
	return 0;
}

static int open_pipe(bool child_reads, int *ret_ours, int *ret_childs)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = ends[child_reads ? 1 : 0];
	*ret_childs = ends[child_reads ? 0 : 1];
	return fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_tty(const struct spawn_options *options, struct spawned *spawned, int fds[3])
{
	struct winsize size = {.ws_row = (unsigned short)options->rows,
			       .ws_col = (unsigned short)options->cols};
	struct termios modes;
	int unlock = 0;

	spawned->out[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (spawned->out[0] < 0)
		return -errno;
	if (ioctl(spawned->out[0], TIOCSPTLCK, &unlock) < 0 ||
	    ioctl(spawned->out[0], TIOCSWINSZ, &size) < 0)
		return -errno;
	fds[0] = ioctl(spawned->out[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fds[0] < 0)
		return -errno;
	if (tcgetattr(fds[0], &modes) == 0) {
		modes.c_iflag |= IUTF8;
		tcsetattr(fds[0], TCSANOW, &modes);
	}
	return 0;
}

/* fds[1] and fds[2] that stay -1 are the one before. */
static int open_all(const struct spawn_options *options, struct spawned *spawned, int fds[3])
{
	int error = 0;

	if (options->tty) {
		error = open_tty(options, spawned, fds);
	} else {
		if (options->with_stdin)
			error = open_pipe(true, &spawned->in, &fds[0]);
		else
			fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (error == 0 && fds[0] < 0)
			error = -errno;
		if (error == 0)
			error = open_pipe(false, &spawned->out[0], &fds[1]);
		if (error == 0 && !options->merged)
			error = open_pipe(false, &spawned->out[1], &fds[2]);
	}
	for (int i = 0; i < 3 && error == 0; i++) {
		if (fds[i] >= 0)
			error = above_standard(&fds[i]);
	}
	return error;
}

/* --- the child -------------------------------------------------------------------------------- */

/* The directory is entered by a child of our own making; it cannot be given to clone. */
PLAIN static int enter_and_run(void *arg)
{
	struct child *child = arg;

	if (syscall(SYS_fchdir, child->options->cwd_fd) < 0) {
		child->error = -1;
		syscall(SYS_exit_group, 127);
	}
	return run_child(arg);
}

#ifdef __SANITIZE_THREAD__
/* TSan takes clone for a fork, and in a child that shares our memory stops looking at this thread
 * for good. Behind its back, then, and with a copy of the memory, but for the error. */
PLAIN static pid_t start_child(struct child *child, char *stack, int *ret_pidfd)
{
	struct child *shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long pid;

	if (shared == MAP_FAILED)
		return -1;
	*shared = *child;
	pid = syscall(SYS_clone, CLONE_VFORK | CLONE_PIDFD | SIGCHLD, NULL, ret_pidfd, NULL, 0);
	if (pid == 0)
		enter_and_run(shared);
	child->error = shared->error;
	munmap(shared, sizeof(*shared));
	return (pid_t)pid;
}
#else
static pid_t start_child(struct child *child, char *stack, int *ret_pidfd)
{
	return clone(enter_and_run, stack + STACK_SIZE,
		     CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, ret_pidfd);
}
#endif

static int clone_child(struct child *child, struct spawned *spawned)
{
	sigset_t all;
	char *stack = malloc(STACK_SIZE);
	int error = 0;

	if (!stack)
		return -ENOMEM;
	/* No handler of ours may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &child->mask);
	spawned->pid = start_child(child, stack, &spawned->pidfd);
	if (spawned->pid < 0)
		error = -errno;
	pthread_sigmask(SIG_SETMASK, &child->mask, NULL);
	free(stack);
	return error;
}

/* It could not execute, and has ended. */
static int reap(struct spawned *spawned, int exec_error)
{
	siginfo_t info;

	while (waitid(P_PIDFD, (id_t)spawned->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	spawned->exec_error = exec_error;
	spawned->pid = 0;
	return exec_error < 0 ? -ENOENT : 0; /* of fchdir: the directory has gone */
}

int spawn_run(const struct spawn_options *options, struct spawned *ret_spawned)
{
	struct spawned spawned = {.pidfd = -1, .in = -1, .out = {-1, -1}};
	struct child child = {.options = options};
	int fds[3] = {-1, -1, -1};
	int error = find_files(options, &child.files);

	if (error < 0)
		return error;
	child.script_argv = make_script_argv(options);
	error = child.script_argv ? open_all(options, &spawned, fds) : -ENOMEM;
	if (error == 0) {
		child.fds[0] = fds[0];
		child.fds[1] = fds[1] >= 0 ? fds[1] : child.fds[0];
		child.fds[2] = fds[2] >= 0 ? fds[2] : child.fds[1];
		error = clone_child(&child, &spawned);
	}
	if (error == 0 && child.error != 0)
		error = reap(&spawned, child.error);
	for (int i = 0; i < 3; i++)
		close_fd(&fds[i]);
	free(child.script_argv);
	free_files(child.files);
	if (error < 0)
		spawn_close(&spawned);
	else
		*ret_spawned = spawned;
	return error;
}
