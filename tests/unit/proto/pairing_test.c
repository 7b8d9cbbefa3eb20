#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/pairing.h"
#include "tests/unit/proto/pairing_sides.h"

Test(pairing, goes_well)
{
	struct side s[2];
	static const enum pairing_action actions[STEPS + 1][2] = {
	    {PAIRING_WAIT, PAIRING_WAIT},  {PAIRING_WAIT, PAIRING_WAIT},
	    {PAIRING_WAIT, PAIRING_WAIT},  {PAIRING_WAIT, PAIRING_ASK},
	    {PAIRING_ASK, PAIRING_ASK},    {PAIRING_STORE, PAIRING_ASK},
	    {PAIRING_WAIT, PAIRING_ASK},   {PAIRING_WAIT, PAIRING_WAIT},
	    {PAIRING_WAIT, PAIRING_STORE}, {PAIRING_WAIT, PAIRING_WAIT},
	    {PAIRING_DONE, PAIRING_WAIT},  {PAIRING_DONE, PAIRING_DONE},
	};

	setup(s);
	cr_assert_null(pairing_peer(s[A].pairing));
	for (int step = 0; step <= STEPS; step++) {
		run_step(s, step);
		cr_assert_eq(s[A].action, actions[step][A], "step %d", step);
		cr_assert_eq(s[B].action, actions[step][B], "step %d", step);
		/* nothing is shown before both shares are known */
		cr_assert_eq(pairing_code(s[A].pairing) != NULL, step >= STEP_ASKED);
		cr_assert_eq(pairing_code(s[B].pairing) != NULL, step >= STEP_ASKED - 1);
		/* nobody is done while the other has nothing stored */
		if (s[A].action == PAIRING_DONE || s[B].action == PAIRING_DONE)
			cr_assert(s[A].pending && s[B].pending);
	}
	cr_assert_eq(s[B].size, 0);
	cr_assert_str_eq(pairing_code(s[A].pairing), pairing_code(s[B].pairing));
	cr_assert_eq(strspn(pairing_code(s[A].pairing), "0123456789"), 6);
	cr_assert_str_eq(pairing_peer(s[A].pairing)->name, "laptop");
	cr_assert_str_eq(pairing_peer(s[B].pairing)->name, "desk");
	cr_assert_eq(pairing_peer(s[B].pairing)->capabilities, 5);
	teardown(s);
}

Test(pairing, users_may_answer_in_either_order)
{
	struct side s[2];

	setup(s);
	run_to(s, 4);
	took(&s[B], pairing_answer(s[B].pairing, true));
	cr_assert_eq(s[B].action, PAIRING_WAIT);
	cr_assert_eq(s[B].size, 0);
	took(&s[B], pairing_answer(s[B].pairing, true)); /* again */
	cr_assert_eq(s[B].action, PAIRING_WAIT);
	run_step(s, 5);
	run_step(s, 6);
	run_step(s, 7);
	cr_assert_eq(s[B].action, PAIRING_STORE);
	run_step(s, 9);
	run_step(s, 10);
	run_step(s, 11);
	cr_assert_eq(s[A].action, PAIRING_DONE);
	cr_assert_eq(s[B].action, PAIRING_DONE);
	teardown(s);
}

Test(pairing, answers_that_nobody_asked_for_count_for_nothing)
{
	struct side s[2];

	for (int step = 0; step <= 3; step++) {
		setup(s);
		run_to(s, step);
		cr_assert_eq(pairing_answer(s[A].pairing, true), PAIRING_WAIT);
		cr_assert_eq(pairing_stored(s[A].pairing, true), PAIRING_WAIT);
		cr_assert_eq(pairing_stored(s[B].pairing, true), PAIRING_WAIT);
		/* what was asked for is still to come */
		for (int rest = step + 1; rest <= STEPS; rest++)
			run_step(s, rest);
		cr_assert_eq(s[A].action, PAIRING_DONE);
		cr_assert_eq(s[B].action, PAIRING_DONE);
		cr_assert_eq(pairing_answer(s[A].pairing, true), PAIRING_DONE);
		cr_assert_eq(pairing_stored(s[B].pairing, true), PAIRING_DONE);
		teardown(s);
	}
}

