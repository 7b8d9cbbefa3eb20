/*
 * Where a server can be: below a header of its own, [mcp_servers.NAME] and [mcp_servers.NAME.env];
 * as keys, NAME.command or NAME = {…} below [mcp_servers], or all of it at the top. The scan finds
 * its command and its arguments in all of them alike, and what it takes up as a whole: regions.
 */
#include "ctl/toml_edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/toml_scan.h"

#define SERVERS     "mcp_servers"
#define REGIONS_MAX 64

struct region {
	size_t from, to;
};

/* A value of the server. */
struct value {
	bool is_there;
	struct toml_item item;
};

struct search {
	const char *name;
	struct bytes text;
	struct edit_error *error;
	unsigned n_tables; /* that the server is defined by */
	struct value command, args, enabled, url, key;
	struct region regions[REGIONS_MAX];
	unsigned n_regions;
	bool in_table; /* below a header of the server's */
	bool is_there;
	unsigned line;        /* where it is first */
	unsigned closed_line; /* of mcp_servers = {…}, to which nothing can be added; 0: none */
	bool within_closed;   /* the server is in it */
};

void toml_edit_undo_deinit(struct toml_edit_undo *undo)
{
	free(undo->prefix);
	free(undo->command);
	free(undo->args);
	*undo = (struct toml_edit_undo){0};
}

/* --- finding ---------------------------------------------------------------------------------- */

static int refuse(const struct search *search, unsigned line, const char *what)
{
	search->error->line = line;
	snprintf(search->error->text, sizeof(search->error->text), "%s", what);
	return -EINVAL;
}

static bool is_below(const struct search *search, const struct toml_path *path)
{
	return path->n >= 2 && strcmp(path->names[0], SERVERS) == 0 &&
	       strcmp(path->names[1], search->name) == 0;
}

static void note(struct search *search, const struct toml_item *item)
{
	if (!search->is_there)
		search->line = item->line;
	search->is_there = true;
}

static int add_region(struct search *search, const struct toml_item *item)
{
	struct region *last =
	    search->n_regions > 0 ? &search->regions[search->n_regions - 1] : NULL;

	if (last && (search->in_table || last->to == item->line_from)) {
		last->to = item->line_to;
		return 0;
	}
	if (search->n_regions == REGIONS_MAX)
		return refuse(search, item->line, "this server is in too many pieces");
	search->regions[search->n_regions++] = (struct region){item->line_from, item->line_to};
	return 0;
}

static int take_value(struct search *search, const struct toml_item *item)
{
	const struct {
		const char *names[2];
		struct value *value;
	} known[] = {
	    {{"command", NULL}, &search->command},     {{"args", NULL}, &search->args},
	    {{"enabled", NULL}, &search->enabled},     {{"url", NULL}, &search->url},
	    {{"env", "LOOPSY_API_KEY"}, &search->key},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		unsigned n = known[i].names[1] ? 4 : 3;

		if (item->path.n != n || strcmp(item->path.names[2], known[i].names[0]) != 0 ||
		    (n == 4 && strcmp(item->path.names[3], known[i].names[1]) != 0))
			continue;
		if (known[i].value->is_there)
			return refuse(search, item->line, "the same key again");
		*known[i].value = (struct value){true, *item};
	}
	return 0;
}

static int take_header(struct search *search, const struct toml_item *item)
{
	bool was_in = search->in_table;
	int r = 0;

	if (item->path.n >= 1 && strcmp(item->path.names[0], SERVERS) == 0 &&
	    item->kind == TOML_ARRAY_TABLE && item->path.n <= 2)
		return refuse(search, item->line, "a list of tables, where one table belongs");
	search->in_table = false;
	if (is_below(search, &item->path)) {
		if (item->path.n == 2 && search->n_tables++ > 0)
			return refuse(search, item->line, "the same table again");
		note(search, item);
		/* Tables of the server that follow each other are one region, with what is between.
		 */
		search->in_table = was_in;
		r = add_region(search, item);
		search->in_table = true;
	}
	return r;
}

static int take_item(void *arg, const struct toml_item *item)
{
	struct search *search = arg;
	int r;

	if (item->kind == TOML_TABLE || item->kind == TOML_ARRAY_TABLE)
		return take_header(search, item);
	if (item->path.n == 1 && strcmp(item->path.names[0], SERVERS) == 0) {
		if (item->kind == TOML_VALUE)
			return refuse(search, item->line, "'" SERVERS "' is no table");
		search->closed_line = item->line;
		search->within_closed = search->is_there;
		return 0;
	}
	if (!is_below(search, &item->path))
		return 0;
	note(search, item);
	if (item->path.n == 2 && item->kind == TOML_VALUE)
		return refuse(search, item->line, "this server is no table");
	if (item->path.n == 2 && search->n_tables++ > 0)
		return refuse(search, item->line, "the same table again");
	r = item->within ? 0 : add_region(search, item);
	return r == 0 ? take_value(search, item) : r;
}

