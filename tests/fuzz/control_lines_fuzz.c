/* Lines of control files: however they come in pieces, they are the same; and what is read from
 * them prints as something that reads back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_lines.h"
#include "tests/fuzz/fuzz.h"

static void expect(int truth)
{
	if (!truth)
		abort();
}

static void try_variable(struct bytes line)
{
	struct buffer variable = {0}, text = {0}, again = {0};

	if (control_lines_read_variable(line, &variable) == 0) {
		struct bytes read = {variable.data, variable.size};

		expect(control_lines_print_variable(read, &text) == 0);
		expect(text.size > 0 && text.data[text.size - 1] == '\n');
		expect(!memchr(text.data, '\n', text.size - 1));
		expect(control_lines_read_variable((struct bytes){text.data, text.size - 1},
						   &again) == 0);
		expect(again.size == variable.size &&
		       memcmp(again.data, variable.data, again.size) == 0);
	} else {
		expect(variable.size == 0);
	}
	buffer_deinit(&variable);
	buffer_deinit(&text);
	buffer_deinit(&again);
}

static void try_line(struct bytes line)
{
	struct control_order order;
	unsigned rows, cols;
	struct buffer text = {0};

	expect(line.size <= CONTROL_LINES_MAX &&
	       !(line.size && memchr(line.data, '\n', line.size)));
	try_variable(line);
	if (control_lines_read_size(line, &rows, &cols) == 0)
		expect(rows >= 1 && rows <= 10000 && cols >= 1 && cols <= 10000);
	if (control_lines_read_order(line, &order) == 0 && order.kind == CONTROL_SIGNAL)
		expect(order.signal >= 1 && order.signal <= 64);
	expect(control_lines_print(line, &text) == 0 && text.size == line.size);
	buffer_deinit(&text);
}

/* Takes out all there is; what it was, and how it ended, goes to `all`. */
static int drain(struct control_lines *lines, bool is_last, struct buffer *all)
{
	struct bytes line;
	int n;

	while ((n = is_last ? control_lines_last(lines, &line) : control_lines_next(lines, &line)) >
	       0) {
		if (all->size < 1 << 20) {
			buffer_append(all, line.data, line.size);
			buffer_append(all, "\n", 1);
		}
		try_line(line);
	}
	return n;
}

static int feed(struct bytes data, size_t step, struct buffer *all)
{
	struct control_lines lines = {0};
	int error = 0;

	for (size_t at = 0; at < data.size && !error; at += step) {
		size_t n = data.size - at < step ? data.size - at : step;

		error = control_lines_add(&lines, (struct bytes){data.data + at, n});
		if (!error)
			error = drain(&lines, false, all);
	}
	if (!error)
		error = drain(&lines, true, all);
	if (error)
		expect(control_lines_add(&lines, data) == error);
	control_lines_deinit(&lines);
	return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = {0}, pieces = {0};
	struct bytes bytes = {data, size};
	int error = feed(bytes, size ? size : 1, &whole);

	expect(feed(bytes, 1 + (size ? data[0] : 0), &pieces) == error);
	expect(whole.size == pieces.size);
	expect(!whole.size || memcmp(whole.data, pieces.data, whole.size) == 0);
	buffer_deinit(&whole);
	buffer_deinit(&pieces);
	return 0;
}
