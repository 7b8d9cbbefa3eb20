#include "net_asks.h"

#include "daemon/net/net_private.h"

/* Quick, but not so quick that a busy machine is taken for a dead peer. */
static const struct net_times quick = {
    .ping = 100, .pong = 2000, .down = 1500, .handshake = 2000, .backoff_max = 200};

static const struct net_times patient = {.ping = 100, .pong = 2000, .down = 600000};

Test(net_resume, a_call_survives_its_link_and_is_done_once)
{
	struct world world = {.times = patient};
	struct answer mkdir = {0}, write = {0}, lock = {0};
	struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	room->holds_all = true;
	cr_assert_eq(ask_mkdir(&world.a, "x", &mkdir), 0);
	cr_assert_eq(ask_write(&world.a, 2, 0, 5000, true, &write), 0);
	cr_assert_eq(ask_lock(&world.a, 3, &lock), 0);
	world_until(&world, room->n_held == 3);
	relay_cut(&world.relay);
	world_until(&world, world.a.n_up == 2 && world.b.n_up == 2);
	cr_assert_eq(mkdir.n_replies, 0);
	room_answer_all(room);
	world_until(&world, mkdir.n_replies && write.n_replies && lock.n_replies);
	cr_assert_eq(mkdir.error, 0);
	cr_assert(write.error == 0 && write.n_done == 1);
	cr_assert_eq(room->n_mkdir, 1);
	cr_assert_eq(room->n_write, 1);
	cr_assert_eq(room->n_opened, 1);
	cr_assert_eq(world.a.n_session_new, 1, "the session was resumed");
	cr_assert_eq(world.a.n_lost, 1);
	world_close(&world);
}

Test(net_resume, an_answer_that_was_lost_is_given_again_not_made_again)
{
	struct world world = {.times = patient};
	struct answer mkdir = {0}, getattr = {0};
	struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	room->holds_all = true;
	cr_assert_eq(ask_mkdir(&world.a, "x", &mkdir), 0);
	cr_assert_eq(ask_getattr(&world.a, 1, &getattr), 0);
	world_until(&world, room->n_held == 2);
	relay_stop(&world.relay);
	room->holds_all = false;
	room_answer_all(room); /* into a cable that is cut next */
	world_turns(&world, 10);
	relay_cut(&world.relay);
	relay_go_on(&world.relay);
	world_until(&world, mkdir.n_replies && getattr.n_replies);
	cr_assert_eq(mkdir.error, 0);
	cr_assert(getattr.is_right);
	cr_assert_eq(room->n_mkdir, 1);
	world_close(&world);
}

Test(net_resume, links_cut_at_any_byte_lose_nothing_and_repeat_nothing)
{
	enum { ROUNDS = 40, N = 30 };
	struct world world = {.times = patient};
	struct answer *answers = calloc(N * 4, sizeof(*answers));
	unsigned n_made = 0;

	world.times.backoff_min = 1;
	world.times.backoff_max = 20;
	world_open(&world);
	world_until_up(&world);
	srand(7);
	for (int round = 0; round < ROUNDS; round++) {
		memset(answers, 0, N * 4 * sizeof(*answers));
		world.relay.budget = rand() % 400000;
		for (size_t i = 0; i < N; i++) {
			size_t size = (size_t)rand() % 60000;

			cr_assert_eq(ask_mkdir(&world.a, "x", &answers[4 * i]), 0);
			cr_assert_eq(ask_read(&world.a, i, i, size, &answers[4 * i + 1]), 0);
			cr_assert_eq(ask_write(&world.a, i, i, size, i % 2, &answers[4 * i + 2]),
				     0);
			cr_assert_eq(ask_mkdir(&world.b, "y", &answers[4 * i + 3]), 0);
		}
		n_made += N;
		for (size_t i = 0; i < N * 4; i++) {
			world_until(&world, answers[i].n_replies == 1);
			cr_assert_eq(answers[i].error, 0, "round %d call %zu", round, i);
			cr_assert(i % 4 != 1 || answers[i].is_right);
		}
	}
	world.relay.budget = -1;
	cr_assert_eq(world.b.room.n_mkdir, n_made);
	cr_assert_eq(world.a.room.n_mkdir, n_made);
	cr_assert_eq(world.b.room.n_write, n_made);
	cr_assert_eq(world.a.n_session_new, 1);
	cr_assert_gt(world.relay.n_accepted, 5, "it was cut");
	world_close(&world);
	free(answers);
}

