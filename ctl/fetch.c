#include "ctl/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE 256

json_t *fetch_permissions(struct bytes text)
{
	const char *at = (const char *)text.data, *end = at + text.size;
	json_t *list = json_array();

	if (text.size == 4 && memcmp(at, "none", 4) == 0)
		return list;
	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t n = (size_t)((comma ? comma : end) - at);

		if (n > 0)
			json_array_append_new(list, json_stringn(at, n));
		at += n + 1;
	}
	return list;
}

json_t *fetch_time(struct timespec time)
{
	char text[64];
	struct tm tm;

	if (time.tv_sec <= 0 || !gmtime_r(&time.tv_sec, &tm))
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

json_t *fetch_peer(const struct ctl_peer *peer)
{
	static const char *const states[] = {[CTL_PEER_OFFLINE] = "offline",
					     [CTL_PEER_CONNECTING] = "connecting",
					     [CTL_PEER_ONLINE] = "online"};
	json_t *rtt =
	    peer->rtt_us == OPS_CTL_ANY ? json_null() : json_real((double)peer->rtt_us / 1000.0);

	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			 context_json_text(peer->name), "id", context_json_text(peer->id), "state",
			 states[peer->state], "address", context_json_text(peer->address), "rtt_ms",
			 rtt, "permissions", fetch_permissions(peer->permissions), "granted",
			 fetch_permissions(peer->granted), "fingerprint",
			 context_json_text(peer->fingerprint), "software",
			 context_json_text(peer->software), "last_seen",
			 fetch_time(peer->last_seen), "error", context_json_text(peer->error));
}

json_t *fetch_key(const struct ctl_key_info *key)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", context_json_text(key->name),
			 "permissions", fetch_permissions(key->permissions), "peers",
			 key->is_for_all ? json_null() : fetch_permissions(key->peers), "created",
			 fetch_time(key->created), "used", fetch_time(key->used));
}

static json_t *make_key(const void *value)
{
	return fetch_key(value);
}

static json_t *make_peer(const void *value)
{
	return fetch_peer(value);
}

static json_t *make_check(const void *value)
{
	static const char *const statuses[] = {[CTL_CHECK_OK] = "ok",
					       [CTL_CHECK_WARNING] = "warning",
					       [CTL_CHECK_FAILURE] = "failure"};
	const struct ctl_check *check = value;

	return json_pack("{s:o, s:s, s:o, s:o}", "name", context_json_text(check->name), "status",
			 statuses[check->status], "detail", context_json_text(check->detail), "fix",
			 context_json_text(check->fix));
}

static json_t *make_option(const void *value)
{
	const struct ctl_option *option = value;

	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", context_json_text(option->name),
			 "value", context_json_text(option->value), "default",
			 context_json_text(option->standard), "source",
			 context_json_text(option->source), "summary",
			 context_json_text(option->summary));
}

static json_t *make_found(const void *value)
{
	const struct ctl_found *found = value;

	return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o}", "name", context_json_text(found->name),
			 "id", context_json_text(found->id), "address",
			 context_json_text(found->address), "paired", found->peer.size > 0, "peer",
			 found->peer.size > 0 ? context_json_text(found->peer) : json_null(),
			 "source", context_json_text(found->source));
}

/* How each paged operation is asked and read: all args are (offset, limit) and all results begin
 * with (total, list), as the table's test holds. */
struct paged {
	uint16_t op;
	const struct record *element;
	json_t *(*make)(const void *value);
};

union any_page {
	struct result_ctl_peers peers;
	struct result_ctl_doctor doctor;
	struct result_ctl_config config;
	struct result_ctl_discovered discovered;
	struct result_ctl_keys keys;
};

union any_element {
	struct ctl_peer peer;
	struct ctl_check check;
	struct ctl_option option;
	struct ctl_found found;
	struct ctl_key_info key;
};

_Static_assert(
    offsetof(struct result_ctl_peers, peers) == offsetof(struct result_ctl_doctor, checks) &&
	offsetof(struct result_ctl_peers, peers) == offsetof(struct result_ctl_config, options) &&
	offsetof(struct result_ctl_peers, peers) == offsetof(struct result_ctl_discovered, found) &&
	offsetof(struct result_ctl_peers, peers) == offsetof(struct result_ctl_keys, keys),
    "results of paged operations begin alike");

