/* What jobs may and may not do, and what stays of them. */
#include <dirent.h>
#include <sys/wait.h>

#include "daemon/jobs/jobs_private.h"
#include "tests/unit/jobs/jobs_fake.h"

static struct jobs_fake fake;

TestSuite(jobs_limits, .init = scratch_init, .fini = scratch_fini, .timeout = 240);

static int start_error(const char *line, struct args_job_start args)
{
	return jobs_fake_wait(&fake, jobs_fake_line(&fake, 0, line, args));
}

static struct jobs_fake_call *run(const char *line, struct args_job_start args)
{
	struct jobs_fake_call *call;

	args.flags |= JOBS_FAKE_OWNED;
	call = jobs_fake_line(&fake, 0, line, args);
	jobs_fake_until(&fake, call->has_ended);
	return call;
}

Test(jobs_limits, what_makes_no_sense_starts_nothing)
{
	struct job_word word = {.text = {(const uint8_t *)"NAME\0=x", 7}};
	struct args_job_start args = {0};
	struct buffer elements = {0};

	jobs_fake_init(&fake, NULL);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_START, job_start, NULL, .job = 1), -EINVAL);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_START, job_start, NULL, .line = bytes_of_text("true")),
	    -EINVAL);
	cr_assert_eq(start_error("true", (struct args_job_start){.flags = JOB_LOGIN}), -EINVAL);
	cr_assert_eq(start_error("true", (struct args_job_start){.flags = JOB_OWNER}), -EINVAL);
	cr_assert_eq(start_error("true", (struct args_job_start){.name = bytes_of_text("a/b")}),
		     -EINVAL);
	cr_assert_eq(start_error("true", (struct args_job_start){.name = bytes_of_text(".")}),
		     -EINVAL);
	cr_assert_eq(start_error("true", (struct args_job_start){.name = bytes_of_text("-x")}),
		     -EINVAL);
	args.line = (struct bytes){(const uint8_t *)"tr\0ue", 5};
	args.job = 5;
	cr_assert_eq(jobs_fake_call(&fake, OP_JOB_START, &args, NULL), -EINVAL);
	args.line = bytes_of_text("true");
	cr_assert_eq(codec_list_append(&args.env, &elements, &job_word_record, &word), 0);
	codec_list_finish(&args.env, &elements);
	cr_assert_eq(jobs_fake_call(&fake, OP_JOB_START, &args, NULL), -EINVAL);
	buffer_deinit(&elements);
	cr_assert_eq(fake.n_told, 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_STATUS, job_status, NULL, .job = 5), -ENOENT);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_STATUS, job_status, NULL, .name = bytes_of_text("nobody")),
	    -ENOENT);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, a_directory_must_be_there_and_be_one)
{
	jobs_fake_init(&fake, NULL);
	scratch_write(scratch_path("file"), "", 0, 0644);
	cr_assert_eq(start_error("true", (struct args_job_start){.cwd = bytes_of_text("no")}),
		     -ENOENT);
	cr_assert_eq(start_error("true", (struct args_job_start){.cwd = bytes_of_text("file")}),
		     -ENOTDIR);
	mkdir(scratch_path("dir"), 0755);
	cr_assert_str_eq(jobs_fake_output(run("basename \"$(pwd)\"",
					      (struct args_job_start){.cwd = bytes_of_text("dir")}),
					  0),
			 "dir\n");
	cr_assert_str_eq(
	    jobs_fake_output(run("[ \"$(pwd -P)\" = \"$(cd && pwd -P)\" ] && echo home",
				 (struct args_job_start){0}),
			     0),
	    "home\n");
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, its_environment_is_ours_without_what_is_the_daemons)
{
	struct job_word word = {.text = bytes_of_text("EXTRA=given")};
	struct args_job_start args = {.flags = JOBS_FAKE_OWNED, .name = bytes_of_text("named")};
	struct buffer elements = {0};
	struct jobs_fake_call *call;

	setenv("LOOPSY_HOME", "/tmp/x", 1);
	setenv("NOTIFY_SOCKET", "/tmp/y", 1);
	setenv("KEPT", "kept", 1);
	jobs_fake_init(&fake, NULL);
	cr_assert_eq(codec_list_append(&args.env, &elements, &job_word_record, &word), 0);
	codec_list_finish(&args.env, &elements);
	call = jobs_fake_line(&fake, 0,
			      "echo \"$LOOPSY_HOME|$NOTIFY_SOCKET|$UV_THREADPOOL_SIZE|$KEPT|$EXTRA|"
			      "$LOOPSY_PEER|$LOOPSY_JOB|${HOME:+home}|${SHELL:+shell}\"; umask; "
			      "ulimit -n; trap",
			      args);
	jobs_fake_until(&fake, call->has_ended);
	buffer_deinit(&elements);
	cr_assert_not_null(
	    strstr(jobs_fake_output(call, 0), "|||kept|given|desk|named|home|shell\n0022\n"), "%s",
	    jobs_fake_output(call, 0));
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, denied_names_are_refused_and_told)
{
	struct jobs_options options = {.deny = "rm,shutdown"};
	const char *const words[] = {"/bin/rm", "x", NULL};

	jobs_fake_init(&fake, &options);
	cr_assert_eq(start_error("rm -rf x", (struct args_job_start){0}), -EPERM);
	cr_assert_eq(
	    jobs_fake_wait(&fake, jobs_fake_words(&fake, 0, words, (struct args_job_start){0})),
	    -EPERM);
	cr_assert_eq(fake.n_refused, 2);
	cr_assert_eq(fake.refused_error, -EPERM);
	cr_assert_eq(run("echo rm", (struct args_job_start){0})->notice.exit, 0);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, with_a_list_of_what_is_allowed_nothing_else_is)
{
	struct jobs_options options = {.allow = "echo,printf"};
	const char *const echo[] = {"echo", NULL}, *const ls[] = {"ls", NULL};

	jobs_fake_init(&fake, &options);
	cr_assert_eq(
	    jobs_fake_wait(&fake, jobs_fake_words(&fake, 0, echo, (struct args_job_start){0})), 0);
	cr_assert_eq(
	    jobs_fake_wait(&fake, jobs_fake_words(&fake, 0, ls, (struct args_job_start){0})),
	    -EPERM);
	cr_assert_eq(start_error("echo", (struct args_job_start){0}), -EPERM);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, one_more_than_may_run_is_refused)
{
	struct jobs_options options = {.max_jobs = 2};
	struct jobs_fake_call *first;

	jobs_fake_init(&fake, &options);
	first = jobs_fake_line(&fake, 0, "sleep 1000", (struct args_job_start){0});
	cr_assert_eq(jobs_fake_wait(&fake, first), 0);
	cr_assert_eq(start_error("sleep 1000", (struct args_job_start){0}), 0);
	cr_assert_eq(start_error("true", (struct args_job_start){0}), -EAGAIN);
	/* Another peer has its own. */
	cr_assert_eq(
	    jobs_fake_wait(&fake, jobs_fake_line(&fake, 2, "true", (struct args_job_start){0})), 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_SIGNAL, job_signal, NULL,
				    .job = jobs_fake_number(first), .signal = SIGKILL),
		     0);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_WAIT, job_wait, NULL, .job = jobs_fake_number(first)), 0);
	cr_assert_eq(start_error("true", (struct args_job_start){0}), 0);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, a_peer_sees_its_own_jobs_only)
{
	struct jobs_fake_call *call, *list;
	uint64_t number;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "sleep 1000", (struct args_job_start){0});
	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	number = jobs_fake_number(call);
	list = jobs_fake_start(&fake, 2, OP_JOB_LIST, &(struct args_job_list){.limit = 10});
	cr_assert_eq(jobs_fake_wait(&fake, list), 0);
	cr_assert_eq(((struct result_job_list *)list->result)->total, 0);
	list = jobs_fake_start(&fake, 2, OP_JOB_SIGNAL,
			       &(struct args_job_signal){.job = number, .signal = SIGKILL});
	cr_assert_eq(jobs_fake_wait(&fake, list), -ENOENT);
	list = jobs_fake_start(&fake, 1, OP_JOB_LIST, &(struct args_job_list){.limit = 10});
	cr_assert_eq(jobs_fake_wait(&fake, list), 0);
	cr_assert_eq(((struct result_job_list *)list->result)->total, 1);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, names_are_made_of_commands_and_are_one_jobs_each)
{
	const struct result_job_status *status;

	jobs_fake_init(&fake, NULL);
	cr_assert_eq(start_error("sleep 1000", (struct args_job_start){0}), 0);
	cr_assert_eq(start_error("sleep 1000", (struct args_job_start){0}), 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_STATUS, job_status, &status,
				    .name = bytes_of_text("sleep-2")),
		     0);
	cr_assert_eq(memcmp(status->info.cmd.data, "sleep 1000", 10), 0);
	cr_assert_eq(start_error("true", (struct args_job_start){.name = bytes_of_text("sleep")}),
		     -EEXIST);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_REMOVE, job_remove, NULL, .name = bytes_of_text("sleep")),
	    -EBUSY);
	/* One that has ended makes way. */
	cr_assert_eq(start_error("exit 1", (struct args_job_start){.name = bytes_of_text("n")}), 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WAIT, job_wait, NULL, .name = bytes_of_text("n")),
		     0);
	cr_assert_eq(start_error("exit 2", (struct args_job_start){.name = bytes_of_text("n")}), 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WAIT, job_wait, &status, .name = bytes_of_text("n")),
		     0);
	cr_assert_eq(status->info.exit, 2);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_REMOVE, job_remove, NULL, .name = bytes_of_text("n")), 0);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_STATUS, job_status, NULL, .name = bytes_of_text("n")),
	    -ENOENT);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, after_the_grace_a_job_gets_a_hangup)
{
	struct jobs_options options = {.grace_ms = 30};
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, &options);
	call = jobs_fake_line(&fake, 0, "sleep 1000",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	jobs_fake_cut(&fake, 0);
	jobs_fake_until(&fake, fake.n_ended == 1);
	cr_assert_eq(fake.told.state, JOB_KILLED);
	cr_assert_eq(fake.told.signal, SIGHUP);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, a_detached_job_outlives_its_client)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "read x; exit 5",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED | JOB_STDIN});
	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_DETACH, job_detach, NULL, .job = jobs_fake_number(call)), 0);
	jobs_fake_cancel(&fake, call);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WRITE, job_write, NULL,
				    .job = jobs_fake_number(call), .eof = true),
		     0);
	jobs_fake_until(&fake, fake.n_ended == 1);
	cr_assert_eq(fake.told.exit, 5);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, an_unpaired_peers_jobs_are_killed)
{
	const void *peer;
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	peer = fake.peers[0];
	call = jobs_fake_line(&fake, 0, "trap '' HUP TERM; echo; sleep 1000",
			      (struct args_job_start){.flags = JOB_ATTACH});
	jobs_fake_until(&fake, call->n_bytes > 0);
	jobs_fake_close_session(&fake, 0);
	jobs_fake_close_session(&fake, 1);
	jobs_peer_removed(fake.jobs, peer);
	jobs_fake_until(&fake, fake.n_ended == 1);
	cr_assert_eq(fake.told.signal, SIGKILL);
	/* Nothing of it stays. */
	jobs_fake_until(&fake, fake.jobs->peers && !fake.jobs->peers->next);
	/* Who comes with the same address is somebody else. */
	jobs_fake_open_session(&fake, 0, peer);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_STATUS, job_status, NULL, .job = jobs_fake_number(call)),
	    -ENOENT);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, a_slow_client_gets_every_byte_and_the_program_waits)
{
	struct jobs_fake_call *call;
	size_t had = 0;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "head -c 20000000 /dev/zero | tr '\\0' x; echo err >&2",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	call->gives_credit = false;
	call->is_discarding = true;
	while (!call->has_ended) {
		size_t used;

		jobs_fake_until(&fake, call->has_ended || call->n_bytes > had);
		used = call->n_bytes - had;
		had = call->n_bytes;
		jobs_fake_credit(call, used + 1000);
	}
	cr_assert_eq(call->end_error, 0);
	cr_assert_eq(call->n_bytes, 20000004);
	cr_assert_eq(call->notice_at, 20000004);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, a_broken_link_loses_no_byte_of_much)
{
	struct jobs_options options = {.spool_limit = 4 << 20};
	struct jobs_fake_call *call, *again;
	uint64_t number;

	jobs_fake_init(&fake, &options);
	call = jobs_fake_line(&fake, 0, "seq 1 2000000",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	call->gives_credit = false;
	jobs_fake_until(&fake, call->credit == 0);
	number = jobs_fake_number(call);
	jobs_fake_cut(&fake, 0);
	/* All that was sent may have been lost on the way. */
	again = jobs_fake_start(
	    &fake, 0, OP_JOB_ATTACH,
	    &(struct args_job_attach){.job = number, .flags = JOB_OWNER, .offset = 12345});
	cr_assert_eq(jobs_fake_wait(&fake, again), 0);
	jobs_fake_until(&fake, again->has_ended);
	cr_assert_eq(again->notice.exit, 0);
	cr_assert_eq(again->n_bytes, 14888896 - 12345);
	cr_assert_eq(
	    memcmp(again->channels[0].data + again->n_bytes - 16, "1999999\n2000000\n", 16), 0);
	cr_assert_eq(
	    memcmp(again->channels[0].data, call->channels[0].data + 12345, call->n_bytes - 12345),
	    0);
	jobs_fake_deinit(&fake);
}

/* Its last line is there, and what is older than the limit is gone. The program's end is told
 * first: where the disk is slow, its last output is taken later, and what is on its way to the disk
 * is let go of when it has got there. */
static bool has_settled(uint64_t number)
{
	const struct result_job_read *read;
	int error = JOBS_FAKE_CALL(&fake, JOB_READ, job_read, &read, .job = number,
				   .offset = 14888896 - 8, .size = 100);

	cr_assert(error == 0 || error == -ERANGE, "error %d", error);
	if (error < 0 || !read->eof || read->kept <= 10000000)
		return false;
	cr_assert_eq(memcmp(read->data.data, "2000000\n", 8), 0);
	return true;
}

Test(jobs_limits, what_is_not_kept_any_more_is_an_error)
{
	struct jobs_options options = {.spool_limit = 1 << 20};
	struct jobs_fake_call *call;
	uint64_t number;

	jobs_fake_init(&fake, &options);
	call = jobs_fake_line(&fake, 0, "seq 1 2000000", (struct args_job_start){0});
	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	number = jobs_fake_number(call);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WAIT, job_wait, NULL, .job = number), 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_READ, job_read, NULL, .job = number, .size = 100),
		     -ERANGE);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_ATTACH, job_attach, NULL, .job = number), -ERANGE);
	jobs_fake_until(&fake, has_settled(number));
	jobs_fake_deinit(&fake);
}

