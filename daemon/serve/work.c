#include "daemon/serve/work.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/serve/serve_private.h"

static void link_guest(struct work *work)
{
	struct guest *guest = work->guest;

	work->next_of_guest = guest->works;
	if (guest->works)
		guest->works->previous_of_guest = work;
	guest->works = work;
	guest->n_works++;
}

static void unlink_guest(struct work *work)
{
	struct guest *guest = work->guest;

	if (work->next_of_guest)
		work->next_of_guest->previous_of_guest = work->previous_of_guest;
	if (work->previous_of_guest)
		work->previous_of_guest->next_of_guest = work->next_of_guest;
	else
		guest->works = work->next_of_guest;
	guest->n_works--;
}

void work_begin(struct guest *guest, const struct work_handler *handler, struct request *request)
{
	uint16_t permissions = request_permissions(request);
	struct work *work;

	if (!handler) {
		request_fail(request, -EOPNOTSUPP);
		return;
	}
	work = calloc(1, sizeof(*work));
	if (!work) {
		request_fail(request, -ENOMEM);
		return;
	}
	work->guest = guest;
	work->request = request;
	work->handler = handler;
	work->args = request->args;
	work->how =
	    acting_decide(&guest->serve->self, request->caller, permissions & PERMISSION_FS_IDS);
	work->may_write = permissions & PERMISSION_FS_RW;
	work->state = WORK_ORDERED;
	request->room = work;
	link_guest(work);
	if (order_enter(&guest->order, work) < 0)
		work_finish(work, -ENOMEM);
}

static void settle(struct work *work, int error)
{
	if (error == WORK_PENDING)
		return;
	if (work->handler->settle)
		work->handler->settle(work, error);
	else
		work_finish(work, error);
}

void work_start(struct work *work)
{
	int error;

	if (work->guest->closing) /* guest_close finishes it */
		return;
	work->state = WORK_PARKED;
	if (work->handler->attempt) {
		error = work->handler->attempt(work);
		if (error != WORK_BLOCKS) {
			settle(work, error);
			return;
		}
	}
	work_again(work);
}

void work_again(struct work *work)
{
	assert(work->handler->run);
	pool_submit(&work->guest->queue, work);
}

int work_act_to_write(const struct work *work, struct acting *ret_acting)
{
	return acting_begin(&work->guest->serve->self, work->how, work->request->caller,
			    ret_acting);
}

int work_act(const struct work *work, struct acting *ret_acting)
{
	enum acting_how how = work->how == ACTING_HUMBLY ? ACTING_SELF : work->how;

	return acting_begin(&work->guest->serve->self, how, work->request->caller, ret_acting);
}

void work_go(struct work *work)
{
	struct work *last = work;

	work->state = WORK_RUNNING;
	if (!work->handler->run_batch)
		return;
	for (int n = 1; n < WORK_BATCH_MAX; n++) {
		struct work *next = order_next_write(last);

		/* One that is not right says so in its own turn. */
		if (!next || next->handler->attempt(next) != WORK_BLOCKS)
			return;
		order_take_along(next);
		next->state = WORK_RUNNING;
		last->next = next;
		last = next;
	}
}

void work_run(struct work *work)
{
	if (work->next)
		work->handler->run_batch(work);
	else
		work->error = work->cancelled ? -EINTR : work->handler->run(work);
}

void work_done(struct work *work)
{
	struct work *next;

	for (; work; work = next) {
		next = work->next;
		work->next = NULL;
		work->state = WORK_PARKED;
		settle(work, work->error);
	}
}

static void end(struct work *work)
{
	struct guest *guest = work->guest;

	order_leave(&guest->order, work);
	unlink_guest(work);
	free(work->payload);
	free(work);
	if (guest->closing)
		guest_settle(guest);
}

void work_finish(struct work *work, int error)
{
	void *payload = work->payload;

	assert(error <= 0);
	if (error < 0) {
		request_fail(work->request, error);
	} else {
		work->payload = NULL;
		request_reply(work->request, &work->result, payload ? free : NULL, payload);
	}
	end(work);
}

void work_finish_answered(struct work *work)
{
	end(work);
}

void work_leave_order(struct work *work)
{
	order_leave(&work->guest->order, work);
}

void work_cancel(struct work *work)
{
	work->cancelled = true;
	switch (work->state) {
	case WORK_QUEUED:
		pool_withdraw(&work->guest->queue, work);
		if (work->room) { /* it was under way before: the handler knows what it holds */
			work->state = WORK_PARKED;
			settle(work, -EINTR);
			return;
		}
		/* fall through */
	case WORK_ORDERED:
		work_finish(work, -EINTR);
		return;
	case WORK_RUNNING:
		return;
	case WORK_PARKED:
		if (work->handler->cancel)
			work->handler->cancel(work);
		return;
	}
}
