/*
 * Kv: values by key that machines share, one store on each. The room for operations 90 to 97.
 */
#ifndef DAEMON_KV_KV_H
#define DAEMON_KV_KV_H

#include <sqlite3.h>

#include "daemon/net/request.h"
#include "proto/identity.h"

struct kv;
struct store_thread;

/* A change that a machine made; for the audit log. */
struct kv_told {
	const char *peer; /* its name here; NULL: this machine's own user */
	const char *what; /* "set", "delete" or "rename" */
	struct bytes key, new_key;
	uint64_t version, size;
	int64_t duration_ms;
};

struct kv_options {
	uv_loop_t *loop;
	struct store_thread *thread, *reader; /* borrowed until kv_close's closed */
	sqlite3 *db;                          /* the store's; used by kv_new only, which waits */
	uint64_t max_entries, max_bytes;      /* of each machine that writes */
	/* Whose session that is: its id, and what it is called now (NULL: this machine). */
	void (*identify)(void *arg, const struct session *session, char ret_id[IDENTITY_ID_SIZE],
			 const char **ret_name);
	void (*told)(void *arg, const struct kv_told *told); /* may be NULL */
	void *arg;
};

/* Returns 0 or -errno. */
int kv_new(const struct kv_options *options, struct kv **ret_kv);
/* The room, for daemon/net; valid until kv_close. */
const struct service *kv_service(const struct kv *kv);
/* With all sessions closed: what is under way is finished, then `closed` is called and all is
 * freed. */
void kv_close(struct kv *kv, void (*closed)(void *arg), void *arg);

#endif
