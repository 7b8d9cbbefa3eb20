#include "ctl/mcp/excerpt.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/mcp/mcp_text.h"

#define MARK_MAX  512 /* bytes of the line between head and tail */
#define WHERE_MAX 400 /* bytes of a path in it */

int excerpt_init(struct excerpt *excerpt, size_t max)
{
	*excerpt = (struct excerpt){.max = max};
	excerpt->digest = EVP_MD_CTX_new();
	if (!excerpt->digest || EVP_DigestInit_ex(excerpt->digest, EVP_sha256(), NULL) != 1) {
		excerpt_deinit(excerpt);
		return -ENOMEM;
	}
	return 0;
}

void excerpt_deinit(struct excerpt *excerpt)
{
	buffer_deinit(&excerpt->head);
	free(excerpt->ring);
	EVP_MD_CTX_free(excerpt->digest);
	*excerpt = (struct excerpt){0};
}

/* Into the ring, where the byte at offset n behind the head is at n % max. */
static int add_to_ring(struct excerpt *excerpt, struct bytes data)
{
	uint64_t at = excerpt->size - excerpt->head.size;

	if (!excerpt->ring)
		excerpt->ring = malloc(excerpt->max);
	if (!excerpt->ring)
		return -ENOMEM;
	if (data.size > excerpt->max) {
		at += data.size - excerpt->max;
		data.data += data.size - excerpt->max;
		data.size = excerpt->max;
	}
	while (data.size > 0) {
		size_t start = (size_t)(at % excerpt->max), n = excerpt->max - start;

		if (n > data.size)
			n = data.size;
		memcpy(excerpt->ring + start, data.data, n);
		at += n;
		data.data += n;
		data.size -= n;
	}
	return 0;
}

int excerpt_add(struct excerpt *excerpt, struct bytes data)
{
	size_t n = excerpt->max - excerpt->head.size;
	int r;

	if (data.size == 0)
		return 0;
	if (EVP_DigestUpdate(excerpt->digest, data.data, data.size) != 1)
		return -ENOMEM;
	if (n > data.size)
		n = data.size;
	r = buffer_append(&excerpt->head, data.data, n);
	if (r < 0)
		return r;
	excerpt->size += n;
	data.data += n;
	data.size -= n;
	if (data.size > 0) {
		r = add_to_ring(excerpt, data);
		if (r < 0)
			return r;
		excerpt->size += data.size;
	}
	return 0;
}

int excerpt_sha256(struct excerpt *excerpt, char text[EXCERPT_SHA256_MAX])
{
	unsigned char hash[32];

	if (EVP_DigestFinal_ex(excerpt->digest, hash, NULL) != 1)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

/* --- as text ---------------------------------------------------------------------------------- */

/* What is kept, in one piece; *ret_gap is where bytes are missing in it, or its size. */
static uint8_t *collect(const struct excerpt *excerpt, size_t *ret_size, size_t *ret_gap)
{
	uint64_t behind = excerpt->size - excerpt->head.size;
	size_t n_tail = behind > excerpt->max ? excerpt->max : (size_t)behind;
	size_t size = excerpt->head.size + n_tail;
	uint8_t *all = malloc(size + 1);

	if (!all)
		return NULL;
	if (excerpt->head.size > 0)
		memcpy(all, excerpt->head.data, excerpt->head.size);
	for (size_t i = 0; i < n_tail; i++)
		all[excerpt->head.size + i] = excerpt->ring[(behind - n_tail + i) % excerpt->max];
	*ret_size = size;
	*ret_gap = n_tail < behind ? excerpt->head.size : size;
	return all;
}

bool excerpt_is_binary(const struct excerpt *excerpt)
{
	size_t size, gap, n_odd;
	uint8_t *all = collect(excerpt, &size, &gap);
	bool binary;

	if (!all)
		return false;
	n_odd = mcp_text_count_odd(all, size);
	binary = n_odd > size / 16 || memchr(all, '\0', size);
	free(all);
	return binary;
}

static size_t json_size(const char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += mcp_text_json_width((uint8_t)text[i]);
	return n;
}

static bool is_inside(char c)
{
	return ((uint8_t)c & 0xc0) == 0x80;
}

/* How much of the start fits into `max` bytes of JSON: up to the end of a line where there is one
 * not far before, else of a character. */
static size_t fit_head(const char *text, size_t size, size_t max)
{
	size_t n = 0, width = 0, line;

	while (n < size && width + mcp_text_json_width((uint8_t)text[n]) <= max)
		width += mcp_text_json_width((uint8_t)text[n++]);
	for (line = n; n < size && line > 0 && n - line < max / 4; line--)
		if (text[line - 1] == '\n')
			return line;
	while (n > 0 && n < size && is_inside(text[n]))
		n--;
	return n;
}

/* The same from the end. */
static size_t fit_tail(const char *text, size_t size, size_t max)
{
	size_t n = 0, width = 0, line;

	while (n < size && width + mcp_text_json_width((uint8_t)text[size - n - 1]) <= max)
		width += mcp_text_json_width((uint8_t)text[size - ++n]);
	for (line = n; n < size && line > 0 && n - line < max / 4; line--)
		if (text[size - line - 1] == '\n')
			return line;
	while (n > 0 && is_inside(text[size - n]))
		n--;
	return n;
}

/* Of texts that are clean; `n_between` bytes of the output are between them. */
static char *join(const struct excerpt *excerpt, const char *head, const char *tail, size_t max,
		  const char *where)
{
	size_t n_head = strlen(head), n_tail = strlen(tail), n_mark = 0;
	char mark[MARK_MAX], *text;
	uint64_t left;

	if (where && strlen(where) > WHERE_MAX)
		where = NULL;
	max = max > MARK_MAX ? max - MARK_MAX : 0;
	n_head = excerpt->skipped > 0 ? 0 : fit_head(head, n_head, max / 3);
	n_tail = fit_tail(tail, n_tail, excerpt->skipped > 0 ? max : max - max / 3);
	/* Replaced bytes make this too small by a few. */
	left = excerpt->size > n_head + n_tail ? excerpt->size - n_head - n_tail : 0;
	left += excerpt->skipped;
	n_mark = (size_t)snprintf(mark, sizeof(mark), "%s[… %llu bytes left out%s%s …]\n",
				  n_head > 0 && head[n_head - 1] != '\n' ? "\n" : "",
				  (unsigned long long)left, where ? "; all of it is in " : "",
				  where ? where : "");
	text = malloc(n_head + n_mark + n_tail + 1);
	if (!text)
		return NULL;
	memcpy(text, head, n_head);
	memcpy(text + n_head, mark, n_mark);
	memcpy(text + n_head + n_mark, tail + strlen(tail) - n_tail, n_tail + 1);
	return text;
}

char *excerpt_text(const struct excerpt *excerpt, size_t max, const char *where,
		   bool *ret_truncated)
{
	size_t size = 0, gap = 0;
	uint8_t *all = collect(excerpt, &size, &gap);
	char *head = all ? mcp_text_clean(all, gap) : NULL, *tail = NULL, *text = NULL;

	*ret_truncated = false;
	if (head && gap == size && excerpt->skipped == 0 && json_size(head, strlen(head)) <= max) {
		free(all);
		return head;
	}
	*ret_truncated = true;
	/* Without a gap, both ends are of the same text. */
	tail = all ? mcp_text_clean(all + (gap == size ? 0 : gap), gap == size ? size : size - gap)
		   : NULL;
	if (head && tail)
		text = join(excerpt, head, tail, max, where);
	free(all);
	free(head);
	free(tail);
	return text;
}
