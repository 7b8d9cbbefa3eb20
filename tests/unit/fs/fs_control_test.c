#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs_fake_jobs.h"
#include "fs_kernel_files.h"

#define TOP "desk/.loopsy"

static int make(struct fs_kernel *kernel, const char *name)
{
	struct fuse_mkdir_in in = {.mode = 0777};
	struct fuse_entry_out entry;

	return fs_kernel_name_op(kernel, FUSE_MKDIR, fs_kernel_walk(kernel, TOP "/jobs"), &in,
				 sizeof(in), name, &entry);
}

static int remove_job(struct fs_kernel *kernel, const char *name)
{
	uint64_t jobs = fs_kernel_walk(kernel, TOP "/jobs");

	fs_kernel_lookup(kernel, jobs, name, NULL); /* as the kernel does before */
	return fs_kernel_name_op(kernel, FUSE_RMDIR, jobs, NULL, 0, name, NULL);
}

static int flush(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	uint64_t unique = fs_kernel_file_send_flush(kernel, file);

	fs_kernel_run(kernel);
	return fs_kernel_file_took(kernel, unique);
}

/* As a shell's `>`: opened with O_TRUNC, flushed (dup), written, flushed and released. The first
 * error there is. */
static int put(struct fs_kernel *kernel, const char *path, const char *text)
{
	struct fs_kernel_file file;
	int error = fs_kernel_file_open(kernel, path, O_WRONLY | O_TRUNC, &file), n, flushed;

	if (error)
		return error;
	cr_assert_eq(flush(kernel, &file), 0);
	n = fs_kernel_file_write(kernel, &file, 0, text, strlen(text));
	flushed = flush(kernel, &file);
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	if (n < 0)
		return n;
	cr_assert_eq((size_t)n, strlen(text));
	return flushed;
}

/* All that an open shows; the size that is told must be that. */
static const char *get(struct fs_kernel *kernel, const char *path)
{
	static char text[4096];
	struct fuse_attr_out attr;
	struct fs_kernel_file file;
	int error = fs_kernel_file_open(kernel, path, O_RDONLY, &file), n;

	if (error)
		return strerror(-error);
	n = fs_kernel_file_read(kernel, &file, 0, text, sizeof(text) - 1);
	cr_assert_geq(n, 0);
	text[n] = '\0';
	cr_assert_eq(fs_kernel_getattr(kernel, file.node, &attr), 0);
	cr_assert_eq(attr.attr.size, (size_t)n, "%s: %lu", path, (unsigned long)attr.attr.size);
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	return text;
}

static bool last_error_has(struct fs_kernel *kernel, const char *part)
{
	return strstr(get(kernel, TOP "/last-error"), part) != NULL;
}

Test(fs_control, directories_list_what_is_in_them)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	cr_assert_str_eq(fs_kernel_list(kernel, TOP),
			 ". .. jobs kv messages status last-error events exec ");
	cr_assert_str_eq(fs_kernel_list(kernel, ".loopsy"),
			 ". .. jobs kv messages status last-error events exec ");
	cr_assert_eq(make(kernel, "build"), 0);
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/jobs"), ". .. build ");
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/jobs/build"),
			 ". .. cwd env tty cmd stdin stdout stderr log screen ctl status wait ");
	fs_kernel_free(kernel, true);
}

