#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fs/attr_map.h"
#include "fs/control_ask.h"
#include "fs/control_events.h"
#include "fs/control_files.h"
#include "fs/control_job.h"
#include "fs/dir.h"
#include "fs/fuse_channel.h"
#include "fs/fuse_ops.h"
#include "fs/peer.h"

#define FS_DRAIN       128 /* requests that one fs_process starts at most */
#define FS_LOOKS       8
#define FS_LOOK        30000 /* ns */
#define FS_STOP_TIME   (5 * FS_SECOND)
#define FS_STOP_POLL   10 /* ms */
#define FS_OPTIONS     "fsname=loopsy,subtype=loopsy"
#define FS_OPTIONS_ALL FS_OPTIONS ",allow_other,default_permissions"

/* --- time ------------------------------------------------------------------------------------- */

static uint64_t clock_now(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * FS_SECOND + (uint64_t)now.tv_nsec;
}

static uint64_t real_time(void)
{
	return clock_now(CLOCK_REALTIME);
}

uint64_t fs_now(const struct fs *fs)
{
	return fs->config.now ? fs->config.now(fs->config.arg) : clock_now(CLOCK_MONOTONIC);
}

/* Asks the daemon for the earliest. */
static void ask_timer(struct fs *fs)
{
	uint64_t now;

	if (!fs->timers || fs->timers->at == fs->timer_set)
		return;
	now = fs_now(fs);
	fs->timer_set = fs->timers->at;
	if (fs->config.set_timer)
		fs->config.set_timer(fs->config.arg,
				     fs->timers->at > now ? fs->timers->at - now : 0);
}

static void unlink_timer(struct fs *fs, struct fs_timer *timer)
{
	if (!timer->at)
		return;
	*(timer->prev ? &timer->prev->next : &fs->timers) = timer->next;
	if (timer->next)
		timer->next->prev = timer->prev;
	timer->prev = timer->next = NULL;
	timer->at = 0;
}

void fs_timer_set(struct fs *fs, struct fs_timer *timer, uint64_t delay)
{
	struct fs_timer *before = NULL, *after = fs->timers;

	unlink_timer(fs, timer);
	if (delay == UINT64_MAX)
		return;
	timer->at = fs_now(fs) + delay;
	for (after = fs->timers; after && after->at <= timer->at; after = after->next)
		before = after;
	timer->prev = before;
	timer->next = after;
	*(before ? &before->next : &fs->timers) = timer;
	if (after)
		after->prev = timer;
	ask_timer(fs);
}

void fs_tick(struct fs *fs)
{
	uint64_t now = fs_now(fs);

	while (fs->timers && fs->timers->at <= now) {
		struct fs_timer *timer = fs->timers;

		unlink_timer(fs, timer);
		timer->fn(fs, timer);
	}
	fs->timer_set = 0;
	ask_timer(fs);
}

/* --- requests --------------------------------------------------------------------------------- */

int fs_fd(const struct fs *fs)
{
	return fs->fd;
}

/* The next request into fs->buffer, as read(2). With `wait` it is looked for again and again, for a
 * moment, while others may have the processor. */
static int receive(struct fs *fs, bool wait)
{
	uint64_t until = 0, now;
	int n;

	for (;;) {
		n = fuse_session_receive_buf(fs->session, &fs->buffer);
		if (n != -EAGAIN || !wait)
			return n;
		now = clock_now(CLOCK_MONOTONIC);
		if (!until)
			until = now + FS_LOOK;
		else if (now >= until)
			return n;
		sched_yield();
	}
}

/*
 * A program that was answered at once mostly asks for the next thing at once (ls -l, of the ACL of
 * each entry): then it is waited for here, a few times, which saves the loop's turn between two
 * questions. What else came meanwhile waits FS_LOOKS * FS_LOOK at most.
 */
int fs_process(struct fs *fs)
{
	bool at_once = false;
	int n_looks = 0;

	notify_collect(fs);
	for (int i = 0; i < FS_DRAIN && !fs->dead; i++) {
		struct fuse_in_header header;
		int n = receive(fs, at_once && n_looks++ < FS_LOOKS);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			return 0;
		if (n <= 0) {
			fs->dead = true;
			break;
		}
		memcpy(&header, fs->buffer.mem, sizeof(header)); /* the kernel sends no less */
		fuse_session_process_buf(fs->session, &fs->buffer);
		at_once = fs->answered == header.unique;
		if (fuse_session_exited(fs->session))
			fs->dead = true;
	}
	if (!fs->dead)
		return 0;
	if (!fs->stopping && fs->config.unmounted)
		fs->config.unmounted(fs->config.arg);
	return -ENODEV;
}

/* --- peers ------------------------------------------------------------------------------------ */

static bool is_good_name(const char *name)
{
	size_t n =
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n && n <= PEER_NAME_MAX && !name[n] && name[0] != '.';
}

