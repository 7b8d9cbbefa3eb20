/*
 *     initiator                                          responder
 *     HELLO_SENT    ── hello ──────────────────────────▶ BEGIN
 *                   ◀──────────────────────── commit ──  COMMITTED   bound to its key and nonce
 *     KEY_SENT      ── key ────────────────────────────▶
 *     ASKING        ◀────────────────────────── open ──  ASKING      both show the code
 *     STORING       user says yes, stores pending
 *     CONFIRMED     ── confirm ────────────────────────▶ STORING     once its user says yes too
 *     DONE          ◀─────────────────────── confirm ──  CONFIRMED   pending is stored on both
 *                   ── stored ─────────────────────────▶ DONE
 *
 * Each stores pending before its confirmation leaves, so when the last confirmation goes out both
 * have it, and a crash after that leaves two pending records that the first hello makes paired; a
 * crash before leaves one at most, which no hello can reach and which expires. A refusal from
 * either side ends it in any state, DONE included.
 */
#include "proto/pairing.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "proto/cursor.h"

enum state {
	BEGIN,
	HELLO_SENT,
	COMMITTED,
	KEY_SENT,
	ASKING,
	STORING,
	CONFIRMED,
	DONE,
	FAILED,
};

struct pairing {
	enum transcript_role role;
	enum state state;
	struct transcript_party own, peer;
	uint8_t exporter[TRANSCRIPT_EXPORTER_SIZE];
	struct ephemeral ephemeral;
	struct transcript_share own_share, peer_share;
	uint8_t commitment[TRANSCRIPT_HASH_SIZE]; /* the responder's */
	struct transcript transcript;             /* T, and W from ASKING on */
	uint8_t key[TRANSCRIPT_HASH_SIZE];        /* K, from ASKING on */
	char code[TRANSCRIPT_CODE_SIZE];
	bool answered;       /* our user said yes */
	bool peer_confirmed; /* the peer's confirmation was right */
	bool has_stored;
	bool refused_by_peer;
	enum pairing_reason reason;
	uint8_t output[PAIRING_MESSAGE_MAX];
	size_t output_size;
};

static void send_message(struct pairing *pairing, const struct pairing_message *message)
{
	pairing->output_size = pairing_message_encode(message, pairing->output);
}

/* The secrets go at once: nothing can be confirmed any more. */
static enum pairing_action end(struct pairing *pairing, enum pairing_reason reason)
{
	pairing->state = FAILED;
	pairing->reason = reason;
	ephemeral_deinit(&pairing->ephemeral);
	OPENSSL_cleanse(pairing->key, sizeof(pairing->key));
	OPENSSL_cleanse(pairing->code, sizeof(pairing->code));
	return PAIRING_FAILED;
}

static enum pairing_action refuse(struct pairing *pairing, enum pairing_reason reason)
{
	send_message(pairing,
		     &(struct pairing_message){.kind = PAIRING_MESSAGE_REFUSE, .reason = reason});
	return end(pairing, reason);
}

int pairing_new(struct pairing **ret_pairing, const struct pairing_config *config)
{
	size_t name_size = strnlen(config->own.name, sizeof(config->own.name));

	if (name_size < 1 || name_size > TRANSCRIPT_NAME_MAX ||
	    !cursor_is_utf8((struct bytes){(const uint8_t *)config->own.name, name_size}))
		return -EINVAL;
	__attribute__((cleanup(pairing_freep))) struct pairing *pairing =
	    calloc(1, sizeof(*pairing));
	if (!pairing)
		return -ENOMEM;
	pairing->role = config->role;
	pairing->own = config->own;
	memcpy(pairing->peer.spki, config->peer_spki, sizeof(pairing->peer.spki));
	memcpy(pairing->exporter, config->exporter, sizeof(pairing->exporter));
	int r = ephemeral_init(&pairing->ephemeral);
	if (r < 0)
		return r;
	memcpy(pairing->own_share.point, pairing->ephemeral.point, EPHEMERAL_POINT_SIZE);
	if (RAND_bytes(pairing->own_share.nonce, TRANSCRIPT_NONCE_SIZE) != 1)
		return -EIO;
	*ret_pairing = pairing;
	pairing = NULL;
	return 0;
}

struct pairing *pairing_free(struct pairing *pairing)
{
	if (pairing) {
		ephemeral_deinit(&pairing->ephemeral);
		OPENSSL_cleanse(pairing, sizeof(*pairing));
		free(pairing);
	}
	return NULL;
}

