#include "fs_kernel_files.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

int fs_kernel_file_open(struct fs_kernel *kernel, const char *path, uint32_t flags,
			struct fs_kernel_file *ret_file)
{
	struct fuse_open_in in = {.flags = flags};
	struct fs_kernel_reply *reply;
	struct fuse_open_out out;
	uint64_t node = fs_kernel_walk(kernel, path);
	int error;

	cr_assert_neq(node, 0);
	reply = fs_kernel_ask(kernel, FUSE_OPEN, node, &in, sizeof(in));
	error = reply->error;
	if (!error) {
		memcpy(&out, reply->data, sizeof(out));
		*ret_file = (struct fs_kernel_file){.node = node,
						    .handle = out.fh,
						    .flags = flags,
						    .open_flags = out.open_flags,
						    .owner = 77};
	}
	free(reply);
	return error;
}

int fs_kernel_file_create(struct fs_kernel *kernel, const char *parent, const char *name,
			  uint32_t flags, struct fs_kernel_file *ret_file)
{
	struct fuse_create_in in = {.flags = flags, .mode = S_IFREG | 0644};
	uint64_t node = fs_kernel_walk(kernel, parent);
	struct fs_kernel_reply *reply;
	char body[512];
	int error;

	memcpy(body, &in, sizeof(in));
	strcpy(body + sizeof(in), name);
	reply = fs_kernel_ask(kernel, FUSE_CREATE, node, body, sizeof(in) + strlen(name) + 1);
	error = reply->error;
	if (!error) {
		struct fuse_entry_out entry;
		struct fuse_open_out out;

		memcpy(&entry, reply->data, sizeof(entry));
		memcpy(&out, reply->data + sizeof(entry), sizeof(out));
		*ret_file = (struct fs_kernel_file){.node = entry.nodeid,
						    .handle = out.fh,
						    .flags = flags,
						    .open_flags = out.open_flags,
						    .owner = 77};
	}
	free(reply);
	return error;
}

uint64_t fs_kernel_file_send_read(struct fs_kernel *kernel, const struct fs_kernel_file *file,
				  uint64_t offset, uint32_t size)
{
	struct fuse_read_in in = {
	    .fh = file->handle, .offset = offset, .size = size, .flags = file->flags};

	return fs_kernel_send(kernel, FUSE_READ, file->node, &in, sizeof(in));
}

uint64_t fs_kernel_file_send_write(struct fs_kernel *kernel, const struct fs_kernel_file *file,
				   uint64_t offset, const void *data, size_t size)
{
	struct fuse_write_in in = {
	    .fh = file->handle, .offset = offset, .size = (uint32_t)size, .flags = file->flags};
	uint8_t *body = malloc(sizeof(in) + size);
	uint64_t unique;

	memcpy(body, &in, sizeof(in));
	memcpy(body + sizeof(in), data, size);
	unique = fs_kernel_send(kernel, FUSE_WRITE, file->node, body, sizeof(in) + size);
	free(body);
	return unique;
}

uint64_t fs_kernel_file_send_flush(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	struct fuse_flush_in in = {.fh = file->handle, .lock_owner = file->owner};

	return fs_kernel_send(kernel, FUSE_FLUSH, file->node, &in, sizeof(in));
}

uint64_t fs_kernel_file_send_lock(struct fs_kernel *kernel, const struct fs_kernel_file *file,
				  int type, bool wait, bool flock)
{
	struct fuse_lk_in in = {
	    .fh = file->handle,
	    .owner = file->owner,
	    .lk = {.start = 0, .end = INT64_MAX, .type = (uint32_t)type},
	    .lk_flags = flock ? FUSE_LK_FLOCK : 0,
	};

	return fs_kernel_send(kernel, wait ? FUSE_SETLKW : FUSE_SETLK, file->node, &in, sizeof(in));
}

void fs_kernel_file_interrupt(struct fs_kernel *kernel, uint64_t unique)
{
	struct fuse_interrupt_in in = {.unique = unique};

	fs_kernel_send(kernel, FUSE_INTERRUPT, 0, &in, sizeof(in));
}

int fs_kernel_file_took(struct fs_kernel *kernel, uint64_t unique)
{
	struct fs_kernel_reply *reply = fs_kernel_take(kernel, unique);
	int error = reply ? reply->error : 1;

	free(reply);
	return error;
}

int fs_kernel_file_read(struct fs_kernel *kernel, const struct fs_kernel_file *file,
			uint64_t offset, void *data, uint32_t size)
{
	uint64_t unique = fs_kernel_file_send_read(kernel, file, offset, size);
	struct fs_kernel_reply *reply;
	int n;

	fs_kernel_run(kernel);
	reply = fs_kernel_take(kernel, unique);
	cr_assert(reply);
	n = reply->error ? reply->error : (int)reply->size;
	cr_assert_leq(n, (int)size);
	if (n > 0)
		memcpy(data, reply->data, (size_t)n);
	free(reply);
	return n;
}

int fs_kernel_file_write(struct fs_kernel *kernel, const struct fs_kernel_file *file,
			 uint64_t offset, const void *data, size_t size)
{
	uint64_t unique = fs_kernel_file_send_write(kernel, file, offset, data, size);
	struct fs_kernel_reply *reply;
	struct fuse_write_out out;
	int n;

	fs_kernel_run(kernel);
	reply = fs_kernel_take(kernel, unique);
	cr_assert(reply);
	memcpy(&out, reply->data, reply->error ? 0 : sizeof(out));
	n = reply->error ? reply->error : (int)out.size;
	free(reply);
	return n;
}

static int wait_for(struct fs_kernel *kernel, uint64_t unique)
{
	int error;

	fs_kernel_run(kernel);
	error = fs_kernel_file_took(kernel, unique);
	cr_assert_neq(error, 1, "no reply");
	return error;
}

int fs_kernel_file_flush(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	return wait_for(kernel, fs_kernel_file_send_flush(kernel, file));
}

int fs_kernel_file_fsync(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	struct fuse_fsync_in in = {.fh = file->handle};

	return wait_for(kernel, fs_kernel_send(kernel, FUSE_FSYNC, file->node, &in, sizeof(in)));
}

int fs_kernel_file_close(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	struct fuse_release_in in = {.fh = file->handle, .flags = file->flags};
	int error = fs_kernel_file_flush(kernel, file);

	cr_assert_eq(
	    wait_for(kernel, fs_kernel_send(kernel, FUSE_RELEASE, file->node, &in, sizeof(in))), 0);
	return error;
}

void fs_kernel_file_finish(struct fs_kernel *kernel)
{
	fs_kernel_run(kernel);
	cr_assert_eq(kernel->fake->n_handles, 0);
	cr_assert_eq(kernel->fake->n_frames, 0);
	fs_kernel_free(kernel, false);
}
