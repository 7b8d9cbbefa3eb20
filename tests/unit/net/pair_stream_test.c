#include "net_world.h"

struct side {
	struct pair_stream *stream;
	unsigned n_opened, n_messages, n_closed;
	size_t size;
	int error;
	char why[200];
	bool echoes, closes;
};

static void on_opened(void *arg, struct pair_stream *stream)
{
	((struct side *)arg)->n_opened++;
}

static void on_message(void *arg, struct pair_stream *stream, struct bytes message)
{
	struct side *side = arg;

	side->n_messages++;
	side->size = message.size;
	if (side->echoes)
		cr_assert_eq(pair_stream_send(stream, message), 0);
	if (side->closes) {
		side->stream = NULL;
		pair_stream_close(stream);
	}
}

static void on_closed(void *arg, int error, const char *why)
{
	struct side *side = arg;

	side->n_closed++;
	side->stream = NULL;
	side->error = error;
	snprintf(side->why, sizeof(side->why), "%s", why);
}

static const struct pair_stream_handler handler = {
    .opened = on_opened, .message = on_message, .closed = on_closed};

static void on_pairing(void *arg, struct pair_stream *stream)
{
	struct end *end = arg;
	struct side *side = end->data;

	side->stream = stream;
	pair_stream_listen(stream, &handler, side);
}

static void open_pairing(struct world *world, struct side *side)
{
	*world = (struct world){.is_apart = true, .is_direct = true};
	world->b.observer.pairing = on_pairing;
	world_open(world);
	world->b.data = side;
	net_set_pairing(world->b.net, true);
}

static int dial(struct world *world, struct side *side)
{
	return pair_stream_dial(world->a.net, net_listen_address(world->b.net, 0), &handler, side,
				&side->stream);
}

Test(pair_stream, carries_messages_both_ways)
{
	struct world world;
	struct side asks = {0}, answers = {.echoes = true};
	static const uint8_t bytes[PAIR_STREAM_MESSAGE_MAX + 1];
	uint8_t own[TLS_EXPORT_SIZE], others[TLS_EXPORT_SIZE];

	open_pairing(&world, &answers);
	cr_assert_eq(dial(&world, &asks), 0);
	cr_assert_eq(pair_stream_send(asks.stream, (struct bytes){bytes, 5}), -ENOTCONN);
	world_until(&world, asks.n_opened && answers.stream);
	cr_assert_eq(tls_export(pair_stream_tls(asks.stream), "x", own), 0);
	cr_assert_eq(tls_export(pair_stream_tls(answers.stream), "x", others), 0);
	cr_assert_eq(memcmp(own, others, sizeof(own)), 0);
	cr_assert_eq(pair_stream_send(asks.stream, (struct bytes){bytes, sizeof(bytes)}),
		     -EMSGSIZE);
	cr_assert_eq(pair_stream_send(asks.stream, (struct bytes){bytes, 0}), 0);
	cr_assert_eq(pair_stream_send(asks.stream, (struct bytes){bytes, PAIR_STREAM_MESSAGE_MAX}),
		     0);
	world_until(&world, asks.n_messages == 2);
	cr_assert_eq(answers.n_messages, 2);
	cr_assert_eq(asks.size, PAIR_STREAM_MESSAGE_MAX);
	pair_stream_close(asks.stream);
	world_until(&world, answers.n_closed);
	cr_assert_eq(answers.error, -ECONNRESET);
	cr_assert_eq(asks.n_closed, 0, "not for one's own close");
	world_close(&world);
}

Test(pair_stream, the_last_words_before_a_close_arrive)
{
	struct world world;
	struct side asks = {0}, answers = {.echoes = true, .closes = true};

	open_pairing(&world, &answers);
	cr_assert_eq(dial(&world, &asks), 0);
	world_until(&world, asks.n_opened && answers.stream);
	cr_assert_eq(pair_stream_send(asks.stream, (struct bytes){(const uint8_t *)"yes", 3}), 0);
	world_until(&world, asks.n_closed);
	cr_assert_eq(asks.n_messages, 1);
	cr_assert_eq(answers.n_closed, 0);
	world_close(&world);
}

Test(pair_stream, is_refused_while_nobody_pairs)
{
	struct world world;
	struct side asks = {0}, answers = {0};

	open_pairing(&world, &answers);
	net_set_pairing(world.b.net, false);
	cr_assert_eq(dial(&world, &asks), 0);
	world_until(&world, asks.n_closed);
	cr_assert_null(answers.stream);
	cr_assert_eq(asks.error, -EPROTONOSUPPORT, "%d %s", asks.error, asks.why);
	cr_assert_eq(asks.n_opened, 0);
	world_close(&world);
}

Test(pair_stream, tells_of_an_address_where_nobody_listens)
{
	struct world world;
	struct side asks = {0}, answers = {0};

	open_pairing(&world, &answers);
	cr_assert_eq(pair_stream_dial(world.a.net, "127.0.0.1:1", &handler, &asks, &asks.stream),
		     0);
	cr_assert_eq(asks.n_closed, 0);
	world_until(&world, asks.n_closed);
	cr_assert_eq(asks.error, -ECONNREFUSED);
	cr_assert_eq(pair_stream_dial(world.a.net, "a b", &handler, &asks, &asks.stream), -EINVAL);
	world_close(&world);
}

Test(pair_stream, an_over_long_message_ends_it)
{
	struct world world;
	struct side asks = {0}, answers = {0};
	struct iovec part = {"\0\0\x20\x01", 4};

	open_pairing(&world, &answers);
	cr_assert_eq(dial(&world, &asks), 0);
	world_until(&world, asks.n_opened && answers.stream);
	cr_assert_eq(tls_write(pair_stream_tls(asks.stream), &part, 1), 0);
	cr_assert_eq(pair_stream_send(asks.stream, (struct bytes){NULL, 0}), 0);
	world_until(&world, answers.n_closed && asks.n_closed);
	cr_assert_eq(answers.error, -EMSGSIZE);
	world_close(&world);
}
