/*
 * Spawning: a program in a process group (and session) of its own, with nothing of ours but what
 * it is given. Blocks for as long as exec takes: on a thread of the pool. Allocates and looks up
 * beforehand: the child, which shares our memory until it has executed, only makes system calls.
 */
#ifndef DAEMON_JOBS_SPAWN_H
#define DAEMON_JOBS_SPAWN_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

struct spawn_options {
	char *const *argv;
	const char *file; /* what is executed: with '/', or searched for in `path` */
	char *const *env;
	const char *path; /* the PATH to search */
	int cwd_fd;       /* may be O_PATH */
	bool tty;         /* a terminal for all three */
	unsigned rows, cols;
	bool with_stdin; /* a pipe; else /dev/null */
	bool merged;     /* standard error is the same pipe as standard output */
	mode_t umask;
	struct rlimit n_files;
};

struct spawned {
	pid_t pid;
	int pidfd;
	/* Ours, non-blocking: of pipes one each, of a terminal in[0] is unused and out[0] is its
	 * master, for both ways. -1: there is none. */
	int in;
	int out[2];
	int exec_error; /* 0, or why there is no program: then there is no process either */
};

/* Returns 0 (also with an exec_error) or -errno. What it returns is the caller's. */
int spawn_run(const struct spawn_options *options, struct spawned *ret_spawned);
/* Closes descriptors; those that are -1 are left out. */
void spawn_close(struct spawned *spawned);

#endif
