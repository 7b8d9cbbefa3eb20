/* This machine's own rooms, asked by itself: without peer, socket or TLS. */
#include "net_asks.h"

#include "daemon/net/limits.h"
#include "daemon/net/link.h"
#include "daemon/net/session.h"

/* In `world.a`'s net; what asks is `me`. */
static void open_self(struct world *world, struct end *me)
{
	*world = (struct world){.is_apart = true, .is_direct = true};
	world_open(world);
	cr_assert_null(net_self_transport(world->a.net));
	cr_assert_eq(net_open_self(world->a.net), 0);
	*me = (struct end){.transport = net_self_transport(world->a.net)};
	cr_assert(is_up(me));
	cr_assert_eq(world->a.room.n_opened, 1);
}

Test(self, a_call_is_answered_but_not_from_within)
{
	struct answer answer = {0};
	struct world world;
	struct end me;

	open_self(&world, &me);
	cr_assert_eq(ask_getattr(&me, 1, &answer), 0);
	cr_assert_eq(answer.n_replies, 0);
	cr_assert_eq(world.a.room.n_log, 0);
	world_until(&world, answer.n_replies);
	cr_assert(answer.is_right);
	world_close(&world);
	cr_assert_eq(answer.n_replies, 1);
}

Test(self, a_listener_hears_of_its_session)
{
	struct world world;
	struct end me;

	open_self(&world, &me);
	world_listen(&me);
	world_until(&world, me.n_session_new == 1);
	world_close(&world);
	cr_assert_eq(me.n_session_lost, 1);
}

Test(self, an_errno_comes_through)
{
	struct answer answer = {0};
	struct world world;
	struct end me;

	open_self(&world, &me);
	cr_assert_eq(ask_lock(&me, 1, &answer), 0);
	world_until(&world, world.a.room.n_held == 1);
	request_fail(world.a.room.held[--world.a.room.n_held], -EDEADLK);
	world_until(&world, answer.n_replies);
	cr_assert_eq(answer.error, -EDEADLK);
	world_close(&world);
}

Test(self, rooms_know_it_from_a_peer)
{
	struct answer mine = {0}, theirs = {0};
	struct room *room;
	struct world world;
	struct end me;

	open_self(&world, &me);
	world_pair(&world);
	world_until_up(&world);
	room = &world.a.room;
	cr_assert_eq(ask_lock(&me, 1, &mine), 0);
	world_until(&world, room->n_held == 1);
	cr_assert_eq(ask_lock(&world.b, 1, &theirs), 0);
	world_until(&world, room->n_held == 2);
	cr_assert(session_is_local(room->held[0]->session));
	cr_assert(net_is_self(world.a.net, session_peer(room->held[0]->session)));
	cr_assert_eq(request_permissions(room->held[0]) & PERMISSION_LOCAL, PERMISSION_LOCAL);
	cr_assert_not(session_is_local(room->held[1]->session));
	cr_assert_not(net_is_self(world.a.net, session_peer(room->held[1]->session)));
	cr_assert_eq(request_permissions(room->held[1]) & PERMISSION_LOCAL, 0);
	world_close(&world);
}

Test(self, payloads_of_any_size_are_right_in_both_directions)
{
	enum { N = 200 };
	struct answer *reads = calloc(N, sizeof(*reads)), *writes = calloc(N, sizeof(*writes));
	struct world world;
	size_t size;
	struct end me;

	open_self(&world, &me);
	for (size_t i = 0; i < N; i++) {
		size = i * i * i % (OPS_IO_MAX + 1);
		cr_assert_eq(ask_read(&me, i, 7 * i, size, &reads[i]), 0);
		cr_assert_eq(ask_write(&me, i, 5 * i, size, i % 2, &writes[i]), 0);
	}
	for (size_t i = 0; i < N; i++) {
		world_until(&world, reads[i].n_replies && writes[i].n_replies);
		cr_assert(reads[i].is_right);
		cr_assert_eq(writes[i].error, 0);
		cr_assert_eq(writes[i].n_done, i % 2);
	}
	cr_assert_eq(world.a.room.n_write, N);
	world_close(&world);
	free(reads);
	free(writes);
}

/* --- streams ---------------------------------------------------------------------------------- */

Test(self, a_stream_goes_as_far_as_it_has_credit)
{
	enum { SIZE = 5 * LIMITS_WINDOW };
	struct answer answer = {.holds_credit = true}, other = {0};
	struct world world;
	struct end me;

	open_self(&world, &me);
	cr_assert_eq(ask_readdir(&me, SIZE, &answer), 0);
	world_until(&world, answer.unconsumed == LIMITS_WINDOW);
	cr_assert_eq(ask_getattr(&me, 1, &other), 0);
	world_until(&world, other.n_replies);
	cr_assert_eq(answer.streamed, LIMITS_WINDOW, "no more than was granted");
	answer.holds_credit = false;
	me.transport->ops->consumed(answer.call, 0, answer.unconsumed);
	world_until(&world, answer.n_ends);
	cr_assert_eq(answer.end_error, 0);
	cr_assert_eq(answer.size + answer.streamed, SIZE);
	world_close(&world);
	cr_assert_eq(world.a.room.n_lent, 0);
}

