#include "daemon/serve/locks.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/serve/fd_locks.h"
#include "daemon/serve/opens.h"
#include "daemon/serve/serve_private.h"

#define RETRY_MS 50 /* for locks of programs that are not ours */

/* So long a chain of those who wait for each other is looked at, as by our kernel for its own. */
#define CHAIN_MAX 10

struct lock_holder {
	uint64_t node, owner;
	uint64_t handle; /* through which it was made */
	uint64_t pid;    /* who took a lock last */
	enum lock_kind kind;
	int fd;        /* -1 until a thread has opened it */
	uint32_t refs; /* works that use it */
	bool dropped;  /* to be freed with the last reference */
	bool is_open;  /* as known on the loop */
	bool has_lock; /* it may have one: it took some, and has not released all since */
	dev_t dev;
	ino_t ino;
	struct lock_holder *next;
};

/* One LOCK or FLUSH under way (work->room). */
struct lock_try {
	struct work *work;
	struct open_file *file; /* until the holder's descriptor is open */
	struct lock_holder *holder;
	bool waiting;                /* in waiters */
	bool retrying;               /* which it does not leave while it is tried again */
	struct result_lock blocking; /* POSIX: what was in the way at the last try */
	struct lock_try *next;
};

void locks_init(struct locks *locks, struct serve *serve, size_t max)
{
	*locks = (struct locks){.serve = serve, .max = max};
}

static struct lock_holder *find(struct locks *locks, uint64_t node, uint64_t owner,
				enum lock_kind kind)
{
	struct lock_holder *holder = locks->holders;

	while (holder && (holder->node != node || holder->owner != owner || holder->kind != kind))
		holder = holder->next;
	return holder;
}

static struct lock_holder *add(struct locks *locks, const struct args_lock *args)
{
	struct lock_holder *holder;

