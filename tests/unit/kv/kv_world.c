#include "kv_world.h"

#include <stdio.h>

static void identify(void *arg, const struct session *session, char ret_id[IDENTITY_ID_SIZE],
		     const char **ret_name)
{
	struct kv_world *world = arg;

	cr_assert(session_is_local(session));
	strcpy(ret_id, world->from);
	*ret_name = world->as_peer ? "desk" : NULL;
}

static void told(void *arg, const struct kv_told *what)
{
	struct kv_world *world = arg;

	world->n_told++;
	cr_assert_eq(what->peer != NULL, world->as_peer);
	snprintf(world->told, sizeof(world->told), "%s %.*s", what->what, (int)what->key.size,
		 (const char *)what->key.data);
}

static void on_tick(uv_timer_t *timer)
{
}

void kv_world_open_at(struct kv_world *world, const char *database)
{
	struct failure failure = {""};
	struct kv_options options = {
	    .loop = &world->loop,
	    .max_entries = world->max_entries ? world->max_entries : 1000000,
	    .max_bytes = world->max_bytes ? world->max_bytes : 1ull << 40,
	    .identify = identify,
	    .told = told,
	    .arg = world,
	};
	struct net_options net = {
	    .loop = &world->loop, .services = &world->service, .n_services = 1, .name = "lap"};

	if (!world->from[0])
		strcpy(world->from, "me");
	uv_loop_init(&world->loop);
	uv_timer_init(&world->loop, &world->tick);
	uv_timer_start(&world->tick, on_tick, 20, 20); /* so that deadlines are looked at */
	cr_assert_eq(store_open(&world->loop, database, &world->store, &failure), 0, "%s",
		     failure.text);
	options.thread = store_get_thread(world->store);
	options.reader = store_get_reader(world->store);
	options.db = store_get_db(world->store);
	cr_assert_eq(kv_new(&options, &world->kv), 0);
	world->service = *kv_service(world->kv);
	if (!world->identity)
		cr_assert_eq(identity_generate(&world->identity), 0);
	net.identity = world->identity;
	cr_assert_eq(net_new(&world->net, &net), 0);
	cr_assert_eq(net_open_self(world->net), 0);
	world->transport = net_self_transport(world->net);
}

static void on_closed(void *arg)
{
	((struct kv_world *)arg)->n_closed++;
}

void kv_world_close(struct kv_world *world)
{
	world->n_closed = 0;
	net_close(world->net, on_closed, world);
	kv_world_until(world, world->n_closed == 1);
	kv_close(world->kv, on_closed, world);
	kv_world_until(world, world->n_closed == 2);
	store_close(world->store, on_closed, world);
	kv_world_until(world, world->n_closed == 3);
	uv_close((uv_handle_t *)&world->tick, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&world->loop), 0);
	world->identity = identity_free(world->identity);
}

/* --- asking ----------------------------------------------------------------------------------- */

struct asking {
	struct kv_world *world;
	struct transport_call *call;
	const struct op *op;
	void *result;
	bool is_answered, has_ended;
	int error;
	struct buffer data; /* of the stream */
};

static void on_reply(void *arg, const struct transport_reply *reply)
{
	static struct buffer kept;
	struct asking *asking = arg;
	struct bytes body;

	asking->is_answered = true;
	asking->error = reply->error;
	asking->has_ended = !reply->more;
	if (reply->error < 0)
		return;
	kept.size = 0;
	cr_assert_eq(codec_encode(asking->op->result, reply->result, &kept, NULL), 0);
	body = (struct bytes){kept.data, kept.size};
	if (asking->result)
		cr_assert_eq(codec_decode(asking->op->result, &body, asking->result, NULL), 0);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct asking *asking = arg;

	cr_assert_eq(buffer_append(&asking->data, data.data, data.size), 0);
	asking->world->transport->ops->consumed(asking->call, channel, data.size);
}

