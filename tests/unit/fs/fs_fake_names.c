#include "fs_fake_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_fake_tree.h"

/* --- as they are ------------------------------------------------------------------------------ */

static int do_lookup(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		     union fs_fake_result *result)
{
	const struct args_lookup *args = data;
	struct fs_fake_name *name = fs_fake_name_find(node, args->name);

	if (!name)
		return -ENOENT;
	result->lookup.entry = fs_fake_give_out(fake, name->object);
	return 0;
}

static int do_getattr(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		      union fs_fake_result *result)
{
	result->getattr.attr = fs_fake_attr(node);
	return 0;
}

static int do_readlink(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		       union fs_fake_result *result)
{
	result->readlink.target =
	    (struct bytes){(const uint8_t *)node->target, strlen(node->target)};
	return 0;
}

static int do_getxattr(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		       union fs_fake_result *result)
{
	result->getxattr.value = (struct bytes){(const uint8_t *)"value", 5};
	return node->has_xattr ? 0 : -ENODATA;
}

static int do_exports(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		      union fs_fake_result *result)
{
	struct export_place place;

	if (!fake->root_path)
		return 0;
	place = (struct export_place){
	    .path = {(const uint8_t *)fake->root_path, strlen(fake->root_path)}};
	fake->exports.size = 0;
	codec_list_append(&result->exports.exports, &fake->exports, &export_place_record, &place);
	codec_list_finish(&result->exports.exports, &fake->exports);
	return 0;
}

static int do_statfs(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		     union fs_fake_result *result)
{
	result->statfs = (struct result_statfs){.block_size = 4096,
						.fragment_size = 4096,
						.blocks = 1000,
						.blocks_free = 500,
						.blocks_available = 400,
						.name_max = 255};
	return 0;
}

/* ACCESS and FSYNCDIR. */
static int do_nothing(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		      union fs_fake_result *result)
{
	return 0;
}

/* --- changed ---------------------------------------------------------------------------------- */

static int do_setattr(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		      union fs_fake_result *result)
{
	const struct args_setattr *args = data;

	if (args->valid & SETATTR_MODE)
		node->mode = (node->mode & S_IFMT) | (mode_t)args->mode;
	if (args->valid & SETATTR_SIZE)
		node->size = args->size;
	if (args->valid & SETATTR_UID)
		node->uid = (uint32_t)args->uid;
	if (args->valid & SETATTR_MTIME)
		node->mtime = args->mtime;
	node->ctime.tv_sec++;
	result->getattr.attr = fs_fake_attr(node);
	return 0;
}

static int do_setxattr(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		       union fs_fake_result *result)
{
	node->has_xattr = true;
	return 0;
}

static int do_removexattr(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
			  union fs_fake_result *result)
{
	node->has_xattr = false;
	return 0;
}

/* --- made ------------------------------------------------------------------------------------- */

/* The name as a string; there may be none such yet. */
static int unused_name(struct fs_fake_object *parent, struct bytes name,
		       char ret_text[OPS_NAME_MAX + 1])
{
	if (fs_fake_name_find(parent, name))
		return -EEXIST;
	memcpy(ret_text, name.data, name.size);
	ret_text[name.size] = '\0';
	return 0;
}

static int make(struct fs_fake *fake, struct fs_fake_object *parent, struct bytes name,
		uint64_t mode, struct fs_fake_object **ret_object)
{
	char text[OPS_NAME_MAX + 1];
	int error = unused_name(parent, name, text);

	if (error == 0)
		*ret_object = fs_fake_add(fake, parent, text, (mode_t)mode);
	return error;
}

static int do_mkdir(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		    union fs_fake_result *result)
{
	const struct args_mkdir *args = data;
	struct fs_fake_object *made;
	int error = make(fake, node, args->name, S_IFDIR | (args->mode & ~args->umask), &made);

	if (error == 0)
		result->lookup.entry = fs_fake_give_out(fake, made);
	return error;
}

static int do_mknod(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		    union fs_fake_result *result)
{
	const struct args_mknod *args = data;
	struct fs_fake_object *made;
	int error = make(fake, node, args->name, args->mode & ~args->umask, &made);

	if (error == 0)
		result->lookup.entry = fs_fake_give_out(fake, made);
	return error;
}

static int do_symlink(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		      union fs_fake_result *result)
{
	const struct args_symlink *args = data;
	struct fs_fake_object *made;
	int error = make(fake, node, args->name, S_IFLNK | 0777, &made);

	if (error < 0)
		return error;
	made->target = strndup((const char *)args->target.data, args->target.size);
	result->lookup.entry = fs_fake_give_out(fake, made);
	return 0;
}

