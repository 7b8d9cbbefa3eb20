#include "fs/fuse_channel.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t channel_read(int fd, void *buffer, size_t size, void *arg)
{
	struct fs *fs = arg;
	ssize_t n = read(fs->fd, buffer, size);
	struct fuse_in_header header;

	if (n >= (ssize_t)sizeof(header)) {
		memcpy(&header, buffer, sizeof(header));
		if (header.opcode == FUSE_INIT)
			fs->init_unique = header.unique;
	}
	return n;
}

/* Also called on notifier threads (unique 0, so never with the INIT reply). */
static ssize_t channel_write(int fd, struct iovec *iov, int count, void *arg)
{
	struct fs *fs = arg;
	struct fuse_out_header header;
	struct fuse_init_out out;
	struct iovec patched[2];
	bool is_init = false;
	ssize_t n;

	memcpy(&header, iov[0].iov_base, sizeof(header));
	if (header.unique && header.unique == fs->init_unique) {
		fs->init_unique = 0;
		is_init = true;
		if (!header.error && count == 2 && iov[1].iov_len <= sizeof(out)) {
			memcpy(&out, iov[1].iov_base, iov[1].iov_len);
			out.flags |= FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2;
			patched[0] = iov[0];
			patched[1] = (struct iovec){.iov_base = &out, .iov_len = iov[1].iov_len};
			iov = patched;
		}
	}
	if (header.unique)
		fs->answered = header.unique;
	n = writev(fs->fd, iov, count);
	if (is_init && n >= 0 && !header.error && fs->config.begun)
		fs->config.begun(fs->config.arg);
	return n;
}

int fuse_channel_attach(struct fs *fs)
{
	static const struct fuse_custom_io io = {.writev = channel_write, .read = channel_read};
	/* libfuse closes this one when it unmounts. */
	int fd = fs->is_mounted ? fuse_session_fd(fs->session) : fs->fd;
	int error = fuse_session_custom_io(fs->session, &io, fd);

	return error > 0 ? -error : error;
}

struct fuse_memory *fuse_channel_keep(struct fs *fs)
{
	struct fuse_memory *memory = malloc(sizeof(*memory));

	if (!memory)
		return NULL;
	memory->n_refs = 1;
	memory->bytes = fs->buffer.mem;
	fs->buffer.mem = NULL; /* libfuse makes another */
	return memory;
}

void fuse_memory_unref(struct fuse_memory *memory)
{
	if (!memory || --memory->n_refs > 0)
		return;
	free(memory->bytes);
	free(memory);
}
