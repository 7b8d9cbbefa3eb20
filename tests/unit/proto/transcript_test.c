/* The fixed values come from transcript_vectors.py beside this file. */
#include <criterion/criterion.h>
#include <string.h>
#include <openssl/evp.h>

#include "proto/transcript.h"
#include "tests/unit/proto/hex.h"

/* All that goes in. */
struct input {
	uint32_t version;
	struct transcript_party initiator, responder;
	uint8_t exporter[TRANSCRIPT_EXPORTER_SIZE];
	struct transcript_share initiator_share, responder_share;
	uint8_t secret[EPHEMERAL_SECRET_SIZE];
};

struct output {
	struct transcript begin, whole;
	uint8_t commitment[TRANSCRIPT_HASH_SIZE];
	uint8_t key[TRANSCRIPT_HASH_SIZE];
	char code[TRANSCRIPT_CODE_SIZE];
	uint8_t confirmations[2][TRANSCRIPT_HASH_SIZE];
};

static void make_input(struct input *input)
{
	memset(input, 0, sizeof(*input));
	input->version = 1;
	for (int i = 0; i < IDENTITY_SPKI_SIZE; i++) {
		input->initiator.spki[i] = (uint8_t)i;
		input->responder.spki[i] = (uint8_t)(255 - i);
	}
	strcpy(input->initiator.name, "desk");
	strcpy(input->responder.name, "träge");
	input->initiator.capabilities = 1;
	input->responder.capabilities = 0x0102030405060708;
	memset(input->exporter, 0x11, sizeof(input->exporter));
	memset(input->initiator_share.point, 0x22, EPHEMERAL_POINT_SIZE);
	memset(input->initiator_share.nonce, 0x33, TRANSCRIPT_NONCE_SIZE);
	memset(input->responder_share.point, 0x44, EPHEMERAL_POINT_SIZE);
	memset(input->responder_share.nonce, 0x55, TRANSCRIPT_NONCE_SIZE);
	memset(input->secret, 0x66, sizeof(input->secret));
}

static void compute(const struct input *input, struct output *output)
{
	cr_assert_eq(transcript_begin(&output->begin, input->version, &input->initiator,
				      &input->responder, input->exporter),
		     0);
	cr_assert_eq(
	    transcript_commitment(&output->begin, &input->responder_share, output->commitment), 0);
	output->whole = output->begin;
	transcript_complete(&output->whole, output->commitment, &input->initiator_share,
			    &input->responder_share);
	cr_assert_eq(transcript_key(&output->whole, input->secret, output->key), 0);
	cr_assert_eq(transcript_code(output->key, output->code), 0);
	for (int role = 0; role < 2; role++)
		cr_assert_eq(transcript_confirmation(&output->whole, output->key, role,
						     output->confirmations[role]),
			     0);
}

static void is_hex(const uint8_t value[32], const char *text)
{
	uint8_t expected[32];

	hex_decode(text, expected, sizeof(expected));
	cr_assert_arr_eq(value, expected, sizeof(expected));
}

static void is_hashed(const struct transcript *transcript, const char *text)
{
	uint8_t hash[32];

	EVP_Digest(transcript->data, transcript->size, hash, NULL, EVP_sha256(), NULL);
	is_hex(hash, text);
}

Test(transcript, has_the_fixed_values)
{
	struct input input;
	struct output output;

	make_input(&input);
	compute(&input, &output);
	cr_assert_eq(output.begin.size, 392);
	cr_assert_eq(output.whole.size, 638);
	is_hashed(&output.begin,
		  "af3cd05554e3bdf1f1643f5ac8b33583245d41f5adfb34f93f1d80b5750e36ac");
	is_hashed(&output.whole,
		  "3b98835ed44cbd76a954d32faf5a032eeb38a51473e990890153cc2f1972c4a7");
	is_hex(output.commitment,
	       "2215df8a588db75c81f7088f0c1db6107f728e2dcf50ba5958311ad6724f709c");
	is_hex(output.key, "0b08fc3e2c06e46bb8073cc3ad8bdb566fdc760ca38a9f38dc569b5c96ceadec");
	cr_assert_str_eq(output.code, "337494");
	is_hex(output.confirmations[TRANSCRIPT_INITIATOR],
	       "5dd0e6f2d8b29cee329c6c4ad3ab981d991ff09f665f8a01d130f22f8be44a1d");
	is_hex(output.confirmations[TRANSCRIPT_RESPONDER],
	       "0af54ce80608b999439d8f0deb86c2a1ac7d0573aaf9c4463c9e465e4d096f80");
}

