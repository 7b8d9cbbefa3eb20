#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "tests/unit/ctl/fake_loopsyd.h"

/* The lines of the last output, as an array. */
static json_t *json_lines(const struct fake *fake)
{
	json_t *list = json_array();
	const char *at = fake->out;

	while (*at) {
		size_t n = strcspn(at, "\n");
		json_t *value = json_loadb(at, n, 0, NULL);

		cr_assert_not_null(value, "no JSON: %s", at);
		json_array_append_new(list, value);
		at += n + 1;
	}
	return list;
}

static void pair_json(struct fake *fake, enum fake_pairing pairing, const char *input)
{
	fake_init(fake);
	fake_start(fake, pairing);
	fake_run(fake, input, "pair", "--json", NULL);
}

Test(ctl_pair, json_lines_have_their_shapes)
{
	struct fake fake;
	json_t *lines, *line;

	pair_json(&fake, FAKE_PAIRS, "yes\n");
	cr_assert_eq(fake.status, 0, "%s%s", fake.out, fake.err);
	lines = json_lines(&fake);
	cr_assert_eq(json_array_size(lines), 3);
	line = json_array_get(lines, 0);
	cr_assert_str_eq(fetch_text(line, "event"), "waiting");
	cr_assert_eq(json_integer_value(json_object_get(line, "port")), 19532);
	cr_assert_eq(json_integer_value(json_object_get(line, "ttl_s")), 120);
	line = json_array_get(lines, 1);
	cr_assert_str_eq(fetch_text(line, "event"), "code");
	cr_assert_str_eq(fetch_text(line, "code"), "482913");
	cr_assert_eq(json_array_size(json_object_get(line, "permissions")), 2);
	line = json_object_get(line, "peer");
	cr_assert_str_eq(fetch_text(line, "name"), "desk\x1b[2J");
	cr_assert_str_eq(fetch_text(line, "id"), "1234");
	cr_assert_str_eq(fetch_text(line, "fingerprint"), "aa:bb");
	cr_assert_str_eq(fetch_text(line, "address"), "10.0.0.7:4444");
	line = json_array_get(lines, 2);
	cr_assert_str_eq(fetch_text(line, "event"), "paired");
	cr_assert_str_eq(fetch_text(line, "peer"), "desk");
	json_decref(lines);
	fake_deinit(&fake);
}

static void expect_paired(const char *input, bool paired)
{
	struct fake fake;
	json_t *lines, *last;

	pair_json(&fake, FAKE_PAIRS, input);
	lines = json_lines(&fake);
	last = json_array_get(lines, json_array_size(lines) - 1);
	cr_assert_eq(fake.status, paired ? 0 : 1, "'%s'", input);
	cr_assert_str_eq(fetch_text(last, "event"), paired ? "paired" : "failed", "'%s'", input);
	if (!paired)
		cr_assert_str_neq(fetch_text(last, "error"), "");
	json_decref(lines);
	fake_deinit(&fake);
}

Test(ctl_pair, takes_yes_or_the_same_digits)
{
	expect_paired("yes\n", true);
	expect_paired("yes", true);
	expect_paired(" yes \r\n", true);
	expect_paired("482913\n", true);
	expect_paired("482 913\n", true);
	expect_paired("482-913\n", true);
}

Test(ctl_pair, takes_everything_else_as_no)
{
	expect_paired("no\n", false);
	expect_paired("", false);
	expect_paired("\n", false);
	expect_paired("y\n", false);
	expect_paired("YES\n", false);
	expect_paired("yes please\n", false);
	expect_paired("482914\n", false);
	expect_paired("48291\n", false);
	expect_paired("4829130\n", false);
	expect_paired("4 8 2 9 1 3\n", false);
}

Test(ctl_pair, takes_a_line_without_end_as_no)
{
	char input[5000];

	memset(input, '4', sizeof(input) - 1);
	input[sizeof(input) - 1] = '\0';
	expect_paired(input, false);
}

Test(ctl_pair, says_that_codes_differ)
{
	struct fake fake;

	pair_json(&fake, FAKE_PAIRS, "111111\n");
	cr_assert_not_null(strstr(fake.out, "the codes differ"));
	fake_deinit(&fake);
}

Test(ctl_pair, ends_when_the_other_side_says_no_or_nobody_comes)
{
	struct fake fake;

	pair_json(&fake, FAKE_NOBODY_COMES, NULL);
	cr_assert_eq(fake.status, 1);
	cr_assert_not_null(
	    strstr(fake.out, "{\"event\":\"failed\",\"error\":\"nobody came within 120 s\"}\n"));
	fake_deinit(&fake);

	pair_json(&fake, FAKE_OTHER_SAYS_NO, "yes\n");
	cr_assert_eq(fake.status, 1);
	cr_assert_not_null(strstr(fake.out, "\"error\":\"the other side said no\""));
	fake_deinit(&fake);
}

