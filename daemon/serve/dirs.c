/*
 * READDIR: the whole directory, in batches; with attributes, or names alone.
 *
 *     run: a batch ─→ settle: all of it? ─→ reply
 *                       └ no: reply, and a stream:  run: a batch ─→ write what there is room for
 *                                                     ↑               │ all written
 *                                                     └───────────────┘      … end
 *
 * At most one batch is in memory; `ready` continues when the peer has given credit. A broken stream
 * ends the work when it comes back from the pool, or at once if it is waiting.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/serve/deny.h"
#include "daemon/serve/wire_entries.h"
#include "daemon/serve/node_walk.h"
#include "daemon/serve/serve_private.h"
#include "proto/codec.h"

#define BATCH       (60 * 1024) /* a batch is full above it; entries are below 5 KiB */
#define RAW_SIZE    (32 * 1024)
#define ENTRY_LEAST 16 /* bytes that an entry takes, about; less than that leaves room */

struct listing {
	struct held dir;
	int fd; /* open for reading */
	bool eof;
	uint64_t at;        /* where the next of raw stands */
	uint64_t n_entries; /* that went out with their attributes */
	size_t next_export; /* of NODE_TOP */
	char raw[RAW_SIZE]; /* from getdents64 */
	size_t raw_at, raw_size;
	/* the batch */
	struct buffer out;
	uint32_t ends[BATCH / ENTRY_LEAST + 1]; /* of each entry in out */
	size_t n_ends, n_sent;
	bool is_names; /* it is of dir_names */
	/* on the loop */
	struct request_stream *stream;
	bool streaming, broken, writing;
};

static int begin(struct work *work, struct listing *listing)
{
	const struct args_readdir *args = work->args;
	int error = nodes_hold_any(&work->guest->nodes, args->node, &listing->dir);

	if (error < 0)
		return error;
	if (!listing->dir.is_dir)
		return -ENOTDIR;
	error = wire_entries_attr_of(&listing->dir, &work->result.readdir.attr);
	if (error < 0 || listing->dir.fd < 0)
		return error;
	listing->fd = confine_open_dir(listing->dir.fd);
	if (listing->fd < 0)
		return listing->fd;
	if (args->from > INT64_MAX ||
	    (args->from && lseek(listing->fd, (off_t)args->from, SEEK_SET) < 0))
		return -EINVAL;
	listing->at = args->from;
	return 0;
}

static int append(struct listing *listing, const struct record *record, const void *value)
{
	int error = codec_encode(record, value, &listing->out, NULL);

	if (error < 0)
		return error;
	listing->ends[listing->n_ends++] = (uint32_t)listing->out.size;
	return 0;
}

static bool full(const struct listing *listing)
{
	return listing->out.size >= BATCH ||
	       listing->n_ends == sizeof(listing->ends) / sizeof(listing->ends[0]);
}

/* Looks at one name; one that is hidden, or gone since, is left out. */
static int add(struct listing *listing, const struct dirent64 *raw)
{
	const struct held *dir = &listing->dir;
	struct mounts *mounts = dir->nodes->mounts;
	struct dir_entry value = {
	    .name = {.data = (const uint8_t *)raw->d_name, .size = strlen(raw->d_name)}};
	LOOK look = LOOK_NULL;
	void *target = NULL;
	int error = raw->d_type == DT_LNK
			? confine_look(mounts, dir->fd, raw->d_name, &look)
			: confine_look_listed(mounts, dir->fd, raw->d_name, raw->d_ino, &look);

	if (error == -ENOENT)
		return 0;
	if (deny_hides(dir->export->deny, &dir->identity, raw->d_name,
		       error == 0 ? &look.identity : NULL))
		return 0;
	if (error == 0)
		error = wire_entries_enter(dir, raw->d_name, &look, false, &value.entry, &target);
	if (error < 0) {
		value.entry = (struct entry){0};
		value.entry.attr.ino = raw->d_ino;
		value.entry.attr.mode = DTTOIF(raw->d_type);
	}
	error = append(listing, &dir_entry_record, &value);
	listing->n_entries++;
	free(target);
	return error;
}

/* The name alone; it is looked at only where that decides whether it is hidden, or for its type. */
static int add_name(struct listing *listing, const struct dirent64 *raw, uint64_t at)
{
	const struct held *dir = &listing->dir;
	struct dir_name value = {
	    .name = {.data = (const uint8_t *)raw->d_name, .size = strlen(raw->d_name)},
	    .ino = raw->d_ino,
	    .mode = DTTOIF(raw->d_type),
	    .at = at};
	LOOK look = LOOK_NULL;
	int error;

	if (raw->d_type == DT_UNKNOWN ||
	    deny_may_hide(dir->export->deny, &dir->identity, raw->d_name, raw->d_ino)) {
		error = confine_look(dir->nodes->mounts, dir->fd, raw->d_name, &look);
		if (error == -ENOENT || deny_hides(dir->export->deny, &dir->identity, raw->d_name,
						   error == 0 ? &look.identity : NULL))
			return 0;
		if (error == 0)
			value.mode = look.stx.stx_mode & S_IFMT;
	}
	return append(listing, &dir_name_record, &value);
}

static int add_exports(struct listing *listing)
{
	struct nodes *nodes = listing->dir.nodes;

	while (listing->next_export < nodes->exports->n && !full(listing)) {
		const struct export *export = &nodes->exports->items[listing->next_export++];
		struct dir_entry value = {
		    .name = {.data = (uint8_t *)export->name, .size = strlen(export->name)}};
		LOOK look = LOOK_NULL;
		int error = node_walk_export(nodes->mounts, export, &look);

		if (error == 0) {
			wire_entries_attr(&look, &value.entry.attr);
			error = nodes_enter_export(nodes, export, &look, &value.entry.node);
		}
		if (error == 0)
			error = append(listing, &dir_entry_record, &value);
		else if (error != -ENOMEM)
			error = 0; /* its path is missing now */
		if (error < 0)
			return error;
	}
	listing->eof = listing->next_export == nodes->exports->n;
	return 0;
}