static struct fs_peer *find_peer(const struct fs *fs, const char *name)
{
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i] && fs->peers[i]->transport &&
		    strcmp(fs->peers[i]->name, name) == 0)
			return fs->peers[i];
	return NULL;
}

/* A free index. Those of removed peers are free when no node refers to them any more. */
static int find_slot(struct fs *fs)
{
	struct fs_peer **peers;

	for (unsigned i = 0; i < fs->n_peers; i++)
		if (!fs->peers[i])
			return (int)i;
	if (fs->n_peers == UINT16_MAX)
		return -ENFILE;
	peers = realloc(fs->peers, (fs->n_peers + 1u) * sizeof(*peers));
	if (!peers)
		return -ENOMEM;
	fs->peers = peers;
	peers[fs->n_peers] = NULL;
	return fs->n_peers++;
}

int fs_peer_add(struct fs *fs, const char *name, struct bytes id, struct transport *transport,
		void *peer_arg, struct fs_peer **ret_peer)
{
	struct bytes name_bytes = {(const uint8_t *)name, strlen(name)};
	struct fs_peer *peer;
	int slot;

	if (!is_good_name(name))
		return -EINVAL;
	if (find_peer(fs, name))
		return -EEXIST;
	slot = find_slot(fs);
	if (slot < 0)
		return slot;
	peer = peer_new(fs, name, id, transport, peer_arg);
	if (!peer)
		return -ENOMEM;
	peer->index = (uint16_t)slot;
	peer->added = real_time();
	fs->peers[slot] = peer;
	peer->top = node_new_local(fs, NODE_IS_TOP, peer->index, S_IFDIR, attr_map_ino(peer, 0, 0),
				   fs->root, name_bytes);
	if (!peer->top) {
		fs->peers[slot] = NULL;
		peer->transport = NULL;
		peer_free(peer);
		return -ENOMEM;
	}
	node_hold(peer->top);
	fs->peers_changed = real_time();
	peer_listen(peer);
	notify_attr(peer, fs->root);
	*ret_peer = peer;
	return 0;
}

void fs_peer_remove(struct fs_peer *peer)
{
	struct fs *fs = peer->fs;
	struct fs_node *top = peer->top;
	struct bytes name = {(const uint8_t *)peer->name, strlen(peer->name)};

	peer_disconnect(peer);
	fs->peers_changed = real_time();
	top->is_stale = true;
	node_forget_name(fs, top);
	notify_entry(peer, fs->root, name);
	notify_attr(peer, fs->root);
	peer->top = NULL;
	node_drop(fs, top); /* the peer is freed with its last node */
}

/* The last node that refers to a removed peer is freed. */
static void free_gone(struct fs *fs, struct fs_timer *timer)
{
	for (unsigned i = 0; i < fs->n_peers; i++) {
		struct fs_peer *peer = fs->peers[i];

		if (!peer || peer->transport || peer->n_nodes || peer->calls)
			continue;
		if (!notify_is_idle(peer)) {
			fs_timer_set(fs, timer, FS_SECOND);
			continue;
		}
		notify_stop(peer);
		fs->peers[i] = NULL;
		peer_free(peer);
	}
}

void peer_node_gone(struct fs_peer *peer)
{
	struct fs *fs = peer->fs;

	if (--peer->n_nodes || peer->transport || fs->stopping)
		return;
	/* Not now: it may be in use further up. */
	fs->gone_timer.fn = free_gone;
	fs_timer_set(fs, &fs->gone_timer, 0);
}

int fs_peer_rename(struct fs_peer *peer, const char *name)
{
	struct fs *fs = peer->fs;
	struct bytes name_bytes = {(const uint8_t *)name, strlen(name)};
	struct bytes old = {(const uint8_t *)peer->name, strlen(peer->name)};
	int error;

	if (!is_good_name(name))
		return -EINVAL;
	if (find_peer(fs, name))
		return find_peer(fs, name) == peer ? 0 : -EEXIST;
	error = node_rename(fs, peer->top, fs->root, name_bytes);
	if (error)
		return error;
	fs->peers_changed = real_time();
	notify_entry(peer, fs->root, old);
	notify_entry(peer, fs->root, name_bytes);
	notify_attr(peer, fs->root);
	memcpy(peer->name, name, name_bytes.size + 1);
	return 0;
}

/* --- start and stop --------------------------------------------------------------------------- */

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static int open_channel(struct fs *fs)
{
	if (fs->config.channel >= 0) {
		fs->fd = fs->config.channel;
	} else {
		if (!fs->config.mount_point)
			return -EINVAL;
		fs->mount_point = strdup(fs->config.mount_point);
		if (!fs->mount_point)
			return -ENOMEM;
		errno = 0;
		if (fuse_session_mount(fs->session, fs->mount_point))
			return errno ? -errno : -EIO;
		fs->is_mounted = true;
		/* A descriptor of our own: unmounting closes libfuse's, while there may still be
		 * requests to be answered. */
		fs->fd = fcntl(fuse_session_fd(fs->session), F_DUPFD_CLOEXEC, 3);
		if (fs->fd < 0)
			return -errno;
	}
	return 0;
}

