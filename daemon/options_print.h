#ifndef DAEMON_OPTIONS_PRINT_H
#define DAEMON_OPTIONS_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "daemon/options.h"

/* One line of the effective configuration; borrowed during the call. */
struct options_print_row {
	const char *name;     /* as in the table; of an export: "export.NAME.path", .mode, .deny */
	const char *value;    /* as it would be written in the file */
	const char *standard; /* the default, likewise */
	const char *source;   /* "default", "file" or "command line" */
	const char *text;
};
typedef void (*options_print_fn)(void *data, const struct options_print_row *row);

/* Calls fn for every option in the order of the table, then for the exports. */
void options_print_each(const struct options *options, options_print_fn fn, void *data);

/* loopsyd --print-config: a loopsy.conf with what is in force, explained; reads back as the same.
 */
void options_print_ini(const struct options *options, FILE *out);

/*
 * loopsyd --print-config --json: {"port": 19532, "lan": false, "io_timeout": 30.0, …,
 * "exports": [{"name", "path", "mode", "deny": […]}]}. Durations are seconds, sizes bytes. NULL if
 * there is no memory; the caller's to decref.
 */
json_t *options_print_json(const struct options *options);

#endif
