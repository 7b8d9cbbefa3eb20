/*
 * The two buffers under a TLS connection, as an OpenSSL BIO. Only tls.c uses it.
 *
 * BIO_s_mem would move its whole content on every partial read. Here input is one linear buffer,
 * emptied by OpenSSL before more is put in; output is a queue of chunks that never move, so that an
 * asynchronous write can refer to them while more is appended.
 */
#ifndef PROTO_TLS_BIO_H
#define PROTO_TLS_BIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <openssl/bio.h>

enum {
	TLS_BIO_CHUNK_SIZE = 64 * 1024,
	/* Nothing legitimate comes near: tls_write stops at its mark plus one call's worth. */
	TLS_BIO_OUTPUT_LIMIT = 2 * 1024 * 1024,
};

struct tls_bio_chunk;

struct tls_bio {
	uint8_t *input;    /* owned */
	size_t input_size; /* allocated */
	size_t input_head; /* the bytes that OpenSSL has yet to take are head to tail */
	size_t input_tail;
	bool input_ended; /* the transport has ended */
	bool limited;     /* input_budget counts */
	size_t input_budget;
	bool input_over;  /* input_budget was exceeded */
	bool output_over; /* TLS_BIO_OUTPUT_LIMIT was exceeded */
	struct tls_bio_chunk *output_first, *output_last;
	struct tls_bio_chunk *spare; /* one emptied chunk is kept for the next write */
	size_t output_size;
};

/* Returns NULL if out of memory. The method must outlive every BIO made of it. */
BIO_METHOD *tls_bio_method_new(void);

/* A BIO that refers to buffers, which must outlive it; freed with the SSL. NULL if out of memory.
 */
BIO *tls_bio_attach(const BIO_METHOD *method, struct tls_bio *buffers);
void tls_bio_deinit(struct tls_bio *buffers);

/* Makes room for up to size bytes of input in all. Returns 0 or -ENOMEM. */
int tls_bio_input_space(struct tls_bio *buffers, size_t size, void **ret_data, size_t *ret_size);
void tls_bio_input_commit(struct tls_bio *buffers, size_t size);

size_t tls_bio_output(const struct tls_bio *buffers, struct iovec *ret_parts, size_t n);
void tls_bio_output_consume(struct tls_bio *buffers, size_t size);

#endif
