/*
 * TOML edit: sets and removes one server in the text of a TOML file with tables
 * [mcp_servers.NAME], and keeps every other byte.
 *
 * A server that is there already, in whichever way it is written, gets another command and other
 * arguments in place; a new one is a table at the end.
 */
#ifndef CTL_TOML_EDIT_H
#define CTL_TOML_EDIT_H

#include <jansson.h>
#include <stdbool.h>

#include "ctl/edit_error.h"
#include "proto/codec.h"

/* What toml_edit_remove must know to give back exactly what was there. Zero at first. */
struct toml_edit_undo {
	char *prefix;  /* what was put before the new table; NULL: the server was there */
	char *command; /* their values as they were written; NULL where there was none */
	char *args;
	bool disabled; /* "enabled" was false */
};
void toml_edit_undo_deinit(struct toml_edit_undo *undo);

/* A server as it is written there. */
struct toml_edit_server {
	bool is_there;
	bool is_disabled;           /* enabled = false */
	bool has_key;               /* env.LOOPSY_API_KEY */
	struct bytes command, args; /* TOML; empty where there is none. In the text */
};

/*
 * All return 0, -EINVAL when the text does not parse or is not understood, having said so in
 * `ret_error`, or -ENOMEM. `name` is of letters, digits, _ and -.
 */
int toml_edit_get(struct bytes text, const char *name, struct toml_edit_server *ret_server,
		  struct edit_error *ret_error);
/* Appends the text with that server to `out`. `args` is an array of strings. `ret_undo` may be
 * NULL.
 */
int toml_edit_set(struct bytes text, const char *name, const char *command, const json_t *args,
		  struct buffer *out, struct toml_edit_undo *ret_undo,
		  struct edit_error *ret_error);
/* Appends the text without the server, or with it as it was; -ENOENT when there is none. `undo`
 * NULL: nothing is known. */
int toml_edit_remove(struct bytes text, const char *name, const struct toml_edit_undo *undo,
		     struct buffer *out, struct edit_error *ret_error);

/* Strings as TOML has them, on one line; malloc'ed, NULL without memory. */
char *toml_edit_string(const char *text);
char *toml_edit_strings(const json_t *list);

#endif