/* --- what stays ------------------------------------------------------------------------------- */

static unsigned n_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	cr_assert_not_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

Test(jobs_limits, a_thousand_jobs_leave_no_process_and_no_descriptor)
{
	const char *const words[] = {"true", NULL};
	siginfo_t info;
	unsigned n_fds = 0;

	jobs_fake_init(&fake, NULL);
	for (unsigned i = 0; i < 1000; i++) {
		struct jobs_fake_call *call = jobs_fake_words(
		    &fake, 0, words, (struct args_job_start){.flags = JOBS_FAKE_OWNED});

		jobs_fake_until(&fake, call->has_ended);
		cr_assert_eq(call->notice.exit, 0);
		if (i == 0)
			n_fds = n_in("/proc/self/fd");
	}
	cr_assert_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
	cr_assert_eq(errno, ECHILD);
	cr_assert_eq(n_in("/proc/self/fd"), n_fds);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, two_hundred_at_once_all_finish)
{
	struct jobs_fake_call *calls[200];

	jobs_fake_init(&fake, NULL);
	for (unsigned i = 0; i < 200; i++)
		calls[i] = jobs_fake_line(&fake, i % 2, "echo out; echo err >&2; exit 7",
					  (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	for (unsigned i = 0; i < 200; i++) {
		jobs_fake_until(&fake, calls[i]->has_ended);
		cr_assert_eq(calls[i]->notice.exit, 7);
		cr_assert_eq(calls[i]->n_bytes, 8);
	}
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, only_the_newest_finished_jobs_are_kept)
{
	const struct result_job_list *list;

	jobs_fake_init(&fake, NULL);
	for (unsigned i = 0; i < 130; i++) {
		struct jobs_fake_call *call =
		    jobs_fake_line(&fake, 0, "true", (struct args_job_start){0});

		cr_assert_eq(jobs_fake_wait(&fake, call), 0);
		cr_assert_eq(
		    JOBS_FAKE_CALL(&fake, JOB_WAIT, job_wait, NULL, .job = jobs_fake_number(call)),
		    0);
	}
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_LIST, job_list, &list, .limit = 7), 0);
	cr_assert_eq(list->total, 100);
	cr_assert_eq(list->jobs.n, 7);
	jobs_fake_deinit(&fake);
}

