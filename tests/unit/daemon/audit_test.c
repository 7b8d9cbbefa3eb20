#include "daemon/audit.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <signal.h>

#include "daemon/audit_file.h"
#include "daemon/store_thread.h"
#include "tests/unit/daemon/loop_until.h"
#include "tests/unit/daemon/scratch.h"

static uv_loop_t loop;
static struct store_thread *thread;
static struct audit *audit;
static int n_closed;

static void closed(void *data)
{
	(void)data;
	n_closed++;
}

static void open_audit(int64_t max_size)
{
	sqlite3 *db;

	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
	cr_assert_eq(store_thread_new(&loop, db, &thread), 0);
	cr_assert_eq(audit_new(&loop, thread, scratch_path("audit.jsonl"), max_size, 3, &audit), 0);
}

static void close_audit(void)
{
	n_closed = 0;
	audit_close(audit, closed, NULL);
	loop_until(&loop, &n_closed, 1);
	store_thread_close(thread, closed, NULL);
	loop_until(&loop, &n_closed, 2);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

TestSuite(audit, .init = scratch_init, .fini = scratch_fini);
TestSuite(audit_file, .init = scratch_init, .fini = scratch_fini);

/* The file as an array, after a check that each line is an object and short enough. */
static json_t *lines_of(const char *name)
{
	char *text = scratch_read(scratch_path(name)), *rest = NULL;
	json_t *lines = json_array();

	cr_assert_not_null(text, "%s", name);
	cr_assert(text[0] == '\0' || text[strlen(text) - 1] == '\n');
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		json_t *object = json_loads(line, 0, NULL);

		cr_assert_not_null(object, "%s", line);
		cr_assert_lt(strlen(line), AUDIT_LINE_MAX);
		for (char *c = line; *c; c++)
			cr_assert(*c >= 0x20 && *c < 0x7f);
		json_array_append_new(lines, object);
	}
	free(text);
	return lines;
}

static const char *text_at(json_t *lines, size_t i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(lines, i), key));
}

Test(audit, line_says_who_did_what_and_how_it_ended)
{
	json_t *lines;

	open_audit(1 << 20);
	audit_write(audit, "desk", "pair", "ok", 1200, json_pack("{s:s}", "address", "10.0.0.2:1"));
	audit_write(audit, NULL, "unpair", "denied", -1, NULL);
	close_audit();
	cr_assert_eq(scratch_mode(scratch_path("audit.jsonl")), 0600);
	lines = lines_of("audit.jsonl");
	cr_assert_eq(json_array_size(lines), 2);
	cr_assert_eq(strlen(text_at(lines, 0, "time")), 24);
	cr_assert_str_eq(text_at(lines, 0, "peer"), "desk");
	cr_assert_str_eq(text_at(lines, 0, "what"), "pair");
	cr_assert_str_eq(text_at(lines, 0, "outcome"), "ok");
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(lines, 0), "duration_ms")),
		     1200);
	cr_assert_not_null(json_object_get(json_array_get(lines, 0), "detail"));
	cr_assert(json_is_null(json_object_get(json_array_get(lines, 1), "peer")));
	cr_assert_null(json_object_get(json_array_get(lines, 1), "duration_ms"));
	cr_assert_null(json_object_get(json_array_get(lines, 1), "detail"));
	json_decref(lines);
}

Test(audit, hostile_text_stays_one_ascii_line)
{
	char *large = calloc(1, 100001);
	json_t *lines;

	memset(large, '\n', 100000);
	open_audit(1 << 20);
	audit_write(audit, "a\n{\"b\":1}\xff\xc2\x9b\xe2\x80\xae", "x", "y", -1, NULL);
	audit_write(audit, large, large, large, INT64_MAX, json_string(large));
	free(large);
	close_audit();
	lines = lines_of("audit.jsonl");
	cr_assert_eq(json_array_size(lines), 2);
	cr_assert_str_eq(text_at(lines, 0, "peer"), "a\n{\"b\":1}\xef\xbf\xbd\xc2\x9b\xe2\x80\xae");
	cr_assert_str_eq(text_at(lines, 1, "detail"), "too long");
	json_decref(lines);
}

Test(audit, operations_are_counted_per_peer)
{
	struct audit_counts *desk, *laptop;
	json_t *lines, *detail;

	open_audit(1 << 20);
	desk = audit_counts_new(audit, "desk");
	laptop = audit_counts_new(audit, "laptop");
	for (int i = 0; i < 1000; i++)
		audit_counts_add(desk, 20, "read", 0);
	audit_counts_add(desk, 10, "lookup", -ENOENT);
	audit_counts_add(desk, 60000, "beyond", 0);
	audit_flush_counts(audit);
	audit_flush_counts(audit);
	audit_counts_add(desk, 20, "read", 0);
	audit_counts_add(laptop, 10, "lookup", 0);
	desk = audit_counts_free(desk);
	laptop = audit_counts_free(laptop);
	close_audit();

	lines = lines_of("audit.jsonl");
	cr_assert_eq(json_array_size(lines), 4);
	for (size_t i = 0; i < 4; i++) {
		cr_assert_str_eq(text_at(lines, i, "what"), "files");
		cr_assert_str_eq(text_at(lines, i, "peer"), i == 3 ? "laptop" : "desk");
		cr_assert_str_eq(text_at(lines, i, "outcome"), i == 1 ? "failed" : "ok");
	}
	detail = json_object_get(json_array_get(lines, 0), "detail");
	cr_assert_eq(json_integer_value(json_object_get(detail, "read")), 1000);
	cr_assert_eq(json_object_size(detail), 1);
	detail = json_object_get(json_array_get(lines, 1), "detail");
	cr_assert_eq(json_integer_value(json_object_get(detail, "lookup")), 1);
	detail = json_object_get(json_array_get(lines, 2), "detail");
	cr_assert_eq(json_integer_value(json_object_get(detail, "read")), 1);
	json_decref(lines);
}