Test(transcript, code_has_the_fixed_values)
{
	static const char *const codes[] = {"832605", "643375", "692341", "255661"};

	for (int n = 0; n < 4; n++) {
		uint8_t key[TRANSCRIPT_HASH_SIZE];
		char code[TRANSCRIPT_CODE_SIZE];
		memset(key, n, sizeof(key));
		cr_assert_eq(transcript_code(key, code), 0);
		cr_assert_str_eq(code, codes[n]);
	}
}

/* K and all that comes of it differ; the commitment too, unless the change is after it. */
static void is_changed(const struct input *changed, bool committed, const char *what, size_t at)
{
	struct input input;
	struct output before, after;

	make_input(&input);
	compute(&input, &before);
	compute(changed, &after);
	cr_assert_eq(memcmp(before.commitment, after.commitment, 32) != 0, committed, "%s %zu",
		     what, at);
	cr_assert_neq(memcmp(before.key, after.key, 32), 0, "%s %zu", what, at);
	cr_assert_str_neq(before.code, after.code, "%s %zu", what, at);
	for (int role = 0; role < 2; role++)
		cr_assert_neq(memcmp(before.confirmations[role], after.confirmations[role], 32), 0,
			      "%s %zu", what, at);
}

#define CHANGE_EACH_BYTE(member, committed)                                                        \
	for (size_t i = 0; i < sizeof(((struct input *)NULL)->member); i++) {                      \
		struct input input;                                                                \
		make_input(&input);                                                                \
		((uint8_t *)&input.member)[i] ^= 1;                                                \
		is_changed(&input, committed, #member, i);                                         \
	}

Test(transcript, each_byte_of_each_field_changes_the_code){
    CHANGE_EACH_BYTE(version, true) CHANGE_EACH_BYTE(initiator.spki, true)
	CHANGE_EACH_BYTE(responder.spki, true) CHANGE_EACH_BYTE(initiator.capabilities, true)
	    CHANGE_EACH_BYTE(responder.capabilities, true) CHANGE_EACH_BYTE(exporter, true)
		CHANGE_EACH_BYTE(initiator_share.point, false)
		    CHANGE_EACH_BYTE(initiator_share.nonce, false)
			CHANGE_EACH_BYTE(responder_share.point, true)
			    CHANGE_EACH_BYTE(responder_share.nonce, true)
				CHANGE_EACH_BYTE(secret, false)}

Test(transcript, each_name_changes_the_code)
{
	static const char *const names[] = {"Desk", "des", "deskk", "d", "träge"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct input input;
		make_input(&input);
		strcpy(input.initiator.name, names[i]);
		is_changed(&input, true, "initiator.name", i);
		if (strcmp(names[i], "träge") == 0)
			continue;
		make_input(&input);
		strcpy(input.responder.name, names[i]);
		is_changed(&input, true, "responder.name", i);
	}
}

Test(transcript, roles_change_the_code)
{
	struct input input;
	struct output output;

	make_input(&input);
	struct transcript_party party = input.initiator;
	input.initiator = input.responder;
	input.responder = party;
	is_changed(&input, true, "roles", 0);
	make_input(&input);
	compute(&input, &output);
	cr_assert_neq(memcmp(output.confirmations[0], output.confirmations[1], 32), 0);
}

/* What one field loses another cannot gain: lengths are part of it. */
Test(transcript, bytes_cannot_move_between_fields)
{
	struct input a, b;
	struct output of_a, of_b;

	make_input(&a);
	make_input(&b);
	memset(a.initiator.name, 0, sizeof(a.initiator.name));
	memset(b.initiator.name, 0, sizeof(b.initiator.name));
	memset(a.initiator.name, 'a', 10);
	memset(b.initiator.name, 'a', 11);
	compute(&a, &of_a);
	compute(&b, &of_b);
	cr_assert_eq(of_b.begin.size, of_a.begin.size + 1);
	cr_assert_str_neq(of_a.code, of_b.code);
}

Test(transcript, longest_names_fit)
{
	struct input input;
	struct output output;

	make_input(&input);
	memset(input.initiator.name, 'a', TRANSCRIPT_NAME_MAX);
	memset(input.responder.name, 'b', TRANSCRIPT_NAME_MAX);
	compute(&input, &output);
	cr_assert_lt(output.whole.size + 64, TRANSCRIPT_MAX);
}
