/* Asking and waiting, against a socket pair whose other end is the test. */
#include "ctl/remote.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ctl/kv_client.h"
#include "loopsyd_end.h"

struct world {
	struct loopsyd_end end;
	int interrupt;
	struct remote *remote;
};

static void world_init(struct world *world)
{
	loopsyd_end_init(&world->end);
	world->remote = world->end.remote;
	world->interrupt = eventfd(0, EFD_CLOEXEC);
	cr_assert_geq(world->interrupt, 0);
}

static void world_deinit(struct world *world)
{
	loopsyd_end_deinit(&world->end);
	close(world->interrupt);
}

/* As loopsyd ends a connection whose key holds no more. */
static void end_key(struct world *world)
{
	loopsyd_end_send_reason(&world->end, OPS_CTL_ANY, "the key was revoked");
	loopsyd_end_close(&world->end);
}

static int ask(struct world *world, const char **ret_reason)
{
	struct args_kv_stat args = {.key = bytes_of_text("k")};

	return remote_ask(world->remote, "desk", OP_KV_STAT, &args, NULL, ret_reason);
}

Test(remote, gives_up_every_wait_when_it_is_interrupted)
{
	struct kv_got got = {0};
	const char *reason;
	struct world world;

	world_init(&world);
	remote_set_interrupt(world.remote, world.interrupt);
	cr_assert_eq(eventfd_write(world.interrupt, 1), 0);
	cr_assert_eq(remote_present_key(world.remote, "key", &reason), -ECANCELED);
	cr_assert_eq(ask(&world, &reason), -ECANCELED);
	cr_assert_eq(kv_client_get(world.remote, "desk", "k", &got), -ECANCELED);
	kv_got_deinit(&got);
	world_deinit(&world);
}

Test(remote, takes_an_answer_while_nobody_interrupts)
{
	const char *reason;
	struct world world;

	world_init(&world);
	remote_set_interrupt(world.remote, world.interrupt);
	loopsyd_end_send_reason(&world.end, 1, "no such key");
	loopsyd_end_send_status(&world.end, 1, -ENOENT);
	cr_assert_eq(ask(&world, &reason), -ENOENT);
	cr_assert_str_eq(reason, "no such key");
	world_deinit(&world);
}

Test(remote, is_told_that_its_key_does_not_hold)
{
	const char *reason;
	struct world world;

	world_init(&world);
	loopsyd_end_send_reason(&world.end, 1, "no such API key");
	loopsyd_end_send_status(&world.end, 1, -EKEYREJECTED);
	cr_assert_eq(remote_present_key(world.remote, "key", &reason), -EKEYREJECTED);
	cr_assert_str_eq(reason, "no such API key");
	world_deinit(&world);
}

Test(remote, says_that_the_key_was_revoked_whoever_waits)
{
	const char *reason;
	struct world world;

	world_init(&world);
	end_key(&world);
	cr_assert_eq(ask(&world, &reason), -EKEYREVOKED);
	cr_assert_str_eq(reason, "the key was revoked");
	world_deinit(&world);

	world_init(&world);
	end_key(&world);
	cr_assert_eq(remote_may(world.remote, "desk", "fs:ro", &reason), -EKEYREVOKED);
	cr_assert_str_eq(reason, "the key was revoked");
	world_deinit(&world);
}

Test(remote, tells_the_end_of_loopsyd_from_that_of_a_key)
{
	const char *reason;
	struct world world;

	world_init(&world);
	loopsyd_end_close(&world.end);
	cr_assert_eq(ask(&world, &reason), -ECONNRESET);
	cr_assert_str_empty(reason);
	world_deinit(&world);
}
