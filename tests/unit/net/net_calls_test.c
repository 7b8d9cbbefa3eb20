#include "net_world.h"

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

/* --- limits ----------------------------------------------------------------------------------- */

Test(net_calls, no_more_than_a_session_may_have_are_in_flight)
{
	enum { N = 3000 };
	struct world world = {0};
	struct answer *answers = calloc(N, sizeof(*answers));
	struct room *room = &world.b.room;

	world_open(&world);
	world_until_up(&world);
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(ask_getattr(&world.a, WORLD_HOLD_NODE, &answers[i]), 0);
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

Test(net_calls, no_more_bytes_of_writes_than_a_session_may_have_are_in_flight)
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
	cr_assert_eq(ask_getattr(&world.a, WORLD_HOLD_NODE, &sent), 0);
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
		cr_assert_eq(i % 2 ? ask_getattr(&world.a, WORLD_HOLD_NODE, &answers[i])
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

/* --- streams ---------------------------------------------------------------------------------- */

Test(net_calls, a_stream_comes_whole_and_ends)
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

Test(net_calls, what_is_lent_to_a_stream_is_given_back)
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

Test(net_calls, a_slow_reader_stops_the_writer_and_nobody_else)
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

Test(net_calls, an_abandoned_or_cancelled_stream_ends_at_its_source)
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

Test(net_calls, many_streams_at_once_are_queued_beyond_the_limit)
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

/* --- limits that the server sets -------------------------------------------------------------- */

Test(net_calls, a_client_keeps_to_the_calls_that_the_server_grants)
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

Test(net_calls, more_calls_than_by_default_may_be_granted)
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

Test(net_calls, a_client_keeps_to_the_bytes_and_streams_that_the_server_grants)
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
Test(net_calls, no_client_has_more_bytes_under_way_than_it_may)
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
