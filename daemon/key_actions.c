#include "daemon/key_actions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/keys/key_guard.h"
#include "daemon/keys/keys.h"
#include "daemon/paired.h"
#include "daemon/permissions.h"

/* A text field as a string; false if it is too long or has a NUL. */
static bool to_text(struct bytes text, char *buffer, size_t size)
{
	if (text.size >= size || (text.size > 0 && memchr(text.data, '\0', text.size)))
		return false;
	if (text.size > 0)
		memcpy(buffer, text.data, text.size);
	buffer[text.size] = '\0';
	return true;
}

/* --- what a key is for ------------------------------------------------------------------------ */

struct info_texts {
	char permissions[PERMISSIONS_TEXT_MAX];
	char peers[KEY_NAMES_TEXT_MAX];
};

static_assert(KEY_NAMES_TEXT_MAX <= OPS_CTL_PATH_MAX, "all names fit");

/* By name or id, as loopsyctl and messages name them. */
static const char *find_peer(void *arg, const char *name)
{
	const struct paired *paired = paired_find_name(arg, name);

	if (!paired)
		paired = paired_find_id(arg, name);
	return paired && paired_is_up(paired) ? paired->record.id : NULL;
}

static const char *peer_name(void *arg, const char *id)
{
	const struct paired *paired = paired_find_id(arg, id);

	return paired && paired_is_up(paired) ? paired->record.name : NULL;
}

static struct key_names names_of(struct daemon *daemon)
{
	return (struct key_names){find_peer, peer_name, daemon};
}

static struct ctl_key_info describe(struct daemon *daemon, const struct key_row *row,
				    struct info_texts *texts)
{
	const struct key_names names = names_of(daemon);

	return (struct ctl_key_info){
	    .name = bytes_of_text(row->name),
	    .permissions =
		bytes_of_text(permissions_print(row->scope.permissions, texts->permissions)),
	    .is_for_all = row->scope.is_for_all,
	    .peers = bytes_of_text(key_names_print(&names, &row->scope, texts->peers)),
	    .created = {.tv_sec = row->created_ms / 1000,
			.tv_nsec = row->created_ms % 1000 * 1000000},
	    .used = {.tv_sec = row->used_ms / 1000, .tv_nsec = row->used_ms % 1000 * 1000000},
	};
}

/* --- what is denied --------------------------------------------------------------------------- */

/* The caller's key, if it has limits: false if it has none. *ret_key NULL: it holds no more. */
static bool is_limited(struct daemon *daemon, const struct control_call *call,
		       const struct key **ret_key)
{
	uint64_t number = control_key(call);

	*ret_key = number ? keys_find(daemon->keys, number) : NULL;
	return number && (!*ret_key || (*ret_key)->row.name[0]);
}

static void deny(struct daemon *daemon, struct control_call *call, const struct key *key,
		 const char *peer, const char *what, const char *why)
{
	audit_write(daemon->audit, peer[0] ? peer : NULL, what, "denied", -1,
		    json_pack("{s:s, s:s}", "key", key->row.name, "why", why));
	control_fail(call, -EACCES, "the API key '%s' %s", key->row.name, why);
}

static void fail_ended(struct control_call *call)
{
	control_fail(call, -EKEYREJECTED, "the API key holds no more");
}

/* Says why not; `peer` is a name, "": this machine. */
static void deny_answer(struct daemon *daemon, struct control_call *call, const struct key *key,
			const char *peer, const char *what, enum key_guard_answer answer,
			uint16_t permissions)
{
	const struct key_names names = names_of(daemon);
	char list[KEY_NAMES_TEXT_MAX], text[OPS_CTL_TEXT_MAX];

	if (answer == KEY_GUARD_PERMISSION) {
		snprintf(text, sizeof(text), "does not allow %s",
			 permissions_print(permissions, list));
	} else if (answer == KEY_GUARD_UNNAMED) {
		snprintf(text, sizeof(text), "is not for all peers: name one of %.900s",
			 key_names_print(&names, &key->row.scope, list));
	} else {
		snprintf(text, sizeof(text), "is not for %s", peer[0] ? peer : "this machine");
	}
	deny(daemon, call, key, peer, what, text);
}

void key_actions_refused(void *arg, struct control_call *call, const struct op *op)
{
	const struct key *key;

	is_limited(arg, call, &key);
	if (key)
		deny(arg, call, key, "", op->name, "is for asking peers, and for nothing else");
	else
		fail_ended(call);
}

bool key_actions_has(struct daemon *daemon, const struct control_call *call,
		     const struct paired *paired)
{
	const struct key *key;

	if (!is_limited(daemon, call, &key))
		return true;
	return key && key_scope_has(&key->row.scope, paired->record.id);
}

