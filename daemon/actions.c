#include "daemon/actions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/doctor.h"
#include "daemon/key_actions.h"
#include "daemon/log.h"
#include "daemon/options_print.h"
#include "daemon/paired.h"
#include "daemon/pairing_host.h"
#include "daemon/permissions.h"
#include "daemon/relay.h"

/* A text field as a string. Returns false, having answered, if it is too long or has NUL. */
static bool take_text(struct control_call *call, struct bytes text, char *buffer, size_t size)
{
	if (text.size >= size) {
		control_fail(call, -EINVAL, "a name or address is too long");
		return false;
	}
	memcpy(buffer, text.data, text.size);
	buffer[text.size] = '\0';
	return true;
}

static struct paired *take_peer(struct daemon *daemon, struct control_call *call, struct bytes text)
{
	char name[OPS_CTL_NAME_MAX + 1];
	struct paired *paired;

	if (!take_text(call, text, name, sizeof(name)))
		return NULL;
	paired = paired_find_name(daemon, name);
	if (paired && paired_is_up(paired))
		return paired;
	control_fail(call, -ENOENT, "no peer is called '%s': 'loopsyctl peers' lists them", name);
	return NULL;
}

/* --- status, stop, config --------------------------------------------------------------------- */

static void on_ctl_status(void *arg, struct control_call *call, const struct args_ctl_status *args)
{
	struct daemon *daemon = arg;
	struct buffer elements = {0};
	struct result_ctl_status result = {
	    .name = bytes_of_text(daemon->name),
	    .id = bytes_of_text(daemon->identity->id),
	    .version = bytes_of_text(LOOPSY_VERSION),
	    .pid = (uint64_t)getpid(),
	    .uptime_s = (uv_now(&daemon->loop) - daemon->instance_started_ms) / 1000,
	    .mount = bytes_of_text(daemon->mounting.fs ? daemon->paths->mount : ""),
	};
	const char *text;

	for (size_t i = 0; i < 64 && (text = net_listen_address(daemon->net, i)); i++) {
		struct ctl_address address = {.address = bytes_of_text(text)};

		if (codec_list_append(&result.listen, &elements, &ctl_address_record, &address) < 0)
			break;
	}
	codec_list_finish(&result.listen, &elements);
	control_reply(call, &result);
	buffer_deinit(&elements);
}

static void on_ctl_stop(void *arg, struct control_call *call, const struct args_ctl_stop *args)
{
	struct result_ctl_stop result = {0};

	control_reply(call, &result);
	daemon_stop(arg);
}

static void offer_option(void *data, const struct options_print_row *row)
{
	struct ctl_option option = {
	    .name = bytes_of_text(row->name),
	    .value = bytes_of_text(row->value),
	    .standard = bytes_of_text(row->standard ? row->standard : ""),
	    .source = bytes_of_text(row->source),
	    .summary = bytes_of_text(row->text ? row->text : ""),
	};

	control_page_offer(data, &ctl_option_record, &option);
}

static void on_ctl_config(void *arg, struct control_call *call, const struct args_ctl_config *args)
{
	struct daemon *daemon = arg;
	struct result_ctl_config result = {0};
	struct control_page page;

	control_page_init(&page, args->offset, args->limit);
	options_print_each(daemon->options, offer_option, &page);
	control_page_finish(&page);
	result.total = page.total;
	result.options = page.list;
	control_reply(call, &result);
	control_page_deinit(&page);
}

static void on_ctl_doctor(void *arg, struct control_call *call, const struct args_ctl_doctor *args)
{
	struct result_ctl_doctor result = {0};
	struct control_page page;

	control_page_init(&page, args->offset, args->limit);
	doctor_check(arg, &page);
	control_page_finish(&page);
	result.total = page.total;
	result.checks = page.list;
	control_reply(call, &result);
	control_page_deinit(&page);
}

/* --- peers ------------------------------------------------------------------------------------ */

/* Texts of a peer's row that must live until it is encoded. */
struct row_texts {
	char fingerprint[IDENTITY_FINGERPRINT_TEXT];
	char permissions[PERMISSIONS_TEXT_MAX];
	char granted[PERMISSIONS_TEXT_MAX];
};

static struct bytes utf8_or_empty(const char *text)
{
	struct bytes bytes = bytes_of_text(text);

	for (size_t i = 0; i < bytes.size; i++) {
		if (bytes.data[i] < 0x20 || bytes.data[i] > 0x7e)
			return bytes_of_text("");
	}
	return bytes;
}

