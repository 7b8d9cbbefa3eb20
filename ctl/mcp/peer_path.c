#include "ctl/mcp/peer_path.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/context.h"
#include "ctl/mounted.h"
#include "ctl/remote.h"

void peer_path_deinit(struct peer_path *path)
{
	free(path->there);
	free(path->here);
	*path = (struct peer_path){0};
}

static int fail(char *reason, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(char *reason, int r, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(reason, PEER_PATH_REASON_MAX, format, list);
	va_end(list);
	return r;
}

/* Whether it stays below the top. Takes out "." and empty components, in place. */
static int tidy(char *path, char *reason)
{
	char *to = path;

	for (char *from = path; *from;) {
		size_t n = strcspn(from, "/");

		if (n == 2 && memcmp(from, "..", 2) == 0)
			return fail(reason, -EACCES, "'..' is not allowed in a path on a peer");
		if (n == 7 && to == path && memcmp(from, ".loopsy", 7) == 0)
			return fail(
			    reason, -EACCES,
			    ".loopsy holds control files: there are tools for what they do");
		if (n > 0 && !(n == 1 && *from == '.')) {
			if (to > path)
				*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
		from += *from == '/';
	}
	*to = '\0';
	return 0;
}

static int find_absolute(const char *mount, const char *peer, const char *given, char **ret_there,
			 char *reason)
{
	struct mounted mounted;
	int r = mounted_find(mount, given, &mounted);

	if (r < 0)
		return fail(
		    reason, -EXDEV,
		    "%.300s is not below %.150s/%s: give a path there, or one relative to it",
		    given, mount, peer);
	if (strcmp(mounted.peer, peer) != 0) {
		r = fail(reason, -EXDEV, "%.300s is on %s, not on %s", given, mounted.peer, peer);
		mounted_deinit(&mounted);
		return r;
	}
	*ret_there = mounted.path;
	free(mounted.peer);
	return 0;
}

int peer_path_find(const char *mount, const char *peer, const char *given,
		   struct peer_path *ret_path, char reason[PEER_PATH_REASON_MAX])
{
	struct peer_path path = {0};
	char *copy = strdup(given);
	int r;

	reason[0] = '\0';
	r = copy ? tidy(copy, reason) : -ENOMEM;
	if (r == 0 && given[0] == '/') {
		r = find_absolute(mount, peer, given, &path.there, reason);
		if (r == 0)
			r = tidy(path.there, reason);
	} else if (r == 0) {
		path.there = copy;
		copy = NULL;
	}
	free(copy);
	if (r == 0 && asprintf(&path.here, "%s/%s%s%s", mount, peer, path.there[0] ? "/" : "",
			       path.there) < 0) {
		path.here = NULL;
		r = -ENOMEM;
	}
	if (r == 0 && strlen(path.here) >= PATH_MAX)
		r = fail(reason, -ENAMETOOLONG, "the path is too long");
	if (r < 0)
		peer_path_deinit(&path);
	else
		*ret_path = path;
	return r;
}

int peer_path_may(struct remote *remote, const char *peer, const char *permission,
		  const char **ret_reason)
{
	struct args_ctl_peer_show args = {.name = bytes_of_text(peer)};
	struct local_client *client = remote_client(remote);
	struct result_ctl_peer_show shown;
	int r = local_client_call(client, OP_CTL_PEER_SHOW, &args, &shown);

	*ret_reason = client->reason;
	if (r < 0)
		return r;
	if (shown.peer.state != CTL_PEER_ONLINE) {
		*ret_reason = "";
		return -EHOSTDOWN;
	}
	return remote_may(remote, peer, permission, ret_reason);
}

int peer_path_take(struct mcp_call *call, const char *peer, const char *given,
		   const char *permission, struct peer_path *ret_path)
{
	char reason[PEER_PATH_REASON_MAX];
	const char *why = "", *mount;
	struct remote *remote = mcp_call_remote(call);
	int r;

	if (!remote)
		return -ECONNRESET;
	r = peer_path_may(remote, peer, permission, &why);
	if (r < 0) {
		mcp_call_fail_errno(call, peer, r, why);
		return r;
	}
	mount = mcp_call_mount(call);
	if (!mount)
		return -ENODEV;
	r = peer_path_find(mount, peer, given, ret_path, reason);
	if (r < 0)
		mcp_call_fail(call, "%s", r == -ENOMEM ? "out of memory" : reason);
	return r;
}
