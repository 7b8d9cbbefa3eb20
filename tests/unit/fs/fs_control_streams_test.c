#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs_fake_jobs.h"
#include "fs_kernel_files.h"

#define TOP "desk/.loopsy"
#define MS  1000000ull

static struct fs_kernel_file open_file(struct fs_kernel *kernel, const char *path, uint32_t flags)
{
	struct fs_kernel_file file;

	cr_assert_eq(fs_kernel_file_open(kernel, path, flags, &file), 0, "%s", path);
	return file;
}

static void close_file(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	fs_kernel_release(kernel, FUSE_RELEASE, file->node, file->handle);
	fs_kernel_run(kernel);
}

/* A job that was started, called "x". */
static struct fs_fake_job *new_job(struct fs_kernel *kernel)
{
	struct fuse_mkdir_in in = {.mode = 0777};
	struct fuse_entry_out entry;
	struct fs_kernel_file cmd;

	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_MKDIR, fs_kernel_walk(kernel, TOP "/jobs"), &in,
				       sizeof(in), "x", &entry),
		     0);
	cmd = open_file(kernel, TOP "/jobs/x/cmd", O_WRONLY);
	cr_assert_eq(fs_kernel_file_write(kernel, &cmd, 0, "run\n", 4), 4);
	close_file(kernel, &cmd);
	return fs_fake_job_find(kernel->fake, "x");
}

static uint64_t interrupt(struct fs_kernel *kernel, uint64_t unique)
{
	fs_kernel_file_interrupt(kernel, unique);
	fs_kernel_run(kernel);
	return unique;
}

/* Reads at most `size` bytes at a time until it has as much as is expected; for nothing, once. */
static void expect(struct fs_kernel *kernel, const struct fs_kernel_file *file, uint32_t size,
		   const char *expected)
{
	size_t left = strlen(expected);
	char text[256];

	do {
		int n = fs_kernel_file_read(kernel, file, 0, text, size);

		cr_assert_leq(n, (int)left, "%d", n);
		cr_assert(n > 0 || !left, "%d", n);
		cr_assert_eq(memcmp(text, expected, (size_t)n), 0);
		expected += n;
		left -= (size_t)n;
	} while (left);
}

static unsigned poll_file(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	struct fuse_poll_in in = {.fh = file->handle, .kh = 5, .flags = FUSE_POLL_SCHEDULE_NOTIFY};
	struct fs_kernel_reply *reply =
	    fs_kernel_ask(kernel, FUSE_POLL, file->node, &in, sizeof(in));
	struct fuse_poll_out out;

	cr_assert_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	free(reply);
	return out.revents;
}

/* --- exec ------------------------------------------------------------------------------------- */

Test(fs_control_streams, exec_is_one_transaction_of_an_open)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_file(kernel, TOP "/exec", O_RDWR);
	struct fs_fake_job *job;
	uint64_t read;

	cr_assert(file.open_flags & FOPEN_STREAM, "a read must not hold up a write");
	cr_assert(file.open_flags & FOPEN_DIRECT_IO);
	/* Read before there is anything: it waits. */
	read = fs_kernel_file_send_read(kernel, &file, 0, 3);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "una", 3), 3);
	cr_assert_null(kernel->fake->jobs);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 3, "me -a\n", 6), 6);
	job = kernel->fake->jobs;
	cr_assert_str_eq(job->line, "uname -a");
	cr_assert_eq(job->flags, JOB_MERGED | JOB_ATTACH | JOB_OWNER);
	cr_assert_eq(fs_kernel_file_took(kernel, read), 1);
	fs_fake_job_write(job, 0, "Linux desk\n", 11);
	fs_kernel_run(kernel);
	{
		struct fs_kernel_reply *reply = fs_kernel_take(kernel, read);

		cr_assert(reply && reply->size == 3 && memcmp(reply->data, "Lin", 3) == 0,
			  "not a byte more than was asked for");
		free(reply);
	}
	expect(kernel, &file, 1, "u");
	expect(kernel, &file, 100, "x desk\n");
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "two\n", 4), -EBUSY);
	fs_fake_job_exit(job, 0);
	expect(kernel, &file, 100, "");
	expect(kernel, &file, 100, "");
	close_file(kernel, &file);
	cr_assert_eq(kernel->fake->n_streams, 0);
	fs_kernel_free(kernel, true);
}