Test(jobs_limits, starts_and_ends_are_told_to_who_watches)
{
	struct jobs_fake_call *events;
	struct bytes input;
	struct job_info info;

	jobs_fake_init(&fake, NULL);
	events = jobs_fake_start(&fake, 1, OP_JOB_EVENTS, &(struct args_job_events){0});
	run("exit 9", (struct args_job_start){.name = bytes_of_text("nine")});
	input = (struct bytes){events->channels[0].data, events->channels[0].size};
	cr_assert_eq(codec_decode(&job_info_record, &input, &info, NULL), 0);
	cr_assert_eq(info.state, JOB_RUNNING);
	cr_assert_eq(codec_decode(&job_info_record, &input, &info, NULL), 0);
	cr_assert_eq(info.state, JOB_EXITED);
	cr_assert_eq(info.exit, 9);
	cr_assert_eq(input.size, 0);
	jobs_fake_deinit(&fake);
}

static bool is_noted(uint64_t number)
{
	for (unsigned i = 0; i < 8; i++) {
		if (fake.noted[i] == number)
			return true;
	}
	return false;
}

Test(jobs_limits, what_belongs_to_no_client_is_noted_until_it_ends)
{
	struct jobs_fake_call *owned, *detached;
	uint64_t number;

	jobs_fake_init(&fake, NULL);
	run("true", (struct args_job_start){0});
	cr_assert_eq(fake.n_notes, 0);
	detached = jobs_fake_line(&fake, 0, "exec sleep 1000", (struct args_job_start){0});
	cr_assert_eq(jobs_fake_wait(&fake, detached), 0);
	cr_assert(is_noted(jobs_fake_number(detached)));
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_SIGNAL, job_signal, NULL,
				    .job = jobs_fake_number(detached), .signal = SIGKILL),
		     0);
	jobs_fake_until(&fake, !is_noted(jobs_fake_number(detached)));
	owned = jobs_fake_line(&fake, 0, "exec sleep 1000",
			       (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	cr_assert_eq(jobs_fake_wait(&fake, owned), 0);
	cr_assert(!is_noted(jobs_fake_number(owned)));
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_DETACH, job_detach, NULL, .job = jobs_fake_number(owned)), 0);
	number = jobs_fake_number(owned);
	cr_assert(is_noted(number));
	jobs_fake_deinit(&fake);
	cr_assert(is_noted(number), "that it ends with us is what it was noted for");
}

