#ifndef DAEMON_OPTION_VALUE_H
#define DAEMON_OPTION_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/failure.h"

/*
 * How the values of options are written: yes and no, numbers, bytes with k, M or G, durations with
 * ms, s, m or h, absolute paths. Parsers take the whole text or return -EINVAL (-ENOMEM) with the
 * line in failure, and write *ret only on success. What a print function writes, its parser reads
 * back as the same value.
 */
#define OPTION_VALUE_TEXT_MAX 32

int option_value_parse_bool(const char *text, bool *ret, struct failure *failure);
int option_value_parse_number(const char *text, int64_t min, int64_t max, int64_t *ret,
			      struct failure *failure);
int option_value_parse_bytes(const char *text, int64_t min, int64_t max, int64_t *ret,
			     struct failure *failure);
/* In milliseconds, as are min and max; without a unit the text is seconds; up to three decimals. */
int option_value_parse_duration(const char *text, int64_t min, int64_t max, int64_t *ret,
				struct failure *failure);

/*
 * An absolute path without doubled slashes, "." or a slash at the end, to be freed. "~" at the
 * start is home_dir; a relative path is taken below base, or refused if that is NULL. A ".."
 * component is refused.
 */
int option_value_parse_path(const char *text, const char *home_dir, const char *base, char **ret,
			    struct failure *failure);

/* Into buffer (OPTION_VALUE_TEXT_MAX bytes), which is returned. */
char *option_value_print_bytes(int64_t value, char *buffer);
char *option_value_print_duration(int64_t milliseconds, char *buffer);

#endif
