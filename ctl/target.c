#include "ctl/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/mounted.h"

int target_is_peer(const struct context *context, struct local_client *client, const char *name)
{
	struct args_ctl_peer_show args = {.name = bytes_of_text(name)};
	struct result_ctl_peer_show result;
	int r;

	if (strlen(name) > OPS_CTL_NAME_MAX)
		return 0;
	r = local_client_call(client, OP_CTL_PEER_SHOW, &args, &result);
	if (r == 0 || r == -ENOENT || r == -EINVAL)
		return r == 0;
	context_complain(context, client, r);
	return r;
}

int target_mount(const struct context *context, struct local_client *client, char **ret_mount)
{
	struct result_ctl_status result;
	int r = local_client_call(client, OP_CTL_STATUS, &(struct args_ctl_status){0}, &result);

	if (r < 0) {
		context_complain(context, client, r);
		return r;
	}
	*ret_mount = strndup((const char *)result.mount.data, result.mount.size);
	return *ret_mount ? 0 : -ENOMEM;
}

static int complain(const struct context *context, const char *path, const char *mount, int error)
{
	switch (error) {
	case -EXDEV:
		context_fail(context,
			     "%s is not in the mount: name a peer, or go to a directory in %s",
			     path, mount[0] ? mount : "it (loopsyd has no mount)");
		break;
	case -EISDIR:
		context_fail(context, "%s is the mount itself: name a peer, or go to its directory",
			     path);
		break;
	default:
		context_fail(context, "%s: %s", path, strerror(-error));
	}
	return error;
}

static int find_mounted(const struct context *context, struct local_client *client,
			const char *directory, struct target *ret_target)
{
	const char *path = directory ? directory : ".";
	struct mounted mounted;
	char *mount;
	int r = target_mount(context, client, &mount);

	if (r < 0)
		return r;
	r = mounted_find(mount, path, &mounted);
	if (r < 0)
		complain(context, directory ? directory : "the current directory", mount, r);
	free(mount);
	if (r < 0)
		return r;
	/* Empty would be the home; this is what the peer shows at its top. */
	ret_target->peer = mounted.peer;
	ret_target->directory = mounted.path[0] ? mounted.path : strdup(".");
	if (!mounted.path[0])
		free(mounted.path);
	return ret_target->directory ? 0 : -ENOMEM;
}

int target_find(const struct context *context, struct local_client *client, const char *peer,
		const char *directory, struct target *ret_target)
{
	*ret_target = (struct target){0};
	if (!peer)
		return find_mounted(context, client, directory, ret_target);
	ret_target->peer = strdup(peer);
	ret_target->directory = strdup(directory ? directory : "");
	return ret_target->peer && ret_target->directory ? 0 : -ENOMEM;
}

void target_deinit(struct target *target)
{
	free(target->peer);
	free(target->directory);
	*target = (struct target){0};
}
