/* Runs the tests of a program one after the other, each in a process of its own; prints TAP. */
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "criterion/criterion.h"

#define EXIT_SKIPPED 77

static struct runner_test *first, **last = &first;
static const struct runner_test *current, *current_suite;

/* The first report ends the test. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}

void runner_add(struct runner_test *test)
{
	*last = test;
	last = &test->next;
}

static void tear_down(void)
{
	if (current->options.fini)
		current->options.fini();
	if (current_suite && current_suite->options.fini)
		current_suite->options.fini();
}

void runner_fail(const char *file, int line, const char *what, const char *format, ...)
{
	va_list args;

	printf("# %s:%d: failed: %s ", file, line, what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	tear_down();
	fflush(stdout);
	_exit(1);
}

void runner_skip(const char *format, ...)
{
	va_list args;

	printf("# skipped: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	tear_down();
	fflush(stdout);
	_exit(EXIT_SKIPPED);
}

static void run(const struct runner_test *test)
{
	current = test;
	for (struct runner_test *suite = first; suite; suite = suite->next)
		if (!suite->name && strcmp(suite->suite, test->suite) == 0)
			current_suite = suite;
	if (current_suite && current_suite->options.init)
		current_suite->options.init();
	if (test->options.init)
		test->options.init();
	test->run();
	tear_down();
	exit(0);
}

int main(void)
{
	int n = 0, n_failed = 0;

	for (struct runner_test *test = first; test; test = test->next) {
		int status = 0;
		pid_t child;

		if (!test->name)
			continue;
		fflush(stdout);
		child = fork();
		if (child == 0)
			run(test);
		if (child < 0 || waitpid(child, &status, 0) != child)
			status = 1;
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED)
			status = 0;
		n_failed += status != 0;
		printf("%sok %d - %s/%s (status 0x%x)\n", status ? "not " : "", ++n, test->suite,
		       test->name, (unsigned)status);
	}
	printf("1..%d\n", n);
	return n_failed > 0;
}
