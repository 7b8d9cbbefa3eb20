#include "daemon/serve/opens.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon/serve/deny.h"
#include "daemon/serve/wire_entries.h"
#include "daemon/serve/locks.h"
#include "daemon/serve/names.h"
#include "daemon/serve/serve_private.h"

#define BUCKETS_MIN 64

/* What a peer may ask of open(2); the rest is ours to choose or changes nothing here. O_APPEND is
 * taken from each WRITE. */
#define FLAGS_PASSED (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC | O_NOATIME)

/* --- the table -------------------------------------------------------------------------------- */

int opens_init(struct opens *opens, size_t max)
{
	*opens = (struct opens){.max = max, .n_buckets = BUCKETS_MIN};
	opens->by_handle = calloc(BUCKETS_MIN, sizeof(*opens->by_handle));
	opens->by_node = calloc(BUCKETS_MIN, sizeof(*opens->by_node));
	if (!opens->by_handle || !opens->by_node) {
		free(opens->by_handle);
		free(opens->by_node);
		return -ENOMEM;
	}
	pthread_mutex_init(&opens->lock, NULL);
	return 0;
}

static void file_free(struct open_file *file)
{
	free(file->caller);
	free(file);
}

void opens_deinit(struct opens *opens)
{
	for (size_t i = 0; i < opens->n_buckets; i++) {
		struct open_file *file = opens->by_handle[i];

		while (file) {
			struct open_file *next = file->next_by_handle;

			assert(file->refs == 1);
			close(file->fd);
			file_free(file);
			file = next;
		}
	}
	free(opens->by_handle);
	free(opens->by_node);
	pthread_mutex_destroy(&opens->lock);
}

static size_t bucket_of(const struct opens *opens, uint64_t number)
{
	return (size_t)((number * 0x9e3779b97f4a7c15u) >> 32) & (opens->n_buckets - 1);
}

static void insert(struct opens *opens, struct open_file *file)
{
	size_t by_handle = bucket_of(opens, file->handle);
	size_t by_node = bucket_of(opens, file->node);

	file->next_by_handle = opens->by_handle[by_handle];
	opens->by_handle[by_handle] = file;
	file->next_by_node = opens->by_node[by_node];
	opens->by_node[by_node] = file;
}

/* Twice the buckets; stays as it is without memory. */
static void grow(struct opens *opens)
{
	struct open_file **old = opens->by_handle;
	size_t n_old = opens->n_buckets;
	struct open_file **by_handle = calloc(n_old * 2, sizeof(struct open_file *));
	struct open_file **by_node = calloc(n_old * 2, sizeof(struct open_file *));

	if (!by_handle || !by_node) {
		free(by_handle);
		free(by_node);
		return;
	}
	free(opens->by_node);
	opens->by_handle = by_handle;
	opens->by_node = by_node;
	opens->n_buckets = n_old * 2;
	for (size_t i = 0; i < n_old; i++) {
		struct open_file *file = old[i];

		while (file) {
			struct open_file *next = file->next_by_handle;

			insert(opens, file);
			file = next;
		}
	}
	free(old);
}

/* Whoever opens it is the one who writes to it. */
static int set_opener(struct open_file *file, const struct work *work)
{
	file->how = work->how;
	if (file->how != ACTING_CALLER)
		return 0;
	file->caller = malloc(sizeof(*file->caller));
	if (!file->caller)
		return -ENOMEM;
	*file->caller = *work->request->caller;
	return 0;
}

int opens_add(struct opens *opens, const struct work *work, const struct opening *opening,
	      uint64_t *ret_handle)
{
	struct open_file *file;

	if (opens->n >= opens->max)
		return -ENFILE;
	file = calloc(1, sizeof(*file));
	if (!file || set_opener(file, work) < 0) {
		free(file);
		return -ENOMEM;
	}
	file->handle = ++opens->last_handle;
	file->node = opening->node;
	file->fd = opening->fd;
	file->flags = opening->flags & O_ACCMODE;
	file->is_local = opening->is_local;
	file->refs = 1;
	pthread_mutex_lock(&opens->lock);
	if (opens->n >= opens->n_buckets)
		grow(opens);
	insert(opens, file);
	opens->n++;
	pthread_mutex_unlock(&opens->lock);
	*ret_handle = file->handle;
	return 0;
}

struct open_file *opens_find(struct opens *opens, uint64_t node, uint64_t handle)
{
	struct open_file *file = opens->by_handle[bucket_of(opens, handle)];