Test(fs_control_streams, exec_that_is_closed_takes_its_job_with_it)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_file(kernel, TOP "/exec", O_RDWR);

	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "sleep 9\n", 8), 8);
	close_file(kernel, &file);
	cr_assert_eq(kernel->fake->jobs->state, JOB_KILLED);
	cr_assert_eq(kernel->fake->n_streams, 0);
	fs_kernel_free(kernel, true);
}

Test(fs_control_streams, exec_that_is_refused_can_be_tried_again)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file = open_file(kernel, TOP "/exec", O_RDWR);
	char text[8];

	kernel->fake->error[OP_JOB_START] = -EAGAIN;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "ls\n", 3), -EAGAIN);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, text, 8), -EAGAIN);
	kernel->fake->error[OP_JOB_START] = 0;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "ls\n", 3), 3);
	fs_fake_job_write(kernel->fake->jobs, 0, "a\n", 2);
	expect(kernel, &file, 8, "a\n");
	close_file(kernel, &file);
	fs_kernel_free(kernel, true);
}

/* --- stdout and stderr ------------------------------------------------------------------------ */

Test(fs_control_streams, stdout_and_stderr_are_kept_apart_and_followed_to_the_end)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file out = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY);
	struct fs_kernel_file err = open_file(kernel, TOP "/jobs/x/stderr", O_RDONLY), late;
	uint64_t read;

	fs_fake_job_write(job, 0, "one ", 4);
	fs_fake_job_write(job, 1, "bad ", 4);
	fs_fake_job_write(job, 0, "two ", 4);
	expect(kernel, &out, 3, "one two ");
	expect(kernel, &err, 100, "bad ");
	read = fs_kernel_file_send_read(kernel, &err, 0, 100);
	fs_fake_job_write(job, 0, "three ", 6);
	expect(kernel, &out, 2, "three ");
	cr_assert_eq(fs_kernel_file_took(kernel, read), 1);
	/* Another reader begins at the start; they share one stream. */
	late = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY);
	expect(kernel, &late, 100, "one two three ");
	cr_assert_eq(kernel->fake->n_streams, 1);
	fs_fake_job_exit(job, 0);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, read), 0);
	expect(kernel, &out, 100, "");
	expect(kernel, &late, 100, "");
	close_file(kernel, &out);
	close_file(kernel, &err);
	close_file(kernel, &late);
	cr_assert_eq(kernel->fake->n_streams, 0);
	fs_kernel_free(kernel, true);
}

Test(fs_control_streams, many_who_wait_cost_one_stream_and_no_time)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file files[200], wait[200];
	uint64_t reads[200], waits[200];

	for (int i = 0; i < 200; i++) {
		files[i] = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY);
		wait[i] = open_file(kernel, TOP "/jobs/x/wait", O_RDONLY);
		reads[i] = fs_kernel_file_send_read(kernel, &files[i], 0, 100);
		waits[i] = fs_kernel_file_send_read(kernel, &wait[i], 0, 100);
		fs_kernel_run(kernel);
	}
	cr_assert_eq(kernel->fake->n_streams, 1);
	cr_assert_eq(kernel->fake->n_asked[OP_JOB_WAIT], 1);
	cr_assert_eq(interrupt(kernel, reads[7]), reads[7]);
	cr_assert_eq(fs_kernel_file_took(kernel, reads[7]), -EINTR);
	cr_assert_eq(interrupt(kernel, waits[7]), waits[7]);
	cr_assert_eq(fs_kernel_file_took(kernel, waits[7]), -EINTR);
	fs_fake_job_write(job, 0, "here\n", 5);
	fs_fake_job_exit(job, 3);
	fs_kernel_run(kernel);
	for (int i = 0; i < 200; i++) {
		if (i != 7) {
			cr_assert_eq(fs_kernel_file_took(kernel, reads[i]), 0);
			cr_assert_eq(fs_kernel_file_took(kernel, waits[i]), 0);
		}
		close_file(kernel, &files[i]);
		close_file(kernel, &wait[i]);
	}
	cr_assert_eq(kernel->fake->n_streams, 0);
	fs_kernel_free(kernel, true);
}

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7);
}

