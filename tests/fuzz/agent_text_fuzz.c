/* Configurations of agents: what is accepted has the server then and everything else as before, and
 * removing gives back what was there, to the byte. The first byte says whose configuration it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/agents.h"
#include "ctl/json_layout.h"
#include "tests/fuzz/fuzz.h"

static struct bytes bytes_of(const struct buffer *buffer)
{
	return (struct bytes){buffer->data, buffer->size};
}

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* The value of a JSON file without the server, and without what it is in if nothing else is. */
static json_t *rest_of(const struct agent *agent, struct bytes bytes)
{
	struct json_layout text;
	struct edit_error error;
	json_t *value, *servers;

	check(json_layout_read(bytes, &text, &error) == 0);
	value = text.root == text.size ? json_object()
				       : json_loadb(text.plain, text.size, JSON_LAYOUT_FLAGS, NULL);
	json_layout_deinit(&text);
	check(value != NULL);
	servers = json_object_get(value, agent->servers);
	json_object_del(servers, AGENT_SERVER);
	if (servers && json_object_size(servers) == 0)
		json_object_del(value, agent->servers);
	return value;
}

static void check_rest(const struct agent *agent, struct bytes before, struct bytes after)
{
	json_t *a = rest_of(agent, before), *b = rest_of(agent, after);

	check(json_equal(a, b));
	json_decref(a);
	json_decref(b);
}

static void check_server(const struct agent *agent, struct bytes text, const char *command,
			 json_t *args)
{
	struct agent_server server = {0};
	struct edit_error error;

	check(agent_text_get(agent, text, &server, &error) == 0);
	check(server.is_there && strcmp(server.command, command) == 0 &&
	      json_equal(server.args, args));
	check(!server.is_disabled && !server.has_key);
	agent_server_deinit(&server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct agent *agent = &agent_table[size > 0 ? data[0] % agent_table_n : 0];
	struct bytes before = {size > 0 ? data + 1 : data, size > 0 ? size - 1 : 0};
	json_t *args = json_pack("[s, s, s]", "mcp", "--key-file", "/a b/\"c\".key"), *undo = NULL,
	       *ignored;
	struct buffer after = {0}, again = {0}, back = {0};
	struct edit_error error = {0};
	struct agent_server server = {0};
	int r = agent_text_set(agent, before, "/usr/bin/loopsyctl", args, &after, &undo, &error);

	if (r < 0) {
		check(r == -EILSEQ || (r == -EINVAL && error.line > 0 && error.text[0]));
		goto out;
	}
	check_server(agent, bytes_of(&after), "/usr/bin/loopsyctl", args);
	if (agent->servers)
		check_rest(agent, before, bytes_of(&after));
	check(agent_text_remove(agent, bytes_of(&after), undo, &back, &error) == 0);
	check(back.size == before.size &&
	      (back.size == 0 || memcmp(back.data, before.data, back.size) == 0));
	/* The same once more changes nothing. */
	check(agent_text_set(agent, bytes_of(&after), "/usr/bin/loopsyctl", args, &again, &ignored,
			     &error) == 0);
	check(again.size == after.size && memcmp(again.data, after.data, after.size) == 0);
	json_decref(ignored);
	/* Without what is remembered it is gone all the same. */
	back.size = 0;
	r = agent_text_remove(agent, bytes_of(&after), NULL, &back, &error);
	if (r == 0) {
		check(agent_text_get(agent, bytes_of(&back), &server, &error) == 0 &&
		      !server.is_there);
		agent_server_deinit(&server);
	} else {
		check(r == -EINVAL && !agent->servers);
	}
out:
	json_decref(undo);
	json_decref(args);
	buffer_deinit(&after);
	buffer_deinit(&again);
	buffer_deinit(&back);
	return 0;
}
