#include "ctl/toml_edit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "string_of.h"

static int try_set(const char *text, struct buffer *out, struct toml_edit_undo *undo,
		   struct edit_error *error)
{
	json_t *args = json_pack("[s,s]", "mcp", "a\"\\\n");
	int r = toml_edit_set(bytes_of_text(text), "loopsy", "/x y", args, out, undo, error);

	json_decref(args);
	return r;
}

#define COMMAND "command = \"/x y\""
#define ARGS    "args = [\"mcp\", \"a\\\"\\\\\\u000a\"]"

static void expect(const char *before, const char *after)
{
	struct toml_edit_undo undo = {0};
	struct edit_error error = {0};
	struct toml_edit_server server;
	struct buffer out = {0};
	char *text, *back;
	int r = try_set(before, &out, &undo, &error);

	cr_assert_eq(r, 0, "%s: %u: %s", before, error.line, error.text);
	text = string_of(&out);
	cr_assert_str_eq(text, after);
	cr_assert_eq(toml_edit_get(bytes_of_text(text), "loopsy", &server, &error), 0);
	cr_assert(server.is_there && !server.is_disabled);
	cr_assert_eq(server.command.size, strlen("\"/x y\""));
	r = toml_edit_remove(bytes_of_text(text), "loopsy", &undo, &out, &error);
	cr_assert_eq(r, 0, "%s: %u: %s", text, error.line, error.text);
	back = string_of(&out);
	cr_assert_str_eq(back, before);
	free(text);
	free(back);
	toml_edit_undo_deinit(&undo);
}

Test(toml_edit, a_table_goes_to_the_end)
{
	expect("", "[mcp_servers.loopsy]\n" COMMAND "\n" ARGS "\n");
	expect("model = \"o3\"\n",
	       "model = \"o3\"\n\n[mcp_servers.loopsy]\n" COMMAND "\n" ARGS "\n");
	expect("a = 1", "a = 1\n\n[mcp_servers.loopsy]\n" COMMAND "\n" ARGS "\n");
	expect("a = 1\r\n# c",
	       "a = 1\r\n# c\r\n\r\n[mcp_servers.loopsy]\r\n" COMMAND "\r\n" ARGS "\r\n");
	expect("[mcp_servers.b]\ncommand = 'x'\n\n\n",
	       "[mcp_servers.b]\ncommand = 'x'\n\n\n\n[mcp_servers.loopsy]\n" COMMAND "\n" ARGS
	       "\n");
	expect("[mcp_servers]\nb = { command = \"x\" }\n",
	       "[mcp_servers]\nb = { command = \"x\" }\n\n[mcp_servers.loopsy]\n" COMMAND "\n" ARGS
	       "\n");
	expect("mcp_servers.b.command = \"x\"\n",
	       "mcp_servers.b.command = \"x\"\n\n[mcp_servers.loopsy]\n" COMMAND "\n" ARGS "\n");
	expect("\xef\xbb\xbf", "\xef\xbb\xbf[mcp_servers.loopsy]\n" COMMAND "\n" ARGS "\n");
}

Test(toml_edit, a_server_that_is_there_is_changed_in_place)
{
	expect("[mcp_servers.loopsy] # mine\ncommand = 'node' # c\nargs = [ # d\n \"x\",\n]\nenv = "
	       "{A=\"1\"}\n\n[b]\n",
	       "[mcp_servers.loopsy] # mine\n" COMMAND " # c\n" ARGS "\nenv = {A=\"1\"}\n\n[b]\n");
	expect("[mcp_servers.\"loopsy\"]\nargs = []\n  command=\"\"\"\nx\"\"\"\n",
	       "[mcp_servers.\"loopsy\"]\n" ARGS "\n  command=\"/x y\"\n");
	expect("[mcp_servers.loopsy]\n\tcommand = \"x\" # c",
	       "[mcp_servers.loopsy]\n\t" COMMAND "\n\t" ARGS " # c");
	expect("mcp_servers = { a = {}, loopsy = { command = \"x\", env = {} } }\n",
	       "mcp_servers = { a = {}, loopsy = { " COMMAND ", " ARGS ", env = {} } }\n");
	expect("[mcp_servers]\nloopsy . command = \"x\"\n",
	       "[mcp_servers]\nloopsy . " COMMAND "\nloopsy . " ARGS "\n");
	expect("mcp_servers.loopsy = {command=\"x\",args=[]}\n",
	       "mcp_servers.loopsy = {command=\"/x y\",args=[\"mcp\", \"a\\\"\\\\\\u000a\"]}\n");
	expect("[mcp_servers.loopsy]\nenabled = false\ncommand = \"x\"\nargs = []\n",
	       "[mcp_servers.loopsy]\nenabled = true\n" COMMAND "\n" ARGS "\n");
	expect("[ mcp_servers . 'loopsy' ]\ncommand = \"x\"\nargs = "
	       "[\"y\"]\n[mcp_servers.loopsy.env]\nA = \"1\"\n",
	       "[ mcp_servers . 'loopsy' ]\n" COMMAND "\n" ARGS
	       "\n[mcp_servers.loopsy.env]\nA = \"1\"\n");
}

