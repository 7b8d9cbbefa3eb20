#include "net_asks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/net/net_private.h"

/* --- two links -------------------------------------------------------------------------------- */

static size_t n_links(const struct end *end)
{
	return end->peer->n_links;
}

Test(net_links, of_two_links_the_one_dialled_by_the_smaller_id_stays)
{
	for (int round = 0; round < 10; round++) {
		struct world world = {.is_direct = true, .both_dial = true};
		struct answer from_a = {0}, from_b = {0};
		bool a_is_smaller;

		world_open(&world);
		a_is_smaller =
		    memcmp(world.a.identity->fingerprint, world.b.identity->fingerprint, 32) < 0;
		world_until_up(&world);
		cr_assert_eq(ask_mkdir(&world.a, "x", &from_a), 0);
		cr_assert_eq(ask_mkdir(&world.b, "x", &from_b), 0);
		world_until(&world, from_a.n_replies && from_b.n_replies);
		world_until(&world, n_links(&world.a) == 1 && n_links(&world.b) == 1);
		world_until_up(&world);
		/* It may be the other one only if there never were two. */
		if (world.a.peer->n_links_ever > 1 || world.b.peer->n_links_ever > 1) {
			cr_assert_eq(world.a.peer->links[0]->is_dialled, a_is_smaller,
				     "round %d: smaller a %d; a: dialled %d ever %lu asked %d "
				     "answered %d; b: dialled %d ever %lu",
				     round, a_is_smaller, world.a.peer->links[0]->is_dialled,
				     world.a.peer->n_links_ever, world.a.peer->links[0]->is_asked,
				     world.a.peer->links[0]->is_answered,
				     world.b.peer->links[0]->is_dialled,
				     world.b.peer->n_links_ever);
			cr_assert_eq(world.b.peer->links[0]->is_dialled, !a_is_smaller);
		}
		cr_assert_eq(from_a.error + from_b.error, 0);
		cr_assert(world.a.room.n_mkdir == 1 && world.b.room.n_mkdir == 1);
		cr_assert(world.a.n_session_new == 1 && world.b.n_session_new == 1);
		world_close(&world);
	}
}

Test(net_links, a_peer_that_comes_anew_replaces_a_link_that_seems_to_live)
{
	struct world world = {.times = {.ping = 600000, .down = 600000}};
	struct answer answer = {0};

	world_open(&world);
	world_until_up(&world);
	/* a's end of the cable is pulled: b sees nothing of it, and would ping only much later. */
	relay_stop(&world.relay);
	link_fail(world.a.peer->links[0]->link, -ECONNRESET, "pulled");
	net_peer_set_addresses(world.a.peer, &(const char *){net_listen_address(world.b.net, 0)},
			       1);
	world_until(&world, is_up(&world.a));
	cr_assert_eq(ask_getattr(&world.a, 1, &answer), 0);
	world_until(&world, answer.n_replies);
	cr_assert(answer.is_right);
	world_close(&world);
}

/* --- dialling --------------------------------------------------------------------------------- */

Test(net_links, an_announced_address_is_dialled_at_once)
{
	struct world world = {.is_apart = true};

	world_open(&world);
	world.times.backoff_min = 600000;
	world.relay.port = 0; /* nobody knows an address */
	world_pair(&world);
	world_turns(&world, 5);
	net_peer_announced(world.a.peer, "not an address:x");
	net_peer_announced(world.a.peer, net_listen_address(world.b.net, 0));
	world_until_up(&world);
	cr_assert_eq(world.a.n_addresses, 1);
	cr_assert_eq(world.b.n_addresses, 0);
	world_close(&world);
}

Test(net_links, the_next_address_is_tried_when_one_is_somebody_else)
{
	struct world world = {.is_apart = true}, other = {.is_apart = true};
	const char *addresses[3];
	struct net_peer_status status;

	world_open(&world);
	world_open(&other);
	uv_run(&other.loop, UV_RUN_NOWAIT);
	world.relay.port = 0;
	world_pair(&world);
	addresses[0] = "127.0.0.1:1";
	addresses[1] = net_listen_address(world.a.net, 0); /* we ourselves: another key */
	addresses[2] = net_listen_address(world.b.net, 0);
	net_peer_set_addresses(world.a.peer, addresses, 2);
	world_until(&world, (net_peer_get_status(world.a.peer, &status),
			     strstr(status.error, "another machine") != NULL ||
				 strstr(status.error, "refused") != NULL));
	net_peer_set_addresses(world.a.peer, addresses, 3);
	world_until_up(&world);
	net_peer_get_status(world.a.peer, &status);
	cr_assert_str_eq(status.error, "");
	cr_assert_str_eq(status.address, addresses[2]);
	cr_assert_str_eq(status.name, "b");
	cr_assert_gt(world.b.peer->n_links_ever, 0);
	world_close(&world);
	world_close(&other);
}

