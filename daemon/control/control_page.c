#include <errno.h>

#include "daemon/control/control.h"

/* Elements of one reply: leaves room in a frame for what stands around them. */
#define PAGE_SIZE_MAX (128 * 1024)

void control_page_init(struct control_page *page, uint64_t offset, uint64_t limit)
{
	*page = (struct control_page){
	    .offset = offset, .limit = limit, .elements = {.limit = PAGE_SIZE_MAX}};
}

int control_page_offer(struct control_page *page, const struct record *record, const void *value)
{
	uint64_t position = page->total++;
	int r;

	if (position < page->offset || page->full)
		return 0;
	if (page->list.n >= page->limit) {
		page->full = true;
		return 0;
	}
	r = codec_list_append(&page->list, &page->elements, record, value);
	if (r == -EMSGSIZE) {
		page->full = true;
		return 0;
	}
	return r;
}

void control_page_finish(struct control_page *page)
{
	codec_list_finish(&page->list, &page->elements);
}

void control_page_deinit(struct control_page *page)
{
	buffer_deinit(&page->elements);
}
