/* Pairings in which somebody lies. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <openssl/rand.h>

#include "proto/pairing.h"
#include "tests/unit/proto/pairing_sides.h"

Test(pairing_hostile, man_in_the_middle_gets_two_codes)
{
	struct side left[2], right[2];
	uint8_t exporters[2][32];

	RAND_bytes(exporters[0], sizeof(exporters));
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(identity_generate(&left[i].identity), 0);
		cr_assert_eq(identity_generate(&right[i].identity), 0);
	}
	/* left[B] and right[A] are the man in the middle, who uses the others' names */
	side_init(&left[A], TRANSCRIPT_INITIATOR, "desk", left[B].identity, exporters[0]);
	side_init(&left[B], TRANSCRIPT_RESPONDER, "laptop", left[A].identity, exporters[0]);
	side_init(&right[A], TRANSCRIPT_INITIATOR, "desk", right[B].identity, exporters[1]);
	side_init(&right[B], TRANSCRIPT_RESPONDER, "laptop", right[A].identity, exporters[1]);
	run_to(left, STEP_ASKED);
	run_to(right, STEP_ASKED);
	cr_assert_eq(left[A].action, PAIRING_ASK);
	cr_assert_eq(right[B].action, PAIRING_ASK);
	/* equal once in a million runs: that is the guess that he has */
	cr_assert_str_neq(pairing_code(left[A].pairing), pairing_code(right[B].pairing));
	/* and a confirmation of one is none for the other */
	run_step(left, 5);
	run_step(left, 6);
	deliver(&left[A], &right[B]);
	has_failed(&right[B], PAIRING_REASON_CONFIRMATION, false);
	teardown(left);
	teardown(right);
}

/* He passes the messages on as they are, but cannot make the two TLS connections one. */
Test(pairing_hostile, man_in_the_middle_who_only_relays_is_found_out)
{
	struct side s[2], stranger = {0};
	uint8_t exporter[32] = {0};

	for (int i = 0; i < 2; i++)
		cr_assert_eq(identity_generate(&s[i].identity), 0);
	cr_assert_eq(identity_generate(&stranger.identity), 0);
	side_init(&s[A], TRANSCRIPT_INITIATOR, "desk", stranger.identity, exporter);
	side_init(&s[B], TRANSCRIPT_RESPONDER, "laptop", stranger.identity, exporter);
	run_to(s, 4);
	has_failed(&s[A], PAIRING_REASON_OPENING, false);
	teardown(s);
	identity_free(stranger.identity);
	/* the right keys, but another connection: nothing but the exporter differs */
	for (int i = 0; i < 2; i++)
		cr_assert_eq(identity_generate(&s[i].identity), 0);
	side_init(&s[A], TRANSCRIPT_INITIATOR, "desk", s[B].identity, exporter);
	exporter[31] ^= 1;
	side_init(&s[B], TRANSCRIPT_RESPONDER, "laptop", s[A].identity, exporter);
	run_to(s, 4);
	has_failed(&s[A], PAIRING_REASON_OPENING, false);
	teardown(s);
}

Test(pairing_hostile, wrong_commitment_aborts_before_anything_is_shown)
{
	struct side s[2];

	setup(s);
	run_to(s, 1);
	s[B].message[s[B].size - 1] ^= 1;
	run_step(s, 2);
	run_step(s, 3);
	run_step(s, 4);
	refused(&s[A], &s[B], PAIRING_REASON_OPENING);
	teardown(s);
}

/* A responder made by hand, who commits to whatever share he likes. */
static void run_with_share(struct side s[2], const uint8_t exporter[32], bool own_point,
			   bool own_nonce, bool bad_point)
{
	struct transcript_party parties[2] = {{.name = "desk", .capabilities = 5},
					      {.name = "liar"}};
	struct pairing_message commit = {.kind = PAIRING_MESSAGE_COMMIT, .name = "liar"};
	struct pairing_message opening = {.kind = PAIRING_MESSAGE_OPEN};
	struct pairing_message key;
	struct transcript transcript;
	struct ephemeral ephemeral;

	cr_assert_eq(ephemeral_init(&ephemeral), 0);
	memcpy(opening.share.point, ephemeral.point, EPHEMERAL_POINT_SIZE);
	opening.share.point[64] ^= bad_point;
	ephemeral_deinit(&ephemeral);
	for (int i = 0; i < 2; i++)
		memcpy(parties[i].spki, s[i].identity->spki, IDENTITY_SPKI_SIZE);
	cr_assert_eq(transcript_begin(&transcript, 1, &parties[A], &parties[B], exporter), 0);
	cr_assert_eq(transcript_commitment(&transcript, &opening.share, commit.commitment), 0);
	deliver_message(&s[A], &commit);
	cr_assert_eq(pairing_message_decode(s[A].message, s[A].size, &key), 0);
	if (own_point)
		memcpy(opening.share.point, key.share.point, EPHEMERAL_POINT_SIZE);
	if (own_nonce)
		memcpy(opening.share.nonce, key.share.nonce, TRANSCRIPT_NONCE_SIZE);
	deliver_message(&s[A], &opening);
}

