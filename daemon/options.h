#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/failure.h"
#include "daemon/log.h"

/*
 * What can be configured. options_table is the only place where an option is defined: the parser,
 * the defaults, loopsyd --print-config and loopsyctl config come from it, and loopsy.conf(5) is
 * compared with it by a test.
 */
enum options_symlinks { OPTIONS_SYMLINKS_CONTAIN, OPTIONS_SYMLINKS_RAW };

enum options_source { OPTIONS_SOURCE_DEFAULT, OPTIONS_SOURCE_FILE, OPTIONS_SOURCE_COMMAND_LINE };

#define OPTIONS_MAX 64 /* at least as many as there are rows in options_table */

/* A directory that peers may enter: a section [export NAME]. */
struct options_export {
	char *name;
	char *path;
	bool read_only;
	char **deny; /* absolute */
	size_t n_deny;
	int64_t line; /* of its section, 0 for the default export */
	bool has_mode;
};

struct options {
	char *name; /* "" is the host's */
	int64_t port;
	bool lan;
	bool mdns;
	int64_t log_level; /* enum log_level */
	uint16_t allow;    /* enum permission: for newly paired peers */

	char *mount; /* "" is paths->mount */
	bool allow_other;
	int64_t symlinks; /* enum options_symlinks */
	int64_t attr_timeout_ms;
	int64_t read_ahead_max;   /* bytes of one open file */
	int64_t write_behind_max; /* bytes of one peer */

	int64_t io_timeout_ms;
	int64_t session_grace_ms;

	/* What one peer may hold here, per session. */
	int64_t max_nodes;
	int64_t max_open_files;
	int64_t max_streams;
	int64_t max_calls;
	int64_t max_write_bytes;

	/* Programs that one peer runs here. */
	int64_t max_jobs;
	int64_t job_grace_ms;
	int64_t job_spool; /* bytes of one job */
	int64_t job_time_limit_ms;
	char *exec_allow, *exec_deny; /* names, separated by commas */

	/* Shared values that one machine may keep here. */
	int64_t kv_max_entries;
	int64_t kv_max_bytes; /* of keys and values */

	/* Messages: of one peer, in the inbox and in the outbox. */
	int64_t msg_max;
	int64_t msg_max_bytes;
	int64_t msg_ttl_ms;
	int64_t msg_keep_ms;

	int64_t pool_threads;
	int64_t audit_max_size; /* bytes of one file */
	int64_t audit_keep;     /* older files */

	struct options_export *exports;
	size_t n_exports;

	uint8_t source[OPTIONS_MAX];    /* enum options_source, by row of options_table */
	int64_t file_line[OPTIONS_MAX]; /* where the file sets it; 0 if it does not */
	char *home_dir;                 /* what ~ stands for */
};

enum options_type {
	OPTIONS_TEXT,        /* char *: a name of a peer, or "" */
	OPTIONS_PATH,        /* char *: absolute, or "" */
	OPTIONS_WORDS,       /* char *: file names, separated by commas, or "" */
	OPTIONS_BOOL,        /* bool */
	OPTIONS_NUMBER,      /* int64_t */
	OPTIONS_BYTES,       /* int64_t */
	OPTIONS_DURATION,    /* int64_t, milliseconds */
	OPTIONS_CHOICE,      /* int64_t, index into choices */
	OPTIONS_PERMISSIONS, /* uint16_t */
};

struct options_info {
	const char *name;
	enum options_type type;
	size_t offset;              /* in struct options */
	int64_t min, max;           /* NUMBER, BYTES, DURATION */
	const char *const *choices; /* CHOICE; NULL at the end */
	const char *standard;       /* the default, as it would be written */
	const char *text;           /* what it is: no full stop */
};

extern const struct options_info options_table[];
extern const size_t options_table_n;

/* The keys of a section [export NAME]; only name, standard and text are used. */
extern const struct options_info options_export_table[];
extern const size_t options_export_table_n;

/* All defaults and no export; home_dir is what ~ stands for. 0 or -ENOMEM. */
int options_new(const char *home_dir, struct options **ret_options);
struct options *options_free(struct options *options);

/* The row of that name, or -1. */
int options_find(const char *name);

/*
 * Sets one option from text, as in the file; for --port, --lan, --name. Returns 0, -ENOENT for an
 * unknown name, -EINVAL for a bad value, -ENOMEM; failure has the line.
 */
int options_set(struct options *options, const char *name, const char *value,
		enum options_source source, struct failure *failure);

/* Adds an export without deny; name and path are copied. 0 or -ENOMEM. */
int options_add_export(struct options *options, const char *name, const char *path);
/* Adds an absolute path to what the export denies, unless it is there. 0 or -ENOMEM. */
int options_export_deny(struct options_export *export, const char *path);

#endif