/* Returns 0 or -errno. */
static int read_list(struct local_client *client, const struct paged *paged, json_t **ret_list,
		     union any_page *ret_page)
{
	struct args_ctl_peers args = {.limit = PAGE};
	json_t *list = json_array();
	union any_element element;
	int r;

	do {
		uint32_t n;

		r = local_client_call(client, paged->op, &args, ret_page);
		if (r < 0)
			break;
		n = ret_page->peers.peers.n;
		if (n == 0)
			break;
		args.offset += n;
		for (; r == 0 && n > 0; n--) {
			r = codec_list_next(&ret_page->peers.peers, paged->element, &element, NULL);
			if (r == 0)
				json_array_append_new(list, paged->make(&element));
		}
	} while (r == 0 && args.offset < ret_page->peers.total);
	if (r == 0)
		*ret_list = list;
	else
		json_decref(list);
	return r;
}

static int fetch_list(const struct context *context, struct local_client *client,
		      const struct paged *paged, json_t **ret_list, union any_page *ret_page)
{
	int r = read_list(client, paged, ret_list, ret_page);

	return r == 0 ? CONTEXT_OK : context_complain(context, client, r);
}

static const struct paged peers_paged = {OP_CTL_PEERS, &ctl_peer_record, make_peer};

int fetch_peers_quietly(struct local_client *client, json_t **ret_list)
{
	union any_page page;

	return read_list(client, &peers_paged, ret_list, &page);
}

int fetch_peers(const struct context *context, struct local_client *client, json_t **ret_list)
{
	union any_page page;

	return fetch_list(context, client, &peers_paged, ret_list, &page);
}

int fetch_checks(const struct context *context, struct local_client *client, json_t **ret_list)
{
	const struct paged paged = {OP_CTL_DOCTOR, &ctl_check_record, make_check};
	union any_page page;

	return fetch_list(context, client, &paged, ret_list, &page);
}

int fetch_keys(const struct context *context, struct local_client *client, json_t **ret_list)
{
	const struct paged paged = {OP_CTL_KEYS, &ctl_key_info_record, make_key};
	union any_page page;

	return fetch_list(context, client, &paged, ret_list, &page);
}

int fetch_options(const struct context *context, struct local_client *client, json_t **ret_list)
{
	const struct paged paged = {OP_CTL_CONFIG, &ctl_option_record, make_option};
	union any_page page;

	return fetch_list(context, client, &paged, ret_list, &page);
}

int fetch_discovered(const struct context *context, struct local_client *client, json_t **ret_list,
		     char **ret_warning)
{
	const struct paged paged = {OP_CTL_DISCOVERED, &ctl_found_record, make_found};
	union any_page page;
	int r = fetch_list(context, client, &paged, ret_list, &page);

	*ret_warning = NULL;
	if (r == CONTEXT_OK && page.discovered.warning.size > 0)
		*ret_warning = strndup((const char *)page.discovered.warning.data,
				       page.discovered.warning.size);
	return r;
}

int fetch_status(const struct context *context, struct local_client *client, json_t **ret_status)
{
	struct result_ctl_status status;
	struct ctl_address address;
	json_t *object, *listen, *peers;
	int r = context_call(context, client, OP_CTL_STATUS, &(struct args_ctl_status){0}, &status);

	if (r != CONTEXT_OK)
		return r;
	listen = json_array();
	while (status.listen.n > 0 &&
	       codec_list_next(&status.listen, &ctl_address_record, &address, NULL) == 0)
		json_array_append_new(listen, context_json_text(address.address));
	object = json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "name",
			   context_json_text(status.name), "id", context_json_text(status.id),
			   "version", context_json_text(status.version), "pid",
			   (json_int_t)status.pid, "uptime_s", (json_int_t)status.uptime_s,
			   "listen", listen, "mount", context_json_text(status.mount));
	r = fetch_peers(context, client, &peers);
	if (r != CONTEXT_OK) {
		json_decref(object);
		return r;
	}
	json_object_set_new(object, "peers", peers);
	*ret_status = object;
	return CONTEXT_OK;
}

const char *fetch_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}
