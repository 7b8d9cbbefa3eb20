/*
 * Before the path may stand what the programs put there: colours, "Binary file ", and in messages
 * the program's name and a quotation mark. It ends with one of "/:-=" or what ends a word; else it
 * is another name that only begins so.
 */
#include "ctl/path_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int path_filter_add(struct path_filter *filter, const char *there, const char *here)
{
	struct path_filter_pair *pair = &filter->pairs[filter->n_pairs];

	if (filter->n_pairs == PATH_FILTER_MAX)
		return -E2BIG;
	pair->there = strdup(there);
	pair->here = strdup(here);
	if (!pair->there || !pair->here) {
		free(pair->there);
		free(pair->here);
		return -ENOMEM;
	}
	filter->n_pairs++;
	return 0;
}

void path_filter_deinit(struct path_filter *filter)
{
	for (unsigned i = 0; i < filter->n_pairs; i++) {
		free(filter->pairs[i].there);
		free(filter->pairs[i].here);
	}
	buffer_deinit(&filter->held);
	*filter = (struct path_filter){0};
}

/* What is skipped at `text`: bytes, 0 for nothing, -1 when more must be seen. */
static ssize_t skip_escape(const char *text, size_t size)
{
	size_t n = 2;

	if (size == 0 || text[0] != '\033')
		return 0;
	if (size < 2)
		return -1;
	if (text[1] != '[')
		return 0;
	while (n < size && (text[n] == ';' || (text[n] >= '0' && text[n] <= '9')))
		n++;
	return n == size ? -1 : (ssize_t)n + 1;
}

static ssize_t skip_text(const char *text, size_t size, const char *skipped)
{
	size_t n = strlen(skipped), seen = size < n ? size : n;

	if (memcmp(text, skipped, seen) != 0)
		return 0;
	return size < n ? -1 : (ssize_t)n;
}

static ssize_t skip_one(const char *text, size_t size)
{
	static const char *const words[] = {
	    "Binary file ", "grep: ", "find: ", "rg: ", "\xe2\x80\x98", "'",
	};
	ssize_t n = skip_escape(text, size);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && n == 0; i++)
		n = skip_text(text, size, words[i]);
	return n;
}

static bool ends_path(char c)
{
	return c == '\0' || strchr("/:-=\n\033' ", c) || (unsigned char)c == 0xe2;
}

/* The pair whose path stands at `text`; the longest. 1, 0 for none, -1 when more must be seen. */
static int find_pair(const struct path_filter *filter, const char *text, size_t size, bool is_all,
		     const struct path_filter_pair **ret_pair)
{
	size_t longest = 0;
	bool undecided = false;

	for (unsigned i = 0; i < filter->n_pairs; i++) {
		const struct path_filter_pair *pair = &filter->pairs[i];
		size_t n = strlen(pair->there);

		if (size <= n && !is_all) {
			undecided |= memcmp(text, pair->there, size) == 0;
			continue;
		}
		if (n <= longest || size < n || memcmp(text, pair->there, n) != 0 ||
		    (size > n && !ends_path(text[n])))
			continue;
		longest = n;
		*ret_pair = pair;
	}
	return undecided ? -1 : longest > 0;
}

/* The start of a record: appends it with its path replaced. Returns how many bytes it was, 0 when
 * more must be seen, or -errno. `is_all`: nothing follows. */
static ssize_t take_start(const struct path_filter *filter, const char *text, size_t size,
			  bool is_all, struct buffer *out)
{
	const struct path_filter_pair *pair = NULL;
	size_t at = 0;
	ssize_t n;
	int found, r;

	while ((n = skip_one(text + at, size - at)) > 0)
		at += (size_t)n;
	if (n < 0 && !is_all)
		return 0;
	found = find_pair(filter, text + at, size - at, is_all, &pair);
	if (found < 0)
		return 0;
	r = buffer_append(out, text, at);
	if (r == 0 && found) {
		r = buffer_append(out, pair->here, strlen(pair->here));
		at += strlen(pair->there);
	} else if (r == 0 && at < size) {
		r = buffer_append(out, text + at, 1);
		at++;
	}
	return r < 0 ? r : (ssize_t)at;
}

static size_t record_size(const char *text, size_t size)
{
	const char *line = memchr(text, '\n', size), *nul = memchr(text, '\0', size);
	const char *end = !line || (nul && nul < line) ? nul : line;

	return end ? (size_t)(end - text) + 1 : size;
}

static int take_all(struct path_filter *filter, const char *text, size_t size, bool is_all,
		    struct buffer *out, size_t *ret_done)
{
	size_t done = 0;
	int r = 0;

	while (done < size && r == 0) {
		size_t n;

		if (!filter->within) {
			ssize_t start = take_start(filter, text + done, size - done, is_all, out);

			if (start <= 0) {
				r = (int)start;
				break;
			}
			done += (size_t)start;
			/* An empty record is its end. */
			filter->within = text[done - 1] != '\n' && text[done - 1] != '\0';
			continue;
		}
		n = record_size(text + done, size - done);
		r = buffer_append(out, text + done, n);
		done += n;
		filter->within = text[done - 1] != '\n' && text[done - 1] != '\0';
	}
	*ret_done = done;
	return r;
}

int path_filter_take(struct path_filter *filter, struct bytes data, struct buffer *out)
{
	size_t done;
	int r = buffer_append(&filter->held, data.data, data.size);

	if (r < 0)
		return r;
	r = take_all(filter, (const char *)filter->held.data, filter->held.size, false, out, &done);
	filter->held.size -= done;
	if (filter->held.size > 0)
		memmove(filter->held.data, filter->held.data + done, filter->held.size);
	return r;
}

int path_filter_finish(struct path_filter *filter, struct buffer *out)
{
	size_t done;
	int r =
	    take_all(filter, (const char *)filter->held.data, filter->held.size, true, out, &done);

	filter->held.size = 0;
	return r;
}