static void write_pattern(struct fs_fake_job *job, size_t size)
{
	uint8_t *data = malloc(size);

	for (size_t i = 0; i < size; i++)
		data[i] = pattern(job->end + i);
	fs_fake_job_write(job, 0, data, size);
	free(data);
}

/* Reads on by up to `size` bytes, all of which must be right. Returns how many came. */
static int read_pattern(struct fs_kernel *kernel, const struct fs_kernel_file *file, uint64_t *at,
			uint32_t size)
{
	uint8_t *data = malloc(size);
	int n = fs_kernel_file_read(kernel, file, 0, data, size);

	for (int i = 0; i < n; i++)
		cr_assert_eq(data[i], pattern(*at + (uint64_t)i), "at %lu",
			     (unsigned long)*at + (unsigned long)i);
	*at += n > 0 ? (uint64_t)n : 0;
	free(data);
	return n;
}

Test(fs_control_streams, a_slow_reader_delays_no_other_and_loses_nothing)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file fast = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY);
	struct fs_kernel_file slow = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY);
	uint64_t at_fast = 0, at_slow = 0;

	write_pattern(job, 3000000);
	cr_assert_eq(read_pattern(kernel, &slow, &at_slow, 1000), 1000);
	while (at_fast < job->end)
		cr_assert_gt(read_pattern(kernel, &fast, &at_fast, 65536), 0);
	cr_assert_leq(kernel->fake->most_streamed, kernel->fake->credit);
	fs_fake_job_exit(job, 0);
	cr_assert_eq(read_pattern(kernel, &fast, &at_fast, 65536), 0);
	while (at_slow < job->end)
		cr_assert_gt(read_pattern(kernel, &slow, &at_slow, 100000), 0);
	cr_assert_eq(read_pattern(kernel, &slow, &at_slow, 65536), 0);
	close_file(kernel, &fast);
	close_file(kernel, &slow);
	cr_assert_eq(kernel->fake->n_streams, 0);
	fs_kernel_free(kernel, true);
}

Test(fs_control_streams, a_broken_link_loses_and_doubles_nothing)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file out = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY);
	struct fs_kernel_file exec = open_file(kernel, TOP "/exec", O_RDWR);
	struct fs_fake_job *own;
	uint64_t at = 0, at_own = 0;

	cr_assert_eq(fs_kernel_file_write(kernel, &exec, 0, "run\n", 4), 4);
	own = kernel->fake->jobs;
	write_pattern(job, 500000);
	write_pattern(own, 500000);
	for (int i = 0; at < job->end || at_own < own->end; i++) {
		if (at < job->end)
			cr_assert_gt(read_pattern(kernel, &out, &at, 50000), 0);
		if (at_own < own->end)
			cr_assert_gt(read_pattern(kernel, &exec, &at_own, 30000), 0);
		if (i % 3 == 0)
			fs_fake_link_lost(kernel->fake);
	}
	cr_assert_eq(own->state, JOB_RUNNING, "the link took it along");
	/* Who waits while it is down is told. */
	{
		uint64_t read = fs_kernel_file_send_read(kernel, &out, 0, 10);

		fs_kernel_run(kernel);
		kernel->fake->is_down = true;
		fs_fake_link_lost(kernel->fake);
		fs_kernel_run(kernel);
		cr_assert_eq(fs_kernel_file_took(kernel, read), -EHOSTDOWN);
		kernel->fake->is_down = false;
	}
	write_pattern(job, 10);
	cr_assert_eq(read_pattern(kernel, &out, &at, 50), 10, "and goes on behind what it had");
	close_file(kernel, &out);
	close_file(kernel, &exec);
	fs_kernel_free(kernel, true);
}

Test(fs_control_streams, what_is_not_kept_is_an_error_that_says_so)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file out, log = open_file(kernel, TOP "/jobs/x/log", O_RDONLY);
	uint64_t at = 1000;
	char text[16];

	write_pattern(job, 5000);
	job->kept = 1000;
	cr_assert_eq(fs_kernel_file_read(kernel, &log, 0, text, 16), -ERANGE);
	cr_assert_eq(fs_kernel_file_read(kernel, &log, 1000, text, 16), 16);
	out = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY);
	cr_assert_eq(read_pattern(kernel, &out, &at, 100), 100, "from the start of what is kept");
	close_file(kernel, &out);
	close_file(kernel, &log);
	fs_kernel_free(kernel, true);
}

