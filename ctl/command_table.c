#include "ctl/command.h"
#include "proto/ops_ctl.h"
#include "proto/ops_jobs.h"
#include "proto/ops_kv.h"
#include "proto/ops_msg.h"

#define OPTIONS(...)                                                                               \
	(const struct option_row[])                                                                \
	{                                                                                          \
		__VA_ARGS__,                                                                       \
		{                                                                                  \
			.name = NULL                                                               \
		}                                                                                  \
	}

#define OPTION_LAN                                                                                 \
	{                                                                                          \
		.name = "lan", .summary = "listen on all addresses, not on 127.0.0.1 alone"        \
	}
#define OPTION_PORT                                                                                \
	{                                                                                          \
		.name = "port", .value = "P", .number = true, .max = 65535,                        \
		.summary = "listen on this port; 0 takes a free one"                               \
	}
#define OPTION_NAME(text)                                                                          \
	{                                                                                          \
		.name = "name", .value = "N", .summary = text                                      \
	}
#define OPTION_ALLOW(text)                                                                         \
	{                                                                                          \
		.name = "allow", .value = "LIST", .summary = text                                  \
	}

#define OPTION_HERE                                                                                \
	{                                                                                          \
		.name = "here", .summary = "one that runs on this machine, whoever started it"     \
	}
#define OPTION_PEER                                                                                \
	{                                                                                          \
		.name = "peer", .value = "P", .summary = "on that peer, instead of this machine"   \
	}
#define OPTION_ALL(text)                                                                           \
	{                                                                                          \
		.name = "all", .summary = text                                                     \
	}
#define OPTION_IF_VERSION(text)                                                                    \
	{                                                                                          \
		.name = "if-version", .value = "N", .number = true, .max = INT64_MAX,              \
		.summary = text                                                                    \
	}
#define OPTION_IF_ABSENT(text)                                                                     \
	{                                                                                          \
		.name = "if-absent", .summary = text                                               \
	}

#define USAGE_GET   "[--peer P | --all] KEY"
#define OPTIONS_GET OPTIONS(OPTION_PEER, OPTION_ALL("those here and on every peer"))
#define USAGE_SET                                                                                  \
	"[--peer P | --all] [--ttl S] [--keep-ttl] [--if-absent] [--if-version N] "                \
	"KEY VALUE|-|--file FILE"
#define OPTIONS_SET                                                                                \
	OPTIONS(OPTION_PEER, OPTION_ALL("here and on every peer, and say of each how it went"),    \
		{.name = "ttl",                                                                    \
		 .value = "S",                                                                     \
		 .number = true,                                                                   \
		 .min = 1,                                                                         \
		 .max = OPS_KV_TTL_MAX / 1000,                                                     \
		 .summary = "the value is gone after so many seconds"},                            \
		{.name = "keep-ttl", .summary = "it is gone when the value before would be"},      \
		OPTION_IF_ABSENT("only if there is no such key"),                                  \
		OPTION_IF_VERSION("only if the key has this version; 0: only if it is absent"),    \
		{.name = "file", .value = "FILE", .summary = "the value is what is in this file"})
#define USAGE_DEL "[--peer P | --all] [--if-version N] KEY"
#define OPTIONS_DEL                                                                                \
	OPTIONS(OPTION_PEER, OPTION_ALL("here and on every peer, and say of each how it went"),    \
		OPTION_IF_VERSION("only if the key has this version"))
#define USAGE_LIST   "[--peer P | --all] [PREFIX]"
#define OPTIONS_LIST OPTIONS(OPTION_PEER, OPTION_ALL("those here and on every peer"))

#define OPTION_MSG_TTL                                                                             \
	{                                                                                          \
		.name = "ttl", .value = "S", .number = true, .min = 1,                             \
		.max = OPS_MSG_TTL_MAX / 1000,                                                     \
		.summary = "it expires if it is not delivered within so many seconds (a week)"     \
	}
#define OPTION_MSG_PEER(which)                                                                     \
	{                                                                                          \
		.name = "peer", .value = "P", .summary = "only those " which " this peer"          \
	}

const struct option_row command_common_options[] = {
    {.name = "home", .value = "DIR", .summary = "everything below this directory (LOOPSY_HOME)"},
    {.name = "json", .summary = "print JSON, for programs"},
    {.name = "help", .letter = 'h', .summary = "help for this command"},
    {.name = NULL},
};