static int do_link(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		   union fs_fake_result *result)
{
	const struct args_link *args = data;
	struct fs_fake_object *parent = fs_fake_object_of(fake, args->parent);
	char text[OPS_NAME_MAX + 1];
	int error;

	if (!parent)
		return -ESTALE;
	error = unused_name(parent, args->name, text);
	if (error < 0)
		return error;
	fs_fake_link(parent, text, node);
	result->lookup.entry = fs_fake_give_out(fake, node);
	return 0;
}

static int do_create(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		     union fs_fake_result *result)
{
	const struct args_create *args = data;
	struct fs_fake_name *name = fs_fake_name_find(node, args->name);
	struct fs_fake_object *made;
	int error = 0;

	if (name && (args->flags & O_EXCL))
		return -EEXIST;
	if (name)
		made = name->object;
	else
		error = make(fake, node, args->name, S_IFREG | (args->mode & ~args->umask), &made);
	if (error < 0)
		return error;
	result->create.entry = fs_fake_give_out(fake, made);
	result->create.handle = fs_fake_file_open(fake, made, args->flags);
	return 0;
}

/* --- removed and renamed ---------------------------------------------------------------------- */

/* UNLINK and RMDIR. */
static int do_remove(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		     union fs_fake_result *result)
{
	const struct args_unlink *args = data;
	struct fs_fake_name *name = fs_fake_name_find(node, args->name);

	if (!name)
		return -ENOENT;
	if (name->object->n_names)
		return -ENOTEMPTY;
	fs_fake_name_remove(node, name);
	return 0;
}

static void exchange(struct fs_fake_name *one, struct fs_fake_name *other)
{
	struct fs_fake_object *object = other->object;

	other->object = one->object;
	one->object = object;
}

static int do_rename(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
		     union fs_fake_result *result)
{
	const struct args_rename *args = data;
	struct fs_fake_object *new_parent = fs_fake_object_of(fake, args->new_parent), *object;
	struct fs_fake_name *from = fs_fake_name_find(node, args->name), *to;
	char text[OPS_NAME_MAX + 1];

	if (!new_parent)
		return -ESTALE;
	if (!from)
		return -ENOENT;
	to = fs_fake_name_find(new_parent, args->new_name);
	if (args->flags & RENAME_EXCHANGE) {
		if (!to)
			return -ENOENT;
		exchange(from, to);
		return 0;
	}
	if (to && (args->flags & RENAME_NOREPLACE))
		return -EEXIST;
	object = from->object;
	if (to && to->object == object)
		return 0;
	if (to)
		fs_fake_name_remove(new_parent, to);
	fs_fake_name_remove(node, fs_fake_name_find(node, args->name));
	unused_name(new_parent, args->new_name, text);
	fs_fake_link(new_parent, text, object);
	return 0;
}

/* --- which does what -------------------------------------------------------------------------- */

typedef int (*answer_fn)(struct fs_fake *fake, struct fs_fake_object *node, const void *data,
			 union fs_fake_result *result);

static answer_fn answer_of(uint16_t op)
{
	static const answer_fn answers[] = {
	    [OP_LOOKUP] = do_lookup,     [OP_GETATTR] = do_getattr,
	    [OP_SETATTR] = do_setattr,   [OP_EXPORTS] = do_exports,
	    [OP_READLINK] = do_readlink, [OP_MKDIR] = do_mkdir,
	    [OP_MKNOD] = do_mknod,       [OP_SYMLINK] = do_symlink,
	    [OP_LINK] = do_link,         [OP_UNLINK] = do_remove,
	    [OP_RMDIR] = do_remove,      [OP_RENAME] = do_rename,
	    [OP_STATFS] = do_statfs,     [OP_ACCESS] = do_nothing,
	    [OP_FSYNCDIR] = do_nothing,  [OP_GETXATTR] = do_getxattr,
	    [OP_SETXATTR] = do_setxattr, [OP_REMOVEXATTR] = do_removexattr,
	    [OP_CREATE] = do_create,
	};

	return op < sizeof(answers) / sizeof(answers[0]) ? answers[op] : NULL;
}

bool fs_fake_names_is_op(uint16_t op)
{
	return answer_of(op) != NULL;
}

int fs_fake_names_answer(struct fs_fake *fake, struct fs_fake_object *node, uint16_t op,
			 const void *args, union fs_fake_result *result)
{
	return answer_of(op)(fake, node, args, result);
}