Test(fs_control_streams, an_endless_stream_of_changes_is_bounded)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file out = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY);
	struct fs_kernel_file err = open_file(kernel, TOP "/jobs/x/stderr", O_RDONLY);
	unsigned n_out = 0, n_err = 0;
	char text[4096];
	int n;

	for (int i = 0; i < 50000; i++)
		fs_fake_job_write(job, i % 2 ? 1 : 0, i % 2 ? "e" : "o", 1);
	fs_fake_job_exit(job, 0);
	while ((n = fs_kernel_file_read(kernel, &out, 0, text, sizeof(text))) > 0) {
		n_out += (unsigned)n;
		cr_assert_null(memchr(text, 'e', (size_t)n));
	}
	while ((n = fs_kernel_file_read(kernel, &err, 0, text, sizeof(text))) > 0)
		n_err += (unsigned)n;
	cr_assert_eq(n, 0);
	cr_assert(n_out == 25000 && n_err == 25000, "%u %u", n_out, n_err);
	close_file(kernel, &out);
	close_file(kernel, &err);
	fs_kernel_free(kernel, true);
}

/* --- stdin ------------------------------------------------------------------------------------ */

static int64_t written(struct fs_kernel *kernel, uint64_t unique)
{
	struct fs_kernel_reply *reply = fs_kernel_take(kernel, unique);
	struct fuse_write_out out = {0};
	int64_t n;

	if (!reply)
		return 0;
	if (reply->size >= sizeof(out))
		memcpy(&out, reply->data, sizeof(out));
	n = reply->error ? reply->error : (int64_t)out.size;
	free(reply);
	return n;
}

Test(fs_control_streams, stdin_waits_for_its_reader_and_is_taken_once)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file in = open_file(kernel, TOP "/jobs/x/stdin", O_WRONLY | O_TRUNC);
	struct fs_kernel_file other = open_file(kernel, TOP "/jobs/x/stdin", O_WRONLY);
	struct fs_kernel_file ctl = open_file(kernel, TOP "/jobs/x/ctl", O_WRONLY);
	uint64_t first, second;

	cr_assert_neq(in.node, other.node, "writers to one inode could not be interrupted");
	first = fs_kernel_file_send_write(kernel, &in, 0, "one\0", 4);
	second = fs_kernel_file_send_write(kernel, &other, 0, "two", 3);
	cr_assert_eq(fs_kernel_file_write(kernel, &ctl, 0, "eof\n", 4), 4, "it queues and returns");
	cr_assert_eq(written(kernel, first), 0);
	/* Interrupted, the bytes go on; its writer hears that they were written, and does not
	 * write them twice. */
	interrupt(kernel, first);
	cr_assert_eq(written(kernel, first), 4);
	job->takes_input = true;
	fs_kernel_run(kernel);
	cr_assert_eq(written(kernel, second), 3);
	cr_assert_eq(job->n_input, 7);
	cr_assert_eq(memcmp(job->input, "one\0two", 7), 0);
	cr_assert(job->has_eof);
	/* And with nobody there any more. */
	fs_fake_job_exit(job, 0);
	cr_assert_eq(fs_kernel_file_write(kernel, &in, 0, "x", 1), -EPIPE);
	close_file(kernel, &in);
	close_file(kernel, &other);
	close_file(kernel, &ctl);
	fs_kernel_free(kernel, true);
}

/* Pollers are told by another thread. */
static void expect_notified(struct fs_kernel *kernel, unsigned n)
{
	time_t deadline = time(NULL) + 60;

	do
		fs_kernel_run(kernel);
	while (kernel->n_notified < n && time(NULL) < deadline);
	cr_assert_eq(kernel->n_notified, n);
}

