#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>

#include "proto/pairing.h"

/* One machine in a pairing, with what its owner would keep. */
struct side {
	struct identity *identity;
	struct pairing *pairing;
	enum pairing_action action;
	uint8_t message[PAIRING_MESSAGE_MAX]; /* that it wants sent */
	size_t size;
	bool pending; /* the peer is in the store */
};

enum { A, B }; /* initiator, responder */

static void took(struct side *side, enum pairing_action action)
{
	const uint8_t *data;

	side->action = action;
	side->size = pairing_output(side->pairing, &data);
	memcpy(side->message, data, side->size);
	if (action == PAIRING_FAILED)
		side->pending = false;
}

static void side_init(struct side *side, enum transcript_role role, const char *name,
		      const struct identity *peer, const uint8_t exporter[32])
{
	struct pairing_config config = {.role = role, .own.capabilities = 5};

	memcpy(config.own.spki, side->identity->spki, IDENTITY_SPKI_SIZE);
	memcpy(config.peer_spki, peer->spki, IDENTITY_SPKI_SIZE);
	memcpy(config.exporter, exporter, sizeof(config.exporter));
	strcpy(config.own.name, name);
	side->pairing = NULL;
	side->pending = false;
	cr_assert_eq(pairing_new(&side->pairing, &config), 0);
	took(side, pairing_start(side->pairing));
}

static void side_deinit(struct side *side)
{
	pairing_free(side->pairing);
	identity_free(side->identity);
}

static void setup(struct side sides[2])
{
	uint8_t exporter[32];

	RAND_bytes(exporter, sizeof(exporter));
	for (int i = 0; i < 2; i++)
		cr_assert_eq(identity_generate(&sides[i].identity), 0);
	side_init(&sides[A], TRANSCRIPT_INITIATOR, "desk", sides[B].identity, exporter);
	side_init(&sides[B], TRANSCRIPT_RESPONDER, "laptop", sides[A].identity, exporter);
}

static void teardown(struct side sides[2])
{
	side_deinit(&sides[A]);
	side_deinit(&sides[B]);
}

static void deliver(struct side *from, struct side *to)
{
	uint8_t data[PAIRING_MESSAGE_MAX];
	size_t size = from->size;

	memcpy(data, from->message, size);
	from->size = 0;
	cr_assert_gt(size, 0);
	took(to, pairing_receive(to->pairing, data, size));
}

static void deliver_message(struct side *to, const struct pairing_message *message)
{
	uint8_t data[PAIRING_MESSAGE_MAX];
	size_t size = pairing_message_encode(message, data);

	took(to, pairing_receive(to->pairing, data, size));
}

/*
 * The steps of a pairing that goes well, each as one event at one side, in the one order in which
 * the responder's user is slower; 0 is nothing at all.
 */
enum { STEP_ASKED = 4, STEPS = 11 };

static void run_step(struct side sides[2], int step)
{
	struct side *a = &sides[A], *b = &sides[B];

	switch (step) {
	case 1: /* hello */
		deliver(a, b);
		break;
	case 2: /* commit */
		deliver(b, a);
		break;
	case 3: /* key */
		deliver(a, b);
		break;
	case 4: /* open */
		deliver(b, a);
		break;
	case 5:
		took(a, pairing_answer(a->pairing, true));
		break;
	case 6:
		a->pending = true;
		took(a, pairing_stored(a->pairing, true));
		break;
	case 7: /* confirm */
		deliver(a, b);
		break;
	case 8:
		took(b, pairing_answer(b->pairing, true));
		break;
	case 9:
		b->pending = true;
		took(b, pairing_stored(b->pairing, true));
		break;
	case 10: /* confirm */
		deliver(b, a);
		break;
	case 11: /* stored */
		deliver(a, b);
		break;
	}
}

static void run_to(struct side sides[2], int last)
{
	for (int step = 1; step <= last; step++)
		run_step(sides, step);
}

static void has_failed(struct side *side, enum pairing_reason reason, bool by_peer)
{
	bool was_by_peer;

	cr_assert_eq(side->action, PAIRING_FAILED);
	cr_assert_eq(pairing_reason(side->pairing, &was_by_peer), reason, "%s",
		     pairing_reason_text(pairing_reason(side->pairing, NULL)));
	cr_assert_eq(was_by_peer, by_peer);
	cr_assert_null(pairing_code(side->pairing));
	cr_assert_eq(side->size > 0, !by_peer && reason != PAIRING_REASON_LOST);
}

/* One refuses, and the other hears why. */
static void refused(struct side *by, struct side *other, enum pairing_reason reason)
{
	has_failed(by, reason, false);
	deliver(by, other);
	has_failed(other, reason, true);
	cr_assert_not(by->pending || other->pending);
}

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

Test(pairing, man_in_the_middle_gets_two_codes)
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
Test(pairing, man_in_the_middle_who_only_relays_is_found_out)
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

Test(pairing, wrong_commitment_aborts_before_anything_is_shown)
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

Test(pairing, off_curve_point_is_refused_by_the_initiator)
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

Test(pairing, own_key_that_comes_back_is_refused)
{
	copied_share_is_refused(true, false, PAIRING_REASON_REFLECTED);
	copied_share_is_refused(true, true, PAIRING_REASON_REFLECTED);
}

Test(pairing, repeated_nonce_is_refused)
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

Test(pairing, invalid_points_are_refused_by_the_responder)
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

Test(pairing, infinity_in_its_own_form_is_refused)
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

Test(pairing, own_identity_is_refused_at_once)
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

Test(pairing, reflected_confirmation_is_refused)
{
	struct side s[2];

	setup(s);
	run_to(s, 6);
	deliver(&s[A], &s[A]);
	refused(&s[A], &s[B], PAIRING_REASON_CONFIRMATION);
	teardown(s);
}

Test(pairing, second_confirmation_is_refused)
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

Test(pairing, messages_of_an_earlier_pairing_are_refused)
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
Test(pairing, no_changed_byte_goes_unnoticed)
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

Test(pairing, each_message_truncated_at_each_byte_is_refused)
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

Test(pairing, every_message_out_of_turn_is_refused)
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
