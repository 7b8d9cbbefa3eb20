/*
 * Announcing ourselves: one entry group with one service, under the first name that nobody has.
 */
#include "daemon/discovery/discovery_publish.h"

#include <stdio.h>

#include <avahi-common/error.h>

#include "daemon/log.h"

#define ROOM "discovery"

static void on_group_state(AvahiEntryGroup *group, AvahiEntryGroupState state, void *arg)
{
	struct discovery_worker *worker = arg;
	char name[DISCOVERY_NAME_MAX + 1];

	switch (state) {
	case AVAHI_ENTRY_GROUP_ESTABLISHED:
		discovery_service_announced_name(worker->shared->name, worker->shared->id,
						 worker->name_attempt, name);
		discovery_worker_set_published(worker, name);
		log_info(ROOM, "announced=%s port=%u", LOG_VALUE(name), worker->published_port);
		break;
	case AVAHI_ENTRY_GROUP_COLLISION:
		worker->name_attempt++;
		discovery_publish_update(worker);
		break;
	case AVAHI_ENTRY_GROUP_FAILURE:
		discovery_worker_fail(worker, "announcing failed");
		break;
	case AVAHI_ENTRY_GROUP_UNCOMMITED:
	case AVAHI_ENTRY_GROUP_REGISTERING:
		break;
	}
}

/* Adds our service to the empty group, under the first name that this machine's avahi takes. */
static int add_service(struct discovery_worker *worker)
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

void discovery_publish_update(struct discovery_worker *worker)
{
	struct discovery_shared *shared = worker->shared;
	int r = 0;

	pthread_mutex_lock(&shared->mutex);
	worker->published = shared->publish;
	worker->published_port = shared->port;
	pthread_mutex_unlock(&shared->mutex);

	discovery_worker_set_published(worker, "");
	if (worker->group != NULL)
		avahi_entry_group_reset(worker->group);
	if (!worker->published)
		return;
	if (worker->group == NULL)
		worker->group = avahi_entry_group_new(worker->client, on_group_state, worker);
	if (worker->group == NULL) {
		discovery_worker_fail(worker, "announcing failed");
		return;
	}
	r = add_service(worker);
	if (r == AVAHI_ERR_COLLISION)
		discovery_worker_set_state(worker, DISCOVERY_RUNNING,
					   "all names to announce are taken");
	else if (r < 0 || avahi_entry_group_commit(worker->group) < 0)
		discovery_worker_fail(worker, "announcing failed");
}
