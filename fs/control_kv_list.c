/* kv/ as it is listed: all keys as of opendir, asked for page by page. What is said of each is kept
 * for those who ask next (control_kv_known.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_kv.h"
#include "fs/control_kv_known.h"
#include "fs/control_names.h"

#define LISTED_MAX (1024 * 1024 * 1024) /* bytes of names: more than a store may hold */

struct list_ask {
	struct control_node_ask kv;
	struct control_names *names; /* NULL: handed on */
	struct kv_known *known;      /* that is filled; with the names */
	uint64_t version;            /* of the first page */
	bool is_first;
};

static void release_list(struct control_ask *ask)
{
	struct list_ask *list = (struct list_ask *)ask;

	if (list->names)
		control_kv_known_free(list->known);
	control_names_free(list->names);
	control_ask_release_node(ask);
}

/* Keys whose names are too long are left out: they are loopsyctl's only. */
static int add_page(const struct list_ask *list, const struct result_kv_list *result,
		    uint8_t ret_last[OPS_KV_KEY_MAX], size_t *ret_last_size)
{
	struct list entries = result->entries;
	char name[OPS_NAME_MAX + 1];
	struct kv_entry entry;
	int r = 0, n;

	while (entries.n > 0 && r == 0) {
		if (codec_list_next(&entries, &kv_entry_record, &entry, NULL) < 0 ||
		    entry.key.size == 0)
			return -EPROTO;
		n = control_kv_name(entry.key, name);
		if (n > 0)
			r = control_names_add(list->names,
					      (struct bytes){(const uint8_t *)name, (size_t)n});
		control_kv_known_add(list->known, &entry);
		memcpy(ret_last, entry.key.data, entry.key.size);
		*ret_last_size = entry.key.size;
	}
	return r;
}

/* The page behind `after`; `version` is the first one's. */
static void send_page(fuse_req_t req, struct fs_node *node, struct control_names *names,
		      struct kv_known *known, struct bytes after, uint64_t version);

static void on_list(struct control_ask *ask, const struct transport_reply *reply)
{
	struct list_ask *list = (struct list_ask *)ask;
	const struct result_kv_list *result = reply->result;
	struct control_names *names = list->names;
	fuse_req_t req = control_ask_take(ask);
	uint8_t last[OPS_KV_KEY_MAX];
	size_t last_size = 0;
	int error = reply->error;

	/* What was closed just now is still on its way. */
	if (req && list->is_first && ask->peer->control.n_setting > 0) {
		list->names = NULL;
		send_page(req, list->kv.node, names, list->known, (struct bytes){0}, 0);
		return;
	}
	if (!error)
		error = add_page(list, result, last, &last_size);
	if (!req)
		return;
	if (error) {
		control_kv_refuse(req, list->kv.node, OP_KV_LIST, error);
		return;
	}
	list->names = NULL;
	if (list->is_first)
		list->version = result->version;
	if (result->rest && last_size > 0) {
		send_page(req, list->kv.node, names, list->known, (struct bytes){last, last_size},
			  list->version);
		return;
	}
	control_kv_known_filled(list->known, list->version);
	control_names_reply(req, names);
}

static void send_page(fuse_req_t req, struct fs_node *node, struct control_names *names,
		      struct kv_known *known, struct bytes after, uint64_t version)
{
	struct args_kv_list args = {.after = after, .limit = OPS_KV_PAGE_MAX};
	struct list_ask *list = control_kv_ask_new(req, fs_of(req), node, sizeof(*list), on_list);

	if (!list) {
		control_kv_known_free(known);
		control_names_free(names);
		return;
	}
	list->names = names;
	list->known = known;
	list->version = version;
	list->is_first = after.size == 0;
	list->kv.ask.release = release_list;
	control_ask_send(&list->kv.ask, OP_KV_LIST, &args);
}

void control_kv_list(fuse_req_t req, struct fs_node *node)
{
	struct fs *fs = fs_of(req);
	struct fs_peer *peer = control_peer(fs, node);
	struct control_names *names;

	if (!peer || !peer->transport) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	names = control_names_new(fs, S_IFREG, LISTED_MAX);
	if (names)
		send_page(req, node, names, control_kv_known_new(peer), (struct bytes){0}, 0);
	else
		fuse_reply_err(req, ENOMEM);
}
