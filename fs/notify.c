#include "fs/notify.h"

#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "fs/node.h"
#include "fs/peer.h"

#define NOTIFY_LOOK_BACK 16
#define NOTIFY_INC_EPOCH 8 /* FUSE_NOTIFY_INC_EPOCH of newer headers */

enum item_kind { ITEM_ENTRY, ITEM_ATTR, ITEM_PAGES };

struct item {
	struct item *next;
	struct notify_done *done;
	uint64_t id; /* FUSE node id, of the parent for an entry */
	enum item_kind kind;
	size_t name_size;
	char name[];
};

struct notify {
	struct fs *fs;
	pthread_t thread;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t more;
	struct item *first, **end;
	size_t n;
	struct notify_done *done, **done_end;
	bool is_busy, is_ending;
};

static void tell_kernel(struct fuse_session *session, const struct item *item)
{
	/* ENOENT: the kernel does not have it. Nothing else can be done about an error. */
	switch (item->kind) {
	case ITEM_ENTRY:
		fuse_lowlevel_notify_inval_entry(session, item->id, item->name, item->name_size);
		break;
	case ITEM_ATTR:
		fuse_lowlevel_notify_inval_inode(session, item->id, -1, 0);
		break;
	case ITEM_PAGES:
		fuse_lowlevel_notify_inval_inode(session, item->id, 0, 0);
		break;
	}
}

static void *run(void *arg)
{
	struct notify *notify = arg;

	pthread_mutex_lock(&notify->lock);
	for (;;) {
		struct item *item = notify->first;

		if (!item) {
			if (notify->is_ending)
				break;
			pthread_cond_wait(&notify->more, &notify->lock);
			continue;
		}
		notify->first = item->next;
		if (!notify->first)
			notify->end = &notify->first;
		notify->n--;
		notify->is_busy = true;
		pthread_mutex_unlock(&notify->lock);
		tell_kernel(notify->fs->session, item);
		pthread_mutex_lock(&notify->lock);
		notify->is_busy = false;
		if (item->done) {
			item->done->next = NULL;
			*notify->done_end = item->done;
			notify->done_end = &item->done->next;
			if (notify->fs->config.wake)
				notify->fs->config.wake(notify->fs->config.arg);
		}
		free(item);
	}
	pthread_mutex_unlock(&notify->lock);
	return NULL;
}

static struct notify *notify_of(struct fs_peer *peer)
{
	struct notify *notify = peer->notify;
	sigset_t all, before;
	int error;

	if (notify || peer->fs->stopping)
		return notify;
	notify = calloc(1, sizeof(*notify));
	if (!notify)
		return NULL;
	notify->fs = peer->fs;
	notify->end = &notify->first;
	notify->done_end = &notify->done;
	pthread_mutex_init(&notify->lock, NULL);
	pthread_cond_init(&notify->more, NULL);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&notify->thread, NULL, run, notify);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		pthread_cond_destroy(&notify->more);
		pthread_mutex_destroy(&notify->lock);
		free(notify);
		return NULL;
	}
	peer->notify = notify;
	return notify;
}

/* The same is queued already, and nobody waits for either. */
static bool is_queued(const struct notify *notify, const struct item *item)
{
	const struct item *other = notify->first;

	for (unsigned i = 0; other && i < NOTIFY_LOOK_BACK; i++, other = other->next)
		if (other->kind == item->kind && other->id == item->id && !item->done &&
		    other->name_size == item->name_size &&
		    memcmp(other->name, item->name, item->name_size) == 0)
			return true;
	return false;
}

static int add(struct fs_peer *peer, enum item_kind kind, uint64_t id, struct bytes name,
	       struct notify_done *done)
{
	struct notify *notify = notify_of(peer);
	struct item *item;

