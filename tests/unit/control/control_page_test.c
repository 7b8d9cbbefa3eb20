#include <criterion/criterion.h>
#include <string.h>

#include "daemon/control/control.h"

static void offer(struct control_page *page, unsigned n, size_t size)
{
	char name[OPS_CTL_NAME_MAX + 1], text[OPS_CTL_TEXT_MAX + 1] = "";

	memset(text, 'x', size);
	text[size] = '\0';
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "check %u", i);
		cr_assert_eq(control_page_offer(page, &ctl_check_record,
						&(struct ctl_check){.name = bytes_of_text(name),
								    .detail = bytes_of_text(text)}),
			     0);
	}
}

static unsigned first_number(const struct control_page *page)
{
	struct list list = page->list;
	struct ctl_check check;
	unsigned number;

	cr_assert_eq(codec_list_next(&list, &ctl_check_record, &check, NULL), 0);
	cr_assert_eq(sscanf((const char *)check.name.data, "check %u", &number), 1);
	return number;
}

Test(control_page, takes_what_is_within_offset_and_limit)
{
	struct control_page page;

	control_page_init(&page, 3, 4);
	offer(&page, 10, 1);
	control_page_finish(&page);
	cr_assert_eq(page.total, 10);
	cr_assert_eq(page.list.n, 4);
	cr_assert_eq(first_number(&page), 3);
	control_page_deinit(&page);
}

Test(control_page, is_empty_beyond_the_end)
{
	struct control_page page;

	control_page_init(&page, UINT64_MAX, 4);
	offer(&page, 10, 1);
	control_page_finish(&page);
	cr_assert_eq(page.total, 10);
	cr_assert_eq(page.list.n, 0);
	control_page_deinit(&page);
}

Test(control_page, never_outgrows_a_frame_and_the_rest_comes_next)
{
	unsigned got = 0, pages = 0;

	while (got < 1000) {
		struct control_page page;

		control_page_init(&page, got, 4096);
		offer(&page, 1000, OPS_CTL_TEXT_MAX);
		control_page_finish(&page);
		cr_assert_eq(page.total, 1000);
		cr_assert_gt(page.list.n, 0);
		cr_assert_leq(page.list.raw.size, 128 * 1024);
		cr_assert_eq(first_number(&page), got);
		got += page.list.n;
		pages++;
		control_page_deinit(&page);
	}
	cr_assert_eq(got, 1000);
	cr_assert_gt(pages, 1);
}
