#ifndef DAEMON_AUDIT_H
#define DAEMON_AUDIT_H

#include <jansson.h>
#include <stdint.h>
#include <uv.h>

/*
 * audit.jsonl: who did what here, a JSON object per line:
 *
 *     {"time": "2025-09-01T12:00:00.000Z", "peer": "desk", "what": "pair", "outcome": "ok",
 *      "duration_ms": 1200, "detail": {…}}
 *
 * File operations are counted and written once a minute: what is "files", detail has a count for
 * each operation. The first of a minute for which a permission is missing has a line of its own:
 * what is its name, outcome is "denied"; further ones are counted. Never contents. Lines are handed
 * to the store's thread, so that nothing here waits for a disk; a kill loses what was said in the
 * last moments before it. At max_size the file becomes audit.jsonl.1, and so on up to .keep.
 *
 * All functions are for the loop's thread; audit may be NULL: then nothing is written.
 */
struct audit;
struct store_thread;

#define AUDIT_LINE_MAX   4096
#define AUDIT_BUFFER_MAX (1024 * 1024) /* waiting for the disk; what comes on top is counted */

/* thread is borrowed until the audit is closed. 0 or -errno. */
int audit_new(uv_loop_t *loop, struct store_thread *thread, const char *path, int64_t max_size,
	      int64_t keep, struct audit **ret_audit);

/*
 * Writes the counts and what is waiting, frees, and calls closed(data) later. Before
 * store_close. All audit_counts must be freed.
 */
void audit_close(struct audit *audit, void (*closed)(void *data), void *data);

/*
 * Adds a line. peer is NULL for the local user; outcome is "ok", "denied" or an error; a negative
 * duration_ms is left out; detail is taken over and may be NULL. Text may be any bytes. A detail
 * that would make the line longer than AUDIT_LINE_MAX is left out.
 */
void audit_write(struct audit *audit, const char *peer, const char *what, const char *outcome,
		 int64_t duration_ms, json_t *detail);

/* The file operations of one peer. */
struct audit_counts;

/* NULL if audit is, or if there is no memory: all the functions take NULL. */
struct audit_counts *audit_counts_new(struct audit *audit, const char *peer);
/* Writes what is left. Returns NULL. */
struct audit_counts *audit_counts_free(struct audit_counts *counts);

/*
 * Counts one operation; number is its number in the table of operations, name its name there
 * (static), status 0 or a negative errno.
 */
void audit_counts_add(struct audit_counts *counts, uint16_t number, const char *name, int status);
/* The same for one that the peer has no permission for. */
void audit_counts_deny(struct audit_counts *counts, uint16_t number, const char *name);

/* What the timer does every minute while something is counted. */
void audit_flush_counts(struct audit *audit);

#endif
