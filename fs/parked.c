#include "fs/parked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGKILL_BIT (1ull << 8)

/* Whether a mask of /proc/TID/status ("SigPnd:\t%016x") has SIGKILL. */
static bool mask_has_kill(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at && (strtoull(at + strlen(name), NULL, 16) & SIGKILL_BIT);
}

static bool caller_is_dying(pid_t tid)
{
	char path[40], status[4096];
	ssize_t n;
	int fd;

	if (tid <= 0)
		return false; /* of another pid namespace: not to be seen */
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH;
	n = read(fd, status, sizeof(status) - 1);
	close(fd);
	if (n <= 0)
		return n == 0 || errno == ESRCH;
	status[n] = '\0';
	return mask_has_kill(status, "\nSigPnd:") || mask_has_kill(status, "\nShdPnd:") ||
	       strstr(status, "\nState:\tX") || strstr(status, "\nState:\tZ");
}

static void leave_list(struct parked *parked)
{
	if (!parked->interrupted_at)
		return;
	*(parked->prev ? &parked->prev->next : &parked->fs->interrupted) = parked->next;
	if (parked->next)
		parked->next->prev = parked->prev;
	parked->interrupted_at = 0;
	parked->prev = parked->next = NULL;
}

fuse_req_t parked_take(struct parked *parked)
{
	fuse_req_t req = parked->req;

	leave_list(parked);
	parked->req = NULL;
	return req;
}

static void give_up(struct parked *parked)
{
	if (parked->written)
		fuse_reply_write(parked_take(parked), parked->written);
	else
		fuse_reply_err(parked_take(parked), EINTR);
	if (parked->gave_up)
		parked->gave_up(parked);
}

static bool is_to_give_up(const struct parked *parked, uint64_t now)
{
	uint64_t waited = now - parked->interrupted_at;

	if (parked->kind == PARKED_CONTROL || waited >= PARKED_PATIENCE)
		return true;
	if (parked->kind == PARKED_NAMES && waited < PARKED_CHANGE)
		return false;
	return caller_is_dying(parked->tid);
}

static void look_again(struct fs *fs, struct fs_timer *timer)
{
	uint64_t now = fs_now(fs);
	struct parked *parked = fs->interrupted;

	while (parked) {
		struct parked *next = parked->next;

		/* Giving up one may end another only through a reply, which comes later. */
		if (is_to_give_up(parked, now))
			give_up(parked);
		parked = next;
	}
	if (fs->interrupted)
		fs_timer_set(fs, timer, PARKED_POLL);
}

static void poll_soon(struct fs *fs)
{
	if (fs->parked_timer.at)
		return;
	fs->parked_timer.fn = look_again;
	fs_timer_set(fs, &fs->parked_timer, PARKED_POLL);
}

/* libfuse calls it for FUSE_INTERRUPT, holding req's lock: the request may be answered here, but
 * fuse_req_interrupt_func not be called. */
static void on_interrupt(fuse_req_t req, void *arg)
{
	struct parked *parked = arg;
	struct fs *fs = parked->fs;

	if (parked->req != req || parked->interrupted_at)
		return;
	parked->interrupted_at = fs_now(fs);
	parked->prev = NULL;
	parked->next = fs->interrupted;
	if (parked->next)
		parked->next->prev = parked;
	fs->interrupted = parked;
	if (parked->is_starting)
		return;
	if (is_to_give_up(parked, parked->interrupted_at)) {
		give_up(parked);
		return;
	}
	poll_soon(fs);
}

bool parked_start(struct parked *parked, struct fs *fs, fuse_req_t req, enum parked_kind kind,
		  void (*gave_up)(struct parked *parked))
{
	*parked = (struct parked){.req = req, .fs = fs, .kind = kind, .gave_up = gave_up};
	if (!req)
		return true;
	parked->tid = fuse_req_ctx(req)->pid;
	parked->is_starting = true;
	fuse_req_interrupt_func(req, on_interrupt, parked);
	parked->is_starting = false;
	if (!parked->interrupted_at)
		return true;
	if (is_to_give_up(parked, parked->interrupted_at)) {
		fuse_reply_err(parked_take(parked), EINTR);
		return false;
	}
	poll_soon(fs);
	return true;
}
