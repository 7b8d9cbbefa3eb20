/*
 * What a program writes to its terminal, in pieces, with new sizes in between. Nothing may go
 * wrong, and a terminal that is given the redraw must be the same, and stay so.
 *
 * Input: rows, cols, then pieces: a byte that says what follows, and what follows.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/jobs/screen_compare.h"

static void must_be_same(const struct screen *a, const struct screen *b, const char *when)
{
	char text[200];

	if (screen_compare(a, b, text, sizeof(text)) < 0) {
		fprintf(stderr, "%s: %s\n", when, text);
		abort();
	}
}

/* The first bytes print, so that nothing of what was written last is left to go on with. */
static void check_redraw(struct screen *screen, const uint8_t *data, size_t size)
{
	struct buffer text = {0};
	struct screen *other;
	bool fits;

	/* A character or a sequence that has only begun is not of the screen yet. */
	screen_write(screen, "\030", 1);
	other = screen_compare_redrawn(screen);
	fits = screen_compare_history_fits(screen);

	if (!other)
		abort();
	must_be_same(screen, other, "redrawn");
	screen_write(screen, "\030 .", 3);
	screen_write(other, "\030 .", 3);
	screen_write(screen, data, size);
	screen_write(other, data, size);
	must_be_same(screen, other, "after more");
	/* Lines above that were wider than the screen are more lines in the other one. */
	if (fits) {
		screen_resize(screen, 11, 37);
		screen_resize(other, 11, 37);
		must_be_same(screen, other, "after another size");
	}
	if (screen_text(screen, 100, &text) < 0)
		abort();
	buffer_deinit(&text);
	screen_free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct screen *screen;
	size_t n_more = size / 4;

	if (size < 2 || screen_new(data[0] % 40, data[1] % 100, &screen) < 0)
		return 0;
	data += 2;
	size -= 2;
	while (size > n_more) {
		size_t n = *data + 1;

		data++;
		size--;
		if (n > size)
			n = size;
		if (n % 16 == 7 && size >= 2) {
			screen_resize(screen, data[0] % 60, data[1] % 120);
			n = 2;
		} else {
			screen_write(screen, data, n);
		}
		data += n;
		size -= n;
	}
	screen_take_answers(screen, NULL);
	check_redraw(screen, data, size);
	screen_free(screen);
	return 0;
}