Test(net_resume, streams_end_with_their_link)
{
	struct world world = {.times = patient};
	struct answer answer = {.holds_credit = true};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_readdir(&world.a, 10000000, &answer), 0);
	world_until(&world, answer.streamed > 0);
	relay_cut(&world.relay);
	world_until(&world, answer.n_ends && world.b.room.n_broken);
	cr_assert_eq(answer.end_error, -ENOTCONN);
	cr_assert_eq(world.b.room.broken_error, -ENOTCONN);
	cr_assert_eq(answer.n_replies, 1);
	world_until(&world, world.a.n_up == 2);
	world_close(&world);
}

Test(net_resume, events_made_without_a_link_arrive_later)
{
	struct world world = {.times = patient};

	world_open(&world);
	world_until_up(&world);
	relay_stop(&world.relay);
	relay_cut(&world.relay);
	world_until(&world, world.a.n_lost);
	forget(&world.a, 1);
	forget(&world.a, 2);
	relay_cut(&world.relay);
	relay_go_on(&world.relay);
	world_until(&world, world.b.room.n_forget == 2);
	world_close(&world);
}

Test(net_resume, a_cancel_without_a_link_arrives_later)
{
	struct world world = {.times = patient};
	struct answer answer = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_lock(&world.a, 1, &answer), 0);
	world_until(&world, world.b.room.n_held == 1);
	relay_stop(&world.relay);
	relay_cut(&world.relay);
	world_until(&world, world.a.n_lost);
	world.a.transport->ops->cancel(answer.call);
	relay_cut(&world.relay);
	relay_go_on(&world.relay);
	world_until(&world, answer.n_replies);
	cr_assert_eq(answer.error, -EINTR);
	cr_assert_eq(world.b.room.n_cancelled, 1);
	world_close(&world);
}

Test(net_resume, after_a_restart_of_the_server_nothing_is_done_twice)
{
	struct world world = {.times = patient};
	struct answer mkdir = {0}, getattr = {0}, later = {0};
	struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	room->holds_all = true;
	cr_assert_eq(ask_mkdir(&world.a, "x", &mkdir), 0);
	cr_assert_eq(ask_getattr(&world.a, 1, &getattr), 0);
	world_until(&world, room->n_held == 2);
	world_restart(&world, &world.b);
	room->holds_all = false;
	cr_assert(request_is_orphan(room->held[0]));
	room_answer_all(room);
	world_until(&world, mkdir.n_replies && getattr.n_replies && is_up(&world.a));
	cr_assert_eq(mkdir.error, -EIO);
	cr_assert_eq(getattr.error, -ESTALE);
	cr_assert_eq(world.a.n_session_new, 2);
	cr_assert_eq(ask_mkdir(&world.a, "x", &later), 0);
	world_until(&world, later.n_replies);
	cr_assert_eq(later.error, 0);
	cr_assert_eq(room->n_mkdir, 2);
	world_close(&world);
}

Test(net_resume, a_restarted_client_gets_a_new_session_and_the_old_one_is_closed)
{
	struct world world = {.times = patient};

	world_open(&world);
	world_until_up(&world);
	net_peer_set_addresses(world.b.peer, NULL, 0);
	world_restart(&world, &world.a);
	net_peer_announced(world.a.peer, net_listen_address(world.b.net, 0));
	world_until_up(&world);
	cr_assert_eq(world.b.room.n_opened, 2);
	cr_assert_eq(world.b.room.n_closed, 1);
	cr_assert_eq(world.a.n_session_new, 2);
	cr_assert_eq(world.b.n_session_new, 2, "and so has the one in the other direction");
	world_close(&world);
}

Test(net_resume, a_session_ends_when_its_peer_stays_away)
{
	struct world world = {.times = {.ping = 100, .pong = 2000, .down = 600000, .session = 100}};
	struct answer answer = {0};

	world_open(&world);
	world_until_up(&world);
	relay_stop(&world.relay);
	relay_cut(&world.relay);
	world_until(&world, world.b.room.n_closed == 1 && world.a.n_lost);
	cr_assert_eq(ask_getattr(&world.a, 1, &answer), 0, "it waits for a link");
	relay_cut(&world.relay);
	relay_go_on(&world.relay);
	world_until(&world, answer.n_replies && world.a.n_session_new == 2);
	cr_assert_eq(answer.error, -ESTALE);
	world_close(&world);
}

