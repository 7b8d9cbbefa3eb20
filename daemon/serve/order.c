#include "daemon/serve/order.h"

#include <assert.h>

#include "daemon/serve/work.h"

/* For now every call starts at once. */

int order_init(struct order *order)
{
	*order = (struct order){0};
	return 0;
}

void order_deinit(struct order *order)
{
	assert(order->n == 0);
}

int order_enter(struct order *order, struct work *work)
{
	work->order.entered = true;
	order->n++;
	work_start(work);
	return 0;
}

void order_leave(struct order *order, struct work *work)
{
	if (!work->order.entered)
		return;
	work->order.entered = false;
	order->n--;
}