void pairing_freep(struct pairing **pairing)
{
	pairing_free(*pairing);
}

enum pairing_action pairing_start(struct pairing *pairing)
{
	assert(pairing->state == BEGIN);
	pairing->output_size = 0;
	if (memcmp(pairing->own.spki, pairing->peer.spki, IDENTITY_SPKI_SIZE) == 0)
		return refuse(pairing, PAIRING_REASON_REFLECTED);
	if (pairing->role == TRANSCRIPT_RESPONDER)
		return PAIRING_WAIT;
	struct pairing_message hello = {.kind = PAIRING_MESSAGE_HELLO,
					.capabilities = pairing->own.capabilities};
	memcpy(hello.name, pairing->own.name, sizeof(hello.name));
	send_message(pairing, &hello);
	pairing->state = HELLO_SENT;
	return PAIRING_WAIT;
}

/* Both parties are known: makes T. */
static int begin_transcript(struct pairing *pairing, const struct pairing_message *message)
{
	bool initiator = pairing->role == TRANSCRIPT_INITIATOR;

	memcpy(pairing->peer.name, message->name, sizeof(pairing->peer.name));
	pairing->peer.capabilities = message->capabilities;
	return transcript_begin(&pairing->transcript, PAIRING_MESSAGE_VERSION,
				initiator ? &pairing->own : &pairing->peer,
				initiator ? &pairing->peer : &pairing->own, pairing->exporter);
}

static enum pairing_action receive_hello(struct pairing *pairing,
					 const struct pairing_message *message)
{
	struct pairing_message commit = {.kind = PAIRING_MESSAGE_COMMIT,
					 .capabilities = pairing->own.capabilities};

	if (begin_transcript(pairing, message) < 0 ||
	    transcript_commitment(&pairing->transcript, &pairing->own_share, pairing->commitment) <
		0)
		return refuse(pairing, PAIRING_REASON_INTERNAL);
	memcpy(commit.name, pairing->own.name, sizeof(commit.name));
	memcpy(commit.commitment, pairing->commitment, sizeof(commit.commitment));
	send_message(pairing, &commit);
	pairing->state = COMMITTED;
	return PAIRING_WAIT;
}

static enum pairing_action receive_commit(struct pairing *pairing,
					  const struct pairing_message *message)
{
	struct pairing_message key = {.kind = PAIRING_MESSAGE_KEY, .share = pairing->own_share};

	if (begin_transcript(pairing, message) < 0)
		return refuse(pairing, PAIRING_REASON_INTERNAL);
	memcpy(pairing->commitment, message->commitment, sizeof(pairing->commitment));
	send_message(pairing, &key);
	pairing->state = KEY_SENT;
	return PAIRING_WAIT;
}

/* Both shares are known: computes K and the code, or finds out that something is wrong. */
static enum pairing_action compute_code(struct pairing *pairing)
{
	bool initiator = pairing->role == TRANSCRIPT_INITIATOR;
	uint8_t secret[EPHEMERAL_SECRET_SIZE];

	int r = ephemeral_agree(&pairing->ephemeral, pairing->peer_share.point, secret);
	if (r < 0)
		return refuse(pairing,
			      r == -EBADMSG ? PAIRING_REASON_POINT : PAIRING_REASON_INTERNAL);
	transcript_complete(&pairing->transcript, pairing->commitment,
			    initiator ? &pairing->own_share : &pairing->peer_share,
			    initiator ? &pairing->peer_share : &pairing->own_share);
	r = transcript_key(&pairing->transcript, secret, pairing->key);
	OPENSSL_cleanse(secret, sizeof(secret));
	ephemeral_deinit(&pairing->ephemeral);
	if (r == 0)
		r = transcript_code(pairing->key, pairing->code);
	if (r < 0)
		return refuse(pairing, PAIRING_REASON_INTERNAL);
	pairing->state = ASKING;
	return PAIRING_ASK;
}

/* Whether the share is the one that the responder committed to. */
static int check_opening(const struct pairing *pairing, const struct transcript_share *share,
			 bool *ret_opens)
{
	uint8_t commitment[TRANSCRIPT_HASH_SIZE];
	int r = transcript_commitment(&pairing->transcript, share, commitment);

	if (r < 0)
		return r;
	*ret_opens = CRYPTO_memcmp(commitment, pairing->commitment, sizeof(commitment)) == 0;
	return 0;
}

