/*
 * The commands of loopsyctl: one table, from which come lookup, help, completions, and the test of
 * the manual.
 */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include "ctl/context.h"

/* Arguments that are another program's. */
enum command_rest {
	COMMAND_REST_NONE = 0,
	COMMAND_REST_AFTER_OPTIONS, /* from the first word on: context->rest */
	COMMAND_REST_ALL,           /* all of them */
};

struct command {
	const char *name;  /* one or two words: "peers rename" */
	const char *usage; /* what follows the name, options included */
	const char *summary;
	const struct option_row *options; /* its own, beside the common ones; NULL: none */
	unsigned min_words, max_words;
	int (*run)(struct context *context); /* returns the exit status */
	enum command_rest rest;
	/* Exit status of a failure that is ours, where 1 and 2 may be another program's; 0: those.
	 */
	int failure;
};

extern const struct command command_table[];
extern const size_t command_table_n;
/* Options of every command. */
extern const struct option_row command_common_options[];

/* The row of that name, or NULL. */
const struct command *command_find(const char *name);

/* Runs the command line; returns the exit status. `in`, `out` and `err` are borrowed. */
int command_main(int argc, char *const *argv, int in, FILE *out, FILE *err);

/* Whether commands of two words begin with this one; and a line for each of them. */
bool command_is_group(const char *word);
void command_print_group(FILE *out, const char *word);

/* The overview, or the help of one command. */
void command_print_help(FILE *out, const struct command *command);

/* A file per group; the options stand beside what reads them. */
int cmd_init_run(struct context *context);
int cmd_start_run(struct context *context);
int cmd_stop_run(struct context *context);
int cmd_stop_run_restart(struct context *context);
int cmd_status_run(struct context *context);
int cmd_pair_run(struct context *context);
int cmd_peers_run_list(struct context *context);
int cmd_peers_run_add(struct context *context);
int cmd_peers_run_discovered(struct context *context);
int cmd_peers_run_show(struct context *context);
int cmd_peers_run_rename(struct context *context);
int cmd_peers_run_remove(struct context *context);
int cmd_peers_run_allow(struct context *context);
int cmd_shell_run(struct context *context);
int cmd_shell_run_attach(struct context *context);
int cmd_key_run_show(struct context *context);
int cmd_key_run_generate(struct context *context);
int cmd_key_run_list(struct context *context);
int cmd_key_run_revoke(struct context *context);
int cmd_logs_run(struct context *context);
int cmd_mcp_run(struct context *context);
int cmd_doctor_run(struct context *context);
int cmd_config_run(struct context *context);
int cmd_exec_run(struct context *context);
int cmd_jobs_run(struct context *context);
int cmd_jobs_run_wait(struct context *context);
int cmd_jobs_run_kill(struct context *context);
int cmd_log_run(struct context *context);
int cmd_find_run(struct context *context);
int cmd_find_run_grep(struct context *context);
int cmd_find_run_git(struct context *context);
int cmd_watch_run(struct context *context);
int cmd_kv_run_get(struct context *context);
int cmd_kv_run_set(struct context *context);
int cmd_kv_run_del(struct context *context);
int cmd_kv_run_list(struct context *context);
int cmd_kv_run_mv(struct context *context);
int cmd_kv_watch_run(struct context *context);
int cmd_msg_run_send(struct context *context);
int cmd_msg_run_inbox(struct context *context);
int cmd_msg_run_outbox(struct context *context);
int cmd_msg_run_show(struct context *context);
int cmd_msg_run_ack(struct context *context);
int cmd_msg_run_status(struct context *context);
int cmd_msg_run_broadcast(struct context *context);
int cmd_mcp_install_run(struct context *context);
int cmd_mcp_install_run_remove(struct context *context);
int cmd_mcp_install_run_status(struct context *context);
int cmd_task_run_create(struct context *context);
int cmd_task_run_claim(struct context *context);
int cmd_task_run_done(struct context *context);
int cmd_task_run_fail(struct context *context);
int cmd_task_run_list(struct context *context);
int cmd_task_run_wait(struct context *context);
int cmd_help_run(struct context *context);
int cmd_help_run_version(struct context *context);
int cmd_completions_run(struct context *context);

#endif
