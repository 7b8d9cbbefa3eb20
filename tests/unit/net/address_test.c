#include <criterion/criterion.h>
#include <errno.h>

#include "daemon/net/address.h"

static void splits(const char *text, const char *host, const char *port)
{
	char got_host[ADDRESS_HOST_MAX], got_port[ADDRESS_PORT_MAX];

	cr_assert_eq(address_split(text, got_host, got_port), 0, "%s", text);
	cr_assert_str_eq(got_host, host);
	cr_assert_str_eq(got_port, port);
}

Test(address, splits_host_and_port)
{
	splits("desk", "desk", "19532");
	splits("desk.local:80", "desk.local", "80");
	splits("192.0.2.7:65535", "192.0.2.7", "65535");
	splits("[fe80::1%eth0]:5", "fe80::1%eth0", "5");
	splits("[::1]", "::1", "19532");
	splits("fe80::1", "fe80::1", "19532");
}

Test(address, refuses_what_is_none)
{
	const char *bad[] = {"",        "desk:",       "desk:0",  "desk:65536", "desk:1x",
			     ":5",      "[::1",        "[::1]x",  "a b",        "a/b",
			     "desk:-1", "desk:123456", "\xff:80", "[]:5"};
	char host[ADDRESS_HOST_MAX], port[ADDRESS_PORT_MAX], longest[400];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(address_split(bad[i], host, port), -EINVAL, "%s", bad[i]);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	cr_assert_eq(address_split(longest, host, port), -EINVAL);
}

Test(address, parses_numbers_only)
{
	struct address address;
	char text[ADDRESS_MAX];

	cr_assert_eq(address_parse("192.0.2.7:19532", &address), 0);
	address_format((struct sockaddr *)&address.socket, text);
	cr_assert_str_eq(text, "192.0.2.7:19532");
	cr_assert_eq(address_parse("[2001:db8::1]:7", &address), 0);
	address_format((struct sockaddr *)&address.socket, text);
	cr_assert_str_eq(text, "[2001:db8::1]:7");
	cr_assert_eq(address_parse("[::ffff:192.0.2.7]:7", &address), 0);
	address_format((struct sockaddr *)&address.socket, text);
	cr_assert_str_eq(text, "192.0.2.7:7");
	cr_assert_eq(address_parse("desk:7", &address), -EINVAL);
}
