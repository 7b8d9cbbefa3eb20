#include "net_asks.h"

#include "daemon/net/limits.h"
#include "daemon/net/net_private.h"

Test(net_calls, both_ends_call_and_serve_over_one_link)
{
	struct world world = {0};
	struct answer from_a = {0}, from_b = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(world.a.n_session_new, 1);
	cr_assert_eq(ask_getattr(&world.a, 1, &from_a), 0);
	cr_assert_eq(ask_getattr(&world.b, 1, &from_b), 0);
	cr_assert_eq(from_a.n_replies, 0, "never from within the call");
	world_until(&world, from_a.n_replies && from_b.n_replies);
	cr_assert(from_a.is_right && from_b.is_right);
	cr_assert_eq(world.relay.n_accepted, 1);
	cr_assert_gt(world.a.n_proved, 0);
	cr_assert_gt(world.b.n_proved, 0);
	world_close(&world);
}

Test(net_calls, fail_at_once_when_the_peer_was_never_reached)
{
	struct world world = {.is_apart = true};
	struct answer answer = {0};

	world_open(&world);
	relay_stop(&world.relay);
	world_pair(&world);
	cr_assert_eq(ask_getattr(&world.a, 1, &answer), -EHOSTDOWN);
	world_close(&world);
	cr_assert_eq(answer.n_replies, 0);
}

Test(net_calls, a_listener_that_comes_later_hears_of_the_session)
{
	struct world world = {0};

	world_open(&world);
	world_until_up(&world);
	world.b.transport->ops->listen(world.b.transport, NULL, NULL);
	world_listen(&world.b);
	cr_assert_eq(world.b.n_session_new, 1, "not from within");
	world_until(&world, world.b.n_session_new == 2);
	world_close(&world);
	cr_assert_eq(world.b.n_session_lost, 1);
}

Test(net_calls, an_errno_comes_through)
{
	struct world world = {0};
	struct answer answer = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_lock(&world.a, 1, &answer), 0);
	world_until(&world, world.b.room.n_held == 1);
	request_fail(world.b.room.held[--world.b.room.n_held], -EDEADLK);
	world_until(&world, answer.n_replies);
	cr_assert_eq(answer.error, -EDEADLK);
	world_close(&world);
}

Test(net_calls, reads_of_any_size_are_right)
{
	enum { N = 300 };
	struct world world = {0};
	struct answer *answers = calloc(N, sizeof(*answers));
	size_t n = 0;

	world_open(&world);
	world_until_up(&world);
	srand(1);
	for (size_t i = 0; i < N; i++) {
		size_t size = i % 3 ? (size_t)rand() % 20000 : (size_t)rand() % (OPS_IO_MAX + 1);

		cr_assert_eq(ask_read(&world.a, i, (uint64_t)rand(), size, &answers[i]), 0);
	}
	while (n < N) {
		world_until(&world, answers[n].n_replies == 1);
		cr_assert(answers[n].is_right);
		n++;
	}
	world_close(&world);
	free(answers);
}

Test(net_calls, an_answer_that_nobody_waits_for_comes_by_itself_or_before_the_next)
{
	struct world world = {0};
	struct room *room = &world.b.room;
	struct answer alone = {0}, first = {0}, second = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_lock(&world.a, 1, &alone), 0);
	world_until(&world, room->n_held == 1);
	request_be_lazy(room->held[0]);
	request_fail(room->held[--room->n_held], -EAGAIN);
	world_until(&world, alone.n_replies == 1);
	cr_assert_eq(alone.error, -EAGAIN);
	cr_assert_eq(ask_lock(&world.a, 1, &first), 0);
	cr_assert_eq(ask_lock(&world.a, 2, &second), 0);
	world_until(&world, room->n_held == 2);
	request_be_lazy(room->held[0]);
	request_fail(room->held[0], -EAGAIN);
	request_fail(room->held[1], -EDEADLK);
	room->n_held = 0;
	world_until(&world, first.n_replies && second.n_replies);
	cr_assert_lt(first.order, second.order);
	cr_assert_eq(first.error, -EAGAIN);
	world_close(&world);
}

/* --- order and priority ----------------------------------------------------------------------- */

static size_t log_find(const struct room *room, uint16_t op, uint64_t node)
{
	for (size_t i = 0; i < room->n_log; i++)
		if (room->log[i].op == op && room->log[i].node == node)
			return i;
	cr_assert_fail("not served");
	return 0;
}

