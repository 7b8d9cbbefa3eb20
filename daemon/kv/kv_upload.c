/*
 * Uploads: values that come in parts, in memory until they are set. A session has few at once; the
 * first part of one more waits until another is set, or was not touched for IDLE_MS: then who made
 * it has gone. Each may become as large as a value, so those under way never wait for each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kv/kv_private.h"

#define UPLOADS       4 /* of a peer */
#define UPLOADS_LOCAL 16
#define IDLE_MS       30000
#define LOOK_MS       5000

struct kv_upload {
	TAILQ_ENTRY(kv_upload) entry;
	uint64_t number;
	struct buffer data;
	uint64_t used_at; /* ms */
};

struct kv_stage {
	TAILQ_ENTRY(kv_stage) entry;
	struct request *request;
};

static struct kv_upload *find(struct kv_guest *guest, uint64_t number)
{
	struct kv_upload *upload;

	TAILQ_FOREACH(upload, &guest->uploads, entry)
	if (upload->number == number)
		return upload;
	return NULL;
}

static void upload_free(struct kv_guest *guest, struct kv_upload *upload)
{
	TAILQ_REMOVE(&guest->uploads, upload, entry);
	guest->n_uploads--;
	buffer_deinit(&upload->data);
	free(upload);
}

static struct kv_upload *upload_new(struct kv_guest *guest, uint64_t number)
{
	struct kv_upload *upload = calloc(1, sizeof(*upload));

	if (!upload)
		return NULL;
	upload->number = number;
	upload->data.limit = OPS_KV_VALUE_MAX;
	TAILQ_INSERT_TAIL(&guest->uploads, upload, entry);
	guest->n_uploads++;
	if (!uv_is_active((uv_handle_t *)&guest->kv->idle))
		uv_timer_start(&guest->kv->idle, kv_upload_on_idle, LOOK_MS, LOOK_MS);
	return upload;
}

/* What came already is left out: a part may come twice. */
static int take_part(struct kv_guest *guest, struct kv_upload *upload,
		     const struct args_kv_stage *args)
{
	struct bytes part = args->part;
	size_t known;
	int r;

	if (args->offset > upload->data.size)
		return -EINVAL;
	known = upload->data.size - (size_t)args->offset;
	if (known >= part.size)
		return 0;
	r = buffer_append(&upload->data, part.data + known, part.size - known);
	upload->used_at = uv_now(guest->kv->options.loop);
	TAILQ_REMOVE(&guest->uploads, upload, entry);
	TAILQ_INSERT_TAIL(&guest->uploads, upload, entry);
	return r == -EMSGSIZE ? -EFBIG : r;
}

static void stage(struct kv_guest *guest, struct request *request)
{
	const struct args_kv_stage *args = request->args;
	struct kv_upload *upload = find(guest, args->upload);
	struct result_kv_stage result;
	int r;

	if (!upload && args->offset > 0)
		r = -ENOKEY;
	else if (!upload && !(upload = upload_new(guest, args->upload)))
		r = -ENOMEM;
	else
		r = take_part(guest, upload, args);
	if (r < 0) {
		if (upload)
			upload_free(guest, upload);
		request_fail(request, r);
		return;
	}
	result.end = upload->data.size;
	request_reply(request, &result, NULL, NULL);
}

static bool has_room(const struct kv_guest *guest)
{
	return guest->n_uploads < (guest->is_local ? UPLOADS_LOCAL : UPLOADS);
}

static struct request *take_first(struct kv_guest *guest)
{
	struct kv_stage *first = TAILQ_FIRST(&guest->waiting);
	struct request *request = first->request;

	TAILQ_REMOVE(&guest->waiting, first, entry);
	request->room = NULL;
	free(first);
	return request;
}

static void let_in(struct kv_guest *guest)
{
	while (has_room(guest) && !TAILQ_EMPTY(&guest->waiting))
		stage(guest, take_first(guest));
}

void kv_upload_handle(struct kv_guest *guest, struct request *request)
{
	const struct args_kv_stage *args = request->args;
	struct kv_stage *waiting;

	if (args->upload == 0) {
		request_fail(request, -EINVAL);
		return;
	}
	if (args->offset > 0 || find(guest, args->upload) ||
	    (has_room(guest) && TAILQ_EMPTY(&guest->waiting))) {
		stage(guest, request);
		return;
	}
	waiting = calloc(1, sizeof(*waiting));
	if (!waiting) {
		request_fail(request, -ENOMEM);
		return;
	}
	waiting->request = request;
	request->room = waiting;
	TAILQ_INSERT_TAIL(&guest->waiting, waiting, entry);
}

void kv_upload_cancel(struct kv_guest *guest, struct request *request)
{
	struct kv_stage *waiting = request->room;

	if (!waiting)
		return;
	TAILQ_REMOVE(&guest->waiting, waiting, entry);
	request->room = NULL;
	free(waiting);
	request_fail(request, -EINTR);
}

int kv_upload_take(struct kv_guest *guest, uint64_t number, uint8_t **ret_data, size_t *ret_size)
{
	struct kv_upload *upload = find(guest, number);

	if (!upload)
		return -ENOKEY;
	*ret_data = upload->data.data;
	*ret_size = upload->data.size;
	upload->data = (struct buffer){0};
	upload_free(guest, upload);
	let_in(guest);
	return 0;
}

void kv_upload_end(struct kv_guest *guest)
{
	struct kv_upload *upload;

	while (!TAILQ_EMPTY(&guest->waiting))
		request_fail(take_first(guest), -ENOTCONN);
	while ((upload = TAILQ_FIRST(&guest->uploads)))
		upload_free(guest, upload);
}

void kv_upload_on_idle(uv_timer_t *timer)
{
	struct kv *kv = timer->data;
	uint64_t now = uv_now(kv->options.loop);
	struct kv_upload *upload;
	struct kv_guest *guest;
	bool any = false;

	LIST_FOREACH(guest, &kv->all_guests, entry)
	{
		while ((upload = TAILQ_FIRST(&guest->uploads)) && now - upload->used_at >= IDLE_MS)
			upload_free(guest, upload);
		let_in(guest);
		any = any || guest->n_uploads > 0;
	}
	if (!any)
		uv_timer_stop(timer);
}