	if (locks->n >= locks->max)
		return NULL;
	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return NULL;
	holder->node = args->node;
	holder->owner = args->owner;
	holder->handle = args->handle;
	holder->kind = (enum lock_kind)args->kind;
	holder->fd = -1;
	holder->next = locks->holders;
	locks->holders = holder;
	locks->n++;
	return holder;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void append(struct lock_waiters *waiters, struct lock_try *try)
{
	try->waiting = true;
	try->next = NULL;
	if (waiters->last)
		waiters->last->next = try;
	else
		waiters->first = try;
	waiters->last = try;
}

static void take_out(struct lock_waiters *waiters, struct lock_try *try)
{
	struct lock_try *previous = NULL;

	for (struct lock_try *t = waiters->first; t != try; t = t->next)
		previous = t;
	if (previous)
		previous->next = try->next;
	else
		waiters->first = try->next;
	if (waiters->last == try)
		waiters->last = previous;
	try->waiting = false;
}

/* Tries those again that wait for this file (all, if `holder` is NULL). */
static void retry(struct lock_waiters *waiters, const struct lock_holder *holder)
{
	bool others = false;

	for (struct lock_try *try = waiters->first; try; try = try->next) {
		if (try->retrying)
			continue;
		if (holder &&
		    (try->holder->dev != holder->dev || try->holder->ino != holder->ino)) {
			others = true;
			continue;
		}
		try->retrying = true;
		work_again(try->work);
	}
	if (!others && !waiters->closed)
		uv_timer_stop(&waiters->timer);
}

static void on_timer(uv_timer_t *timer)
{
	struct serve *serve = timer->data;

	retry(&serve->lock_waiters, NULL);
}

static void wait(struct serve *serve, struct lock_try *try)
{
	if (!try->waiting)
		append(&serve->lock_waiters, try);
	try->retrying = false;
	if (!uv_is_active((uv_handle_t *)&serve->lock_waiters.timer))
		uv_timer_start(&serve->lock_waiters.timer, on_timer, RETRY_MS, RETRY_MS);
	work_leave_order(try->work);
}

void locks_waiters_init(struct lock_waiters *waiters, struct serve *serve)
{
	*waiters = (struct lock_waiters){0};
	uv_timer_init(serve->loop, &waiters->timer);
	waiters->timer.data = serve;
}

static void on_closed(uv_handle_t *handle)
{
	struct serve *serve = handle->data;

	serve->lock_waiters_closed(serve);
}

void locks_waiters_close(struct lock_waiters *waiters, void (*closed)(struct serve *serve))
{
	struct serve *serve = waiters->timer.data;

	assert(!waiters->first);
	waiters->closed = true;
	serve->lock_waiters_closed = closed;
	uv_close((uv_handle_t *)&waiters->timer, on_closed);
}

/* --- those who wait for each other ------------------------------------------------------------ */

/* Whether it has the lock that is in the other's way; others may have one of the same range. */
static bool is_blocking(const struct lock_holder *holder, const struct lock_try *try)
{
	return holder != try->holder && holder->kind == LOCK_KIND_POSIX && holder->is_open &&
	       holder->has_lock && holder->dev == try->holder->dev &&
	       holder->ino == try->holder->ino && fd_locks_has(holder->fd, &try->blocking);
}

/* NULL: it is a program that is not ours, or nobody any more. */
static const struct lock_holder *
find_blocking(const struct serve *serve, const struct lock_try *try, const struct guest **ret_guest)
{
	if (try->blocking.type == F_UNLCK)
		return NULL;
	for (const struct guest *guest = serve->guests; guest; guest = guest->next)
		for (const struct lock_holder *holder = guest->locks.holders; holder;
		     holder = holder->next)
			if (is_blocking(holder, try)) {
				*ret_guest = guest;
				return holder;
			}
	return NULL;
}

static const struct lock_try *find_waiting(const struct serve *serve, const struct guest *guest,
					   uint64_t owner)
{
	const struct lock_try *try = serve->lock_waiters.first;

	while (try && (try->work->guest != guest || try->holder->owner != owner ||
		       try->holder->kind != LOCK_KIND_POSIX))
		try = try->next;
	return try;
}

/* Whether who is to wait has locks himself, for which others could wait. */
static bool is_in_the_way(const struct lock_try *try)
{
	const struct lock_holder *holder = try->work->guest->locks.holders;

	while (holder && (!holder->has_lock || holder->owner != try->holder->owner ||
			  holder->kind != LOCK_KIND_POSIX))
		holder = holder->next;
	return holder != NULL;
}

/*
 * Whether this one would wait for himself: he for another's lock, that one for a third's, and so on
 * round to him (fcntl(2), EDEADLK). Those on all machines count, not programs that are not ours.
 * Asked at each try, as what the others wait for is only as new as theirs.
 */
static bool would_wait_for_itself(const struct serve *serve, const struct lock_try *try)
{
	const struct guest *guest = try->work->guest;
	uint64_t owner = try->holder->owner;

	if (try->holder->kind != LOCK_KIND_POSIX || !is_in_the_way(try))
		return false;
	for (unsigned i = 0; i < CHAIN_MAX && try; i++) {
		const struct guest *other;
		const struct lock_holder *holder = find_blocking(serve, try, &other);

		if (!holder)
			return false;
		if (other == guest && holder->owner == owner)
			return true;
		try = find_waiting(serve, other, holder->owner);
	}
	return false;
}

/* --- holders come to an end ------------------------------------------------------------------- */

static void holder_free(struct locks *locks, struct lock_holder *holder)
{
	if (holder->fd >= 0) {
		close(holder->fd);
		retry(&locks->serve->lock_waiters, holder);
	}
	free(holder);
}

/* Out of the list; its locks are released as soon as nobody uses it. */
static void drop(struct locks *locks, struct lock_holder *holder)
{
	struct lock_holder **at = &locks->holders;

	while (*at != holder)
		at = &(*at)->next;
	*at = holder->next;
	locks->n--;
	holder->dropped = true;
	if (holder->refs == 0)
		holder_free(locks, holder);
}

static void put(struct locks *locks, struct lock_holder *holder)
{
	assert(holder->refs > 0);
	if (--holder->refs == 0 && holder->dropped)
		holder_free(locks, holder);
}

void locks_release_handle(struct locks *locks, uint64_t handle)
{
	struct lock_holder *next;

	for (struct lock_holder *holder = locks->holders; holder; holder = next) {
		next = holder->next;
		if (holder->handle == handle)
			drop(locks, holder);
	}
}

void locks_deinit(struct locks *locks)
{
	while (locks->holders)
		drop(locks, locks->holders);
}

/* --- LOCK ------------------------------------------------------------------------------------- */

static int begin(struct work *work, struct lock_holder *holder, struct open_file *file)
{
	struct lock_try *try = calloc(1, sizeof(*try));

	if (!try) {
		if (file)
			opens_put(&work->guest->opens, file);
		return -ENOMEM;
	}
	try->work = work;
	try->file = file;
	try->holder = holder;
	holder->refs++;
	work->room = try;
	return WORK_BLOCKS;
}

/* Only a descriptor that can write can lock for writing, and so on (fcntl(2), EBADF). */
static bool mode_allows(const struct open_file *file, const struct args_lock *args)
{
	if (args->kind == LOCK_KIND_FLOCK || args->command == LOCK_GET || args->type == F_UNLCK)
		return true;
	return file->flags == O_RDWR ||
	       file->flags == (args->type == F_WRLCK ? O_WRONLY : O_RDONLY);
}

static int attempt_lock(struct work *work)
{
	const struct args_lock *args = work->args;
	struct guest *guest = work->guest;
	struct open_file *file = opens_find(&guest->opens, args->node, args->handle);
	struct lock_holder *holder;
	int error = 0;

	if (!file)
		return -EBADF;
	holder = find(&guest->locks, args->node, args->owner, (enum lock_kind)args->kind);
	if (!mode_allows(file, args))
		error = -EBADF;
	else if (!holder && args->type == F_UNLCK && args->command != LOCK_GET)
		work->result.lock.type = F_UNLCK; /* there was none */
	else if (!holder && !(holder = add(&guest->locks, args)))
		error = -ENOLCK;
	else
		return begin(work, holder, file);
	opens_put(&guest->opens, file);
	return error;
}

/* Opens the holder's descriptor anew from that of the open file. */
static int open_holder(struct lock_holder *holder, const struct open_file *file)
{
	static const int modes[] = {O_RDWR, O_RDONLY, O_WRONLY};
	char path[CONFINE_PROC_SIZE];
	struct stat st;

	confine_proc_path(file->fd, path);
	for (unsigned i = 0; i < 3 && holder->fd < 0; i++)
		holder->fd = open(path, modes[i] | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (holder->fd < 0)
		return -errno;
	if (fstat(holder->fd, &st) < 0)
		return -errno;
	holder->dev = st.st_dev;
	holder->ino = st.st_ino;
	return 0;
}

static int run_flock(const struct args_lock *args, int fd)
{
	int how = args->type == F_RDLCK ? LOCK_SH : args->type == F_WRLCK ? LOCK_EX : LOCK_UN;

	if (args->command == LOCK_GET)
		return -EINVAL;
	return flock(fd, how | LOCK_NB) < 0 ? -errno : 0;
}

static int run_lock(struct work *work)
{
	const struct args_lock *args = work->args;
	struct result_lock *result = &work->result.lock;
	struct lock_try *try = work->room;
	struct lock_holder *holder = try->holder;
	struct flock lock = {.l_type = (short)args->type,
			     .l_whence = SEEK_SET,
			     .l_start = (off_t)args->offset,
			     .l_len = (off_t)args->size};
	int error = holder->fd < 0 ? open_holder(holder, try->file) : 0;

	if (error < 0)
		return error;
	result->type = args->type;
	result->offset = args->offset;
	result->size = args->size;
	if (args->kind == LOCK_KIND_FLOCK)
		return run_flock(args, holder->fd);
	if (fcntl(holder->fd, args->command == LOCK_GET ? F_OFD_GETLK : F_OFD_SETLK, &lock) < 0)
		error = errno == EACCES ? -EAGAIN : -errno;
	if (error == -EAGAIN && args->command == LOCK_SET_WAIT &&
	    fcntl(holder->fd, F_OFD_GETLK, &lock) < 0)
		lock.l_type = F_UNLCK;
	if (args->command == LOCK_GET || error == -EAGAIN) {
		result->type = (uint64_t)lock.l_type;
		result->offset = (uint64_t)lock.l_start;
		result->size = (uint64_t)lock.l_len;
	}
	return error;
}

static void finish(struct work *work, int error)
{
	struct lock_try *try = work->room;
	struct guest *guest = work->guest;

	work->room = NULL;
	if (try) {
		if (try->waiting)
			take_out(&guest->serve->lock_waiters, try);
		if (try->file)
			opens_put(&guest->opens, try->file);
		put(&guest->locks, try->holder);
		free(try);
	}
	work_finish(work, error);
}

/* Who of the same client has the lock that LOCK_GET found; others' process ids mean nothing there.
 */
static uint64_t pid_of(const struct locks *locks, const struct lock_holder *asking,
		       const struct result_lock *lock)
{
	const struct lock_holder *holder = locks->holders;

	for (; holder; holder = holder->next)
		if (holder != asking && holder->kind == LOCK_KIND_POSIX && holder->fd >= 0 &&
		    holder->dev == asking->dev && holder->ino == asking->ino &&
		    fd_locks_has(holder->fd, lock))
			return holder->pid;
	return 0;
}

static void settle_lock(struct work *work, int error)
{
	const struct args_lock *args = work->args;
	struct lock_try *try = work->room;
	struct serve *serve = work->guest->serve;

	if (try && try->file) { /* a lock that waits must not keep the file from being closed */
		opens_put(&work->guest->opens, try->file);
		try->file = NULL;
	}
	if (try && try->holder->fd >= 0)
		try->holder->is_open = true;
	if (error == -EAGAIN && args->command == LOCK_SET_WAIT) {
		try->blocking = work->result.lock;
		if (work->cancelled) {
			error = -EINTR;
		} else if (would_wait_for_itself(serve, try)) {
			error = -EDEADLK;
		} else {
			wait(serve, try);
			return;
		}
	}
	if (error == 0 && try && args->command == LOCK_GET) {
		if (work->result.lock.type != F_UNLCK)
			work->result.lock.pid =
			    pid_of(&work->guest->locks, try->holder, &work->result.lock);
	} else if (error == 0 && try) {
		if (args->type != F_UNLCK) {
			try->holder->pid = args->pid;
			try->holder->has_lock = true;
		} else if (args->offset == 0 && args->size == 0) {
			try->holder->has_lock = false;
		}
		if (args->type != F_WRLCK)
			retry(&serve->lock_waiters, try->holder); /* released, or made less */
	}
	finish(work, error);
}

static void cancel_lock(struct work *work)
{
	struct lock_try *try = work->room;

	if (!try || !try->waiting || try->retrying)
		return;
	finish(work, -EINTR);
}

/* --- FLUSH ------------------------------------------------------------------------------------ */

static int attempt_flush(struct work *work)
{
	const struct args_flush *args = work->args;
	struct guest *guest = work->guest;
	struct lock_holder *holder = find(&guest->locks, args->node, args->owner, LOCK_KIND_POSIX);

	if (!holder || holder->fd < 0)
		return 0;
	return begin(work, holder, NULL);
}

static int run_flush(struct work *work)
{
	struct lock_try *try = work->room;
	struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	return fcntl(try->holder->fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static void settle_flush(struct work *work, int error)
{
	struct lock_try *try = work->room;
	struct locks *locks = &work->guest->locks;

	if (try) {
		retry(&locks->serve->lock_waiters, try->holder);
		if (try->holder->refs == 1 && !try->holder->dropped)
			drop(locks, try->holder);
	}
	finish(work, error);
}

const struct work_handler locks_handlers[] = {
    {.op = OP_LOCK,
     .order = ORDER_ALONE,
     .attempt = attempt_lock,
     .run = run_lock,
     .settle = settle_lock,
     .cancel = cancel_lock},
    {.op = OP_FLUSH,
     .order = ORDER_ALONE,
     .attempt = attempt_flush,
     .run = run_flush,
     .settle = settle_flush},
    {.op = 0},
};