/* A share that is our own, in whole or in part, comes from somebody who plays us against us. */
static enum pairing_action receive_share(struct pairing *pairing,
					 const struct pairing_message *message)
{
	const struct transcript_share *share = &message->share;
	bool opens = true;

	if (CRYPTO_memcmp(share->point, pairing->own_share.point, sizeof(share->point)) == 0)
		return refuse(pairing, PAIRING_REASON_REFLECTED);
	if (CRYPTO_memcmp(share->nonce, pairing->own_share.nonce, sizeof(share->nonce)) == 0)
		return refuse(pairing, PAIRING_REASON_NONCE);
	if (pairing->role == TRANSCRIPT_INITIATOR && check_opening(pairing, share, &opens) < 0)
		return refuse(pairing, PAIRING_REASON_INTERNAL);
	if (!opens)
		return refuse(pairing, PAIRING_REASON_OPENING);
	pairing->peer_share = *share;
	return compute_code(pairing);
}

static enum pairing_action receive_key(struct pairing *pairing,
				       const struct pairing_message *message)
{
	struct pairing_message opening = {.kind = PAIRING_MESSAGE_OPEN,
					  .share = pairing->own_share};
	enum pairing_action action = receive_share(pairing, message);

	if (action == PAIRING_ASK)
		send_message(pairing, &opening);
	return action;
}

static enum pairing_action store(struct pairing *pairing)
{
	pairing->state = STORING;
	pairing->has_stored = true;
	return PAIRING_STORE;
}

static enum pairing_action receive_confirm(struct pairing *pairing,
					   const struct pairing_message *message)
{
	bool initiator = pairing->role == TRANSCRIPT_INITIATOR;
	uint8_t expected[TRANSCRIPT_HASH_SIZE];

	if (pairing->peer_confirmed)
		return refuse(pairing, PAIRING_REASON_UNEXPECTED);
	if (transcript_confirmation(&pairing->transcript, pairing->key,
				    initiator ? TRANSCRIPT_RESPONDER : TRANSCRIPT_INITIATOR,
				    expected) < 0)
		return refuse(pairing, PAIRING_REASON_INTERNAL);
	if (CRYPTO_memcmp(expected, message->confirmation, sizeof(expected)) != 0)
		return refuse(pairing, PAIRING_REASON_CONFIRMATION);
	pairing->peer_confirmed = true;
	if (initiator) {
		send_message(pairing, &(struct pairing_message){.kind = PAIRING_MESSAGE_STORED});
		pairing->state = DONE;
		return PAIRING_DONE;
	}
	return pairing->answered ? store(pairing) : PAIRING_WAIT;
}

static enum pairing_action receive_stored(struct pairing *pairing,
					  const struct pairing_message *message)
{
	pairing->state = DONE;
	return PAIRING_DONE;
}

static enum pairing_action receive_refuse(struct pairing *pairing,
					  const struct pairing_message *message)
{
	bool known = message->reason <= PAIRING_REASON_INTERNAL;

	pairing->refused_by_peer = true;
	return end(pairing, known ? (enum pairing_reason)message->reason : PAIRING_REASON_OTHER);
}

/* Who may say what when; everything else is out of turn. A refusal is always in turn. */
static const struct {
	enum pairing_message_kind kind;
	enum transcript_role role; /* of the receiver */
	enum state state;          /* of the receiver */
	enum pairing_action (*receive)(struct pairing *pairing,
				       const struct pairing_message *message);
} turns[] = {
    {PAIRING_MESSAGE_HELLO, TRANSCRIPT_RESPONDER, BEGIN, receive_hello},
    {PAIRING_MESSAGE_COMMIT, TRANSCRIPT_INITIATOR, HELLO_SENT, receive_commit},
    {PAIRING_MESSAGE_KEY, TRANSCRIPT_RESPONDER, COMMITTED, receive_key},
    {PAIRING_MESSAGE_OPEN, TRANSCRIPT_INITIATOR, KEY_SENT, receive_share},
    {PAIRING_MESSAGE_CONFIRM, TRANSCRIPT_RESPONDER, ASKING, receive_confirm},
    {PAIRING_MESSAGE_CONFIRM, TRANSCRIPT_INITIATOR, CONFIRMED, receive_confirm},
    {PAIRING_MESSAGE_STORED, TRANSCRIPT_RESPONDER, CONFIRMED, receive_stored},
};

