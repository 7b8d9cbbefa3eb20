/*
 * Pages are read while the store changes, and a change may be told before the page that it is not
 * yet in has come: until all are there, what is told is kept, and then applied.
 */
#include "fs/control_kv_known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX    (1024 * 1024 * 1024) /* bytes: more than a store may hold */
#define CHANGED_MAX (64 * 1024)          /* bytes of what changes while it is filled */
#define LINGERS     FS_SECOND            /* not used for so long */

struct kv_known_entry {
	size_t at; /* of its key */
	uint64_t version, size;
	struct timespec created, changed;
	uint64_t expires; /* when; 0: never */
	uint16_t key_size;
	bool is_stale;
};

/* The stream of changes. */
struct kv_known_watch {
	struct control_ask ask;
	struct kv_known *known;
};

struct kv_known {
	struct fs *fs;
	struct fs_peer *peer;         /* to be compared, while there is a watch */
	struct kv_known *prev, *next; /* fs->kv_known */
	struct kv_known_watch *watch; /* NULL: nobody tells any more; nothing is believed */
	struct buffer keys;
	struct kv_known_entry *entries; /* in the order of their keys */
	size_t n_entries, n_allocated;
	uint64_t version;      /* of the store, when the first of them were listed */
	uint64_t since;        /* later changes are told; UINT64_MAX: not yet */
	struct buffer changed; /* told while it is filled: keys, each behind its size */
	struct fs_timer timer;
	bool is_filled, was_used;
};

static void stop_watching(struct kv_known *known)
{
	struct kv_known_watch *watch = known->watch;

	known->watch = NULL;
	if (!watch)
		return;
	watch->known = NULL;
	control_ask_abandon(&watch->ask);
}

/* --- keys ------------------------------------------------------------------------------------- */

static struct bytes key_at(const struct kv_known *known, size_t index)
{
	const struct kv_known_entry *entry = &known->entries[index];

	return (struct bytes){known->keys.data + entry->at, entry->key_size};
}

static int compare(struct bytes a, struct bytes b)
{
	size_t n = a.size < b.size ? a.size : b.size;
	int r = n > 0 ? memcmp(a.data, b.data, n) : 0;

	return r ? r : a.size < b.size ? -1 : a.size > b.size;
}

static struct kv_known_entry *find(const struct kv_known *known, struct bytes key)
{
	size_t low = 0, high = known->n_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = compare(key_at(known, middle), key);

