/*
 * message_rate SOCKET PEER SOCKET-OF-PEER SECONDS
 *
 * Sends one message after the other through loopsyd's control socket to a peer, whose user
 * acknowledges each as soon as it is told that it has come. Prints how many, in how many seconds,
 * and the medians in seconds: from sending until the sender is told that it is delivered, and that
 * it is read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/remote.h"

#define MESSAGES_MAX 100000

/* A machine's user, who is told what happens to messages. */
struct user {
	struct remote *remote;
	struct remote_call *events;
	bool is_told; /* from now on */
	char received[OPS_MSG_ID_MAX + 1], read[OPS_MSG_ID_MAX + 1]; /* the last one */
	double delivered_at;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static _Noreturn void fail(const char *what, int error)
{
	fprintf(stderr, "message_rate: %s: %s\n", what, strerror(error));
	exit(1);
}

/* --- what is told ----------------------------------------------------------------------------- */

static void on_reply(void *arg, const struct remote_reply *reply)
{
	if (reply->error < 0)
		fail("events", -reply->error);
	((struct user *)arg)->is_told = true;
}

static void keep(char id[OPS_MSG_ID_MAX + 1], struct bytes told)
{
	memcpy(id, told.data, told.size);
	id[told.size] = '\0';
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct user *user = arg;
	struct bytes rest = data;
	struct msg_event event;

	while (rest.size > 0 && codec_decode(&msg_event_record, &rest, &event, NULL) == 0) {
		if (event.kind == MSG_EVENT_RECEIVED)
			keep(user->received, event.id);
		else if (event.kind == MSG_EVENT_DELIVERED)
			user->delivered_at = now();
		else if (event.kind == MSG_EVENT_READ)
			keep(user->read, event.id);
	}
	remote_consumed(user->events, channel, data.size);
}

static void on_end(void *arg, int error)
{
	fail("events", -error);
}

static const struct remote_handler handler = {on_reply, on_data, on_end};

static void turn(struct user *users[], nfds_t n)
{
	struct pollfd fds[2];
	int r;

	for (nfds_t i = 0; i < n; i++)
		fds[i] = remote_poll(users[i]->remote);
	if (poll(fds, n, -1) < 0)
		fail("poll", errno);
	for (nfds_t i = 0; i < n; i++)
		if (fds[i].revents && (r = remote_turn(users[i]->remote)) < 0)
			fail("loopsyd", -r);
}

static void connect_user(struct user *user, const char *socket)
{
	int r = remote_new(socket, &user->remote);

	if (r == 0)
		r = remote_call(user->remote, "", OP_MSG_EVENTS, &(struct args_msg_events){0},
				&handler, user, &user->events);
	if (r < 0)
		fail(socket, -r);
	while (!user->is_told)
		turn(&user, 1);
}

/* --- one message ------------------------------------------------------------------------------ */

static void send_message(struct user *user, const char *peer, char ret_id[OPS_MSG_ID_MAX + 1])
{
	struct args_msg_send args = {.peer = {(const uint8_t *)peer, strlen(peer)},
				     .body = {(const uint8_t *)"hello", 5}};
	struct result_msg_send result;
	struct msg_sent sent;
	const char *reason;
	int r = remote_ask(user->remote, "", OP_MSG_SEND, &args, &result, &reason);

	if (r == 0)
		r = codec_list_next(&result.sent, &msg_sent_record, &sent, NULL);
	if (r < 0)
		fail("send", -r);
	keep(ret_id, sent.id);
}

static void acknowledge(struct user *user, const char *text)
{
	struct msg_id id = {.id = {(const uint8_t *)text, strlen(text)}};
	struct args_msg_ack args = {0};
	struct buffer ids = {0};
	int r = codec_list_append(&args.ids, &ids, &msg_id_record, &id);

	codec_list_finish(&args.ids, &ids);
	if (r == 0)
		r = remote_call(user->remote, "", OP_MSG_ACK, &args, NULL, NULL, NULL);
	if (r < 0)
		fail("acknowledge", -r);
	buffer_deinit(&ids);
}

static void go_through(struct user *from, struct user *to, const char *peer, double *ret_delivered,
		       double *ret_read)
{
	struct user *users[] = {from, to};
	char id[OPS_MSG_ID_MAX + 1];
	bool is_acknowledged = false;
	double began = now();

	send_message(from, peer, id);
	while (strcmp(from->read, id) != 0) {
		if (!is_acknowledged && strcmp(to->received, id) == 0) {
			acknowledge(to, id);
			is_acknowledged = true;
		}
		turn(users, 2);
	}
	*ret_delivered = from->delivered_at - began;
	*ret_read = now() - began;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double *times, size_t n)
{
	qsort(times, n, sizeof(*times), compare);
	return times[n / 2];
}

int main(int argc, char **argv)
{
	static double delivered[MESSAGES_MAX], read[MESSAGES_MAX];
	struct user from = {0}, to = {0};
	double began, end;
	size_t n = 0;

	if (argc != 5) {
		fprintf(stderr, "usage: message_rate SOCKET PEER SOCKET-OF-PEER SECONDS\n");
		return 2;
	}
	connect_user(&from, argv[1]);
	connect_user(&to, argv[3]);
	began = now();
	end = began + strtod(argv[4], NULL);
	do {
		go_through(&from, &to, argv[2], &delivered[n], &read[n]);
		n++;
	} while (now() < end && n < MESSAGES_MAX);
	printf("%zu %.6f %.6f %.6f\n", n, now() - began, median(delivered, n), median(read, n));
	remote_free(from.remote);
	remote_free(to.remote);
	return 0;
}