enum pairing_action pairing_receive(struct pairing *pairing, const void *data, size_t size)
{
	struct pairing_message message;

	pairing->output_size = 0;
	if (pairing->state == FAILED)
		return PAIRING_FAILED;
	int r = pairing_message_decode(data, size, &message);
	if (r < 0)
		return refuse(pairing, r == -EPROTONOSUPPORT ? PAIRING_REASON_VERSION
							     : PAIRING_REASON_MALFORMED);
	if (message.kind == PAIRING_MESSAGE_REFUSE)
		return receive_refuse(pairing, &message);
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
		if (turns[i].kind == message.kind && turns[i].role == pairing->role &&
		    turns[i].state == pairing->state)
			return turns[i].receive(pairing, &message);
	return refuse(pairing, PAIRING_REASON_UNEXPECTED);
}

/* What a call that counts for nothing returns. */
static enum pairing_action idle(const struct pairing *pairing)
{
	if (pairing->state == FAILED)
		return PAIRING_FAILED;
	return pairing->state == DONE ? PAIRING_DONE : PAIRING_WAIT;
}

enum pairing_action pairing_answer(struct pairing *pairing, bool yes)
{
	if (!yes)
		return pairing_cancel(pairing, PAIRING_REASON_REJECTED);
	pairing->output_size = 0;
	if (pairing->state != ASKING)
		return idle(pairing);
	pairing->answered = true;
	if (pairing->role == TRANSCRIPT_INITIATOR || pairing->peer_confirmed)
		return store(pairing);
	return PAIRING_WAIT;
}

enum pairing_action pairing_stored(struct pairing *pairing, bool stored)
{
	struct pairing_message confirm = {.kind = PAIRING_MESSAGE_CONFIRM};

	pairing->output_size = 0;
	if (pairing->state != STORING)
		return idle(pairing);
	if (!stored)
		return refuse(pairing, PAIRING_REASON_STORE);
	if (transcript_confirmation(&pairing->transcript, pairing->key, pairing->role,
				    confirm.confirmation) < 0)
		return refuse(pairing, PAIRING_REASON_INTERNAL);
	send_message(pairing, &confirm);
	pairing->state = CONFIRMED;
	return PAIRING_WAIT;
}

enum pairing_action pairing_cancel(struct pairing *pairing, enum pairing_reason reason)
{
	pairing->output_size = 0;
	if (pairing->state == FAILED)
		return PAIRING_FAILED;
	return refuse(pairing, reason);
}

enum pairing_action pairing_lost(struct pairing *pairing)
{
	pairing->output_size = 0;
	if (pairing->state == FAILED)
		return PAIRING_FAILED;
	if (pairing->role == TRANSCRIPT_RESPONDER && pairing->state == CONFIRMED)
		pairing->state = DONE;
	if (pairing->state == DONE)
		return PAIRING_DONE;
	return end(pairing, PAIRING_REASON_LOST);
}

size_t pairing_output(const struct pairing *pairing, const uint8_t **ret_data)
{
	*ret_data = pairing->output;
	return pairing->output_size;
}

const char *pairing_code(const struct pairing *pairing)
{
	return pairing->code[0] ? pairing->code : NULL;
}

const struct transcript_party *pairing_peer(const struct pairing *pairing)
{
	return pairing->peer.name[0] ? &pairing->peer : NULL;
}

bool pairing_has_stored(const struct pairing *pairing)
{
	return pairing->has_stored;
}

enum pairing_reason pairing_reason(const struct pairing *pairing, bool *ret_by_peer)
{
	if (ret_by_peer)
		*ret_by_peer = pairing->refused_by_peer;
	return pairing->reason;
}

const char *pairing_reason_text(enum pairing_reason reason)
{
	static const char *const texts[] = {
#define TEXT(symbol, number, text) [number] = text,
	    PAIRING_REASONS(TEXT)
#undef TEXT
	};

	return (size_t)reason < sizeof(texts) / sizeof(texts[0]) ? texts[reason] : texts[0];
}

size_t pairing_encode_refusal(enum pairing_reason reason, uint8_t ret_data[PAIRING_MESSAGE_MAX])
{
	return pairing_message_encode(
	    &(struct pairing_message){.kind = PAIRING_MESSAGE_REFUSE, .reason = reason}, ret_data);
}