static int refill(struct listing *listing)
{
	ssize_t n = getdents64(listing->fd, listing->raw, sizeof(listing->raw));

	if (n < 0 && errno == ENOENT)
		n = 0; /* it was removed: empty, as readdir(3) has it */
	if (n < 0)
		return -errno;
	listing->raw_at = 0;
	listing->raw_size = (size_t)n;
	listing->eof = n == 0;
	return 0;
}

static int add_names(struct work *work, struct listing *listing)
{
	int error = 0;

	while (error == 0 && !listing->eof && !full(listing)) {
		const struct dirent64 *raw = (const void *)(listing->raw + listing->raw_at);
		uint64_t at = listing->at;

		if (work->cancelled)
			return -EINTR;
		if (listing->raw_at == listing->raw_size) {
			error = refill(listing);
			continue;
		}
		listing->raw_at += raw->d_reclen;
		listing->at = (uint64_t)raw->d_off;
		if (strcmp(raw->d_name, ".") == 0 || strcmp(raw->d_name, "..") == 0 ||
		    strlen(raw->d_name) > OPS_NAME_MAX)
			continue;
		error = listing->is_names ? add_name(listing, raw, at) : add(listing, raw);
	}
	return error;
}

static int do_readdir(struct work *work)
{
	const struct args_readdir *args = work->args;
	struct listing *listing = work->room;
	int error = 0;

	if (!listing) {
		listing = calloc(1, sizeof(*listing));
		if (!listing)
			return -ENOMEM;
		listing->dir = HELD_NULL;
		listing->fd = -1;
		listing->out.limit = OPS_DIR_BATCH_MAX;
		work->room = listing;
		error = begin(work, listing);
	}
	if (error < 0)
		return error;
	listing->out.size = 0;
	listing->n_ends = listing->n_sent = 0;
	listing->is_names = args->n_entries && listing->n_entries >= args->n_entries;
	if (listing->dir.kind == NODE_TOP)
		return add_exports(listing);
	if (listing->dir.kind == NODE_HOLLOW) {
		listing->eof = true;
		return 0;
	}
	return add_names(work, listing);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void listing_free(struct work *work)
{
	struct listing *listing = work->room;

	work->room = NULL;
	if (!listing)
		return;
	nodes_release(&listing->dir);
	if (listing->fd >= 0)
		close(listing->fd);
	buffer_deinit(&listing->out);
	free(listing);
}

static void end_stream(struct work *work, int error)
{
	struct listing *listing = work->room;

	if (!listing->broken)
		request_stream_end(listing->stream, error);
	listing_free(work);
	work_finish_answered(work);
}

/* Sends whole entries, as many as there is room for. Returns 0 or why the stream is of no use. */
static int write_some(struct listing *listing)
{
	while (listing->n_sent < listing->n_ends && !listing->broken) {
		size_t room = request_stream_room(listing->stream);
		size_t from = listing->n_sent > 0 ? listing->ends[listing->n_sent - 1] : 0;
		size_t n = listing->n_sent;
		int error;

		while (n < listing->n_ends && listing->ends[n] - from <= room)
			n++;
		if (n == listing->n_sent) /* ready will come */
			return 0;
		error = request_stream_write(
		    listing->stream, listing->is_names ? READDIR_NAMES : READDIR_ENTRIES,
		    (struct bytes){listing->out.data + from, listing->ends[n - 1] - from});
		if (error < 0)
			return error;
		listing->n_sent = n;
	}
	return 0;
}

static void pump(struct work *work)
{
	struct listing *listing = work->room;
	int error;

	if (listing->writing)
		return;
	listing->writing = true;
	error = write_some(listing);
	listing->writing = false;
	if (error < 0 || listing->broken)
		end_stream(work, error);
	else if (listing->n_sent < listing->n_ends)
		return;
	else if (listing->eof)
		end_stream(work, 0);
	else
		work_again(work);
}

static void ready(void *arg, int error)
{
	struct work *work = arg;
	struct listing *listing = work->room;

	if (error < 0) {
		listing->broken = true;
		work->cancelled = true;
	}
	if (work->state == WORK_PARKED && !listing->writing && listing->streaming)
		pump(work);
}

static void settle(struct work *work, int error)
{
	struct listing *listing = work->room;
	struct result_readdir *result = &work->result.readdir;

	if (error < 0) {
		if (listing && listing->stream) {
			end_stream(work, error);
		} else {
			listing_free(work);
			work_finish(work, error);
		}
		return;
	}
	if (listing->stream) {
		pump(work);
		return;
	}
	result->more = !listing->eof;
	result->entries = (struct bytes){.data = listing->out.data, .size = listing->out.size};
	if (!result->more) {
		work->payload = listing->out.data;
		listing->out = (struct buffer){0};
		listing_free(work);
		work_finish(work, 0);
		return;
	}
	work_leave_order(work);
	listing->stream = request_reply_stream(work->request, result, ready, work);
	listing->streaming = true;
	if (listing->broken)
		end_stream(work, 0);
	else
		work_again(work);
}

const struct work_handler dirs_handlers[] = {
    {.op = OP_READDIR, .order = ORDER_READ, .run = do_readdir, .settle = settle},
    {.op = 0},
};
