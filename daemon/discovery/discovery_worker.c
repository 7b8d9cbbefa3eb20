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
 *
 * An "announcement" is what the browser tells: a name on one interface by one protocol. Each keeps
 * its resolver open for as long as it stands, because only an open resolver says when address, port
 * or TXT change.
 */
#include "daemon/discovery/discovery_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/domain.h>
#include <avahi-common/error.h>
#include <avahi-common/simple-watch.h>
#include <avahi-common/timeval.h>

#include "daemon/log.h"

#define ROOM              "discovery"
#define ANNOUNCEMENTS_MAX 512
#define TXT_MAX           32
#define CONNECT_PAUSE_MIN 500 /* ms */
#define CONNECT_PAUSE_MAX 8000
#define PIPE_DISTANCE     64 /* between the descriptors of a pipe, however busy the program is */
#define RESOLVE_PAUSE     5000

struct announcement {
	struct worker *worker;
	struct announcement *next; /* in worker.announcements */
	unsigned origin;           /* its name in the table; never used again */
	AvahiIfIndex interface;
	AvahiProtocol protocol;
	AvahiServiceResolver *resolver; /* NULL: failed, tried again by the timer */
	char name[AVAHI_LABEL_MAX];
	char domain[AVAHI_DOMAIN_NAME_MAX];
};

struct worker {
	struct discovery_shared *shared;
	AvahiSimplePoll *loop;
	const AvahiPoll *poll;
	/* Of the present client. */
	AvahiClient *client;
	AvahiServiceBrowser *browser;
	AvahiEntryGroup *group;
	AvahiTimeout *resolve_timer;
	bool running; /* the server is: publishing makes sense */
	bool failed;
	bool full; /* said so */
	struct announcement *announcements;
	unsigned n_announcements;
	/* What was last given to avahi. */
	bool published;
	uint16_t published_port;
	/* For good. */
	unsigned name_attempt; /* see discovery_service_announced_name */
	unsigned n_origins;
	int pause; /* before the next connect, ms */
	bool pipe_is_private;
};

static void wake_loop_locked(struct discovery_shared *shared)
{
	if (shared->async != NULL)
		uv_async_send(shared->async);
}

/* Writes the state and logs a change. */
static void set_state(struct worker *worker, enum discovery_status status, const char *reason)
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

static void set_published(struct worker *worker, const char *service_name)
{
	struct discovery_shared *shared = worker->shared;

	pthread_mutex_lock(&shared->mutex);
	shared->state.published = service_name[0] != '\0';
	snprintf(shared->state.service_name, sizeof(shared->state.service_name), "%s",
		 service_name);
	pthread_mutex_unlock(&shared->mutex);
}

static void fail_client(struct worker *worker, const char *what)
{
	char reason[DISCOVERY_REASON_MAX];

	if (worker->failed)
		return;
	worker->failed = true;
	snprintf(reason, sizeof(reason), "%s: %s", what,
		 avahi_strerror(avahi_client_errno(worker->client)));
	set_state(worker, DISCOVERY_UNAVAILABLE, reason);
}

/* ---- looking for others ---- */

static void withdraw(struct announcement *announcement)
{
	struct discovery_shared *shared = announcement->worker->shared;

	pthread_mutex_lock(&shared->mutex);
	discovery_table_remove(&shared->table, announcement->origin);
	wake_loop_locked(shared);
	pthread_mutex_unlock(&shared->mutex);
}

static int read_service(const char *name, const AvahiAddress *address, AvahiIfIndex interface,
			uint16_t port, AvahiStringList *list, AvahiLookupResultFlags flags,
			struct discovery_service *ret)
{
	struct discovery_txt txt[TXT_MAX];
	size_t n_txt = 0;
	int r;