Test(ctl_pair, speaks_plain_lines_without_a_terminal)
{
	struct fake fake;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	fake_run(&fake, "482913\n", "pair", "10.0.0.7", NULL);
	cr_assert_eq(fake.status, 0);
	cr_assert_str_eq(fake.out, "waiting 19532\n"
				   "code 482913\n"
				   "peer desk\\x1b[2J 10.0.0.7:4444 aa:bb\n"
				   "grants fs:rw,exec\n"
				   "paired desk\n");
	fake_deinit(&fake);

	fake_init(&fake);
	fake_start(&fake, FAKE_NOBODY_COMES);
	fake_run(&fake, NULL, "pair", "--ttl", "5", NULL);
	cr_assert_eq(fake.status, 1);
	cr_assert_str_eq(fake.out, "waiting 19532\nfailed nobody came within 5 s\n");
	fake_deinit(&fake);
}

/* --- at a terminal -----------------------------------------------------------------------------
 */

struct screen {
	int fd; /* the terminal's other end */
	pid_t pid;
	char text[16384]; /* all that was shown */
	size_t n;
};

static void screen_open(struct screen *screen)
{
	int terminal;

	*screen = (struct screen){.fd = posix_openpt(O_RDWR | O_NOCTTY)};
	cr_assert_geq(screen->fd, 0);
	cr_assert_eq(grantpt(screen->fd), 0);
	cr_assert_eq(unlockpt(screen->fd), 0);
	terminal = open(ptsname(screen->fd), O_RDWR | O_NOCTTY);
	cr_assert_geq(terminal, 0);
	screen->pid = fork();
	if (screen->pid == 0) {
		char *argv[] = {(char *)"loopsyctl", (char *)"pair", NULL};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("NO_COLOR", "1", 1);
		_exit(command_main(2, argv, terminal, fdopen(terminal, "r+"), stderr));
	}
	close(terminal);
}

/* Reads until the text is on the screen. */
static void screen_await(struct screen *screen, const char *wanted)
{
	time_t end = time(NULL) + 60;

	while (!strstr(screen->text, wanted)) {
		struct pollfd poll_fd = {.fd = screen->fd, .events = POLLIN};
		ssize_t n;

		cr_assert(time(NULL) < end, "'%s' does not appear: %s", wanted, screen->text);
		if (poll(&poll_fd, 1, 1000) <= 0)
			continue;
		n = read(screen->fd, screen->text + screen->n,
			 sizeof(screen->text) - 1 - screen->n);
		cr_assert_gt(n, 0, "'%s' does not appear: %s", wanted, screen->text);
		screen->n += (size_t)n;
	}
}

static void screen_type(struct screen *screen, const char *text)
{
	cr_assert_eq(write(screen->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void screen_close(struct screen *screen, int wanted)
{
	int status;

	cr_assert_eq(waitpid(screen->pid, &status, 0), screen->pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == wanted, "status 0x%x", status);
	close(screen->fd);
}

Test(ctl_pair, asks_at_a_terminal_and_asks_again_when_the_answer_is_unclear)
{
	struct screen screen;
	struct fake fake;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	screen_open(&screen);
	screen_await(&screen, "[no]: ");
	cr_assert_not_null(strstr(screen.text, "482 913"));
	cr_assert_not_null(strstr(screen.text, "code for desk\\x1b[2J at 10.0.0.7:4444"));
	cr_assert_not_null(strstr(screen.text, "can read and change your files and run programs "
					       "as you."));
	screen.n = 0;
	memset(screen.text, 0, sizeof(screen.text));
	screen_type(&screen, "yess\n");
	screen_await(&screen, "[no]: ");
	screen_type(&screen, "482 913\n");
	screen_await(&screen, "Paired with desk.");
	screen_close(&screen, 0);
	fake_deinit(&fake);
}

Test(ctl_pair, takes_an_empty_line_at_a_terminal_as_no)
{
	struct screen screen;
	struct fake fake;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	screen_open(&screen);
	screen_await(&screen, "[no]: ");
	screen_type(&screen, "\n");
	screen_await(&screen, "Not paired: refused here");
	screen_close(&screen, 1);
	fake_deinit(&fake);
}

Test(ctl_pair, ends_on_a_signal_and_says_so)
{
	struct screen screen;
	struct fake fake;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	screen_open(&screen);
	screen_await(&screen, "[no]: ");
	kill(screen.pid, SIGINT);
	screen_await(&screen, "Not paired: ended here");
	screen_close(&screen, 1);
	fake_deinit(&fake);
}
