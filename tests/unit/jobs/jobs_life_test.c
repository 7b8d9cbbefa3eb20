/* From the start of a job to its end. */
#include "tests/unit/jobs/jobs_fake.h"

static struct jobs_fake fake;

TestSuite(jobs_life, .init = scratch_init, .fini = scratch_fini, .timeout = 120);

/* Runs a line to its end. */
static struct jobs_fake_call *run(const char *line)
{
	struct jobs_fake_call *call =
	    jobs_fake_line(&fake, 0, line, (struct args_job_start){.flags = JOBS_FAKE_OWNED});

	jobs_fake_until(&fake, call->has_ended);
	cr_assert_eq(call->end_error, 0);
	cr_assert_eq(call->n_notices, 1);
	return call;
}

Test(jobs_life, output_of_both_kinds_and_the_exit_status_come_in_one_stream)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = run("echo out; echo err >&2; exit 42");
	cr_assert_str_eq(jobs_fake_output(call, 0), "out\n");
	cr_assert_str_eq(jobs_fake_output(call, 1), "err\n");
	cr_assert_eq(call->notice.state, JOB_EXITED);
	cr_assert_eq(call->notice.exit, 42);
	cr_assert_eq(call->notice_at, 8);
	cr_assert_gt(call->notice.ended.tv_sec, 0);
	jobs_fake_deinit(&fake);
}

Test(jobs_life, a_signal_that_ends_it_is_told)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = run("kill -TERM $$");
	cr_assert_eq(call->notice.state, JOB_KILLED);
	cr_assert_eq(call->notice.signal, SIGTERM);
	jobs_fake_deinit(&fake);
}

Test(jobs_life, words_are_executed_without_a_shell)
{
	const char *const words[] = {"printf", "%s|", "a b", "$HOME", "", NULL};
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_words(&fake, 0, words, (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	jobs_fake_until(&fake, call->has_ended);
	cr_assert_str_eq(jobs_fake_output(call, 0), "a b|$HOME||");
	jobs_fake_deinit(&fake);
}

static struct jobs_fake_call *run_word(const char *word)
{
	const char *const words[] = {word, NULL};
	struct jobs_fake_call *call =
	    jobs_fake_words(&fake, 0, words, (struct args_job_start){.flags = JOBS_FAKE_OWNED});

	jobs_fake_until(&fake, call->has_ended);
	cr_assert_eq(call->notice.state, JOB_EXITED);
	return call;
}

Test(jobs_life, what_cannot_be_executed_exits_as_in_a_shell)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = run_word("no-such-command");
	cr_assert_eq(call->notice.exit, 127);
	cr_assert_str_eq(jobs_fake_output(call, 1), "no-such-command: command not found\n");
	scratch_write(scratch_path("plain"), "x", 1, 0644);
	call = run_word(scratch_path("plain"));
	cr_assert_eq(call->notice.exit, 126);
	cr_assert_not_null(strstr(jobs_fake_output(call, 1), "Permission denied"));
	call = run_word(scratch_path("missing"));
	cr_assert_eq(call->notice.exit, 127);
	jobs_fake_deinit(&fake);
}

Test(jobs_life, a_script_without_an_interpreter_is_the_shells)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	scratch_write(scratch_path("script"), "echo $0 $#; exit 3\n", 19, 0755);
	call = run_word(scratch_path("script"));
	cr_assert_eq(call->notice.exit, 3);
	cr_assert_not_null(strstr(jobs_fake_output(call, 0), "/script 0\n"));
	jobs_fake_deinit(&fake);
}

Test(jobs_life, what_a_child_still_holds_does_not_delay_the_exit)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "sleep 1000 & echo $!",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	jobs_fake_until(&fake, call->n_notices == 1);
	cr_assert_not(call->has_ended);
	cr_assert_gt(call->notice_at, 0);
	kill(atoi(jobs_fake_output(call, 0)), SIGKILL);
	jobs_fake_until(&fake, call->has_ended);
	cr_assert_eq(call->end_error, 0);
	jobs_fake_deinit(&fake);
}

static bool is_alive(const char *pid)
{
	return kill(atoi(pid), 0) == 0;
}

