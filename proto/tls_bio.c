#include "proto/tls_bio.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tls_bio_chunk {
	struct tls_bio_chunk *next;
	size_t head, tail;
	uint8_t data[TLS_BIO_CHUNK_SIZE];
};

static int bio_read(BIO *bio, char *data, int size)
{
	struct tls_bio *buffers = BIO_get_data(bio);
	size_t there = buffers->input_tail - buffers->input_head;

	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	if (there == 0) {
		if (buffers->input_ended)
			return 0;
		BIO_set_retry_read(bio);
		return -1;
	}
	if (there > (size_t)size)
		there = (size_t)size;
	if (buffers->limited) {
		if (there > buffers->input_budget) {
			buffers->input_over = true;
			return -1;
		}
		buffers->input_budget -= there;
	}
	memcpy(data, buffers->input + buffers->input_head, there);
	buffers->input_head += there;
	return (int)there;
}

static struct tls_bio_chunk *add_chunk(struct tls_bio *buffers)
{
	struct tls_bio_chunk *chunk = buffers->spare;

	buffers->spare = NULL;
	if (!chunk)
		chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return NULL;
	chunk->next = NULL;
	chunk->head = chunk->tail = 0;
	if (buffers->output_last)
		buffers->output_last->next = chunk;
	else
		buffers->output_first = chunk;
	buffers->output_last = chunk;
	return chunk;
}

/* Takes all or nothing of a record, so that OpenSSL never has to try again. */
static int bio_write(BIO *bio, const char *data, int size)
{
	struct tls_bio *buffers = BIO_get_data(bio);
	size_t left = size > 0 ? (size_t)size : 0;

	BIO_clear_retry_flags(bio);
	if (left > TLS_BIO_OUTPUT_LIMIT - buffers->output_size) {
		buffers->output_over = true;
		return -1;
	}
	while (left > 0) {
		struct tls_bio_chunk *chunk = buffers->output_last;
		if (!chunk || chunk->tail == sizeof(chunk->data))
			chunk = add_chunk(buffers);
		if (!chunk)
			return -1;
		size_t n = sizeof(chunk->data) - chunk->tail;
		if (n > left)
			n = left;
		memcpy(chunk->data + chunk->tail, data, n);
		chunk->tail += n;
		buffers->output_size += n;
		data += n;
		left -= n;
	}
	return size;
}

static long bio_ctrl(BIO *bio, int command, long argument, void *pointer)
{
	const struct tls_bio *buffers = BIO_get_data(bio);

	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return buffers->input_ended && buffers->input_head == buffers->input_tail;
	case BIO_CTRL_PENDING:
		return (long)(buffers->input_tail - buffers->input_head);
	case BIO_CTRL_WPENDING:
		return (long)buffers->output_size;
	default:
		return 0;
	}
}

BIO_METHOD *tls_bio_method_new(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "loopsy buffers");

	if (method && (BIO_meth_set_read(method, bio_read) != 1 ||
		       BIO_meth_set_write(method, bio_write) != 1 ||
		       BIO_meth_set_ctrl(method, bio_ctrl) != 1)) {
		BIO_meth_free(method);
		return NULL;
	}
	return method;
}

BIO *tls_bio_attach(const BIO_METHOD *method, struct tls_bio *buffers)
{
	BIO *bio = BIO_new(method);

	if (bio) {
		BIO_set_data(bio, buffers);
		BIO_set_init(bio, 1);
	}
	return bio;
}

void tls_bio_deinit(struct tls_bio *buffers)
{
	tls_bio_output_consume(buffers, buffers->output_size);
	free(buffers->spare);
	free(buffers->input);
}

int tls_bio_input_space(struct tls_bio *buffers, size_t size, void **ret_data, size_t *ret_size)
{
	if (buffers->input_head > 0) {
		buffers->input_tail -= buffers->input_head;
		if (buffers->input_tail > 0)
			memmove(buffers->input, buffers->input + buffers->input_head,
				buffers->input_tail);
		buffers->input_head = 0;
	}
	if (size > buffers->input_size) {
		uint8_t *input = realloc(buffers->input, size);
		if (!input)
			return -ENOMEM;
		buffers->input = input;
		buffers->input_size = size;
	}
	*ret_data = buffers->input + buffers->input_tail;
	*ret_size = buffers->input_size - buffers->input_tail;
	return 0;
}

void tls_bio_input_commit(struct tls_bio *buffers, size_t size)
{
	assert(size <= buffers->input_size - buffers->input_tail);
	buffers->input_tail += size;
}

size_t tls_bio_output(const struct tls_bio *buffers, struct iovec *ret_parts, size_t n)
{
	size_t count = 0;

	for (struct tls_bio_chunk *chunk = buffers->output_first; chunk && count < n;
	     chunk = chunk->next)
		if (chunk->tail > chunk->head)
			ret_parts[count++] =
			    (struct iovec){chunk->data + chunk->head, chunk->tail - chunk->head};
	return count;
}

/* The last chunk may be freed or emptied too: nothing of it is waiting any more. */
void tls_bio_output_consume(struct tls_bio *buffers, size_t size)
{
	assert(size <= buffers->output_size);
	buffers->output_size -= size;
	while (buffers->output_first) {
		struct tls_bio_chunk *chunk = buffers->output_first;
		size_t there = chunk->tail - chunk->head;
		if (there > size) {
			chunk->head += size;
			return;
		}
		size -= there;
		buffers->output_first = chunk->next;
		if (!chunk->next)
			buffers->output_last = NULL;
		if (buffers->spare)
			free(chunk);
		else
			buffers->spare = chunk;
	}
}
