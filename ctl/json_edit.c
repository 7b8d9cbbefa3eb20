/*
 * The text is read twice. json_layout_read (json_layout.c) makes two copies of the same length, so
 * that a place in one is a place in all: `plain`, which jansson checks, and `marked`, in which
 * comments are marks that count as white space. The places of members are then found in `marked`,
 * which is known to be well formed.
 *
 * A member goes behind the last one of its object, behind the comments there; a comma is put where
 * it needs one, and in the style of a list with a comma behind its last element, another. What
 * removing takes away is the member, the white space before it, and one comma: the one behind it,
 * else the one of the member before. So one is the reverse of the other.
 */
#include "ctl/json_edit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/json_layout.h"

#define PATH_MAX_NAMES 8

void json_edit_undo_deinit(struct json_edit_undo *undo)
{
	free(undo->tail);
	free(undo->before);
	*undo = (struct json_edit_undo){0};
}

/* --- edits: places in the text that become something else, in order --------------------------- */

struct edit {
	size_t from, to;
	char *text; /* owned; NULL is nothing */
};

struct edits {
	struct edit list[4];
	unsigned n;
};

static int add_edit(struct edits *edits, size_t from, size_t to, char *text)
{
	assert(edits->n < sizeof(edits->list) / sizeof(edits->list[0]));
	edits->list[edits->n++] = (struct edit){from, to, text};
	return 0;
}

static void edits_deinit(struct edits *edits)
{
	for (unsigned i = 0; i < edits->n; i++)
		free(edits->list[i].text);
}

static int apply_edits(const struct json_layout *text, const struct edits *edits,
		       struct buffer *out)
{
	size_t at = 0;
	int r = 0;

	for (unsigned i = 0; i < edits->n && r == 0; i++) {
		const struct edit *edit = &edits->list[i];

		r = buffer_append(out, text->data + at, edit->from - at);
		if (r == 0 && edit->text)
			r = buffer_append(out, edit->text, strlen(edit->text));
		at = edit->to;
	}
	return r < 0 ? r : buffer_append(out, text->data + at, text->size - at);
}

/* --- how it looks ----------------------------------------------------------------------------- */

/* Where the white space begins that ends at `at`. */
static size_t back_over_space(const struct json_layout *text, size_t at)
{
	while (at > text->start && strchr(" \t\r\n", text->data[at - 1]) && text->data[at - 1])
		at--;
	return at;
}

static const char *line_end(const struct json_layout *text)
{
	const char *line = memchr(text->data, '\n', text->size);

	return line && line > text->data && line[-1] == '\r' ? "\r\n" : "\n";
}

static bool has_line(const char *data, size_t from, size_t to)
{
	return to > from &&
	       (memchr(data + from, '\n', to - from) || memchr(data + from, '\r', to - from));
}

/* The blanks at the start of the line that `at` is in; malloc'ed. */
static char *indent_at(const struct json_layout *text, size_t at)
{
	size_t from = at, to;

	while (from > text->start && text->data[from - 1] != '\n' && text->data[from - 1] != '\r')
		from--;
	for (to = from; to < at && (text->data[to] == ' ' || text->data[to] == '\t');)
		to++;
	return strndup(text->data + from, to - from);
}

/* By how much the file indents: its first member more than what that is in, if it stands on a line
 * of its own. */
static char *indent_unit(const struct json_layout *text)
{
	char *outer = indent_at(text, text->root), *inner = NULL, *unit = NULL;
	size_t n = outer ? strlen(outer) : 0;
	struct json_object object;

	if (text->root < text->size && text->data[text->root] == '{') {
		json_layout_find(text, text->root, NULL, &object, NULL);
		if (object.n > 0 && has_line(text->data, back_over_space(text, object.first.from),
					     object.first.from))
			inner = indent_at(text, object.first.from);
	}
	if (inner && strncmp(inner, outer ? outer : "", n) == 0 && inner[n] != '\0')
		unit = strdup(inner + n);
	free(outer);
	free(inner);
	return unit ? unit : strdup("  ");
}

