/* Two machines that pair in memory. */
#ifndef TESTS_UNIT_PROTO_PAIRING_SIDES_H
#define TESTS_UNIT_PROTO_PAIRING_SIDES_H

#include <criterion/criterion.h>
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

static inline void took(struct side *side, enum pairing_action action)
{
	const uint8_t *data;

	side->action = action;
	side->size = pairing_output(side->pairing, &data);
	memcpy(side->message, data, side->size);
	if (action == PAIRING_FAILED)
		side->pending = false;
}

static inline void side_init(struct side *side, enum transcript_role role, const char *name,
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

static inline void side_deinit(struct side *side)
{
	pairing_free(side->pairing);
	identity_free(side->identity);
}

static inline void setup(struct side sides[2])
{
	uint8_t exporter[32];

	RAND_bytes(exporter, sizeof(exporter));
	for (int i = 0; i < 2; i++)
		cr_assert_eq(identity_generate(&sides[i].identity), 0);
	side_init(&sides[A], TRANSCRIPT_INITIATOR, "desk", sides[B].identity, exporter);
	side_init(&sides[B], TRANSCRIPT_RESPONDER, "laptop", sides[A].identity, exporter);
}

static inline void teardown(struct side sides[2])
{
	side_deinit(&sides[A]);
	side_deinit(&sides[B]);
}

static inline void deliver(struct side *from, struct side *to)
{
	uint8_t data[PAIRING_MESSAGE_MAX];
	size_t size = from->size;

	memcpy(data, from->message, size);
	from->size = 0;
	cr_assert_gt(size, 0);
	took(to, pairing_receive(to->pairing, data, size));
}

static inline void deliver_message(struct side *to, const struct pairing_message *message)
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

static inline void run_step(struct side sides[2], int step)
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

static inline void run_to(struct side sides[2], int last)
{
	for (int step = 1; step <= last; step++)
		run_step(sides, step);
}

static inline void has_failed(struct side *side, enum pairing_reason reason, bool by_peer)
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
static inline void refused(struct side *by, struct side *other, enum pairing_reason reason)
{
	has_failed(by, reason, false);
	deliver(by, other);
	has_failed(other, reason, true);
	cr_assert_not(by->pending || other->pending);
}

#endif