static int start(struct fs *fs)
{
	char *argv[] = {"loopsy", "-o", fs->config.allow_other ? FS_OPTIONS_ALL : FS_OPTIONS, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	int error;

	if (getrandom(&fs->seed, sizeof(fs->seed), 0) != sizeof(fs->seed))
		return -EIO;
	if (node_table_init(&fs->names) || node_table_init(&fs->nameless))
		return -ENOMEM;
	fs->root = node_new_local(fs, NODE_IS_ROOT, UINT16_MAX, S_IFDIR, FUSE_ROOT_ID, NULL,
				  (struct bytes){0});
	if (!fs->root)
		return -ENOMEM;
	fs->session = fuse_session_new(&args, &fuse_ops_table, sizeof(fuse_ops_table), fs);
	fuse_opt_free_args(&args);
	if (!fs->session)
		return -ENOMEM;
	error = open_channel(fs);
	if (!error)
		error = set_nonblocking(fs->fd);
	return error ? error : fuse_channel_attach(fs);
}

int fs_new(const struct fs_config *config, struct fs **ret_fs)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int error;

	if (!fs)
		return -ENOMEM;
	fs->config = *config;
	if (!fs->config.trust)
		fs->config.trust = FS_SECOND;
	fs->fd = -1;
	fs->peers_changed = real_time();
	error = start(fs);
	if (error) {
		fs_free(fs);
		return error;
	}
	*ret_fs = fs;
	return 0;
}

struct unmounting {
	struct fs *fs;
	pthread_t thread;
	atomic_bool is_done;
};

static void *unmount(void *arg)
{
	struct unmounting *unmounting = arg;

	fuse_session_unmount(unmounting->fs->session);
	atomic_store(&unmounting->is_done, true);
	return NULL;
}

static bool is_idle(const struct fs *fs)
{
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i] && !notify_is_idle(fs->peers[i]))
			return false;
	return true;
}

/* Unmounting and notifications may wait for requests that only we can answer: both run on threads,
 * and requests are answered (with errors, by now) meanwhile. */
static void unmount_all(struct fs *fs)
{
	struct unmounting unmounting = {.fs = fs};
	bool has_thread = false;
	struct timespec now;
	uint64_t until;

	clock_gettime(CLOCK_MONOTONIC, &now);
	until = (uint64_t)now.tv_sec * FS_SECOND + FS_STOP_TIME;
	if (fs->is_mounted)
		has_thread = !pthread_create(&unmounting.thread, NULL, unmount, &unmounting);
	while (!fs->dead && ((has_thread && !atomic_load(&unmounting.is_done)) || !is_idle(fs)) &&
	       (uint64_t)now.tv_sec * FS_SECOND < until) {
		struct pollfd readable = {.fd = fs->fd, .events = POLLIN};

		poll(&readable, 1, FS_STOP_POLL);
		fs_process(fs);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	if (has_thread)
		pthread_join(unmounting.thread, NULL);
	else if (fs->is_mounted)
		fuse_session_unmount(fs->session);
}

int fs_set_self(struct fs *fs, const char *name, struct bytes id, struct transport *transport)
{
	struct fs_peer *peer = peer_new(fs, "this machine", id, transport, NULL);

	if (!peer)
		return -ENOMEM;
	fs->self = peer;
	snprintf(fs->own_name, sizeof(fs->own_name), "%s", name);
	return 0;
}

/* Nothing is asked of it any more. */
static void leave_self(struct fs *fs)
{
	struct transport *transport = fs->self ? fs->self->transport : NULL;

	if (!transport)
		return;
	fs->self->transport = NULL;
	control_job_forget_all(fs->self);
	control_ask_end_all(fs->self, transport);
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i] && fs->peers[i]->transport)
			fs_peer_remove(fs->peers[i]);
	leave_self(fs);
	fs->stopping = true;
	if (fs->session)
		unmount_all(fs);
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i])
			notify_stop(fs->peers[i]);
	dir_free_handles(fs);
	control_free_handles(fs);
	if (fs->session) {
		fuse_session_destroy(fs->session);
		free(fs->buffer.mem);
	}
	if (fs->is_mounted && fs->fd >= 0)
		close(fs->fd);
	if (fs->root)
		node_free_all(fs);
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i] && !fs->peers[i]->n_nodes)
			peer_free(fs->peers[i]);
	peer_free(fs->self);
	free(fs->errors);
	control_events_free(fs->events);
	free(fs->peers);
	free(fs->mount_point);
	free(fs);
}
