#include "ctl/json_layout.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int json_layout_fail(const struct json_layout *text, size_t at, struct edit_error *ret_error,
		     const char *format, ...)
{
	va_list list;

	ret_error->line = 1;
	for (size_t i = 0; i < at && i < text->size; i++)
		ret_error->line += text->data[i] == '\n';
	va_start(list, format);
	vsnprintf(ret_error->text, sizeof(ret_error->text), format, list);
	va_end(list);
	return -EINVAL;
}

/* A comment at `at`: marks it in both copies. Returns where it ends; 0 when it does not. */
static size_t mark_comment(struct json_layout *text, size_t at)
{
	bool is_line = text->data[at + 1] == '/';
	size_t end = at + 2;

	if (is_line) {
		while (end < text->size && text->data[end] != '\n' && text->data[end] != '\r')
			end++;
	} else {
		while (end + 1 < text->size &&
		       (text->data[end] != '*' || text->data[end + 1] != '/'))
			end++;
		if (end + 1 >= text->size)
			return 0;
		end += 2;
	}
	memset(text->marked + at, is_line ? '/' : '*', end - at);
	/* Lines are counted in the copy as in the text. */
	for (; at < end; at++)
		text->plain[at] = text->data[at] == '\n' ? '\n' : ' ';
	return end;
}

/* Behind a string that begins at `at`. A lone half of a surrogate pair is no reason to refuse a
 * file that was written by JavaScript. */
static size_t pass_string(struct json_layout *text, size_t at)
{
	for (at++; at < text->size && text->data[at] != '"'; at++) {
		if (text->data[at] != '\\')
			continue;
		at++;
		if (text->size - at > 2 && memcmp(text->data + at, "u", 1) == 0 &&
		    strchr("dD", text->data[at + 1]) &&
		    strchr("89aAbBcCdDeEfF", text->data[at + 2]) && text->data[at + 1] &&
		    text->data[at + 2])
			text->plain[at + 1] = text->plain[at + 2] = '1';
	}
	return at < text->size ? at + 1 : at;
}

/* Fills the copies. */
static int mark(struct json_layout *text, struct edit_error *error)
{
	char last = 0; /* what stood there last, but for white space and comments */
	size_t at = text->start, comma = 0;

	while (at < text->size) {
		char c = text->data[at];

		if (c == '/' && at + 1 < text->size && strchr("/*", text->data[at + 1]) &&
		    text->data[at + 1]) {
			size_t end = mark_comment(text, at);

			if (end == 0)
				return json_layout_fail(text, at, error,
							"a comment that does not end");
			at = end;
			continue;
		}
		if (strchr(" \t\r\n", c) && c) {
			at++;
			continue;
		}
		if (text->root == text->size)
			text->root = at;
		/* The comma behind the last element; what is wrong otherwise jansson says. */
		if ((c == '}' || c == ']') && last == ',' && comma > 0)
			text->plain[comma] = ' ';
		comma = c == ',' && last && !strchr("{[,:", last) ? at : 0;
		last = c;
		at = c == '"' ? pass_string(text, at) : at + 1;
	}
	return 0;
}

int json_layout_read(struct bytes bytes, struct json_layout *ret_text, struct edit_error *ret_error)
{
	struct json_layout text = {.data = bytes.size ? (const char *)bytes.data : "",
				   .size = bytes.size,
				   .root = bytes.size};
	json_error_t error;
	json_t *value;
	int r = edit_error_check(bytes, ret_error);

	if (r < 0)
		return r;
	r = -ENOMEM;
	if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
		text.start = 3;
	text.plain = malloc(text.size + 1);
	text.marked = malloc(text.size + 1);
	if (!text.plain || !text.marked)
		goto fail;
	memcpy(text.plain, text.data, text.size);
	memset(text.plain, ' ', text.start);
	memcpy(text.marked, text.data, text.size);
	text.plain[text.size] = text.marked[text.size] = '\0';
	r = mark(&text, ret_error);
	if (r < 0)
		goto fail;
	if (text.root < text.size) {
		value = json_loadb(text.plain, text.size, JSON_LAYOUT_FLAGS, &error);
		if (!value) {
			ret_error->line = error.line > 0 ? (unsigned)error.line : 1;
			snprintf(ret_error->text, sizeof(ret_error->text), "%s", error.text);
			r = -EINVAL;
			goto fail;
		}
		json_decref(value);
	}
	*ret_text = text;
	return 0;
fail:
	json_layout_deinit(&text);
	return r;
}

void json_layout_deinit(struct json_layout *text)
{
	free(text->plain);
	free(text->marked);
}

/* --- members; the text is well formed from here on -------------------------------------------- */

static size_t skip_space(const struct json_layout *text, size_t at)
{
	while (strchr(" \t\r\n/*", text->marked[at]) && text->marked[at])
		at++;
	return at;
}

static size_t skip_string(const struct json_layout *text, size_t at)
{
	for (at++; text->marked[at] != '"'; at++)
		at += text->marked[at] == '\\';
	return at + 1;
}

static size_t skip_value(const struct json_layout *text, size_t at)
{
	unsigned depth = 0;

	if (text->marked[at] == '"')
		return skip_string(text, at);
	if (text->marked[at] != '{' && text->marked[at] != '[') {
		while (text->marked[at] && !strchr(" \t\r\n/*,]}", text->marked[at]))
			at++;
		return at;
	}
	do {
		char c = text->marked[at];

		if (c == '"') {
			at = skip_string(text, at);
			continue;
		}
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		at++;
	} while (depth > 0);
	return at;
}

/* 1, 0, or -ENOMEM: it may be written with escapes. */
static int is_named(const struct json_layout *text, const struct json_member *member, size_t end,
		    const char *name)
{
	json_t *key =
	    json_loadb(text->plain + member->from, end - member->from, JSON_LAYOUT_FLAGS, NULL);
	bool is_it = key && json_string_length(key) == strlen(name) &&
		     memcmp(json_string_value(key), name, strlen(name)) == 0;

	if (!key)
		return -ENOMEM;
	json_decref(key);
	return is_it;
}

int json_layout_find(const struct json_layout *text, size_t open, const char *name,
		     struct json_object *ret_object, struct json_member *ret_member)
{
	struct json_object object = {.open = open};
	struct json_member found = {0};
	unsigned n_found = 0;
	size_t at = skip_space(text, open + 1);

	while (text->marked[at] != '}') {
		struct json_member member = {.from = at};
		size_t end = skip_string(text, at);
		int r = name ? is_named(text, &member, end, name) : 0;

		if (r < 0)
			return r;
		at = skip_space(text, end);
		member.value = skip_space(text, at + 1);
		member.end = skip_value(text, member.value);
		at = skip_space(text, member.end);
		if (text->marked[at] == ',') {
			member.comma = at;
			at = skip_space(text, at + 1);
		}
		if (r > 0) {
			n_found++;
			found = member;
			object.has_previous = object.n > 0;
			object.previous = object.last;
		}
		if (object.n++ == 0)
			object.first = member;
		object.last = member;
	}
	object.close = at;
	*ret_object = object;
	if (n_found > 0 && ret_member)
		*ret_member = found;
	return n_found == 1 ? 0 : n_found == 0 ? -ENOENT : -EEXIST;
}
