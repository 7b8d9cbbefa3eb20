#include "daemon/option_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first: printing takes the largest that divides. */
static const struct unit bytes_units[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}, {"", 1}};
static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

static int invalid(const char *text, const char *wanted, struct failure *failure)
{
	return failure_set(failure, -EINVAL, "%s is no %s", LOG_VALUE(text), wanted);
}

int option_value_parse_bool(const char *text, bool *ret, struct failure *failure)
{
	static const char *const words[2][4] = {{"no", "false", "off", "0"},
						{"yes", "true", "on", "1"}};

	for (size_t i = 0; i < 8; i++)
		if (strcmp(text, words[i / 4][i % 4]) == 0) {
			*ret = i / 4 == 1;
			return 0;
		}
	return failure_set(failure, -EINVAL, "%s is neither yes nor no", LOG_VALUE(text));
}

/* Digits at *text, moved over. -EINVAL without any, or above INT64_MAX. */
static int parse_digits(const char **text, int64_t *ret)
{
	const char *p = *text;
	int64_t value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *p - '0', &value))
			return -EINVAL;
	*text = p;
	*ret = value;
	return 0;
}

int option_value_parse_number(const char *text, int64_t min, int64_t max, int64_t *ret,
			      struct failure *failure)
{
	const char *p = text;
	int64_t value;

	if (parse_digits(&p, &value) < 0 || *p != '\0')
		return invalid(text, "number", failure);
	if (value < min || value > max)
		return failure_set(failure, -EINVAL,
				   "%" PRId64 " is not between %" PRId64 " and %" PRId64, value,
				   min, max);
	*ret = value;
	return 0;
}

char *option_value_print_bytes(int64_t value, char *buffer)
{
	size_t i = 0;

	while (value % bytes_units[i].factor != 0 || (value == 0 && bytes_units[i].factor > 1))
		i++;
	snprintf(buffer, OPTION_VALUE_TEXT_MAX, "%" PRId64 "%s", value / bytes_units[i].factor,
		 bytes_units[i].name);
	return buffer;
}

int option_value_parse_bytes(const char *text, int64_t min, int64_t max, int64_t *ret,
			     struct failure *failure)
{
	char low[OPTION_VALUE_TEXT_MAX], high[OPTION_VALUE_TEXT_MAX];
	const char *p = text;
	int64_t value, factor = 0;

	if (parse_digits(&p, &value) < 0)
		return invalid(text, "number of bytes, such as 512k or 16M", failure);
	for (size_t i = 0; i < sizeof(bytes_units) / sizeof(bytes_units[0]); i++)
		if (strcasecmp(p, bytes_units[i].name) == 0)
			factor = bytes_units[i].factor;
	if (factor == 0)
		return invalid(text, "number of bytes, such as 512k or 16M", failure);
	if (__builtin_mul_overflow(value, factor, &value) || value < min || value > max)
		return failure_set(failure, -EINVAL, "%s is not between %s and %s", LOG_VALUE(text),
				   option_value_print_bytes(min, low),
				   option_value_print_bytes(max, high));
	*ret = value;
	return 0;
}

char *option_value_print_duration(int64_t milliseconds, char *buffer)
{
	size_t i = 0;

	if (milliseconds == 0)
		return strcpy(buffer, "0s");
	/* 90s and 120s read better than 90000ms and 2m. */
	if (milliseconds <= 300000 && milliseconds % 1000 == 0)
		i = 2;
	while (milliseconds % duration_units[i].factor != 0)
		i++;
	snprintf(buffer, OPTION_VALUE_TEXT_MAX, "%" PRId64 "%s",
		 milliseconds / duration_units[i].factor, duration_units[i].name);
	return buffer;
}

int option_value_parse_duration(const char *text, int64_t min, int64_t max, int64_t *ret,
				struct failure *failure)
{
	const char *wanted = "duration, such as 30s or 500ms";
	char low[OPTION_VALUE_TEXT_MAX], high[OPTION_VALUE_TEXT_MAX];
	int64_t value, factor = 0, fraction = 0, scale = 1;
	const char *p = text;

	if (parse_digits(&p, &value) < 0)
		return invalid(text, wanted, failure);
	if (*p == '.') {
		const char *digits = ++p;

		if (parse_digits(&p, &fraction) < 0 || p - digits > 3)
			return invalid(text, wanted, failure);
		for (; digits < p; digits++)
			scale *= 10;
	}
	for (size_t i = 0; i < sizeof(duration_units) / sizeof(duration_units[0]); i++)
		if (strcmp(p, duration_units[i].name) == 0)
			factor = duration_units[i].factor;
	if (*p == '\0')
		factor = 1000;
	if (factor == 0)
		return invalid(text, wanted, failure);
	if (__builtin_mul_overflow(value, factor, &value) ||
	    __builtin_add_overflow(value, fraction * factor / scale, &value) || value < min ||
	    value > max)
		return failure_set(failure, -EINVAL, "%s is not between %s and %s", LOG_VALUE(text),
				   option_value_print_duration(min, low),
				   option_value_print_duration(max, high));
	*ret = value;
	return 0;
}

int option_value_parse_path(const char *text, const char *home_dir, const char *base, char **ret,
			    struct failure *failure)
{
	const char *start = "", *rest = text;
	char *path, *end;

	if (text[0] == '~' && (text[1] == '/' || text[1] == '\0')) {
		start = home_dir;
		rest = text + 1;
	} else if (text[0] != '/' && text[0] != '\0' && base) {
		start = base;
	} else if (text[0] != '/') {
		return failure_set(failure, -EINVAL, "%s is no absolute path", LOG_VALUE(text));
	}
	path = malloc(strlen(start) + strlen(rest) + 3);
	if (!path)
		return -ENOMEM;
	end = path;
	for (int part = 0; part < 2; part++) {
		const char *p = part ? rest : start;

		while (*p) {
			size_t n = strcspn(p, "/");

			if (n == 2 && p[0] == '.' && p[1] == '.') {
				free(path);
				return failure_set(failure, -EINVAL, "%s has a .. in it",
						   LOG_VALUE(text));
			}
			if (n > 0 && !(n == 1 && p[0] == '.')) {
				*end++ = '/';
				memcpy(end, p, n);
				end += n;
			}
			p += n;
			p += *p == '/';
		}
	}
	if (end == path)
		*end++ = '/';
	*end = '\0';
	*ret = path;
	return 0;
}