Test(jobs_limits, a_lost_job_is_listed_and_can_be_removed)
{
	static const char peer;
	struct job_info lost = {.job = 77,
				.name = bytes_of_text("build"),
				.cmd = bytes_of_text("make all"),
				.tty = true,
				.started = {1000, 2000}};
	const struct result_job_list *list;
	const struct result_job_wait *waited;
	const struct result_job_read *read;
	struct jobs_fake_call *call;
	struct job_info info;
	struct list jobs;

	jobs_fake_init(&fake, NULL);
	jobs_fake_close_session(&fake, 0);
	cr_assert_eq(jobs_add_lost(fake.jobs, &peer, &lost), 0);
	fake.noted[0] = 77;
	jobs_fake_open_session(&fake, 0, &peer);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_LIST, job_list, &list, .limit = 7), 0);
	cr_assert_eq(list->total, 1);
	jobs = list->jobs;
	cr_assert_eq(codec_list_next(&jobs, &job_info_record, &info, NULL), 0);
	cr_assert_eq(info.state, JOB_LOST);
	cr_assert_eq(info.name.size, 5);
	cr_assert(info.tty && info.started.tv_sec == 1000);
	cr_assert_eq(memcmp(info.cmd.data, "make all", 8), 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WAIT, job_wait, &waited, .job = 77), 0);
	cr_assert_eq(waited->info.state, JOB_LOST);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_READ, job_read, &read, .job = 77, .size = 9), 0);
	cr_assert(read->eof && read->data.size == 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_ATTACH, job_attach, NULL, .job = 77, .offset = 9),
		     -ESHUTDOWN);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_SIGNAL, job_signal, NULL, .job = 77, .signal = 9),
		     -ESRCH);
	/* Its name is free, and goes to who asks for it. */
	call = jobs_fake_line(&fake, 0, "exec sleep 1000",
			      (struct args_job_start){.name = bytes_of_text("build")});
	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	cr_assert(fake.noted[0] != 77 && is_noted(jobs_fake_number(call)));
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_STATUS, job_status, NULL, .job = 77), -ENOENT);
	cr_assert_eq(jobs_add_lost(fake.jobs, &peer, &lost), 0);
	fake.noted[7] = 77;
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_REMOVE, job_remove, NULL, .job = 77), 0);
	cr_assert_eq(fake.noted[7], 0);
	jobs_fake_deinit(&fake);
}