Test(fs_control, settings_take_effect_with_the_command)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job;

	cr_assert_eq(make(kernel, "build"), 0);
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/status"), "state new\n");
	cr_assert_eq(put(kernel, TOP "/jobs/build/cwd", "src/app\n"), 0);
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/cwd"), "src/app\n");
	cr_assert_eq(put(kernel, TOP "/jobs/build/env", "A=1\nB=\"x\\ny\"\nA=2"), 0);
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/env"), "B=\"x\\ny\"\nA=2\n");
	cr_assert_eq(put(kernel, TOP "/jobs/build/tty", "24 80\n"), 0);
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/tty"), "24 80\n");
	cr_assert_null(kernel->fake->jobs, "nothing was started");
	/* dash's way: no newline at the end, which is there at the close only. */
	cr_assert_eq(put(kernel, TOP "/jobs/build/cmd", "make -j8"), 0);
	job = fs_fake_job_find(kernel->fake, "build");
	cr_assert(job);
	cr_assert_str_eq(job->line, "make -j8");
	cr_assert_str_eq(job->cwd, "src/app");
	cr_assert_str_eq(job->env, "B=x\ny;A=2;");
	cr_assert_eq(job->flags, JOB_TTY | JOB_STDIN);
	cr_assert(job->rows == 24 && job->cols == 80);
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/cmd"), "make -j8\n");
	/* A new size is for the terminal now; the rest is settled. */
	cr_assert_eq(put(kernel, TOP "/jobs/build/tty", "50 200\n"), 0);
	cr_assert(job->rows == 50 && job->cols == 200);
	cr_assert_eq(put(kernel, TOP "/jobs/build/cwd", "x\n"), -EBUSY);
	cr_assert_eq(put(kernel, TOP "/jobs/build/env", "C=3\n"), -EBUSY);
	cr_assert_eq(put(kernel, TOP "/jobs/build/cmd", "again\n"), -EBUSY);
	cr_assert(last_error_has(kernel, "jobs/build/cmd: the job has been started already"));
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/cwd"), "src/app\n");
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/screen"), "screen\n");
	fs_kernel_free(kernel, true);
}

/* Who uses sendfile looks a name up, opens it, and reads as far as the size was then. */
Test(fs_control, a_name_is_looked_up_with_the_size_of_what_there_is_to_read)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job;
	struct fuse_entry_out entry;
	uint64_t place;

	cr_assert_eq(make(kernel, "build"), 0);
	place = fs_kernel_walk(kernel, TOP "/jobs/build");
	cr_assert_eq(fs_kernel_lookup(kernel, place, "status", &entry), 0);
	cr_assert_eq(entry.attr.size, strlen("state new\n"));
	cr_assert_eq(put(kernel, TOP "/jobs/build/cmd", "make\n"), 0);
	job = fs_fake_job_find(kernel->fake, "build");
	fs_fake_job_write(job, 0, "out\n", 4);
	fs_fake_job_exit(job, 42);
	cr_assert_eq(fs_kernel_lookup(kernel, place, "status", &entry), 0);
	cr_assert_eq(entry.attr.size, strlen(get(kernel, TOP "/jobs/build/status")));
	cr_assert_gt(entry.attr.size, strlen("state exited\n"));
	cr_assert_eq(fs_kernel_lookup(kernel, place, "log", &entry), 0);
	cr_assert_eq(entry.attr.size, 4);
	cr_assert_eq(fs_kernel_lookup(kernel, place, "cmd", &entry), 0);
	cr_assert_eq(entry.attr.size, 5);
	fs_kernel_free(kernel, true);
}

Test(fs_control, a_job_that_ended_tells_how)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job;
	char text[16];
	struct fs_kernel_file file;

	cr_assert_eq(make(kernel, "build"), 0);
	cr_assert_eq(put(kernel, TOP "/jobs/build/cmd", "make\n"), 0);
	job = fs_fake_job_find(kernel->fake, "build");
	fs_fake_job_write(job, 0, "out\n", 4);
	fs_fake_job_write(job, 1, "err\n", 4);
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/log"), "out\nerr\n");
	cr_assert_eq(remove_job(kernel, "build"), -EBUSY);
	fs_fake_job_exit(job, 42);
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/status"),
			 "state exited\nexit 42\nstarted 2001-09-09T01:46:40Z\nkept 0\nend 8\n"
			 "cmd make\n");
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/jobs/build/wait", O_RDONLY, &file), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, text, 1), 1);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, text + 1, 9), 2);
	cr_assert_eq(memcmp(text, "42\n", 3), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, text, 9), 0);
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	cr_assert_str_eq(get(kernel, TOP "/jobs/build/screen"), strerror(ENOTTY));
	cr_assert_eq(remove_job(kernel, "build"), 0);
	cr_assert_null(kernel->fake->jobs);
	cr_assert_eq(fs_kernel_walk(kernel, TOP "/jobs/build"), 0);
	cr_assert_eq(make(kernel, "build"), 0);
	fs_kernel_free(kernel, true);
}

