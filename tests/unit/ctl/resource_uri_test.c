#include "ctl/mcp/resource_uri.h"

#include <criterion/criterion.h>
#include <errno.h>

static void expect(const char *text, enum resource_kind kind, const char *peer, const char *rest)
{
	struct resource_uri uri;

	cr_assert_eq(resource_uri_read(text, &uri), 0, "%s", text);
	cr_assert_eq(uri.kind, kind);
	cr_assert_str_eq(uri.peer ? uri.peer : "", peer);
	cr_assert_str_eq(uri.rest ? uri.rest : "", rest);
	resource_uri_deinit(&uri);
}

Test(resource_uri, names_what_there_is)
{
	expect("loopsy://peers", RESOURCE_PEERS, "", "");
	expect("loopsy://status", RESOURCE_STATUS, "", "");
	expect("loopsy://context", RESOURCE_CONTEXT, "", "");
	expect("loopsy://desk/files/a/b c", RESOURCE_FILE, "desk", "a/b c");
	expect("loopsy://desk/kv/a%2Fb/c", RESOURCE_VALUE, "desk", "a/b/c");
	expect("loopsy://d%65sk/files/%C3%BC%25", RESOURCE_FILE, "desk", "\xc3\xbc%");
	expect("loopsy://desk/files/..a/b..", RESOURCE_FILE, "desk", "..a/b..");
	expect("loopsy://desk/kv/..", RESOURCE_VALUE, "desk", "..");
}

Test(resource_uri, refuses_everything_else)
{
	static const char *const wrong[] = {
	    "",
	    "loopsy:",
	    "loopsy://",
	    "file:///etc/passwd",
	    "loopsy://peers/",
	    "loopsy://desk",
	    "loopsy://desk/files",
	    "loopsy://desk/files/",
	    "loopsy:///files/a",
	    "loopsy://desk/jobs/a",
	    "loopsy://desk/files//etc",
	    "loopsy://desk/files/%2Fetc",
	    "loopsy://desk/files/..",
	    "loopsy://desk/files/a/../b",
	    "loopsy://desk/files/%2e%2E/b",
	    "loopsy://desk/files/a%2F..",
	    "loopsy://desk/files/a%00b",
	    "loopsy://desk/files/a%",
	    "loopsy://desk/files/a%2",
	    "loopsy://desk/files/a%zz",
	    "loopsy://de%2Fsk/files/a",
	};
	struct resource_uri uri;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(resource_uri_read(wrong[i], &uri), -EINVAL, "%s", wrong[i]);
}
