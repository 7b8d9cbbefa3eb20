#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/control/control.h"
#include "daemon/log.h"
#include "proto/frame.h"

/* A daemon on a loop that the test turns, and clients that are plain descriptors. */
struct world {
	uv_loop_t loop;
	char directory[64], path[400];
	struct control_socket *socket;
	struct control_call *parked;
	unsigned n_cancelled, n_closed;
};

static void on_stop(void *arg, struct control_call *call, const struct args_ctl_stop *args)
{
	control_reply(call, &(struct result_ctl_stop){0});
}

/* Answers with as much as a reply may hold. */
static void on_doctor(void *arg, struct control_call *call, const struct args_ctl_doctor *args)
{
	struct control_page page;
	char text[OPS_CTL_TEXT_MAX + 1] = {0};

	memset(text, 'x', OPS_CTL_TEXT_MAX);
	control_page_init(&page, args->offset, args->limit);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(control_page_offer(&page, &ctl_check_record,
						&(struct ctl_check){.name = bytes_of_text("a"),
								    .fix = bytes_of_text(text)}),
			     0);
	control_page_finish(&page);
	control_reply(call, &(struct result_ctl_doctor){.total = page.total, .checks = page.list});
	control_page_deinit(&page);
}

static void on_cancelled(void *arg)
{
	struct world *world = arg;

	world->n_cancelled++;
	control_fail(world->parked, -ECANCELED, "cancelled");
	world->parked = NULL;
}

static void on_pair(void *arg, struct control_call *call, const struct args_ctl_pair *args)
{
	struct world *world = arg;

	world->parked = call;
	control_on_cancel(call, on_cancelled, world);
}

/* The key is its own number. */
static void on_key(void *arg, struct control_call *call, const struct args_ctl_key *args)
{
	control_set_key(call, args->key.data[0], false);
	control_reply(call, &(struct result_ctl_key){0});
}

static const struct control_actions actions = {
    .ctl_key = on_key,
    .ctl_stop = on_stop,
    .ctl_doctor = on_doctor,
    .ctl_pair = on_pair,
};

static void world_init(struct world *world)
{
	log_set_level(LOG_LEVEL_ERROR);
	*world = (struct world){.directory = "/tmp/loopsy-control-XXXXXX"};
	cr_assert_not_null(mkdtemp(world->directory));
	snprintf(world->path, sizeof(world->path), "%s/ctl.sock", world->directory);
	cr_assert_eq(uv_loop_init(&world->loop), 0);
	cr_assert_eq(
	    control_socket_open(&world->loop, world->path, &actions, world, &world->socket), 0);
}

static void on_closed(void *arg)
{
	((struct world *)arg)->n_closed++;
}

static void world_deinit(struct world *world)
{
	control_socket_close(world->socket, on_closed, world);
	cr_assert_eq(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
	cr_assert_eq(world->n_closed, 1);
	cr_assert_eq(uv_loop_close(&world->loop), 0);
	cr_assert_eq(access(world->path, F_OK), -1, "the socket's file is gone");
	cr_assert_eq(rmdir(world->directory), 0);
}

static int dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0, "%s",
		     strerror(errno));
	return fd;
}

/* Turns the loop once; `fd` is awaited for a moment so that this does not spin. */
static void turn(struct world *world, int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	uv_run(&world->loop, UV_RUN_NOWAIT);
	poll(&poll_fd, 1, 1);
}

static time_t deadline(void)
{
	return time(NULL) + 60;
}

/* Reads until the end of the connection or `size` bytes are there. */
static size_t receive(struct world *world, int fd, uint8_t *data, size_t size, bool *ret_ended)
{
	time_t end = deadline();
	size_t got = 0;

	*ret_ended = false;
	while (got < size && !*ret_ended) {
		ssize_t n;

		turn(world, fd);
		n = read(fd, data + got, size - got);
		if (n > 0)
			got += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			*ret_ended = true;
		cr_assert_lt(time(NULL), end, "nothing came");
	}
	return got;
}

static bool ends(struct world *world, int fd)
{
	uint8_t byte;
	bool ended;

	return receive(world, fd, &byte, 1, &ended) == 0 && ended;
}