/* The value over several lines, each behind `indent`; or, without `indent`, on one. */
static char *print_value(const json_t *value, const char *indent, const char *unit, const char *eol)
{
	size_t flags = JSON_ENCODE_ANY | (indent ? JSON_INDENT(1) : 0);
	char *dumped = json_dumps(value, flags), *to = NULL;
	size_t size = 0;
	FILE *out = dumped && indent ? open_memstream(&to, &size) : NULL;

	if (!out)
		return dumped;
	for (const char *line = dumped; *line;) {
		size_t n = strcspn(line, "\n"), blanks = strspn(line, " ");

		if (line > dumped)
			fprintf(out, "%s%s", eol, indent);
		for (size_t i = 0; i < blanks && line > dumped; i++)
			fputs(unit, out);
		if (line == dumped)
			blanks = 0;
		fwrite(line + blanks, 1, n - blanks, out);
		line += n + (line[n] == '\n');
	}
	free(dumped);
	if (fclose(out) == 0)
		return to;
	free(to);
	return NULL;
}

static char *format(const char *a, const char *b, const char *c)
{
	char *text;

	return a && b && c && asprintf(&text, "%s%s%s", a, b, c) >= 0 ? text : NULL;
}

/* --- setting ---------------------------------------------------------------------------------- */

/* {"b": {"c": value}} of the last names of a path; a new reference. */
static json_t *wrap(const char *const *path, unsigned n, const json_t *value)
{
	json_t *wrapped = json_incref((json_t *)value);

	for (unsigned i = n; i > 0; i--)
		wrapped = json_pack("{s:o}", path[i - 1], wrapped);
	return wrapped;
}

/* How a new member of that object stands there. */
struct style {
	char *before; /* white space; NULL without memory */
	char *indent; /* of its lines; NULL: it is on one line */
	char *tail;
	char *unit;
	const char *eol;
};

static void style_deinit(struct style *style)
{
	free(style->before);
	free(style->indent);
	free(style->tail);
	free(style->unit);
}

static int style_find(struct style *style, const struct json_layout *text,
		      const struct json_object *object, size_t at)
{
	size_t key = object->n > 0 ? object->last.from : object->close;
	size_t space = back_over_space(text, key);
	bool lines = has_line(text->data, space, key), ends_line = text->marked[at - 1] == '/';

	*style = (struct style){.eol = line_end(text), .unit = indent_unit(text)};
	if (object->n == 0 && !lines) {
		char *outer = indent_at(text, object->open);

		lines = has_line(text->data, text->start, text->size) || object->open == text->root;
		if (lines) {
			style->indent = format(outer ? outer : "", style->unit, "");
			style->tail = format(style->eol, outer ? outer : "", "");
		}
		free(outer);
	} else if (object->n == 0) {
		char *outer = indent_at(text, object->open);

		style->indent = format(outer, style->unit, "");
		free(outer);
	} else if (lines) {
		style->indent = indent_at(text, object->last.from);
	} else if (ends_line) {
		style->before = format(style->eol, "", "");
	}
	if (style->indent)
		style->before = format(style->eol, style->indent, "");
	else if (!style->before)
		style->before = strdup(object->n > 0 ? " " : "");
	return style->before && style->unit && (!lines || style->indent) ? 0 : -ENOMEM;
}

/* A new member of `object`. */
static int insert(const struct json_layout *text, const struct json_object *object,
		  const char *name, const json_t *value, struct edits *edits,
		  struct json_edit_undo *undo)
{
	size_t at = back_over_space(text, object->close);
	struct style style;
	json_t *key = json_string(name);
	char *key_text = json_dumps(key, JSON_ENCODE_ANY), *value_text = NULL, *member = NULL, *all;
	bool comma_behind = object->n > 0 && object->last.comma > 0;
	int r = style_find(&style, text, object, at);

	json_decref(key);
	if (r == 0) {
		value_text = print_value(value, style.indent, style.unit, style.eol);
		member = format(key_text, ": ", value_text);
	}
	all = format(style.before, member, comma_behind ? "," : "");
	free(key_text);
	free(value_text);
	free(member);
	if (all && style.tail) {
		char *longer = format(all, style.tail, "");

		free(all);
		all = longer;
	}
	if (!all) {
		style_deinit(&style);
		return -ENOMEM;
	}
	if (object->n > 0 && !comma_behind)
		add_edit(edits, object->last.end, object->last.end, strdup(","));
	add_edit(edits, at, at, all);
	undo->tail = style.tail;
	style.tail = NULL;
	style_deinit(&style);
	return 0;
}

