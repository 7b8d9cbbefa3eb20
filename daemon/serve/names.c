/*
 * Names: LOOKUP, SYMLINK, LINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME. Each is one *at call with one
 * component on the held directory's descriptor, after what denials say. On pool threads, but for
 * the LOOKUP of what was sent before.
 */
#include "daemon/serve/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/serve/deny.h"
#include "daemon/serve/wire_entries.h"
#include "daemon/serve/serve_private.h"

#define ACL_DEFAULT "system.posix_acl_default"

static struct nodes *nodes_of(struct work *work)
{
	return &work->guest->nodes;
}

mode_t names_mode(const struct held *parent, uint64_t mode, uint64_t mask)
{
	char path[CONFINE_PROC_SIZE];

	if (mask & 0777) {
		confine_proc_path(parent->fd, path);
		if (getxattr(path, ACL_DEFAULT, NULL, 0) <= 0)
			mode &= ~(mask & 0777);
	}
	return (mode_t)mode;
}

int names_hold_for_make(struct nodes *nodes, uint64_t parent, const struct bytes *name,
			bool by_mkdir, struct held *ret_parent, char ret_name[256])
{
	struct held held;
	int error = nodes_hold(nodes, parent, &held);

	if (error < 0)
		return error;
	confine_name(name, ret_name);
	if (!held.is_dir)
		error = -ENOTDIR;
	else if (held.export->read_only)
		error = -EROFS;
	else
		error = deny_check_make(held.export->deny, &held.identity, ret_name, by_mkdir);
	if (error < 0) {
		nodes_release(&held);
		return error;
	}
	*ret_parent = held;
	return 0;
}

/* --- LOOKUP ----------------------------------------------------------------------------------- */

static int lookup_export(struct nodes *nodes, const struct bytes *name, struct entry *ret_entry)
{
	const struct export *export = exports_find(nodes->exports, *name);
	LOOK look = LOOK_NULL;
	int error;

	if (!export)
		return -ENOENT;
	error = node_walk_export(nodes->mounts, export, &look);
	if (error < 0)
		return error;
	wire_entries_attr(&look, &ret_entry->attr);
	return nodes_enter_export(nodes, export, &look, &ret_entry->node);
}

/* What was sent before, and has not changed. */
static int attempt_lookup(struct work *work)
{
	const struct args_lookup *args = work->args;
	struct entry *entry = &work->result.lookup.entry;
	HELD parent = HELD_NULL;
	LOOK look = LOOK_NULL;
	char name[256];

	confine_name(&args->name, name);
	if (nodes_enter_quick(nodes_of(work), args->parent, name, &parent, &look, &entry->node) < 0)
		return WORK_BLOCKS;
	wire_entries_attr(&look, &entry->attr);
	return 0;
}

static int do_lookup(struct work *work)
{
	const struct args_lookup *args = work->args;
	HELD parent = HELD_NULL;
	char name[256];
	int error = nodes_hold_any(nodes_of(work), args->parent, &parent);

	if (error < 0)
		return error;
	if (parent.kind == NODE_TOP)
		return lookup_export(nodes_of(work), &args->name, &work->result.lookup.entry);
	if (parent.kind == NODE_HOLLOW)
		return -ENOENT;
	if (!parent.is_dir)
		return -ENOTDIR;
	confine_name(&args->name, name);
	return wire_entries_make(&parent, name, true, &work->result.lookup.entry, &work->payload);
}

/* --- making ----------------------------------------------------------------------------------- */

static int do_symlink(struct work *work)
{
	const struct args_symlink *args = work->args;
	char name[256], target[OPS_TARGET_MAX + 1];
	HELD parent = HELD_NULL;
	ACTING acting = ACTING_NULL;
	int error;

	if (args->target.size == 0 || memchr(args->target.data, '\0', args->target.size))
		return args->target.size == 0 ? -ENOENT : -EINVAL;
	error =
	    names_hold_for_make(nodes_of(work), args->parent, &args->name, false, &parent, name);
	if (error < 0)
		return error;
	memcpy(target, args->target.data, args->target.size);
	target[args->target.size] = '\0';
	error = work_act(work, &acting);
	if (error < 0)
		return error;
	if (symlinkat(target, parent.fd, name) < 0)
		return -errno;
	acting_end(&acting);
	return wire_entries_make(&parent, name, true, &work->result.symlink.entry, &work->payload);
}

