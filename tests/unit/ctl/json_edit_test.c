#include "ctl/json_edit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "string_of.h"

static const char *const path[] = {"mcpServers", "loopsy"};

/* Sets {"command": "x"}; the text, and what removing needs. */
static char *set(const char *text, struct json_edit_undo *undo)
{
	json_t *value = json_pack("{s:s}", "command", "x");
	struct edit_error error = {0};
	struct buffer out = {0};
	int r = json_edit_set(bytes_of_text(text), path, 2, value, &out, undo, &error);

	cr_assert_eq(r, 0, "%s: %u: %s", text, error.line, error.text);
	json_decref(value);
	return string_of(&out);
}

static char *take_out(const char *text, const struct json_edit_undo *undo)
{
	struct edit_error error = {0};
	struct buffer out = {0};
	int r = json_edit_remove(bytes_of_text(text), path, 2, undo, &out, &error);

	cr_assert_eq(r, 0, "%s: %u: %s", text, error.line, error.text);
	return string_of(&out);
}

static void expect(const char *before, const char *after)
{
	struct json_edit_undo undo = {0};
	char *text = set(before, &undo), *back = take_out(text, &undo);

	cr_assert_str_eq(text, after);
	cr_assert_str_eq(back, before);
	free(text);
	free(back);
	json_edit_undo_deinit(&undo);
}

Test(json_edit, a_member_goes_behind_the_others_in_their_style)
{
	expect("{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\n  \"mcpServers\": {\n    \"loopsy\": {\n     "
				     " \"command\": \"x\"\n    }\n  }\n}\n");
	expect("{\n\t\"mcpServers\": {\n\t\t\"b\": {}\n\t}\n}",
	       "{\n\t\"mcpServers\": {\n\t\t\"b\": {},\n\t\t\"loopsy\": {\n\t\t\t\"command\": "
	       "\"x\"\n\t\t}\n\t}\n}");
	expect("{\"a\":1,\"mcpServers\":{\"b\":{}}}",
	       "{\"a\":1,\"mcpServers\":{\"b\":{}, \"loopsy\": {\"command\": \"x\"}}}");
	expect("{\r\n    \"mcpServers\": {\r\n        \"b\": 1\r\n    }\r\n}\r\n",
	       "{\r\n    \"mcpServers\": {\r\n        \"b\": 1,\r\n        \"loopsy\": {\r\n       "
	       "     "
	       "\"command\": \"x\"\r\n        }\r\n    }\r\n}\r\n");
}

Test(json_edit, empty_objects_and_files_are_filled_and_emptied)
{
	expect(
	    "{}",
	    "{\n  \"mcpServers\": {\n    \"loopsy\": {\n      \"command\": \"x\"\n    }\n  }\n}");
	expect(
	    "{\n}\n",
	    "{\n  \"mcpServers\": {\n    \"loopsy\": {\n      \"command\": \"x\"\n    }\n  }\n}\n");
	expect(
	    "{\n  \"mcpServers\": {}\n}",
	    "{\n  \"mcpServers\": {\n    \"loopsy\": {\n      \"command\": \"x\"\n    }\n  }\n}");
	expect(
	    "{\n  \"mcpServers\": { }\n}",
	    "{\n  \"mcpServers\": {\n    \"loopsy\": {\n      \"command\": \"x\"\n    }\n   }\n}");
	expect("{\"mcpServers\":{},\"z\":1}",
	       "{\"mcpServers\":{\"loopsy\": {\"command\": \"x\"}},\"z\":1}");
	expect(
	    "",
	    "{\n  \"mcpServers\": {\n    \"loopsy\": {\n      \"command\": \"x\"\n    }\n  }\n}\n");
	expect("\xef\xbb\xbf\n", "\xef\xbb\xbf\n{\n  \"mcpServers\": {\n    \"loopsy\": {\n      "
				 "\"command\": \"x\"\n    }\n  }\n}\n");
	expect("\xef\xbb\xbf{}", "\xef\xbb\xbf{\n  \"mcpServers\": {\n    \"loopsy\": {\n      "
				 "\"command\": \"x\"\n    }\n  }\n}");
}

Test(json_edit, comments_and_trailing_commas_stay_where_they_are)
{
	expect("{ // one\n  \"mcpServers\": { /* two */ \"b\": 1 /* three */, // four\n  },\n}",
	       "{ // one\n  \"mcpServers\": { /* two */ \"b\": 1 /* three */, // four\n\"loopsy\": "
	       "{\"command\": "
	       "\"x\"},\n  },\n}");
	expect("{\n  \"a\": 1, // last, with a comma\n}",
	       "{\n  \"a\": 1, // last, with a comma\n  \"mcpServers\": {\n    \"loopsy\": {\n     "
	       " \"command\": "
	       "\"x\"\n    }\n  },\n}");
	expect("{\n  \"a\": 1 // last, without\n}",
	       "{\n  \"a\": 1, // last, without\n  \"mcpServers\": {\n    \"loopsy\": {\n      "
	       "\"command\": "
	       "\"x\"\n    }\n  }\n}");
	expect("{\"a\": \"// no comment, \\\" /* nor this\" // but this, }\n}",
	       "{\"a\": \"// no comment, \\\" /* nor this\", // but this, }\n\"mcpServers\": "
	       "{\"loopsy\": "
	       "{\"command\": \"x\"}}\n}");
	expect("{\n  \"mcpServers\": {\n    // nothing yet\n  }\n}",
	       "{\n  \"mcpServers\": {\n    // nothing yet\n    \"loopsy\": {\n      \"command\": "
	       "\"x\"\n    }\n  "
	       "}\n}");
}