static struct ctl_peer describe(const struct paired *paired, struct row_texts *texts)
{
	const struct store_peer *record = &paired->record;
	struct timespec seen = {.tv_sec = record->last_seen_ms / 1000,
				.tv_nsec = record->last_seen_ms % 1000 * 1000000};
	struct net_peer_status status;
	const char *address;

	net_peer_get_status(paired->net, &status);
	if (status.state == TRANSPORT_UP)
		clock_gettime(CLOCK_REALTIME, &seen);
	address = status.address[0]     ? status.address
		  : record->n_addresses ? record->addresses[0].text
					: "";
	identity_fingerprint_text(record->fingerprint, texts->fingerprint);
	return (struct ctl_peer){
	    .name = bytes_of_text(record->name),
	    .id = bytes_of_text(record->id),
	    .fingerprint = bytes_of_text(texts->fingerprint),
	    .state = status.state == TRANSPORT_UP                          ? CTL_PEER_ONLINE
		     : status.connecting || status.state == TRANSPORT_LOST ? CTL_PEER_CONNECTING
									   : CTL_PEER_OFFLINE,
	    .address = bytes_of_text(address),
	    .rtt_us = status.state == TRANSPORT_UP && status.rtt_us ? status.rtt_us : OPS_CTL_ANY,
	    .permissions =
		bytes_of_text(permissions_print(record->permissions, texts->permissions)),
	    .granted = bytes_of_text(permissions_print(status.granted, texts->granted)),
	    .software = utf8_or_empty(status.software),
	    .last_seen = seen,
	    .error = utf8_or_empty(status.error),
	};
}

static void on_ctl_peers(void *arg, struct control_call *call, const struct args_ctl_peers *args)
{
	struct daemon *daemon = arg;
	struct result_ctl_peers result = {0};
	struct control_page page;

	control_page_init(&page, args->offset, args->limit);
	for (struct paired *paired = daemon->paired; paired; paired = paired->next) {
		struct row_texts texts;
		struct ctl_peer peer;

		if (!paired_is_up(paired) || !key_actions_has(daemon, call, paired))
			continue;
		peer = describe(paired, &texts);
		control_page_offer(&page, &ctl_peer_record, &peer);
	}
	control_page_finish(&page);
	result.total = page.total;
	result.peers = page.list;
	control_reply(call, &result);
	control_page_deinit(&page);
}

static void on_ctl_peer_show(void *arg, struct control_call *call,
			     const struct args_ctl_peer_show *args)
{
	struct paired *paired = take_peer(arg, call, args->name);
	struct result_ctl_peer_show result = {0};
	struct row_texts texts;

	if (!paired || !key_actions_shows(arg, call, paired))
		return;
	result.peer = describe(paired, &texts);
	control_reply(call, &result);
}

struct discovering {
	struct daemon *daemon;
	struct control_page page;
};

static void offer_service(void *arg, const struct discovery_service *service)
{
	struct discovering *discovering = arg;
	struct paired *paired = paired_find_id(discovering->daemon, service->id);
	char address[DISCOVERY_ADDRESS_TEXT_MAX] = "";
	struct ctl_found found;

	if (service->n_addresses > 0)
		discovery_service_address_text(&service->addresses[0], address);
	found = (struct ctl_found){
	    .name = bytes_of_text(service->name),
	    .id = bytes_of_text(service->id),
	    .address = bytes_of_text(address),
	    .peer = bytes_of_text(paired && paired_is_up(paired) ? paired->record.name : ""),
	    .source = bytes_of_text("mdns"),
	};
	control_page_offer(&discovering->page, &ctl_found_record, &found);
}

static void on_ctl_discovered(void *arg, struct control_call *call,
			      const struct args_ctl_discovered *args)
{
	struct daemon *daemon = arg;
	struct discovering discovering = {.daemon = daemon};
	struct result_ctl_discovered result = {0};
	struct discovery_state state = {0};
	char warning[DISCOVERY_REASON_MAX + 64] = "";

	control_page_init(&discovering.page, args->offset, args->limit);
	if (daemon->discovery) {
		discovery_list(daemon->discovery, offer_service, &discovering);
		discovery_state(daemon->discovery, &state);
		if (state.status == DISCOVERY_UNAVAILABLE)
			snprintf(warning, sizeof(warning), "avahi does not answer: %s",
				 state.reason);
	} else {
		snprintf(warning, sizeof(warning), "discovery is off (mdns = no)");
	}
	for (size_t i = 0; i < daemon->n_addresses; i++) {
		struct ctl_found found = {
		    .address = bytes_of_text(daemon->addresses[i].text),
		    .source = bytes_of_text("manual"),
		};

		control_page_offer(&discovering.page, &ctl_found_record, &found);
	}
	control_page_finish(&discovering.page);
	result.total = discovering.page.total;
	result.found = discovering.page.list;
	result.warning = utf8_or_empty(warning);
	control_reply(call, &result);
	control_page_deinit(&discovering.page);
}