	for (; list != NULL && n_txt < TXT_MAX; list = avahi_string_list_get_next(list))
		txt[n_txt++] = (struct discovery_txt){avahi_string_list_get_text(list),
						      avahi_string_list_get_size(list)};
	r = discovery_service_parse(txt, n_txt, name, ret);
	if (r < 0)
		return r;
	r = discovery_service_address(avahi_proto_to_af(address->proto), &address->data, port,
				      interface > 0 ? (unsigned)interface : 0,
				      (flags & AVAHI_LOOKUP_RESULT_LOCAL) != 0, &ret->addresses[0]);
	ret->n_addresses = 1;
	return r;
}

static void on_resolved(AvahiServiceResolver *resolver, AvahiIfIndex interface,
			AvahiProtocol protocol, AvahiResolverEvent event, const char *name,
			const char *type, const char *domain, const char *host_name,
			const AvahiAddress *address, uint16_t port, AvahiStringList *txt,
			AvahiLookupResultFlags flags, void *arg)
{
	struct announcement *announcement = arg;
	struct worker *worker = announcement->worker;
	struct discovery_shared *shared = worker->shared;
	struct discovery_service service;
	int r;

	if (event == AVAHI_RESOLVER_FAILURE) {
		avahi_service_resolver_free(resolver);
		announcement->resolver = NULL;
		withdraw(announcement);
		return;
	}
	if (read_service(name, address, interface, port, txt, flags, &service) < 0) {
		log_debug(ROOM, "ignored=malformed service=%s", LOG_VALUE(name));
		withdraw(announcement);
		return;
	}
	if (strcmp(service.id, shared->id) == 0) {
		withdraw(announcement);
		return;
	}
	pthread_mutex_lock(&shared->mutex);
	r = discovery_table_put(&shared->table, announcement->origin, &service);
	wake_loop_locked(shared);
	pthread_mutex_unlock(&shared->mutex);
	if (r < 0)
		log_debug(ROOM, "ignored=too-many service=%s", LOG_VALUE(name));
}

static void resolve(struct announcement *announcement)
{
	struct worker *worker = announcement->worker;

	/* The address family of the protocol: over IPv4 for IPv4, over IPv6 for IPv6. */
	announcement->resolver = avahi_service_resolver_new(
	    worker->client, announcement->interface, announcement->protocol, announcement->name,
	    DISCOVERY_TYPE, announcement->domain, announcement->protocol, 0, on_resolved,
	    announcement);
	if (announcement->resolver == NULL)
		log_debug(ROOM, "ignored=unresolvable service=%s", LOG_VALUE(announcement->name));
}

static void on_resolve_timer(AvahiTimeout *timer, void *arg)
{
	struct worker *worker = arg;
	struct timeval when;

	for (struct announcement *a = worker->announcements; a != NULL; a = a->next)
		if (a->resolver == NULL)
			resolve(a);
	worker->poll->timeout_update(timer, avahi_elapse_time(&when, RESOLVE_PAUSE, 0));
}

static struct announcement **find_announcement(struct worker *worker, AvahiIfIndex interface,
					       AvahiProtocol protocol, const char *name,
					       const char *domain)
{
	struct announcement **at = &worker->announcements;

	while (*at != NULL &&
	       ((*at)->interface != interface || (*at)->protocol != protocol ||
		strcmp((*at)->name, name) != 0 || strcmp((*at)->domain, domain) != 0))
		at = &(*at)->next;
	return at;
}

static void add_announcement(struct worker *worker, AvahiIfIndex interface, AvahiProtocol protocol,
			     const char *name, const char *domain)
{
	struct announcement *announcement;

	if (worker->n_announcements == ANNOUNCEMENTS_MAX) {
		if (!worker->full)
			log_warning(ROOM, "ignored=too-many limit=%d", ANNOUNCEMENTS_MAX);
		worker->full = true;
		return;
	}
	if (strlen(name) >= sizeof(announcement->name) ||
	    strlen(domain) >= sizeof(announcement->domain))
		return;
	announcement = calloc(1, sizeof(*announcement));
	if (announcement == NULL)
		return;
	announcement->worker = worker;
	announcement->origin = ++worker->n_origins;
	announcement->interface = interface;
	announcement->protocol = protocol;
	strcpy(announcement->name, name);
	strcpy(announcement->domain, domain);
	announcement->next = worker->announcements;
	worker->announcements = announcement;
	worker->n_announcements++;
	resolve(announcement);
}