bool key_actions_shows(struct daemon *daemon, struct control_call *call,
		       const struct paired *paired)
{
	const struct key *key;

	if (key_actions_has(daemon, call, paired))
		return true;
	is_limited(daemon, call, &key);
	if (key)
		deny_answer(daemon, call, key, paired->record.name, "ctl_peer_show", KEY_GUARD_PEER,
			    0);
	else
		fail_ended(call);
	return false;
}

static bool guard_request(void *arg, struct control_call *call, const char *peer,
			  const struct op *op, const void *args)
{
	const struct key_names names = names_of(arg);
	const char *id = peer[0] ? find_peer(arg, peer) : "";
	struct key_guard_request request;
	char about[OPS_CTL_NAME_MAX + 1];
	enum key_guard_answer answer;
	const struct key *key;

	if (!is_limited(arg, call, &key))
		return true;
	if (!key || !id) {
		fail_ended(call);
		return false;
	}
	answer = key_guard_ask(&key->row.scope, &names, id, op, args, &request);
	if (answer != KEY_GUARD_YES)
		deny_answer(arg, call, key,
			    to_text(request.about, about, sizeof(about)) && about[0] ? about : peer,
			    op->name, answer, request.permission);
	return answer == KEY_GUARD_YES;
}

static int guard_reply(void *arg, uint64_t number, const struct op *op, const void *result)
{
	struct daemon *daemon = arg;
	const struct key_names names = names_of(arg);
	const struct key *key = keys_find(daemon->keys, number);

	if (!key)
		return -EKEYREJECTED;
	return key_guard_reply(&key->row.scope, &names, op, result) ? 0 : -ENOENT;
}

const struct relay_guard *key_actions_guard(struct daemon *daemon, const struct control_call *call)
{
	const struct key *key;

	return is_limited(daemon, call, &key) ? &daemon->key_guard : NULL;
}

void key_actions_may(void *arg, struct control_call *call, const struct args_ctl_may *args)
{
	char peer[OPS_CTL_NAME_MAX + 1], permissions[OPS_CTL_NAME_MAX + 1];
	struct result_ctl_may result = {0};
	struct failure failure = {""};
	const struct key *key;
	const char *id;
	uint16_t wanted;

	if (!to_text(args->peer, peer, sizeof(peer)) ||
	    !to_text(args->permissions, permissions, sizeof(permissions)) ||
	    permissions_parse(permissions, &wanted, &failure) < 0) {
		control_fail(call, -EINVAL, "%s", failure.text);
		return;
	}
	if (!is_limited(arg, call, &key)) {
		control_reply(call, &result);
		return;
	}
	id = peer[0] ? find_peer(arg, peer) : "";
	if (!key)
		fail_ended(call);
	else if (wanted & ~key->row.scope.permissions)
		deny_answer(arg, call, key, peer, "ctl_may", KEY_GUARD_PERMISSION, wanted);
	else if (!id || !key_scope_has(&key->row.scope, id))
		deny_answer(arg, call, key, peer, "ctl_may", KEY_GUARD_PEER, wanted);
	else
		control_reply(call, &result);
}

/* --- presenting ------------------------------------------------------------------------------- */

void key_actions_present(void *arg, struct control_call *call, const struct args_ctl_key *args)
{
	struct daemon *daemon = arg;
	char text[OPS_CTL_SECRET_MAX + 1];
	struct result_ctl_key result;
	struct info_texts texts;
	const struct key *key = NULL;

	if (control_key(call)) {
		control_fail(call, -EALREADY, "this connection has presented a key already");
		return;
	}
	if (to_text(args->key, text, sizeof(text)))
		key = keys_present(daemon->keys, text);
	explicit_bzero(text, sizeof(text));
	if (!key) {
		audit_write(daemon->audit, NULL, "key", "denied", -1, NULL);
		control_fail(call, -EKEYREJECTED,
			     "the API key does not hold here: it was revoked or replaced by a new "
			     "one");
		return;
	}
	control_set_key(call, key->number, key->row.name[0] != '\0');
	result.key = describe(daemon, &key->row, &texts);
	control_reply(call, &result);
}

static void on_ended(void *arg, const struct key *key, const char *why)
{
	struct daemon *daemon = arg;
	char text[OPS_CTL_TEXT_MAX];

	if (key->row.name[0])
		snprintf(text, sizeof(text), "the API key '%s' %s", key->row.name, why);
	else
		snprintf(text, sizeof(text), "the API key %s", why);
	if (daemon->control)
		control_end_key(daemon->control, key->number, text);
}

/* --- making, listing, revoking ---------------------------------------------------------------- */

struct answer {
	struct daemon *daemon;
	struct control_call *call;
	char name[PEER_NAME_MAX + 1];
};

static void fail_at_once(struct control_call *call, int error)
{
	if (error == -EINVAL)
		control_fail(call, error,
			     "that is no name for a key: 1 to 63 of A-Z a-z 0-9 . _ -, not "
			     "starting with a dot");
	else if (error == -ENOSPC)
		control_fail(call, error, "there are %d keys already: revoke one",
			     OPS_CTL_KEYS_MAX);
	else
		control_fail(call, error, "cannot write it to disk: %s", strerror(-error));
}

