#include "daemon/discovery/discovery_service.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define ID "00112233445566778899aabbccddeeff"

/* Parses up to 8 strings; NULL ends them. */
static int parse(const char *const *strings, const char *service_name,
		 struct discovery_service *ret)
{
	struct discovery_txt txt[8];
	size_t n = 0;

	for (; strings[n] != NULL; n++)
		txt[n] = (struct discovery_txt){(const uint8_t *)strings[n], strlen(strings[n])};
	return discovery_service_parse(txt, n, service_name, ret);
}

#define PARSE(service_name, ret, ...)                                                              \
	parse((const char *const[]){__VA_ARGS__, NULL}, service_name, ret)

Test(discovery_service, takes_what_we_announce)
{
	struct discovery_service service;

	cr_assert_eq(PARSE("x", &service, "id=" ID, "name=desk", "v=0.1.0", "caps=fs,exec"), 0);
	cr_assert_str_eq(service.id, ID);
	cr_assert_str_eq(service.name, "desk");
	cr_assert_str_eq(service.version, "0.1.0");
	cr_assert_str_eq(service.caps, "fs,exec");
	cr_assert_eq(service.n_addresses, 0);
}

Test(discovery_service, takes_what_other_versions_may_announce)
{
	struct discovery_service service;

	cr_assert_eq(PARSE("lap", &service, "flag", "=", "", "ID=" ID, "new=thing"), 0);
	cr_assert_str_eq(service.name, "lap");
	cr_assert_str_eq(service.version, "");
	cr_assert_str_eq(service.caps, "");
}

Test(discovery_service, first_of_a_double_key_counts)
{
	struct discovery_service service;

	cr_assert_eq(PARSE("x", &service, "id=" ID, "name=one", "name=two"), 0);
	cr_assert_str_eq(service.name, "one");
}

Test(discovery_service, maps_strange_names_to_valid_ones)
{
	struct discovery_service service;

	cr_assert_eq(PARSE("x", &service, "id=" ID, "name=../etc/passwd"), 0);
	cr_assert_null(strchr(service.name, '/'));
	cr_assert_neq(service.name[0], '.');
	cr_assert_eq(PARSE("a\x1b[31m\nb", &service, "id=" ID), 0);
	for (const char *c = service.name; *c != '\0'; c++)
		cr_assert(*c > ' ' && *c <= '~' && *c != '[');
}

Test(discovery_service, rejects_bad_ids)
{
	struct discovery_service service = {.name = "untouched"};

	cr_assert_eq(PARSE("x", &service, "name=desk"), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id"), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id="), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id=0011"), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id=" ID "0"), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id=00112233445566778899AABBCCDDEEFF"), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id=00112233445566778899aabbccddeef/"), -EINVAL);
	cr_assert_str_eq(service.name, "untouched");
}

Test(discovery_service, rejects_values_over_their_bound_or_with_control_bytes)
{
	struct discovery_service service;
	char text[256];

	memset(text, 'a', sizeof(text));
	memcpy(text, "name=", 5);
	text[5 + DISCOVERY_NAME_MAX] = '\0';
	cr_assert_eq(PARSE("x", &service, "id=" ID, text), 0);
	cr_assert_eq(strlen(service.name), DISCOVERY_NAME_MAX);
	text[5 + DISCOVERY_NAME_MAX] = 'a';
	text[6 + DISCOVERY_NAME_MAX] = '\0';
	cr_assert_eq(PARSE("x", &service, "id=" ID, text), -EINVAL);

	memset(text, 'a', sizeof(text));
	memcpy(text, "caps=", 5);
	text[5 + DISCOVERY_CAPS_MAX + 1] = '\0';
	cr_assert_eq(PARSE("x", &service, "id=" ID, text), -EINVAL);
	memcpy(text, "v=aaa", 5);
	cr_assert_eq(PARSE("x", &service, "id=" ID, text), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id=" ID, "v=1\n2"), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id=" ID, "caps=a b"), -EINVAL);
	cr_assert_eq(PARSE("x", &service, "id=" ID, "caps=\x7f"), -EINVAL);
}

Test(discovery_service, nul_bytes_in_values_do_not_hide_anything)
{
	struct discovery_service service;
	struct discovery_txt txt[] = {
	    {(const uint8_t *)"id=" ID "\0", 3 + 32 + 1},
	    {(const uint8_t *)"name=a\0b", 8},
	};

	cr_assert_eq(discovery_service_parse(txt, 2, "x", &service), -EINVAL);
	txt[0].size--;
	cr_assert_eq(discovery_service_parse(txt, 2, "x", &service), 0);
	cr_assert_str_eq(service.name, "a");
	txt[1] = (struct discovery_txt){(const uint8_t *)"v=1\0", 4};
	cr_assert_eq(discovery_service_parse(txt, 2, "x", &service), -EINVAL);
}

