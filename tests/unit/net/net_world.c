#include "net_world.h"

#include <unistd.h>

static struct end *end_of(void *arg, struct net_peer *peer)
{
	return net_peer_data(peer);
}

static void on_answered(void *arg, struct net_peer *peer, const struct op *op, int error,
			bool denied)
{
	struct end *end = arg;

	cr_assert(op && error <= 0);
	end->n_answered++;
	end->n_failed += error < 0;
	end->n_denied += denied;
}

static void on_state(void *arg, struct net_peer *peer, enum transport_state state)
{
	struct end *end = end_of(arg, peer);

	end->n_states++;
	end->n_up += state == TRANSPORT_UP;
	end->n_lost += state == TRANSPORT_LOST;
	end->n_down += state == TRANSPORT_DOWN;
}

static void on_address(void *arg, struct net_peer *peer, const char *address)
{
	end_of(arg, peer)->n_addresses++;
}

static void on_proved(void *arg, struct net_peer *peer)
{
	end_of(arg, peer)->n_proved++;
}

static void on_unpaired(void *arg, struct net_peer *peer)
{
	end_of(arg, peer)->n_unpaired++;
}

static void on_stranger(void *arg, const char *address,
			const uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE])
{
	((struct end *)arg)->n_strangers++;
}

static void on_session_new(void *arg, uint32_t uid, uint32_t gid)
{
	struct end *end = arg;

	cr_assert_eq(uid, geteuid());
	end->n_session_new++;
}

static void on_session_lost(void *arg)
{
	((struct end *)arg)->n_session_lost++;
}

static const struct transport_listener listener = {.session_new = on_session_new,
						   .session_lost = on_session_lost};

void world_listen(struct end *end)
{
	end->transport->ops->listen(end->transport, &listener, end);
}

static void end_open(struct world *world, struct end *end, const char *name, uint16_t port)
{
	struct net_options options = {
	    .loop = &world->loop,
	    .services = &end->room.service,
	    .n_services = 1,
	    .name = name,
	    .times = world->times,
	    .limits = world->limits,
	    .observer = &end->observer,
	    .arg = end,
	};

	if (!end->identity)
		cr_assert_eq(identity_generate(&end->identity), 0);
	options.identity = end->identity;
	if (!end->observer.pairing)
		end->observer = (struct net_observer){.answered = on_answered,
						      .state = on_state,
						      .address = on_address,
						      .proved = on_proved,
						      .unpaired = on_unpaired,
						      .stranger = on_stranger};
	room_init(&end->room);
	cr_assert_eq(net_new(&end->net, &options), 0);
	cr_assert_eq(net_listen(end->net, false, port), 0);
}

static void end_pair(struct world *world, struct end *end, struct end *other, int port)
{
	char text[64];
	const char *address = text;
	struct net_peer_options options = {
	    .fingerprint = other->identity->fingerprint,
	    .name = "other",
	    .permissions = world->permissions,
	    .addresses = &address,
	    .n_addresses = port > 0,
	    .data = end,
	};

	snprintf(text, sizeof(text), "127.0.0.1:%d", port);
	cr_assert_eq(net_peer_add(end->net, &options, &end->peer), 0);
	end->transport = net_peer_transport(end->peer);
	world_listen(end);
}

static void on_tick(uv_timer_t *timer)
{
}

void world_open(struct world *world)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	if (!world->permissions)
		world->permissions = PERMISSION_FS_RW;
	uv_loop_init(&world->loop);
	uv_timer_init(&world->loop, &world->tick);
	uv_timer_start(&world->tick, on_tick, 20, 20); /* so that deadlines are looked at */
	end_open(world, &world->a, "a", 0);
	end_open(world, &world->b, "b", 0);
	if (!world->is_direct)
		relay_open(&world->relay, &world->loop, net_listen_port(world->b.net));
	if (!world->is_apart)
		world_pair(world);
}

void world_pair(struct world *world)
{
	int to_b = world->is_direct ? net_listen_port(world->b.net) : world->relay.port;

	end_pair(world, &world->b, &world->a, world->both_dial ? net_listen_port(world->a.net) : 0);
	end_pair(world, &world->a, &world->b, to_b);
}

static void on_net_closed(void *arg)
{
	++*(unsigned *)arg;
}

void world_restart(struct world *world, struct end *end)
{
	uint16_t port = net_listen_port(end->net);
	unsigned n = 0;
	struct end *other = end == &world->a ? &world->b : &world->a;

	net_close(end->net, on_net_closed, &n);
	world_until(world, n == 1);
	end_open(world, end, "again", port);
	end_pair(world, end, other, 0);
}

void world_close(struct world *world)
{
	unsigned n = 0;

	if (!world->is_direct)
		relay_close(&world->relay);
	net_close(world->a.net, on_net_closed, &n);
	net_close(world->b.net, on_net_closed, &n);
	room_answer_all(&world->a.room);
	room_answer_all(&world->b.room);
	world_until(world, n == 2);
	uv_close((uv_handle_t *)&world->tick, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&world->loop), 0);
	cr_assert_eq(world->a.room.n_borrowed, world->a.room.n_released);
	cr_assert_eq(world->b.room.n_borrowed, world->b.room.n_released);
	cr_assert_eq(world->a.room.n_opened, world->a.room.n_closed);
	cr_assert_eq(world->b.room.n_opened, world->b.room.n_closed);
	identity_free(world->a.identity);
	identity_free(world->b.identity);
}

bool is_up(const struct end *end)
{
	return end->transport->ops->state(end->transport) == TRANSPORT_UP;
}

void world_until_up(struct world *world)
{
	world_until(world, is_up(&world->a) && is_up(&world->b));
}

void world_turns(struct world *world, unsigned n)
{
	while (n-- > 0)
		uv_run(&world->loop, UV_RUN_NOWAIT);
}
