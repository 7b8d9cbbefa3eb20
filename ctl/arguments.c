#include "ctl/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row *find_row(const struct option_row *const *tables, const char *name,
					 size_t n_name, char letter)
{
	for (; *tables; tables++)
		for (const struct option_row *row = *tables; row->name; row++)
			if (letter ? row->letter == letter
				   : strlen(row->name) == n_name &&
					 memcmp(row->name, name, n_name) == 0)
				return row;
	return NULL;
}

/* Digits only: no sign, no blanks, no overflow. */
static bool parse_number(const char *text, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return false;
	}
	*ret_number = number;
	return true;
}

static int add_option(struct arguments *arguments, const struct option_row *row, const char *text,
		      char *error)
{
	struct given_option option = {.row = row, .text = text};

	if (row->number && (!parse_number(text, &option.number) || option.number < row->min ||
			    option.number > row->max)) {
		snprintf(error, ARGUMENTS_ERROR_MAX,
			 "--%s: '%.80s' is not a number from %llu to %llu", row->name, text,
			 (unsigned long long)row->min, (unsigned long long)row->max);
		return -EINVAL;
	}
	if (arguments->n_options == ARGUMENTS_OPTIONS_MAX) {
		snprintf(error, ARGUMENTS_ERROR_MAX, "too many options");
		return -EINVAL;
	}
	arguments->options[arguments->n_options++] = option;
	return 0;
}

/* One option at argv[0]; returns how many elements it took. */
static int parse_option(struct arguments *arguments, int argc, char *const *argv,
			const struct option_row *const *tables, char *error)
{
	bool is_long = argv[0][1] == '-';
	const char *name = argv[0] + (is_long ? 2 : 1), *value = NULL;
	size_t n_name = is_long ? strcspn(name, "=") : 1;
	const struct option_row *row = find_row(tables, name, n_name, is_long ? 0 : name[0]);
	int r, n = 1;

	if (!row) {
		snprintf(error, ARGUMENTS_ERROR_MAX, "unknown option '%.100s'", argv[0]);
		return -EINVAL;
	}
	if (name[n_name] != '\0')
		value = name + n_name + (is_long ? 1 : 0);
	if (!row->value && value) {
		snprintf(error, ARGUMENTS_ERROR_MAX,
			 is_long ? "--%s takes no value" : "--%s: letters cannot be joined",
			 row->name);
		return -EINVAL;
	}
	if (row->value && !value) {
		if (argc < 2) {
			snprintf(error, ARGUMENTS_ERROR_MAX, "--%s needs a value: %s", row->name,
				 row->value);
			return -EINVAL;
		}
		value = argv[1];
		n = 2;
	}
	r = add_option(arguments, row, value, error);
	return r < 0 ? r : n;
}

int arguments_parse(struct arguments *arguments, int argc, char *const *argv,
		    const struct option_row *const *tables, bool stop_at_word, char *error)
{
	int i = 0;

	while (i < argc) {
		if (!arguments->words_only && argv[i][0] == '-' && argv[i][1] != '\0') {
			int n;

			if (strcmp(argv[i], "--") == 0) {
				arguments->words_only = true;
				i++;
				continue;
			}
			n = parse_option(arguments, argc - i, argv + i, tables, error);
			if (n < 0)
				return n;
			i += n;
			continue;
		}
		if (stop_at_word)
			break;
		if (arguments->n_words == ARGUMENTS_WORDS_MAX) {
			snprintf(error, ARGUMENTS_ERROR_MAX, "too many arguments");
			return -EINVAL;
		}
		arguments->words[arguments->n_words++] = argv[i++];
	}
	return i;
}

const struct given_option *arguments_find(const struct arguments *arguments, const char *name)
{
	for (unsigned i = arguments->n_options; i-- > 0;)
		if (strcmp(arguments->options[i].row->name, name) == 0)
			return &arguments->options[i];
	return NULL;
}

bool arguments_has(const struct arguments *arguments, const char *name)
{
	return arguments_find(arguments, name);
}

const char *arguments_text(const struct arguments *arguments, const char *name,
			   const char *otherwise)
{
	const struct given_option *option = arguments_find(arguments, name);

	return option ? option->text : otherwise;
}

uint64_t arguments_number(const struct arguments *arguments, const char *name, uint64_t otherwise)
{
	const struct given_option *option = arguments_find(arguments, name);

	return option ? option->number : otherwise;
}
