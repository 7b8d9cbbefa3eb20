/*
 * What a command is given: its arguments, where things are, where to write; and what all commands
 * need to speak with the user and with loopsyd.
 */
#ifndef CTL_CONTEXT_H
#define CTL_CONTEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "ctl/arguments.h"
#include "ctl/home.h"
#include "ctl/local_client.h"

enum context_exit {
	CONTEXT_OK = 0,
	CONTEXT_FAILURE = 1,
	CONTEXT_USAGE = 2,
};

struct command;
struct remote;

struct context {
	int in;
	FILE *out;     /* data */
	FILE *err;     /* talk */
	bool color;    /* on out */
	bool terminal; /* in and out are one */
	bool json;
	const struct command *command;
	struct arguments arguments;
	char *const *rest; /* what is another program's, of a command that has it */
	int n_rest;
	struct home *home;
};

/* "loopsyctl: …" on err. Return CONTEXT_FAILURE and CONTEXT_USAGE. */
int context_fail(const struct context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int context_usage(const struct context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line for people on err; nothing with --json. */
void context_say(const struct context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints on out, one line, ASCII only, and takes the reference. Returns CONTEXT_OK, or
 * CONTEXT_FAILURE for a NULL value (no memory). */
int context_print_json(const struct context *context, json_t *value);

/* A connection to the daemon, with the key in LOOPSY_API_KEY presented, if there is one. Returns
 * CONTEXT_OK, or CONTEXT_FAILURE having said what is wrong. */
int context_connect(const struct context *context, struct local_client **ret_client);
/* The same, but that none runs is CONTEXT_OK, and NULL. */
int context_connect_if_up(const struct context *context, struct local_client **ret_client);
/* The same, for asking peers. */
int context_connect_remote(const struct context *context, struct remote **ret_remote);

/* local_client_call; returns CONTEXT_OK, or CONTEXT_FAILURE having said why. */
int context_call(const struct context *context, struct local_client *client, uint16_t op,
		 const void *args, void *result);
/* Says why a call failed (r: its -errno). Returns CONTEXT_FAILURE. */
int context_complain(const struct context *context, struct local_client *client, int r);
/* The same line, for use elsewhere; malloc'ed, escaped. NULL without memory. */
char *context_explain(struct local_client *client, int r);

/* Text of a record as JSON. */
json_t *context_json_text(struct bytes text);

#endif
