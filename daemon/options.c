#include "daemon/options.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/option_value.h"
#include "daemon/peer_name.h"
#include "daemon/permissions.h"

#define KIB ((int64_t)1 << 10)
#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)
#define S   ((int64_t)1000)
#define H   (3600 * S)

static const char *const symlinks_choices[] = {"contain", "raw", NULL};
/* In the order of enum log_level. */
static const char *const log_level_choices[] = {"error", "warning", "info", "debug", NULL};

#define AT(field) offsetof(struct options, field)

const struct options_info options_table[] = {
    {"name", OPTIONS_TEXT, AT(name), 0, 0, NULL, "",
     "name of this machine, as it is offered to peers; empty is the host name"},
    {"port", OPTIONS_NUMBER, AT(port), 0, 65535, NULL, "19532",
     "TCP port for peers; 0 takes a free one"},
    {"lan", OPTIONS_BOOL, AT(lan), 0, 0, NULL, "no",
     "listen on all addresses, not only on 127.0.0.1"},
    {"mdns", OPTIONS_BOOL, AT(mdns), 0, 0, NULL, "yes",
     "find other machines, and with lan announce this one, through avahi"},
    {"log_level", OPTIONS_CHOICE, AT(log_level), 0, 0, log_level_choices, "info",
     "what is logged: error, warning, info or debug"},
    {"allow", OPTIONS_PERMISSIONS, AT(allow), 0, 0, NULL, "fs:rw,exec,kv,msg",
     "what a newly paired peer may do"},

    {"mount", OPTIONS_PATH, AT(mount), 0, 0, NULL, "", "where the peers appear; empty is ~/loopsy"},
    {"allow_other", OPTIONS_BOOL, AT(allow_other), 0, 0, NULL, "no",
     "let all users of this machine into the mount"},
    {"symlinks", OPTIONS_CHOICE, AT(symlinks), 0, 0, symlinks_choices, "contain",
     "contain refuses links that lead out of a peer's directory; raw shows all as they are"},
    {"attr_timeout", OPTIONS_DURATION, AT(attr_timeout_ms), 0, H, NULL, "1s",
     "how long names and attributes are cached"},
    {"read_ahead_max", OPTIONS_BYTES, AT(read_ahead_max), 0, GIB, NULL, "32M",
     "bytes that are read ahead for one open file"},
    {"write_behind_max", OPTIONS_BYTES, AT(write_behind_max), 128 * KIB, GIB, NULL, "16M",
     "bytes written but not yet acknowledged by one peer"},

    {"io_timeout", OPTIONS_DURATION, AT(io_timeout_ms), 100, 24 * H, NULL, "30s",
     "how long a call waits for a peer whose link is lost"},
    {"session_grace", OPTIONS_DURATION, AT(session_grace_ms), 0, 24 * H, NULL, "60s",
     "how long open files outlive a link"},

    {"max_nodes", OPTIONS_NUMBER, AT(max_nodes), 1000, 100000000, NULL, "1000000",
     "files and directories that one peer may have in use here"},
    {"max_open_files", OPTIONS_NUMBER, AT(max_open_files), 16, 1000000, NULL, "4096",
     "files that one peer may have open here"},
    {"max_streams", OPTIONS_NUMBER, AT(max_streams), 4, 65536, NULL, "256",
     "streams that one peer may have here"},
    {"max_calls", OPTIONS_NUMBER, AT(max_calls), 16, 65536, NULL, "1024",
     "calls of one peer that may be under way here"},
    {"max_write_bytes", OPTIONS_BYTES, AT(max_write_bytes), 128 * KIB, GIB, NULL, "16M",
     "bytes of one peer's writes that may be under way here"},

    {"max_jobs", OPTIONS_NUMBER, AT(max_jobs), 1, 65536, NULL, "256",
     "programs that one peer may run here at once"},
    {"job_grace", OPTIONS_DURATION, AT(job_grace_ms), 0, 7 * 24 * H, NULL, "10m",
     "how long a program outlives the link to who waits for it"},
    {"job_spool", OPTIONS_BYTES, AT(job_spool), MIB, 1024 * GIB, NULL, "256M",
     "bytes of a program's output that are kept on the disk"},
    {"job_time_limit", OPTIONS_DURATION, AT(job_time_limit_ms), 0, 366 * 24 * H, NULL, "0s",
     "how long a program of a peer may run; 0 is without end"},
    {"exec_allow", OPTIONS_WORDS, AT(exec_allow), 0, 0, NULL, "",
     "names of the only commands that peers may run, separated by commas; empty is all"},
    {"exec_deny", OPTIONS_WORDS, AT(exec_deny), 0, 0, NULL, "",
     "names of commands that peers may not run, separated by commas"},

    {"kv_max_entries", OPTIONS_NUMBER, AT(kv_max_entries), 0, 100000000, NULL, "1000000",
     "shared values that one machine may keep here, this one included"},
    {"kv_max_bytes", OPTIONS_BYTES, AT(kv_max_bytes), 0, 1024 * GIB, NULL, "1G",
     "bytes of keys and values that one machine may keep here, this one included"},
    {"msg_max", OPTIONS_NUMBER, AT(msg_max), 1, 100000000, NULL, "10000",
     "messages to one peer, and from one peer, that are kept"},
    {"msg_max_bytes", OPTIONS_BYTES, AT(msg_max_bytes), MIB, 1024 * GIB, NULL, "256M",
     "bytes of messages to one peer, and from one peer, that are kept"},
    {"msg_ttl", OPTIONS_DURATION, AT(msg_ttl_ms), S, 366 * 24 * H, NULL, "168h",
     "how long a message waits for its peer before it expires"},
    {"msg_keep", OPTIONS_DURATION, AT(msg_keep_ms), 0, 366 * 24 * H, NULL, "168h",
     "how long sent messages are kept that were read or have expired"},

    {"pool_threads", OPTIONS_NUMBER, AT(pool_threads), 2, 128, NULL, "16",
     "threads that do disk work for peers; one peer uses at most half of them"},
    {"audit_max_size", OPTIONS_BYTES, AT(audit_max_size), 64 * KIB, GIB, NULL, "16M",
     "size at which audit.jsonl is put aside and a new one begun"},
    {"audit_keep", OPTIONS_NUMBER, AT(audit_keep), 1, 99, NULL, "4",
     "audit files put aside that are kept"},
};
const size_t options_table_n = sizeof(options_table) / sizeof(options_table[0]);
static_assert(sizeof(options_table) / sizeof(options_table[0]) <= OPTIONS_MAX, "raise OPTIONS_MAX");

