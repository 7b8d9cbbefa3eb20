#include "daemon/discovery/discovery_shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/log.h"

struct discovery_shared *discovery_shared_new(const struct discovery_config *config)
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

void discovery_shared_unref(struct discovery_shared *shared)
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

void discovery_shared_wake_worker(struct discovery_shared *shared)
{
	uint64_t one = 1;

	if (write(shared->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("discovery", "eventfd=%s", strerror(errno));
}

void discovery_shared_wake_loop(struct discovery_shared *shared)
{
	if (shared->async != NULL)
		uv_async_send(shared->async);
}