static void remove_announcement(struct worker *worker, struct announcement **at)
{
	struct announcement *announcement = *at;

	*at = announcement->next;
	worker->n_announcements--;
	withdraw(announcement);
	if (announcement->resolver != NULL)
		avahi_service_resolver_free(announcement->resolver);
	free(announcement);
}

static void on_browsed(AvahiServiceBrowser *browser, AvahiIfIndex interface, AvahiProtocol protocol,
		       AvahiBrowserEvent event, const char *name, const char *type,
		       const char *domain, AvahiLookupResultFlags flags, void *arg)
{
	struct worker *worker = arg;
	struct announcement **at;

	switch (event) {
	case AVAHI_BROWSER_NEW:
		at = find_announcement(worker, interface, protocol, name, domain);
		if (*at == NULL)
			add_announcement(worker, interface, protocol, name, domain);
		break;
	case AVAHI_BROWSER_REMOVE:
		at = find_announcement(worker, interface, protocol, name, domain);
		if (*at != NULL)
			remove_announcement(worker, at);
		break;
	case AVAHI_BROWSER_FAILURE:
		fail_client(worker, "browsing failed");
		break;
	case AVAHI_BROWSER_CACHE_EXHAUSTED:
	case AVAHI_BROWSER_ALL_FOR_NOW:
		break;
	}
}

static void browse(struct worker *worker)
{
	struct timeval when;

	if (worker->browser != NULL)
		return;
	worker->browser =
	    avahi_service_browser_new(worker->client, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
				      DISCOVERY_TYPE, NULL, 0, on_browsed, worker);
	if (worker->browser == NULL) {
		fail_client(worker, "browsing failed");
		return;
	}
	worker->resolve_timer = worker->poll->timeout_new(
	    worker->poll, avahi_elapse_time(&when, RESOLVE_PAUSE, 0), on_resolve_timer, worker);
}

/* ---- announcing ourselves ---- */

static void publish(struct worker *worker);

static void on_group_state(AvahiEntryGroup *group, AvahiEntryGroupState state, void *arg)
{
	struct worker *worker = arg;
	char name[DISCOVERY_NAME_MAX + 1];

	switch (state) {
	case AVAHI_ENTRY_GROUP_ESTABLISHED:
		discovery_service_announced_name(worker->shared->name, worker->shared->id,
						 worker->name_attempt, name);
		set_published(worker, name);
		log_info(ROOM, "announced=%s port=%u", LOG_VALUE(name), worker->published_port);
		break;
	case AVAHI_ENTRY_GROUP_COLLISION:
		worker->name_attempt++;
		publish(worker);
		break;
	case AVAHI_ENTRY_GROUP_FAILURE:
		fail_client(worker, "announcing failed");
		break;
	case AVAHI_ENTRY_GROUP_UNCOMMITED:
	case AVAHI_ENTRY_GROUP_REGISTERING:
		break;
	}
}

/* Adds our service to the empty group, under the first name that this machine's avahi takes. */
static int add_service(struct worker *worker)
{
	const struct discovery_shared *shared = worker->shared;
	char name[DISCOVERY_NAME_MAX + 1], id[48], v[48], caps[160], our_name[80];
	int r;

	snprintf(id, sizeof(id), "id=%s", shared->id);
	snprintf(our_name, sizeof(our_name), "name=%s", shared->name);
	snprintf(v, sizeof(v), "v=%s", shared->version);
	snprintf(caps, sizeof(caps), "caps=%s", shared->caps);
	do {
		if (discovery_service_announced_name(shared->name, shared->id, worker->name_attempt,
						     name) < 0)
			return AVAHI_ERR_COLLISION;
		r = avahi_entry_group_add_service(
		    worker->group, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, 0, name, DISCOVERY_TYPE,
		    NULL, NULL, worker->published_port, id, our_name, v, caps, (char *)NULL);
	} while (r == AVAHI_ERR_COLLISION && ++worker->name_attempt > 0);
	return r;
}

