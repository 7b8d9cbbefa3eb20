#include "daemon/mounting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"

#define KERNEL_READ_AHEAD "512" /* KiB */

static struct mounting *mounting_of(void *arg)
{
	return arg;
}

static void wake(void *arg)
{
	uv_async_send(&mounting_of(arg)->async);
}

static int status_text(void *arg, void *peer_arg, struct buffer *text)
{
	struct mounting *mounting = mounting_of(arg);

	return mounting->status_text(mounting->arg, peer_arg, text);
}

/*
 * The kernel asks for 128 KiB at most, and a program that reads a file is woken for each. As root
 * it can be told to ask for more. (To be done after its INIT, with which it lowers the bound; and
 * statx without a question to the mount, which would be one to ourselves.)
 */
static void begun(void *arg)
{
	struct mounting *mounting = mounting_of(arg);
	struct statx info;
	char path[64];
	int fd;

	if (geteuid() != 0 ||
	    statx(AT_FDCWD, mounting->path, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, 0, &info) < 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", info.stx_dev_major,
		 info.stx_dev_minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, KERNEL_READ_AHEAD, strlen(KERNEL_READ_AHEAD)) < 0)
		log_info("mount", "text=\"the kernel's read-ahead stays as it is\" error=%d",
			 -errno);
	close(fd);
}

static void unmounted(void *arg)
{
	struct mounting *mounting = mounting_of(arg);

	uv_poll_stop(&mounting->poll);
	mounting->unmounted(mounting->arg);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct mounting *mounting = poll->data;

	if (mounting->fs && fs_process(mounting->fs) < 0)
		uv_poll_stop(&mounting->poll);
}

static void on_async(uv_async_t *async)
{
	struct mounting *mounting = async->data;

	if (mounting->fs)
		fs_process(mounting->fs);
}

static void on_timer(uv_timer_t *timer)
{
	struct mounting *mounting = timer->data;

	if (mounting->fs)
		fs_tick(mounting->fs);
}

static void set_timer(void *arg, uint64_t delay)
{
	struct mounting *mounting = mounting_of(arg);

	if (mounting->open)
		uv_timer_start(&mounting->timer, on_timer, (delay + 999999) / 1000000, 0);
}

/* The mount point is 0500, so that nothing is written there by mistake; but fusermount3 mounts only
 * where its caller may write. */
static int mount_there(const struct fs_config *config, struct fs **ret_fs)
{
	int fd = open(config->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	fchmod(fd, 0700);
	error = fs_new(config, ret_fs);
	fchmod(fd, 0500); /* what lies below the mount now */
	close(fd);
	return error;
}

int mounting_open(struct mounting *mounting, uv_loop_t *loop, const char *path,
		  const struct options *options, struct failure *failure)
{
	struct fs_config config = {
	    .mount_point = path,
	    .channel = -1,
	    .uid = getuid(),
	    .gid = getgid(),
	    .allow_other = options->allow_other,
	    .raw_symlinks = options->symlinks == OPTIONS_SYMLINKS_RAW,
	    .write_behind_max = (size_t)options->write_behind_max,
	    /* 0 is the least that there is: 1 ns. */
	    .trust = (uint64_t)options->attr_timeout_ms * 1000000 + !options->attr_timeout_ms,
	    .read_ahead_max = (size_t)options->read_ahead_max,
	    .set_timer = set_timer,
	    .wake = wake,
	    .status_text = status_text,
	    .begun = begun,
	    .unmounted = unmounted,
	    .arg = mounting,
	};
	int error;

	mounting->path = path;
	uv_timer_init(loop, &mounting->timer);
	mounting->timer.data = mounting;
	uv_async_init(loop, &mounting->async, on_async);
	mounting->async.data = mounting;
	mounting->open = true;
	mounting->n_closing = 2;
	error = mount_there(&config, &mounting->fs);
	if (error < 0)
		return failure_set(failure, error, "cannot mount at %s: %s", path,
				   strerror(-error));
	error = uv_poll_init(loop, &mounting->poll, fs_fd(mounting->fs));
	if (error < 0)
		return failure_set(failure, error, "cannot watch the mount: %s", strerror(-error));
	mounting->poll.data = mounting;
	mounting->n_closing = 3;
	uv_poll_start(&mounting->poll, UV_READABLE, on_readable);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct mounting *mounting = handle->data;

	if (--mounting->n_closing == 0)
		mounting->closed(mounting->arg);
}

void mounting_close(struct mounting *mounting, void (*closed)(void *arg))
{
	bool polled = mounting->n_closing == 3;

	mounting->closed = closed;
	if (!mounting->open) {
		closed(mounting->arg);
		return;
	}
	mounting->open = false;
	if (polled) /* before its descriptor is closed */
		uv_close((uv_handle_t *)&mounting->poll, on_closed);
	fs_free(mounting->fs);
	mounting->fs = NULL;
	uv_close((uv_handle_t *)&mounting->timer, on_closed);
	uv_close((uv_handle_t *)&mounting->async, on_closed);
}