/* An answer that waits for the disk. */
struct pending_answer {
	struct control_call *call;
	char peer[PEER_NAME_MAX + 1];
	char text[OPS_CTL_ADDRESS_MAX + 1];
	enum op_ctl_number op;
};

static struct pending_answer *pending_new(struct control_call *call, enum op_ctl_number op)
{
	struct pending_answer *answer = calloc(1, sizeof(*answer));

	if (!answer) {
		control_fail(call, -ENOMEM, "out of memory");
		return NULL;
	}
	answer->call = call;
	answer->op = op;
	return answer;
}

static void on_durable(void *data, int status)
{
	struct pending_answer *answer = data;
	struct result_ctl_peer_add added = {.address = bytes_of_text(answer->text),
					    .peer = bytes_of_text(answer->peer)};
	struct result_ctl_peer_allow allowed = {.permissions = bytes_of_text(answer->text)};
	struct result_ctl_peer_rename renamed = {0};
	struct result_ctl_peer_remove removed = {0};

	if (status < 0)
		control_fail(answer->call, status, "cannot write it to disk: %s",
			     strerror(-status));
	else if (answer->op == OP_CTL_PEER_ADD)
		control_reply(answer->call, &added);
	else if (answer->op == OP_CTL_PEER_ALLOW)
		control_reply(answer->call, &allowed);
	else if (answer->op == OP_CTL_PEER_RENAME)
		control_reply(answer->call, &renamed);
	else
		control_reply(answer->call, &removed);
	free(answer);
}

/* The change was not even begun. */
static void not_begun(struct pending_answer *answer, int error)
{
	if (error < 0)
		on_durable(answer, error);
}

static void on_ctl_peer_add(void *arg, struct control_call *call,
			    const struct args_ctl_peer_add *args)
{
	struct daemon *daemon = arg;
	char text[OPS_CTL_ADDRESS_MAX + 1], address[STORE_ADDRESS_TEXT_MAX + 1];
	struct store_address *grown;
	struct pending_answer *answer;

	if (!take_text(call, args->address, text, sizeof(text)))
		return;
	if (pairing_host_resolve(daemon, text, address) < 0) {
		control_fail(call, -EINVAL, "'%s' is no address: give HOST or HOST:PORT", text);
		return;
	}
	for (size_t i = 0; i < daemon->n_addresses; i++) {
		if (strcmp(daemon->addresses[i].text, address) == 0) {
			control_fail(call, -EEXIST, "%s is there already", address);
			return;
		}
	}
	answer = pending_new(call, OP_CTL_PEER_ADD);
	if (!answer)
		return;
	snprintf(answer->text, sizeof(answer->text), "%s", address);
	grown = reallocarray(daemon->addresses, daemon->n_addresses + 1, sizeof(*grown));
	if (!grown) {
		not_begun(answer, -ENOMEM);
		return;
	}
	daemon->addresses = grown;
	grown[daemon->n_addresses] = (struct store_address){.manual = true};
	snprintf(grown[daemon->n_addresses++].text, sizeof(grown->text), "%s", address);
	/* Whoever of the paired peers is there proves it by its key: a hint to all of them. */
	for (struct paired *paired = daemon->paired; paired; paired = paired->next)
		net_peer_announced(paired->net, address);
	not_begun(answer, store_put_address(daemon->store, address, on_durable, answer));
}