static int do_mkdir(struct work *work)
{
	const struct args_mkdir *args = work->args;
	HELD parent = HELD_NULL;
	ACTING acting = ACTING_NULL;
	char name[256];
	mode_t mode;
	int error =
	    names_hold_for_make(nodes_of(work), args->parent, &args->name, true, &parent, name);

	if (error < 0)
		return error;
	mode = names_mode(&parent, args->mode & 07777, args->umask);
	error = work_act(work, &acting);
	if (error < 0)
		return error;
	if (mkdirat(parent.fd, name, mode) < 0)
		return -errno;
	acting_end(&acting);
	return wire_entries_make(&parent, name, true, &work->result.mkdir.entry, &work->payload);
}

static int do_mknod(struct work *work)
{
	const struct args_mknod *args = work->args;
	HELD parent = HELD_NULL;
	ACTING acting = ACTING_NULL;
	char name[256];
	mode_t mode;
	int error =
	    names_hold_for_make(nodes_of(work), args->parent, &args->name, false, &parent, name);

	if (error < 0)
		return error;
	mode = names_mode(&parent, args->mode, args->umask);
	error = work_act(work, &acting);
	if (error < 0)
		return error;
	if (mknodat(parent.fd, name, mode, args->rdev) < 0)
		return -errno;
	acting_end(&acting);
	return wire_entries_make(&parent, name, true, &work->result.mknod.entry, &work->payload);
}

