/*
 * GET, STAT and LIST: on the reader's thread. A value that does not fit into the reply follows it
 * as a stream, out of one copy, which nobody changes any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/kv/kv_private.h"
#include "daemon/wall_clock.h"

#define PAGE_SIZE (96 * 1024) /* bytes of entries: with one more it still fits a frame */

struct kv_reading {
	struct store_request store;
	struct kv *kv;
	struct request *request;
	struct kv_meta meta;
	uint8_t *value; /* of GET; owned */
	struct result_kv_list list;
	struct buffer entries;
};

/* A value on its way out: it goes when its stream has ended and nothing of it is lent any more. */
struct kv_outgoing {
	struct request_stream *stream; /* NULL: it has ended */
	unsigned n_lent;
	uint8_t *value;
	size_t size, sent;
};

/* --- a value as a stream ---------------------------------------------------------------------- */

static void outgoing_settle(struct kv_outgoing *outgoing)
{
	if (outgoing->stream || outgoing->n_lent > 0)
		return;
	free(outgoing->value);
	free(outgoing);
}

static void on_returned(void *arg)
{
	struct kv_outgoing *outgoing = arg;

	outgoing->n_lent--;
	outgoing_settle(outgoing);
}

static int lend_next(struct kv_outgoing *outgoing)
{
	size_t n = request_stream_room(outgoing->stream), left = outgoing->size - outgoing->sent;
	int r;

	if (n > left)
		n = left;
	if (n > FRAME_STREAM_DATA_MAX)
		n = FRAME_STREAM_DATA_MAX;
	if (n == 0)
		return 0;
	outgoing->n_lent++;
	r = request_stream_lend(outgoing->stream, 0,
				(struct bytes){outgoing->value + outgoing->sent, n}, on_returned,
				outgoing);
	if (r < 0) {
		outgoing->n_lent--;
		return r;
	}
	outgoing->sent += n;
	return 1;
}

static void outgoing_pump(struct kv_outgoing *outgoing)
{
	struct request_stream *stream = outgoing->stream;
	int r = 1;

	while (r > 0 && outgoing->sent < outgoing->size)
		r = lend_next(outgoing);
	if (r == 0)
		return; /* until there is credit */
	outgoing->stream = NULL;
	request_stream_end(stream, r < 0 ? r : 0);
	outgoing_settle(outgoing);
}

static void on_ready(void *arg, int error)
{
	struct kv_outgoing *outgoing = arg;

	if (error < 0) {
		outgoing->stream = NULL;
		outgoing_settle(outgoing);
	} else if (outgoing->stream) {
		outgoing_pump(outgoing);
	}
}

/* Takes the value over. */
static void reply_stream(struct kv_reading *reading, struct result_kv_get *result)
{
	struct kv_outgoing *outgoing = calloc(1, sizeof(*outgoing));
	struct request_stream *stream;

	if (!outgoing) {
		request_fail(reading->request, -ENOMEM);
		return;
	}
	outgoing->value = reading->value;
	outgoing->size = (size_t)reading->meta.size;
	reading->value = NULL;
	result->more = true;
	stream = request_reply_stream(reading->request, result, on_ready, outgoing);
	if (!stream)
		return; /* on_ready has been told */
	outgoing->stream = stream;
	outgoing_pump(outgoing);
}

/* --- on the reader's thread ------------------------------------------------------------------- */

static int append(struct kv_reading *reading, const struct kv_meta *meta, int64_t now_ns)
{
	struct kv_entry entry = kv_sql_entry(meta, now_ns);

	return codec_list_append(&reading->list.entries, &reading->entries, &kv_entry_record,
				 &entry);
}