		if (r == 0)
			return &known->entries[middle];
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int grow(struct kv_known *known)
{
	size_t n = known->n_allocated ? 2 * known->n_allocated : 64;
	struct kv_known_entry *entries = realloc(known->entries, n * sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	known->entries = entries;
	known->n_allocated = n;
	return 0;
}

static int add(struct kv_known *known, const struct kv_entry *entry)
{
	uint64_t ttl = entry->ttl_ms * FS_MILLISECOND;
	size_t at = known->keys.size;
	int r = 0;

	/* Else it could not be found. */
	if (known->n_entries > 0 && compare(key_at(known, known->n_entries - 1), entry->key) >= 0)
		return -EPROTO;
	if (known->n_entries == known->n_allocated)
		r = grow(known);
	if (r == 0)
		r = buffer_append(&known->keys, entry->key.data, entry->key.size);
	if (r < 0)
		return r;
	known->entries[known->n_entries++] = (struct kv_known_entry){
	    .at = at,
	    .version = entry->version,
	    .size = entry->size,
	    .created = entry->created,
	    .changed = entry->changed,
	    .expires = ttl ? fs_now(known->fs) + ttl : 0,
	    .key_size = (uint16_t)entry->key.size,
	};
	return 0;
}

void control_kv_known_add(struct kv_known *known, const struct kv_entry *entry)
{
	if (known && known->watch && add(known, entry) < 0)
		stop_watching(known);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void change(struct kv_known *known, struct bytes key)
{
	uint16_t size = (uint16_t)key.size;
	struct kv_known_entry *entry;

	if (size == 0)
		return; /* no key */
	if (known->is_filled) {
		entry = find(known, key);
		if (entry)
			entry->is_stale = true;
	} else if (buffer_append(&known->changed, &size, sizeof(size)) < 0 ||
		   buffer_append(&known->changed, key.data, key.size) < 0) {
		stop_watching(known);
	}
}

static void on_reply(struct control_ask *ask, const struct transport_reply *reply)
{
	struct kv_known *known = ((struct kv_known_watch *)ask)->known;
	const struct result_kv_watch *result = reply->result;

	if (!known)
		return;
	if (reply->error || !reply->more)
		known->watch = NULL; /* it is freed behind this */
	else
		known->since = result->version;
}

static void on_data(struct control_ask *ask, unsigned channel, struct bytes data)
{
	struct kv_known_watch *watch = (struct kv_known_watch *)ask;
	struct bytes rest = data;
	struct kv_change told;

	while (watch->known && rest.size > 0) {
		if (codec_decode(&kv_change_record, &rest, &told, NULL) < 0 || told.kind == KV_LOST)
			stop_watching(watch->known);
		else
			change(watch->known, told.entry.key);
	}
	if (watch->known)
		control_ask_consumed(ask, channel, data.size);
}

static void on_end(struct control_ask *ask, int error)
{
	struct kv_known *known = ((struct kv_known_watch *)ask)->known;

	if (known)
		known->watch = NULL;
}

/* --- from the first page on ------------------------------------------------------------------- */

static void watch(struct kv_known *known)
{
	struct args_kv_watch args = {.since = OPS_ANY};

	known->since = UINT64_MAX;
	known->watch = control_ask_new(known->peer, sizeof(*known->watch), NULL);
	if (!known->watch)
		return;
	known->watch->known = known;
	known->watch->ask.done = on_reply;
	known->watch->ask.data = on_data;
	known->watch->ask.end = on_end;
	control_ask_send(&known->watch->ask, OP_KV_WATCH, &args);
}

struct kv_known *control_kv_known_new(struct fs_peer *peer)
{
	struct kv_known *known = calloc(1, sizeof(*known));
	struct fs *fs = peer->fs;

	if (!known)
		return NULL;
	known->fs = fs;
	known->peer = peer;
	known->keys.limit = KEYS_MAX;
	known->changed.limit = CHANGED_MAX;
	known->next = fs->kv_known;
	if (known->next)
		known->next->prev = known;
	fs->kv_known = known;
	watch(known);
	return known;
}

void control_kv_known_free(struct kv_known *known)
{
	struct fs *fs;

	if (!known)
		return;
	fs = known->fs;
	stop_watching(known);
	fs_timer_set(fs, &known->timer, UINT64_MAX);
	*(known->prev ? &known->prev->next : &fs->kv_known) = known->next;
	if (known->next)
		known->next->prev = known->prev;
	buffer_deinit(&known->keys);
	buffer_deinit(&known->changed);
	free(known->entries);
	free(known);
}

void control_kv_known_free_all(struct fs *fs)
{
	while (fs->kv_known)
		control_kv_known_free(fs->kv_known);
}

static void on_timer(struct fs *fs, struct fs_timer *timer)
{
	struct kv_known *known =
	    (struct kv_known *)((char *)timer - offsetof(struct kv_known, timer));

	if (!known->watch || !known->was_used) {
		control_kv_known_free(known);
		return;
	}
	known->was_used = false;
	fs_timer_set(fs, timer, LINGERS);
}

static void apply_changed(struct kv_known *known)
{
	struct buffer *changed = &known->changed;
	uint16_t size;

	for (size_t at = 0; at < changed->size; at += size) {
		memcpy(&size, changed->data + at, sizeof(size));
		at += sizeof(size);
		change(known, (struct bytes){changed->data + at, size});
	}
	buffer_deinit(changed);
}

void control_kv_known_filled(struct kv_known *known, uint64_t version)
{
	struct kv_known *other, *next;

	if (!known)
		return;
	for (other = known->fs->kv_known; other; other = next) {
		next = other->next;
		if (other->is_filled && other->peer == known->peer)
			control_kv_known_free(other);
	}
	known->version = version;
	known->is_filled = true;
	apply_changed(known);
	known->timer.fn = on_timer;
	fs_timer_set(known->fs, &known->timer, LINGERS);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* What is told goes back to before it was listed. */
static bool is_believed(const struct kv_known *known, const struct fs_peer *peer)
{
	return known->watch && known->is_filled && known->peer == peer &&
	       known->since <= known->version;
}

static bool is_over(const struct kv_known_entry *entry, uint64_t now)
{
	return entry->expires && entry->expires <= now;
}

static uint64_t ttl_left(const struct kv_known_entry *entry, uint64_t now)
{
	uint64_t left = entry->expires ? (entry->expires - now) / FS_MILLISECOND : 0;

	return entry->expires && left == 0 ? 1 : left;
}

bool control_kv_known_find(struct fs_peer *peer, struct bytes key, struct kv_entry *ret_entry)
{
	uint64_t now = fs_now(peer->fs);

	for (struct kv_known *known = peer->fs->kv_known; known; known = known->next) {
		const struct kv_known_entry *entry =
		    is_believed(known, peer) ? find(known, key) : NULL;

		if (!entry || entry->is_stale || is_over(entry, now))
			continue;
		known->was_used = true;
		*ret_entry = (struct kv_entry){
		    .key = {known->keys.data + entry->at, entry->key_size},
		    .version = entry->version,
		    .size = entry->size,
		    .created = entry->created,
		    .changed = entry->changed,
		    .ttl_ms = ttl_left(entry, now),
		};
		return true;
	}
	return false;
}

void control_kv_known_change(struct fs_peer *peer, struct bytes key)
{
	for (struct kv_known *known = peer->fs->kv_known; known; known = known->next)
		if (known->peer == peer && known->watch)
			change(known, key);
}
