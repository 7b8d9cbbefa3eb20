#include "fs_fake_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs_fake_tree.h"
#include "proto/errors.h"

struct fs_fake_handle {
	struct fs_fake_handle *next;
	uint64_t number;
	struct fs_fake_object *object;
	uint64_t flags;
};

struct fs_fake_lock {
	struct fs_fake_lock *next;
	uint64_t owner; /* 0: somebody else */
	uint64_t kind;
};

struct fake_frame {
	struct fs_fake *fake;
	unsigned refs;
	uint8_t data[];
};

/* Freed as soon as nobody refers to it, so that a sanitizer sees who reads it afterwards. */
static struct fake_frame *new_frame(struct fs_fake *fake, const void *data, size_t size)
{
	struct fake_frame *frame = malloc(sizeof(*frame) + size);

	*frame = (struct fake_frame){.fake = fake, .refs = 1};
	if (size)
		memcpy(frame->data, data, size);
	fake->n_frames++;
	return frame;
}

void fs_fake_frame_ref(void *frame)
{
	((struct fake_frame *)frame)->refs++;
}

void fs_fake_frame_unref(void *data)
{
	struct fake_frame *frame = data;

	assert(frame->refs > 0);
	if (--frame->refs > 0)
		return;
	frame->fake->n_frames--;
	free(frame);
}

/* --- contents --------------------------------------------------------------------------------- */

static void resize(struct fs_fake_object *object, uint64_t size)
{
	object->data = realloc(object->data, size ? size : 1);
	if (size > object->size)
		memset(object->data + object->size, 0, size - object->size);
	object->size = size;
}

static void touch(struct fs_fake_object *object)
{
	object->ctime.tv_sec++;
	object->mtime = object->ctime;
}

void fs_fake_set(struct fs_fake *fake, struct fs_fake_object *file, const void *data, size_t size)
{
	resize(file, size);
	memcpy(file->data, data, size);
	touch(file);
}

static int do_write(struct fs_fake *fake, struct fs_fake_object *node,
		    const struct args_write *args, struct result_write *result)
{
	uint64_t offset = args->append ? node->size : args->offset;
	size_t size = args->data.size;

	if (fake->space && offset + size > fake->space) {
		if (offset >= fake->space)
			return -ENOSPC;
		size = fake->space - offset;
	}
	if (offset + size > node->size)
		resize(node, offset + size);
	memcpy(node->data + offset, args->data.data, size);
	touch(node);
	*result = (struct result_write){.written = size, .attr = fs_fake_attr(node)};
	if (size < args->data.size && fake->short_error)
		result->error = error_from_errno(fake->short_error);
	if (fake->n_write_attrs) {
		result->attr = *fake->write_attrs++;
		fake->n_write_attrs--;
	}
	return 0;
}

static int do_open(struct fs_fake *fake, struct fs_fake_object *node, const struct args_open *args,
		   struct result_open *result, void **ret_frame)
{
	struct fake_frame *frame;

	if (node->nlink == 0)
		return -ESTALE; /* there is no way to it any more */
	if (args->flags & O_TRUNC) {
		resize(node, 0);
		touch(node);
	}
	result->handle = fs_fake_file_open(fake, node, args->flags);
	result->attr = fs_fake_attr(node);
	if (args->content_max == 0 || node->size > args->content_max)
		return 0;
	frame = new_frame(fake, node->data, node->size);
	*ret_frame = frame;
	result->whole = true;
	result->content = (struct bytes){frame->data, node->size};
	fake->n_whole++;
	return 0;
}

static int do_read(struct fs_fake *fake, struct fs_fake_object *node, const struct args_read *args,
		   struct result_read *result, void **ret_frame)
{
	uint64_t left = args->offset < node->size ? node->size - args->offset : 0;
	struct fake_frame *frame;

	if (left > args->size)
		left = args->size;
	frame = new_frame(fake, left ? node->data + args->offset : NULL, left);
	*ret_frame = frame;
	result->data = (struct bytes){frame->data, left};
	fake->bytes_asked += args->size;
	return 0;
}

static int do_copy(struct fs_fake *fake, struct fs_fake_object *from,
		   const struct args_copy_range *args, struct result_copy_range *result)
{
	struct fs_fake_object *to = fs_fake_object_of(fake, args->to_node);
	uint64_t left = args->offset < from->size ? from->size - args->offset : 0;

	if (!to)
		return -ESTALE;
	if (left > args->size)
		left = args->size;
	if (args->to_offset + left > to->size)
		resize(to, args->to_offset + left);
	memmove(to->data + args->to_offset, from->data + args->offset, left);
	touch(to);
	*result = (struct result_copy_range){.copied = left, .attr = fs_fake_attr(to)};
	return 0;
}

/* --- locks ------------------------------------------------------------------------------------ */

static struct fs_fake_lock **find_lock(struct fs_fake_object *file, uint64_t owner, uint64_t kind,
				       bool others)
{
	struct fs_fake_lock **at = &file->locks;

	while (*at &&
	       (others ? (*at)->owner == owner : (*at)->owner != owner || (*at)->kind != kind))
		at = &(*at)->next;
	return at;
}