Test(net_links, an_unknown_peer_is_refused)
{
	/* told once in the time that this test may take, and not for each attempt */
	struct world world = {
	    .is_apart = true,
	    .times = {.strangers = 2 * WORLD_DEADLINE, .backoff_min = 1, .backoff_max = 1}};
	struct net_peer_options options = {.name = "b", .permissions = PERMISSION_FS_RW};
	uint64_t dialled_at;
	const char *address;
	struct net_peer_status status;

	world_open(&world);
	address = net_listen_address(world.b.net, 0);
	options.fingerprint = world.b.identity->fingerprint;
	options.addresses = &address;
	options.n_addresses = 1;
	options.data = &world.a;
	cr_assert_eq(net_peer_add(world.a.net, &options, &world.a.peer), 0);
	cr_assert_eq(net_peer_add(world.a.net, &options, &world.a.peer), -EEXIST);
	world.a.peer = net_peer_next(world.a.net, NULL);
	world_until(&world, (net_peer_get_status(world.a.peer, &status),
			     strstr(status.error, "does not know us") != NULL));
	cr_assert_eq(status.state, TRANSPORT_DOWN);
	dialled_at = world.a.peer->dialled_at;
	world_until(&world, world.a.peer->dialled_at != dialled_at);
	net_dial_peer(world.a.peer);
	world_until(&world, !world.a.peer->dial && !world.a.peer->dial_conn);
	cr_assert_eq(world.b.n_strangers, 1);
	cr_assert_eq(world.b.room.n_opened, 0);
	world_close(&world);
}

Test(net_links, unpairing_ends_everything_at_once)
{
	struct world world = {.times = {.down = 600000}};
	struct answer answer = {0}, stream = {.holds_credit = true};

	world_open(&world);
	world_until_up(&world);
	cr_assert_eq(ask_getattr(&world.a, ROOM_HOLD_NODE, &answer), 0);
	cr_assert_eq(ask_readdir(&world.a, 10000000, &stream), 0);
	world_until(&world, world.b.room.n_held == 1 && stream.streamed > 0);
	net_peer_remove(world.b.peer, true);
	cr_assert_eq(world.b.room.n_closed, 1);
	cr_assert_eq(world.b.room.n_broken, 1);
	cr_assert(request_is_orphan(world.b.room.held[0]));
	world_until(&world, world.a.n_unpaired == 1 && stream.n_ends == 1 && answer.n_replies == 1);
	cr_assert_eq(answer.error, -EHOSTDOWN, "what waits for an answer ends too");
	cr_assert_eq(world.a.n_down, 1);
	world_turns(&world, 50);
	cr_assert_eq(world.relay.n_accepted, 1, "it does not come again");
	world_close(&world);
	cr_assert_eq(answer.n_replies, 1);
}

Test(net_links, waking_pings_and_changes_nothing_for_a_good_link)
{
	struct world world = {.times = {.ping = 600000}};
	uint64_t before;

	world_open(&world);
	world_until_up(&world);
	world_until(&world, client_rtt_us(world.a.peer->client) > 0 &&
				client_rtt_us(world.b.peer->client) > 0);
	before = world.relay.n_bytes;
	net_wake(world.a.net);
	world_until(&world, world.relay.n_bytes > before);
	world_turns(&world, 20);
	cr_assert(is_up(&world.a) && world.relay.n_accepted == 1);
	world_close(&world);
}

/* --- hostile ones ----------------------------------------------------------------------------- */

/* A connection by hand, with b's key. */
struct raw {
	struct conn_room room;
	struct conn *conn;
	bool is_open, is_closed;
	uint64_t n_received;
};

static void raw_opened(void *arg, struct conn *conn)
{
	((struct raw *)arg)->is_open = true;
}