Test(self, a_stream_that_is_given_up_ends_in_its_room)
{
	struct answer abandoned = {.holds_credit = true}, cancelled = {.holds_credit = true};
	struct world world;
	struct end me;

	open_self(&world, &me);
	cr_assert_eq(ask_readdir(&me, 5 * LIMITS_WINDOW, &abandoned), 0);
	cr_assert_eq(ask_readdir(&me, 5 * LIMITS_WINDOW, &cancelled), 0);
	world_until(&world, abandoned.streamed && cancelled.streamed);
	me.transport->ops->abandon(abandoned.call);
	me.transport->ops->cancel(cancelled.call);
	world_until(&world, cancelled.n_ends && world.a.room.n_broken == 2);
	cr_assert_eq(cancelled.end_error, -EINTR);
	cr_assert_eq(abandoned.n_ends, 0);
	world_close(&world);
}

/* --- giving up -------------------------------------------------------------------------------- */

Test(self, a_cancelled_call_ends_in_its_room_and_is_answered)
{
	struct answer sent = {0}, unsent = {0};
	struct world world;
	struct end me;

	open_self(&world, &me);
	cr_assert_eq(ask_lock(&me, 1, &sent), 0);
	world_until(&world, world.a.room.n_held == 1);
	me.transport->ops->cancel(sent.call);
	cr_assert_eq(ask_lock(&me, 2, &unsent), 0);
	me.transport->ops->cancel(unsent.call);
	world_until(&world, sent.n_replies && unsent.n_replies);
	cr_assert_eq(sent.error, -EINTR);
	cr_assert_eq(unsent.error, -EINTR);
	cr_assert_eq(world.a.room.n_cancelled, 1);
	cr_assert_eq(world.a.room.n_log, 1, "what was not sent is not asked");
	world_close(&world);
}

Test(self, nobody_hears_of_an_abandoned_call)
{
	struct answer answer = {0}, other = {0};
	struct world world;
	struct end me;

	open_self(&world, &me);
	cr_assert_eq(ask_lock(&me, 1, &answer), 0);
	world_until(&world, world.a.room.n_held == 1);
	me.transport->ops->abandon(answer.call);
	room_answer_all(&world.a.room);
	cr_assert_eq(ask_getattr(&me, 1, &other), 0);
	world_until(&world, other.n_replies);
	cr_assert_eq(answer.n_replies, 0);
	world_close(&world);
}

Test(self, events_come_behind_the_calls_before_them)
{
	struct answer answer = {0};
	struct world world;
	struct end me;

	open_self(&world, &me);
	cr_assert_eq(ask_write(&me, 1, 0, OPS_IO_MAX, false, &answer), 0);
	forget(&me, 1);
	cr_assert_eq(world.a.room.n_forget, 0);
	world_until(&world, world.a.room.n_forget == 1);
	cr_assert_eq(world.a.room.n_write, 1);
	world_close(&world);
}

/* --- the end ---------------------------------------------------------------------------------- */

Test(self, calls_under_way_end_with_the_daemon)
{
	struct answer held = {0}, unsent = {0}, lent = {0}, streaming = {.holds_credit = true};
	struct world world;
	struct end me;

	open_self(&world, &me);
	cr_assert_eq(ask_lock(&me, 1, &held), 0);
	cr_assert_eq(ask_readdir(&me, 5 * LIMITS_WINDOW, &streaming), 0);
	world_until(&world, world.a.room.n_held == 1 && streaming.streamed > 0);
	cr_assert_eq(ask_getattr(&me, 1, &unsent), 0);
	cr_assert_eq(ask_write(&me, 1, 0, OPS_IO_MAX, true, &lent), 0);
	world_close(&world); /* with an orphan that is answered after it */
	cr_assert_eq(held.error, -ECONNABORTED);
	cr_assert_eq(unsent.error, -ECONNABORTED);
	cr_assert_eq(lent.error, -ECONNABORTED);
	cr_assert_eq(lent.n_done, 1);
	cr_assert_eq(held.n_replies + unsent.n_replies + lent.n_replies, 3);
	cr_assert_eq(streaming.n_ends, 1);
	cr_assert_eq(world.a.room.n_broken, 1);
}

Test(self, after_a_broken_rule_it_begins_anew)
{
	struct answer held = {0}, changing = {0}, after = {0}, streaming = {.holds_credit = true};
	struct world world;
	struct end me;

	open_self(&world, &me);
	world_listen(&me);
	cr_assert_eq(ask_getattr(&me, ROOM_HOLD_NODE, &held), 0);
	cr_assert_eq(ask_lock(&me, 1, &changing), 0);
	cr_assert_eq(ask_readdir(&me, 5 * LIMITS_WINDOW, &streaming), 0);
	world_until(&world, world.a.room.n_held == 2 && streaming.streamed > 0);
	link_fail(session_link(world.a.room.held[0]->session), -EPROTO, "the test says so");
	cr_assert_eq(ask_getattr(&me, 1, &after), 0, "it waits for the new one");
	world_until(&world, held.n_replies && changing.n_replies && after.n_replies);
	cr_assert_eq(held.error, -ESTALE);
	cr_assert_eq(changing.error, -EIO, "it may have been done");
	cr_assert_eq(streaming.end_error, -ENOTCONN);
	cr_assert_eq(me.n_session_new, 2);
	cr_assert_eq(world.a.room.n_opened, 2);
	cr_assert_eq(world.a.room.n_closed, 1);
	world_close(&world);
}