static int find(struct bytes text, const char *name, struct search *search,
		struct edit_error *error)
{
	*search = (struct search){.name = name, .text = text, .error = error};
	return toml_scan(text, take_item, search, error);
}

static struct bytes value_text(const struct search *search, const struct value *value)
{
	if (!value->is_there)
		return (struct bytes){0};
	return (struct bytes){search->text.data + value->item.from,
			      value->item.to - value->item.from};
}

static bool equals(struct bytes a, const char *b)
{
	return a.size == strlen(b) && a.size > 0 && memcmp(a.data, b, a.size) == 0;
}

int toml_edit_get(struct bytes text, const char *name, struct toml_edit_server *ret_server,
		  struct edit_error *ret_error)
{
	struct search search;
	int r = find(text, name, &search, ret_error);

	if (r < 0)
		return r;
	*ret_server = (struct toml_edit_server){
	    .is_there = search.is_there,
	    .is_disabled = equals(value_text(&search, &search.enabled), "false"),
	    .has_key = search.key.is_there,
	    .command = value_text(&search, &search.command),
	    .args = value_text(&search, &search.args),
	};
	return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

char *toml_edit_string(const char *text)
{
	char *written = NULL;
	size_t size;
	FILE *out = open_memstream(&written, &size);

	if (!out)
		return NULL;
	write_string(out, text);
	if (fclose(out) == 0)
		return written;
	free(written);
	return NULL;
}

char *toml_edit_strings(const json_t *list)
{
	char *written = NULL;
	size_t size, i;
	json_t *entry;
	FILE *out = open_memstream(&written, &size);

	if (!out)
		return NULL;
	fputc('[', out);
	json_array_foreach(list, i, entry)
	{
		fputs(i > 0 ? ", " : "", out);
		write_string(out, json_string_value(entry));
	}
	fputc(']', out);
	if (fclose(out) == 0)
		return written;
	free(written);
	return NULL;
}

struct change {
	size_t from, to;
	const char *with; /* NULL once it is made */
};

/* The text with these places changed. */
static int apply(struct bytes text, struct change *changes, unsigned n, struct buffer *out)
{
	size_t at = 0;
	int r = 0;

	for (unsigned done = 0; done < n && r == 0; done++) {
		struct change *next = NULL;

		for (unsigned i = 0; i < n; i++)
			if (changes[i].with && (!next || changes[i].from < next->from))
				next = &changes[i];
		r = buffer_append(out, text.data + at, next->from - at);
		r = r < 0 ? r : buffer_append(out, next->with, strlen(next->with));
		at = next->to;
		next->with = NULL;
	}
	return r < 0 ? r : buffer_append(out, text.data + at, text.size - at);
}

static struct change change_value(const struct value *value, const char *with)
{
	return (struct change){value->item.from, value->item.to, with};
}

static char *copy(struct bytes text)
{
	return strndup((const char *)text.data, text.size);
}

static const char *line_end(struct bytes text)
{
	const uint8_t *line = text.size ? memchr(text.data, '\n', text.size) : NULL;

	return line && line > text.data && line[-1] == '\r' ? "\r\n" : "\n";
}

/* A new table, behind everything. */
static int append(struct bytes text, const char *name, const char *command, const char *args,
		  struct buffer *out, struct toml_edit_undo *undo)
{
	const char *eol = line_end(text);
	size_t start = text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	bool is_empty = text.size == start, is_open = !is_empty && text.data[text.size - 1] != '\n';
	char *table;
	int r;

	if (asprintf(&undo->prefix, "%s%s", is_open ? eol : "", is_empty ? "" : eol) < 0) {
		undo->prefix = NULL;
		return -ENOMEM;
	}
	if (asprintf(&table, "%s[" SERVERS ".%s]%scommand = %s%sargs = %s%s", undo->prefix, name,
		     eol, command, eol, args, eol) < 0)
		return -ENOMEM;
	r = buffer_append(out, text.data, text.size);
	r = r < 0 ? r : buffer_append(out, table, strlen(table));
	free(table);
	return r;
}

/* What is put behind the command where there are no arguments yet: as the command is written. */
static char *args_behind_command(const struct search *search, const char *args)
{
	const struct toml_item *item = &search->command.item;
	const char *data = (const char *)search->text.data;
	char *written;
	int n;

	if (item->within)
		n = asprintf(&written, ", %.*sargs = %s", (int)(item->key_last - item->key_from),
			     data + item->key_from, args);
	else
		n = asprintf(&written, "%s%.*sargs = %s", line_end(search->text),
			     (int)(item->key_last - item->line_from), data + item->line_from, args);
	return n < 0 ? NULL : written;
}

static int check_change(const struct search *search)
{
	if (search->url.is_there)
		return refuse(search, search->url.item.line,
			      "this server is one with a url: remove it first");
	if (search->key.is_there)
		return refuse(
		    search, search->key.item.line,
		    "LOOPSY_API_KEY is set here, and would be presented instead of a key of "
		    "its own: remove that first");
	if (!search->command.is_there)
		return refuse(search, search->line,
			      "there is a server of this name without a command");
	return 0;
}

static int set_in_place(const struct search *search, const char *command, const char *args,
			struct buffer *out, struct toml_edit_undo *undo)
{
	struct change changes[3];
	size_t behind = search->command.item.to;
	char *added = NULL;
	unsigned n = 0;
	int r = check_change(search);

