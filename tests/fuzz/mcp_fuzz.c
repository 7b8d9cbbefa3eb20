/* Lines of a client of loopsyctl mcp: however they come in pieces, they are the same, and each is a
 * message or an error; arguments are checked by the tables of all tools, and every text can be
 * said. */
#include <stdlib.h>
#include <string.h>

#include "ctl/mcp/excerpt.h"
#include "ctl/mcp/mcp_lines.h"
#include "ctl/mcp/mcp_method.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/rpc.h"
#include "ctl/mcp/terminal_keys.h"
#include "ctl/mcp/tool.h"
#include "tests/fuzz/fuzz.h"

static void expect(int truth)
{
	if (!truth)
		abort();
}

/* What is sent must be JSON that fits a line. */
static void try_reply(json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);
	json_t *again;

	expect(text != NULL && !strchr(text, '\n'));
	again = json_loads(text, JSON_ALLOW_NUL, NULL);
	expect(again != NULL);
	json_decref(again);
	json_decref(reply);
	free(text);
}

static void try_arguments(const json_t *arguments)
{
	char error[SCHEMA_ERROR_MAX];

	for (size_t i = 0; i < tool_table_n; i++) {
		if (schema_check(tool_table[i]->input, arguments, error) == 0)
			continue;
		expect(strlen(error) > 0 && strlen(error) < SCHEMA_ERROR_MAX);
		try_reply(rpc_error(NULL, RPC_INVALID_PARAMS, error, NULL));
	}
}

static void try_message(json_t *value)
{
	struct rpc_message message;
	enum mcp_version version;
	const char *text;
	json_t *data;
	int code;

	rpc_read(value, &message);
	if (message.kind == RPC_INVALID) {
		try_reply(rpc_error(message.id, RPC_INVALID_REQUEST, message.error, NULL));
		return;
	}
	if (message.kind != RPC_REQUEST)
		return;
	mcp_method_find(message.method);
	mcp_version_name(mcp_version_agree(message.params));
	code = mcp_version_of_request(message.params, MCP_LAST_SESSION, &version, &text, &data);
	if (code)
		try_reply(rpc_error(message.id, code, text, data));
	try_arguments(json_object_get(message.params, "arguments"));
	try_reply(rpc_result(message.id, json_object()));
}

static void try_line(struct bytes line)
{
	char error[JSON_ERROR_TEXT_LENGTH];
	json_t *value = rpc_parse(line, error);

	if (!value) {
		try_reply(rpc_error(NULL, RPC_PARSE_ERROR, error, NULL));
		return;
	}
	if (json_is_array(value))
		for (size_t i = 0; i < json_array_size(value); i++)
			try_message(json_array_get(value, i));
	else
		try_message(value);
	json_decref(value);
}

static void feed(struct bytes data, size_t step, struct buffer *all)
{
	struct mcp_lines lines = {0};

	for (size_t at = 0; at < data.size; at += step) {
		size_t n = data.size - at < step ? data.size - at : step;
		enum mcp_line found;
		struct bytes line;

		expect(mcp_lines_add(&lines, (struct bytes){data.data + at, n}) == 0);
		while ((found = mcp_lines_next(&lines, &line)) != MCP_LINE_NONE) {
			expect(found == MCP_LINE_WHOLE); /* inputs are shorter */
			buffer_append(all, line.data, line.size);
			buffer_append(all, "\n", 1);
			if (step == data.size && line.size > 0)
				try_line(line);
		}
	}
	mcp_lines_deinit(&lines);
}

/* The same bytes as what a peer printed. */
static void try_output(struct bytes data, size_t max)
{
	struct excerpt excerpt;
	struct buffer keys = {0};
	bool truncated;
	json_t *string;
	char *text;
	size_t n;

	expect(excerpt_init(&excerpt, max) == 0);
	expect(excerpt_add(&excerpt, data) == 0);
	expect(excerpt_add(&excerpt, data) == 0);
	excerpt_is_binary(&excerpt);
	text = excerpt_text(&excerpt, max, "/where", &truncated);
	string = json_string(text);
	expect(string != NULL);
	json_decref(string);
	terminal_keys_add(text, data.size % 2, &keys);
	terminal_keys_add_text(text, &keys);
	buffer_deinit(&keys);
	free(text);
	excerpt_deinit(&excerpt);
	n = mcp_text_fit(data.data, data.size, max, true);
	expect(n <= data.size);
	string = mcp_text(data.data, n);
	expect(string != NULL);
	try_reply(rpc_result(string, json_object()));
	json_decref(string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = {0}, pieces = {0};
	struct bytes bytes = {data, size};

	if (size == 0 || size > MCP_LINE_MAX)
		return 0;
	feed(bytes, size, &whole);
	feed(bytes, size == 1 ? 1 : 1 + data[0] % (size - 1), &pieces);
	expect(whole.size == pieces.size);
	expect(!whole.size || memcmp(whole.data, pieces.data, whole.size) == 0);
	try_output(bytes, 600 + data[0]);
	buffer_deinit(&whole);
	buffer_deinit(&pieces);
	return 0;
}