Test(net_calls, calls_of_one_node_arrive_in_order_and_others_overtake)
{
	enum { N = 64 };
	struct world world = {0};
	struct answer writes[N] = {0}, same = {0}, other = {0};
	const struct room *room = &world.b.room;
	uint64_t last = 0;

	world_open(&world);
	world_until_up(&world);
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(ask_write(&world.a, 5, i, OPS_IO_MAX, false, &writes[i]), 0);
	cr_assert_eq(ask_getattr(&world.a, 5, &same), 0);
	cr_assert_eq(ask_getattr(&world.a, 6, &other), 0);
	world_until(&world, same.n_replies && other.n_replies && writes[N - 1].n_replies);
	for (size_t i = 0; i < room->n_log; i++)
		if (room->log[i].op == OP_WRITE) {
			cr_assert_geq(room->log[i].offset, last);
			last = room->log[i].offset;
		}
	cr_assert_eq(log_find(room, OP_GETATTR, 5), N + 1);
	cr_assert_eq(log_find(room, OP_GETATTR, 6), 0, "it passed the copy");
	world_close(&world);
}

Test(net_calls, what_nobody_waits_for_goes_before_the_next_or_soon_by_itself)
{
	struct world world = {0};
	struct answer release = {0}, next = {0};
	const struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_release(&world.a, 7, &release), 0);
	cr_assert_eq(ask_getattr(&world.a, 8, &next), 0);
	world_until(&world, next.n_replies && release.n_replies);
	cr_assert(next.is_right);
	cr_assert_eq(release.error, 0);
	cr_assert_lt(log_find(room, OP_RELEASE, 7), log_find(room, OP_GETATTR, 8));
	/* Its answer has nothing to go with but itself. */
	release = (struct answer){0};
	cr_assert_eq(ask_release(&world.a, 9, &release), 0);
	world_until(&world, release.n_replies);
	cr_assert_eq(release.error, 0);
	release = (struct answer){0};
	cr_assert_eq(ask_release(&world.a, 10, &release), 0);
	world.a.transport->ops->hurry(world.a.transport);
	world_until(&world, release.n_replies);
	world_close(&world);
}

Test(net_calls, a_small_reply_does_not_wait_behind_a_copy)
{
	enum { N = 600 };
	struct world world = {0};
	struct answer *reads = calloc(N, sizeof(*reads)), small = {0};

	world_open(&world);
	world_until_up(&world);
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(ask_read(&world.a, 5, 0, OPS_IO_MAX, &reads[i]), 0);
	cr_assert_eq(ask_getattr(&world.a, 6, &small), 0);
	world_until(&world, small.n_replies == 1);
	world_until(&world, reads[N - 1].n_replies == 1);
	/* What sockets and relay hold already is ahead of it: megabytes, of 75. */
	cr_assert_lt(small.order, reads[N - 1].order);
	cr_assert_lt(small.order, reads[N - 100].order);
	world_close(&world);
	free(reads);
}

Test(net_calls, two_that_read_much_from_each_other_do_not_wait_for_each_other)
{
	enum { N = 1500 };
	struct world world = {0};
	struct answer *from_a = calloc(N, sizeof(*from_a)), *from_b = calloc(N, sizeof(*from_b));
	size_t most = 0, n = 0;

	world_open(&world);
	world_until_up(&world);
	for (size_t i = 0; i < N; i++) {
		cr_assert_eq(ask_read(&world.a, i % 7, i, OPS_IO_MAX, &from_a[i]), 0);
		cr_assert_eq(ask_read(&world.b, i % 7, i, OPS_IO_MAX, &from_b[i]), 0);
	}
	world_until(&world, ({
		size_t queued = link_queue_size(client_link(world.a.peer->client));

		most = queued > most ? queued : most;
		while (n < N && from_a[n].n_replies && from_b[n].n_replies)
			n++;
		n == N;
	}));
	for (size_t i = 0; i < N; i++) {
		cr_assert(from_a[i].is_right && from_b[i].is_right);
		cr_assert(from_a[i].n_replies == 1 && from_b[i].n_replies == 1);
	}
	cr_assert_gt(most, LINK_QUEUE_MARK / 2, "the queue was never pressed");
	cr_assert_leq(most, LINK_QUEUE_MARK + LIMITS_PROMISED + (1 << 20), "memory is bounded");
	world_close(&world);
	free(from_a);
	free(from_b);
}

/* --- cancel and abandon ----------------------------------------------------------------------- */

Test(net_calls, cancel_ends_a_running_call_with_one_reply)
{
	struct world world = {0};
	struct answer answer = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_lock(&world.a, 1, &answer), 0);
	world_until(&world, world.b.room.n_held == 1);
	world.a.transport->ops->cancel(answer.call);
	world.a.transport->ops->cancel(answer.call);
	world_until(&world, answer.n_replies);
	cr_assert_eq(answer.error, -EINTR);
	world_turns(&world, 20);
	cr_assert_eq(answer.n_replies, 1);
	cr_assert_eq(world.b.room.n_cancelled, 1);
	world_close(&world);
}

