#include "fs/control_lines.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cursor.h"
#include "proto/ops_peer.h"

#define SIGNAL_MAX 64
#define WORDS_MAX  3

void control_lines_deinit(struct control_lines *lines)
{
	buffer_deinit(&lines->text);
	*lines = (struct control_lines){0};
}

static int fail(struct control_lines *lines, int error)
{
	buffer_deinit(&lines->text);
	lines->text = (struct buffer){0};
	lines->at = 0;
	lines->error = error;
	return error;
}

int control_lines_add(struct control_lines *lines, struct bytes data)
{
	if (lines->error)
		return lines->error;
	if (lines->at) {
		lines->text.size -= lines->at;
		memmove(lines->text.data, lines->text.data + lines->at, lines->text.size);
		lines->at = 0;
	}
	return data.size ? buffer_append(&lines->text, data.data, data.size) : 0;
}

/* One line, or why it is none. */
static int check(struct bytes line)
{
	if (line.size > CONTROL_LINES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < line.size; i++)
		if ((line.data[i] < 0x20 && line.data[i] != '\t') || line.data[i] == 0x7f)
			return -EINVAL;
	return cursor_is_utf8(line) ? 0 : -EILSEQ;
}

static int take(struct control_lines *lines, size_t size, size_t skip, struct bytes *ret_line)
{
	struct bytes line = {lines->text.data + lines->at, size};
	int error = check(line);

	if (error)
		return fail(lines, error);
	lines->at += size + skip;
	*ret_line = line;
	return 1;
}

int control_lines_next(struct control_lines *lines, struct bytes *ret_line)
{
	size_t left = lines->text.size - lines->at;
	const uint8_t *start = left ? lines->text.data + lines->at : NULL;
	const uint8_t *newline = left ? memchr(start, '\n', left) : NULL;

	if (lines->error)
		return lines->error;
	if (!newline)
		return left > CONTROL_LINES_MAX ? fail(lines, -E2BIG) : 0;
	return take(lines, (size_t)(newline - start), 1, ret_line);
}

int control_lines_last(struct control_lines *lines, struct bytes *ret_line)
{
	size_t left = lines->text.size - lines->at;
	int n = control_lines_next(lines, ret_line);

	return n || !left ? n : take(lines, left, 0, ret_line);
}

void control_lines_drop(struct control_lines *lines)
{
	lines->text.size = lines->at = 0;
}

/* --- variables -------------------------------------------------------------------------------- */

static bool is_name(struct bytes name)
{
	if (!name.size || (name.data[0] >= '0' && name.data[0] <= '9'))
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] >= 0x80 || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						    "abcdefghijklmnopqrstuvwxyz0123456789_",
						    name.data[i]))
			return false;
	return true;
}

static int append(struct buffer *buffer, uint8_t byte)
{
	return buffer_append(buffer, &byte, 1);
}

/* What a backslash before it makes of it between double quotes; 0: nothing, both stay. */
static uint8_t unescaped(uint8_t byte)
{
	if (byte == 'n')
		return '\n';
	if (byte == 't')
		return '\t';
	return strchr("\"\\$`", byte) ? byte : 0;
}

/* `value` without its quotes. */
static int read_quoted(uint8_t quote, struct bytes value, struct buffer *ret_value)
{
	int error = 0;

	for (size_t i = 0; i < value.size && !error; i++) {
		uint8_t byte = value.data[i], meant;

		if (byte == quote)
			return -EINVAL;
		if (quote == '"' && byte == '\\') {
			if (i + 1 == value.size)
				return -EINVAL; /* the quote behind it is no end */
			meant = unescaped(value.data[i + 1]);
			i += meant != 0;
			byte = meant ? meant : byte;
		}
		error = append(ret_value, byte);
	}
	return error;
}

int control_lines_read_variable(struct bytes line, struct buffer *variable)
{
	const uint8_t *equals = line.size ? memchr(line.data, '=', line.size) : NULL;
	size_t name_size = equals ? (size_t)(equals - line.data) : 0, before = variable->size;
	struct bytes value = {line.data + name_size + 1, line.size - name_size - 1};
	uint8_t quote;
	int error;

	if (!equals || !is_name((struct bytes){line.data, name_size}))
		return -EINVAL;
	quote = value.size && (*value.data == '"' || *value.data == '\'') ? *value.data : 0;
	if (quote && (value.size < 2 || value.data[value.size - 1] != quote))
		return -EINVAL;
	error = buffer_append(variable, line.data, name_size + 1);
	if (!error && quote)
		error =
		    read_quoted(quote, (struct bytes){value.data + 1, value.size - 2}, variable);
	else if (!error && value.size)
		error = buffer_append(variable, value.data, value.size);
	if (error)
		variable->size = before;
	return error;
}