/* --- lost and down ---------------------------------------------------------------------------- */

Test(net_resume, a_silent_peer_is_lost_then_down_then_back)
{
	struct world world = {.times = quick};
	struct answer sent = {0}, queued = {0}, refused = {0}, after = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_getattr(&world.a, ROOM_HOLD_NODE, &sent), 0);
	world_until(&world, world.b.room.n_held == 1);
	relay_stop(&world.relay); /* no end, no error: just nothing any more */
	world_until(&world, world.a.n_lost == 1);
	cr_assert_eq(ask_getattr(&world.a, 1, &queued), 0);
	world_turns(&world, 10);
	cr_assert_eq(sent.n_replies + queued.n_replies, 0, "they wait");
	world_until(&world, world.a.n_down == 1 && sent.n_replies && queued.n_replies);
	cr_assert_eq(sent.error, -EHOSTDOWN);
	cr_assert_eq(queued.error, -EHOSTDOWN);
	cr_assert_eq(world.a.n_session_lost, 1);
	cr_assert_eq(ask_getattr(&world.a, 1, &refused), -EHOSTDOWN);
	relay_cut(&world.relay);
	relay_go_on(&world.relay);
	world_until(&world, is_up(&world.a) && is_up(&world.b));
	cr_assert_eq(world.a.n_session_new, 1, "the session was still there");
	cr_assert_eq(ask_getattr(&world.a, 1, &after), 0);
	world_until(&world, after.n_replies);
	cr_assert(after.is_right);
	world_close(&world);
}

Test(net_resume, a_call_waits_for_a_link_only_so_long)
{
	struct world world = {.times = patient};
	struct answer before = {0}, after = {0};

	world.times.io_timeout = 300;
	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_getattr(&world.a, ROOM_HOLD_NODE, &before), 0);
	world_until(&world, world.b.room.n_held == 1);
	relay_stop(&world.relay);
	relay_cut(&world.relay);
	world_until(&world, world.a.n_lost == 1);
	cr_assert_eq(ask_write(&world.a, 1, 0, 100, true, &after), 0);
	world_until(&world, before.n_replies && after.n_replies);
	cr_assert_eq(before.error, -ETIMEDOUT);
	cr_assert_eq(after.error, -ETIMEDOUT);
	cr_assert_eq(after.n_done, 1);
	world_close(&world);
}

Test(net_resume, a_stream_that_comes_for_a_call_which_has_timed_out_is_ended)
{
	struct world world = {.times = patient};
	struct room *room = &world.b.room;
	struct answer answer = {0};

	world.times.io_timeout = 300;
	world_open(&world);
	world_until_up(&world);
	room->holds_all = true;
	cr_assert_eq(ask_readdir(&world.a, 10000000, &answer), 0);
	world_until(&world, room->n_held == 1);
	relay_stop(&world.relay);
	relay_cut(&world.relay);
	world_until(&world, answer.n_replies);
	cr_assert_eq(answer.error, -ETIMEDOUT);
	relay_go_on(&world.relay);
	world_until(&world, world.a.n_up == 2 && is_up(&world.b));
	room->holds_all = false;
	room_answer_all(room);
	world_until(&world, room->n_broken == 1);
	cr_assert_eq(room->broken_error, -EINTR);
	world_close(&world);
}

Test(net_resume, a_call_may_take_longer_than_that_while_there_is_a_link)
{
	struct world world = {.times = patient};
	struct answer lock = {0};
	uint64_t from;

	world.times.io_timeout = 1;
	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_lock(&world.a, 1, &lock), 0);
	world_until(&world, world.b.room.n_held == 1);
	from = uv_hrtime();
	world_until(&world, uv_hrtime() - from > 50000000);
	cr_assert_eq(lock.n_replies, 0);
	room_answer_all(&world.b.room);
	world_until(&world, lock.n_replies);
	cr_assert_eq(lock.error, 0);
	world_close(&world);
}

Test(net_resume, an_idle_link_is_kept_by_pings_and_frees_kept_replies)
{
	struct world world = {.times = patient};
	struct answer mkdir = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_mkdir(&world.a, "x", &mkdir), 0);
	world_until(&world, mkdir.n_replies);
	world_until(&world, world.relay.n_bytes > 20000); /* pings and nothing else */
	cr_assert_eq(world.a.n_lost, 0);
	cr_assert_eq(world.relay.n_accepted, 1);
	world_close(&world);
}