Test(audit, the_first_denial_of_a_minute_has_a_line_and_others_are_counted)
{
	struct audit_counts *desk;
	json_t *lines;

	open_audit(1 << 20);
	desk = audit_counts_new(audit, "desk");
	for (int i = 0; i < 4; i++) {
		audit_counts_deny(desk, 19, "MKDIR");
		if (i == 2)
			audit_flush_counts(audit);
	}
	audit_counts_free(desk);
	close_audit();
	lines = lines_of("audit.jsonl");
	cr_assert_eq(json_array_size(lines), 3);
	for (size_t i = 0; i < 3; i++) {
		cr_assert_str_eq(text_at(lines, i, "what"), i == 1 ? "files" : "MKDIR");
		cr_assert_str_eq(text_at(lines, i, "outcome"), "denied");
	}
	cr_assert_eq(json_integer_value(json_object_get(
			 json_object_get(json_array_get(lines, 1), "detail"), "MKDIR")),
		     2);
	json_decref(lines);
}

Test(audit, nothing_is_written_without_an_audit)
{
	audit_write(NULL, "desk", "pair", "ok", 1, json_object());
	audit_counts_add(audit_counts_new(NULL, "desk"), 1, "read", 0);
	audit_counts_free(NULL);
	audit_flush_counts(NULL);
}

/* More than the buffer holds while the loop does not run: counted, never waited for. */
Test(audit, lines_beyond_the_buffer_are_counted)
{
	json_t *lines, *last;
	json_int_t lost;
	size_t n;

	open_audit((int64_t)16 << 20);
	for (int i = 0; i < 40000; i++)
		audit_write(audit, "desk", "pair", "ok", i, NULL);
	close_audit();
	lines = lines_of("audit.jsonl");
	n = json_array_size(lines);
	last = json_array_get(lines, n - 1);
	cr_assert_str_eq(json_string_value(json_object_get(last, "outcome")), "lost");
	lost = json_integer_value(json_object_get(json_object_get(last, "detail"), "lines"));
	cr_assert_eq((json_int_t)(n - 1) + lost, 40000);
	cr_assert_gt(lost, 0);
	json_decref(lines);
}

Test(audit, file_that_cannot_be_written_stops_nothing)
{
	cr_assert_eq(mkdir(scratch_path("audit.jsonl"), 0700), 0);
	open_audit(1 << 20);
	audit_write(audit, "desk", "pair", "ok", 1, NULL);
	audit_write(audit, "desk", "pair", "ok", 2, NULL);
	close_audit();
}

Test(audit_file, is_rotated_by_size_and_so_many_are_kept)
{
	const char *path = scratch_path("a");
	char line[101];

	memset(line, 'x', 100);
	for (int i = 0; i < 50; i++) {
		snprintf(line, 4, "%03d", i);
		line[3] = 'x';
		line[99] = '\n';
		cr_assert_eq(audit_file_append(path, line, 100, 1000, 3), 0);
	}
	for (int i = 0; i < 4; i++) {
		char name[8], *text;

		snprintf(name, sizeof(name), i ? "a.%d" : "a", i);
		text = scratch_read(scratch_path(name));
		cr_assert_not_null(text);
		cr_assert_eq(strlen(text), 1000);
		cr_assert_eq(atoi(text), 40 - 10 * i);
		free(text);
	}
	cr_assert_neq(access(scratch_path("a.4"), F_OK), 0);
}

Test(audit_file, large_batch_is_cut_at_lines)
{
	char batch[1000], *text;

	for (int i = 0; i < 1000; i++)
		batch[i] = i % 40 == 39 ? '\n' : 'x';
	cr_assert_eq(audit_file_append(scratch_path("a"), batch, 1000, 100, 99), 0);
	for (int i = 0; i < 13; i++) {
		char name[8];

		snprintf(name, sizeof(name), i ? "a.%d" : "a", i);
		text = scratch_read(scratch_path(name));
		cr_assert_not_null(text);
		cr_assert_eq(strlen(text), i ? 80 : 40);
		free(text);
	}
	/* A line above the size has a file of its own. */
	memset(batch, 'y', 999);
	batch[999] = '\n';
	cr_assert_eq(audit_file_append(scratch_path("a"), batch, 1000, 100, 99), 0);
	text = scratch_read(scratch_path("a"));
	cr_assert_eq(strlen(text), 1000);
	free(text);
}

Test(audit_file, failed_write_leaves_no_half_line)
{
	struct rlimit limit = {150, RLIM_INFINITY};
	char batch[100], *text;

	signal(SIGXFSZ, SIG_IGN);
	memset(batch, 'x', 99);
	batch[99] = '\n';
	cr_assert_eq(audit_file_append(scratch_path("a"), batch, 100, 1000, 3), 0);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(audit_file_append(scratch_path("a"), batch, 100, 1000, 3), -EFBIG);
	text = scratch_read(scratch_path("a"));
	cr_assert_eq(strlen(text), 100);
	free(text);
}

Test(audit_file, refuses_links_and_what_is_no_file)
{
	cr_assert_eq(symlink("elsewhere", scratch_path("link")), 0);
	cr_assert_eq(audit_file_append(scratch_path("link"), "x\n", 2, 1000, 3), -ELOOP);
	cr_assert_eq(mkfifo(scratch_path("fifo"), 0600), 0);
	cr_assert_lt(audit_file_append(scratch_path("fifo"), "x\n", 2, 1000, 3), 0);
	cr_assert_eq(audit_file_append(scratch_path("no/such"), "x\n", 2, 1000, 3), -ENOENT);
}
