/*
 * Lines gather in `waiting`. If no request is under way, `waiting` becomes the request's `writing`
 * and goes to the store's thread; when that is done, whatever gathered meanwhile goes next. So one
 * request is under way at most, and the thread never touches what the loop appends to.
 */
#include "daemon/audit.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/audit_file.h"
#include "daemon/json_text.h"
#include "daemon/log.h"
#include "daemon/store_thread.h"

#define FLUSH_MS      60000
#define COUNTS_MAX    256 /* operations by number; the table of operations has fewer */
#define PEER_TEXT_MAX 256 /* bytes of a peer or outcome that are kept */

enum outcome { OUTCOME_OK, OUTCOME_FAILED, OUTCOME_DENIED, OUTCOMES };
static const char *const outcome_names[] = {"ok", "failed", "denied"};

struct audit_counts {
	struct audit *audit;
	struct audit_counts *next; /* in audit->counts */
	char *peer;
	struct {
		const char *name;
		uint64_t n[OUTCOMES];
		bool is_told; /* a line said that it was denied, since the last flush */
	} operations[COUNTS_MAX];
};

struct audit {
	struct store_request request;
	struct store_thread *thread;
	char *path;
	int64_t max_size, keep;
	char *waiting, *writing; /* AUDIT_BUFFER_MAX bytes, allocated while needed */
	size_t n_waiting, n_writing;
	uint64_t n_lost; /* lines for which there was no room */
	bool busy;       /* the request is under way */
	bool failed;     /* the last write failed: logged once */
	bool closing;
	uv_timer_t timer;
	struct audit_counts *counts;
	void (*closed)(void *data);
	void *closed_data;
};

static void start_request(struct audit *audit);

/* Appends to what is waiting; false if there is no room. */
static bool append(struct audit *audit, const char *line, size_t n)
{
	if (!audit->waiting)
		audit->waiting = malloc(AUDIT_BUFFER_MAX);
	if (!audit->waiting || n + 1 > AUDIT_BUFFER_MAX - audit->n_waiting)
		return false;
	memcpy(audit->waiting + audit->n_waiting, line, n);
	audit->waiting[audit->n_waiting + n] = '\n';
	audit->n_waiting += n + 1;
	return true;
}

static json_t *bounded_text(const char *text)
{
	return json_text_bytes(text, strnlen(text, PEER_TEXT_MAX));
}

/* The line without newline, to be freed; NULL if there is no memory. Takes detail over. */
static char *format_line(const char *peer, const char *what, const char *outcome,
			 int64_t duration_ms, json_t *detail)
{
	/* ASCII only, so that no escape or direction mark of a peer reaches a terminal. */
	const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII;
	json_t *object = json_object();
	struct timespec now;
	char date[32], stamp[48], *line;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp, sizeof(stamp), "%s.%03ldZ", date, now.tv_nsec / 1000000);
	json_object_set_new(object, "time", json_string(stamp));
	json_object_set_new(object, "peer", peer ? bounded_text(peer) : json_null());
	json_object_set_new(object, "what", bounded_text(what));
	json_object_set_new(object, "outcome", bounded_text(outcome));
	if (duration_ms >= 0)
		json_object_set_new(object, "duration_ms", json_integer(duration_ms));
	if (detail)
		json_object_set_new(object, "detail", detail);
	line = json_dumps(object, flags);
	if (line && strlen(line) >= AUDIT_LINE_MAX) {
		free(line);
		json_object_set_new(object, "detail", json_string("too long"));
		line = json_dumps(object, flags);
	}
	json_decref(object);
	return line;
}

static void note_lost(struct audit *audit)
{
	json_t *detail = json_pack("{s:I}", "lines", (json_int_t)audit->n_lost);
	char *line = format_line(NULL, "audit", "lost", -1, detail);

	if (line && append(audit, line, strlen(line)))
		audit->n_lost = 0;
	free(line);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct audit *audit = handle->data;

	if (audit->closed)
		audit->closed(audit->closed_data);
	free(audit->waiting);
	free(audit->writing);
	free(audit->path);
	free(audit);
}

/* On the store's thread. */
static int run(struct store_request *request, sqlite3 *db)
{
	struct audit *audit = (struct audit *)request;

	(void)db;
	return audit_file_append(audit->path, audit->writing, audit->n_writing, audit->max_size,
				 audit->keep);
}

static void done(struct store_request *request, int status)
{
	struct audit *audit = (struct audit *)request;

	if (status < 0 && !audit->failed)
		log_error("audit", "file=%s error=%s", LOG_VALUE(audit->path),
			  LOG_VALUE(strerror(-status)));
	audit->failed = status < 0;
	audit->busy = false;
	free(audit->writing);
	audit->writing = NULL;
	start_request(audit);
}

