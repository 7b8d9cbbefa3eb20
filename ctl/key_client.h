/*
 * Keys with a name: asked of the daemon, or of the program loopsyd where none runs. Each function
 * returns 0, or -errno and a line in *ret_error (malloc'ed; NULL without memory).
 */
#ifndef CTL_KEY_CLIENT_H
#define CTL_KEY_CLIENT_H

#include "ctl/context.h"

/* Makes it, in place of an older one of that name; `allow` and `peers` as users write them, NULL:
 * as of the older one, or all. *ret_key is malloc'ed, to be wiped. */
int key_client_generate(const struct context *context, const char *name, const char *allow,
			const char *peers, char **ret_key, char **ret_error);
/* Whether a key holds; also true if there is no daemon to ask. */
bool key_client_holds(const struct context *context, const char *key);
/* -ENOENT if there is none. */
int key_client_revoke(const struct context *context, const char *name, char **ret_error);

#endif
