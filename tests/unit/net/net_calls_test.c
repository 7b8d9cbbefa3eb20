#include "net_world.h"

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