Test(fs_control, what_cannot_be_is_refused_and_changes_nothing)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	static const struct {
		const char *path, *text;
		int error;
		const char *why;
	} cases[] = {
	    {"/jobs/x/cwd", "\n", -EINVAL, "an empty line is no directory"},
	    {"/jobs/x/env", "no variable\n", -EINVAL, "NAME=VALUE"},
	    {"/jobs/x/tty", "24\n", -EINVAL, "rows and columns"},
	    {"/jobs/x/cmd", "  \n", -EINVAL, "an empty line is no command"},
	    {"/jobs/x/cmd", "one\ntwo\n", -EINVAL, "one command is one line"},
	    {"/jobs/x/cmd", "torn \xe2\x82\n", -EILSEQ, "not UTF-8"},
	    {"/jobs/x/cmd", "\x1b[A\n", -EINVAL, "control characters"},
	    {"/jobs/x/ctl", "signal INT\n", -ENXIO, "not started yet"},
	    {"/jobs/x/stdin", "x", -ENXIO, "not started yet"},
	    {"/jobs/x/status", "x", -EACCES, "ermission denied"},
	    {"/jobs/x/wait", "x", -EACCES, "ermission denied"},
	    {"/status", "x", -EACCES, "ermission denied"},
	    {"/events", "x", -EACCES, "ermission denied"},
	    {"/exec", "ls\n", -EINVAL, "one descriptor"},
	};

	cr_assert_eq(make(kernel, "x"), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[64];
		int error;

		snprintf(path, sizeof(path), TOP "%s", cases[i].path);
		error = put(kernel, path, cases[i].text);
		cr_assert_eq(error, cases[i].error, "%s: %s", path, strerror(-error));
		cr_assert(last_error_has(kernel, cases[i].why), "%s: %s", path,
			  get(kernel, TOP "/last-error"));
		cr_assert(last_error_has(kernel, cases[i].path + 1));
	}
	cr_assert_null(kernel->fake->jobs);
	cr_assert_str_eq(get(kernel, TOP "/jobs/x/status"), "state new\n");
	cr_assert_eq(make(kernel, "x"), -EEXIST);
	cr_assert_eq(make(kernel, ".hidden"), -EINVAL);
	cr_assert_eq(make(kernel, "sp ace"), -EINVAL);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_RMDIR, fs_kernel_walk(kernel, TOP), NULL, 0,
				       "jobs", NULL),
		     -EPERM);
	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_UNLINK, fs_kernel_walk(kernel, TOP "/jobs/x"),
				       NULL, 0, "cmd", NULL),
		     -EPERM);
	cr_assert_eq(remove_job(kernel, "x"), 0);
	fs_kernel_free(kernel, true);
}

Test(fs_control, a_line_that_never_ends_is_refused_and_all_behind_it)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	char *large = malloc(100000);

	memset(large, 'a', 100000);
	large[99999] = '\n';
	cr_assert_eq(make(kernel, "x"), 0);
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/jobs/x/cmd", O_WRONLY, &file), 0);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, large, 99999), 99999);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, large, 100000), -E2BIG);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "ls\n", 3), -E2BIG);
	cr_assert_eq(flush(kernel, &file), 0);
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	cr_assert(last_error_has(kernel, "longer than 131072 bytes"));
	cr_assert_null(kernel->fake->jobs);
	free(large);
	fs_kernel_free(kernel, true);
}

