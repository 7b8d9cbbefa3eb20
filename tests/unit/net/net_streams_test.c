#include "net_asks.h"

#include "daemon/net/limits.h"

Test(net_streams, a_stream_comes_whole_and_ends)
{
	struct world world = {0};
	struct answer answer = {0}, small = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_readdir(&world.a, 500, &small), 0);
	cr_assert_eq(ask_readdir(&world.a, 10000000, &answer), 0);
	world_until(&world, answer.n_ends && small.n_replies);
	cr_assert_eq(answer.end_error, 0);
	cr_assert_eq(answer.size + answer.streamed, 10000000);
	cr_assert(answer.more && !small.more);
	cr_assert_eq(small.size, 500);
	cr_assert_eq(small.n_ends, 0);
	world_close(&world);
}

Test(net_streams, what_is_lent_to_a_stream_is_given_back)
{
	struct world world = {0};
	struct answer whole = {0}, abandoned = {.holds_credit = true};
	struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_readdir(&world.a, 10000000, &whole), 0);
	world_until(&world, whole.n_ends);
	cr_assert_eq(whole.size + whole.streamed, 10000000);
	cr_assert(room->has_lent);
	world_until(&world, room->n_lent == 0);
	cr_assert_eq(ask_readdir(&world.a, 10000000, &abandoned), 0);
	world_until(&world, abandoned.streamed);
	world.a.transport->ops->abandon(abandoned.call);
	world_until(&world, room->n_broken == 1 && room->n_lent == 0);
	world_close(&world);
}

Test(net_streams, a_slow_reader_stops_the_writer_and_nobody_else)
{
	struct world world = {0};
	struct answer slow = {.holds_credit = true}, other = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_readdir(&world.a, 10000000, &slow), 0);
	world_until(&world, slow.streamed == LIMITS_WINDOW);
	cr_assert_eq(ask_readdir(&world.a, 5000000, &other), 0);
	world_until(&world, other.n_ends);
	cr_assert_eq(world.b.room.n_streamed, LIMITS_WINDOW + other.streamed);
	slow.holds_credit = false;
	world.a.transport->ops->consumed(slow.call, 0, slow.unconsumed);
	world_until(&world, slow.n_ends);
	cr_assert_eq(slow.streamed + slow.size, 10000000);
	world_close(&world);
}

Test(net_streams, an_abandoned_or_cancelled_stream_ends_at_its_source)
{
	struct world world = {0};
	struct answer abandoned = {.holds_credit = true}, cancelled = {.holds_credit = true};
	struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_readdir(&world.a, 10000000, &abandoned), 0);
	cr_assert_eq(ask_readdir(&world.a, 10000000, &cancelled), 0);
	world_until(&world, abandoned.streamed && cancelled.streamed);
	world.a.transport->ops->abandon(abandoned.call);
	world.a.transport->ops->cancel(cancelled.call);
	world_until(&world, room->n_broken == 2 && cancelled.n_ends);
	cr_assert_eq(cancelled.end_error, -EINTR);
	cr_assert_eq(abandoned.n_ends, 0);
	world_close(&world);
}

Test(net_streams, many_streams_at_once_are_queued_beyond_the_limit)
{
	enum { N = 400 };
	struct world world = {0};
	struct answer answers[N] = {0};

	world_open(&world);
	world_until_up(&world);
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(ask_readdir(&world.a, 30000, &answers[i]), 0);
	for (size_t i = 0; i < N; i++) {
		world_until(&world, answers[i].n_ends == 1);
		cr_assert_eq(answers[i].end_error, 0);
		cr_assert_eq(answers[i].streamed + answers[i].size, 30000);
	}
	world_close(&world);
}