static void drop_lock(struct fs_fake_lock **at)
{
	struct fs_fake_lock *lock = *at;

	if (!lock)
		return;
	*at = lock->next;
	free(lock);
}

static void take_lock(struct fs_fake_object *file, uint64_t owner, uint64_t kind)
{
	struct fs_fake_lock *lock;

	if (*find_lock(file, owner, kind, false))
		return;
	lock = malloc(sizeof(*lock));
	*lock = (struct fs_fake_lock){.next = file->locks, .owner = owner, .kind = kind};
	file->locks = lock;
}

void fs_fake_lock(struct fs_fake_object *file, bool locked)
{
	if (locked)
		take_lock(file, 0, LOCK_KIND_POSIX);
	else
		drop_lock(find_lock(file, 0, LOCK_KIND_POSIX, false));
}

bool fs_fake_is_locked(const struct fs_fake_object *file)
{
	return file->locks != NULL;
}

bool fs_fake_file_waits(struct fs_fake *fake, uint16_t op, const void *data)
{
	const struct args_lock *args = data;
	struct fs_fake_object *node;

	if (op != OP_LOCK || args->command != LOCK_SET_WAIT || args->type == F_UNLCK)
		return false;
	node = fs_fake_object_of(fake, args->node);
	return node && *find_lock(node, args->owner, args->kind, true);
}

static int do_lock(struct fs_fake_object *node, const struct args_lock *args,
		   struct result_lock *result)
{
	*result =
	    (struct result_lock){.type = args->type, .offset = args->offset, .size = args->size};
	if (args->type == F_UNLCK) {
		drop_lock(find_lock(node, args->owner, args->kind, false));
		return 0;
	}
	if (args->command == LOCK_GET) {
		result->type = *find_lock(node, args->owner, args->kind, true) ? F_WRLCK : F_UNLCK;
		return 0;
	}
	if (*find_lock(node, args->owner, args->kind, true))
		return -EAGAIN;
	take_lock(node, args->owner, args->kind);
	return 0;
}

/* --- open files ------------------------------------------------------------------------------- */

uint64_t fs_fake_file_open(struct fs_fake *fake, struct fs_fake_object *object, uint64_t flags)
{
	struct fs_fake_handle *handle = calloc(1, sizeof(*handle));

	handle->number = ++fake->last_handle;
	handle->object = object;
	handle->flags = flags;
	handle->next = fake->handles;
	fake->handles = handle;
	fake->n_handles++;
	return handle->number;
}

static struct fs_fake_handle **find_handle(struct fs_fake *fake, uint64_t number)
{
	struct fs_fake_handle **at = &fake->handles;

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	return at;
}

static void close_handle(struct fs_fake *fake, struct fs_fake_handle **at)
{
	struct fs_fake_handle *handle = *at;

	*at = handle->next;
	fake->n_handles--;
	free(handle);
}

void fs_fake_files_lost(struct fs_fake *fake)
{
	while (fake->handles)
		close_handle(fake, &fake->handles);
	for (struct fs_fake_object *object = fake->objects; object; object = object->next)
		while (object->locks)
			drop_lock(&object->locks);
}

void fs_fake_file_free(struct fs_fake_object *object)
{
	while (object->locks)
		drop_lock(&object->locks);
	free(object->data);
}

int fs_fake_file_answer(struct fs_fake *fake, struct fs_fake_object *node, uint16_t op,
			const void *args, union fs_fake_result *result, void **ret_frame)
{
	struct fs_fake_handle **handle;

	if (op == OP_OPEN)
		return do_open(fake, node, args, &result->open, ret_frame);
	if (op < OP_READ || op > OP_LOCK || op == OP_FSYNCDIR)
		return -EOPNOTSUPP;
	/* All of them begin with node and handle. */
	handle = find_handle(fake, ((const struct args_read *)args)->handle);
	if (!*handle || (*handle)->object != node)
		return -EBADF;
	switch (op) {
	case OP_READ:
		return do_read(fake, node, args, &result->read, ret_frame);
	case OP_WRITE:
		return do_write(fake, node, args, &result->write);
	case OP_FLUSH:
		drop_lock(find_lock(node, ((const struct args_flush *)args)->owner, LOCK_KIND_POSIX,
				    false));
		return 0;
	case OP_FSYNC:
		return 0;
	case OP_RELEASE:
		close_handle(fake, handle);
		return 0;
	case OP_FALLOCATE: {
		const struct args_fallocate *fallocate = args;

		if (fallocate->offset + fallocate->size > node->size)
			resize(node, fallocate->offset + fallocate->size);
		touch(node);
		result->fallocate.attr = fs_fake_attr(node);
		return 0;
	}
	case OP_LSEEK: {
		const struct args_lseek *lseek = args;

		if (lseek->offset >= node->size)
			return -ENXIO;
		result->lseek.offset = lseek->hole ? node->size : lseek->offset;
		return 0;
	}
	case OP_COPY_RANGE:
		return do_copy(fake, node, args, &result->copy_range);
	case OP_LOCK:
		return do_lock(node, args, &result->lock);
	default:
		return -EOPNOTSUPP;
	}
}