static void raw_input(void *arg, struct conn *conn)
{
	struct raw *raw = arg;
	char scrap[4096];
	ssize_t n;

	while ((n = conn_read(conn, scrap, sizeof(scrap))) > 0)
		raw->n_received += (uint64_t)n;
}

static void raw_space(void *arg, struct conn *conn)
{
}

static void raw_closed(void *arg, struct conn *conn, int error, const char *why)
{
	((struct raw *)arg)->is_closed = true;
}

static int raw_verify(void *arg, enum tls_protocol protocol, const uint8_t *fingerprint)
{
	return 0;
}

static int plain_socket(struct net *net)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(net_listen_port(net)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void raw_open(struct raw *raw, struct world *world)
{
	static const struct conn_handler handler = {
	    .opened = raw_opened, .input = raw_input, .space = raw_space, .closed = raw_closed};

	*raw = (struct raw){.room = {.loop = &world->loop, .handshake_ms = 30000}};
	cr_assert_eq(tls_context_new(&raw->room.tls, world->b.identity), 0);
	cr_assert_eq(conn_new(&raw->room, plain_socket(world->a.net), TLS_CLIENT, TLS_PROTOCOL_LINK,
			      raw_verify, NULL, &handler, raw, &raw->conn),
		     0);
	world_until(world, raw->is_open || raw->is_closed);
}

static void raw_close(struct raw *raw, struct world *world)
{
	if (!raw->is_closed)
		conn_abort(raw->conn);
	world_until(world, raw->room.n_held == 0);
	tls_context_free(raw->room.tls);
}

static void raw_frame(struct raw *raw, const struct frame *frame, const struct record *record,
		      const void *value)
{
	struct buffer buffer = {0};
	struct iovec part;

	cr_assert_eq(frame_encode(frame, record, value, &buffer, NULL), 0);
	part = (struct iovec){buffer.data, buffer.size};
	cr_assert_eq(conn_write(raw->conn, &part, 1), 0);
	buffer_deinit(&buffer);
}

static void raw_hello(struct raw *raw, unsigned version)
{
	struct args_hello args = {.version_min = version, .version_max = version, .instance = 5};
	struct frame frame = {.kind = FRAME_REQUEST, .op = OP_HELLO};

	raw_frame(raw, &frame, &args_hello_record, &args);
}

static void raw_bytes(struct raw *raw, const void *bytes, size_t size)
{
	struct iovec part = {(void *)bytes, size};

	cr_assert_eq(conn_write(raw->conn, &part, 1), 0);
}

/* a knows b's key and does not dial. */
static void hostile_open(struct world *world)
{
	*world = (struct world){.is_apart = true, .is_direct = true, .times = {.backoff_max = 1}};
	world_open(world);
	world_pair(world);
	net_peer_set_addresses(world->a.peer, NULL, 0);
	net_peer_remove(world->b.peer, false);
	world_until(world, world->a.peer->n_links == 0);
}

static void ends(const void *bytes, size_t size, bool says_hello)
{
	struct world world;
	struct raw raw;

	hostile_open(&world);
	raw_open(&raw, &world);
	cr_assert(raw.is_open);
	if (says_hello)
		raw_hello(&raw, NET_VERSION);
	raw_bytes(&raw, bytes, size);
	world_until(&world, raw.is_closed);
	world_until(&world, world.a.peer->n_links == 0);
	raw_close(&raw, &world);
	world_close(&world);
}

Test(net_hostile, garbage_ends_the_link)
{
	uint8_t garbage[5000];

	srand(3);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)rand();
	garbage[0] = garbage[1] = garbage[2] = 0;
	ends(garbage, sizeof(garbage), true);
}

Test(net_hostile, a_length_of_4_gib_ends_the_link)
{
	ends("\xff\xff\xff\xff\x93", 5, true);
}

Test(net_hostile, an_empty_frame_ends_the_link)
{
	ends("\0\0\0\0", 4, true);
}

Test(net_hostile, deep_nesting_ends_the_link)
{
	uint8_t frame[4 + 1000] = {0, 0, 1000 >> 8, 1000 & 255};

	memset(frame + 4, 0x91, 1000);
	ends(frame, sizeof(frame), true);
}

Test(net_hostile, requests_before_hello_end_the_link)
{
	ends("\0\0\0\x08\x96\0\x01\x0c\x01\xc0\x91\x01", 12, false);
}

