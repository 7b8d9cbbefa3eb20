#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/command.h"
#include "tests/unit/ctl/fake_loopsyd.h"

static void append(const struct fake *fake, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/state/%s", fake->home, name);
	file = fopen(path, "a");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
}

Test(ctl_logs, shows_the_last_lines_also_of_the_older_file)
{
	struct fake fake;

	fake_init(&fake);
	append(&fake, "audit.jsonl.1", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
	append(&fake, "audit.jsonl", "{\"n\":4}\n{\"n\":5}\n");
	fake_run(&fake, NULL, "logs", "--json", NULL);
	cr_assert_str_eq(fake.out, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n");
	fake_run(&fake, NULL, "logs", "--json", "-n", "3", NULL);
	cr_assert_str_eq(fake.out, "{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n");
	fake_run(&fake, NULL, "logs", "-n0", NULL);
	cr_assert_str_eq(fake.out, "");
	fake_deinit(&fake);
}

Test(ctl_logs, shows_lines_to_people_time_first_and_escaped)
{
	struct fake fake;

	fake_init(&fake);
	append(&fake, "audit.jsonl",
	       "{\"peer\":\"de\\u001b[2Jsk\",\"time\":\"2024-01-01T00:00:00Z\",\"ms\":7,"
	       "\"detail\":{\"read\":3,\"to\":[1]},\"x\":null}\n"
	       "no json \x1b[2J\n");
	fake_run(&fake, NULL, "logs", NULL);
	cr_assert_eq(fake.status, 0);
	cr_assert_str_eq(fake.out, "2024-01-01T00:00:00Z peer=de\\x1b[2Jsk ms=7 read=3 to=[1]\n"
				   "no json \\x1b[2J\n");
	fake_deinit(&fake);
}

Test(ctl_logs, says_when_there_is_nothing_yet)
{
	struct fake fake;

	fake_init(&fake);
	fake_run(&fake, NULL, "logs", NULL);
	cr_assert_eq(fake.status, 0);
	cr_assert_str_eq(fake.err, "nothing is logged yet\n");
	fake_deinit(&fake);
}

static void expect_line(int fd, const char *wanted)
{
	time_t end = time(NULL) + 60;
	char line[200] = "";
	size_t n = 0;

	while (n == 0 || line[n - 1] != '\n') {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

		cr_assert(time(NULL) < end, "no line came, '%s' was awaited", wanted);
		if (poll(&poll_fd, 1, 1000) > 0)
			cr_assert_eq(read(fd, line + n, 1), 1, "logs -f has ended");
		n += poll_fd.revents != 0;
	}
	line[n] = '\0';
	cr_assert_str_eq(line, wanted);
}

Test(ctl_logs, follows_the_log_over_its_rotation)
{
	char command[300];
	struct fake fake;
	int fds[2];
	pid_t pid;

	fake_init(&fake);
	append(&fake, "audit.jsonl", "{\"n\":1}\n");
	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		char *argv[] = {(char *)"loopsyctl", (char *)"logs", (char *)"-f", (char *)"--json",
				NULL};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(command_main(4, argv, 0, fdopen(fds[1], "w"), stderr));
	}
	close(fds[1]);
	expect_line(fds[0], "{\"n\":1}\n");
	append(&fake, "audit.jsonl", "{\"n\":2}\n{\"n\"");
	expect_line(fds[0], "{\"n\":2}\n");
	append(&fake, "audit.jsonl", ":3}\n");
	expect_line(fds[0], "{\"n\":3}\n");
	append(&fake, "audit.jsonl", "{\"n\":4}\n");
	snprintf(command, sizeof(command), "cd '%s/state' && mv audit.jsonl audit.jsonl.1",
		 fake.home);
	cr_assert_eq(system(command), 0);
	append(&fake, "audit.jsonl", "{\"n\":5}\n");
	expect_line(fds[0], "{\"n\":4}\n");
	expect_line(fds[0], "{\"n\":5}\n");
	append(&fake, "audit.jsonl", "{\"n\":6}\n");
	expect_line(fds[0], "{\"n\":6}\n");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	fake_deinit(&fake);
}
