#ifndef TESTS_TSAN_CRITERION_H
#define TESTS_TSAN_CRITERION_H

/*
 * The part of Criterion's interface that our tests use, for -Dsanitize=thread: Criterion itself
 * does not start under TSan (its issue 274: the arena that it maps is where TSan's shadow is).
 * tests/tsan/runner.c is the main.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct runner_options {
	void (*init)(void);
	void (*fini)(void);
	double timeout;
};

struct runner_test {
	const char *suite, *name; /* name is NULL: the suite's options */
	struct runner_options options;
	void (*run)(void);
	struct runner_test *next;
};

void runner_add(struct runner_test *test);
void runner_fail(const char *file, int line, const char *what, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));
void runner_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define RUNNER_ADD(id, suite_, name_, run_, ...)                                                   \
	static struct runner_test runner_##id = {                                                  \
	    .suite = suite_, .name = name_, .options = {__VA_ARGS__}, .run = run_};                \
	__attribute__((constructor)) static void runner_add_##id(void)                             \
	{                                                                                          \
		runner_add(&runner_##id);                                                          \
	}

#define Test(suite, name, ...)                                                                     \
	static void suite##_##name##_run(void);                                                    \
	RUNNER_ADD(suite##_##name, #suite, #name, suite##_##name##_run, __VA_ARGS__)               \
	static void suite##_##name##_run(void)
#define TestSuite(suite, ...)                                                                      \
	RUNNER_ADD(suite, #suite, NULL, NULL, __VA_ARGS__)                                         \
	struct runner_test

#define cr_assert(condition, ...)                                                                  \
	((condition) ? (void)0 : runner_fail(__FILE__, __LINE__, #condition, " " __VA_ARGS__))
#define cr_assert_not(condition, ...)   cr_assert(!(condition), __VA_ARGS__)
#define cr_assert_eq(a, b, ...)         cr_assert((a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...)        cr_assert((a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...)         cr_assert((a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...)        cr_assert((a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...)         cr_assert((a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...)        cr_assert((a) >= (b), __VA_ARGS__)
#define cr_assert_null(a, ...)          cr_assert((a) == NULL, __VA_ARGS__)
#define cr_assert_not_null(a, ...)      cr_assert((a) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)     cr_assert(strcmp(a, b) == 0, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)    cr_assert(strcmp(a, b) != 0, __VA_ARGS__)
#define cr_assert_str_empty(a, ...)     cr_assert((a)[0] == '\0', __VA_ARGS__)
#define cr_assert_str_not_empty(a, ...) cr_assert((a)[0] != '\0', __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)  cr_assert(memcmp(a, b, n) == 0, __VA_ARGS__)
#define cr_assert_arr_neq(a, b, n, ...) cr_assert(memcmp(a, b, n) != 0, __VA_ARGS__)
#define cr_assert_float_eq(a, b, e, ...)                                                           \
	cr_assert(__builtin_fabs((double)(a) - (double)(b)) <= (e), __VA_ARGS__)
#define cr_assert_fail(...) runner_fail(__FILE__, __LINE__, "reached", " " __VA_ARGS__)
#define cr_fail             cr_assert_fail
#define cr_skip_test(...)   runner_skip(" " __VA_ARGS__)

#endif