Test(net_hostile, a_reply_to_nothing_is_let_pass_but_a_request_0_is_not)
{
	ends("\0\0\0\x05\x94\x01\x07\0\xc0\0\0\0\x08\x96\0\0\x0c\x01\xc0\x91\x01", 21, true);
}

Test(net_hostile, another_version_is_told_so)
{
	struct world world;
	struct raw raw;
	struct net_peer_status status;

	hostile_open(&world);
	raw_open(&raw, &world);
	raw_hello(&raw, 99);
	world_until(&world, raw.is_closed);
	cr_assert_gt(raw.n_received, 0);
	net_peer_get_status(world.a.peer, &status);
	cr_assert_not_null(strstr(status.error, "versions 99 to 99"), "%s", status.error);
	raw_close(&raw, &world);
	world_close(&world);
}

Test(net_hostile, more_calls_than_allowed_end_the_link)
{
	struct world world;
	struct raw raw;
	struct args_getattr args = {.node = ROOM_HOLD_NODE};
	struct frame frame = {.kind = FRAME_REQUEST, .op = OP_GETATTR, .lowest = 1};

	hostile_open(&world);
	raw_open(&raw, &world);
	raw_hello(&raw, NET_VERSION);
	for (unsigned i = 0; i < 100000 && !raw.is_closed; i++) {
		frame.id = i + 1;
		if (conn_output_size(raw.conn) < 100000)
			raw_frame(&raw, &frame, &args_getattr_record, &args);
		else
			i--;
		if (i % 64 == 0)
			uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	cr_assert(raw.is_closed);
	cr_assert_leq(world.a.room.n_held_most, 1024, "what runs is bounded as well");
	raw_close(&raw, &world);
	world_close(&world);
}

Test(net_hostile, one_that_breaks_the_rules_all_the_time_has_to_wait)
{
	struct world world;
	struct raw raw;
	int n;

	hostile_open(&world);
	world.a.net->times.backoff_max = 600000;
	for (n = 0; n < NET_BAD_FRAMES; n++) {
		raw_open(&raw, &world);
		raw_bytes(&raw, "\0\0\0\0", 4);
		world_until(&world, raw.is_closed);
		raw_close(&raw, &world);
	}
	world_until(&world, world.a.peer->n_links == 0);
	raw_open(&raw, &world);
	world_until(&world, raw.is_closed);
	cr_assert_eq(world.a.peer->n_links_ever, NET_BAD_FRAMES, "it was not taken in");
	raw_close(&raw, &world);
	world_close(&world);
}

/* --- before authentication -------------------------------------------------------------------- */

static bool has_ended(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

Test(net_strangers, the_oldest_gives_way_and_a_peer_gets_through)
{
	enum { N = 100 };
	/* none gives way because it was silent for too long */
	struct world world = {
	    .is_apart = true, .is_direct = true, .times = {.handshake = 10 * WORLD_DEADLINE}};
	int fds[N];

	world_open(&world);
	for (size_t i = 0; i < N; i++) {
		fds[i] = plain_socket(world.b.net);
		/* taken in, in this order: the one that gives way for it has gone */
		if (i >= NET_UNPROVED)
			world_until(&world, has_ended(fds[i - NET_UNPROVED]));
	}
	world_turns(&world, 50);
	for (size_t i = N - NET_UNPROVED; i < N; i++)
		cr_assert(!has_ended(fds[i]), "%zu", i);
	world_pair(&world);
	world_until_up(&world);
	for (size_t i = 0; i < N; i++)
		close(fds[i]);
	world_close(&world);
}

Test(net_strangers, those_who_say_nothing_are_not_waited_for)
{
	struct world world = {.is_apart = true, .is_direct = true, .times = {.handshake = 50}};
	int fd;

	world_open(&world);
	fd = plain_socket(world.b.net);
	world_until(&world, has_ended(fd));
	close(fd);
	world_close(&world);
}

Test(net_strangers, a_flood_of_bytes_that_are_no_tls_is_ended)
{
	struct world world = {.is_apart = true, .is_direct = true};
	static char bytes[65536];
	int fd;

	world_open(&world);
	memset(bytes, 0x16, sizeof(bytes));
	fd = plain_socket(world.b.net);
	cr_assert_gt(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), 0);
	world_until(&world, has_ended(fd) || send(fd, bytes, 1, MSG_NOSIGNAL) < 0);
	close(fd);
	world_close(&world);
}