const struct options_info options_export_table[] = {
    {"path", OPTIONS_PATH, .standard = "", .text = "the directory; must be given"},
    {"mode", OPTIONS_TEXT, .standard = "rw", .text = "rw, or ro to let peers only read"},
    {"deny", OPTIONS_PATH, .standard = "",
     .text = "a path within that peers do not see, relative ones below path; repeatable"},
};
const size_t options_export_table_n =
    sizeof(options_export_table) / sizeof(options_export_table[0]);

int options_find(const char *name)
{
	for (size_t i = 0; i < options_table_n; i++)
		if (strcmp(options_table[i].name, name) == 0)
			return (int)i;
	return -1;
}

static int replace_text(char **text, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

static int set_path(struct options *options, char **path, const char *value,
		    struct failure *failure)
{
	char *absolute;
	int r;

	if (value[0] == '\0')
		return replace_text(path, "");
	r = option_value_parse_path(value, options->home_dir, NULL, &absolute, failure);
	if (r < 0)
		return r;
	free(*path);
	*path = absolute;
	return 0;
}

/* Without blanks, and with one comma between two. */
static int set_words(char **text, const char *value, struct failure *failure)
{
	char words[256] = "";

	if (strlen(value) >= sizeof(words))
		return failure_set(failure, -EINVAL, "the list is too long");
	while (*(value += strspn(value, ", \t"))) {
		size_t n = strcspn(value, ", \t");

		if (memchr(value, '/', n))
			return failure_set(failure, -EINVAL,
					   "%s has a path: a command is given by its name",
					   LOG_VALUE(value));
		if (words[0])
			strcat(words, ",");
		strncat(words, value, n);
		value += n;
	}
	return replace_text(text, words);
}

static int set_choice(const struct options_info *info, int64_t *choice, const char *value,
		      struct failure *failure)
{
	char known[128] = "";

	for (int i = 0; info->choices[i]; i++) {
		if (strcmp(info->choices[i], value) == 0) {
			*choice = i;
			return 0;
		}
		strcat(known, i ? ", " : "");
		strcat(known, info->choices[i]);
	}
	return failure_set(failure, -EINVAL, "%s is none of %s", LOG_VALUE(value), known);
}

static int set_row(struct options *options, const struct options_info *info, const char *value,
		   struct failure *failure)
{
	void *field = (char *)options + info->offset;

	if (value[0] == '\0' && info->standard[0] != '\0')
		return failure_set(failure, -EINVAL, "the value is missing");
	switch (info->type) {
	case OPTIONS_TEXT:
		if (value[0] && !peer_name_is_valid(value))
			return failure_set(failure, -EINVAL,
					   "%s is no name: 1 to %d letters, digits, '.', '_' or "
					   "'-', no '.' first",
					   LOG_VALUE(value), PEER_NAME_MAX);
		return replace_text(field, value);
	case OPTIONS_PATH:
		return set_path(options, field, value, failure);
	case OPTIONS_WORDS:
		return set_words(field, value, failure);
	case OPTIONS_BOOL:
		return option_value_parse_bool(value, field, failure);
	case OPTIONS_NUMBER:
		return option_value_parse_number(value, info->min, info->max, field, failure);
	case OPTIONS_BYTES:
		return option_value_parse_bytes(value, info->min, info->max, field, failure);
	case OPTIONS_DURATION:
		return option_value_parse_duration(value, info->min, info->max, field, failure);
	case OPTIONS_CHOICE:
		return set_choice(info, field, value, failure);
	case OPTIONS_PERMISSIONS:
		return permissions_parse(value, field, failure);
	}
	return -EINVAL;
}

int options_set(struct options *options, const char *name, const char *value,
		enum options_source source, struct failure *failure)
{
	int row = options_find(name), r;

	if (row < 0)
		return failure_set(failure, -ENOENT, "unknown option %s", LOG_VALUE(name));
	r = set_row(options, &options_table[row], value, failure);
	if (r == 0)
		options->source[row] = (uint8_t)source;
	return r;
}

int options_new(const char *home_dir, struct options **ret_options)
{
	struct options *options = calloc(1, sizeof(*options));
	int r = 0;

	if (!options)
		return -ENOMEM;
	options->home_dir = strdup(home_dir);
	if (!options->home_dir)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < options_table_n; i++) {
		r = set_row(options, &options_table[i], options_table[i].standard, NULL);
		assert(r == 0 || r == -ENOMEM);
	}
	if (r < 0)
		options_free(options);
	else
		*ret_options = options;
	return r;
}

