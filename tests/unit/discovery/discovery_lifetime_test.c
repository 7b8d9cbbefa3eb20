#include "daemon/discovery/discovery.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#define ID "00112233445566778899aabbccddeeff"

static void no_found(void *arg, const struct discovery_service *service)
{
	cr_assert_fail("nothing to be found without D-Bus");
}

static void no_gone(void *arg, const char *id)
{
	cr_assert_fail("nothing to be gone without D-Bus");
}

static void count(void *arg)
{
	++*(int *)arg;
}

static void count_service(void *arg, const struct discovery_service *service)
{
	++*(int *)arg;
}

static const struct discovery_callbacks callbacks = {.found = no_found, .gone = no_gone};

static const struct discovery_config config = {
    .name = "desk", .id = ID, .version = "1", .caps = "", .port = 19532, .publish = true};

Test(discovery_lifetime, refuses_a_bad_name_or_id_of_our_own)
{
	struct discovery_config bad = config;
	struct discovery *discovery = NULL;
	uv_loop_t loop;

	uv_loop_init(&loop);
	bad.id = "desk";
	cr_assert_eq(discovery_start(&loop, &bad, &callbacks, NULL, &discovery), -EINVAL);
	bad.id = ID;
	bad.name = "a/b";
	cr_assert_eq(discovery_start(&loop, &bad, &callbacks, NULL, &discovery), -EINVAL);
	cr_assert_null(discovery);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

/* Checks every 10 ms, for as long as it takes. */
static void check_unavailable(uv_timer_t *timer)
{
	struct discovery *discovery = timer->data;
	struct discovery_state state;
	int n = 0;

	discovery_state(discovery, &state);
	if (state.status == DISCOVERY_STARTING)
		return;
	cr_assert_eq(state.status, DISCOVERY_UNAVAILABLE);
	cr_assert_neq(state.reason[0], '\0');
	cr_assert_not(state.published);
	discovery_list(discovery, count_service, &n);
	cr_assert_eq(n, 0);
	uv_close((uv_handle_t *)timer, NULL);
	discovery_stop(discovery, count, timer->loop->data);
}

Test(discovery_lifetime, without_dbus_says_so_and_stops_cleanly)
{
	struct discovery *discovery;
	uv_timer_t timer;
	uv_loop_t loop;
	int n_done = 0;

	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/loopsy", 1);
	uv_loop_init(&loop);
	loop.data = &n_done;
	cr_assert_eq(discovery_start(&loop, &config, &callbacks, NULL, &discovery), 0);
	uv_timer_init(&loop, &timer);
	timer.data = discovery;
	uv_timer_start(&timer, check_unavailable, 0, 10);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(n_done, 1);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

Test(discovery_lifetime, stopped_at_once_calls_done_once)
{
	struct discovery *discovery;
	uv_loop_t loop;
	int n_done = 0;

	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/loopsy", 1);
	uv_loop_init(&loop);
	cr_assert_eq(discovery_start(&loop, &config, &callbacks, NULL, &discovery), 0);
	discovery_set_publish(discovery, false, 1);
	discovery_stop(discovery, count, &n_done);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(n_done, 1);
	cr_assert_eq(uv_loop_close(&loop), 0);
}
