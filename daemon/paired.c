#include "daemon/paired.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/log.h"
#include "daemon/permissions.h"
#include "daemon/store_jobs.h"

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

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
		paired->record.last_seen_ms = wall_ms();
		save(paired);
	}
	paired->is_linked = false;
}

/* Out of the list; of one that stays paired, the record says since when it is not seen. */
static void leave(struct paired *paired, bool unpaired)
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
	leave(paired, false);
}

static int enter(struct daemon *daemon, const struct store_peer *record)
{
	const char *addresses[STORE_ADDRESSES_MAX];
	struct paired *paired = calloc(1, sizeof(*paired)), **at = &daemon->paired;
	bool pending = record->state == STORE_PEER_PENDING;
	int64_t left = record->pending_until_ms - wall_ms();
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
	int error = store_load_peers(daemon->store, wall_ms(), &peers, &n);

	if (error < 0)
		return failure_set(failure, error, "cannot read the peers: %s", strerror(-error));
	for (size_t i = 0; i < n && error == 0; i++)
		error = enter(daemon, &peers[i]);
	free(peers);
	if (error < 0)
		return failure_set(failure, error, "cannot add a peer: %s", strerror(-error));
	return 0;
}

void paired_close(struct daemon *daemon)
{
	while (daemon->paired)
		leave(daemon->paired, false);
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
	leave(paired, true);
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

	paired->record.last_seen_ms = wall_ms();
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

static json_t *describe_job(const struct job_info *info, bool has_ended)
{
	json_t *detail = json_object();
	struct bytes cmd = info->cmd, name = info->name;

	json_object_set_new(detail, "cmd", json_stringn((const char *)cmd.data, cmd.size));
	if (name.size)
		json_object_set_new(detail, "name",
				    json_stringn((const char *)name.data, name.size));
	if (has_ended && info->state == JOB_EXITED)
		json_object_set_new(detail, "exit", json_integer((json_int_t)info->exit));
	if (has_ended && info->state == JOB_KILLED)
		json_object_set_new(detail, "signal", json_integer((json_int_t)info->signal));
	return detail;
}

void paired_job_told(void *arg, const char *peer, const struct job_info *info, int error,
		     int64_t duration_ms)
{
	struct daemon *daemon = arg;
	bool has_ended = error == 0 && info->state != JOB_RUNNING;
	const char *outcome = error == -EPERM || error == -EACCES || error == -EAGAIN ? "denied"
			      : error < 0 ? strerror(-error)
					  : "ok";

	audit_write(daemon->audit, peer, has_ended ? "exec-end" : "exec", outcome, duration_ms,
		    describe_job(info, has_ended));
}

void paired_kv_told(void *arg, const struct kv_told *told)
{
	struct daemon *daemon = arg;
	struct bytes key = told->key, new_key = told->new_key;
	json_t *detail = json_object();

	json_object_set_new(detail, "op", json_string(told->what));
	json_object_set_new(detail, "key", json_stringn((const char *)key.data, key.size));
	if (new_key.size > 0)
		json_object_set_new(detail, "new_key",
				    json_stringn((const char *)new_key.data, new_key.size));
	json_object_set_new(detail, "version", json_integer((json_int_t)told->version));
	json_object_set_new(detail, "size", json_integer((json_int_t)told->size));
	audit_write(daemon->audit, told->peer, "kv", "ok", told->duration_ms, detail);
}

void paired_msg_told(void *arg, const struct msg_told *told)
{
	struct daemon *daemon = arg;
	json_t *detail = json_pack("{s:s, s:s, s:s, s:I}", "op", told->what, "id", told->id, "type",
				   ops_msg_type_name(told->type), "size", (json_int_t)told->size);

	if (detail && told->with)
		json_object_set_new(detail, "with", json_string(told->with));
	audit_write(daemon->audit, told->peer, "message", "ok", -1, detail);
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

/* --- what the pairing room asks for ----------------------------------------------------------- */

static const struct store_peer *host_namesake(void *arg, const char *remote_name,
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

static const struct store_peer *host_known(void *arg,
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

static void host_choose_name(void *arg, const char *wanted,
			     const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE],
			     char ret_name[PEER_NAME_MAX + 1])
{
	struct other_than other = {arg, fingerprint};

	peer_name_choose(wanted, name_is_taken, &other, ret_name);
}

static int host_store(void *arg, const struct store_peer *peer, store_done_fn stored, void *data)
{
	struct daemon *daemon = arg;
	struct paired *known = paired_find_id(daemon, peer->id);

	/* One that is paired stays so, whatever comes of this. */
	return store_put_peer(daemon->store, known && paired_is_up(known) ? &known->record : peer,
			      stored, data);
}

/* One that was paired before is let in anew, as it is now: the hello of a new link ends the
 * pairing. */
static void host_admit(void *arg, const struct store_peer *peer)
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
		leave(known, false);
		store_remove_jobs(daemon->store, record.id); /* they were killed */
		store_put_peer(daemon->store, &record, NULL, NULL);
	}
	error = enter(daemon, &record);
	if (error < 0)
		log_error("daemon", "peer=%s op=admit error=%s", record.name, strerror(-error));
}

static void host_forget(void *arg, const struct store_peer *peer)
{
	struct daemon *daemon = arg;
	struct paired *paired = paired_find_id(daemon, peer->id);

	if (paired && paired_is_up(paired))
		return;
	store_remove_peer(daemon->store, peer->id, NULL, NULL);
	if (paired)
		leave(paired, false);
}

static void host_open(void *arg, bool open)
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

int paired_resolve(void *arg, const char *text, char ret_address[STORE_ADDRESS_TEXT_MAX + 1])
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

static const char *host_listening(void *arg, size_t i)
{
	struct daemon *daemon = arg;

	return net_listen_address(daemon->net, i);
}

static void host_audit(void *arg, const char *peer, const char *outcome, const char *detail)
{
	struct daemon *daemon = arg;

	audit_write(daemon->audit, peer, "pair", outcome, -1,
		    detail[0] ? json_pack("{s:s}", "reason", detail) : NULL);
}

const struct pairing_room_host paired_host = {
    .namesake = host_namesake,
    .known = host_known,
    .choose_name = host_choose_name,
    .store = host_store,
    .admit = host_admit,
    .forget = host_forget,
    .open = host_open,
    .resolve = paired_resolve,
    .listening = host_listening,
    .audit = host_audit,
};

/* --- the rest --------------------------------------------------------------------------------- */

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

const char *paired_state_name(const struct net_peer_status *status)
{
	if (status->state == TRANSPORT_UP)
		return "online";
	return status->connecting || status->state == TRANSPORT_LOST ? "connecting" : "offline";
}

static int append_line(struct buffer *text, const char *key, const char *value)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s %s\n", key, value);

	return buffer_append(text, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static int own_status_text(struct daemon *daemon, struct buffer *text)
{
	size_t n = 0, online = 0;
	char counts[64];
	int error;

	for (struct paired *paired = daemon->paired; paired; paired = paired->next) {
		struct net_peer_status status;

		if (!paired_is_up(paired))
			continue;
		net_peer_get_status(paired->net, &status);
		n++;
		online += status.state == TRANSPORT_UP;
	}
	error = append_line(text, "name", daemon->name);
	if (error == 0)
		error = append_line(text, "id", daemon->identity->id);
	if (error == 0)
		error = append_line(text, "version", LOOPSY_VERSION);
	for (size_t i = 0; error == 0 && net_listen_address(daemon->net, i); i++)
		error = append_line(text, "listen", net_listen_address(daemon->net, i));
	snprintf(counts, sizeof(counts), "%zu", n);
	if (error == 0)
		error = append_line(text, "peers", counts);
	snprintf(counts, sizeof(counts), "%zu", online);
	return error < 0 ? error : append_line(text, "online", counts);
}

int paired_status_text(void *arg, void *peer_arg, struct buffer *text)
{
	struct paired *paired = peer_arg;
	struct net_peer_status status;
	char permissions[PERMISSIONS_TEXT_MAX], number[32];
	int error;

	if (!paired)
		return own_status_text(arg, text);
	net_peer_get_status(paired->net, &status);
	error = append_line(text, "name", paired->record.name);
	if (error == 0)
		error = append_line(text, "id", paired->record.id);
	if (error == 0)
		error = append_line(text, "state", paired_state_name(&status));
	if (error == 0 && status.address[0])
		error = append_line(text, "address", status.address);
	if (error == 0 && status.state == TRANSPORT_UP && status.rtt_us) {
		snprintf(number, sizeof(number), "%.3f", (double)status.rtt_us / 1000);
		error = append_line(text, "rtt_ms", number);
	}
	if (error == 0 && status.software[0])
		error = append_line(text, "version", LOG_VALUE(status.software));
	if (error == 0)
		error = append_line(text, "permissions",
				    permissions_print(paired->record.permissions, permissions));
	return error < 0
		   ? error
		   : append_line(text, "granted", permissions_print(status.granted, permissions));
}