/* Another value for a member. */
static int replace(const struct json_layout *text, const struct json_member *member,
		   const json_t *value, struct edits *edits)
{
	bool lines = has_line(text->data, member->value, member->end);
	char *indent = lines ? indent_at(text, member->from) : NULL, *unit = indent_unit(text);
	char *value_text =
	    unit && (!lines || indent) ? print_value(value, indent, unit, line_end(text)) : NULL;

	free(indent);
	free(unit);
	return value_text ? add_edit(edits, member->value, member->end, value_text) : -ENOMEM;
}

/* A value for a file without any; perhaps there is a comment, which has to end first. */
static int set_root(const struct json_layout *text, const char *const *path, unsigned n,
		    const json_t *value, struct edits *edits, struct json_edit_undo *undo)
{
	bool in_comment = text->size > 0 && text->marked[text->size - 1] == '/';
	const char *eol = line_end(text);
	json_t *all = wrap(path, n, value);
	char *indent = in_comment ? strdup("") : indent_at(text, text->size);
	char *value_text = indent ? print_value(all, indent, "  ", eol) : NULL;
	char *lines = format(in_comment ? eol : "", value_text, eol);

	json_decref(all);
	free(indent);
	free(value_text);
	undo->n_made = n + 1;
	undo->before = strndup(text->data, text->size);
	return lines && undo->before ? add_edit(edits, text->size, text->size, lines) : -ENOMEM;
}

struct found {
	unsigned depth;                             /* names of the path that are there */
	struct json_object object;                  /* the last one looked into */
	struct json_member member;                  /* of the last name that is there */
	struct json_object objects[PATH_MAX_NAMES]; /* that the names are in */
	struct json_member members[PATH_MAX_NAMES];
};

static int find(const struct json_layout *text, const char *const *path, unsigned n,
		struct found *found, struct edit_error *error)
{
	size_t at = text->root;

	*found = (struct found){0};
	assert(n > 0 && n <= PATH_MAX_NAMES);
	for (unsigned i = 0; i < n; i++) {
		struct json_member member = {0};
		int r;

		if (text->marked[at] != '{')
			return json_layout_fail(text, at, error,
						"'%s' belongs into an object, and this is none",
						path[i]);
		r = json_layout_find(text, at, path[i], &found->object, &member);
		if (r == -EEXIST)
			return json_layout_fail(text, member.from, error, "'%s' is there twice",
						path[i]);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		found->objects[i] = found->object;
		found->members[i] = found->member = member;
		found->depth = i + 1;
		at = member.value;
	}
	return 0;
}

int json_edit_set(struct bytes bytes, const char *const *path, unsigned n, const json_t *value,
		  struct buffer *out, struct json_edit_undo *ret_undo, struct edit_error *ret_error)
{
	struct json_edit_undo undo = {0};
	struct edits edits = {0};
	struct json_layout text;
	struct found found;
	int r = json_layout_read(bytes, &text, ret_error);

	if (r < 0)
		return r;
	if (text.root == text.size) {
		r = set_root(&text, path, n, value, &edits, &undo);
		goto out;
	}
	r = find(&text, path, n, &found, ret_error);
	if (r < 0)
		goto out;
	undo.n_made = n - found.depth;
	if (found.depth == n) {
		undo.before =
		    strndup(text.data + found.member.value, found.member.end - found.member.value);
		r = undo.before ? replace(&text, &found.member, value, &edits) : -ENOMEM;
	} else {
		json_t *inner = wrap(path + found.depth + 1, n - found.depth - 1, value);

		r = inner ? insert(&text, &found.object, path[found.depth], inner, &edits, &undo)
			  : -ENOMEM;
		json_decref(inner);
	}
out:
	r = r < 0 ? r : apply_edits(&text, &edits, out);
	edits_deinit(&edits);
	json_layout_deinit(&text);
	if (r == 0 && ret_undo)
		*ret_undo = undo;
	else
		json_edit_undo_deinit(&undo);
	return r;
}

/* --- getting ---------------------------------------------------------------------------------- */

static int get(const struct json_layout *text, const char *const *path, unsigned n,
	       struct json_member *ret_member, struct edit_error *error)
{
	struct found found;
	int r;

	if (text->root == text->size)
		return -ENOENT;
	r = find(text, path, n, &found, error);
	if (r < 0)
		return r;
	*ret_member = found.member;
	return found.depth == n ? 0 : -ENOENT;
}