Test(jobs_life, a_client_that_goes_takes_its_job_with_it)
{
	struct jobs_fake_call *call;
	char *pid;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "echo $$; exec sleep 1000",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	jobs_fake_until(&fake, call->n_bytes > 0);
	pid = strdup(jobs_fake_output(call, 0));
	jobs_fake_cancel(&fake, call);
	jobs_fake_until(&fake, fake.n_ended == 1);
	cr_assert_eq(fake.told.state, JOB_KILLED);
	cr_assert_eq(fake.told.signal, SIGHUP);
	free(pid);
	jobs_fake_deinit(&fake);
}

Test(jobs_life, a_group_that_ignores_hangup_is_killed)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "trap '' HUP; sleep 1000 & echo $!; wait",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	jobs_fake_until(&fake, call->n_bytes > 0);
	jobs_fake_cancel(&fake, call);
	jobs_fake_until(&fake, fake.n_ended == 1);
	cr_assert_eq(fake.told.signal, SIGKILL);
	jobs_fake_until(&fake, !is_alive(jobs_fake_output(call, 0)));
	jobs_fake_deinit(&fake);
}

Test(jobs_life, a_job_outlives_the_link_and_is_followed_on_where_it_was)
{
	struct jobs_fake_call *call, *again;
	uint64_t number;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "echo one; read x; echo two",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED | JOB_STDIN});
	jobs_fake_until(&fake, call->n_bytes == 4);
	number = jobs_fake_number(call);
	jobs_fake_close_session(&fake, 0);
	jobs_fake_open_session(&fake, 0, fake.peers[0]);
	again = jobs_fake_start(
	    &fake, 0, OP_JOB_ATTACH,
	    &(struct args_job_attach){.job = number, .flags = JOB_OWNER, .offset = 4});
	cr_assert_eq(jobs_fake_wait(&fake, again), 0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WRITE, job_write, NULL, .job = number,
				    .data = bytes_of_text("\n")),
		     0);
	jobs_fake_until(&fake, again->has_ended);
	cr_assert_str_eq(jobs_fake_output(again, 0), "two\n");
	cr_assert_eq(again->notice.exit, 0);
	jobs_fake_deinit(&fake);
}

Test(jobs_life, a_start_that_comes_again_starts_nothing)
{
	struct jobs_fake_call *call, *again;
	struct args_job_start args = {.job = 7, .flags = JOBS_FAKE_OWNED};

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "echo once", args);
	again = jobs_fake_line(&fake, 1, "echo once", args);
	jobs_fake_until(&fake, call->has_ended && again->has_ended);
	cr_assert_str_eq(jobs_fake_output(call, 0), "once\n");
	cr_assert_str_eq(jobs_fake_output(again, 0), "once\n");
	cr_assert_eq(fake.n_told, 1);
	again = jobs_fake_line(&fake, 1, "echo once", args);
	jobs_fake_until(&fake, again->has_ended);
	cr_assert_str_eq(jobs_fake_output(again, 0), "once\n");
	cr_assert_eq(fake.n_told, 1);
	jobs_fake_deinit(&fake);
}

static uint64_t n_listed(unsigned session, bool all)
{
	struct args_job_list args = {.limit = 7, .all = all};
	struct jobs_fake_call *call = jobs_fake_start(&fake, session, OP_JOB_LIST, &args);

	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	return ((const struct result_job_list *)call->result)->total;
}

static int signal_from(unsigned session, uint64_t job, struct bytes name)
{
	struct args_job_signal args = {.job = job, .name = name, .signal = SIGTERM};

	return jobs_fake_wait(&fake, jobs_fake_start(&fake, session, OP_JOB_SIGNAL, &args));
}

