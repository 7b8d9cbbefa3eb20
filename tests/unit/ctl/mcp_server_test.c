/* The server between two pipes. Its loopsyd takes connections and says nothing, so calls wait. */
#include "ctl/mcp/mcp_server.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/mcp/tool.h"

#define MODERN                                                                                     \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                   \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}"

struct world {
	char path[64], socket[80];
	int listener; /* -1: there is no loopsyd */
	int in;       /* to the server */
	FILE *out;
	int server_in, server_out;
	pthread_t thread;
	int result;
};

static void *serve(void *arg)
{
	struct world *world = arg;
	struct mcp_config config = {.in = world->server_in,
				    .out = world->server_out,
				    .socket = world->socket,
				    .key = "key"};

	world->result = mcp_server_run(&config);
	close(world->server_out);
	return NULL;
}

static void world_init(struct world *world, bool has_loopsyd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int in[2], out[2];

	*world = (struct world){.path = "/tmp/loopsy-mcp-XXXXXX", .listener = -1};
	cr_assert_not_null(mkdtemp(world->path));
	snprintf(world->socket, sizeof(world->socket), "%s/s", world->path);
	strcpy(address.sun_path, world->socket);
	if (has_loopsyd) {
		world->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_assert_eq(bind(world->listener, (struct sockaddr *)&address, sizeof(address)),
			     0);
		cr_assert_eq(listen(world->listener, 64), 0);
	}
	cr_assert_eq(pipe(in), 0);
	cr_assert_eq(pipe(out), 0);
	world->server_in = in[0];
	world->in = in[1];
	world->out = fdopen(out[0], "r");
	world->server_out = out[1];
	cr_assert_eq(pthread_create(&world->thread, NULL, serve, world), 0);
}

static void say(struct world *world, const char *text)
{
	size_t size = strlen(text);

	cr_assert_eq(write(world->in, text, size), (ssize_t)size);
	cr_assert_eq(write(world->in, "\n", 1), 1);
}

static json_t *hear(struct world *world)
{
	char *line = NULL;
	size_t size = 0;
	json_t *value;

	cr_assert_gt(getline(&line, &size, world->out), 0, "the output has ended");
	value = json_loads(line, 0, NULL);
	cr_assert_not_null(value, "no JSON: %s", line);
	free(line);
	return value;
}

/* The end of the input, of the output, and of the server. */
static void world_deinit(struct world *world)
{
	if (world->in >= 0)
		close(world->in);
	cr_assert_eq(getc(world->out), EOF, "more is said");
	cr_assert_eq(pthread_join(world->thread, NULL), 0);
	cr_assert_eq(world->result, 0);
	fclose(world->out);
	close(world->server_in);
	if (world->listener >= 0)
		close(world->listener);
	unlink(world->socket);
	rmdir(world->path);
}

static void expect_error(struct world *world, int id, int code)
{
	json_t *reply = hear(world), *error = json_object_get(reply, "error");

	if (id)
		cr_assert_eq(json_integer_value(json_object_get(reply, "id")), id);
	else
		cr_assert_null(json_object_get(reply, "id"));
	cr_assert_eq(json_integer_value(json_object_get(error, "code")), code);
	json_decref(reply);
}

static void expect_result(struct world *world, int id)
{
	json_t *reply = hear(world);

	cr_assert_eq(json_integer_value(json_object_get(reply, "id")), id);
	cr_assert_not_null(json_object_get(reply, "result"));
	json_decref(reply);
}

static void call(struct world *world, int id)
{
	char text[400];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":"
		 "{\"name\":\"loopsy_list_peers\"," MODERN "}}",
		 id);
	say(world, text);
}

static void cancel(struct world *world, int id)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
		 "{\"requestId\":%d}}",
		 id);
	say(world, text);
}

static void ping(struct world *world, int id)
{
	char text[100];

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ping\"}", id);
	say(world, text);
	expect_result(world, id);
}

Test(mcp_server, answers_while_calls_wait_and_says_nothing_of_cancelled_ones)
{
	struct world world;

	world_init(&world, true);
	/* More than there are threads. */
	for (int id = 1; id <= 40; id++)
		call(&world, id);
	ping(&world, 100);
	for (int id = 40; id >= 1; id--)
		cancel(&world, id);
	cancel(&world, 1);
	cancel(&world, 4711);
	ping(&world, 101);
	world_deinit(&world);
}

Test(mcp_server, refuses_an_id_that_is_under_way)
{
	struct world world;

	world_init(&world, true);
	call(&world, 1);
	call(&world, 1);
	expect_error(&world, 1, -32600);
	/* The text and the number are two. */
	say(&world, "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"ping\"}");
	json_decref(hear(&world));
	world_deinit(&world);
}

