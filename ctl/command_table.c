#include "ctl/command.h"
#include "proto/ops_ctl.h"

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
    {"key show", "", "the key that agents present", NULL, 0, 0, cmd_key_run_show},
    {"key generate", "", "make a new key; the old one is void", NULL, 0, 0, cmd_key_run_generate},
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
