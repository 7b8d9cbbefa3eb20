/*
 * Extended attributes, ACLs among them: passed through. They are reached by /proc/self/fd/N of the
 * node's O_PATH descriptor, which leads to the object itself, also to a symbolic link.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "daemon/serve/confine.h"
#include "daemon/serve/serve_private.h"

/* Holds the node and copies the attribute's name; the rest is the caller's. */
static int begin(struct work *work, uint64_t node, const struct bytes *attribute, bool writes,
		 struct held *held, struct acting *acting, char path[CONFINE_PROC_SIZE],
		 char name[256])
{
	int error = nodes_hold_any(&work->guest->nodes, node, held);

	if (error < 0)
		return error;
	if (held->fd < 0)
		return writes ? -EACCES : -ENODATA;
	if (writes && held->export->read_only)
		return -EROFS;
	if (attribute) {
		if (attribute->size == 0 || memchr(attribute->data, 0, attribute->size))
			return -EINVAL;
		confine_name(attribute, name);
	}
	confine_proc_path(held->fd, path);
	return work_act(work, acting);
}

/* A value or list of up to OPS_XATTR_MAX bytes into work->payload. */
static int take(struct work *work, ssize_t n, struct bytes *ret_bytes)
{
	void *shrunk;

	if (n < 0)
		return -errno;
	shrunk = realloc(work->payload, n ? (size_t)n : 1);
	if (shrunk)
		work->payload = shrunk;
	*ret_bytes = (struct bytes){work->payload, (size_t)n};
	return 0;
}

static int run_getxattr(struct work *work)
{
	const struct args_getxattr *args = work->args;
	char path[CONFINE_PROC_SIZE], name[256];
	HELD held = HELD_NULL;
	ACTING acting = ACTING_NULL;
	int error = begin(work, args->node, &args->name, false, &held, &acting, path, name);

	if (error < 0)
		return error;
	work->payload = malloc(OPS_XATTR_MAX);
	if (!work->payload)
		return -ENOMEM;
	return take(work, getxattr(path, name, work->payload, OPS_XATTR_MAX),
		    &work->result.getxattr.value);
}

static int run_listxattr(struct work *work)
{
	const struct args_listxattr *args = work->args;
	char path[CONFINE_PROC_SIZE];
	HELD held = HELD_NULL;
	ACTING acting = ACTING_NULL;
	int error = begin(work, args->node, NULL, false, &held, &acting, path, NULL);

	if (error == -ENODATA)
		return 0;
	if (error < 0)
		return error;
	work->payload = malloc(OPS_XATTR_MAX);
	if (!work->payload)
		return -ENOMEM;
	return take(work, listxattr(path, work->payload, OPS_XATTR_MAX),
		    &work->result.listxattr.names);
}

static int run_setxattr(struct work *work)
{
	const struct args_setxattr *args = work->args;
	char path[CONFINE_PROC_SIZE], name[256];
	HELD held = HELD_NULL;
	ACTING acting = ACTING_NULL;
	int error = begin(work, args->node, &args->name, true, &held, &acting, path, name);

	if (error < 0)
		return error;
	if (setxattr(path, name, args->value.data, args->value.size, (int)args->flags) < 0)
		return -errno;
	return 0;
}

static int run_removexattr(struct work *work)
{
	const struct args_removexattr *args = work->args;
	char path[CONFINE_PROC_SIZE], name[256];
	HELD held = HELD_NULL;
	ACTING acting = ACTING_NULL;
	int error = begin(work, args->node, &args->name, true, &held, &acting, path, name);

	if (error < 0)
		return error;
	return removexattr(path, name) < 0 ? -errno : 0;
}

const struct work_handler xattrs_handlers[] = {
    {.op = OP_GETXATTR, .order = ORDER_READ, .run = run_getxattr},
    {.op = OP_LISTXATTR, .order = ORDER_READ, .run = run_listxattr},
    {.op = OP_SETXATTR, .order = ORDER_ALONE, .run = run_setxattr},
    {.op = OP_REMOVEXATTR, .order = ORDER_ALONE, .run = run_removexattr},
    {.op = 0},
};