Test(pairing_hostile, off_curve_point_is_refused_by_the_initiator)
{
	struct side s[2];
	uint8_t exporter[32] = {7};

	for (int i = 0; i < 2; i++)
		cr_assert_eq(identity_generate(&s[i].identity), 0);
	side_init(&s[A], TRANSCRIPT_INITIATOR, "desk", s[B].identity, exporter);
	s[B].pairing = NULL;
	run_with_share(s, exporter, false, false, true);
	has_failed(&s[A], PAIRING_REASON_POINT, false);
	/* the same by an honest one is taken: it is the point that was refused */
	pairing_free(s[A].pairing);
	side_init(&s[A], TRANSCRIPT_INITIATOR, "desk", s[B].identity, exporter);
	run_with_share(s, exporter, false, false, false);
	cr_assert_eq(s[A].action, PAIRING_ASK);
	teardown(s);
}

static void copied_share_is_refused(bool point, bool nonce, enum pairing_reason reason)
{
	struct side s[2];
	uint8_t exporter[32] = {7};

	for (int i = 0; i < 2; i++)
		cr_assert_eq(identity_generate(&s[i].identity), 0);
	side_init(&s[A], TRANSCRIPT_INITIATOR, "desk", s[B].identity, exporter);
	s[B].pairing = NULL;
	run_with_share(s, exporter, point, nonce, false);
	has_failed(&s[A], reason, false);
	teardown(s);
}

Test(pairing_hostile, own_key_that_comes_back_is_refused)
{
	copied_share_is_refused(true, false, PAIRING_REASON_REFLECTED);
	copied_share_is_refused(true, true, PAIRING_REASON_REFLECTED);
}

Test(pairing_hostile, repeated_nonce_is_refused)
{
	copied_share_is_refused(false, true, PAIRING_REASON_NONCE);
}

static void responder_refuses(const uint8_t *point, const uint8_t *nonce,
			      enum pairing_reason reason)
{
	struct side s[2];
	struct pairing_message key;

	setup(s);
	run_to(s, 2);
	cr_assert_eq(pairing_message_decode(s[A].message, s[A].size, &key), 0);
	if (point)
		memcpy(key.share.point, point, EPHEMERAL_POINT_SIZE);
	if (nonce)
		memcpy(key.share.nonce, nonce, TRANSCRIPT_NONCE_SIZE);
	deliver_message(&s[B], &key);
	refused(&s[B], &s[A], reason);
	teardown(s);
}

Test(pairing_hostile, invalid_points_are_refused_by_the_responder)
{
	uint8_t point[EPHEMERAL_POINT_SIZE] = {0};
	struct ephemeral ephemeral;

	responder_refuses(point, NULL, PAIRING_REASON_POINT); /* infinity, padded */
	point[0] = 4;
	responder_refuses(point, NULL, PAIRING_REASON_POINT);
	cr_assert_eq(ephemeral_init(&ephemeral), 0);
	memcpy(point, ephemeral.point, sizeof(point));
	point[64] ^= 1;
	responder_refuses(point, NULL, PAIRING_REASON_POINT); /* off the curve */
	point[64] ^= 1;
	point[0] = 2 + (point[64] & 1);
	responder_refuses(point, NULL, PAIRING_REASON_POINT); /* compressed */
	ephemeral_deinit(&ephemeral);
}

Test(pairing_hostile, infinity_in_its_own_form_is_refused)
{
	static const uint8_t head[] = {0x93, 2, 0xc4, 1, 0, 0xc4, 32};
	uint8_t data[sizeof(head) + 32] = {0};
	struct side s[2];

	setup(s);
	run_to(s, 2);
	memcpy(data, head, sizeof(head));
	took(&s[B], pairing_receive(s[B].pairing, data, sizeof(data)));
	refused(&s[B], &s[A], PAIRING_REASON_MALFORMED);
	teardown(s);
}

Test(pairing_hostile, own_identity_is_refused_at_once)
{
	uint8_t exporter[32] = {0};

	for (int role = 0; role < 2; role++) {
		struct side side = {0};
		cr_assert_eq(identity_generate(&side.identity), 0);
		side_init(&side, role, "desk", side.identity, exporter);
		has_failed(&side, PAIRING_REASON_REFLECTED, false);
		side_deinit(&side);
	}
}

Test(pairing_hostile, reflected_confirmation_is_refused)
{
	struct side s[2];

	setup(s);
	run_to(s, 6);
	deliver(&s[A], &s[A]);
	refused(&s[A], &s[B], PAIRING_REASON_CONFIRMATION);
	teardown(s);
}