	if (r < 0)
		return r;
	undo->command = copy(value_text(search, &search->command));
	changes[n++] = change_value(&search->command, command);
	if (search->args.is_there) {
		undo->args = copy(value_text(search, &search->args));
		changes[n++] = change_value(&search->args, args);
	} else {
		added = args_behind_command(search, args);
		changes[n++] = (struct change){behind, behind, added};
	}
	undo->disabled = equals(value_text(search, &search->enabled), "false");
	if (undo->disabled)
		changes[n++] = change_value(&search->enabled, "true");
	r = undo->command && (undo->args || added) ? apply(search->text, changes, n, out) : -ENOMEM;
	free(added);
	return r;
}

int toml_edit_set(struct bytes text, const char *name, const char *command, const json_t *args,
		  struct buffer *out, struct toml_edit_undo *ret_undo, struct edit_error *ret_error)
{
	char *command_text = toml_edit_string(command), *args_text = toml_edit_strings(args);
	struct toml_edit_undo undo = {0};
	struct search search;
	int r = command_text && args_text ? find(text, name, &search, ret_error) : -ENOMEM;

	if (r == 0 && search.is_there)
		r = set_in_place(&search, command_text, args_text, out, &undo);
	else if (r == 0 && search.closed_line > 0)
		r = refuse(&search, search.closed_line,
			   "'" SERVERS "' is an inline table: make it tables [" SERVERS
			   ".NAME], so that another can be added");
	else if (r == 0)
		r = append(text, name, command_text, args_text, out, &undo);
	free(command_text);
	free(args_text);
	if (r == 0 && ret_undo)
		*ret_undo = undo;
	else
		toml_edit_undo_deinit(&undo);
	return r;
}

/* --- removing --------------------------------------------------------------------------------- */

static int restore(const struct search *search, const struct toml_edit_undo *undo,
		   struct buffer *out)
{
	const struct value *args = &search->args;
	struct change changes[3];
	unsigned n = 0;

	changes[n++] = change_value(&search->command, undo->command);
	if (args->is_there && undo->args) {
		changes[n++] = change_value(args, undo->args);
	} else if (args->is_there) {
		/* It was put right behind the command. */
		if (args->item.from < search->command.item.to)
			return refuse(search, args->item.line, "this is not where it was put");
		changes[n++] = (struct change){search->command.item.to, args->item.to, ""};
	}
	if (undo->disabled && equals(value_text(search, &search->enabled), "true"))
		changes[n++] = change_value(&search->enabled, "false");
	return apply(search->text, changes, n, out);
}

static int take_out(const struct search *search, const struct toml_edit_undo *undo,
		    struct buffer *out)
{
	struct change changes[REGIONS_MAX];
	struct bytes text = search->text;
	size_t before = 0;

	for (unsigned i = 0; i < search->n_regions; i++) {
		size_t from = search->regions[i].from, to = search->regions[i].to;
		size_t n = undo && undo->prefix && i == 0 ? strlen(undo->prefix) : 0;

		/* The blank line before it is needed where what follows has none. */
		if (n > 0 && from - before >= n &&
		    memcmp(text.data + from - n, undo->prefix, n) == 0 &&
		    (to == text.size || text.data[to] == '\n' || text.data[to] == '\r'))
			from -= n;
		changes[i] = (struct change){from, to, ""};
		before = to;
	}
	return apply(text, changes, search->n_regions, out);
}

int toml_edit_remove(struct bytes text, const char *name, const struct toml_edit_undo *undo,
		     struct buffer *out, struct edit_error *ret_error)
{
	struct search search;
	int r = find(text, name, &search, ret_error);

	if (r < 0)
		return r;
	if (!search.is_there)
		return -ENOENT;
	if (undo && !undo->prefix && undo->command && search.command.is_there)
		return restore(&search, undo, out);
	if (search.within_closed || search.n_regions == 0)
		return refuse(&search, search.closed_line,
			      "'" SERVERS
			      "' is an inline table: take this server out of it by hand");
	return take_out(&search, undo, out);
}
