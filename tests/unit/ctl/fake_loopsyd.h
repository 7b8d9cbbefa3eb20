/*
 * A home in /tmp with a loopsyd that answers on its control socket as the test wants, in a process
 * of its own; and loopsyctl run against it.
 */
#ifndef TESTS_UNIT_CTL_FAKE_LOOPSYD_H
#define TESTS_UNIT_CTL_FAKE_LOOPSYD_H

#include <jansson.h>
#include <sys/types.h>

enum fake_pairing {
	FAKE_PAIRS,         /* code 482913, then as the user answers */
	FAKE_OTHER_SAYS_NO, /* the code, then a failure before the user answers */
	FAKE_NOBODY_COMES,  /* waiting, then a time-out */
};

struct fake {
	char home[64];
	pid_t pid; /* 0: none runs */
	/* Of the last run. */
	char *out, *err;
	int status;
};

/* A fresh home, with a program `loopsyd` (a shell script) named in LOOPSYD. */
void fake_init(struct fake *fake);
void fake_start(struct fake *fake, enum fake_pairing pairing);
void fake_deinit(struct fake *fake);

/* Runs loopsyctl with these words (NULL at the end) and `input` on its stdin. */
void fake_run(struct fake *fake, const char *input, ...) __attribute__((sentinel));
/* The whole of the last output, which must be one JSON value. */
json_t *fake_json(const struct fake *fake);

#endif