static void on_made(void *data, int status, const char *secret, const struct key *key)
{
	struct answer *answer = data;
	struct result_ctl_key_generate result;
	struct info_texts texts;

	if (status < 0) {
		fail_at_once(answer->call, status);
	} else {
		result.key = bytes_of_text(secret);
		result.info = describe(answer->daemon, &key->row, &texts);
		audit_write(answer->daemon->audit, NULL, "key_generate", "ok", -1,
			    json_pack("{s:s, s:s, s:s}", "key", key->row.name, "permissions",
				      texts.permissions, "peers",
				      key->row.scope.is_for_all ? "all" : texts.peers));
		control_reply(answer->call, &result);
	}
	free(answer);
}

static struct answer *answer_new(struct daemon *daemon, struct control_call *call)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer) {
		control_fail(call, -ENOMEM, "out of memory");
		return NULL;
	}
	answer->daemon = daemon;
	answer->call = call;
	return answer;
}

void key_actions_generate(void *arg, struct control_call *call,
			  const struct args_ctl_key_generate *args)
{
	struct daemon *daemon = arg;
	const struct key_names names = names_of(daemon);
	char name[OPS_CTL_NAME_MAX + 1], permissions[OPS_CTL_NAME_MAX + 1];
	char peers[OPS_CTL_PATH_MAX + 1];
	struct failure failure = {"what is given has a zero byte in it"};
	struct key_scope scope;
	struct answer *answer;
	const struct key *old;
	int r = -EINVAL;

	if (!to_text(args->name, name, sizeof(name)) || !peer_name_is_valid(name)) {
		fail_at_once(call, -EINVAL);
		return;
	}
	old = keys_find_name(daemon->keys, name);
	if (to_text(args->permissions, permissions, sizeof(permissions)) &&
	    to_text(args->peers, peers, sizeof(peers)))
		r = key_names_parse(&names, old ? &old->row.scope : NULL, permissions, peers,
				    &scope, &failure);
	if (r < 0) {
		control_fail(call, r, "%s", failure.text);
		return;
	}
	answer = answer_new(daemon, call);
	if (!answer)
		return;
	r = keys_generate(daemon->keys, name, &scope, on_made, answer);
	if (r < 0)
		on_made(answer, r, NULL, NULL);
}

void key_actions_list(void *arg, struct control_call *call, const struct args_ctl_keys *args)
{
	struct daemon *daemon = arg;
	struct result_ctl_keys result = {0};
	struct control_page page;

	control_page_init(&page, args->offset, args->limit);
	for (const struct key *key = keys_next(daemon->keys, NULL); key;
	     key = keys_next(daemon->keys, key)) {
		struct info_texts texts;
		struct ctl_key_info info = describe(daemon, &key->row, &texts);

		control_page_offer(&page, &ctl_key_info_record, &info);
	}
	control_page_finish(&page);
	result.total = page.total;
	result.keys = page.list;
	control_reply(call, &result);
	control_page_deinit(&page);
}

static void on_revoked(void *data, int status)
{
	struct result_ctl_key_revoke result = {0};
	struct answer *answer = data;

	if (status < 0)
		control_fail(answer->call, status,
			     "the key holds no more until loopsyd starts again, because the disk "
			     "could not be written: %s",
			     strerror(-status));
	else
		control_reply(answer->call, &result);
	free(answer);
}

void key_actions_revoke(void *arg, struct control_call *call,
			const struct args_ctl_key_revoke *args)
{
	struct daemon *daemon = arg;
	char name[OPS_CTL_NAME_MAX + 1];
	struct answer *answer;
	int r;

	if (!to_text(args->name, name, sizeof(name)))
		name[0] = '\0';
	if (!keys_find_name(daemon->keys, name)) {
		control_fail(call, -ENOENT,
			     "no key is called '%s': 'loopsyctl key list' lists them", name);
		return;
	}
	answer = answer_new(daemon, call);
	if (!answer)
		return;
	audit_write(daemon->audit, NULL, "key_revoke", "ok", -1, json_pack("{s:s}", "key", name));
	r = keys_revoke(daemon->keys, name, on_revoked, answer);
	if (r < 0)
		on_revoked(answer, r);
}

int key_actions_open(struct daemon *daemon, struct failure *failure)
{
	struct keys_options options = {
	    .loop = &daemon->loop,
	    .store = daemon->store,
	    .file = daemon->paths->api_key,
	    .ended = on_ended,
	    .arg = daemon,
	};

	daemon->key_guard = (struct relay_guard){guard_request, guard_reply, daemon};
	return keys_new(&options, &daemon->keys, failure);
}