Test(json_edit, a_value_that_is_there_is_replaced_and_given_back)
{
	expect("{\"mcpServers\": {\"loopsy\" :  [1, /* x */ 2], \"c\": 1}}",
	       "{\"mcpServers\": {\"loopsy\" :  {\"command\": \"x\"}, \"c\": 1}}");
	expect("{\n  \"mcpServers\": {\n    \"loopsy\": {\n      \"command\": \"y\", // mine\n    "
	       "}, \"c\": 1\n  "
	       "}\n}",
	       "{\n  \"mcpServers\": {\n    \"loopsy\": {\n      \"command\": \"x\"\n    }, \"c\": "
	       "1\n  }\n}");
	expect("{\"mcp\\u0053ervers\": {\"loopsy\": null}}",
	       "{\"mcp\\u0053ervers\": {\"loopsy\": {\"command\": \"x\"}}}");
}

Test(json_edit, what_others_added_meanwhile_stays)
{
	struct json_edit_undo undo = {0};
	char *text = set("{}", &undo), *back;

	back = take_out("{\n  \"mcpServers\": {\n    \"loopsy\": {},\n    \"other\": 1\n  }\n}",
			&undo);
	cr_assert_str_eq(back, "{\n  \"mcpServers\": {\n    \"other\": 1\n  }\n}");
	free(back);
	back = take_out("{\n  \"mcpServers\": {\n    \"loopsy\": {}\n  },\n  \"b\": 2\n}", &undo);
	cr_assert_str_eq(back, "{\n  \"b\": 2\n}");
	free(back);
	/* Nothing is known: what it is in stays. */
	back = take_out("{\n  \"mcpServers\": {\n    \"loopsy\": {}\n  }\n}", NULL);
	cr_assert_str_eq(back, "{\n  \"mcpServers\": {}\n}");
	free(back);
	back = take_out("{ \"mcpServers\": { // c\n \"loopsy\": 1, \"b\": 2 } }", NULL);
	cr_assert_str_eq(back, "{ \"mcpServers\": { // c\n  \"b\": 2 } }");
	free(back);
	free(text);
	json_edit_undo_deinit(&undo);
}

Test(json_edit, what_does_not_parse_is_refused_with_its_line)
{
	static const struct {
		const char *text;
		unsigned line;
	} wrong[] = {
	    {"{", 1},
	    {"{\n\"a\": 1\n\"b\": 2}", 3},
	    {"{\n\n\"a\": tru}", 3},
	    {"{,}", 1},
	    {"{\"a\": 1,,}", 1},
	    {"[,]", 1},
	    {"{\"a\": [1,,2]}", 1},
	    {"{} {}", 1},
	    {"{}\n// fine\n/* never ends", 3},
	    {"[]", 1},
	    {"{\n\"mcpServers\": []}", 2},
	    {"{\"mcpServers\": {},\n\"mcpServers\": {}}", 2},
	    {"{\"mcpServers\": {\"loopsy\": 1,\n\n\"loopsy\": 2}}", 3},
	    {"{\"a\": \"\xff\"}", 1},
	    {"{'a': 1}", 1},
	    {"{\"a\": \"unfinished}", 1},
	};
	json_t *value = json_object();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct edit_error error = {0};
		struct buffer out = {0};
		int r =
		    json_edit_set(bytes_of_text(wrong[i].text), path, 2, value, &out, NULL, &error);

		cr_assert_eq(r, -EINVAL, "%s: %d", wrong[i].text, r);
		cr_assert_eq(error.line, wrong[i].line, "%s: %u: %s", wrong[i].text, error.line,
			     error.text);
		cr_assert(error.text[0] != '\0');
		cr_assert_eq(out.size, 0);
		buffer_deinit(&out);
	}
	json_decref(value);
}

Test(json_edit, what_javascript_writes_is_read)
{
	expect("{\"a\": \"half \\ud83d and \\u0000\", \"b\": 123456789012345678901234567890}",
	       "{\"a\": \"half \\ud83d and \\u0000\", \"b\": 123456789012345678901234567890, "
	       "\"mcpServers\": "
	       "{\"loopsy\": {\"command\": \"x\"}}}");
}

Test(json_edit, a_value_is_read_with_comments_in_it)
{
	const char *text = "{\"mcpServers\": {\"loopsy\": {\"args\": [1, /* no */ 2,], // x\n}}}";
	struct edit_error error;
	struct bytes raw;
	json_t *value, *wanted = json_pack("{s:[f,f]}", "args", 1.0, 2.0);

	cr_assert_eq(json_edit_load(bytes_of_text(text), path, 2, &value, &error), 0);
	cr_assert(json_equal(value, wanted));
	json_decref(value);
	json_decref(wanted);
	cr_assert_eq(json_edit_get(bytes_of_text(text), path, 2, &raw, &error), 0);
	cr_assert_eq(raw.size, strlen("{\"args\": [1, /* no */ 2,], // x\n}"));
	cr_assert_eq(json_edit_load(bytes_of_text("{}"), path, 2, &value, &error), -ENOENT);
	cr_assert_eq(json_edit_load(bytes_of_text(""), path, 2, &value, &error), -ENOENT);
}