struct options *options_free(struct options *options)
{
	if (!options)
		return NULL;
	for (size_t i = 0; i < options->n_exports; i++) {
		struct options_export *export = &options->exports[i];

		for (size_t j = 0; j < export->n_deny; j++)
			free(export->deny[j]);
		free(export->deny);
		free(export->path);
		free(export->name);
	}
	free(options->exports);
	free(options->name);
	free(options->mount);
	free(options->exec_allow);
	free(options->exec_deny);
	free(options->home_dir);
	free(options);
	return NULL;
}

int options_add_export(struct options *options, const char *name, const char *path)
{
	struct options_export *exports, *export;

	exports = reallocarray(options->exports, options->n_exports + 1, sizeof(*exports));
	if (!exports)
		return -ENOMEM;
	options->exports = exports;
	export = &exports[options->n_exports];
	*export = (struct options_export){.name = strdup(name), .path = strdup(path)};
	if (!export->name || !export->path) {
		free(export->name);
		free(export->path);
		return -ENOMEM;
	}
	options->n_exports++;
	return 0;
}

int options_export_deny(struct options_export *export, const char *path)
{
	char **deny, *copy;

	for (size_t i = 0; i < export->n_deny; i++)
		if (strcmp(export->deny[i], path) == 0)
			return 0;
	deny = reallocarray(export->deny, export->n_deny + 1, sizeof(*deny));
	if (!deny)
		return -ENOMEM;
	export->deny = deny;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	deny[export->n_deny++] = copy;
	return 0;
}