static void on_ctl_peer_rename(void *arg, struct control_call *call,
			       const struct args_ctl_peer_rename *args)
{
	struct daemon *daemon = arg;
	struct paired *paired = take_peer(daemon, call, args->name);
	char name[OPS_CTL_NAME_MAX + 1];
	struct pending_answer *answer;
	struct paired *other;

	if (!paired || !take_text(call, args->new_name, name, sizeof(name)))
		return;
	if (!peer_name_is_valid(name)) {
		control_fail(call, -EINVAL,
			     "'%s' is no name for a peer: 1 to 63 of A-Z a-z 0-9 . _ -, not "
			     "starting with a dot",
			     name);
		return;
	}
	other = paired_find_name(daemon, name);
	if (other && other != paired) {
		control_fail(call, -EEXIST, "a peer is called '%s' already", name);
		return;
	}
	answer = pending_new(call, OP_CTL_PEER_RENAME);
	if (answer)
		not_begun(answer, paired_rename(paired, name, on_durable, answer));
}

static void on_ctl_peer_remove(void *arg, struct control_call *call,
			       const struct args_ctl_peer_remove *args)
{
	struct daemon *daemon = arg;
	struct paired *paired = take_peer(daemon, call, args->name);
	struct pending_answer *answer;

	if (!paired)
		return;
	answer = pending_new(call, OP_CTL_PEER_REMOVE);
	if (!answer)
		return;
	audit_write(daemon->audit, paired->record.name, "unpair", "ok", -1, NULL);
	not_begun(answer, paired_remove(paired, on_durable, answer));
}

static void on_ctl_peer_allow(void *arg, struct control_call *call,
			      const struct args_ctl_peer_allow *args)
{
	struct daemon *daemon = arg;
	struct paired *paired = take_peer(daemon, call, args->name);
	char text[OPS_CTL_NAME_MAX + 1];
	struct pending_answer *answer;
	struct failure failure;
	uint16_t permissions;

	if (!paired || !take_text(call, args->permissions, text, sizeof(text)))
		return;
	if (permissions_parse(text, &permissions, &failure) < 0) {
		control_fail(call, -EINVAL, "%s", failure.text);
		return;
	}
	answer = pending_new(call, OP_CTL_PEER_ALLOW);
	if (!answer)
		return;
	permissions_print(permissions, answer->text);
	audit_write(daemon->audit, paired->record.name, "allow", "ok", -1,
		    json_pack("{s:s}", "permissions", answer->text));
	not_begun(answer, paired_allow(paired, permissions, on_durable, answer));
}

/* --- pairing ---------------------------------------------------------------------------------- */

static void on_ctl_pair(void *arg, struct control_call *call, const struct args_ctl_pair *args)
{
	struct daemon *daemon = arg;

	pairing_room_pair(daemon->pairing_room, call, args);
}

static void on_ctl_pair_answer(void *arg, struct control_call *call,
			       const struct args_ctl_pair_answer *args)
{
	struct daemon *daemon = arg;

	pairing_room_answer(daemon->pairing_room, call, args);
}

/* --- what a peer is asked --------------------------------------------------------------------- */

static void on_ctl_call(void *arg, struct control_call *call, const struct args_ctl_call *args)
{
	struct daemon *daemon = arg;
	const struct relay_guard *guard = key_actions_guard(daemon, call);
	struct net_peer_status status;
	struct paired *paired;

	if (args->peer.size == 0) {
		relay_call(net_self_transport(daemon->net), "", "", call, args, guard);
		return;
	}
	paired = take_peer(daemon, call, args->peer);
	if (!paired)
		return;
	net_peer_get_status(paired->net, &status);
	relay_call(net_peer_transport(paired->net), paired->record.name, status.error, call, args,
		   guard);
}

const struct control_actions actions_table = {
    .ctl_status = on_ctl_status,
    .ctl_stop = on_ctl_stop,
    .ctl_doctor = on_ctl_doctor,
    .ctl_config = on_ctl_config,
    .ctl_peers = on_ctl_peers,
    .ctl_discovered = on_ctl_discovered,
    .ctl_peer_add = on_ctl_peer_add,
    .ctl_peer_show = on_ctl_peer_show,
    .ctl_peer_rename = on_ctl_peer_rename,
    .ctl_peer_remove = on_ctl_peer_remove,
    .ctl_peer_allow = on_ctl_peer_allow,
    .ctl_pair = on_ctl_pair,
    .ctl_pair_answer = on_ctl_pair_answer,
    .ctl_call = on_ctl_call,
    .ctl_key = key_actions_present,
    .ctl_may = key_actions_may,
    .ctl_key_generate = key_actions_generate,
    .ctl_keys = key_actions_list,
    .ctl_key_revoke = key_actions_revoke,
    .refused = key_actions_refused,
};
