/*
 * Options and words of a command line, read by a table of option rows.
 *
 * Understood are --name, --name VALUE, --name=VALUE, -x, -x VALUE, -xVALUE and --, after which
 * everything is a word. Options may stand between words.
 */
#ifndef CTL_ARGUMENTS_H
#define CTL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct option_row {
	const char *name;  /* without the hyphens; NULL ends a table */
	char letter;       /* 0: none */
	const char *value; /* what the help calls its value; NULL: takes none */
	const char *summary;
	bool number; /* the value is a number, from min to max */
	uint64_t min, max;
};

#define ARGUMENTS_OPTIONS_MAX 256
#define ARGUMENTS_WORDS_MAX   256 /* as many messages as are acknowledged at once */
#define ARGUMENTS_ERROR_MAX   256

struct given_option {
	const struct option_row *row;
	const char *text; /* in argv */
	uint64_t number;
};

/* All pointers are into argv and the tables. */
struct arguments {
	struct given_option options[ARGUMENTS_OPTIONS_MAX];
	unsigned n_options;
	const char *words[ARGUMENTS_WORDS_MAX];
	unsigned n_words;
	bool words_only; /* there was a "--" */
};

/*
 * Adds what `argv` holds to `arguments` (zero at first). `tables` is a NULL-terminated list of
 * tables. With `stop_at_word` it ends before the first word. Returns how many elements were read,
 * or -EINVAL and a line in `error` (ARGUMENTS_ERROR_MAX bytes).
 */
int arguments_parse(struct arguments *arguments, int argc, char *const *argv,
		    const struct option_row *const *tables, bool stop_at_word, char *error);

/* The last one given of that name, or NULL. */
const struct given_option *arguments_find(const struct arguments *arguments, const char *name);
bool arguments_has(const struct arguments *arguments, const char *name);
const char *arguments_text(const struct arguments *arguments, const char *name,
			   const char *otherwise);
uint64_t arguments_number(const struct arguments *arguments, const char *name, uint64_t otherwise);

#endif
