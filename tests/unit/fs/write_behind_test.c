#include <criterion/criterion.h>
#include <string.h>

#include "fs/write_behind.h"

#define KIB 1024

struct waiter {
	struct write_wait wait; /* first */
	unsigned n_done;
};

static void on_done(struct write_wait *wait)
{
	((struct waiter *)wait)->n_done++;
}

static const struct timespec now = {5, 0};

Test(write_behind, waits_end_with_the_writes_before_them)
{
	struct write_budget budget;
	struct write_behind behind;
	struct write_record records[3];
	struct waiter first = {0}, second = {0};

	write_budget_init(&budget, WRITE_BEHIND_PEER_MAX);
	write_behind_init(&behind, &budget);
	cr_assert(!write_behind_wait(&behind, &first.wait, false, on_done));
	write_behind_sent(&behind, &records[0], 0, 100, now);
	cr_assert(write_behind_wait(&behind, &first.wait, false, on_done));
	write_behind_sent(&behind, &records[1], 100, 100, now);
	write_behind_sent(&behind, &records[2], 200, 100, now);
	cr_assert(write_behind_wait(&behind, &second.wait, false, on_done));

	write_behind_answered(&behind, &records[0]);
	cr_assert_eq(first.n_done, 1);
	/* Answers in another order end nothing early. */
	write_behind_answered(&behind, &records[2]);
	cr_assert_eq(second.n_done, 0);
	write_behind_answered(&behind, &records[1]);
	cr_assert_eq(second.n_done, 1);
	cr_assert(!write_behind_is_pending(&behind));
	cr_assert_eq(budget.bytes, 0);
}

Test(write_behind, size_is_of_what_is_pending)
{
	struct write_budget budget;
	struct write_behind behind;
	struct write_record a, b;

	write_budget_init(&budget, WRITE_BEHIND_PEER_MAX);
	write_behind_init(&behind, &budget);
	write_behind_sent(&behind, &a, 1000, 100, now);
	write_behind_sent(&behind, &b, 10, 5, now);
	cr_assert_eq(behind.end, 1100);
	write_behind_answered(&behind, &a);
	cr_assert_eq(behind.end, 1100, "while anything is pending");
	write_behind_answered(&behind, &b);
	write_behind_sent(&behind, &a, 0, 7, now);
	cr_assert_eq(behind.end, 7);
	write_behind_answered(&behind, &a);
}

Test(write_behind, room_is_bounded_per_file_and_per_peer)
{
	struct write_budget budget;
	struct write_behind one, two;
	struct write_record records[3];
	struct waiter waiters[2] = {0};

	write_budget_init(&budget, WRITE_BEHIND_PEER_MAX);
	write_budget_delay(&budget, 1000000);
	write_behind_init(&one, &budget);
	write_behind_init(&two, &budget);
	write_behind_sent(&one, &records[0], 0, WRITE_BEHIND_FILE_MAX, now);
	cr_assert(write_behind_has_room(&one));
	write_behind_sent(&one, &records[1], 0, 1, now);
	cr_assert(!write_behind_has_room(&one));
	cr_assert(write_behind_has_room(&two));
	cr_assert(write_behind_wait(&one, &waiters[0].wait, true, on_done));
	write_behind_sent(&two, &records[2], 0, WRITE_BEHIND_FILE_MAX, now);
	cr_assert(write_behind_wait(&two, &waiters[1].wait, true, on_done));
	/* The peer as a whole is full: a byte less does not help. */
	write_behind_answered(&one, &records[1]);
	cr_assert_eq(waiters[0].n_done + waiters[1].n_done, 0);
	write_behind_answered(&one, &records[0]);
	cr_assert_eq(waiters[0].n_done, 1);
	cr_assert_eq(waiters[1].n_done, 1);
	write_behind_answered(&two, &records[2]);
	cr_assert_eq(budget.bytes, 0);
}

Test(write_behind, a_file_has_more_under_way_where_the_way_is_long)
{
	struct write_budget budget;
	struct write_behind behind;
	struct write_record records[2];

	write_budget_init(&budget, WRITE_BEHIND_PEER_MAX);
	write_behind_init(&behind, &budget);
	write_behind_sent(&behind, &records[0], 0, WRITE_BEHIND_FILE_MIN, now);
	cr_assert(write_behind_has_room(&behind));
	write_behind_sent(&behind, &records[1], 0, 2000000, now);
	cr_assert(!write_behind_has_room(&behind));
	write_budget_delay(&budget, 2000);
	cr_assert(write_behind_has_room(&behind));
	write_budget_delay(&budget, 1000);
	cr_assert(!write_behind_has_room(&behind));
	write_budget_delay(&budget, UINT64_MAX);
	cr_assert_eq(budget.file_limit, WRITE_BEHIND_FILE_MAX);
}
