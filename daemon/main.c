/* loopsyd(8): the only place that reads the command line and exits. */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "daemon/daemon.h"
#include "daemon/key_verbs.h"
#include "daemon/verbs.h"

#define MEMORY_KEPT (32 * 1024 * 1024) /* bytes of free heap that are kept */
#define MEMORY_STEP (1024 * 1024)      /* bytes that the heap grows by */

static int usage(FILE *out)
{
	fputs("usage: loopsyd [--home DIR] run [--lan] [--port PORT] [--ready-fd N]\n"
	      "       loopsyd [--home DIR] init [--name NAME]\n"
	      "       loopsyd [--home DIR] config | key show | key generate | key list\n"
	      "       loopsyd [--home DIR] key generate --name N [--allow LIST] [--peers LIST]\n"
	      "       loopsyd [--home DIR] key revoke NAME\n"
	      "       loopsyd [--home DIR] --print-config [--json]\n"
	      "       loopsyd --version | --help\n"
	      "loopsyctl(1) starts and steers it: 'loopsyctl start'.\n",
	      out);
	return out == stdout ? 0 : 2;
}

enum { LAN = 256, PORT, READY_FD, HOME, NAME, ALLOW, PEERS, PRINT_CONFIG, JSON, VERSION, HELP };

static const struct option long_options[] = {
    {"lan", no_argument, NULL, LAN},
    {"port", required_argument, NULL, PORT},
    {"ready-fd", required_argument, NULL, READY_FD},
    {"home", required_argument, NULL, HOME},
    {"name", required_argument, NULL, NAME},
    {"allow", required_argument, NULL, ALLOW},
    {"peers", required_argument, NULL, PEERS},
    {"print-config", no_argument, NULL, PRINT_CONFIG},
    {"json", no_argument, NULL, JSON},
    {"version", no_argument, NULL, VERSION},
    {"help", no_argument, NULL, HELP},
    {0},
};

/* Many files at once, and no surprise by a signal: a file-size limit is an errno (SIGXFSZ), as is
 * a reader that has gone (SIGPIPE). */
static void prepare(struct daemon_options *options)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		options->n_files = files;
		files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	mallopt(M_ARENA_MAX, 2); /* many threads would have an arena each */
	/* Buffers of a frame come and go with each one: given back to the kernel each time, a tenth
	 * of a copy went into page faults. What a pause leaves free goes back then (net/link.c). */
	mallopt(M_MMAP_THRESHOLD, MEMORY_KEPT);
	mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);
	mallopt(M_TOP_PAD, MEMORY_STEP);
	options->umask = umask(077);
}

/* What is given to verbs besides their words. */
struct given {
	const char *home, *name, *allow, *peers;
};

static int run_key(const struct given *given, const char *word, const char *subject)
{
	if (strcmp(word, "show") == 0)
		return verbs_key(given->home, 0);
	if (strcmp(word, "generate") == 0 && given->name)
		return key_verbs_generate(given->home, given->name, given->allow, given->peers);
	if (strcmp(word, "generate") == 0)
		return verbs_key(given->home, 1);
	if (strcmp(word, "list") == 0)
		return key_verbs_list(given->home);
	if (strcmp(word, "revoke") == 0 && subject)
		return key_verbs_revoke(given->home, subject);
	return usage(stderr);
}

int main(int argc, char **argv)
{
	struct daemon_options options = {.ready_fd = -1};
	struct given given = {0};
	const char *verb, *word;
	int print_config = 0, json = 0, c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case LAN:
			options.lan = true;
			break;
		case PORT:
			options.port = optarg;
			break;
		case READY_FD:
			options.ready_fd = atoi(optarg);
			break;
		case HOME:
			options.home = given.home = optarg;
			break;
		case NAME:
			given.name = optarg;
			break;
		case ALLOW:
			given.allow = optarg;
			break;
		case PEERS:
			given.peers = optarg;
			break;
		case PRINT_CONFIG:
			print_config = 1;
			break;
		case JSON:
			json = 1;
			break;
		case VERSION:
			puts("loopsyd " LOOPSY_VERSION);
			return 0;
		case HELP:
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	prepare(&options);
	verb = optind < argc ? argv[optind] : "";
	word = optind + 1 < argc ? argv[optind + 1] : "";
	if (print_config)
		return verbs_print_config(options.home, json);
	if (strcmp(verb, "run") == 0)
		return daemon_run(&options);
	if (strcmp(verb, "init") == 0)
		return verbs_init(options.home, given.name);
	if (strcmp(verb, "config") == 0)
		return verbs_config(options.home);
	if (strcmp(verb, "key") == 0)
		return run_key(&given, word, optind + 2 < argc ? argv[optind + 2] : NULL);
	return usage(stderr);
}