Test(fs_control, the_peers_errors_are_those_of_the_write)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	cr_assert_eq(make(kernel, "x"), 0);
	cr_assert_eq(put(kernel, TOP "/jobs/x/cwd", "gone\n"), 0);
	kernel->fake->error[OP_JOB_START] = -ENOENT;
	cr_assert_eq(put(kernel, TOP "/jobs/x/cmd", "ls\n"), -ENOENT);
	cr_assert(last_error_has(kernel, "jobs/x/cmd: there is no such directory on desk"));
	cr_assert(strstr(get(kernel, ".loopsy/last-error"), "no such directory on desk"));
	kernel->fake->error[OP_JOB_START] = 0;
	cr_assert_eq(put(kernel, TOP "/jobs/x/cmd", "ls\n"), 0, "it can be tried again");
	kernel->fake->error[OP_JOB_STATUS] = -EACCES;
	cr_assert_eq(make(kernel, "y"), -EACCES);
	cr_assert(last_error_has(kernel, "does not let this machine run programs"));
	kernel->fake->error[OP_JOB_STATUS] = 0;
	kernel->fake->is_down = true;
	cr_assert_eq(make(kernel, "y"), -EHOSTDOWN);
	cr_assert(last_error_has(kernel, "jobs/y: desk is offline"));
	cr_assert_str_eq(get(kernel, TOP "/status"), "name desk\n");
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/jobs"), strerror(EHOSTDOWN));
	kernel->fake->is_down = false;
	fs_kernel_free(kernel, true);
}

Test(fs_control, a_flush_by_another_process_tears_no_line)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	uint32_t writer = kernel->pid;

	cr_assert_eq(make(kernel, "x"), 0);
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/jobs/x/cmd", O_WRONLY, &file), 0);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "make ", 5), 5);
	kernel->pid = (uint32_t)getppid();
	cr_assert_eq(flush(kernel, &file), 0);
	cr_assert_null(kernel->fake->jobs);
	kernel->pid = writer;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 5, "all", 3), 3);
	cr_assert_eq(flush(kernel, &file), 0);
	cr_assert_str_eq(kernel->fake->jobs->line, "make all");
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	fs_kernel_free(kernel, true);
}

static pid_t sleeper(void)
{
	pid_t child = fork();

	if (!child)
		for (;;)
			pause();
	return child;
}

Test(fs_control, last_error_is_that_of_the_nearest_process)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	pid_t shell = (pid_t)kernel->pid, one = sleeper(), other = sleeper();

	cr_assert_eq(make(kernel, "x"), 0);
	kernel->pid = (uint32_t)one;
	cr_assert_eq(put(kernel, TOP "/jobs/x/tty", "one\n"), -EINVAL);
	kernel->pid = (uint32_t)getppid();
	cr_assert_eq(put(kernel, TOP "/jobs/x/cmd", "\n"), -EINVAL);
	/* Its own, and then that of a child of its parent's, before those further away. */
	kernel->pid = (uint32_t)one;
	cr_assert(last_error_has(kernel, "x/tty"));
	kernel->pid = (uint32_t)other;
	cr_assert(last_error_has(kernel, "x/tty"));
	cr_assert_eq(put(kernel, TOP "/jobs/x/cwd", "\n"), -EINVAL);
	cr_assert(last_error_has(kernel, "x/cwd"));
	kernel->pid = (uint32_t)one;
	cr_assert(last_error_has(kernel, "x/tty"));
	/* The shell that started both: the newest of them. */
	kernel->pid = (uint32_t)shell;
	cr_assert(last_error_has(kernel, "x/cwd"));
	/* One that is not related: the newest of that user. */
	kernel->pid = 1;
	cr_assert(last_error_has(kernel, "x/cwd"));
	kill(one, SIGKILL);
	kill(other, SIGKILL);
	waitpid(one, NULL, 0);
	waitpid(other, NULL, 0);
	fs_kernel_free(kernel, true);
}