Test(pairing_hostile, second_confirmation_is_refused)
{
	struct side s[2];
	uint8_t confirm[PAIRING_MESSAGE_MAX];

	setup(s);
	run_to(s, 6);
	size_t size = s[A].size;
	memcpy(confirm, s[A].message, size);
	run_step(s, 7);
	took(&s[B], pairing_receive(s[B].pairing, confirm, size));
	refused(&s[B], &s[A], PAIRING_REASON_UNEXPECTED);
	teardown(s);
}

Test(pairing_hostile, messages_of_an_earlier_pairing_are_refused)
{
	struct side old[2], s[2];
	struct pairing_message key;

	setup(old);
	run_to(old, 2);
	cr_assert_eq(pairing_message_decode(old[A].message, old[A].size, &key), 0);
	setup(s);
	run_to(s, 2);
	/* the old key is a key; but its secret is not known, so it cannot be confirmed */
	deliver_message(&s[B], &key);
	cr_assert_eq(s[B].action, PAIRING_ASK);
	run_step(old, 3);
	run_step(old, 4);
	run_step(old, 5);
	run_step(old, 6);
	deliver(&old[A], &s[B]);
	has_failed(&s[B], PAIRING_REASON_CONFIRMATION, false);
	teardown(old);
	teardown(s);
	/* an old commit and its opening do not fit this connection */
	setup(old);
	setup(s);
	run_step(old, 1);
	deliver(&old[B], &s[A]);
	deliver(&s[A], &old[B]);
	deliver(&old[B], &s[A]);
	has_failed(&s[A], PAIRING_REASON_OPENING, false);
	teardown(old);
	teardown(s);
}

/*
 * Every byte of every message that matters is changed on its way, and the users compare what they
 * see: nobody is ever done.
 */
Test(pairing_hostile, no_changed_byte_goes_unnoticed)
{
	static const int messages[] = {1, 2, 3, 4, 7, 10}; /* steps that deliver; then `stored` */

	for (size_t m = 0; m < sizeof(messages) / sizeof(messages[0]); m++) {
		size_t size = 1;
		for (size_t at = 0; at < size; at++) {
			struct side s[2];
			setup(s);
			run_to(s, messages[m] - 1);
			struct side *from = messages[m] % 2 == 1 ? &s[A] : &s[B];
			size = from->size;
			cr_assert_gt(size, 0);
			from->message[at] ^= 1;
			for (int step = messages[m]; step <= STEPS; step++) {
				bool failed =
				    s[A].action == PAIRING_FAILED || s[B].action == PAIRING_FAILED;
				bool differ = pairing_code(s[A].pairing) &&
					      pairing_code(s[B].pairing) &&
					      strcmp(pairing_code(s[A].pairing),
						     pairing_code(s[B].pairing)) != 0;
				if (failed || differ)
					break;
				run_step(s, step);
				cr_assert_neq(s[A].action, PAIRING_DONE, "step %d byte %zu",
					      messages[m], at);
				cr_assert_neq(s[B].action, PAIRING_DONE, "step %d byte %zu",
					      messages[m], at);
			}
			teardown(s);
		}
	}
}

Test(pairing_hostile, each_message_truncated_at_each_byte_is_refused)
{
	static const int messages[] = {1, 2, 3, 4, 7, 10, 11};

	for (size_t m = 0; m < sizeof(messages) / sizeof(messages[0]); m++) {
		size_t size = 1;
		for (size_t n = 0; n < size; n++) {
			struct side s[2];
			setup(s);
			run_to(s, messages[m] - 1);
			bool by_initiator = messages[m] % 2 == 1;
			struct side *from = by_initiator ? &s[A] : &s[B];
			struct side *to = by_initiator ? &s[B] : &s[A];
			size = from->size;
			from->size = 0;
			took(to, pairing_receive(to->pairing, from->message, n));
			refused(to, from, PAIRING_REASON_MALFORMED);
			teardown(s);
		}
	}
}

Test(pairing_hostile, every_message_out_of_turn_is_refused)
{
	/* the kinds that the initiator and the responder take after each step; -1: none */
	static const int taken[STEPS + 1][2] = {
	    {1, 0}, {1, 2},  {3, 2},  {3, 4}, {-1, 4}, {-1, 4},
	    {4, 4}, {4, -1}, {4, -1}, {4, 5}, {-1, 5}, {-1, -1},
	};

	for (int step = 0; step <= STEPS; step++) {
		for (int who = 0; who < 2; who++) {
			for (int kind = 0; kind < PAIRING_MESSAGE_REFUSE; kind++) {
				struct pairing_message message = {.kind = kind, .name = "x"};
				struct side s[2];
				if (kind == taken[step][who])
					continue;
				setup(s);
				run_to(s, step);
				deliver_message(&s[who], &message);
				refused(&s[who], &s[!who], PAIRING_REASON_UNEXPECTED);
				teardown(s);
			}
		}
	}
}
