/*
 * Named keys while no daemon runs: for loopsyctl, as verbs.h. Each returns an exit status, having
 * written errors to stderr; one of them is that a daemon does run: it is the one to ask then.
 */
#ifndef DAEMON_KEY_VERBS_H
#define DAEMON_KEY_VERBS_H

/* Prints the key. `allow` and `peers` may be NULL: as of an older key of that name, or all. */
int key_verbs_generate(const char *home, const char *name, const char *allow, const char *peers);
/* A JSON line each: {"name","permissions","peers","created_ms","used_ms"}; `peers` null: all. */
int key_verbs_list(const char *home);
int key_verbs_revoke(const char *home, const char *name);

#endif