Test(pairing, no_ends_it_at_every_step_on_either_side)
{
	for (int step = 0; step <= STEPS; step++) {
		for (int who = 0; who < 2; who++) {
			struct side s[2];
			setup(s);
			run_to(s, step);
			took(&s[who], pairing_answer(s[who].pairing, false));
			refused(&s[who], &s[!who], PAIRING_REASON_REJECTED);
			/* and it stays so */
			took(&s[who], pairing_answer(s[who].pairing, true));
			cr_assert_eq(s[who].action, PAIRING_FAILED);
			took(&s[!who], pairing_stored(s[!who].pairing, true));
			cr_assert_eq(s[!who].action, PAIRING_FAILED);
			cr_assert_eq(s[!who].size, 0);
			teardown(s);
		}
	}
}

Test(pairing, time_out_is_told)
{
	struct side s[2];

	setup(s);
	run_to(s, 4);
	took(&s[B], pairing_cancel(s[B].pairing, PAIRING_REASON_TIMEOUT));
	refused(&s[B], &s[A], PAIRING_REASON_TIMEOUT);
	teardown(s);
}

Test(pairing, failed_store_ends_it)
{
	struct side s[2];

	setup(s);
	run_to(s, 5);
	took(&s[A], pairing_stored(s[A].pairing, false));
	refused(&s[A], &s[B], PAIRING_REASON_STORE);
	teardown(s);
	setup(s);
	run_to(s, 8);
	took(&s[B], pairing_stored(s[B].pairing, false));
	refused(&s[B], &s[A], PAIRING_REASON_STORE);
	teardown(s);
}

/*
 * One is killed after each step; the other notices. The dead one's store is as it was. When the
 * survivor keeps its pending record, the dead one has one too, so that a hello can make both
 * paired; and when the survivor has dropped it, no hello can reach what the dead one may have left.
 */
Test(pairing, killed_at_every_step_nothing_is_half_stored)
{
	int both = 0;

	for (int step = 0; step <= STEPS; step++) {
		for (int dead = 0; dead < 2; dead++) {
			struct side s[2];
			setup(s);
			run_to(s, step);
			took(&s[!dead], pairing_lost(s[!dead].pairing));
			if (s[!dead].pending)
				cr_assert(s[dead].pending, "step %d", step);
			else
				has_failed(&s[!dead], PAIRING_REASON_LOST, false);
			cr_assert_eq(s[!dead].action == PAIRING_DONE, s[!dead].pending);
			both += s[!dead].pending;
			teardown(s);
		}
	}
	/* A survives after 10 and 11, B after 9, 10 and 11 */
	cr_assert_eq(both, 5);
}

Test(pairing, other_version_is_refused)
{
	struct side s[2];

	setup(s);
	took(&s[B], pairing_receive(s[B].pairing, "\x94\x00\x02\xa1x\x00", 6));
	refused(&s[B], &s[A], PAIRING_REASON_VERSION);
	teardown(s);
}

Test(pairing, reasons_have_texts)
{
	uint8_t data[PAIRING_MESSAGE_MAX];
	struct side s[2];

	for (int reason = 0; reason <= PAIRING_REASON_INTERNAL; reason++)
		cr_assert_gt(strlen(pairing_reason_text(reason)), 10);
	cr_assert_str_eq(pairing_reason_text(999), pairing_reason_text(PAIRING_REASON_OTHER));
	setup(s);
	size_t size = pairing_encode_refusal(PAIRING_REASON_BUSY, data);
	took(&s[A], pairing_receive(s[A].pairing, data, size));
	has_failed(&s[A], PAIRING_REASON_BUSY, true);
	teardown(s);
	setup(s);
	size = pairing_encode_refusal(1000000, data);
	took(&s[A], pairing_receive(s[A].pairing, data, size));
	has_failed(&s[A], PAIRING_REASON_OTHER, true);
	teardown(s);
}

Test(pairing, bad_own_names_are_refused)
{
	struct pairing_config config = {.role = TRANSCRIPT_INITIATOR};
	struct pairing *pairing = NULL;

	cr_assert_eq(pairing_new(&pairing, &config), -EINVAL);
	memset(config.own.name, 'x', sizeof(config.own.name)); /* no end */
	cr_assert_eq(pairing_new(&pairing, &config), -EINVAL);
	strcpy(config.own.name, "\xff");
	cr_assert_eq(pairing_new(&pairing, &config), -EINVAL);
	cr_assert_null(pairing);
}