static int take(const char *text, uint16_t port, unsigned interface, bool local,
		union discovery_address *ret)
{
	uint8_t data[16];
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

	cr_assert_eq(inet_pton(family, text, data), 1);
	return discovery_service_address(family, data, port, interface, local, ret);
}

Test(discovery_service, takes_addresses_that_can_be_dialled)
{
	union discovery_address address;
	char text[DISCOVERY_ADDRESS_TEXT_MAX];

	cr_assert_eq(take("192.168.1.7", 19532, 3, false, &address), 0);
	cr_assert_str_eq(discovery_service_address_text(&address, text), "192.168.1.7:19532");
	cr_assert_eq(take("2001:db8::7", 1, 3, false, &address), 0);
	cr_assert_eq(address.in6.sin6_scope_id, 0);
	cr_assert_str_eq(discovery_service_address_text(&address, text), "[2001:db8::7]:1");
	cr_assert_eq(take("fe80::1", 65535, 1, false, &address), 0);
	cr_assert_eq(address.in6.sin6_scope_id, 1);
	cr_assert_str_eq(discovery_service_address_text(&address, text), "[fe80::1%lo]:65535");
	cr_assert_eq(take("fe80::1", 65535, 4000000000u, false, &address), 0);
	cr_assert_str_eq(discovery_service_address_text(&address, text),
			 "[fe80::1%4000000000]:65535");
	cr_assert_eq(take("127.0.0.1", 19532, 1, true, &address), 0);
	cr_assert_eq(take("::1", 19532, 1, true, &address), 0);
}

Test(discovery_service, refuses_addresses_that_strangers_have_no_business_with)
{
	static const char *const refused[] = {
	    "0.0.0.0",         "0.1.2.3", "127.0.0.1", "127.9.9.9", "224.0.0.251",      "240.0.0.1",
	    "255.255.255.255", "::",      "::1",       "ff02::fb",  "::ffff:127.0.0.1", "::7f00:1",
	};
	union discovery_address address;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		cr_assert_eq(take(refused[i], 19532, 3, false, &address), -EINVAL, "%s",
			     refused[i]);
	cr_assert_eq(take("192.168.1.7", 0, 3, false, &address), -EINVAL);
	cr_assert_eq(take("fe80::1", 19532, 0, false, &address), -EINVAL);
	cr_assert_eq(discovery_service_address(AF_UNIX, "0123456789abcdef", 1, 1, true, &address),
		     -EINVAL);
}

Test(discovery_service, addresses_differ_by_host_port_and_scope)
{
	union discovery_address a, b;

	take("192.168.1.7", 1, 3, false, &a);
	take("192.168.1.7", 1, 4, false, &b);
	cr_assert(discovery_service_address_equal(&a, &b));
	take("192.168.1.7", 2, 3, false, &b);
	cr_assert_not(discovery_service_address_equal(&a, &b));
	take("fe80::1", 1, 3, false, &a);
	cr_assert_not(discovery_service_address_equal(&a, &b));
	take("fe80::1", 1, 4, false, &b);
	cr_assert_not(discovery_service_address_equal(&a, &b));
}

Test(discovery_service, announced_names_take_more_and_more_of_the_id)
{
	char name[DISCOVERY_NAME_MAX + 1], longest[DISCOVERY_NAME_MAX + 1];

	cr_assert_eq(discovery_service_announced_name("desk", ID, 0, name), 0);
	cr_assert_str_eq(name, "desk");
	cr_assert_eq(discovery_service_announced_name("desk", ID, 1, name), 0);
	cr_assert_str_eq(name, "desk (0011)");
	cr_assert_eq(discovery_service_announced_name("desk", ID, 2, name), 0);
	cr_assert_str_eq(name, "desk (00112233)");
	cr_assert_eq(discovery_service_announced_name("desk", ID, 3, name), 0);
	cr_assert_str_eq(name, "desk (" ID ")");
	cr_assert_eq(discovery_service_announced_name("desk", ID, 4, name), -E2BIG);

	memset(longest, 'a', DISCOVERY_NAME_MAX);
	longest[DISCOVERY_NAME_MAX] = '\0';
	for (unsigned attempt = 0; attempt < 4; attempt++) {
		cr_assert_eq(discovery_service_announced_name(longest, ID, attempt, name), 0);
		cr_assert_eq(strlen(name), DISCOVERY_NAME_MAX);
	}
	cr_assert_str_eq(name + DISCOVERY_NAME_MAX - 3, "ff)");
}