static void send_request(struct world *world, int fd, uint64_t id, uint16_t op,
			 const struct record *record, const void *value)
{
	struct buffer buffer = {0};

	cr_assert_eq(frame_encode(&(struct frame){.kind = FRAME_REQUEST, .id = id, .op = op},
				  record, value, &buffer, NULL),
		     0);
	cr_assert_eq(write(fd, buffer.data, buffer.size), (ssize_t)buffer.size);
	buffer_deinit(&buffer);
}

static void send_stop(struct world *world, int fd, uint64_t id)
{
	send_request(world, fd, id, OP_CTL_STOP, &args_ctl_stop_record, &(struct args_ctl_stop){0});
}

static void expect_reply(struct world *world, int fd, uint64_t id)
{
	static const size_t header = FRAME_LENGTH_SIZE;
	uint8_t *data = malloc(header + FRAME_MAX);
	struct frame frame;
	size_t length;
	bool ended;

	cr_assert_eq(receive(world, fd, data, header, &ended), header);
	frame_measure((struct bytes){data, header}, FRAME_MAX, &length);
	cr_assert_leq(length, header + FRAME_MAX);
	cr_assert_eq(receive(world, fd, data + header, length - header, &ended), length - header);
	cr_assert_eq(frame_decode((struct bytes){data + header, length - header}, &frame, NULL), 0);
	cr_assert_eq(frame.kind, FRAME_REPLY);
	cr_assert_eq(frame.id, id);
	free(data);
}