/* The version is read first: what changes meanwhile has a higher one, and is told again. */
static int run_list(struct kv_reading *reading, struct kv_sql *sql, int64_t now_ns)
{
	const struct args_kv_list *args = reading->request->args;
	struct kv_meta *meta = &reading->meta;
	int r = kv_sql_version(sql, &reading->list.version);

	if (r == 0)
		r = kv_sql_list(sql, args->prefix, args->after, now_ns);
	if (r < 0)
		return r;
	while ((r = kv_sql_list_next(sql, meta)) == 0) {
		if (reading->list.entries.n >= args->limit || reading->entries.size >= PAGE_SIZE) {
			reading->list.rest = true;
			break;
		}
		r = append(reading, meta, now_ns);
		if (r < 0)
			break;
	}
	kv_sql_list_end(sql);
	codec_list_finish(&reading->list.entries, &reading->entries);
	return r == -ENOENT ? 0 : r;
}

static int run(struct store_request *request, sqlite3 *db)
{
	struct kv_reading *reading = (struct kv_reading *)request;
	const struct args_kv_stat *stat = reading->request->args;
	const struct args_kv_get *get = reading->request->args;
	struct kv_sql *sql = &reading->kv->reading;
	int64_t now_ns = wall_clock_ns();

	sql->db = db;
	switch (reading->request->op->number) {
	case OP_KV_GET:
		return kv_sql_get(sql, get->key, now_ns, &reading->meta, &reading->value);
	case OP_KV_STAT:
		return kv_sql_get(sql, stat->key, now_ns, &reading->meta, NULL);
	default:
		return run_list(reading, sql, now_ns);
	}
}

/* --- back on the loop ------------------------------------------------------------------------- */

static void answer(struct kv_reading *reading)
{
	struct kv_entry entry;
	struct result_kv_get get;

	switch (reading->request->op->number) {
	case OP_KV_GET:
		entry = kv_sql_entry(&reading->meta, wall_clock_ns());
		get = (struct result_kv_get){.entry = entry};
		if (reading->meta.size > OPS_IO_MAX) {
			reply_stream(reading, &get);
			break;
		}
		get.value = (struct bytes){reading->value, (size_t)reading->meta.size};
		request_reply(reading->request, &get, free, reading->value);
		reading->value = NULL;
		break;
	case OP_KV_STAT:
		entry = kv_sql_entry(&reading->meta, wall_clock_ns());
		request_reply(reading->request, &(struct result_kv_stat){.entry = entry}, NULL,
			      NULL);
		break;
	default:
		request_reply(reading->request, &reading->list, NULL, NULL);
	}
}

static void done(struct store_request *request, int status)
{
	struct kv_reading *reading = (struct kv_reading *)request;
	struct kv *kv = reading->kv;

	if (status < 0)
		request_fail(reading->request, status);
	else
		answer(reading);
	free(reading->value);
	buffer_deinit(&reading->entries);
	free(reading);
	kv_drop(kv);
}

static int check(const struct request *request)
{
	const struct args_kv_list *list = request->args;
	const struct args_kv_stat *stat = request->args;
	const struct args_kv_get *get = request->args;

	switch (request->op->number) {
	case OP_KV_GET:
		return kv_sql_is_key(get->key) ? 0 : -EINVAL;
	case OP_KV_STAT:
		return kv_sql_is_key(stat->key) ? 0 : -EINVAL;
	default:
		return list->limit > 0 ? 0 : -EINVAL;
	}
}

void kv_read_handle(struct kv_guest *guest, struct request *request)
{
	struct kv_reading *reading = NULL;
	int r = check(request);

	if (r == 0) {
		reading = calloc(1, sizeof(*reading));
		r = reading ? 0 : -ENOMEM;
	}
	if (r == 0) {
		reading->store = (struct store_request){.run = run, .done = done, .reads = true};
		reading->kv = guest->kv;
		reading->request = request;
		r = store_thread_submit(guest->kv->options.reader, &reading->store);
	}
	if (r < 0) {
		free(reading);
		request_fail(request, r);
		return;
	}
	kv_hold(guest->kv);
}