static void on_end(void *arg, unsigned channel, int error)
{
	struct asking *asking = arg;

	asking->has_ended = true;
	asking->error = error;
}

static const struct transport_handler handler = {on_reply, on_data, on_end};

static int ask(struct kv_world *world, struct asking *asking, uint16_t op, const void *args)
{
	asking->world = world;
	asking->op = op_find(&ops_peer, op);
	cr_assert_eq(world->transport->ops->call(world->transport, op, args, NULL, &handler, asking,
						 NULL, &asking->call),
		     0);
	kv_world_until(world, asking->is_answered && asking->has_ended);
	return asking->error;
}

int kv_world_ask(struct kv_world *world, uint16_t op, const void *args, void *result)
{
	struct asking asking = {.result = result};
	int r = ask(world, &asking, op, args);

	buffer_deinit(&asking.data);
	return r;
}

int64_t kv_set(struct kv_world *world, const char *key, const char *value)
{
	struct args_kv_set args = {.key = bytes_of_text(key), .value = bytes_of_text(value)};
	struct result_kv_set result;
	int r = kv_world_ask(world, OP_KV_SET, &args, &result);

	return r < 0 ? r : (int64_t)result.entry.version;
}

int kv_set_large(struct kv_world *world, const char *key, const uint8_t *data, size_t size)
{
	struct args_kv_set set = {.key = bytes_of_text(key)};
	size_t at = 0;
	int r;

	while (size - at > OPS_IO_MAX) {
		struct args_kv_stage stage = {
		    .upload = 77, .offset = at, .part = {data + at, OPS_IO_MAX}};

		set.upload = 77;
		r = kv_world_ask(world, OP_KV_STAGE, &stage, NULL);
		if (r < 0)
			return r;
		at += OPS_IO_MAX;
	}
	set.value = (struct bytes){data + at, size - at};
	return kv_world_ask(world, OP_KV_SET, &set, NULL);
}

int kv_del(struct kv_world *world, const char *key)
{
	return kv_world_ask(world, OP_KV_DEL, &(struct args_kv_del){.key = bytes_of_text(key)},
			    NULL);
}

char *kv_get(struct kv_world *world, const char *key)
{
	struct args_kv_get args = {.key = bytes_of_text(key)};
	struct result_kv_get result;
	int r = kv_world_ask(world, OP_KV_GET, &args, &result);

	if (r == -ENOENT)
		return NULL;
	cr_assert_eq(r, 0);
	cr_assert_eq(result.entry.size, result.value.size);
	return bytes_to_text(result.value);
}

uint8_t *kv_get_large(struct kv_world *world, const char *key, size_t *ret_size)
{
	struct args_kv_get args = {.key = bytes_of_text(key)};
	struct result_kv_get result;
	struct asking asking = {.result = &result};

	cr_assert_eq(ask(world, &asking, OP_KV_GET, &args), 0);
	cr_assert_eq(asking.data.size, result.entry.size);
	*ret_size = asking.data.size;
	return asking.data.data;
}

const char *kv_list(struct kv_world *world, const char *prefix, uint64_t limit)
{
	static char text[4096];
	char after[OPS_KV_KEY_MAX + 1] = "";
	struct result_kv_list result;
	struct kv_entry entry;
	size_t n = 0;

	text[0] = '\0';
	do {
		struct args_kv_list args = {
		    .prefix = bytes_of_text(prefix), .after = bytes_of_text(after), .limit = limit};

		cr_assert_eq(kv_world_ask(world, OP_KV_LIST, &args, &result), 0);
		cr_assert_leq(result.entries.n, limit);
		while (result.entries.n > 0) {
			cr_assert_eq(
			    codec_list_next(&result.entries, &kv_entry_record, &entry, NULL), 0);
			snprintf(after, sizeof(after), "%.*s", (int)entry.key.size,
				 (const char *)entry.key.data);
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "",
					      after);
		}
	} while (result.rest);
	return text;
}
