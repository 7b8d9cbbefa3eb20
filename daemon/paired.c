#include "daemon/paired.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/wall_clock.h"

struct paired *paired_find_name(struct daemon *daemon, const char *name)
{
	for (struct paired *paired = daemon->paired; paired; paired = paired->next) {
		if (strcmp(paired->record.name, name) == 0)
			return paired;
	}
	return NULL;
}

struct paired *paired_find_id(struct daemon *daemon, const char *id)
{
	for (struct paired *paired = daemon->paired; paired; paired = paired->next) {
		if (strcmp(paired->record.id, id) == 0)
			return paired;
	}
	return NULL;
}

bool paired_is_up(const struct paired *paired)
{
	return paired->record.state == STORE_PEER_PAIRED;
}

const char *paired_state_name(const struct net_peer_status *status)
{
	if (status->state == TRANSPORT_UP)
		return "online";
	return status->connecting || status->state == TRANSPORT_LOST ? "connecting" : "offline";
}

/* Writes the record; a failure is logged by the store. */
static void save(struct paired *paired)
{
	store_put_peer(paired->daemon->store, &paired->record, NULL, NULL);
}

/* --- into the house and out of it ------------------------------------------------------------- */

static void show(struct paired *paired)
{
	struct daemon *daemon = paired->daemon;
	struct bytes id = {paired->record.fingerprint, IDENTITY_FINGERPRINT_SIZE};
	int error;

	if (msg_peer_add(daemon->msg, paired->record.id, net_peer_transport(paired->net)) < 0)
		log_error("daemon", "peer=%s op=messages error=%s", paired->record.name,
			  strerror(ENOMEM));
	if (!daemon->mounting.fs || paired->fs)
		return;
	error = fs_peer_add(daemon->mounting.fs, paired->record.name, id,
			    net_peer_transport(paired->net), paired, &paired->fs);
	if (error < 0)
		log_error("daemon", "peer=%s op=mount error=%s", paired->record.name,
			  strerror(-error));
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* It was seen until now. */
static void note_gone(struct paired *paired)
{
	if (paired->is_linked && paired_is_up(paired)) {
		paired->record.last_seen_ms = wall_clock_ms();
		save(paired);
	}
	paired->is_linked = false;
}

/* Out of the list; of one that stays paired, the record says since when it is not seen. */
void paired_leave(struct paired *paired, bool unpaired)
{
	struct paired **at = &paired->daemon->paired;
	const void *peer; /* only compared */

	if (!unpaired)
		note_gone(paired);
	paired->is_linked = false;

	while (*at != paired)
		at = &(*at)->next;
	*at = paired->next;
	if (paired->fs)
		fs_peer_remove(paired->fs);
	peer = paired->net;
	if (paired->daemon->msg)
		msg_peer_remove(paired->daemon->msg, paired->record.id);
	net_peer_remove(paired->net, unpaired);
	if (paired->daemon->jobs)
		jobs_peer_removed(paired->daemon->jobs, peer);
	audit_counts_free(paired->counts);
	uv_close((uv_handle_t *)&paired->pending, on_timer_closed);
}

static void on_pending_over(uv_timer_t *timer)
{
	struct paired *paired = timer->data;

	log_info("daemon", "peer=%s pairing=expired", paired->record.name);
	store_remove_peer(paired->daemon->store, paired->record.id, NULL, NULL);
	paired_leave(paired, false);
}

int paired_enter(struct daemon *daemon, const struct store_peer *record)
{
	const char *addresses[STORE_ADDRESSES_MAX];
	struct paired *paired = calloc(1, sizeof(*paired)), **at = &daemon->paired;
	bool pending = record->state == STORE_PEER_PENDING;
	int64_t left = record->pending_until_ms - wall_clock_ms();
	struct net_peer_options options = {
	    .fingerprint = record->fingerprint,
	    .name = record->name,
	    .permissions = pending ? 0 : record->permissions,
	    .addresses = addresses,
	    .n_addresses = record->n_addresses,
	    .data = paired,
	};
	int error;

	if (!paired)
		return -ENOMEM;
	paired->daemon = daemon;
	paired->record = *record;
	for (size_t i = 0; i < record->n_addresses; i++)
		addresses[i] = record->addresses[i].text;
	error = net_peer_add(daemon->net, &options, &paired->net);
	if (error < 0) {
		free(paired);
		return error;
	}
	paired->counts = audit_counts_new(daemon->audit, record->name);
	uv_timer_init(&daemon->loop, &paired->pending);
	paired->pending.data = paired;
	while (*at)
		at = &(*at)->next;
	*at = paired;
	if (pending)
		uv_timer_start(&paired->pending, on_pending_over, left > 0 ? (uint64_t)left : 0, 0);
	else
		show(paired);
	return 0;
}

int paired_load(struct daemon *daemon, struct failure *failure)
{
	struct store_peer *peers;
	size_t n;
	int error = store_load_peers(daemon->store, wall_clock_ms(), &peers, &n);

	if (error < 0)
		return failure_set(failure, error, "cannot read the peers: %s", strerror(-error));
	for (size_t i = 0; i < n && error == 0; i++)
		error = paired_enter(daemon, &peers[i]);
	free(peers);
	if (error < 0)
		return failure_set(failure, error, "cannot add a peer: %s", strerror(-error));
	return 0;
}

void paired_close(struct daemon *daemon)
{
	while (daemon->paired)
		paired_leave(daemon->paired, false);
}

/* --- what the user asks for ------------------------------------------------------------------- */

int paired_rename(struct paired *paired, const char *name, store_done_fn done, void *data)
{
	struct store_peer record = paired->record;
	int error;

	snprintf(record.name, sizeof(record.name), "%s", name);
	error = store_put_peer(paired->daemon->store, &record, done, data);
	if (error < 0)
		return error;
	paired->record = record;
	net_peer_set_name(paired->net, name);
	audit_counts_free(paired->counts);
	paired->counts = audit_counts_new(paired->daemon->audit, name);
	if (paired->fs)
		fs_peer_rename(paired->fs, name);
	return 0;
}

int paired_allow(struct paired *paired, uint16_t permissions, store_done_fn done, void *data)
{
	struct store_peer record = paired->record;
	int error;

	record.permissions = permissions;
	error = store_put_peer(paired->daemon->store, &record, done, data);
	if (error < 0)
		return error;
	paired->record = record;
	if (paired_is_up(paired))
		net_peer_set_permissions(paired->net, permissions);
	return 0;
}

int paired_remove(struct paired *paired, store_done_fn done, void *data)
{
	int error = store_remove_peer(paired->daemon->store, paired->record.id, done, data);

	if (error < 0)
		return error;
	paired_leave(paired, true);
	return 0;
}

/* --- what net tells --------------------------------------------------------------------------- */

static void on_state(void *arg, struct net_peer *peer, enum transport_state state)
{
	static const char *const names[] = {
	    [TRANSPORT_DOWN] = "down", [TRANSPORT_LOST] = "lost", [TRANSPORT_UP] = "up"};
	struct paired *paired = net_peer_data(peer);

	log_info("daemon", "peer=%s link=%s", paired->record.name, names[state]);
	if (state == TRANSPORT_UP)
		paired->is_linked = true;
	else
		note_gone(paired);
	msg_peer_changed(paired->daemon->msg, paired->record.id);
}

static void on_granted(void *arg, struct net_peer *peer)
{
	struct paired *paired = net_peer_data(peer);

	msg_peer_changed(paired->daemon->msg, paired->record.id);
}

/* The address that answered goes first; manual ones are never dropped for it. */
static void on_address(void *arg, struct net_peer *peer, const char *address)
{
	struct paired *paired = net_peer_data(peer);
	struct store_peer *record = &paired->record;
	struct store_address first = {0};
	size_t at = record->n_addresses;

	for (size_t i = 0; i < record->n_addresses; i++) {
		if (strcmp(record->addresses[i].text, address) == 0)
			at = i;
	}
	if (at == 0 && record->n_addresses > 0)
		return;
	snprintf(first.text, sizeof(first.text), "%s", address);
	if (at < record->n_addresses) {
		first = record->addresses[at];
	} else if (record->n_addresses < STORE_ADDRESSES_MAX) {
		at = record->n_addresses++;
	} else {
		at = record->n_addresses - 1;
		while (at > 0 && record->addresses[at].manual)
			at--;
	}
	memmove(&record->addresses[1], &record->addresses[0], at * sizeof(first));
	record->addresses[0] = first;
	save(paired);
}

static void on_proved(void *arg, struct net_peer *peer)
{
	struct daemon *daemon = arg;
	struct paired *paired = net_peer_data(peer);

	paired->record.last_seen_ms = wall_clock_ms();
	if (!paired_is_up(paired)) {
		uv_timer_stop(&paired->pending);
		paired->record.state = STORE_PEER_PAIRED;
		paired->record.pending_until_ms = 0;
		net_peer_set_permissions(paired->net, paired->record.permissions);
		show(paired);
		log_info("daemon", "peer=%s pairing=done", paired->record.name);
	}
	save(paired);
	pairing_room_proved(daemon->pairing_room, paired->record.id);
}

static void on_unpaired(void *arg, struct net_peer *peer)
{
	struct paired *paired = net_peer_data(peer);

	log_warning("daemon", "peer=%s unpaired=by-peer", paired->record.name);
	audit_write(paired->daemon->audit, paired->record.name, "unpaired-by-peer", "ok", -1, NULL);
}

static void on_stranger(void *arg, const char *address,
			const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	struct daemon *daemon = arg;
	char text[IDENTITY_FINGERPRINT_TEXT];

	identity_fingerprint_text(fingerprint, text);
	audit_write(daemon->audit, NULL, "stranger", "denied", -1,
		    json_pack("{s:s, s:s}", "address", address, "fingerprint", text));
}

static void on_answered(void *arg, struct net_peer *peer, const struct op *op, int error,
			bool denied)
{
	struct paired *paired = net_peer_data(peer);

	if (op->number >= OP_JOB_START && op->number <= OP_JOB_EVENTS && !denied)
		return; /* jobs have lines of their own */
	if (op->number >= OP_KV_SET && op->number <= OP_KV_RENAME && error == 0)
		return; /* so have changes of values */
	if (op->number >= OP_MSG_DELIVER && op->number <= OP_MSG_DISCARD && !denied)
		return; /* so have messages */
	if (denied)
		audit_counts_deny(paired->counts, op->number, op->name);
	else
		audit_counts_add(paired->counts, op->number, op->name, error);
}

static void on_pairing(void *arg, struct pair_stream *stream)
{
	struct daemon *daemon = arg;

	pairing_room_accept(daemon->pairing_room, stream);
}

const struct net_observer paired_observer = {
    .state = on_state,
    .address = on_address,
    .proved = on_proved,
    .granted = on_granted,
    .unpaired = on_unpaired,
    .stranger = on_stranger,
    .answered = on_answered,
    .pairing = on_pairing,
};

/* --- what discovery tells --------------------------------------------------------------------- */

void paired_announced(struct daemon *daemon, const struct discovery_service *service)
{
	struct paired *paired = paired_find_id(daemon, service->id);
	char text[DISCOVERY_ADDRESS_TEXT_MAX];

	if (!paired)
		return;
	for (size_t i = 0; i < service->n_addresses; i++) {
		discovery_service_address_text(&service->addresses[i], text);
		net_peer_announced(paired->net, text);
	}
}