	while (file && file->handle != handle)
		file = file->next_by_handle;
	if (!file || file->node != node)
		return NULL;
	file->refs++;
	return file;
}

struct open_file *opens_hold(struct opens *opens, struct work *work, uint64_t node, uint64_t handle)
{
	work->room = opens_find(opens, node, handle);
	return work->room;
}

void opens_put(struct opens *opens, struct open_file *file)
{
	assert(file->refs > 0);
	if (--file->refs > 0)
		return;
	close(file->fd);
	file_free(file);
}

int opens_act(const struct work *work, const struct open_file *file, struct acting *ret_acting)
{
	return acting_begin(&work->guest->serve->self, file->how, file->caller, ret_acting);
}

static void unlink_from(struct open_file **at, struct open_file *file, bool by_node)
{
	while (*at != file)
		at = by_node ? &(*at)->next_by_node : &(*at)->next_by_handle;
	*at = by_node ? file->next_by_node : file->next_by_handle;
}

void opens_remove(struct opens *opens, struct open_file *file)
{
	pthread_mutex_lock(&opens->lock);
	unlink_from(&opens->by_handle[bucket_of(opens, file->handle)], file, false);
	unlink_from(&opens->by_node[bucket_of(opens, file->node)], file, true);
	opens->n--;
	pthread_mutex_unlock(&opens->lock);
}

void opens_settle(struct work *work, int error)
{
	struct open_file *file = work->room;

	work->room = NULL;
	if (file)
		opens_put(&work->guest->opens, file);
	work_finish(work, error);
}

int opens_spare(void *arg, uint64_t node)
{
	struct opens *opens = arg;
	struct open_file *file;
	int fd = -1;

	pthread_mutex_lock(&opens->lock);
	file = opens->by_node[bucket_of(opens, node)];
	while (file && file->node != node)
		file = file->next_by_node;
	if (file)
		fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&opens->lock);
	return fd;
}

/* --- OPEN ------------------------------------------------------------------------------------- */

/* In work->room. */
static struct opening *opening_new(struct work *work)
{
	struct opening *opening = calloc(1, sizeof(*opening));

	if (opening)
		opening->fd = -1;
	work->room = opening;
	return opening;
}

static int begin(struct work *work)
{
	if (work->guest->opens.n >= work->guest->opens.max)
		return -ENFILE;
	return opening_new(work) ? WORK_BLOCKS : -ENOMEM;
}

static int check_writable(const struct work *work, const struct held *held, uint64_t flags)
{
	if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
		return 0;
	if (held->export->read_only || !work->may_write)
		return -EROFS;
	return 0;
}