Test(net_calls, cancel_withdraws_what_was_not_sent)
{
	struct world world = {0};
	struct answer answer = {0}, after = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_write(&world.a, 1, 0, 1000, true, &answer), 0);
	world.a.transport->ops->cancel(answer.call);
	cr_assert_eq(answer.n_replies, 0, "not from within cancel");
	cr_assert_eq(ask_getattr(&world.a, 1, &after), 0);
	world_until(&world, answer.n_replies && after.n_replies);
	cr_assert_eq(answer.error, -EINTR);
	cr_assert_eq(answer.n_done, 1);
	cr_assert_eq(world.b.room.n_write, 0);
	world_close(&world);
}

Test(net_calls, abandoned_calls_are_done_and_not_heard_of)
{
	struct world world = {0};
	struct answer unsent = {0}, sent = {0}, finished = {0}, after = {0};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_getattr(&world.a, ROOM_HOLD_NODE, &sent), 0);
	world_until(&world, world.b.room.n_held == 1);
	world.a.transport->ops->abandon(sent.call);
	cr_assert_eq(ask_write(&world.a, 1, 0, 1000, true, &unsent), 0);
	world.a.transport->ops->abandon(unsent.call);
	cr_assert_eq(unsent.n_done, 1, "the bytes are given back at once");
	cr_assert_eq(ask_getattr(&world.a, 1, &finished), 0);
	world.a.transport->ops->cancel(finished.call);
	world.a.transport->ops->abandon(finished.call);
	room_answer_all(&world.b.room);
	cr_assert_eq(ask_getattr(&world.a, 1, &after), 0);
	world_until(&world, after.n_replies);
	cr_assert_eq(world.b.room.n_write, 1);
	cr_assert_eq(sent.n_replies + unsent.n_replies + finished.n_replies, 0);
	cr_assert_eq(unsent.n_done, 1);
	world_close(&world);
}

Test(net_calls, closing_ends_every_call_once)
{
	struct world world = {0};
	struct answer answers[20] = {0};

	world_open(&world);
	world_until_up(&world);
	for (size_t i = 0; i < 20; i++)
		cr_assert_eq(i % 2 ? ask_getattr(&world.a, ROOM_HOLD_NODE, &answers[i])
				   : ask_write(&world.a, 1, 0, 1000, true, &answers[i]),
			     0);
	world.b.room.holds_all = true;
	world_until(&world, world.b.room.n_held == 20);
	world_close(&world);
	for (size_t i = 0; i < 20; i++) {
		cr_assert_eq(answers[i].n_replies, 1);
		cr_assert_eq(answers[i].error, -ECONNABORTED);
	}
}

/* --- and besides --------------------------------------------------------------------------------
 */

Test(net_calls, permissions_are_checked_and_change_at_once)
{
	struct world world = {.permissions = PERMISSION_FS_RO};
	struct answer denied = {0}, allowed = {0}, later = {0};
	struct net_peer_status status;

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_mkdir(&world.a, "x", &denied), 0);
	cr_assert_eq(ask_getattr(&world.a, 1, &allowed), 0);
	world_until(&world, denied.n_replies && allowed.n_replies);
	cr_assert_eq(denied.error, -EROFS);
	cr_assert_eq(allowed.error, 0);
	net_peer_set_permissions(world.b.peer, PERMISSION_FS_RW);
	world_until(&world, (net_peer_get_status(world.a.peer, &status),
			     status.granted == PERMISSION_FS_RW));
	cr_assert_eq(ask_mkdir(&world.a, "x", &later), 0);
	world_until(&world, later.n_replies);
	cr_assert_eq(later.error, 0);
	cr_assert_eq(world.b.room.n_mkdir, 1);
	cr_assert_eq(world.b.n_answered, 3);
	cr_assert_eq(world.b.n_failed, 1);
	cr_assert_eq(world.b.n_denied, 1);
	world_close(&world);
}

Test(net_calls, events_arrive)
{
	struct world world = {0};

	world_open(&world);
	world_until_up(&world);
	forget(&world.a, 7);
	forget(&world.a, 8);
	world_until(&world, world.b.room.n_forget == 2);
	world_close(&world);
}

Test(net_calls, delay_and_rate_are_measured)
{
	enum { N = 400 };
	struct world world = {.times = {.ping = 20}};
	struct answer *answers = calloc(N, sizeof(*answers));
	uint64_t rtt = 0, rate = 0;

	world_open(&world);
	world_until_up(&world);
	world_until(&world,
		    (world.a.transport->ops->measure(world.a.transport, &rtt, &rate), rtt > 0));
	while (rate == 0) {
		for (size_t i = 0; i < N; i++) {
			answers[i] = (struct answer){0};
			cr_assert_eq(ask_read(&world.a, 1, 0, OPS_IO_MAX, &answers[i]), 0);
		}
		world_until(&world, answers[N - 1].n_replies);
		world.a.transport->ops->measure(world.a.transport, &rtt, &rate);
	}
	cr_assert_gt(rate, 100000);
	world_close(&world);
	free(answers);
}