	if (!notify)
		return -ENOMEM;
	item = calloc(1, sizeof(*item) + name.size + 1);
	if (!item)
		return -ENOMEM;
	item->kind = kind;
	item->id = id;
	item->done = done;
	item->name_size = name.size;
	if (name.size)
		memcpy(item->name, name.data, name.size);
	pthread_mutex_lock(&notify->lock);
	if (is_queued(notify, item) || (!done && notify->n >= NOTIFY_QUEUE_MAX)) {
		free(item);
	} else {
		*notify->end = item;
		notify->end = &item->next;
		notify->n++;
		pthread_cond_signal(&notify->more);
	}
	pthread_mutex_unlock(&notify->lock);
	return 0;
}

void notify_entry(struct fs_peer *peer, struct fs_node *parent, struct bytes name)
{
	add(peer, ITEM_ENTRY, node_id(peer->fs, parent), name, NULL);
}

void notify_attr(struct fs_peer *peer, struct fs_node *node)
{
	add(peer, ITEM_ATTR, node_id(peer->fs, node), (struct bytes){0}, NULL);
}

void notify_names(struct fs *fs)
{
	struct fuse_out_header header = {.len = sizeof(header), .error = NOTIFY_INC_EPOCH};
	struct iovec part = {.iov_base = &header, .iov_len = sizeof(header)};

	/* EINVAL: an older kernel. */
	(void)!writev(fs->fd, &part, 1);
}

/* Without a thread there is nothing to wait for: called back by a timer. */
static void call_back_late(struct fs *fs, struct fs_timer *timer)
{
	struct notify_done *done = fs->late_done;

	fs->late_done = NULL;
	while (done) {
		struct notify_done *next = done->next;

		done->fn(done);
		done = next;
	}
}

static void add_then(struct fs_peer *peer, enum item_kind kind, struct fs_node *node,
		     struct notify_done *done)
{
	struct fs *fs = peer->fs;

	if (!add(peer, kind, node_id(fs, node), (struct bytes){0}, done) || !done)
		return;
	done->next = fs->late_done;
	fs->late_done = done;
	fs->late_timer.fn = call_back_late;
	fs_timer_set(fs, &fs->late_timer, 0);
}

void notify_attr_then(struct fs_peer *peer, struct fs_node *node, struct notify_done *done)
{
	add_then(peer, ITEM_ATTR, node, done);
}

void notify_pages(struct fs_peer *peer, struct fs_node *node, struct notify_done *done)
{
	add_then(peer, ITEM_PAGES, node, done);
}

static void call_back(struct notify *notify)
{
	struct notify_done *done;

	pthread_mutex_lock(&notify->lock);
	done = notify->done;
	notify->done = NULL;
	notify->done_end = &notify->done;
	pthread_mutex_unlock(&notify->lock);
	while (done) {
		struct notify_done *next = done->next;

		done->fn(done);
		done = next;
	}
}

void notify_collect(struct fs *fs)
{
	for (unsigned i = 0; i < fs->n_peers; i++)
		if (fs->peers[i] && fs->peers[i]->notify)
			call_back(fs->peers[i]->notify);
}

bool notify_is_idle(const struct fs_peer *peer)
{
	struct notify *notify = peer->notify;
	bool is_idle;

	if (!notify)
		return true;
	pthread_mutex_lock(&notify->lock);
	is_idle = !notify->first && !notify->is_busy;
	pthread_mutex_unlock(&notify->lock);
	return is_idle;
}

void notify_stop(struct fs_peer *peer)
{
	struct notify *notify = peer->notify;

	if (!notify)
		return;
	pthread_mutex_lock(&notify->lock);
	while (notify->first) {
		struct item *item = notify->first;

		notify->first = item->next;
		if (item->done) {
			item->done->next = NULL;
			*notify->done_end = item->done;
			notify->done_end = &item->done->next;
		}
		free(item);
	}
	notify->end = &notify->first;
	notify->is_ending = true;
	pthread_cond_signal(&notify->more);
	pthread_mutex_unlock(&notify->lock);
	pthread_join(notify->thread, NULL);
	call_back(notify);
	peer->notify = NULL;
	pthread_cond_destroy(&notify->more);
	pthread_mutex_destroy(&notify->lock);
	free(notify);
}
