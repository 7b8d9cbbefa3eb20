#include "ctl/kv_client.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "ctl/context.h"

/* --- set -------------------------------------------------------------------------------------- */

/* All but the last part. `args` is left with that, and with the number of the upload. */
static int stage(struct remote *remote, const char *peer, struct args_kv_set *args,
		 const char **ret_reason)
{
	struct args_kv_stage part = {0};
	int r = 0;

	if (args->value.size <= OPS_IO_MAX)
		return 0;
	while (part.upload == 0)
		if (getrandom(&part.upload, sizeof(part.upload), 0) < 0)
			return -errno;
	args->upload = part.upload;
	while (r == 0 && args->value.size > OPS_IO_MAX) {
		part.part = (struct bytes){args->value.data, OPS_IO_MAX};
		r = remote_ask(remote, peer, OP_KV_STAGE, &part, NULL, ret_reason);
		part.offset += OPS_IO_MAX;
		args->value.data += OPS_IO_MAX;
		args->value.size -= OPS_IO_MAX;
	}
	return r;
}

int kv_client_set(struct remote *remote, const char *peer, const struct args_kv_set *given,
		  struct kv_entry *ret_entry, const char **ret_reason)
{
	struct args_kv_set args = *given;
	struct result_kv_set result;
	int r;

	*ret_reason = "";
	if (args.value.size > OPS_KV_VALUE_MAX) {
		*ret_reason = "a value may have 16 MiB at most";
		return -EFBIG;
	}
	r = stage(remote, peer, &args, ret_reason);
	if (r == 0)
		r = remote_ask(remote, peer, OP_KV_SET, &args, &result, ret_reason);
	if (r == 0)
		*ret_entry = result.entry;
	return r;
}

/* --- get -------------------------------------------------------------------------------------- */

struct getting {
	struct remote_call *call;
	struct kv_got *got;
	bool has_begun, has_ended;
	int error;
};

static void on_reply(void *arg, const struct remote_reply *reply)
{
	const struct result_kv_get *result = reply->result;
	struct getting *getting = arg;
	struct kv_got *got = getting->got;

	getting->error = reply->error;
	getting->has_ended = reply->error < 0 || !result->more;
	if (reply->error < 0) {
		snprintf(got->reason, sizeof(got->reason), "%s", reply->reason);
		return;
	}
	getting->has_begun = true;
	getting->error = codec_encode(&kv_entry_record, &result->entry, &got->encoded, NULL);
	if (getting->error == 0 && result->value.size > 0)
		getting->error = buffer_append(&got->value, result->value.data, result->value.size);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct getting *getting = arg;

	if (getting->error == 0)
		getting->error = buffer_append(&getting->got->value, data.data, data.size);
	remote_consumed(getting->call, channel, data.size);
}

static void on_end(void *arg, int error)
{
	struct getting *getting = arg;

	getting->has_ended = true;
	if (getting->error == 0)
		getting->error = error;
}

static const struct remote_handler handler = {on_reply, on_data, on_end};

static int get_once(struct remote *remote, const char *peer, const char *key,
		    struct getting *getting)
{
	struct args_kv_get args = {.key = bytes_of_text(key)};
	int r = remote_call(remote, peer, OP_KV_GET, &args, &handler, getting, &getting->call);

	while (r == 0 && !getting->has_ended)
		r = remote_wait(remote);
	if (r < 0)
		snprintf(getting->got->reason, sizeof(getting->got->reason), "%s",
			 remote_end_reason(remote));
	return r < 0 ? r : getting->error;
}

void kv_got_deinit(struct kv_got *got)
{
	buffer_deinit(&got->value);
	buffer_deinit(&got->encoded);
}

int kv_client_get(struct remote *remote, const char *peer, const char *key, struct kv_got *got)
{
	struct getting getting;
	struct bytes encoded;
	int r;

	do {
		getting = (struct getting){.got = got};
		got->value.size = got->encoded.size = 0;
		got->reason[0] = '\0';
		r = get_once(remote, peer, key, &getting);
	} while (r == -ENOTCONN && getting.has_begun); /* the link broke under the stream */
	if (r < 0)
		return r;
	encoded = (struct bytes){got->encoded.data, got->encoded.size};
	return codec_decode(&kv_entry_record, &encoded, &got->entry, NULL);
}

/* --- list ------------------------------------------------------------------------------------- */

int kv_client_list(struct remote *remote, const char *peer, const char *prefix,
		   void (*each)(void *arg, const struct kv_entry *entry), void *arg,
		   const char **ret_reason)
{
	struct args_kv_list args = {.prefix = bytes_of_text(prefix), .limit = OPS_KV_PAGE_MAX};
	uint8_t after[OPS_KV_KEY_MAX];
	struct result_kv_list result;
	struct kv_entry entry;
	int r;

	do {
		r = remote_ask(remote, peer, OP_KV_LIST, &args, &result, ret_reason);
		if (r < 0)
			return r;
		while (result.entries.n > 0) {
			r = codec_list_next(&result.entries, &kv_entry_record, &entry, NULL);
			if (r < 0)
				return r;
			each(arg, &entry);
			memcpy(after, entry.key.data, entry.key.size);
			args.after = (struct bytes){after, entry.key.size};
		}
	} while (result.rest);
	return 0;
}
