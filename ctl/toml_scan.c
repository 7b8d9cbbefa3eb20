#include "ctl/toml_scan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 64

struct scanner {
	const char *data;
	size_t size, at;
	unsigned line;
	struct toml_path table; /* of the header above */
	size_t line_from;       /* of the expression */
	bool has_item;          /* one that is told when the end of its line is known */
	struct toml_item item;
	int (*each)(void *arg, const struct toml_item *item);
	void *arg;
	struct edit_error *error;
};

static int fail(const struct scanner *scanner, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(const struct scanner *scanner, const char *format, ...)
{
	va_list list;

	scanner->error->line = scanner->line;
	va_start(list, format);
	vsnprintf(scanner->error->text, sizeof(scanner->error->text), format, list);
	va_end(list);
	return -EINVAL;
}

/* --- characters ------------------------------------------------------------------------------- */

static char peek(const struct scanner *scanner, size_t ahead)
{
	return scanner->at + ahead < scanner->size ? scanner->data[scanner->at + ahead] : '\0';
}

static bool is_end(const struct scanner *scanner)
{
	return scanner->at >= scanner->size;
}

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c);
}

static void skip_blanks(struct scanner *scanner)
{
	while (is_one_of(peek(scanner, 0), " \t"))
		scanner->at++;
}

/* The end of a line, if it is here. */
static bool take_line_end(struct scanner *scanner)
{
	if (peek(scanner, 0) == '\r' && peek(scanner, 1) == '\n')
		scanner->at++;
	if (peek(scanner, 0) != '\n')
		return false;
	scanner->at++;
	scanner->line++;
	return true;
}

static void skip_comment(struct scanner *scanner)
{
	if (peek(scanner, 0) == '#')
		while (!is_end(scanner) && peek(scanner, 0) != '\n')
			scanner->at++;
}

/* White space, comments and line ends: between the elements of arrays. */
static void skip_lines(struct scanner *scanner)
{
	do {
		skip_blanks(scanner);
		skip_comment(scanner);
	} while (take_line_end(scanner));
}

/* --- strings ---------------------------------------------------------------------------------- */

static int take_escape(struct scanner *scanner, char *ret_c)
{
	static const char from[] = "btnfre\"\\", to[] = "\b\t\n\f\r\033\"\\";
	char c = peek(scanner, 0);
	const char *known = is_one_of(c, from) ? strchr(from, c) : NULL;
	unsigned n = c == 'u' ? 4 : c == 'U' ? 8 : c == 'x' ? 2 : 0;

	*ret_c = known ? to[known - from] : '?';
	if (!known && n == 0)
		return fail(scanner, "an escape that there is not");
	scanner->at++;
	for (; n > 0; n--, scanner->at++)
		if (!is_one_of(peek(scanner, 0), "0123456789abcdefABCDEF"))
			return fail(scanner, "an escape that there is not");
	return 0;
}

/* On one line, in either kind of quotes. `name` (may be NULL) gets what it says, "" if that is
 * long. */
static int take_string(struct scanner *scanner, char *name)
{
	char quote = peek(scanner, 0), c;
	size_t n = 0;
	bool is_long = false;

	for (scanner->at++; (c = peek(scanner, 0)) != quote;) {
		if (is_end(scanner) || c == '\n')
			return fail(scanner, "a string that does not end");
		if ((unsigned char)c < 0x20 && c != '\t')
			return fail(scanner, "a control character in a string");
		scanner->at++;
		if (c == '\\' && quote == '"') {
			int r = take_escape(scanner, &c);

			if (r < 0)
				return r;
		}
		if (name && n + 1 < TOML_NAME_SIZE)
			name[n++] = c;
		else
			is_long = true;
	}
	scanner->at++;
	if (name)
		name[is_long ? 0 : n] = '\0';
	return 0;
}