int control_lines_print_variable(struct bytes variable, struct buffer *text)
{
	const uint8_t *equals = variable.size ? memchr(variable.data, '=', variable.size) : NULL;
	size_t name_size = equals ? (size_t)(equals - variable.data) + 1 : variable.size;
	struct bytes value = {variable.data + name_size, variable.size - name_size};
	bool is_plain = !value.size || (*value.data != '"' && *value.data != '\'');
	int error = buffer_append(text, variable.data, name_size);

	if (value.size && memchr(value.data, '\n', value.size))
		is_plain = false;
	if (is_plain) {
		if (!error && value.size)
			error = buffer_append(text, value.data, value.size);
		return error ? error : append(text, '\n');
	}
	if (!error)
		error = append(text, '"');
	for (size_t i = 0; i < value.size && !error; i++) {
		uint8_t byte = value.data[i];

		if (byte == '\n' || strchr("\"\\$`", byte))
			error = append(text, '\\');
		if (!error)
			error = append(text, byte == '\n' ? 'n' : byte);
	}
	return error ? error : buffer_append(text, "\"\n", 2);
}

/* --- words ------------------------------------------------------------------------------------ */

/* Splits at blanks. Returns how many words there are; more than WORDS_MAX are not told apart. */
static unsigned split(struct bytes line, struct bytes *ret_words)
{
	unsigned n = 0;

	for (size_t i = 0; i < line.size; n++) {
		size_t start;

		while (i < line.size && (line.data[i] == ' ' || line.data[i] == '\t'))
			i++;
		if (i == line.size)
			break;
		for (start = i; i < line.size && line.data[i] != ' ' && line.data[i] != '\t';)
			i++;
		if (n == WORDS_MAX)
			break;
		ret_words[n] = (struct bytes){line.data + start, i - start};
	}
	return n;
}

static bool is_word(struct bytes word, const char *text)
{
	return word.size == strlen(text) && memcmp(word.data, text, word.size) == 0;
}

/* 0: it is none, or beyond `max`. */
static unsigned read_number(struct bytes word, unsigned max)
{
	unsigned number = 0;

	for (size_t i = 0; i < word.size; i++) {
		if (word.data[i] < '0' || word.data[i] > '9')
			return 0;
		number = number * 10 + (word.data[i] - '0');
		if (number > max)
			return 0;
	}
	return number;
}

int control_lines_read_size(struct bytes line, unsigned *ret_rows, unsigned *ret_cols)
{
	struct bytes words[WORDS_MAX];
	unsigned rows, cols;

	if (split(line, words) != 2)
		return -EINVAL;
	rows = read_number(words[0], OPS_JOB_SIZE_MAX);
	cols = read_number(words[1], OPS_JOB_SIZE_MAX);
	if (!rows || !cols)
		return -EINVAL;
	*ret_rows = rows;
	*ret_cols = cols;
	return 0;
}

/* 0: there is none of that name. */
static unsigned read_signal(struct bytes word)
{
	if (word.size > 3 && memcmp(word.data, "SIG", 3) == 0)
		word = (struct bytes){word.data + 3, word.size - 3};
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);

		if (name && is_word(word, name))
			return (unsigned)i;
	}
	return read_number(word, SIGNAL_MAX);
}

int control_lines_read_order(struct bytes line, struct control_order *ret_order)
{
	struct bytes words[WORDS_MAX];
	unsigned n = split(line, words);
	struct control_order order = {.kind = CONTROL_EOF};

	if (n == 1 && is_word(words[0], "close"))
		order.kind = CONTROL_CLOSE;
	else if (n == 2 && is_word(words[0], "signal") && (order.signal = read_signal(words[1])))
		order.kind = CONTROL_SIGNAL;
	else if (n != 1 || !is_word(words[0], "eof"))
		return -EINVAL;
	*ret_order = order;
	return 0;
}

int control_lines_print(struct bytes text, struct buffer *ret_text)
{
	bool is_utf8 = cursor_is_utf8(text);
	int error = 0;

	for (size_t i = 0; i < text.size && !error; i++) {
		bool is_odd = text.data[i] < 0x20 || text.data[i] == 0x7f ||
			      (text.data[i] >= 0x80 && !is_utf8);

		error = append(ret_text, is_odd ? '?' : text.data[i]);
	}
	return error;
}
