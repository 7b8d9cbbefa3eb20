/*
 * Does what a sanitizer must notice, for the test that such things are noticed:
 *
 *   misbehave overflow|undefined|leak|race|nothing
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void overflow(void)
{
	volatile char *block = malloc(8);
	volatile size_t beyond = 8;

	if (block)
		printf("%d\n", block[beyond]);
	free((void *)block);
}

static void undefined(void)
{
	volatile int number = INT_MAX;

	number++;
	printf("%d\n", number);
}

static void leak(void)
{
	volatile char *block = malloc(8);

	if (block)
		block[0] = 1;
	block = NULL;
}

static void *count(void *arg)
{
	int *n = arg;

	for (int i = 0; i < 1000; i++)
		++*n;
	return NULL;
}

static void race(void)
{
	pthread_t thread;
	int n = 0;

	if (pthread_create(&thread, NULL, count, &n) == 0) {
		count(&n);
		pthread_join(thread, NULL);
	}
	printf("%d\n", n);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} ways[] = {
	    {"overflow", overflow}, {"undefined", undefined}, {"leak", leak}, {"race", race}};

	for (size_t i = 0; argc > 1 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[1], ways[i].name) == 0)
			ways[i].run();
	}
	return 0;
}