static int take_long_string(struct scanner *scanner)
{
	char quote = peek(scanner, 0), ignored;

	for (scanner->at += 3;;) {
		char c = peek(scanner, 0);

		if (is_end(scanner))
			return fail(scanner, "a string that does not end");
		if (c == quote && peek(scanner, 1) == quote && peek(scanner, 2) == quote) {
			/* Up to two more belong to it. */
			scanner->at += 3;
			for (int i = 0; i < 2 && peek(scanner, 0) == quote; i++)
				scanner->at++;
			return 0;
		}
		if (take_line_end(scanner))
			continue;
		if ((unsigned char)c < 0x20 && c != '\t')
			return fail(scanner, "a control character in a string");
		scanner->at++;
		if (c == '\\' && quote == '"') {
			size_t n = 0;

			/* Before the end of a line it takes away the white space there. */
			while (is_one_of(peek(scanner, n), " \t"))
				n++;
			if (peek(scanner, n) == '\n' ||
			    (peek(scanner, n) == '\r' && peek(scanner, n + 1) == '\n'))
				scanner->at += n;
			else if (take_escape(scanner, &ignored) < 0)
				return -EINVAL;
		}
	}
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static int take_name(struct scanner *scanner, char name[TOML_NAME_SIZE])
{
	size_t n = 0;

	if (peek(scanner, 0) == '"' || peek(scanner, 0) == '\'')
		return take_string(scanner, name);
	if (!is_bare(peek(scanner, 0)))
		return fail(scanner, "a key is missing");
	for (; is_bare(peek(scanner, 0)); scanner->at++, n++)
		if (n + 1 < TOML_NAME_SIZE)
			name[n] = peek(scanner, 0);
	name[n < TOML_NAME_SIZE ? n : 0] = '\0';
	return 0;
}

/* Adds the names of a key to `path`; sets the places of `item`. */
static int take_key(struct scanner *scanner, struct toml_path *path, struct toml_item *item)
{
	item->key_from = scanner->at;
	for (;;) {
		char name[TOML_NAME_SIZE];
		int r;

		item->key_last = scanner->at;
		r = take_name(scanner, name);
		if (r < 0)
			return r;
		if (path->n < TOML_PATH_NAMES)
			strcpy(path->names[path->n], name);
		path->n++;
		item->key_to = scanner->at;
		skip_blanks(scanner);
		if (peek(scanner, 0) != '.')
			return 0;
		scanner->at++;
		skip_blanks(scanner);
	}
}

/* --- values ----------------------------------------------------------------------------------- */

static int take_value(struct scanner *scanner, const struct toml_path *path, unsigned depth,
		      enum toml_kind *ret_kind);

static int take_pair(struct scanner *scanner, const struct toml_path *above, bool within,
		     unsigned depth)
{
	struct toml_item item = {.path = *above, .within = within, .line = scanner->line};
	int r = take_key(scanner, &item.path, &item);

	if (r < 0)
		return r;
	if (peek(scanner, 0) != '=')
		return fail(scanner, "'=' is missing behind a key");
	scanner->at++;
	skip_blanks(scanner);
	item.from = scanner->at;
	r = take_value(scanner, &item.path, depth, &item.kind);
	item.to = scanner->at;
	item.headed = scanner->table.n > 0;
	item.line_from = scanner->line_from;
	if (r < 0 || within)
		return r == 0 && item.path.n <= TOML_PATH_NAMES ? scanner->each(scanner->arg, &item)
								: r;
	scanner->item = item;
	scanner->has_item = true;
	return 0;
}

static int take_inline_table(struct scanner *scanner, const struct toml_path *path, unsigned depth)
{
	scanner->at++;
	for (bool first = true;; first = false) {
		int r;

		skip_lines(scanner);
		if (peek(scanner, 0) == '}') {
			scanner->at++;
			return 0;
		}
		if (!first) {
			if (peek(scanner, 0) != ',')
				return fail(scanner, "',' or '}' is missing");
			scanner->at++;
			skip_lines(scanner);
			if (peek(scanner, 0) == '}')
				continue;
		}
		r = take_pair(scanner, path, true, depth + 1);
		if (r < 0)
			return r;
	}
}

static int take_array(struct scanner *scanner, unsigned depth)
{
	/* What is in an array has no path. */
	static const struct toml_path nowhere = {.n = TOML_PATH_NAMES + 2};
	enum toml_kind kind;

	scanner->at++;
	for (bool first = true;; first = false) {
		int r;

		skip_lines(scanner);
		if (!first && peek(scanner, 0) == ',') {
			scanner->at++;
			skip_lines(scanner);
		} else if (!first && peek(scanner, 0) != ']') {
			return fail(scanner, "',' or ']' is missing");
		}
		if (peek(scanner, 0) == ']') {
			scanner->at++;
			return 0;
		}
		r = take_value(scanner, &nowhere, depth + 1, &kind);
		if (r < 0)
			return r;
	}
}

static bool is_number(const char *text)
{
	const char *digits = "0123456789_", *at = text + (is_one_of(text[0], "+-") ? 1 : 0);
	size_t n;

	if (strcmp(at, "inf") == 0 || strcmp(at, "nan") == 0)
		return true;
	if (at == text && at[0] == '0' && is_one_of(at[1], "xob")) {
		digits = at[1] == 'x'   ? "0123456789abcdefABCDEF_"
			 : at[1] == 'o' ? "01234567_"
					: "01_";
		at += 2;
		n = strspn(at, digits);
		return n > 0 && at[n] == '\0';
	}
	n = strspn(at, digits);
	if (n == 0 || (n > 1 && at[0] == '0'))
		return false;
	at += n;
	if (*at == '.') {
		n = strspn(++at, digits);
		if (n == 0)
			return false;
		at += n;
	}
	if (is_one_of(*at, "eE")) {
		at += is_one_of(at[1], "+-") ? 2 : 1;
		n = strspn(at, digits);
		if (n == 0)
			return false;
		at += n;
	}
	return *at == '\0';
}

/* Whether `text` begins as the form: '0' is a digit, others are themselves. How much; 0 if not. */
static size_t match(const char *text, const char *form)
{
	for (size_t i = 0;; i++) {
		if (!form[i])
			return i;
		if (form[i] == '0' ? !is_one_of(text[i], "0123456789") : text[i] != form[i])
			return 0;
	}
}

static bool is_time(const char *text)
{
	size_t date = match(text, "0000-00-00"), time;

	text += date;
	if (date > 0 && *text == '\0')
		return true;
	if (date > 0 && !is_one_of(*text++, "Tt "))
		return false;
	time = match(text, "00:00");
	if (time == 0)
		return false;
	text += time;
	text += match(text, ":00");
	if (*text == '.') {
		if (strspn(text + 1, "0123456789") == 0)
			return false;
		text += 1 + strspn(text + 1, "0123456789");
	}
	if (date > 0 && is_one_of(*text, "Zz"))
		text++;
	else if (date > 0 && is_one_of(*text, "+-"))
		text += 1 + match(text + 1, "00:00");
	return *text == '\0';
}

static int take_plain(struct scanner *scanner)
{
	char text[128];
	size_t n = 0, from = scanner->at;

	while (is_bare(peek(scanner, n)) || is_one_of(peek(scanner, n), "+.:"))
		n++;
	/* A blank may stand between a date and a time. */
	if (n == 10 && peek(scanner, n) == ' ' && is_one_of(peek(scanner, n + 1), "0123456789"))
		for (n++; is_bare(peek(scanner, n)) || is_one_of(peek(scanner, n), "+.:");)
			n++;
	if (n >= sizeof(text))
		return fail(scanner, "a value that is none");
	memcpy(text, scanner->data + from, n);
	text[n] = '\0';
	scanner->at += n;
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || is_number(text) ||
	    is_time(text))
		return 0;
	return n > 0 ? fail(scanner, "'%s' is no value", text)
		     : fail(scanner, "a value is missing");
}

