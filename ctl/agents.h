/*
 * Agents: the programs that speak MCP with loopsyctl, where each has its configuration, and what of
 * it is loopsy's.
 */
#ifndef CTL_AGENTS_H
#define CTL_AGENTS_H

#include <jansson.h>

#include "ctl/context.h"
#include "ctl/edit_error.h"
#include "ctl/file_edit.h"

#define AGENT_SERVER "loopsy" /* what the server is called there */

struct agent {
	const char *name;    /* "claude" */
	const char *title;   /* "Claude Code" */
	const char *program; /* in PATH */
	const char *servers; /* the member that the servers are in; NULL: the file is TOML */
	bool joined;         /* the command and its arguments are one array */
	/* Where the user's configuration is, or would be; malloc'ed, NULL without a home directory.
	 */
	char *(*find_file)(const char *home);
};

extern const struct agent agent_table[];
extern const size_t agent_table_n;

const struct agent *agent_find(const char *name);
/* Its configuration file; malloc'ed, NULL without a home directory. */
char *agent_file(const struct agent *agent);
/* Its program; malloc'ed, NULL when there is none in PATH. */
char *agent_program(const struct agent *agent);
/* Whether there is a program, or a file, or the directory of the agent's that it would be in. */
bool agent_is_there(const struct agent *agent, const char *program, const char *file);

/* A program in PATH; malloc'ed, or NULL. */
char *agents_find_program(const char *name);

/* --- the server in the text of a configuration (agent_text.c) --------------------------------- */

struct agent_server {
	bool is_there;
	bool is_disabled;
	bool has_key;  /* LOOPSY_API_KEY is set for it */
	char *command; /* "" where there is none */
	json_t *args;  /* an array of strings */
};
void agent_server_deinit(struct agent_server *server);

/* All return 0, -EINVAL having said why in `ret_error`, or another -errno. */
int agent_text_get(const struct agent *agent, struct bytes text, struct agent_server *ret_server,
		   struct edit_error *ret_error);
/* Appends the text with the server to `out`. *ret_undo is what agent_text_remove needs to give back
 * what was there. */
int agent_text_set(const struct agent *agent, struct bytes text, const char *command, json_t *args,
		   struct buffer *out, json_t **ret_undo, struct edit_error *ret_error);
/* `undo` may be NULL. -ENOENT when there is none. */
int agent_text_remove(const struct agent *agent, struct bytes text, const json_t *undo,
		      struct buffer *out, struct edit_error *ret_error);

/* --- the registration (agent_setup.c) --------------------------------------------------------- */

enum agent_result {
	AGENT_ADDED,
	AGENT_UPDATED,
	AGENT_UNCHANGED, /* it was so already; of remove: there was none */
	AGENT_REMOVED,
};

struct agent_report {
	enum agent_result result;
	char *backup; /* that was made now, or NULL */
	char *note;   /* malloc'ed, or NULL */
	char *error;  /* why it failed; malloc'ed */
};
void agent_report_deinit(struct agent_report *report);

/* What is to be in the configuration: program and arguments. Returns 0 or -errno. */
int agent_setup_command(const struct context *context, const struct agent *agent,
			char **ret_command, json_t **ret_args);
/* The file with the agent's key; malloc'ed. */
char *agent_setup_key_file(const struct context *context, const struct agent *agent);
/* Return 0, or -errno and report->error. */
int agent_setup_install(const struct context *context, const struct agent *agent, const char *file,
			struct agent_report *report);
int agent_setup_remove(const struct context *context, const struct agent *agent, const char *file,
		       struct agent_report *report);

/* How it is; a new object {"agent","title","program","file","state","command","key","problem"}.
 * state: "registered", "differs", "disabled", "not registered" or "unreadable"; key: "ok", "open"
 * to others, "missing", or null. */
json_t *agent_setup_state(const struct context *context, const struct agent *agent);

#endif
