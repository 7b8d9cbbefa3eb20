/*
 * Two machines pair over a wire that the input rules: it delivers, changes, invents and loses
 * messages, and it answers for the users. The first byte says in what the two connections differ;
 * then each step is a byte and what it takes. Whatever happens, nobody is done while the other has
 * not stored, and what is sent decodes.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/pairing.h"
#include "tests/fuzz/fuzz.h"

struct side {
	struct pairing *pairing;
	enum pairing_action action;
	uint8_t message[PAIRING_MESSAGE_MAX];
	size_t size;
};

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t take(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

static void check(bool right)
{
	if (!right)
		abort();
}

static void took(struct side *side, enum pairing_action action)
{
	struct pairing_message decoded;
	const uint8_t *data;
	size_t size = pairing_output(side->pairing, &data);

	check(size <= sizeof(side->message));
	if (size > 0) {
		check(pairing_message_decode(data, size, &decoded) == 0);
		memcpy(side->message, data, size);
		side->size = size;
	}
	check(side->action != PAIRING_FAILED || (action == PAIRING_FAILED && size == 0));
	check(action != PAIRING_ASK || pairing_code(side->pairing));
	check(action != PAIRING_FAILED || !pairing_code(side->pairing));
	side->action = action;
}

static void begin(struct side *side, enum transcript_role role, uint8_t differences)
{
	struct pairing_config config = {.role = role, .own.name = "x"};

	memset(config.own.spki, (int)role, sizeof(config.own.spki));
	memset(config.peer_spki, (int)!role, sizeof(config.peer_spki));
	if (role == TRANSCRIPT_RESPONDER) {
		config.peer_spki[0] = differences & 2 ? 7 : 0;
		config.exporter[0] = differences & 4;
	}
	check(pairing_new(&side->pairing, &config) == 0);
	took(side, pairing_start(side->pairing));
}

/* From a block of just that size, so that a sanitizer sees what reads beyond it. */
static void receive(struct side *side, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	took(side, pairing_receive(side->pairing, copy, size));
	free(copy);
}

static void step(struct side sides[2], struct input *input)
{
	uint8_t what = take(input);
	struct side *side = &sides[what & 1], *other = &sides[!(what & 1)];
	uint8_t data[PAIRING_MESSAGE_MAX];
	size_t size = other->size;

	switch (what >> 1 & 7) {
	case 0: /* delivered as it is */
		memcpy(data, other->message, size);
		receive(side, data, size);
		break;
	case 1: /* changed */
		memcpy(data, other->message, size);
		data[take(input) % sizeof(data)] ^= take(input);
		receive(side, data, size);
		break;
	case 2: /* cut short */
		memcpy(data, other->message, size);
		receive(side, data, size > 0 ? take(input) % size : 0);
		break;
	case 3: /* invented */
		size = take(input);
		if (size > input->size)
			size = input->size;
		receive(side, input->data, size);
		input->data += size;
		input->size -= size;
		break;
	case 4:
		took(side, pairing_answer(side->pairing, true));
		break;
	case 5:
		took(side, pairing_stored(side->pairing, true));
		break;
	case 6:
		if (what & 16)
			took(side, pairing_stored(side->pairing, false));
		else
			took(side, pairing_answer(side->pairing, false));
		break;
	case 7:
		if (what & 16)
			took(side, pairing_lost(side->pairing));
		else
			took(side, pairing_cancel(side->pairing, take(input)));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct side sides[2] = {{.size = 0}};
	uint8_t differences = take(&input);

	begin(&sides[0], TRANSCRIPT_INITIATOR, differences);
	begin(&sides[1], TRANSCRIPT_RESPONDER, differences);
	while (input.size > 0) {
		step(sides, &input);
		for (int i = 0; i < 2; i++)
			check(sides[i].action != PAIRING_DONE ||
			      pairing_has_stored(sides[!i].pairing));
	}
	for (int i = 0; i < 2; i++)
		pairing_free(sides[i].pairing);
	return 0;
}