static int take_value(struct scanner *scanner, const struct toml_path *path, unsigned depth,
		      enum toml_kind *ret_kind)
{
	char c = peek(scanner, 0);

	*ret_kind = TOML_VALUE;
	if (depth > DEPTH_MAX)
		return fail(scanner, "too deep");
	if (c == '{') {
		*ret_kind = TOML_INLINE_TABLE;
		return take_inline_table(scanner, path, depth);
	}
	if (c == '[')
		return take_array(scanner, depth);
	if (c != '"' && c != '\'')
		return take_plain(scanner);
	if (peek(scanner, 1) == c && peek(scanner, 2) == c)
		return take_long_string(scanner);
	return take_string(scanner, NULL);
}

/* --- lines ------------------------------------------------------------------------------------ */

static int take_header(struct scanner *scanner)
{
	struct toml_item item = {.kind = TOML_TABLE, .line = scanner->line, .headed = true};
	int r;

	item.from = scanner->at++;
	if (peek(scanner, 0) == '[') {
		item.kind = TOML_ARRAY_TABLE;
		scanner->at++;
	}
	skip_blanks(scanner);
	r = take_key(scanner, &item.path, &item);
	if (r < 0)
		return r;
	for (int i = item.kind == TOML_ARRAY_TABLE ? 2 : 1; i > 0; i--, scanner->at++)
		if (peek(scanner, 0) != ']')
			return fail(scanner, "']' is missing");
	item.to = scanner->at;
	scanner->table = item.path;
	item.line_from = scanner->line_from;
	scanner->item = item;
	scanner->has_item = true;
	return 0;
}

static int take_expression(struct scanner *scanner)
{
	int r = 0;

	scanner->line_from = scanner->at;
	scanner->has_item = false;
	skip_blanks(scanner);
	if (peek(scanner, 0) == '[')
		r = take_header(scanner);
	else if (!is_end(scanner) && !is_one_of(peek(scanner, 0), "#\r\n"))
		r = take_pair(scanner, &scanner->table, false, 0);
	if (r < 0)
		return r;
	skip_blanks(scanner);
	skip_comment(scanner);
	if (!take_line_end(scanner) && !is_end(scanner))
		return fail(scanner, "more than one thing on a line");
	scanner->item.line_to = scanner->at;
	return scanner->has_item ? scanner->each(scanner->arg, &scanner->item) : 0;
}

int toml_scan(struct bytes text, int (*each)(void *arg, const struct toml_item *item), void *arg,
	      struct edit_error *ret_error)
{
	struct scanner scanner = {.data = text.size ? (const char *)text.data : "",
				  .size = text.size,
				  .line = 1,
				  .each = each,
				  .arg = arg,
				  .error = ret_error};
	int r = edit_error_check(text, ret_error);

	if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
		scanner.at = 3;
	while (r == 0 && !is_end(&scanner))
		r = take_expression(&scanner);
	return r;
}
