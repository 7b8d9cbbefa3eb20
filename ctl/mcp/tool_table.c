/* All tools, in the order in which clients see them: theirs is the cache of the prompt, so it
 * stays. */
#include "ctl/mcp/tool.h"
#include "ctl/mcp/tools.h"

const struct tool *const tool_table[] = {
    &tools_peers_list,
    &tools_peers_status,
    &tools_execute,
    &tools_jobs_wait,
    &tools_jobs_output,
    &tools_jobs_list,
    &tools_jobs_kill,
    &tools_sessions_start,
    &tools_sessions_send,
    &tools_sessions_screen,
    &tools_sessions_stop,
    &tools_sessions_list,
    &tools_sessions_remove,
    &tools_kv_set,
    &tools_kv_get,
    &tools_kv_list,
    &tools_kv_delete,
    &tools_kv_broadcast,
    &tools_messages_send,
    &tools_messages_inbox,
    &tools_messages_ack,
    &tools_messages_check,
    &tools_tasks_create,
    &tools_tasks_claim,
    &tools_tasks_finish,
    &tools_tasks_list,
    &tools_transfer_file,
    &tools_files_list,
    &tools_grep,
};

const size_t tool_table_n = sizeof(tool_table) / sizeof(tool_table[0]);