static void expect_removed(const char *before, const char *after, const struct toml_edit_undo *undo)
{
	struct edit_error error = {0};
	struct buffer out = {0};
	int r = toml_edit_remove(bytes_of_text(before), "loopsy", undo, &out, &error);
	char *text;

	cr_assert_eq(r, 0, "%s: %u: %s", before, error.line, error.text);
	text = string_of(&out);
	cr_assert_str_eq(text, after);
	free(text);
}

Test(toml_edit, what_others_added_meanwhile_stays)
{
	struct toml_edit_undo undo = {.prefix = "\n"};

	expect_removed("a = 1\n\n[mcp_servers.loopsy]\ncommand = \"x\"\nargs = "
		       "[]\n\n[projects.\"/x\"]\nb = 1\n",
		       "a = 1\n\n[projects.\"/x\"]\nb = 1\n", &undo);
	expect_removed("a = 1\n\n[mcp_servers.loopsy]\ncommand = \"x\"\n[b]\n", "a = 1\n\n[b]\n",
		       &undo);
	expect_removed("a = 1\n\n[mcp_servers.loopsy]\ncommand = "
		       "\"x\"\n\n[mcp_servers.loopsy.tools.y]\nm = 1\n# end\n",
		       "a = 1\n\n# end\n", &undo);
	expect_removed("[mcp_servers]\nloopsy.command = \"x\"\nb.command = 1\nloopsy.args = []\n",
		       "[mcp_servers]\nb.command = 1\n", NULL);
	expect_removed("mcp_servers.loopsy = {}\nb = 1\n", "b = 1\n", NULL);
}

Test(toml_edit, what_is_not_understood_is_refused_with_its_line)
{
	static const struct {
		const char *text;
		unsigned line;
	} wrong[] = {
	    {"a = 1\nb", 2},
	    {"a = \"x\n\"", 1},
	    {"a = 1 b = 2", 1},
	    {"[a\nb = 1", 1},
	    {"a = [1\n2]", 2},
	    {"a = yes", 1},
	    {"\na = \"\"\"\nx\n", 4},
	    {"a = 01", 1},
	    {"a = \"\\q\"", 1},
	    {"= 1", 1},
	    {"a = {b = 1 c = 2}", 1},
	    {"a = \"\xff\"", 1},
	    {"\nmcp_servers = {}", 2},
	    {"[[mcp_servers]]", 1},
	    {"\n[[mcp_servers.loopsy]]", 2},
	    {"mcp_servers = 1", 1},
	    {"[mcp_servers]\nloopsy = 1", 2},
	    {"[mcp_servers.loopsy]\n\n[mcp_servers.loopsy]", 3},
	    {"[mcp_servers.loopsy]\ncommand = \"x\"\ncommand = \"y\"", 3},
	    {"\n[mcp_servers.loopsy]\nargs = []", 2},
	    {"[mcp_servers.loopsy]\nurl = \"x\"", 2},
	    {"[mcp_servers.loopsy]\ncommand = \"x\"\n[mcp_servers.loopsy.env]\nLOOPSY_API_KEY = "
	     "\"x\"",
	     4},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct edit_error error = {0};
		struct buffer out = {0};
		int r = try_set(wrong[i].text, &out, NULL, &error);

		cr_assert_eq(r, -EINVAL, "%s: %d", wrong[i].text, r);
		cr_assert_eq(error.line, wrong[i].line, "%s: %u: %s", wrong[i].text, error.line,
			     error.text);
		buffer_deinit(&out);
	}
}

Test(toml_edit, values_of_all_kinds_are_passed_over)
{
	expect("a = -1_000\nb = +1.5e-3\nc = 0xdead_beef\nd = 1979-05-27T07:32:00.5Z\ne = "
	       "1979-05-27 07:32:00\n"
	       "f = 07:32:00\ng = inf\nh = '''\n[mcp_servers.loopsy]\n'''\ni = [ { x = [1, 2,], }, "
	       "# c\n \"]\", ]\n"
	       "j.'k l'.\"m\\u0041\" = true\n[[n.o]]\np = \"\"\"q \\\n  r\"\"\"\n[[n.o]]\n",
	       "a = -1_000\nb = +1.5e-3\nc = 0xdead_beef\nd = 1979-05-27T07:32:00.5Z\ne = "
	       "1979-05-27 07:32:00\n"
	       "f = 07:32:00\ng = inf\nh = '''\n[mcp_servers.loopsy]\n'''\ni = [ { x = [1, 2,], }, "
	       "# c\n \"]\", ]\n"
	       "j.'k l'.\"m\\u0041\" = true\n[[n.o]]\np = \"\"\"q \\\n  r\"\"\"\n[[n.o]]\n"
	       "\n[mcp_servers.loopsy]\n" COMMAND "\n" ARGS "\n");
}
