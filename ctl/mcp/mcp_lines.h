/*
 * Lines of a stream, bounded: one that is longer than a limit is told of once and not kept.
 */
#ifndef CTL_MCP_LINES_H
#define CTL_MCP_LINES_H

#include <stdbool.h>

#include "proto/codec.h"

#define MCP_LINE_MAX (4 * 1024 * 1024) /* bytes */

struct mcp_lines {
	struct buffer input;
	size_t n_taken;   /* bytes of input that were given out */
	size_t n_scanned; /* behind those: bytes in which there is no end of line */
	bool skips;       /* the rest of a line that is too long */
};

enum mcp_line {
	MCP_LINE_NONE, /* more bytes are wanted */
	MCP_LINE_WHOLE,
	MCP_LINE_TOO_LONG,
};

void mcp_lines_deinit(struct mcp_lines *lines);

/* Takes in bytes; mcp_lines_next must have said MCP_LINE_NONE before. Returns 0 or -ENOMEM. */
int mcp_lines_add(struct mcp_lines *lines, struct bytes bytes);
/* The next line without its end ("\n" or "\r\n"), valid until the next mcp_lines_add. */
enum mcp_line mcp_lines_next(struct mcp_lines *lines, struct bytes *ret_line);

#endif
