#include "daemon/discovery/discovery_table.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct discovery_table *table;

static void set_up(void)
{
	table = calloc(1, sizeof(*table));
}

static void tear_down(void)
{
	free(table);
}

TestSuite(discovery_table, .init = set_up, .fini = tear_down);

static int put(unsigned origin, unsigned id, const char *name, unsigned host)
{
	struct discovery_service service = {.n_addresses = 1};

	snprintf(service.id, sizeof(service.id), "%032x", id);
	snprintf(service.name, sizeof(service.name), "%s", name);
	service.addresses[0].in.sin_family = AF_INET;
	service.addresses[0].in.sin_port = htons(19532);
	service.addresses[0].in.sin_addr.s_addr = htonl(host);
	return discovery_table_put(table, origin, &service);
}

static void expect(enum discovery_change change, unsigned id, size_t n_addresses)
{
	struct discovery_service service;
	char text[DISCOVERY_ID_MAX + 1];

	cr_assert_eq(discovery_table_take(table, &service), change);
	if (change == DISCOVERY_CHANGE_NONE)
		return;
	snprintf(text, sizeof(text), "%032x", id);
	cr_assert_str_eq(service.id, text);
	cr_assert_eq(service.n_addresses, n_addresses);
}

Test(discovery_table, tells_what_is_new_once)
{
	cr_assert_eq(put(1, 7, "desk", 100), 0);
	expect(DISCOVERY_CHANGE_FOUND, 7, 1);
	expect(DISCOVERY_CHANGE_NONE, 0, 0);
	cr_assert_eq(put(1, 7, "desk", 100), 0);
	expect(DISCOVERY_CHANGE_NONE, 0, 0);
}

Test(discovery_table, tells_changes_of_address_and_name)
{
	struct discovery_service service;

	put(1, 7, "desk", 100);
	expect(DISCOVERY_CHANGE_FOUND, 7, 1);
	put(2, 7, "desk", 101);
	expect(DISCOVERY_CHANGE_FOUND, 7, 2);
	put(2, 7, "desk", 102);
	expect(DISCOVERY_CHANGE_FOUND, 7, 2);
	put(1, 7, "table", 100);
	cr_assert_eq(discovery_table_take(table, &service), DISCOVERY_CHANGE_FOUND);
	cr_assert_str_eq(service.name, "table");
	cr_assert_eq(ntohl(service.addresses[1].in.sin_addr.s_addr), 102);
}

Test(discovery_table, one_address_from_two_origins_shows_once_and_stays_with_the_last)
{
	put(1, 7, "desk", 100);
	put(2, 7, "desk", 100);
	expect(DISCOVERY_CHANGE_FOUND, 7, 1);
	discovery_table_remove(table, 1);
	expect(DISCOVERY_CHANGE_FOUND, 7, 1);
	discovery_table_remove(table, 2);
	expect(DISCOVERY_CHANGE_GONE, 7, 0);
	expect(DISCOVERY_CHANGE_NONE, 0, 0);
}

Test(discovery_table, what_came_and_went_unseen_is_not_told)
{
	put(1, 7, "desk", 100);
	discovery_table_remove(table, 1);
	expect(DISCOVERY_CHANGE_NONE, 0, 0);
}

Test(discovery_table, what_went_and_came_back_is_told_as_found)
{
	put(1, 7, "desk", 100);
	expect(DISCOVERY_CHANGE_FOUND, 7, 1);
	discovery_table_clear(table);
	put(2, 7, "desk", 100);
	expect(DISCOVERY_CHANGE_FOUND, 7, 1);
	expect(DISCOVERY_CHANGE_NONE, 0, 0);
}

Test(discovery_table, an_origin_that_changes_its_id_withdraws_the_old_one)
{
	put(1, 7, "desk", 100);
	expect(DISCOVERY_CHANGE_FOUND, 7, 1);
	put(1, 8, "desk", 100);
	expect(DISCOVERY_CHANGE_GONE, 7, 0);
	expect(DISCOVERY_CHANGE_FOUND, 8, 1);
}

Test(discovery_table, removing_an_unknown_origin_changes_nothing)
{
	put(1, 7, "desk", 100);
	expect(DISCOVERY_CHANGE_FOUND, 7, 1);
	discovery_table_remove(table, 2);
	expect(DISCOVERY_CHANGE_NONE, 0, 0);
}

Test(discovery_table, keeps_at_most_so_many_addresses_of_one_service)
{
	unsigned i;

	for (i = 0; i < DISCOVERY_ADDRESSES_MAX; i++)
		cr_assert_eq(put(i, 7, "desk", 100 + i), 0);
	cr_assert_eq(put(i, 7, "desk", 100 + i), -ENOSPC);
	expect(DISCOVERY_CHANGE_FOUND, 7, DISCOVERY_ADDRESSES_MAX);
	discovery_table_remove(table, 0);
	cr_assert_eq(put(i, 7, "desk", 100 + i), 0);
	expect(DISCOVERY_CHANGE_FOUND, 7, DISCOVERY_ADDRESSES_MAX);
}

Test(discovery_table, keeps_at_most_so_many_services_and_uses_rows_again)
{
	struct discovery_service service;
	unsigned i;

	for (i = 0; i < DISCOVERY_SERVICES_MAX; i++)
		cr_assert_eq(put(i, 1000 + i, "desk", 100), 0);
	cr_assert_eq(put(i, 1000 + i, "desk", 100), -ENOSPC);
	for (unsigned j = 0; j < DISCOVERY_SERVICES_MAX; j++)
		cr_assert_eq(discovery_table_take(table, &service), DISCOVERY_CHANGE_FOUND);
	expect(DISCOVERY_CHANGE_NONE, 0, 0);
	discovery_table_remove(table, 5);
	cr_assert_eq(put(i, 1000 + i, "desk", 100), -ENOSPC); /* 5 is not told as gone yet */
	expect(DISCOVERY_CHANGE_GONE, 1005, 0);
	cr_assert_eq(put(i, 1000 + i, "desk", 100), 0);
	expect(DISCOVERY_CHANGE_FOUND, 1000 + i, 1);
}