Test(jobs_life, this_machines_own_user_sees_the_jobs_of_all_and_nobody_else_does)
{
	static const char self = JOBS_FAKE_LOCAL;
	struct args_job_start args = {.name = bytes_of_text("build")};
	struct jobs_fake_call *theirs, *own, *refused;
	uint64_t number;

	jobs_fake_init(&fake, NULL);
	jobs_fake_open_session(&fake, 3, &self);
	theirs = jobs_fake_line(&fake, 0, "sleep 1000", args);
	own = jobs_fake_line(&fake, 3, "sleep 1000", args);
	jobs_fake_until(&fake, theirs->is_done && own->is_done);
	cr_assert_eq(theirs->error, 0);
	cr_assert_eq(own->error, 0);
	cr_assert_eq(n_listed(0, false), 1);
	cr_assert_eq(n_listed(2, false), 0);
	cr_assert_eq(n_listed(3, false), 1);
	cr_assert_eq(n_listed(3, true), 2);
	refused = jobs_fake_start(&fake, 0, OP_JOB_LIST, &(struct args_job_list){.all = true});
	cr_assert_eq(jobs_fake_wait(&fake, refused), -EACCES);
	number = jobs_fake_number(own);
	cr_assert_eq(signal_from(0, number, (struct bytes){0}), -ENOENT);
	cr_assert_eq(signal_from(2, jobs_fake_number(theirs), (struct bytes){0}), -ENOENT);
	/* A name is that of one's own. */
	cr_assert_eq(signal_from(3, 0, bytes_of_text("build")), 0);
	jobs_fake_until(&fake, fake.n_ended == 1);
	cr_assert_eq(fake.told.job, number);
	cr_assert_eq(signal_from(3, jobs_fake_number(theirs), (struct bytes){0}), 0);
	jobs_fake_until(&fake, fake.n_ended == 2);
	jobs_fake_deinit(&fake);
}

Test(jobs_life, what_is_written_is_read_and_ends)
{
	struct jobs_fake_call *call;
	uint64_t number;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "cat",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED | JOB_STDIN});
	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	number = jobs_fake_number(call);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WRITE, job_write, NULL, .job = number,
				    .data = bytes_of_text("abc")),
		     0);
	/* The same again, and more: only that is new. */
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WRITE, job_write, NULL, .job = number, .offset = 0,
				    .data = bytes_of_text("abcde")),
		     0);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WRITE, job_write, NULL, .job = number, .offset = 6,
				    .data = bytes_of_text("x")),
		     -EINVAL);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WRITE, job_write, NULL, .job = number,
				    .offset = OPS_ANY, .eof = true),
		     0);
	jobs_fake_until(&fake, call->has_ended);
	cr_assert_str_eq(jobs_fake_output(call, 0), "abcde");
	jobs_fake_deinit(&fake);
}

Test(jobs_life, a_terminal_is_one)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "tty; stty size; echo $TERM; ps -o tpgid= -p $$ >/dev/null",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED | JOB_TTY,
						      .rows = 33,
						      .cols = 99,
						      .term = bytes_of_text("no-such-term")});
	jobs_fake_until(&fake, call->has_ended);
	cr_assert_eq(strncmp(jobs_fake_output(call, 0), "/dev/pts/", 9), 0);
	cr_assert_not_null(strstr(jobs_fake_output(call, 0), "\r\n33 99\r\n"));
	cr_assert_null(strstr(jobs_fake_output(call, 0), "no-such-term"));
	jobs_fake_deinit(&fake);
}

Test(jobs_life, a_time_limit_ends_it_with_124)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "sleep 1000",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED, .timeout_ms = 50});
	jobs_fake_until(&fake, call->has_ended);
	cr_assert_eq(call->notice.state, JOB_EXITED);
	cr_assert_eq(call->notice.exit, 124);
	jobs_fake_deinit(&fake);
}

Test(jobs_life, stopping_breaks_streams_and_ends_all)
{
	struct jobs_fake_call *call, *detached;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "trap '' HUP; echo; sleep 1000",
			      (struct args_job_start){.flags = JOBS_FAKE_OWNED});
	detached = jobs_fake_line(&fake, 0, "sleep 1000", (struct args_job_start){0});
	jobs_fake_until(&fake, call->n_bytes > 0 && detached->is_done);
	jobs_fake_deinit(&fake);
	cr_assert_eq(fake.n_ended, 2);
}

