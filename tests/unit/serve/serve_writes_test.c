/* WRITEs that are on their way together: done in their order, in one go where they follow each
 * other in the file, and each with its own answer. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/errors.h"
#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_writes, .init = scratch_init, .fini = scratch_fini);

#define N_WRITES 100

static struct serve_fake fake;
static struct serve_fake_call *calls[N_WRITES];
static uint64_t node, handle;

static void open_new(const char *name)
{
	struct args_create create = {.parent = 1,
				     .name = serve_fake_bytes(name),
				     .flags = O_RDWR | O_CREAT | O_EXCL,
				     .mode = 0600};
	const struct result_create *result;

	serve_fake_init(&fake, NULL);
	cr_assert_eq(serve_fake_call(&fake, OP_CREATE, &create, &result), 0);
	node = result->entry.node;
	handle = result->handle;
}

static struct serve_fake_call *start_write(uint64_t offset, bool append, const char *text)
{
	struct args_write args = {.node = node,
				  .handle = handle,
				  .offset = offset,
				  .append = append,
				  .data = serve_fake_bytes(text)};

	return serve_fake_start(&fake, 0, OP_WRITE, &args);
}

static const struct result_write *written(struct serve_fake_call *call)
{
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	return call->result;
}

static void assert_content(const char *name, const char *expected)
{
	char content[N_WRITES * 8 + 1] = "";
	int fd = open(serve_fake_path(name), O_RDONLY);
	ssize_t n = read(fd, content, sizeof(content) - 1);

	close(fd);
	cr_assert_geq(n, 0);
	cr_assert_str_eq(content, expected);
}

Test(serve_writes, those_that_follow_each_other_are_whole)
{
	char expected[N_WRITES * 8 + 1] = "", text[N_WRITES][9];

	open_new("f");
	for (unsigned i = 0; i < N_WRITES; i++) {
		snprintf(text[i], sizeof(text[i]), "%08u", i);
		strcat(expected, text[i]);
		calls[i] = start_write(i * 8, false, text[i]);
	}
	for (unsigned i = 0; i < N_WRITES; i++) {
		const struct result_write *result = written(calls[i]);

		cr_assert_eq(result->written, 8);
		cr_assert_geq(result->attr.size, (i + 1) * 8);
	}
	assert_content("f", expected);
	serve_fake_deinit(&fake);
}

Test(serve_writes, the_last_one_to_the_same_bytes_stays)
{
	char text[N_WRITES][9];

	open_new("f");
	for (unsigned i = 0; i < N_WRITES; i++) {
		snprintf(text[i], sizeof(text[i]), "%08u", i);
		calls[i] = start_write(i % 3, false, text[i]);
	}
	for (unsigned i = 0; i < N_WRITES; i++)
		written(calls[i]);
	/* 97 at 1, 98 at 2, 99 at 0 */
	assert_content("f", "0000009998");
	serve_fake_deinit(&fake);
}

Test(serve_writes, appended_ones_come_in_their_order)
{
	char expected[N_WRITES * 8 + 1] = "", text[N_WRITES][9];

	open_new("f");
	for (unsigned i = 0; i < N_WRITES; i++) {
		snprintf(text[i], sizeof(text[i]), "%08u", i);
		strcat(expected, text[i]);
		calls[i] = start_write(0, true, text[i]);
	}
	for (unsigned i = 0; i < N_WRITES; i++)
		cr_assert_eq(written(calls[i])->written, 8);
	assert_content("f", expected);
	serve_fake_deinit(&fake);
}

Test(serve_writes, a_read_between_them_sees_those_before_it)
{
	struct args_read args;
	const struct result_read *result;
	struct serve_fake_call *read;

	open_new("f");
	for (unsigned i = 0; i < 10; i++)
		calls[i] = start_write(i, false, "a");
	args = (struct args_read){.node = node, .handle = handle, .offset = 0, .size = 100};
	read = serve_fake_start(&fake, 0, OP_READ, &args);
	for (unsigned i = 0; i < 10; i++)
		calls[10 + i] = start_write(i, false, "b");
	for (unsigned i = 0; i < 20; i++)
		written(calls[i]);
	cr_assert_eq(serve_fake_wait(&fake, read), 0);
	result = read->result;
	cr_assert_eq(result->data.size, 10);
	cr_assert_arr_eq(result->data.data, "aaaaaaaaaa", 10);
	assert_content("f", "bbbbbbbbbb");
	serve_fake_deinit(&fake);
}

/* A limit in the middle of what is written in one go: those before it are done, the one that meets
 * it is short, those behind it fail. */
Test(serve_writes, each_says_how_far_it_got)
{
	struct rlimit old, limit;

	open_new("f");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = (struct rlimit){.rlim_cur = 44, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &limit);
	for (unsigned i = 0; i < 10; i++)
		calls[i] = start_write(i * 8, false, "12345678");
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(written(calls[i])->written, 8);
	cr_assert_eq(written(calls[5])->written, 4);
	cr_assert_eq(written(calls[4])->error, 0);
	cr_assert_eq(error_to_errno(written(calls[5])->error), -EFBIG);
	for (unsigned i = 6; i < 10; i++)
		cr_assert_eq(serve_fake_wait(&fake, calls[i]), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_content("f", "12345678123456781234567812345678123456781234");
	serve_fake_deinit(&fake);
}

Test(serve_writes, one_through_a_closed_handle_stops_no_other)
{
	uint64_t good = handle;

	open_new("f");
	good = handle;
	for (unsigned i = 0; i < 30; i++) {
		handle = i % 3 == 1 ? 4711 : good;
		calls[i] = start_write(i, false, "x");
	}
	for (unsigned i = 0; i < 30; i++) {
		if (i % 3 == 1)
			cr_assert_eq(serve_fake_wait(&fake, calls[i]), -EBADF);
		else
			cr_assert_eq(written(calls[i])->written, 1);
	}
	serve_fake_deinit(&fake);
}

Test(serve_writes, cancelled_ones_and_closed_sessions_leave_nothing_behind)
{
	open_new("f");
	for (unsigned i = 0; i < N_WRITES; i++)
		calls[i] = start_write(i * 8, false, "12345678");
	for (unsigned i = 0; i < N_WRITES; i += 7)
		serve_fake_cancel(&fake, 0, calls[i]);
	for (unsigned i = 0; i < N_WRITES; i++) {
		int error = serve_fake_wait(&fake, calls[i]);

		cr_assert(error == 0 || (error == -EINTR && i % 7 == 0), "call %u: %d", i, error);
	}
	for (unsigned i = 0; i < N_WRITES; i++)
		start_write(i * 8, false, "12345678");
	serve_fake_close_session(&fake, 0);
	serve_fake_deinit(&fake); /* checks that each was answered */
}