/* Makes the announcement what the loop wants it to be. */
static void publish(struct worker *worker)
{
	struct discovery_shared *shared = worker->shared;
	int r = 0;

	pthread_mutex_lock(&shared->mutex);
	worker->published = shared->publish;
	worker->published_port = shared->port;
	pthread_mutex_unlock(&shared->mutex);

	set_published(worker, "");
	if (worker->group != NULL)
		avahi_entry_group_reset(worker->group);
	if (!worker->published)
		return;
	if (worker->group == NULL)
		worker->group = avahi_entry_group_new(worker->client, on_group_state, worker);
	if (worker->group == NULL) {
		fail_client(worker, "announcing failed");
		return;
	}
	r = add_service(worker);
	if (r == AVAHI_ERR_COLLISION)
		set_state(worker, DISCOVERY_RUNNING, "all names to announce are taken");
	else if (r < 0 || avahi_entry_group_commit(worker->group) < 0)
		fail_client(worker, "announcing failed");
}

/* ---- the client ---- */

static void on_client_state(AvahiClient *client, AvahiClientState state, void *arg)
{
	struct worker *worker = arg;

	worker->client = client; /* the first call comes from within avahi_client_new */
	worker->running = state == AVAHI_CLIENT_S_RUNNING;
	switch (state) {
	case AVAHI_CLIENT_S_RUNNING:
		worker->pause = CONNECT_PAUSE_MIN;
		set_state(worker, DISCOVERY_RUNNING, "");
		browse(worker);
		if (!worker->failed)
			publish(worker);
		break;
	case AVAHI_CLIENT_S_REGISTERING:
	case AVAHI_CLIENT_S_COLLISION:
		/* The host name is in doubt, and with it where our service points to. */
		if (worker->group != NULL)
			avahi_entry_group_reset(worker->group);
		set_published(worker, "");
		break;
	case AVAHI_CLIENT_CONNECTING:
		set_state(worker, DISCOVERY_UNAVAILABLE, "avahi-daemon is not running");
		break;
	case AVAHI_CLIENT_FAILURE:
		fail_client(worker, "avahi-daemon");
		break;
	}
}

static void connect_client(struct worker *worker)
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
	set_state(worker, DISCOVERY_UNAVAILABLE, reason);
}

static void disconnect_client(struct worker *worker)
{
	struct discovery_shared *shared = worker->shared;
	struct announcement *announcement;

	if (worker->resolve_timer != NULL)
		worker->poll->timeout_free(worker->resolve_timer);
	if (worker->client != NULL)
		avahi_client_free(worker->client); /* and all that belongs to it */
	while ((announcement = worker->announcements) != NULL) {
		worker->announcements = announcement->next;
		free(announcement);
	}
	worker->n_announcements = 0;
	worker->resolve_timer = NULL;
	worker->client = NULL;
	worker->browser = NULL;
	worker->group = NULL;
	worker->running = false;
	worker->full = false;
	set_published(worker, "");
	pthread_mutex_lock(&shared->mutex);
	discovery_table_clear(&shared->table);
	wake_loop_locked(shared);
	pthread_mutex_unlock(&shared->mutex);
}

/* ---- the thread ---- */

static void on_wake(AvahiWatch *watch, int fd, AvahiWatchEvent event, void *arg)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_error(ROOM, "eventfd=%s", strerror(errno));
}

/*
 * poll(2), for avahi. It polls its own wake-up pipe first, which it made without O_CLOEXEC and
 * tells nobody of: found here, both ends, so that no child of the daemon inherits it.
 */