Test(control_socket, is_private_and_replaces_a_dead_one)
{
	struct world world;
	struct control_socket *second;
	struct stat st;
	int fd;

	world_init(&world);
	cr_assert_eq(stat(world.path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	/* The file of the first is what a killed daemon leaves behind. */
	cr_assert_eq(control_socket_open(&world.loop, world.path, &actions, &world, &second), 0);
	fd = dial(world.path);
	send_stop(&world, fd, 1);
	expect_reply(&world, fd, 1);
	close(fd);
	control_socket_close(second, NULL, NULL);
	world_deinit(&world);
}

Test(control_socket, says_when_it_cannot_listen)
{
	struct world world;
	struct control_socket *socket = NULL;
	char path[200];

	world_init(&world);
	cr_assert_eq(
	    control_socket_open(&world.loop, "/nonexistent/x/ctl.sock", &actions, &world, &socket),
	    -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	cr_assert_eq(control_socket_open(&world.loop, path, &actions, &world, &socket),
		     -ENAMETOOLONG);
	cr_assert_null(socket);
	world_deinit(&world);
}

Test(control_socket, takes_frames_in_any_pieces)
{
	struct world world;
	struct buffer buffer = {0};
	int fd;

	world_init(&world);
	fd = dial(world.path);
	for (unsigned id = 1; id <= 3; id++)
		cr_assert_eq(
		    frame_encode(
			&(struct frame){.kind = FRAME_REQUEST, .id = id, .op = OP_CTL_STOP},
			&args_ctl_stop_record, &(struct args_ctl_stop){0}, &buffer, NULL),
		    0);
	for (size_t i = 0; i < buffer.size; i++) {
		cr_assert_eq(write(fd, buffer.data + i, 1), 1);
		uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	buffer_deinit(&buffer);
	for (unsigned id = 1; id <= 3; id++)
		expect_reply(&world, fd, id);
	close(fd);
	world_deinit(&world);
}

Test(control_socket, ends_a_connection_that_sends_rubbish)
{
	static const char *const rubbish[] = {"\xff\xff\xff\xff", "GET / HTTP/1.1\r\n\r\n",
					      "\x00\x00\x00\x00"};
	struct world world;

	world_init(&world);
	for (unsigned i = 0; i < 3; i++) {
		int fd = dial(world.path);

		cr_assert_gt(write(fd, rubbish[i], i == 1 ? strlen(rubbish[i]) : 4), 0);
		cr_assert(ends(&world, fd), "rubbish %u", i);
		close(fd);
	}
	world_deinit(&world);
}

Test(control_socket, cancels_a_call_whose_caller_goes)
{
	struct world world;
	time_t end = deadline();
	int fd;

	world_init(&world);
	fd = dial(world.path);
	send_request(&world, fd, 1, OP_CTL_PAIR, &args_ctl_pair_record,
		     &(struct args_ctl_pair){.ttl_s = 1});
	while (!world.parked && time(NULL) < end)
		turn(&world, fd);
	cr_assert_not_null(world.parked);
	close(fd);
	while (!world.n_cancelled && time(NULL) < end)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	cr_assert_eq(world.n_cancelled, 1);
	world_deinit(&world);
}

Test(control_socket, cancels_calls_when_it_is_closed)
{
	struct world world;
	time_t end = deadline();
	int fd;

	world_init(&world);
	fd = dial(world.path);
	send_request(&world, fd, 1, OP_CTL_PAIR, &args_ctl_pair_record,
		     &(struct args_ctl_pair){.ttl_s = 1});
	while (!world.parked && time(NULL) < end)
		turn(&world, fd);
	world_deinit(&world);
	cr_assert_eq(world.n_cancelled, 1);
	close(fd);
}

Test(control_socket, lets_the_user_in_however_many_clients_hang)
{
	struct world world;
	int fds[200], fd;

	world_init(&world);
	for (unsigned i = 0; i < 200; i++) {
		fds[i] = dial(world.path);
		turn(&world, fds[i]);
	}
	fd = dial(world.path);
	send_stop(&world, fd, 1);
	expect_reply(&world, fd, 1);
	close(fd);
	for (unsigned i = 0; i < 200; i++)
		close(fds[i]);
	world_deinit(&world);
}

Test(control_socket, bounds_what_it_keeps_for_a_client_that_does_not_read)
{
	struct world world;
	unsigned sent = 0;
	int fd;

	world_init(&world);
	fd = dial(world.path);
	/* More requests than may wait: the socket stops reading, and a write fails at last. */
	for (unsigned i = 0; i < 200000; i++) {
		struct buffer buffer = {0};
		ssize_t n;

		cr_assert_eq(
		    frame_encode(
			&(struct frame){.kind = FRAME_REQUEST, .id = i, .op = OP_CTL_DOCTOR},
			&args_ctl_doctor_record, &(struct args_ctl_doctor){.limit = 4096}, &buffer,
			NULL),
		    0);
		n = write(fd, buffer.data, buffer.size);
		cr_assert(n == (ssize_t)buffer.size || (n < 0 && errno == EAGAIN));
		buffer_deinit(&buffer);
		if (n < 0)
			break;
		sent++;
		if (i % 16 == 0)
			uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	cr_assert_lt(sent, 200000);
	/* Read at last, everything is answered, in order. */
	for (unsigned i = 0; i < sent; i++)
		expect_reply(&world, fd, i);
	close(fd);
	world_deinit(&world);
}

Test(control_socket, ends_those_who_presented_a_key_and_tells_them_why)
{
	struct world world;
	uint8_t data[4096];
	size_t got, length, at = 0, n_reasons = 0;
	struct frame frame;
	int fds[3];
	bool ended;

	world_init(&world);
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = dial(world.path);
		send_request(&world, fds[i], 1, OP_CTL_KEY, &args_ctl_key_record,
			     &(struct args_ctl_key){.key = bytes_of_text(i < 2 ? "a" : "b")});
		expect_reply(&world, fds[i], 1);
	}
	send_request(&world, fds[0], 2, OP_CTL_PAIR, &args_ctl_pair_record,
		     &(struct args_ctl_pair){.ttl_s = 1});
	while (!world.parked)
		turn(&world, fds[0]);
	control_end_key(world.socket, 'a', "the key was revoked");
	got = receive(&world, fds[0], data, sizeof(data), &ended);
	cr_assert(ended);
	while (frame_measure((struct bytes){data + at, got - at}, FRAME_MAX, &length) == 1) {
		cr_assert_eq(frame_decode((struct bytes){data + at + FRAME_LENGTH_SIZE,
							 length - FRAME_LENGTH_SIZE},
					  &frame, NULL),
			     0);
		n_reasons += frame.kind == FRAME_EVENT && frame.op == OP_CTL_REASON;
		at += length;
	}
	cr_assert_eq(n_reasons, 1);
	cr_assert_eq(at, got);
	cr_assert_eq(world.n_cancelled, 1);
	cr_assert_gt(receive(&world, fds[1], data, sizeof(data), &ended), 0);
	cr_assert(ended);
	send_stop(&world, fds[2], 2);
	expect_reply(&world, fds[2], 2);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
	world_deinit(&world);
}
