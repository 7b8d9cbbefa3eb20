#include "daemon/pairing_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/paired.h"
#include "daemon/store_jobs.h"

static const struct store_peer *namesake(void *arg, const char *remote_name,
					 const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	struct daemon *daemon = arg;

	for (struct paired *paired = daemon->paired; paired; paired = paired->next) {
		if (paired_is_up(paired) && strcmp(paired->record.remote_name, remote_name) == 0 &&
		    memcmp(paired->record.fingerprint, fingerprint, IDENTITY_FINGERPRINT_SIZE) != 0)
			return &paired->record;
	}
	return NULL;
}

static const struct store_peer *known_peer(void *arg,
					   const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	struct daemon *daemon = arg;
	struct net_peer *peer = net_peer_find(daemon->net, fingerprint);
	struct paired *paired = peer ? net_peer_data(peer) : NULL;

	return paired ? &paired->record : NULL;
}

struct other_than {
	struct daemon *daemon;
	const uint8_t *fingerprint;
};

static bool name_is_taken(const char *name, void *data)
{
	const struct other_than *other = data;
	struct paired *paired = paired_find_name(other->daemon, name);

	return paired && memcmp(paired->record.fingerprint, other->fingerprint,
				IDENTITY_FINGERPRINT_SIZE) != 0;
}

static void choose_name(void *arg, const char *wanted,
			const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE],
			char ret_name[PEER_NAME_MAX + 1])
{
	struct other_than other = {arg, fingerprint};

	peer_name_choose(wanted, name_is_taken, &other, ret_name);
}

static int store_pending(void *arg, const struct store_peer *peer, store_done_fn stored, void *data)
{
	struct daemon *daemon = arg;
	struct paired *known = paired_find_id(daemon, peer->id);

	/* One that is paired stays so, whatever comes of this. */
	return store_put_peer(daemon->store, known && paired_is_up(known) ? &known->record : peer,
			      stored, data);
}

/* One that was paired before is let in anew, as it is now: the hello of a new link ends the
 * pairing. */
static void admit(void *arg, const struct store_peer *peer)
{
	struct daemon *daemon = arg;
	struct paired *known = paired_find_id(daemon, peer->id);
	struct store_peer record = *peer;
	int error;

	if (known) {
		if (paired_is_up(known)) {
			record.state = STORE_PEER_PAIRED;
			record.added_ms = known->record.added_ms;
			record.last_seen_ms = known->record.last_seen_ms;
		}
		for (size_t i = 0;
		     i < known->record.n_addresses && record.n_addresses < STORE_ADDRESSES_MAX;
		     i++) {
			if (strcmp(known->record.addresses[i].text, record.addresses[0].text) != 0)
				record.addresses[record.n_addresses++] = known->record.addresses[i];
		}
		paired_leave(known, false);
		store_remove_jobs(daemon->store, record.id); /* they were killed */
		store_put_peer(daemon->store, &record, NULL, NULL);
	}
	error = paired_enter(daemon, &record);
	if (error < 0)
		log_error("daemon", "peer=%s op=admit error=%s", record.name, strerror(-error));
}

static void forget(void *arg, const struct store_peer *peer)
{
	struct daemon *daemon = arg;
	struct paired *paired = paired_find_id(daemon, peer->id);

	if (paired && paired_is_up(paired))
		return;
	store_remove_peer(daemon->store, peer->id, NULL, NULL);
	if (paired)
		paired_leave(paired, false);
}

static void open_window(void *arg, bool open)
{
	struct daemon *daemon = arg;

	net_set_pairing(daemon->net, open);
}

struct search {
	const char *name;
	char *address;
	size_t size;
	bool found;
};

static void search_service(void *arg, const struct discovery_service *service)
{
	struct search *search = arg;
	char text[DISCOVERY_ADDRESS_TEXT_MAX];

	if (search->found || service->n_addresses == 0 ||
	    (strcmp(service->name, search->name) != 0 && strcmp(service->id, search->name) != 0))
		return;
	discovery_service_address_text(&service->addresses[0], text);
	snprintf(search->address, search->size, "%s", text);
	search->found = true;
}

/* Is there a port at its end? An IPv6 address has one only in brackets. */
static bool has_port(const char *text)
{
	const char *colon = strrchr(text, ':');

	if (text[0] == '[')
		return colon && colon > strchr(text, ']');
	return colon && strchr(text, ':') == colon;
}

int pairing_host_resolve(void *arg, const char *text, char ret_address[STORE_ADDRESS_TEXT_MAX + 1])
{
	struct daemon *daemon = arg;
	struct search search = {text, ret_address, STORE_ADDRESS_TEXT_MAX + 1, false};
	size_t length = strlen(text);

	if (daemon->discovery)
		discovery_list(daemon->discovery, search_service, &search);
	if (search.found)
		return 0;
	if (length == 0 || length > 255 || strpbrk(text, " \t\n/"))
		return -EINVAL;
	if (has_port(text))
		snprintf(ret_address, STORE_ADDRESS_TEXT_MAX + 1, "%s", text);
	else if (text[0] != '[' && strchr(text, ':'))
		snprintf(ret_address, STORE_ADDRESS_TEXT_MAX + 1, "[%s]:%d", text, NET_PORT);
	else
		snprintf(ret_address, STORE_ADDRESS_TEXT_MAX + 1, "%s:%d", text, NET_PORT);
	return 0;
}

static const char *listening(void *arg, size_t i)
{
	struct daemon *daemon = arg;

	return net_listen_address(daemon->net, i);
}

static void write_audit(void *arg, const char *peer, const char *outcome, const char *detail)
{
	struct daemon *daemon = arg;

	audit_write(daemon->audit, peer, "pair", outcome, -1,
		    detail[0] ? json_pack("{s:s}", "reason", detail) : NULL);
}

const struct pairing_room_host pairing_host = {
    .namesake = namesake,
    .known = known_peer,
    .choose_name = choose_name,
    .store = store_pending,
    .admit = admit,
    .forget = forget,
    .open = open_window,
    .resolve = pairing_host_resolve,
    .listening = listening,
    .audit = write_audit,
};