int json_edit_get(struct bytes bytes, const char *const *path, unsigned n, struct bytes *ret_value,
		  struct edit_error *ret_error)
{
	struct json_member member;
	struct json_layout text;
	int r = json_layout_read(bytes, &text, ret_error);

	if (r < 0)
		return r;
	r = get(&text, path, n, &member, ret_error);
	json_layout_deinit(&text);
	if (r == 0)
		*ret_value = (struct bytes){bytes.data + member.value, member.end - member.value};
	return r;
}

int json_edit_load(struct bytes bytes, const char *const *path, unsigned n, json_t **ret_value,
		   struct edit_error *ret_error)
{
	struct json_member member;
	struct json_layout text;
	int r = json_layout_read(bytes, &text, ret_error);

	if (r < 0)
		return r;
	r = get(&text, path, n, &member, ret_error);
	if (r == 0) {
		*ret_value = json_loadb(text.plain + member.value, member.end - member.value,
					JSON_LAYOUT_FLAGS, NULL);
		r = *ret_value ? 0 : -ENOMEM;
	}
	json_layout_deinit(&text);
	return r;
}

/* --- removing --------------------------------------------------------------------------------- */

/* Whether what follows there is on another line, so that a comment before it ends. */
static bool ends_line(const struct json_layout *text, size_t at)
{
	while (at < text->size && (text->data[at] == ' ' || text->data[at] == '\t'))
		at++;
	return at == text->size || text->data[at] == '\n' || text->data[at] == '\r';
}

static void take_out(const struct json_layout *text, const struct json_object *object,
		     const struct json_member *member, const struct json_edit_undo *undo,
		     struct edits *edits)
{
	size_t from = back_over_space(text, member->from), to = member->end;
	bool is_only = object->n == 1;

	if (is_only && member->comma == 0) {
		size_t tail = undo && undo->tail ? strlen(undo->tail) : 0;

		if (tail > 0 && text->size - to >= tail &&
		    memcmp(text->data + to, undo->tail, tail) == 0)
			to += tail;
		else if (!undo && back_over_space(text, object->close) == to &&
			 from == object->open + 1)
			to = object->close;
	}
	if (member->comma == to)
		to++;
	if (text->marked[from - 1] == '/' && !ends_line(text, to))
		from = member->from;
	if (member->comma == 0 && object->has_previous)
		add_edit(edits, object->previous.comma, object->previous.comma + 1, NULL);
	add_edit(edits, from, to, NULL);
	if (member->comma >= to)
		add_edit(edits, member->comma, member->comma + 1, NULL);
}

static int remove_found(const struct json_layout *text, unsigned n, const struct found *found,
			const struct json_edit_undo *undo, struct edits *edits)
{
	unsigned i = n - 1;

	if (undo && undo->n_made == 0 && undo->before) {
		char *before = strdup(undo->before);

		return before ? add_edit(edits, found->member.value, found->member.end, before)
			      : -ENOMEM;
	}
	/* What was made for it goes with it, unless something else is in it by now. */
	while (undo && i > 0 && n - i < undo->n_made && found->objects[i].n == 1)
		i--;
	if (undo && i == 0 && undo->n_made == n + 1 && undo->before && found->objects[0].n == 1) {
		char *before = strdup(undo->before);

		return before ? add_edit(edits, 0, text->size, before) : -ENOMEM;
	}
	/* The tail is that of the outermost that was made. */
	take_out(text, &found->objects[i], &found->members[i],
		 undo && n - i == undo->n_made ? undo : NULL, edits);
	return 0;
}

int json_edit_remove(struct bytes bytes, const char *const *path, unsigned n,
		     const struct json_edit_undo *undo, struct buffer *out,
		     struct edit_error *ret_error)
{
	struct edits edits = {0};
	struct json_layout text;
	struct found found;
	int r = json_layout_read(bytes, &text, ret_error);

	if (r < 0)
		return r;
	r = text.root == text.size ? -ENOENT : find(&text, path, n, &found, ret_error);
	if (r == 0)
		r = found.depth == n ? remove_found(&text, n, &found, undo, &edits) : -ENOENT;
	r = r < 0 ? r : apply_edits(&text, &edits, out);
	edits_deinit(&edits);
	json_layout_deinit(&text);
	return r;
}