Test(jobs_life, who_attaches_to_a_terminal_sees_it_as_it_is)
{
	const struct result_job_screen *shown;
	const struct result_job_attach *attached;
	struct jobs_fake_call *call, *attach;
	uint64_t number;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(
	    &fake, 0, "stty -echo; printf 'one\\rtwo\\nthree'; read x; echo \"<$x>\"",
	    (struct args_job_start){.flags = JOB_ATTACH | JOB_TTY, .rows = 5, .cols = 20});
	jobs_fake_until(&fake, call->n_bytes >= 13);
	number = jobs_fake_number(call);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_SCREEN, job_screen, &shown, .job = number), 0);
	cr_assert_eq(shown->rows, 5);
	cr_assert_eq(shown->cols, 20);
	cr_assert_eq(shown->cursor_row, 1);
	cr_assert_eq(shown->cursor_col, 5);
	cr_assert_eq(memcmp(shown->text.data, "two\nthree\n", 10), 0);
	attach = jobs_fake_start(
	    &fake, 0, OP_JOB_ATTACH,
	    &(struct args_job_attach){.job = number, .flags = JOB_SCREEN, .rows = 6, .cols = 30});
	cr_assert_eq(jobs_fake_wait(&fake, attach), 0);
	attached = attach->result;
	cr_assert_gt(attached->screen_size, 0);
	cr_assert_eq(attached->info.rows, 6);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_WRITE, job_write, NULL, .job = number,
				    .data = bytes_of_text("yes\n")),
		     0);
	jobs_fake_until(&fake, attach->has_ended && call->has_ended);
	cr_assert_eq(attach->n_bytes, attached->screen_size + call->n_bytes - attached->offset);
	cr_assert_not_null(strstr(jobs_fake_output(attach, 0), "three"));
	cr_assert_not_null(strstr(jobs_fake_output(attach, 0), "<yes>"));
	/* It is still there when its program is not. */
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_SCREEN, job_screen, &shown, .job = number), 0);
	cr_assert_eq(shown->cols, 30);
	jobs_fake_deinit(&fake);
}

Test(jobs_life, a_pipe_has_no_screen)
{
	struct jobs_fake_call *call;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(&fake, 0, "true", (struct args_job_start){0});
	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	cr_assert_eq(
	    JOBS_FAKE_CALL(&fake, JOB_SCREEN, job_screen, NULL, .job = jobs_fake_number(call)),
	    -ENOTTY);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_RESIZE, job_resize, NULL,
				    .job = jobs_fake_number(call), .rows = 5, .cols = 5),
		     -ENOTTY);
	jobs_fake_deinit(&fake);
}

/* What a terminal is asked when nobody is attached, its screen answers. */
Test(jobs_life, a_program_that_asks_its_terminal_is_answered)
{
	struct jobs_fake_call *call;
	const struct result_job_read *read;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(
	    &fake, 0, "stty raw -echo; printf '\\033[6n'; dd bs=1 count=6 2>/dev/null | od -c",
	    (struct args_job_start){.flags = JOB_TTY});
	cr_assert_eq(jobs_fake_wait(&fake, call), 0);
	jobs_fake_until(&fake, fake.n_ended == 1);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_READ, job_read, &read, .job = jobs_fake_number(call),
				    .size = 1000),
		     0);
	cr_assert_not_null(memmem(read->data.data, read->data.size, "033   [   1   ;   1   R", 22));
	jobs_fake_deinit(&fake);
}

/* What was asked of a client's terminal is not answered once more when that client has gone. */
Test(jobs_life, what_a_client_was_asked_is_not_answered_after_it)
{
	const struct result_job_read *read;
	struct jobs_fake_call *call;
	uint64_t number;

	jobs_fake_init(&fake, NULL);
	call = jobs_fake_line(
	    &fake, 0,
	    "stty raw -echo; printf '\\033[>casked'; while [ ! -e gone ]; do sleep "
	    "0.05; done; printf '\\033[6n'; dd bs=1 count=6 2>/dev/null | od -c",
	    (struct args_job_start){.flags = JOB_ATTACH | JOB_TTY, .cwd = bytes_of_text(".")});
	jobs_fake_until(&fake, call->n_bytes == 9);
	number = jobs_fake_number(call);
	jobs_fake_cancel(&fake, call);
	cr_assert(call->has_ended);
	scratch_write(scratch_path("gone"), "", 0, 0644);
	jobs_fake_until(&fake, fake.n_ended == 1);
	cr_assert_eq(JOBS_FAKE_CALL(&fake, JOB_READ, job_read, &read, .job = number, .size = 1000),
		     0);
	cr_assert_not_null(memmem(read->data.data, read->data.size, "033   [   1   ;   6   R", 22));
	jobs_fake_deinit(&fake);
}
