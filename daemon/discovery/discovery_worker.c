/*
 * The thread that speaks with avahi.
 *
 *   offline --connect--> waiting --RUNNING--> online --FAILURE--> offline (again after a pause)
 *
 * offline: no client: D-Bus is not there, or the last client broke. waiting: a client, but
 * avahi-daemon is not there yet, or is busy with its host name. online: browser and entry group
 * live. Whatever breaks ends the whole client: avahi frees its browsers, resolvers and groups with
 * it, the table is emptied, and the next client starts from nothing. Callbacks never free the
 * client, they only set `failed`.
 */
#include "daemon/discovery/discovery_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <avahi-common/error.h>

#include "daemon/discovery/discovery_browse.h"
#include "daemon/discovery/discovery_publish.h"
#include "daemon/log.h"

#define ROOM              "discovery"
#define CONNECT_PAUSE_MIN 500 /* ms */
#define CONNECT_PAUSE_MAX 8000
#define PIPE_DISTANCE     64 /* between the descriptors of a pipe, however busy the program is */
#define PIPE_NAME_MAX     64

/* Writes the state and logs a change. */
void discovery_worker_set_state(struct discovery_worker *worker, enum discovery_status status,
				const char *reason)
{
	struct discovery_shared *shared = worker->shared;

	pthread_mutex_lock(&shared->mutex);
	struct discovery_state *state = &shared->state;
	bool news = state->status != status || strcmp(state->reason, reason) != 0;
	state->status = status;
	snprintf(state->reason, sizeof(state->reason), "%s", reason);
	pthread_mutex_unlock(&shared->mutex);
	if (news && status == DISCOVERY_RUNNING)
		log_info(ROOM, "state=running reason=%s", LOG_VALUE(reason));
	else if (news)
		log_warning(ROOM, "state=unavailable reason=%s", LOG_VALUE(reason));
}

void discovery_worker_set_published(struct discovery_worker *worker, const char *service_name)
{
	struct discovery_shared *shared = worker->shared;

	pthread_mutex_lock(&shared->mutex);
	shared->state.published = service_name[0] != '\0';
	snprintf(shared->state.service_name, sizeof(shared->state.service_name), "%s",
		 service_name);
	pthread_mutex_unlock(&shared->mutex);
}

void discovery_worker_fail(struct discovery_worker *worker, const char *what)
{
	char reason[DISCOVERY_REASON_MAX];

	if (worker->failed)
		return;
	worker->failed = true;
	snprintf(reason, sizeof(reason), "%s: %s", what,
		 avahi_strerror(avahi_client_errno(worker->client)));
	discovery_worker_set_state(worker, DISCOVERY_UNAVAILABLE, reason);
}

/* ---- the client ---- */

static void on_client_state(AvahiClient *client, AvahiClientState state, void *arg)
{
	struct discovery_worker *worker = arg;

	worker->client = client; /* the first call comes from within avahi_client_new */
	worker->running = state == AVAHI_CLIENT_S_RUNNING;
	switch (state) {
	case AVAHI_CLIENT_S_RUNNING:
		worker->pause = CONNECT_PAUSE_MIN;
		discovery_worker_set_state(worker, DISCOVERY_RUNNING, "");
		discovery_browse_start(worker);
		if (!worker->failed)
			discovery_publish_update(worker);
		break;
	case AVAHI_CLIENT_S_REGISTERING:
	case AVAHI_CLIENT_S_COLLISION:
		/* The host name is in doubt, and with it where our service points to. */
		if (worker->group != NULL)
			avahi_entry_group_reset(worker->group);
		discovery_worker_set_published(worker, "");
		break;
	case AVAHI_CLIENT_CONNECTING:
		discovery_worker_set_state(worker, DISCOVERY_UNAVAILABLE,
					   "avahi-daemon is not running");
		break;
	case AVAHI_CLIENT_FAILURE:
		discovery_worker_fail(worker, "avahi-daemon");
		break;
	}
}

static void connect_client(struct discovery_worker *worker)
{
	char reason[DISCOVERY_REASON_MAX];
	int error = 0;

	worker->failed = false;
	worker->client =
	    avahi_client_new(worker->poll, AVAHI_CLIENT_NO_FAIL, on_client_state, worker, &error);
	if (worker->client != NULL)
		return;
	worker->failed = true;
	snprintf(reason, sizeof(reason), "no D-Bus system bus: %s", avahi_strerror(error));
	discovery_worker_set_state(worker, DISCOVERY_UNAVAILABLE, reason);
}