Test(fs_control_streams, stdin_without_blocking_takes_what_there_is_room_for)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file in = open_file(kernel, TOP "/jobs/x/stdin", O_WRONLY | O_NONBLOCK);
	uint64_t flush;

	cr_assert_eq(poll_file(kernel, &in), POLLOUT | POLLWRNORM);
	cr_assert_eq(fs_kernel_file_write(kernel, &in, 0, "abc", 3), 3);
	cr_assert_eq(fs_kernel_file_write(kernel, &in, 0, "def", 3), -EAGAIN);
	cr_assert_eq(poll_file(kernel, &in), 0);
	/* A close waits for it, and says what became of it. */
	flush = fs_kernel_file_send_flush(kernel, &in);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, flush), 1);
	kernel->n_notified = 0;
	job->takes_input = true;
	fs_fake_job_exit(job, 0);
	expect_notified(kernel, 1);
	cr_assert_eq(fs_kernel_file_took(kernel, flush), 0);
	flush = fs_kernel_file_send_flush(kernel, &in);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, flush), -EPIPE);
	close_file(kernel, &in);
	fs_kernel_free(kernel, true);
}

/* --- poll, events ----------------------------------------------------------------------------- */

Test(fs_control_streams, poll_is_told_when_there_is_something)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_job *job = new_job(kernel);
	struct fs_kernel_file out = open_file(kernel, TOP "/jobs/x/stdout", O_RDONLY | O_NONBLOCK);
	struct fs_kernel_file wait = open_file(kernel, TOP "/jobs/x/wait", O_RDONLY);
	char text[8];

	cr_assert_eq(poll_file(kernel, &out), 0);
	cr_assert_eq(poll_file(kernel, &wait), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &out, 0, text, 8), -EAGAIN);
	kernel->n_notified = 0;
	fs_fake_job_write(job, 1, "err", 3);
	fs_kernel_run(kernel);
	cr_assert_eq(kernel->n_notified, 0, "that was for stderr");
	fs_fake_job_write(job, 0, "out", 3);
	expect_notified(kernel, 1);
	cr_assert_eq(poll_file(kernel, &out), POLLIN | POLLRDNORM);
	expect(kernel, &out, 8, "out");
	fs_fake_job_exit(job, 0);
	fs_kernel_run(kernel);
	cr_assert_eq(poll_file(kernel, &out), POLLIN | POLLRDNORM);
	cr_assert_eq(poll_file(kernel, &wait), POLLIN | POLLRDNORM);
	expect(kernel, &out, 8, "");
	close_file(kernel, &out);
	close_file(kernel, &wait);
	fs_kernel_free(kernel, true);
}

Test(fs_control_streams, events_tell_of_jobs_and_links_as_json_lines)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file events = open_file(kernel, TOP "/events", O_RDONLY);
	struct fs_kernel_file all;
	char text[4096];
	int n;

	new_job(kernel);
	n = fs_kernel_file_read(kernel, &events, 0, text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	cr_assert(strstr(text, "\"peer\":\"desk\",\"event\":\"up\"}\n"), "%s", text);
	fs_fake_job_event(kernel->fake, "x", false);
	fs_fake_job_exit(fs_fake_job_find(kernel->fake, "x"), 2);
	fs_fake_job_event(kernel->fake, "x", false);
	fs_fake_job_event(kernel->fake, "x", true);
	n = fs_kernel_file_read(kernel, &events, 0, text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	cr_assert(strstr(text, "\"event\":\"started\",\"job\":\"x\",\"cmd\":\"run\"}\n"), "%s",
		  text);
	n += fs_kernel_file_read(kernel, &events, 0, text + n, sizeof(text) - 1 - (size_t)n);
	kernel->fake->listener->session_lost(kernel->fake->listener_arg);
	kernel->fake->listener->session_back(kernel->fake->listener_arg);
	/* Another reader gets all that is kept, of all peers together too. */
	all = open_file(kernel, ".loopsy/events", O_RDONLY);
	n = fs_kernel_file_read(kernel, &all, 0, text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	cr_assert(strstr(text, "\"event\":\"exited\",\"job\":\"x\",\"cmd\":\"run\",\"exit\":2}\n"));
	cr_assert(strstr(text, "\"event\":\"removed\",\"job\":\"x\"}\n"));
	cr_assert(strstr(text, "\"event\":\"down\"}\n"));
	cr_assert_eq(kernel->fake->n_streams, 2, "one of jobs, one of values");
	close_file(kernel, &events);
	close_file(kernel, &all);
	fs_kernel_free(kernel, true);
}
