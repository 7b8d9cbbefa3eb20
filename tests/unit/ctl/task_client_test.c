#include "ctl/task_client.h"

#include <criterion/criterion.h>
#include <string.h>

static json_t *read_text(const char *text)
{
	return task_client_read((struct bytes){(const uint8_t *)text, strlen(text)}, "a1");
}

#define TASK(rest)                                                                                 \
	"{\"id\":\"a1\",\"from\":\"lap\",\"assignee\":\"desk\",\"description\":\"x\"" rest "}"

Test(task_client, reads_tasks_as_the_manual_has_them)
{
	static const char *const good[] = {
	    TASK(",\"status\":\"pending\",\"result\":null"),
	    TASK(",\"status\":\"pending\""),
	    TASK(",\"status\":\"running\",\"claimed_by\":\"w\",\"result\":null"),
	    TASK(",\"status\":\"done\",\"result\":\"r\",\"more\":[1]"),
	    TASK(",\"status\":\"failed\",\"result\":\"\""),
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		json_t *task = read_text(good[i]);

		cr_assert_not_null(task, "%s", good[i]);
		json_decref(task);
	}
}

Test(task_client, takes_nothing_else_for_a_task)
{
	static const char *const bad[] = {
	    "",
	    "1",
	    "[]",
	    "null",
	    "{}",
	    "\xff",
	    TASK(""),
	    TASK(",\"status\":\"lost\""),
	    TASK(",\"status\":7"),
	    TASK(",\"status\":\"done\",\"result\":7"),
	    TASK(",\"status\":\"running\",\"claimed_by\":null"),
	    "{\"id\":\"a1\",\"from\":null,\"assignee\":\"d\",\"description\":\"x\",\"status\":"
	    "\"done\"}",
	    "{\"id\":\"a2\",\"from\":\"l\",\"assignee\":\"d\",\"description\":\"x\",\"status\":"
	    "\"done\"}",
	    TASK(",\"status\":\"done\"") "x",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_null(read_text(bad[i]), "%s", bad[i]);
}

Test(task_client, knows_ids)
{
	char text[TASK_CLIENT_ID_MAX + 2];

	memset(text, 'x', sizeof(text));
	text[TASK_CLIENT_ID_MAX + 1] = '\0';
	cr_assert_not(task_client_is_id(text));
	text[TASK_CLIENT_ID_MAX] = '\0';
	cr_assert(task_client_is_id(text));
	cr_assert(task_client_is_id("0mx1ct9k8z2oi") && task_client_is_id("A.b_c-1"));
	cr_assert_not(task_client_is_id("") || task_client_is_id("a/b") ||
		      task_client_is_id("a b") || task_client_is_id("\xc3\xa4"));
}