static int poll_fds(struct pollfd *fds, unsigned int n, int timeout, void *arg)
{
	struct worker *worker = arg;
	struct stat pipe, other;

	if (!worker->pipe_is_private && n > 0 && fstat(fds[0].fd, &pipe) == 0) {
		for (int fd = fds[0].fd - PIPE_DISTANCE; fd <= fds[0].fd + PIPE_DISTANCE; fd++)
			if (fd >= 0 && fstat(fd, &other) == 0 && S_ISFIFO(other.st_mode) &&
			    other.st_dev == pipe.st_dev && other.st_ino == pipe.st_ino)
				fcntl(fd, F_SETFD, FD_CLOEXEC);
		worker->pipe_is_private = true;
	}
	return poll(fds, n, timeout);
}

static bool is_stopping(struct worker *worker)
{
	pthread_mutex_lock(&worker->shared->mutex);
	bool stop = worker->shared->stop;
	pthread_mutex_unlock(&worker->shared->mutex);
	return stop;
}

static bool wants_other_announcement(struct worker *worker)
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
static void pause_worker(struct worker *worker)
{
	int64_t end = now_ms() + worker->pause, left;

	while (!is_stopping(worker) && (left = end - now_ms()) > 0)
		if (avahi_simple_poll_iterate(worker->loop, (int)left) != 0)
			break;
	worker->pause *= 2;
	if (worker->pause > CONNECT_PAUSE_MAX)
		worker->pause = CONNECT_PAUSE_MAX;
}

static void run(struct worker *worker)
{
	while (!is_stopping(worker)) {
		connect_client(worker);
		while (!worker->failed && !is_stopping(worker)) {
			if (worker->running && wants_other_announcement(worker))
				publish(worker);
			else if (avahi_simple_poll_iterate(worker->loop, -1) != 0)
				fail_client(worker, "poll failed");
		}
		disconnect_client(worker);
		if (worker->failed)
			pause_worker(worker);
	}
}

void *discovery_worker_run(void *arg)
{
	struct discovery_shared *shared = arg;
	struct worker worker = {.shared = shared, .pause = CONNECT_PAUSE_MIN};
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
		set_state(&worker, DISCOVERY_UNAVAILABLE, "out of memory");
	if (watch != NULL)
		worker.poll->watch_free(watch);
	if (worker.loop != NULL)
		avahi_simple_poll_free(worker.loop);

	pthread_mutex_lock(&shared->mutex);
	shared->ended = true;
	wake_loop_locked(shared);
	pthread_mutex_unlock(&shared->mutex);
	discovery_worker_shared_unref(shared);
	return NULL;
}

struct discovery_shared *discovery_worker_shared_new(const struct discovery_config *config)
{
	struct discovery_shared *shared = calloc(1, sizeof(*shared));

	if (shared == NULL)
		return NULL;
	shared->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shared->wake_fd < 0) {
		free(shared);
		return NULL;
	}
	pthread_mutex_init(&shared->mutex, NULL);
	snprintf(shared->name, sizeof(shared->name), "%s", config->name);
	snprintf(shared->id, sizeof(shared->id), "%s", config->id);
	snprintf(shared->version, sizeof(shared->version), "%s", config->version);
	snprintf(shared->caps, sizeof(shared->caps), "%s", config->caps);
	shared->publish = config->publish;
	shared->port = config->port;
	shared->n_refs = 1;
	return shared;
}

void discovery_worker_shared_unref(struct discovery_shared *shared)
{
	pthread_mutex_lock(&shared->mutex);
	unsigned n_refs = --shared->n_refs;
	pthread_mutex_unlock(&shared->mutex);
	if (n_refs > 0)
		return;
	pthread_mutex_destroy(&shared->mutex);
	close(shared->wake_fd);
	free(shared);
}

void discovery_worker_wake(struct discovery_shared *shared)
{
	uint64_t one = 1;

	if (write(shared->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error(ROOM, "eventfd=%s", strerror(errno));
}