static void lie_in_texts(struct fs_fake *fake, uint16_t op, struct transport_reply *reply,
			 void *result)
{
	static const char *const names[] = {"../x", "", "a/b", "-rf", ".", "ok", "ok", "bad\nname"};
	static struct buffer elements;
	struct result_job_list *list = result;

	if (op == OP_JOB_STATUS && !reply->error) {
		struct job_info *info = &((struct result_job_status *)result)->info;

		info->name = (struct bytes){(const uint8_t *)"../../etc", 9};
		info->cmd = (struct bytes){(const uint8_t *)"a\nstate exited\n\x1b[2J", 19};
		info->end = UINT64_MAX;
	}
	if (op != OP_JOB_LIST || reply->error)
		return;
	elements.size = 0;
	list->jobs = (struct list){0};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct job_info info = {.job = 7,
					.name = {(const uint8_t *)names[i], strlen(names[i])}};

		codec_list_append(&list->jobs, &elements, &job_info_record, &info);
	}
	codec_list_finish(&list->jobs, &elements);
	list->total = UINT32_MAX; /* and so it goes on for ever */
}

Test(fs_control, a_hostile_peer_can_neither_forge_names_nor_lines)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	char text[512];
	int n;

	cr_assert_eq(make(kernel, "x"), 0);
	cr_assert_eq(put(kernel, TOP "/jobs/x/cmd", "ls\n"), 0);
	kernel->fake->lie = lie_in_texts;
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/jobs/x/status", O_RDONLY, &file), 0);
	n = fs_kernel_file_read(kernel, &file, 0, text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	cr_assert(strstr(text, "cmd a?state exited??[2J\n"), "%s", text);
	fs_kernel_release(kernel, FUSE_RELEASE, file.node, file.handle);
	/* An endless list is refused, not collected. */
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/jobs"), strerror(EOVERFLOW));
	fs_kernel_free(kernel, true);
}

Test(fs_control, jobs_of_others_are_listed_and_found)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct args_job_start args = {.job = 99, .name = {(const uint8_t *)"theirs", 6}};
	struct result_job_start result;
	struct fs_fake_job_call call = {0};

	cr_assert_eq(fs_fake_job_answer(kernel->fake, OP_JOB_START, &args, &result, &call, NULL),
		     0);
	fs_fake_job_write(kernel->fake->jobs, 0, "hello\n", 6);
	cr_assert_eq(make(kernel, "mine"), 0);
	cr_assert_str_eq(fs_kernel_list(kernel, TOP "/jobs"), ". .. theirs mine ");
	cr_assert_eq(make(kernel, "theirs"), -EEXIST);
	cr_assert_str_eq(get(kernel, TOP "/jobs/theirs/log"), "hello\n");
	cr_assert_eq(put(kernel, TOP "/jobs/theirs/ctl", "signal TERM\n"), 0);
	cr_assert_eq(kernel->fake->jobs->last_signal, SIGTERM);
	fs_kernel_free(kernel, true);
}

Test(fs_control, a_removed_peer_leaves_nothing_behind)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file, wait, cmd;
	uint64_t read, write;

	cr_assert_eq(make(kernel, "x"), 0);
	cr_assert_eq(make(kernel, "new"), 0);
	cr_assert_eq(put(kernel, TOP "/jobs/x/cmd", "ls\n"), 0);
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/jobs/x/stdout", O_RDONLY, &file), 0);
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/jobs/x/wait", O_RDONLY, &wait), 0);
	cr_assert_eq(fs_kernel_file_open(kernel, TOP "/jobs/new/cmd", O_WRONLY, &cmd), 0);
	read = fs_kernel_file_send_read(kernel, &file, 0, 10);
	fs_kernel_file_send_read(kernel, &wait, 0, 10);
	fs_kernel_run(kernel);
	kernel->fake->is_held = true;
	write = fs_kernel_file_send_write(kernel, &cmd, 0, "ls\n", 3);
	fs_kernel_run(kernel);
	fs_peer_remove(kernel->peer);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, read), -ESTALE);
	cr_assert_eq(fs_kernel_file_took(kernel, write), -ESTALE);
	cr_assert_eq(fs_kernel_file_write(kernel, &cmd, 0, "ls\n", 3), -ESTALE);
	fs_kernel_release(kernel, FUSE_RELEASE, cmd.node, cmd.handle);
	/* The others are left open: the mount ends under them. */
	fs_kernel_free(kernel, false);
}
