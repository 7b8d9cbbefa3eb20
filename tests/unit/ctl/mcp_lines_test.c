#include "ctl/mcp/mcp_lines.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void add(struct mcp_lines *lines, const char *text)
{
	cr_assert_eq(mcp_lines_add(lines, (struct bytes){(const uint8_t *)text, strlen(text)}), 0);
}

static void expect(struct mcp_lines *lines, const char *text)
{
	struct bytes line;

	cr_assert_eq(mcp_lines_next(lines, &line), MCP_LINE_WHOLE, "no line: '%s'", text);
	cr_assert_eq(line.size, strlen(text));
	cr_assert(line.size == 0 || memcmp(line.data, text, line.size) == 0);
}

static void expect_none(struct mcp_lines *lines)
{
	struct bytes line;

	cr_assert_eq(mcp_lines_next(lines, &line), MCP_LINE_NONE);
}

Test(mcp_lines, come_out_one_by_one_without_their_ends)
{
	struct mcp_lines lines = {0};

	add(&lines, "one\ntwo\r\n\nthr");
	expect(&lines, "one");
	expect(&lines, "two");
	expect(&lines, "");
	expect_none(&lines);
	add(&lines, "ee");
	expect_none(&lines);
	add(&lines, "\nfour\n");
	expect(&lines, "three");
	expect(&lines, "four");
	expect_none(&lines);
	mcp_lines_deinit(&lines);
}

Test(mcp_lines, of_one_byte_at_a_time_are_the_same)
{
	static const char text[] = "a\nbc\r\n\n";
	struct mcp_lines lines = {0};
	char all[32] = "";
	struct bytes line;

	for (const char *at = text; *at; at++) {
		add(&lines, (char[]){*at, '\0'});
		while (mcp_lines_next(&lines, &line) == MCP_LINE_WHOLE) {
			strncat(all, (const char *)line.data, line.size);
			strcat(all, "|");
		}
	}
	cr_assert_str_eq(all, "a|bc||");
	mcp_lines_deinit(&lines);
}

/* Adds `n` bytes in pieces, and counts how often a line is said to be too long. */
static unsigned add_many(struct mcp_lines *lines, size_t n)
{
	static uint8_t piece[64 * 1024];
	struct bytes line;
	unsigned n_told = 0;

	memset(piece, 'x', sizeof(piece));
	for (size_t done = 0; done < n; done += sizeof(piece)) {
		enum mcp_line found;

		cr_assert_eq(mcp_lines_add(lines, (struct bytes){piece, sizeof(piece)}), 0);
		while ((found = mcp_lines_next(lines, &line)) != MCP_LINE_NONE) {
			cr_assert_eq(found, MCP_LINE_TOO_LONG);
			n_told++;
		}
	}
	return n_told;
}

Test(mcp_lines, that_are_too_long_are_told_of_once_and_not_kept)
{
	struct mcp_lines lines = {0};

	cr_assert_eq(add_many(&lines, 4 * MCP_LINE_MAX), 1);
	cr_assert(lines.input.capacity <= 4 * MCP_LINE_MAX);
	add(&lines, "the end of it\nnext\n");
	expect(&lines, "next");
	expect_none(&lines);
	add(&lines, "and\n");
	cr_assert(lines.input.capacity < MCP_LINE_MAX);
	expect(&lines, "and");
	mcp_lines_deinit(&lines);
}

Test(mcp_lines, may_be_as_long_as_the_limit)
{
	struct mcp_lines lines = {0};
	struct bytes line;

	cr_assert_eq(add_many(&lines, MCP_LINE_MAX), 0);
	add(&lines, "\n");
	cr_assert_eq(mcp_lines_next(&lines, &line), MCP_LINE_WHOLE);
	cr_assert_eq(line.size, MCP_LINE_MAX);
	cr_assert_eq(add_many(&lines, MCP_LINE_MAX), 0);
	add(&lines, "x\nok\n");
	cr_assert_eq(mcp_lines_next(&lines, &line), MCP_LINE_TOO_LONG);
	expect(&lines, "ok");
	mcp_lines_deinit(&lines);
}
