#include "net_asks.h"

#include "daemon/net/limits.h"

Test(net_limits, no_more_than_a_session_may_have_are_in_flight)
{
	enum { N = 3000 };
	struct world world = {0};
	struct answer *answers = calloc(N, sizeof(*answers));
	struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(ask_getattr(&world.a, ROOM_HOLD_NODE, &answers[i]), 0);
	world_until(&world, room->n_held == LIMITS_CALLS);
	world_turns(&world, 50);
	cr_assert_eq(room->n_held, LIMITS_CALLS);
	world_until(&world, (room_answer_all(room), answers[N - 1].n_replies == 1));
	cr_assert_eq(room->n_held_most, LIMITS_CALLS);
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(answers[i].n_replies, 1);
	world_close(&world);
	free(answers);
}

Test(net_limits, no_more_bytes_of_writes_than_a_session_may_have_are_in_flight)
{
	enum { N = 300 };
	struct world world = {0};
	struct answer answers[N] = {0};
	struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	room->holds_all = true;
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(ask_write(&world.a, i, 0, OPS_IO_MAX, true, &answers[i]), 0);
	world_until(&world, room->written == LIMITS_WRITE_BYTES);
	world_turns(&world, 50);
	cr_assert_eq(room->written, LIMITS_WRITE_BYTES);
	world_until(&world, (room_answer_all(room), answers[N - 1].n_replies == 1));
	for (size_t i = 0; i < N; i++)
		cr_assert(answers[i].n_replies == 1 && answers[i].n_done == 1);
	world_close(&world);
}

/* --- limits that the server sets -------------------------------------------------------------- */

Test(net_limits, a_client_keeps_to_the_calls_that_the_server_grants)
{
	static struct answer answers[50];
	struct world world = {.limits = {.calls = 7}};

	world_open(&world);
	world_until_up(&world);
	world.b.room.holds_all = true;
	for (size_t i = 0; i < 50; i++)
		cr_assert_eq(ask_getattr(&world.a, i + 2, &answers[i]), 0);
	world_until(&world, world.b.room.n_held == 7);
	world_turns(&world, 50);
	cr_assert_eq(world.b.room.n_held, 7);
	world_until(&world, (room_answer_all(&world.b.room), answers[49].n_replies == 1));
	cr_assert_eq(world.b.room.n_held_most, 7);
	world_close(&world);
}

Test(net_limits, more_calls_than_by_default_may_be_granted)
{
	static struct answer answers[3000];
	struct world world = {.limits = {.calls = 3000}};

	world_open(&world);
	world_until_up(&world);
	world.b.room.holds_all = true;
	for (size_t i = 0; i < 3000; i++)
		cr_assert_eq(ask_mkdir(&world.a, "x", &answers[i]), 0);
	world_until(&world, world.b.room.n_held == 3000);
	/* All are answered once more after a broken link, none done twice. */
	room_answer_all(&world.b.room);
	relay_cut(&world.relay);
	world_until(&world, answers[2999].n_replies == 1);
	for (size_t i = 0; i < 3000; i++)
		cr_assert(answers[i].n_replies == 1 && answers[i].error == 0, "%zu: %d", i,
			  answers[i].error);
	cr_assert_eq(world.b.room.n_mkdir, 3000);
	world_close(&world);
}

Test(net_limits, a_client_keeps_to_the_bytes_and_streams_that_the_server_grants)
{
	static struct answer writes[20], listings[8];
	struct world world = {.limits = {.streams = 3, .write_bytes = 300000}};

	world_open(&world);
	world_until_up(&world);
	world.b.room.holds_all = true;
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(ask_readdir(&world.a, 10, &listings[i]), 0);
	for (size_t i = 0; i < 20; i++)
		cr_assert_eq(ask_write(&world.a, 5, i * 100000, 100000, i % 2, &writes[i]), 0);
	for (size_t i = 3; i < 8; i++)
		cr_assert_eq(ask_readdir(&world.a, 10, &listings[i]), 0);
	world_until(&world, world.b.room.n_held == 6);
	world_turns(&world, 50);
	cr_assert_eq(world.b.room.n_held, 6, "three of each");
	world_until(&world, (room_answer_all(&world.b.room),
			     writes[19].n_replies == 1 && listings[7].n_replies == 1));
	for (size_t i = 0; i < 8; i++)
		cr_assert_eq(listings[i].error, 0);
	world_close(&world);
}

/* Copied payloads count as lent ones do: more would end the link (session_test). */
Test(net_limits, no_client_has_more_bytes_under_way_than_it_may)
{
	static struct answer writes[600];
	struct world world = {0};

	world_open(&world);
	world_until_up(&world);
	world.b.room.holds_all = true;
	for (size_t i = 0; i < 600; i++)
		cr_assert_eq(ask_write(&world.a, 5 + i % 20, 0, 100000, i % 8 == 0, &writes[i]), 0);
	world_until(&world, world.b.room.n_held == LIMITS_WRITE_BYTES / 100000);
	world_turns(&world, 500);
	cr_assert_eq(world.a.n_lost, 0);
	world_until(&world, (room_answer_all(&world.b.room), writes[599].n_replies == 1));
	for (size_t i = 0; i < 600; i++)
		cr_assert(writes[i].n_replies == 1 && writes[i].error == 0, "%zu: %d", i,
			  writes[i].error);
	cr_assert_eq(world.a.n_up, 1);
	world_close(&world);
}
