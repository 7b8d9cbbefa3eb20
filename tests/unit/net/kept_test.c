#include <criterion/criterion.h>

#include "daemon/net/kept.h"
#include "daemon/net/limits.h"

static void keep(struct kept *kept, uint64_t id, size_t size)
{
	static const uint8_t bytes[128 * 1024];
	struct frame frame = {.kind = FRAME_DATA, .id = 1, .body = {bytes, size}};
	struct message *message;

	cr_assert_eq(message_new(&message, &frame, NULL, NULL, NULL, NULL), 0);
	cr_assert_eq(kept_add(kept, id, message), 0);
	message_unref(message);
}

Test(kept, finds_a_reply_until_the_client_has_it)
{
	struct kept kept;

	kept_init(&kept, 0);
	keep(&kept, 5, 1);
	keep(&kept, 7, 1);
	cr_assert_not_null(kept_find(&kept, 5));
	cr_assert_null(kept_find(&kept, 6));
	kept_free_below(&kept, 0, 6);
	cr_assert_null(kept_find(&kept, 5));
	cr_assert_not_null(kept_find(&kept, 7));
	kept_free_below(&kept, 6, UINT64_MAX);
	cr_assert_eq(kept.n, 0);
	cr_assert_eq(kept.bytes, 0);
	cr_assert_not(kept_may_have_dropped(&kept, 5), "nothing was dropped unasked");
	kept_deinit(&kept);
}

Test(kept, frees_what_a_pong_confirms)
{
	struct kept kept;

	kept_init(&kept, 0);
	keep(&kept, 1, 1);
	kept.pinged = kept.sequence;
	keep(&kept, 2, 1);
	kept_confirm(&kept);
	cr_assert_null(kept_find(&kept, 1));
	cr_assert_not_null(kept_find(&kept, 2));
	kept_deinit(&kept);
}

Test(kept, remembers_that_it_dropped_when_there_are_too_many)
{
	struct kept kept;

	kept_init(&kept, 0);
	for (uint64_t id = 1; id <= LIMITS_KEPT + 10; id++)
		keep(&kept, id, 1);
	cr_assert_eq(kept.n, LIMITS_KEPT);
	cr_assert(kept_may_have_dropped(&kept, 10));
	cr_assert_not(kept_may_have_dropped(&kept, 11));
	kept_deinit(&kept);
}

Test(kept, bounds_the_bytes_too)
{
	struct kept kept;

	kept_init(&kept, 0);
	for (uint64_t id = 1; id <= 100; id++)
		keep(&kept, id, 128 * 1024);
	cr_assert_leq(kept.bytes, LIMITS_KEPT_BYTES);
	cr_assert_not_null(kept_find(&kept, 100));
	kept_deinit(&kept);
	cr_assert_eq(kept.n, 0);
}