static void start_request(struct audit *audit)
{
	if (audit->busy)
		return;
	/* With the buffer still full this fails, and comes again when the buffer is written. */
	if (audit->n_lost > 0)
		note_lost(audit);
	if (audit->n_waiting > 0) {
		audit->writing = audit->waiting;
		audit->n_writing = audit->n_waiting;
		audit->waiting = NULL;
		audit->n_waiting = 0;
		audit->request = (struct store_request){.run = run, .done = done, .plain = true};
		if (store_thread_submit(audit->thread, &audit->request) == 0) {
			audit->busy = true;
			return;
		}
		log_error("audit", "error=\"the store is closed\"");
		free(audit->writing);
		audit->writing = NULL;
	}
	if (audit->closing && !uv_is_closing((uv_handle_t *)&audit->timer))
		uv_close((uv_handle_t *)&audit->timer, on_timer_closed);
}

void audit_write(struct audit *audit, const char *peer, const char *what, const char *outcome,
		 int64_t duration_ms, json_t *detail)
{
	char *line;

	if (!audit) {
		json_decref(detail);
		return;
	}
	line = format_line(peer, what, outcome, duration_ms, detail);
	if (!line || !append(audit, line, strlen(line))) {
		if (audit->n_lost++ == 0)
			log_warning("audit", "error=\"lines are lost: the disk is too slow\"");
	}
	free(line);
	start_request(audit);
}

/* --- file operations -------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
	audit_flush_counts(timer->data);
}

struct audit_counts *audit_counts_new(struct audit *audit, const char *peer)
{
	struct audit_counts *counts;

	if (!audit)
		return NULL;
	counts = calloc(1, sizeof(*counts));
	if (!counts)
		return NULL;
	counts->audit = audit;
	counts->peer = strndup(peer, PEER_TEXT_MAX);
	if (!counts->peer) {
		free(counts);
		return NULL;
	}
	counts->next = audit->counts;
	audit->counts = counts;
	return counts;
}

static void flush_outcome(struct audit_counts *counts, enum outcome outcome)
{
	json_t *detail = NULL;

	for (size_t i = 0; i < COUNTS_MAX; i++) {
		uint64_t n = counts->operations[i].n[outcome];

		if (n == 0)
			continue;
		if (!detail)
			detail = json_object();
		json_object_set_new(detail, counts->operations[i].name, json_integer((int64_t)n));
		counts->operations[i].n[outcome] = 0;
	}
	if (detail)
		audit_write(counts->audit, counts->peer, "files", outcome_names[outcome], -1,
			    detail);
}

static void flush(struct audit_counts *counts)
{
	for (enum outcome outcome = OUTCOME_OK; outcome < OUTCOMES; outcome++)
		flush_outcome(counts, outcome);
	for (size_t i = 0; i < COUNTS_MAX; i++)
		counts->operations[i].is_told = false;
}

struct audit_counts *audit_counts_free(struct audit_counts *counts)
{
	struct audit_counts **link;

	if (!counts)
		return NULL;
	flush(counts);
	for (link = &counts->audit->counts; *link != counts; link = &(*link)->next)
		;
	*link = counts->next;
	free(counts->peer);
	free(counts);
	return NULL;
}

static void start_timer(struct audit *audit)
{
	if (!uv_is_active((uv_handle_t *)&audit->timer) && !audit->closing)
		uv_timer_start(&audit->timer, on_timer, FLUSH_MS, 0);
}

void audit_counts_add(struct audit_counts *counts, uint16_t number, const char *name, int status)
{
	if (!counts || number >= COUNTS_MAX)
		return;
	counts->operations[number].name = name;
	counts->operations[number].n[status < 0 ? OUTCOME_FAILED : OUTCOME_OK]++;
	start_timer(counts->audit);
}

void audit_counts_deny(struct audit_counts *counts, uint16_t number, const char *name)
{
	if (!counts || number >= COUNTS_MAX)
		return;
	counts->operations[number].name = name;
	start_timer(counts->audit);
	if (counts->operations[number].is_told) {
		counts->operations[number].n[OUTCOME_DENIED]++;
		return;
	}
	counts->operations[number].is_told = true;
	audit_write(counts->audit, counts->peer, name, "denied", -1, NULL);
}

void audit_flush_counts(struct audit *audit)
{
	if (!audit)
		return;
	for (struct audit_counts *counts = audit->counts; counts; counts = counts->next)
		flush(counts);
}

/* --- life ------------------------------------------------------------------------------------- */

int audit_new(uv_loop_t *loop, struct store_thread *thread, const char *path, int64_t max_size,
	      int64_t keep, struct audit **ret_audit)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (!audit)
		return -ENOMEM;
	audit->path = strdup(path);
	if (!audit->path) {
		free(audit);
		return -ENOMEM;
	}
	audit->thread = thread;
	audit->max_size = max_size;
	audit->keep = keep;
	uv_timer_init(loop, &audit->timer);
	uv_unref((uv_handle_t *)&audit->timer);
	audit->timer.data = audit;
	*ret_audit = audit;
	return 0;
}

void audit_close(struct audit *audit, void (*closed)(void *data), void *data)
{
	assert(!audit->counts && !audit->closing);
	audit->closing = true;
	audit->closed = closed;
	audit->closed_data = data;
	start_request(audit);
}
