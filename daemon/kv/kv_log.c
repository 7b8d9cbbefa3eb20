#include "daemon/kv/kv_log.h"

#include <stdlib.h>
#include <string.h>

/* Meta with the key cut to its size. */
struct kv_logged {
	enum kv_change_kind kind;
	size_t size; /* of all of it */
	struct kv_meta meta;
};

static struct kv_logged *at(const struct kv_log *log, uint64_t number)
{
	return log->ring[number % KV_LOG_MAX];
}

static void drop_first(struct kv_log *log)
{
	struct kv_logged *logged = at(log, log->first++);

	log->floor = logged->meta.version;
	log->bytes -= logged->size;
	free(logged);
}

static void drop_all(struct kv_log *log)
{
	while (log->first < log->next)
		drop_first(log);
}

void kv_log_forget(struct kv_log *log, uint64_t version)
{
	drop_all(log);
	log->floor = log->version = version;
}

void kv_log_deinit(struct kv_log *log)
{
	drop_all(log);
	free(log->ring);
	*log = (struct kv_log){0};
}

void kv_log_add(struct kv_log *log, enum kv_change_kind kind, const struct kv_meta *meta)
{
	size_t used = offsetof(struct kv_meta, key) + meta->key_size;
	size_t size = offsetof(struct kv_logged, meta) + used;
	struct kv_logged *logged;

	if (!log->ring)
		log->ring = calloc(KV_LOG_MAX, sizeof(struct kv_logged *));
	logged = log->ring ? malloc(size) : NULL;
	if (!logged) {
		kv_log_forget(log, meta->version);
		return;
	}
	log->version = meta->version;
	while (log->first < log->next &&
	       (log->next - log->first == KV_LOG_MAX || log->bytes + size > KV_LOG_BYTES))
		drop_first(log);
	logged->kind = kind;
	logged->size = size;
	memcpy(&logged->meta, meta, used);
	log->ring[log->next++ % KV_LOG_MAX] = logged;
	log->bytes += size;
}

uint64_t kv_log_find(const struct kv_log *log, uint64_t version)
{
	uint64_t low = log->first, high = log->next;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (at(log, middle)->meta.version <= version)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t kv_log_version(const struct kv_log *log, uint64_t number)
{
	return at(log, number)->meta.version;
}

enum kv_change_kind kv_log_kind(const struct kv_log *log, uint64_t number)
{
	return at(log, number)->kind;
}

struct bytes kv_log_key(const struct kv_log *log, uint64_t number)
{
	const struct kv_meta *meta = &at(log, number)->meta;

	return (struct bytes){(const uint8_t *)meta->key, meta->key_size};
}

void kv_log_meta(const struct kv_log *log, uint64_t number, struct kv_meta *ret_meta)
{
	const struct kv_logged *logged = at(log, number);

	memcpy(ret_meta, &logged->meta, logged->size - offsetof(struct kv_logged, meta));
}
