#include "fs_fake_kv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX  64
#define CHANGES_MAX 256
#define PAGE        2 /* keys */

struct value {
	char key[64];
	uint64_t version, size, ttl_ms;
};

struct fs_fake_kv {
	struct value values[VALUES_MAX]; /* in the order of their keys */
	size_t n_values;
	struct value changes[CHANGES_MAX]; /* size UINT64_MAX: deleted */
	size_t n_changes;
};

static struct fs_fake_kv *store(struct fs_fake *fake)
{
	if (!fake->kv)
		fake->kv = calloc(1, sizeof(*fake->kv));
	return fake->kv;
}

static struct kv_entry entry_of(const struct value *value)
{
	return (struct kv_entry){
	    .key = {(const uint8_t *)value->key, strlen(value->key)},
	    .version = value->version,
	    .size = value->size == UINT64_MAX ? 0 : value->size,
	    .changed = {.tv_sec = 1000000000 + (time_t)value->version},
	    .ttl_ms = value->ttl_ms,
	};
}

/* Where it is, or would be. */
static size_t place_of(const struct fs_fake_kv *kv, const char *key, bool *ret_is_there)
{
	size_t i = 0;

	while (i < kv->n_values && strcmp(kv->values[i].key, key) < 0)
		i++;
	*ret_is_there = i < kv->n_values && strcmp(kv->values[i].key, key) == 0;
	return i;
}

static struct value *change(struct fs_fake_kv *kv, const char *key, uint64_t size, uint64_t ttl_ms)
{
	struct value *made = &kv->changes[kv->n_changes];

	assert(kv->n_changes < CHANGES_MAX && strlen(key) < sizeof(made->key));
	*made = (struct value){.version = ++kv->n_changes, .size = size, .ttl_ms = ttl_ms};
	strcpy(made->key, key);
	return made;
}

void fs_fake_kv_set(struct fs_fake *fake, const char *key, uint64_t size, uint64_t ttl_ms)
{
	struct fs_fake_kv *kv = store(fake);
	bool is_there;
	size_t i = place_of(kv, key, &is_there);

	assert(kv->n_values < VALUES_MAX);
	if (!is_there) {
		memmove(&kv->values[i + 1], &kv->values[i],
			(kv->n_values - i) * sizeof(kv->values[0]));
		kv->n_values++;
	}
	kv->values[i] = *change(kv, key, size, ttl_ms);
}

void fs_fake_kv_del(struct fs_fake *fake, const char *key)
{
	struct fs_fake_kv *kv = store(fake);
	bool is_there;
	size_t i = place_of(kv, key, &is_there);

	assert(is_there);
	kv->n_values--;
	memmove(&kv->values[i], &kv->values[i + 1], (kv->n_values - i) * sizeof(kv->values[0]));
	change(kv, key, UINT64_MAX, 0);
}

static int list(const struct fs_fake_kv *kv, const struct args_kv_list *args,
		struct result_kv_list *result, struct buffer *scratch)
{
	char *after = bytes_to_text(args->after);

	result->version = kv->n_changes;
	for (size_t i = 0; i < kv->n_values; i++) {
		struct kv_entry entry = entry_of(&kv->values[i]);

		if (strcmp(kv->values[i].key, after) <= 0)
			continue;
		result->rest = result->entries.n == PAGE;
		if (result->rest)
			break;
		codec_list_append(&result->entries, scratch, &kv_entry_record, &entry);
	}
	codec_list_finish(&result->entries, scratch);
	free(after);
	return 0;
}

int fs_fake_kv_answer(struct fs_fake *fake, uint16_t op, const void *args, void *result,
		      size_t *call_at, struct buffer *scratch)
{
	struct fs_fake_kv *kv = store(fake);
	/* That of all but LIST and WATCH comes first. */
	char *key = op == OP_KV_SET || op == OP_KV_LIST || op == OP_KV_WATCH
			? NULL
			: bytes_to_text(((const struct args_kv_stat *)args)->key);
	bool is_there = false;
	size_t i = key ? place_of(kv, key, &is_there) : 0;
	int error = 0;

	switch (op) {
	case OP_KV_LIST:
		error = list(kv, args, result, scratch);
		break;
	case OP_KV_WATCH:
		*call_at = kv->n_changes;
		((struct result_kv_watch *)result)->version = kv->n_changes;
		break;
	case OP_KV_SET: {
		const struct args_kv_set *set = args;

		key = bytes_to_text(set->key);
		i = place_of(kv, key, &is_there);
		fs_fake_kv_set(fake, key,
			       set->flags & KV_KEEP_VALUE && is_there ? kv->values[i].size
								      : set->value.size,
			       set->ttl_ms);
		((struct result_kv_set *)result)->entry =
		    entry_of(&kv->values[place_of(kv, key, &is_there)]);
		break;
	}
	case OP_KV_DEL:
	case OP_KV_STAT:
		if (!is_there)
			error = -ENOENT;
		else if (op == OP_KV_DEL)
			fs_fake_kv_del(fake, key);
		else
			((struct result_kv_stat *)result)->entry = entry_of(&kv->values[i]);
		break;
	default:
		error = -ENOSYS;
	}
	free(key);
	return error;
}

int fs_fake_kv_next(struct fs_fake *fake, size_t *call_at, struct buffer *ret_data)
{
	struct fs_fake_kv *kv = store(fake);

	for (; *call_at < kv->n_changes; ++*call_at) {
		const struct value *made = &kv->changes[*call_at];
		struct kv_change told = {
		    .kind = made->size == UINT64_MAX ? KV_DELETED : KV_SET_CHANGE,
		    .entry = entry_of(made),
		};

		codec_encode(&kv_change_record, &told, ret_data, NULL);
	}
	return ret_data->size > 0;
}

void fs_fake_kv_free(struct fs_fake *fake)
{
	free(fake->kv);
}