static void expect_refused(struct world *world)
{
	json_t *reply = hear(world), *error = json_object_get(reply, "error");

	cr_assert_gt(json_integer_value(json_object_get(reply, "id")), MCP_POOL_QUEUE_MAX);
	cr_assert_eq(json_integer_value(json_object_get(error, "code")), -32603);
	json_decref(reply);
}

Test(mcp_server, refuses_more_calls_than_it_can_keep)
{
	struct world world;

	world_init(&world, true);
	for (int id = 1; id <= MCP_POOL_WORKERS_MAX + MCP_POOL_QUEUE_MAX; id++)
		call(&world, id);
	/* Threads take theirs from the queue in their own time: so many more in any case. */
	for (int id = 1; id <= MCP_POOL_WORKERS_MAX + 1; id++)
		call(&world, 1000 + id);
	expect_refused(&world);
	close(world.in);
	world.in = -1;
	while (getc(world.out) != EOF)
		;
	world_deinit(&world);
}

Test(mcp_server, answers_a_batch_when_the_last_of_it_is_done)
{
	struct world world;
	json_t *replies;

	world_init(&world, true);
	say(&world, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]");
	expect_error(&world, 0, -32600);
	say(&world, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"initialize\",\"params\":"
		    "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{},\"clientInfo\":"
		    "{\"name\":\"test\",\"version\":\"1\"}}}");
	expect_result(&world, 2);
	say(&world, "[{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\"},"
		    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/other\"},7,"
		    "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"tools/call\",\"params\":"
		    "{\"name\":\"loopsy_list_peers\"}}]");
	ping(&world, 5);
	cancel(&world, 4);
	replies = hear(&world);
	cr_assert_eq(json_array_size(replies), 2);
	json_decref(replies);
	/* Nothing to say is no reply. */
	say(&world, "[{\"jsonrpc\":\"2.0\",\"method\":\"notifications/other\"}]");
	ping(&world, 6);
	world_deinit(&world);
}

/* Something of the right type for each argument that must be there. */
static json_t *some_arguments(const struct schema_field *fields)
{
	json_t *arguments = json_object();

	for (; fields && fields->name; fields++) {
		json_t *value;

		if (!fields->required)
			continue;
		switch (fields->type) {
		case SCHEMA_INTEGER:
		case SCHEMA_NUMBER:
			value = json_integer(fields->min);
			break;
		case SCHEMA_BOOLEAN:
			value = json_false();
			break;
		case SCHEMA_STRINGS:
			value = json_pack("[s]", "x");
			break;
		case SCHEMA_ARRAY:
			value = json_array();
			break;
		case SCHEMA_MAP:
		case SCHEMA_OBJECT:
			value = json_object();
			break;
		default:
			value = json_string(fields->choices ? fields->choices[0] : "x");
		}
		json_object_set_new(arguments, fields->name, value);
	}
	return arguments;
}

Test(mcp_server, has_tools_that_all_say_what_to_do_without_loopsyd)
{
	struct world world;

	world_init(&world, false);
	for (size_t i = 0; i < tool_table_n; i++) {
		json_t *request =
		    json_pack("{s:s, s:i, s:s, s:{s:s, s:o}}", "jsonrpc", "2.0", "id", (int)i + 1,
			      "method", "tools/call", "params", "name", tool_table[i]->name,
			      "arguments", some_arguments(tool_table[i]->input));
		char *text = json_dumps(request, JSON_COMPACT);
		json_t *reply, *result;

		say(&world, text);
		reply = hear(&world);
		result = json_object_get(reply, "result");
		cr_assert(json_is_true(json_object_get(result, "isError")), "%s",
			  tool_table[i]->name);
		json_decref(reply);
		json_decref(request);
		free(text);
	}
	world_deinit(&world);
}

Test(mcp_server, lists_tools_that_are_few_words_and_true)
{
	json_t *all = json_array();
	char *text;

	for (size_t i = 0; i < tool_table_n; i++) {
		const struct tool *tool = tool_table[i];

		cr_assert_eq(tool_find(tool->name), tool, "%s is there twice", tool->name);
		cr_assert(strncmp(tool->name, "loopsy_", 7) == 0);
		cr_assert(tool->title && tool->description && tool->output, "%s", tool->name);
		cr_assert_not((tool->hints & TOOL_READ_ONLY) && (tool->hints & TOOL_DESTRUCTIVE),
			      "%s", tool->name);
		json_array_append_new(all, tool_describe(tool, MCP_2026_07_28));
	}
	text = json_dumps(all, JSON_COMPACT);
	/* 6,000 tokens, of a little more than four bytes each. */
	cr_assert_lt(strlen(text), 24000);
	free(text);
	json_decref(all);
}
