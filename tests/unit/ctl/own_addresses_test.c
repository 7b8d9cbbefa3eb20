#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ctl/own_addresses.h"

struct seen {
	unsigned n;
	bool is_local; /* one that others cannot use */
	char last[OWN_ADDRESS_MAX];
};

static void see(void *arg, const char *address)
{
	struct seen *seen = arg;

	seen->n++;
	seen->is_local = seen->is_local || strncmp(address, "127.", 4) == 0 ||
			 strncmp(address, "0.", 2) == 0 || strncmp(address, "[::", 3) == 0 ||
			 strncmp(address, "[fe80", 5) == 0;
	snprintf(seen->last, sizeof(seen->last), "%s", address);
}

Test(own_addresses, an_address_is_itself)
{
	const char *const addresses[] = {"127.0.0.1:19532", "192.0.2.7:1", "[::1]:19532",
					 "[2001:db8::7]:19532"};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct seen seen = {0};

		own_addresses_each(addresses[i], see, &seen);
		cr_assert_eq(seen.n, 1);
		cr_assert_str_eq(seen.last, addresses[i]);
	}
}

Test(own_addresses, all_addresses_are_those_that_others_can_use)
{
	struct seen seen = {0};

	own_addresses_each("0.0.0.0:4711", see, &seen);
	own_addresses_each("[::]:4711", see, &seen);
	cr_assert(!seen.is_local);
	if (seen.n > 0) /* there may be no network here */
		cr_assert_str_eq(strrchr(seen.last, ':'), ":4711");
}