/* Opens the regular file that an O_PATH descriptor stands for. */
static int reopen(int path_fd, uint64_t flags)
{
	char path[CONFINE_PROC_SIZE];
	int fd;

	confine_proc_path(path_fd, path);
	do {
		fd = open(path, (int)(flags & FLAGS_PASSED) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0 && errno == EPERM && (flags & O_NOATIME)) {
			flags &= ~(uint64_t)O_NOATIME;
			errno = EINTR; /* not our file: without it then */
		}
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* On behalf of a caller: the daemon itself may do no more than its user. */
static bool is_to_be_executed(const struct work *work, uint64_t flags)
{
	return work->how == ACTING_CALLER && (flags & OPS_OPEN_EXECUTE) &&
	       (flags & (O_ACCMODE | O_TRUNC)) == O_RDONLY;
}

/* Opens what an O_PATH descriptor stands for, as the caller; only ever a regular file. One to be
 * executed the kernel opens for who may execute it, though not read it: so does the daemon. */
static int open_object(const struct work *work, int path_fd, uint64_t flags)
{
	ACTING acting = ACTING_NULL;
	struct stat st;
	int error;

	if (fstatat(path_fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -EACCES;
	error = work_act_to_write(work, &acting);
	if (error == 0)
		error = reopen(path_fd, flags);
	if (error != -EACCES || !is_to_be_executed(work, flags) ||
	    faccessat(path_fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
		return error;
	acting_end(&acting);
	return reopen(path_fd, flags);
}

/* The file was read after it was looked at: the time of that, if the disk keeps it (relatime). */
static void see_access(int fd, struct attr *attr)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		attr->atime = st.st_atim;
}

/* All of a small file, read at once, for the reply. `flags` are preadv2's. -EAGAIN if it is not in
 * memory. */
static int read_content(struct work *work, int fd, int flags)
{
	const struct args_open *args = work->args;
	struct result_open *result = &work->result.open;
	uint64_t size = result->attr.size;
	size_t n = 0;
	char *content;

	if ((args->flags & O_ACCMODE) != O_RDONLY || args->content_max == 0 ||
	    size > args->content_max)
		return 0;
	content = malloc(size + 1); /* one more, to see whether it grew */
	if (!content)
		return 0;
	while (n < size + 1) {
		struct iovec iov = {content + n, size + 1 - n};
		ssize_t r = preadv2(fd, &iov, 1, (off_t)n, flags);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	if (n != size) { /* changing right now: let it be read */
		free(content);
		return n < size && flags & RWF_NOWAIT ? -EAGAIN : 0;
	}
	see_access(fd, &result->attr);
	work->payload = content;
	result->content = (struct bytes){(const uint8_t *)content, n};
	result->whole = true;
	return 0;
}

/* Tried on the loop: what is not in memory already is opened, or read, in the pool. */
static int attempt_open(struct work *work)
{
	const struct args_open *args = work->args;
	struct nodes *nodes = &work->guest->nodes;
	struct opening *opening;
	LOOK look = LOOK_NULL;
	HELD held = HELD_NULL;
	int verdict = begin(work);

	if (verdict != WORK_BLOCKS || (args->flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY ||
	    work->how == ACTING_CALLER || nodes_look_quick(nodes, args->node, &held, &look) < 0 ||
	    !S_ISREG(look.stx.stx_mode))
		return verdict;
	opening = work->room;
	opening->fd = reopen(look.fd >= 0 ? look.fd : held.fd, args->flags);
	if (opening->fd < 0)
		return WORK_BLOCKS;
	opening->node = args->node;
	opening->flags = (uint32_t)args->flags;
	opening->is_local = true;
	wire_entries_attr(&look, &work->result.open.attr);
	return read_content(work, opening->fd, RWF_NOWAIT) < 0 ? WORK_BLOCKS : 0;
}

static int run_open(struct work *work)
{
	const struct args_open *args = work->args;
	struct opening *opening = work->room;
	struct guest *guest = work->guest;
	struct look look = LOOK_NULL;
	HELD held = HELD_NULL;
	int error;

	if (opening->fd >= 0) /* by attempt_open */
		return read_content(work, opening->fd, 0);
	error = nodes_hold(&guest->nodes, args->node, &held);
	if (error == 0)
		error = check_writable(work, &held, args->flags);
	if (error < 0)
		return error;
	opening->fd = open_object(work, held.fd, args->flags);
	if (opening->fd < 0)
		return opening->fd;
	error = confine_look_at(guest->serve->mounts, opening->fd, &look);
	if (error < 0)
		return error;
	nodes_saw(&held, &look);
	opening->is_local = mounts_is_local(guest->serve->mounts, look.stx.stx_mnt_id);
	opening->node = args->node;
	opening->flags = (uint32_t)args->flags;
	wire_entries_attr(&look, &work->result.open.attr);
	return read_content(work, opening->fd, 0);
}

/* Puts what was opened into the table, or undoes it. */
static void settle_opening(struct work *work, int error, uint64_t *ret_handle)
{
	struct opening *opening = work->room;
	struct guest *guest = work->guest;

	work->room = NULL;
	if (!opening) {
		work_finish(work, error);
		return;
	}
	if (error == 0)
		error = opens_add(&guest->opens, work, opening, ret_handle);
	if (error < 0) {
		if (opening->fd >= 0)
			close(opening->fd);
		if (opening->entered)
			nodes_forget(&guest->nodes, opening->node, 1);
	}
	free(opening);
	work_finish(work, error);
}

static void settle_open(struct work *work, int error)
{
	settle_opening(work, error, &work->result.open.handle);
}

/* --- CREATE ----------------------------------------------------------------------------------- */

/* What is there already under that name. -ENOENT: gone again, or it is hidden. */
static int open_existing(struct work *work, const struct held *parent, const char *name,
			 struct look *ret_look)
{
	const struct args_create *args = work->args;
	struct mounts *mounts = work->guest->serve->mounts;
	LOOK look = LOOK_NULL;
	int error = confine_look(mounts, parent->fd, name, &look);
	int fd;

	if (error < 0)
		return error;
	if (deny_hides(parent->export->deny, &parent->identity, name, &look.identity))
		return -EACCES;
	if (look.hollow)
		return -EISDIR;
	fd = open_object(work, look.fd, args->flags & ~(uint64_t)(O_CREAT | O_EXCL));
	if (fd < 0)
		return fd;
	error = confine_look_at(mounts, fd, ret_look); /* O_TRUNC has changed it */
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

static int create_file(struct work *work, const struct held *parent, const char *name,
		       struct look *ret_look)
{
	const struct args_create *args = work->args;
	uint64_t passed = args->flags & (FLAGS_PASSED & ~(O_TRUNC | O_NOATIME));
	mode_t mode = names_mode(parent, args->mode, args->umask);

	for (int tries = 0; tries < 100; tries++) {
		ACTING acting = ACTING_NULL;
		int error = work_act(work, &acting);
		int fd;

		if (error < 0)
			return error;
		fd = confine_open(parent->fd, name,
				  passed | O_CREAT | O_EXCL | O_NONBLOCK | O_NOCTTY, mode & 07777,
				  0);
		acting_end(&acting);
		if (fd >= 0) {
			error = confine_look_at(work->guest->serve->mounts, fd, ret_look);
			if (error < 0)
				close(fd);
			return error < 0 ? error : fd;
		}
		if (fd != -EEXIST || (args->flags & O_EXCL))
			return fd;
		fd = open_existing(work, parent, name, ret_look);
		if (fd != -ENOENT)
			return fd;
	}
	return -EAGAIN;
}

static int run_create(struct work *work)
{
	const struct args_create *args = work->args;
	struct result_create *result = &work->result.create;
	struct opening *opening = work->room;
	struct nodes *nodes = &work->guest->nodes;
	struct look look = LOOK_NULL;
	HELD parent = HELD_NULL;
	char name[256];
	int error = names_hold_for_make(nodes, args->parent, &args->name, false, &parent, name);

	if (error < 0)
		return error;
	opening->fd = create_file(work, &parent, name, &look);
	if (opening->fd < 0)
		return opening->fd;
	error = nodes_enter(nodes, &parent, name, &look, false, &opening->node);
	if (error < 0)
		return error;
	opening->is_local = mounts_is_local(nodes->mounts, look.stx.stx_mnt_id);
	opening->entered = true;
	opening->flags = (uint32_t)args->flags;
	result->entry.node = opening->node;
	wire_entries_attr(&look, &result->entry.attr);
	return 0;
}

static void settle_create(struct work *work, int error)
{
	settle_opening(work, error, &work->result.create.handle);
}

/* --- RELEASE ---------------------------------------------------------------------------------- */

/* Nobody need wait for it, unless it has no name any more: that somebody may wait for its space. */
static bool closes_later(struct work *work, const struct open_file *file)
{
	struct stat st;

	return file->is_local && fstat(file->fd, &st) == 0 && st.st_nlink > 0 &&
	       closings_add(&work->guest->serve->closings, file->fd, file->flags != O_RDONLY);
}

static int attempt_release(struct work *work)
{
	const struct args_release *args = work->args;
	struct opens *opens = &work->guest->opens;
	struct open_file *file = opens_find(opens, args->node, args->handle);

	if (!file)
		return -EBADF;
	locks_release_handle(&work->guest->locks, args->handle);
	opens_remove(opens, file);
	opens_put(opens, file);
	if (file->refs == 1 && closes_later(work, file))
		file->fd = -1; /* settle frees it */
	work->room = file;
	return file->refs == 1 && file->fd >= 0 ? WORK_BLOCKS : 0;
}

/* Closing may write to a network file system, so not on the loop. */
static int run_release(struct work *work)
{
	struct open_file *file = work->room;

	close(file->fd);
	file->fd = -1;
	return 0;
}

static void settle_release(struct work *work, int error)
{
	struct open_file *file = work->room;

	work->room = NULL;
	if (file && file->fd < 0)
		file_free(file);
	else if (file)
		opens_put(&work->guest->opens, file);
	work_finish(work, error == -EINTR ? 0 : error);
}

const struct work_handler opens_handlers[] = {
    {.op = OP_OPEN,
     .order = ORDER_ALONE,
     .attempt = attempt_open,
     .run = run_open,
     .settle = settle_open},
    {.op = OP_CREATE,
     .order = ORDER_FREE,
     .attempt = begin,
     .run = run_create,
     .settle = settle_create},
    {.op = OP_RELEASE,
     .order = ORDER_ALONE,
     .attempt = attempt_release,
     .run = run_release,
     .settle = settle_release},
    {.op = 0},
};
