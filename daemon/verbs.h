/*
 * What loopsyd does besides running: for loopsyctl, which has no identity and no options of its
 * own. Each returns an exit status, having written errors to stderr.
 */
#ifndef DAEMON_VERBS_H
#define DAEMON_VERBS_H

/* Makes directories, identity, API key and a configuration file, where missing. */
int verbs_init(const char *home, const char *name);
/* The options in force, a JSON line each. */
int verbs_config(const char *home);
/* The whole configuration, as a file or as one JSON object. */
int verbs_print_config(const char *home, int json);
/* Prints the API key; makes a new one first with `generate`. */
int verbs_key(const char *home, int generate);

#endif
