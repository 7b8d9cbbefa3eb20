#include "ctl/mcp/mcp_lines.h"

#include <string.h>

#define KEPT_MAX (64 * 1024) /* of memory, once a long line is done with */

void mcp_lines_deinit(struct mcp_lines *lines)
{
	buffer_deinit(&lines->input);
}

/* What was given out goes, and memory that a long line took. */
static void drop_taken(struct mcp_lines *lines)
{
	struct buffer *input = &lines->input;

	if (lines->n_taken == input->size) {
		input->size = 0;
		if (input->capacity > KEPT_MAX)
			buffer_deinit(input);
	} else if (lines->n_taken > 0) {
		input->size -= lines->n_taken;
		memmove(input->data, input->data + lines->n_taken, input->size);
	}
	lines->n_taken = 0;
}

int mcp_lines_add(struct mcp_lines *lines, struct bytes bytes)
{
	drop_taken(lines);
	return bytes.size == 0 ? 0 : buffer_append(&lines->input, bytes.data, bytes.size);
}

/* Bytes that were not given out. */
static struct bytes rest(const struct mcp_lines *lines)
{
	return (struct bytes){lines->input.data ? lines->input.data + lines->n_taken : NULL,
			      lines->input.size - lines->n_taken};
}

enum mcp_line mcp_lines_next(struct mcp_lines *lines, struct bytes *ret_line)
{
	for (;;) {
		struct bytes bytes = rest(lines);
		const uint8_t *end = NULL;
		bool skipped = lines->skips;

		if (bytes.size > lines->n_scanned)
			end = memchr(bytes.data + lines->n_scanned, '\n',
				     bytes.size - lines->n_scanned);
		if (!end && (skipped || bytes.size > MCP_LINE_MAX)) {
			lines->n_taken = lines->input.size;
			lines->n_scanned = 0;
			lines->skips = true;
			return skipped ? MCP_LINE_NONE : MCP_LINE_TOO_LONG;
		}
		if (!end) {
			lines->n_scanned = bytes.size;
			return MCP_LINE_NONE;
		}
		bytes.size = (size_t)(end - bytes.data);
		lines->n_taken += bytes.size + 1;
		lines->n_scanned = 0;
		lines->skips = false;
		if (skipped)
			continue;
		if (bytes.size > MCP_LINE_MAX)
			return MCP_LINE_TOO_LONG;
		if (bytes.size > 0 && bytes.data[bytes.size - 1] == '\r')
			bytes.size--;
		*ret_line = bytes;
		return MCP_LINE_WHOLE;
	}
}
