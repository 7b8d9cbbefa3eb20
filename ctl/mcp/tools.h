/*
 * The tools, for their table; each in the file that its name begins with.
 */
#ifndef CTL_MCP_TOOLS_H
#define CTL_MCP_TOOLS_H

#include "ctl/mcp/tool.h"

extern const struct tool tools_peers_list;
extern const struct tool tools_peers_status;
extern const struct tool tools_execute;
extern const struct tool tools_jobs_wait;
extern const struct tool tools_jobs_output;
extern const struct tool tools_jobs_list;
extern const struct tool tools_jobs_kill;
extern const struct tool tools_sessions_start;
extern const struct tool tools_sessions_send;
extern const struct tool tools_sessions_screen;
extern const struct tool tools_sessions_stop;
extern const struct tool tools_sessions_list;
extern const struct tool tools_sessions_remove;
extern const struct tool tools_kv_set;
extern const struct tool tools_kv_get;
extern const struct tool tools_kv_list;
extern const struct tool tools_kv_delete;
extern const struct tool tools_kv_broadcast;
extern const struct tool tools_messages_send;
extern const struct tool tools_messages_inbox;
extern const struct tool tools_messages_ack;
extern const struct tool tools_messages_check;
extern const struct tool tools_tasks_create;
extern const struct tool tools_tasks_claim;
extern const struct tool tools_tasks_finish;
extern const struct tool tools_tasks_list;
extern const struct tool tools_transfer_file;
extern const struct tool tools_files_list;
extern const struct tool tools_grep;

#endif
