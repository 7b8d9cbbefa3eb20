/*
 * Looking for others. An "announcement" is what the browser tells: a name on one interface by one
 * protocol. Each keeps its resolver open for as long as it stands, because only an open resolver
 * says when address, port or TXT change; one that failed is tried again by a timer.
 */
#include "daemon/discovery/discovery_browse.h"

#include <stdlib.h>
#include <string.h>

#include <avahi-common/domain.h>
#include <avahi-common/timeval.h>

#include "daemon/log.h"

#define ROOM              "discovery"
#define ANNOUNCEMENTS_MAX 512
#define TXT_MAX           32
#define RESOLVE_PAUSE     5000 /* ms */

struct announcement {
	struct discovery_worker *worker;
	struct announcement *next; /* in worker.announcements */
	unsigned origin;           /* its name in the table; never used again */
	AvahiIfIndex interface;
	AvahiProtocol protocol;
	AvahiServiceResolver *resolver; /* NULL: failed, tried again by the timer */
	char name[AVAHI_LABEL_MAX];
	char domain[AVAHI_DOMAIN_NAME_MAX];
};

static void withdraw(struct announcement *announcement)
{
	struct discovery_shared *shared = announcement->worker->shared;

	pthread_mutex_lock(&shared->mutex);
	discovery_table_remove(&shared->table, announcement->origin);
	discovery_shared_wake_loop(shared);
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
	struct discovery_worker *worker = announcement->worker;
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
	discovery_shared_wake_loop(shared);
	pthread_mutex_unlock(&shared->mutex);
	if (r < 0)
		log_debug(ROOM, "ignored=too-many service=%s", LOG_VALUE(name));
}

static void resolve(struct announcement *announcement)
{
	struct discovery_worker *worker = announcement->worker;

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
	struct discovery_worker *worker = arg;
	struct timeval when;

	for (struct announcement *a = worker->announcements; a != NULL; a = a->next)
		if (a->resolver == NULL)
			resolve(a);
	worker->poll->timeout_update(timer, avahi_elapse_time(&when, RESOLVE_PAUSE, 0));
}

static struct announcement **find_announcement(struct discovery_worker *worker,
					       AvahiIfIndex interface, AvahiProtocol protocol,
					       const char *name, const char *domain)
{
	struct announcement **at = &worker->announcements;

	while (*at != NULL &&
	       ((*at)->interface != interface || (*at)->protocol != protocol ||
		strcmp((*at)->name, name) != 0 || strcmp((*at)->domain, domain) != 0))
		at = &(*at)->next;
	return at;
}

static void add_announcement(struct discovery_worker *worker, AvahiIfIndex interface,
			     AvahiProtocol protocol, const char *name, const char *domain)
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

static void remove_announcement(struct discovery_worker *worker, struct announcement **at)
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
	struct discovery_worker *worker = arg;
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
		discovery_worker_fail(worker, "browsing failed");
		break;
	case AVAHI_BROWSER_CACHE_EXHAUSTED:
	case AVAHI_BROWSER_ALL_FOR_NOW:
		break;
	}
}

void discovery_browse_start(struct discovery_worker *worker)
{
	struct timeval when;

	if (worker->browser != NULL)
		return;
	worker->browser =
	    avahi_service_browser_new(worker->client, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
				      DISCOVERY_TYPE, NULL, 0, on_browsed, worker);
	if (worker->browser == NULL) {
		discovery_worker_fail(worker, "browsing failed");
		return;
	}
	worker->resolve_timer = worker->poll->timeout_new(
	    worker->poll, avahi_elapse_time(&when, RESOLVE_PAUSE, 0), on_resolve_timer, worker);
}

void discovery_browse_forget(struct discovery_worker *worker)
{
	struct announcement *announcement;

	while ((announcement = worker->announcements) != NULL) {
		worker->announcements = announcement->next;
		free(announcement);
	}
	if (worker->resolve_timer != NULL)
		worker->poll->timeout_free(worker->resolve_timer);
	worker->n_announcements = 0;
	worker->resolve_timer = NULL;
	worker->browser = NULL;
	worker->full = false;
}