static void disconnect_client(struct discovery_worker *worker)
{
	struct discovery_shared *shared = worker->shared;

	if (worker->client != NULL)
		avahi_client_free(worker->client); /* and all that belongs to it */
	worker->client = NULL;
	worker->group = NULL;
	worker->running = false;
	discovery_browse_forget(worker);
	discovery_worker_set_published(worker, "");
	pthread_mutex_lock(&shared->mutex);
	discovery_table_clear(&shared->table);
	discovery_shared_wake_loop(shared);
	pthread_mutex_unlock(&shared->mutex);
}

/* ---- the thread ---- */

static void on_wake(AvahiWatch *watch, int fd, AvahiWatchEvent event, void *arg)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_error(ROOM, "eventfd=%s", strerror(errno));
}

/* Which pipe the descriptor is an end of: "pipe:[4711]". Asked of /proc, and not of the descriptor:
 * it may be another thread's, which is just closing it. */
static bool read_pipe_name(int fd, char ret_name[PIPE_NAME_MAX])
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, ret_name, PIPE_NAME_MAX - 1);
	if (n < 0)
		return false;
	ret_name[n] = '\0';
	return strncmp(ret_name, "pipe:", 5) == 0;
}

/*
 * poll(2), for avahi. It polls its own wake-up pipe first, which it made without O_CLOEXEC and
 * tells nobody of: found here, both ends, so that no child of the daemon inherits it.
 */
static int poll_fds(struct pollfd *fds, unsigned int n, int timeout, void *arg)
{
	struct discovery_worker *worker = arg;
	char pipe[PIPE_NAME_MAX], other[PIPE_NAME_MAX];

	if (!worker->pipe_is_private && n > 0 && read_pipe_name(fds[0].fd, pipe)) {
		for (int fd = fds[0].fd - PIPE_DISTANCE; fd <= fds[0].fd + PIPE_DISTANCE; fd++)
			if (fd >= 0 && read_pipe_name(fd, other) && strcmp(pipe, other) == 0)
				fcntl(fd, F_SETFD, FD_CLOEXEC);
		worker->pipe_is_private = true;
	}
	return poll(fds, n, timeout);
}

static bool is_stopping(struct discovery_worker *worker)
{
	pthread_mutex_lock(&worker->shared->mutex);
	bool stop = worker->shared->stop;
	pthread_mutex_unlock(&worker->shared->mutex);
	return stop;
}

static bool wants_other_announcement(struct discovery_worker *worker)
{
	struct discovery_shared *shared = worker->shared;

	pthread_mutex_lock(&shared->mutex);
	bool other = shared->publish != worker->published ||
		     (shared->publish && shared->port != worker->published_port);
	pthread_mutex_unlock(&shared->mutex);
	return other;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the next connect, or the stop. */
static void pause_worker(struct discovery_worker *worker)
{
	int64_t end = now_ms() + worker->pause, left;

	while (!is_stopping(worker) && (left = end - now_ms()) > 0)
		if (avahi_simple_poll_iterate(worker->loop, (int)left) != 0)
			break;
	worker->pause *= 2;
	if (worker->pause > CONNECT_PAUSE_MAX)
		worker->pause = CONNECT_PAUSE_MAX;
}

static void run(struct discovery_worker *worker)
{
	while (!is_stopping(worker)) {
		connect_client(worker);
		while (!worker->failed && !is_stopping(worker)) {
			if (worker->running && wants_other_announcement(worker))
				discovery_publish_update(worker);
			else if (avahi_simple_poll_iterate(worker->loop, -1) != 0)
				discovery_worker_fail(worker, "poll failed");
		}
		disconnect_client(worker);
		if (worker->failed)
			pause_worker(worker);
	}
}

void *discovery_worker_run(void *arg)
{
	struct discovery_shared *shared = arg;
	struct discovery_worker worker = {.shared = shared, .pause = CONNECT_PAUSE_MIN};
	AvahiWatch *watch = NULL;
	sigset_t all;

	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	pthread_setname_np(pthread_self(), "discovery");

	worker.loop = avahi_simple_poll_new();
	if (worker.loop != NULL) {
		avahi_simple_poll_set_func(worker.loop, poll_fds, &worker);
		worker.poll = avahi_simple_poll_get(worker.loop);
		watch = worker.poll->watch_new(worker.poll, shared->wake_fd, AVAHI_WATCH_IN,
					       on_wake, NULL);
	}
	if (watch != NULL)
		run(&worker);
	else
		discovery_worker_set_state(&worker, DISCOVERY_UNAVAILABLE, "out of memory");
	if (watch != NULL)
		worker.poll->watch_free(watch);
	if (worker.loop != NULL)
		avahi_simple_poll_free(worker.loop);

	pthread_mutex_lock(&shared->mutex);
	shared->ended = true;
	discovery_shared_wake_loop(shared);
	pthread_mutex_unlock(&shared->mutex);
	discovery_shared_unref(shared);
	return NULL;
}