const struct command command_table[] = {
    {"init", "[--name N]", "make this machine's identity and configuration",
     OPTIONS(OPTION_NAME("what this machine is called (its host name otherwise)")), 0, 0,
     cmd_init_run},
    {"start", "[--lan] [--port P] [--foreground]", "start loopsyd and mount the peers",
     OPTIONS(OPTION_LAN, OPTION_PORT,
	     {.name = "foreground", .summary = "stay in this terminal, logs on stderr"}),
     0, 0, cmd_start_run},
    {"stop", "", "unmount and end loopsyd", NULL, 0, 0, cmd_stop_run},
    {"restart", "[--lan] [--port P]", "stop and start, as it was started unless told otherwise",
     OPTIONS(OPTION_LAN, OPTION_PORT), 0, 0, cmd_stop_run_restart},
    {"status", "", "how loopsyd and the peers are", NULL, 0, 0, cmd_status_run},
    {"pair", "[ADDRESS[:PORT]] [--ttl S] [--name N] [--allow LIST]",
     "pair with another machine: wait for it, or call it",
     OPTIONS({.name = "ttl",
	      .value = "S",
	      .number = true,
	      .min = 1,
	      .max = OPS_CTL_TTL_MAX,
	      .summary = "give up after so many seconds (120)"},
	     OPTION_NAME("call the peer so, instead of by its own name"),
	     OPTION_ALLOW("what the peer may do here (fs:rw,exec,kv,msg)")),
     0, 1, cmd_pair_run},
    {"peers", "", "the paired peers", NULL, 0, 0, cmd_peers_run_list},
    {"peers list", "", "the paired peers", NULL, 0, 0, cmd_peers_run_list},
    {"peers add", "ADDRESS[:PORT]", "look for a peer at an address that is not announced", NULL, 1,
     1, cmd_peers_run_add},
    {"peers discovered", "", "machines that announce themselves on the network", NULL, 0, 0,
     cmd_peers_run_discovered},
    {"peers show", "NAME", "all about one peer", NULL, 1, 1, cmd_peers_run_show},
    {"peers rename", "NAME NEW-NAME", "call a peer otherwise", NULL, 2, 2, cmd_peers_run_rename},
    {"peers remove", "NAME", "unpair: the peer can do nothing here any more", NULL, 1, 1,
     cmd_peers_run_remove},
    {"peers allow", "NAME LIST", "what a peer may do here: fs:ro, fs:rw, exec, kv, msg or none",
     NULL, 2, 2, cmd_peers_run_allow},
    {"exec",
     "[PEER] [-t] [-i] [-C DIR] [-e K=V]... [--timeout S] [--detach] [--name N] [--shell] -- "
     "CMD...",
     "run a command on a peer",
     OPTIONS(
	 {.name = "tty", .letter = 't', .summary = "in a terminal, as for 'vim' and 'top'"},
	 {.name = "interactive", .letter = 'i', .summary = "standard input also from a terminal"},
	 {.name = "directory",
	  .letter = 'C',
	  .value = "DIR",
	  .summary = "there; relative to what the peer shows, or to where you are in the mount"},
	 {.name = "env",
	  .letter = 'e',
	  .value = "K=V",
	  .summary = "a variable; K alone takes ours"},
	 {.name = "timeout",
	  .value = "S",
	  .number = true,
	  .min = 1,
	  .max = OPS_JOB_TIMEOUT_MAX / 1000,
	  .summary = "kill it after so many seconds; the status is 124"},
	 {.name = "detach", .summary = "leave it running, and print its name"},
	 OPTION_NAME("what the job is called (made of the command otherwise)"),
	 {.name = "shell", .summary = "CMD is a line for the shell of the user there"}),
     0, 0, cmd_exec_run, COMMAND_REST_AFTER_OPTIONS, 125},
    {"jobs", "[PEER | --here] [--remove]", "commands that run on peers, and those that have ended",
     OPTIONS({.name = "here", .summary = "those on this machine, whoever started them"},
	     {.name = "remove", .summary = "forget those that have ended, instead"}),
     0, 1, cmd_jobs_run},
    {"log", "PEER|--here JOB [-f] [--offset N]", "what a job has written",
     OPTIONS(OPTION_HERE, {.name = "follow", .letter = 'f', .summary = "go on with what it writes"},
	     {.name = "offset",
	      .value = "N",
	      .number = true,
	      .max = INT64_MAX,
	      .summary = "from this byte of all that it wrote"}),
     1, 2, cmd_log_run},
    {"wait", "PEER|--here JOB", "wait for a job's end, and exit with its status",
     OPTIONS(OPTION_HERE), 1, 2, cmd_jobs_run_wait, .failure = 125},
    {"kill", "PEER|--here JOB [SIGNAL]", "send a job a signal (TERM)", OPTIONS(OPTION_HERE), 1, 3,
     cmd_jobs_run_kill},
    {"find", "[PATH...] [EXPRESSION]", "find, on the peer that the paths are on", NULL, 0, 0,
     cmd_find_run, COMMAND_REST_ALL, 125},
    {"grep", "[OPTION...] PATTERN [PATH...]", "grep, on the peer that the paths are on", NULL, 0, 0,
     cmd_find_run_grep, COMMAND_REST_ALL, 125},
    {"git", "[-C PATH] COMMAND [ARGUMENT...]", "git, on the peer that the repository is on", NULL,
     0, 0, cmd_find_run_git, COMMAND_REST_ALL, 125},
    {"watch", "PATH... [-- COMMAND...]",
     "tell of changes below paths of the mount, or run a command after each", NULL, 0, 0,
     cmd_watch_run, COMMAND_REST_AFTER_OPTIONS},
    {"shell", "[PEER] [--name N] [--new]", "a terminal on a peer, which stays when you leave it",
     OPTIONS(OPTION_NAME("what it is called (shell); one that runs is attached to"),
	     {.name = "new", .summary = "a new one, whatever runs there"}),
     0, 1, cmd_shell_run, .failure = 125},
    {"attach", "PEER|--here JOB", "see a running job or terminal of a peer again, and type into it",
     OPTIONS(OPTION_HERE), 1, 2, cmd_shell_run_attach, .failure = 125},
    {"kv get", USAGE_GET, "a shared value, and nothing else; 1 if there is none", OPTIONS_GET, 1, 1,
     cmd_kv_run_get},
    {"kv set", USAGE_SET, "set a shared value", OPTIONS_SET, 1, 2, cmd_kv_run_set},
    {"kv del", USAGE_DEL, "delete a shared value", OPTIONS_DEL, 1, 1, cmd_kv_run_del},
    {"kv list", USAGE_LIST, "the keys of shared values", OPTIONS_LIST, 0, 1, cmd_kv_run_list},
    {"kv mv", "[--peer P | --all] [--if-absent] KEY NEW-KEY", "give a shared value another key",
     OPTIONS(OPTION_PEER, OPTION_ALL("here and on every peer, and say of each how it went"),
	     OPTION_IF_ABSENT("only if the new key is not there")),
     2, 2, cmd_kv_run_mv},
    {"kv watch", "[--peer P | --all] [--since N] [PREFIX]", "tell of changes of shared values",
     OPTIONS(OPTION_PEER, OPTION_ALL("here and on every peer"),
	     {.name = "since",
	      .value = "N",
	      .number = true,
	      .max = INT64_MAX,
	      .summary = "of those behind this version, too"}),
     0, 1, cmd_kv_watch_run},
    {"context get", USAGE_GET, "the same as 'kv get'", OPTIONS_GET, 1, 1, cmd_kv_run_get},
    {"context set", USAGE_SET, "the same as 'kv set'", OPTIONS_SET, 1, 2, cmd_kv_run_set},
    {"context list", USAGE_LIST, "the same as 'kv list'", OPTIONS_LIST, 0, 1, cmd_kv_run_list},
    {"context delete", USAGE_DEL, "the same as 'kv del'", OPTIONS_DEL, 1, 1, cmd_kv_run_del},
    {"msg send", "PEER [--type T] [--reply-to ID] [--ttl S] [--wait STATE] BODY|-",
     "send a message, and print its id",
     OPTIONS({.name = "type",
	      .value = "T",
	      .summary = "chat (without this), request, response or broadcast"},
	     {.name = "reply-to", .value = "ID", .summary = "the message that it answers"},
	     OPTION_MSG_TTL,
	     {.name = "wait", .value = "STATE", .summary = "return when it is delivered, or read"}),
     2, 2, cmd_msg_run_send},
    {"msg inbox", "[--peer P] [--wait]", "messages that came and are not acknowledged yet",
     OPTIONS(OPTION_MSG_PEER("from"), {.name = "wait", .summary = "return when there is one"}), 0,
     0, cmd_msg_run_inbox},
    {"msg show", "ID", "one message", NULL, 1, 1, cmd_msg_run_show},
    {"msg ack", "[--peer P] ID...",
     "acknowledge messages: they leave the inbox, and read as read there",
     OPTIONS(OPTION_MSG_PEER("from")), 1, ARGUMENTS_WORDS_MAX, cmd_msg_run_ack},
    {"msg outbox", "[--peer P]", "messages that were sent, and how far they have come",
     OPTIONS(OPTION_MSG_PEER("to")), 0, 0, cmd_msg_run_outbox},
    {"msg status", "ID", "how far a message has come: queued, delivered, read or expired", NULL, 1,
     1, cmd_msg_run_status},
    {"msg broadcast", "[--ttl S] BODY|-", "send a message to each paired peer",
     OPTIONS(OPTION_MSG_TTL), 1, 1, cmd_msg_run_broadcast},
    {"mcp", "[--key-file FILE]", "serve an agent on standard input and output (MCP)",
     OPTIONS({.name = "key-file", .value = "FILE", .summary = "the API key is in this file"}), 0, 0,
     cmd_mcp_run},
    {"mcp install", "[AGENT... | --all]",
     "register loopsy with agents: claude, codex, gemini, opencode; those that are here",
     OPTIONS(OPTION_ALL("all that are here, as without a name")), 0, ARGUMENTS_WORDS_MAX,
     cmd_mcp_install_run},
    {"mcp remove", "[AGENT... | --all]", "take it out of their configurations again",
     OPTIONS(OPTION_ALL("all that are here, as without a name")), 0, ARGUMENTS_WORDS_MAX,
     cmd_mcp_install_run_remove},
    {"mcp status", "", "which agents are here, and whether loopsy is registered with them", NULL, 0,
     0, cmd_mcp_install_run_status},
    {"task create", "PEER DESCRIPTION|-", "give a machine a task, and print its id; . is this one",
     NULL, 2, 2, cmd_task_run_create},
    {"task claim", "[--peer P] [--as NAME] [ID]",
     "take a task that is pending, one by one if several want it: its id and description",
     OPTIONS(OPTION_PEER, {.name = "as", .value = "NAME", .summary = "who does it"}), 0, 1,
     cmd_task_run_claim},
    {"task done", "[--peer P] ID [RESULT|-]", "a task that was claimed is done",
     OPTIONS(OPTION_PEER), 1, 2, cmd_task_run_done},
    {"task fail", "[--peer P] ID [RESULT|-]", "a task that was claimed has failed",
     OPTIONS(OPTION_PEER), 1, 2, cmd_task_run_fail},
    {"task list", "[--peer P | --all] [--status S]", "the tasks of a machine",
     OPTIONS(OPTION_PEER, OPTION_ALL("those here and on every peer"),
	     {.name = "status", .value = "S", .summary = "pending, running, done or failed"}),
     0, 0, cmd_task_run_list},
    {"task wait", "[--peer P] ID", "until it is done or failed; print the result",
     OPTIONS(OPTION_PEER), 1, 1, cmd_task_run_wait},
    {"key show", "", "the key without limits that agents present", NULL, 0, 0, cmd_key_run_show},
    {"key generate", "[--name N [--allow LIST] [--peers LIST]]",
     "make a new key; the old one of that name, or the one without, is void",
     OPTIONS(OPTION_NAME("a key of its own for an agent, with limits"),
	     OPTION_ALLOW("what it allows: fs:ro, fs:rw, exec, kv, msg with commas between"),
	     {.name = "peers",
	      .value = "LIST",
	      .summary = "for which peers, with commas between; . is this machine"}),
     0, 0, cmd_key_run_generate},
    {"key list", "", "the keys that have a name, what they allow, and when they were used", NULL, 0,
     0, cmd_key_run_list},
    {"key revoke", "NAME", "a key holds no more: whoever uses it is cut off", NULL, 1, 1,
     cmd_key_run_revoke},
    {"logs", "[-f] [-n N]", "what peers and programs have done here",
     OPTIONS({.name = "follow", .letter = 'f', .summary = "go on with what comes"},
	     {.name = "lines",
	      .letter = 'n',
	      .value = "N",
	      .number = true,
	      .max = 1000000,
	      .summary = "so many of the last lines (50)"}),
     0, 0, cmd_logs_run},
    {"doctor", "", "find what is wrong, and what to do about it", NULL, 0, 0, cmd_doctor_run},
    {"config", "", "the options in force and where they come from", NULL, 0, 0, cmd_config_run},
    {"completions", "bash|zsh|fish", "print the completions for a shell", NULL, 1, 1,
     cmd_completions_run},
    {"help", "[COMMAND]", "this overview, or the help of a command", NULL, 0, 2, cmd_help_run},
    {"version", "", "the version (also --version)", NULL, 0, 0, cmd_help_run_version},
};

const size_t command_table_n = sizeof(command_table) / sizeof(command_table[0]);
