#include "daemon/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Writes one line through a pipe and returns what came out. */
static size_t capture(char *out, size_t size, enum log_level level, const char *value)
{
	int fds[2];
	ssize_t n;

	cr_assert_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	log_set_fd(fds[1]);
	log_at(level, "test", "value=%s", value);
	n = read(fds[0], out, size - 1);
	log_set_fd(STDERR_FILENO);
	close(fds[0]);
	close(fds[1]);
	out[n < 0 ? 0 : n] = '\0';
	return n < 0 ? 0 : (size_t)n;
}

Test(log, writes_one_logfmt_line)
{
	char line[4096];

	capture(line, sizeof(line), LOG_LEVEL_WARNING, "desk");
	cr_assert(strncmp(line, "time=2", 6) == 0, "%s", line);
	cr_assert(strstr(line, "Z level=warning room=test value=desk\n"), "%s", line);
}

Test(log, is_silent_below_its_level)
{
	char line[4096];

	cr_assert_eq(capture(line, sizeof(line), LOG_LEVEL_DEBUG, "x"), 0);
	log_set_level(LOG_LEVEL_DEBUG);
	cr_assert_gt(capture(line, sizeof(line), LOG_LEVEL_DEBUG, "x"), 0);
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_eq(capture(line, sizeof(line), LOG_LEVEL_WARNING, "x"), 0);
}

Test(log, cannot_be_split_by_an_unquoted_newline)
{
	char line[4096];
	size_t n = capture(line, sizeof(line), LOG_LEVEL_INFO, "a\nlevel=error\x1b[2J");

	cr_assert_eq(strchr(line, '\n'), line + n - 1);
	cr_assert(strstr(line, "value=a\\x0alevel=error\\x1b[2J"), "%s", line);
}

Test(log, cuts_a_long_line)
{
	char line[8192], plain[5000], controls[5000];

	memset(plain, 'a', sizeof(plain) - 1);
	plain[sizeof(plain) - 1] = '\0';
	memset(controls, '\n', sizeof(controls) - 1);
	controls[sizeof(controls) - 1] = '\0';
	for (int i = 0; i < 2; i++) {
		size_t n = capture(line, sizeof(line), LOG_LEVEL_INFO, i ? controls : plain);

		cr_assert_leq(n, LOG_LINE_MAX);
		cr_assert_gt(n, LOG_LINE_MAX - 32);
		cr_assert_str_eq(line + n - 4, "...\n");
	}
	/* No length around the limit may be cut without a mark, or marked without being cut. */
	for (size_t length = LOG_LINE_MAX - 120; length < LOG_LINE_MAX + 20; length++) {
		size_t n;

		plain[length] = '\0';
		n = capture(line, sizeof(line), LOG_LEVEL_INFO, plain);
		cr_assert_leq(n, LOG_LINE_MAX);
		cr_assert((strspn(strstr(line, "aaaa"), "a") == length) ^
			      (strcmp(line + n - 4, "...\n") == 0),
			  "length %zu", length);
		plain[length] = 'a';
	}
}

Test(log, keeps_errno_and_survives_a_bad_descriptor)
{
	log_set_fd(-1);
	errno = ENOENT;
	log_error("test", "a=1");
	cr_assert_eq(errno, ENOENT);
}

Test(log, quotes_what_is_no_plain_word)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"desk", "desk"},
	    {"127.0.0.1:19532", "127.0.0.1:19532"},
	    {"", "\"\""},
	    {NULL, "\"\""},
	    {"a b", "\"a b\""},
	    {"a=b", "\"a=b\""},
	    {"a\"b\\", "\"a\\\"b\\\\\""},
	    {"a\nb\x01", "\"a\\nb\\x01\""},
	    {"\xc3\xa9", "\"\\xc3\\xa9\""},
	};
	char buffer[LOG_VALUE_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_str_eq(log_quote(buffer, cases[i].in), cases[i].out);
	cr_assert_str_eq(log_quote_bytes(buffer, "a\0b", 3), "\"a\\x00b\"");
}

Test(log, bounds_a_quoted_value)
{
	char buffer[LOG_VALUE_MAX], text[2 * LOG_VALUE_MAX];

	for (int round = 0; round < 2; round++) {
		for (size_t n = 0; n < sizeof(text); n++) {
			memset(text, round ? 1 : 'a', n);
			text[n] = '\0';
			log_quote(buffer, text);
			cr_assert_lt(strlen(buffer), sizeof(buffer));
		}
		cr_assert_str_eq(buffer + strlen(buffer) - 4, "...\"");
	}
}

Test(log, knows_its_levels_by_name)
{
	for (int i = 0; i < LOG_LEVEL_N; i++)
		cr_assert_eq(log_level_parse(log_level_name((enum log_level)i)), i);
	cr_assert_eq(log_level_parse("loud"), -EINVAL);
	cr_assert_eq(log_level_parse(""), -EINVAL);
}
