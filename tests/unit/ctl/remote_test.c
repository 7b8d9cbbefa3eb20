/* Asking and waiting, against a socket pair whose other end is the test. */
#include "ctl/remote.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/kv_client.h"
#include "proto/errors.h"

struct world {
	char path[64];
	int listener, fd; /* loopsyd's */
	int interrupt;
	struct remote *remote;
};

static void world_init(struct world *world)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*world = (struct world){.path = "/tmp/loopsy-remote-XXXXXX"};
	cr_assert_not_null(mkdtemp(world->path));
	strcpy(address.sun_path, world->path);
	strcat(address.sun_path, "/s");
	world->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(world->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(world->listener, 1), 0);
	cr_assert_eq(remote_new(address.sun_path, &world->remote), 0);
	world->fd = accept(world->listener, NULL, NULL);
	cr_assert_geq(world->fd, 0);
	world->interrupt = eventfd(0, EFD_CLOEXEC);
	cr_assert_geq(world->interrupt, 0);
}

static void world_deinit(struct world *world)
{
	char path[80];

	remote_free(world->remote);
	if (world->fd >= 0)
		close(world->fd);
	close(world->interrupt);
	close(world->listener);
	snprintf(path, sizeof(path), "%s/s", world->path);
	unlink(path);
	rmdir(world->path);
}

static void send_frame(struct world *world, const struct frame *frame, const struct record *record,
		       const void *value)
{
	struct buffer buffer = {0};

	cr_assert_eq(frame_encode(frame, record, value, &buffer, NULL), 0);
	cr_assert_eq(send(world->fd, buffer.data, buffer.size, 0), (ssize_t)buffer.size);
	buffer_deinit(&buffer);
}

static void send_reason(struct world *world, uint64_t id, const char *text)
{
	struct args_ctl_reason reason = {.id = id, .text = {(const uint8_t *)text, strlen(text)}};

	send_frame(world, &(struct frame){.kind = FRAME_EVENT, .op = OP_CTL_REASON},
		   &args_ctl_reason_record, &reason);
}

static void send_status(struct world *world, uint64_t id, int error)
{
	send_frame(
	    world,
	    &(struct frame){.kind = FRAME_REPLY, .id = id, .status = error_from_errno(error)}, NULL,
	    NULL);
}

/* As loopsyd ends a connection whose key holds no more. */
static void end_key(struct world *world)
{
	send_reason(world, OPS_CTL_ANY, "the key was revoked");
	close(world->fd);
	world->fd = -1;
}

static int ask(struct world *world, const char **ret_reason)
{
	struct args_kv_stat args = {.key = {(const uint8_t *)"k", 1}};

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
	send_reason(&world, 1, "no such key");
	send_status(&world, 1, -ENOENT);
	cr_assert_eq(ask(&world, &reason), -ENOENT);
	cr_assert_str_eq(reason, "no such key");
	world_deinit(&world);
}

Test(remote, is_told_that_its_key_does_not_hold)
{
	const char *reason;
	struct world world;

	world_init(&world);
	send_reason(&world, 1, "no such API key");
	send_status(&world, 1, -EKEYREJECTED);
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
	close(world.fd);
	world.fd = -1;
	cr_assert_eq(ask(&world, &reason), -ECONNRESET);
	cr_assert_str_empty(reason);
	world_deinit(&world);
}