static int do_link(struct work *work)
{
	const struct args_link *args = work->args;
	char name[256], path[CONFINE_PROC_SIZE];
	HELD parent = HELD_NULL;
	HELD node = HELD_NULL;
	ACTING acting = ACTING_NULL;
	int error = nodes_hold(nodes_of(work), args->node, &node);

	if (error < 0)
		return error;
	error =
	    names_hold_for_make(nodes_of(work), args->parent, &args->name, false, &parent, name);
	if (error < 0)
		return error;
	if (node.export != parent.export)
		return -EXDEV;
	if (node.is_dir)
		return -EPERM;
	/* The one way to link a descriptor without CAP_DAC_READ_SEARCH; it leads to the object
	 * itself, also when that is a symbolic link. */
	confine_proc_path(node.fd, path);
	error = work_act(work, &acting);
	if (error < 0)
		return error;
	if (linkat(AT_FDCWD, path, parent.fd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	acting_end(&acting);
	return wire_entries_make(&parent, name, true, &work->result.link.entry, &work->payload);
}

/* --- removing --------------------------------------------------------------------------------- */

/* May `name` be taken away? Looks at what is there. 0, -ENOENT (also when hidden) or -EACCES. */
static int check_take(const struct held *parent, const char *name, struct look *ret_look)
{
	struct deny *deny = parent->export->deny;
	int error = confine_look(parent->nodes->mounts, parent->fd, name, ret_look);

	if (error < 0)
		return error;
	if (deny_hides(deny, &parent->identity, name, &ret_look->identity))
		return -ENOENT;
	if (ret_look->hollow)
		return -EBUSY;
	return deny_check_move(deny, &ret_look->identity, name);
}

static int remove_name(struct work *work, uint64_t number, const struct bytes *bytes, int flags)
{
	HELD parent = HELD_NULL;
	LOOK look = LOOK_NULL;
	ACTING acting = ACTING_NULL;
	char name[256];
	int error = nodes_hold(nodes_of(work), number, &parent);

	if (error < 0)
		return error;
	if (!parent.is_dir)
		return -ENOTDIR;
	if (parent.export->read_only)
		return -EROFS;
	confine_name(bytes, name);
	error = check_take(&parent, name, &look);
	if (error == 0)
		error = work_act(work, &acting);
	if (error < 0)
		return error;
	if (unlinkat(parent.fd, name, flags) < 0)
		return -errno;
	removed_note(&work->guest->serve->removed, &look);
	return 0;
}

static int do_unlink(struct work *work)
{
	const struct args_unlink *args = work->args;

	return remove_name(work, args->parent, &args->name, 0);
}

static int do_rmdir(struct work *work)
{
	const struct args_rmdir *args = work->args;

	return remove_name(work, args->parent, &args->name, AT_REMOVEDIR);
}

/* --- RENAME ----------------------------------------------------------------------------------- */

/* May `name` be replaced, or made, by a rename? Looks at what is there. */
static int check_put(const struct held *parent, const char *name, unsigned flags,
		     struct look *ret_look)
{
	int error = deny_check_make(parent->export->deny, &parent->identity, name, false);

	if (error < 0)
		return error;
	error = check_take(parent, name, ret_look);
	if (error == -ENOENT && ret_look->fd < 0 && !(flags & RENAME_EXCHANGE))
		return 0; /* nothing there */
	if (error == -ENOENT && ret_look->fd >= 0)
		return -EACCES; /* hidden: an object that is denied, under another name */
	return error;
}

/* The node of what is now found there has moved. */
static void follow(const struct held *parent, const char *name)
{
	LOOK look = LOOK_NULL;

	if (confine_look(parent->nodes->mounts, parent->fd, name, &look) == 0)
		nodes_moved(parent->nodes, parent, name, &look.identity);
}

static int rename_as_caller(struct work *work, int from_fd, const char *name, int to_fd,
			    const char *new_name)
{
	const struct args_rename *args = work->args;
	ACTING acting = ACTING_NULL;
	int error = work_act(work, &acting);

	if (error < 0)
		return error;
	return renameat2(from_fd, name, to_fd, new_name, (unsigned)args->flags) < 0 ? -errno : 0;
}

static int do_rename(struct work *work)
{
	const struct args_rename *args = work->args;
	struct nodes *nodes = nodes_of(work);
	HELD from = HELD_NULL;
	HELD to = HELD_NULL;
	LOOK look = LOOK_NULL;
	LOOK replaced = LOOK_NULL;
	char name[256], new_name[256];
	int error = nodes_hold(nodes, args->parent, &from);

	if (error == 0)
		error = nodes_hold(nodes, args->new_parent, &to);
	if (error < 0)
		return error;
	if (!from.is_dir || !to.is_dir)
		return -ENOTDIR;
	if (from.export != to.export)
		return -EXDEV;
	if (from.export->read_only)
		return -EROFS;
	confine_name(&args->name, name);
	confine_name(&args->new_name, new_name);
	error = check_take(&from, name, &look);
	if (error == 0 &&
	    args->flags & (RENAME_EXCHANGE | RENAME_WHITEOUT)) /* makes the old name */
		error = deny_check_make(from.export->deny, &from.identity, name, false);
	if (error == 0)
		error = check_put(&to, new_name, (unsigned)args->flags, &replaced);
	if (error < 0)
		return error;
	/* Walks wait meanwhile: they would miss what is at its new place, but not yet in the
	 * index. */
	pthread_rwlock_wrlock(&nodes->tree);
	error = rename_as_caller(work, from.fd, name, to.fd, new_name);
	if (error == 0) {
		follow(&to, new_name);
		if (args->flags & RENAME_EXCHANGE)
			follow(&from, name);
	}
	pthread_rwlock_unlock(&nodes->tree);
	if (error == 0)
		removed_note(&work->guest->serve->removed, &replaced);
	return error;
}

const struct work_handler names_handlers[] = {
    {.op = OP_LOOKUP, .order = ORDER_FREE, .attempt = attempt_lookup, .run = do_lookup},
    {.op = OP_SYMLINK, .order = ORDER_FREE, .run = do_symlink},
    {.op = OP_LINK, .order = ORDER_FREE, .run = do_link},
    {.op = OP_MKNOD, .order = ORDER_FREE, .run = do_mknod},
    {.op = OP_MKDIR, .order = ORDER_FREE, .run = do_mkdir},
    {.op = OP_UNLINK, .order = ORDER_FREE, .run = do_unlink},
    {.op = OP_RMDIR, .order = ORDER_FREE, .run = do_rmdir},
    {.op = OP_RENAME, .order = ORDER_FREE, .run = do_rename},
    {.op = 0},
};
