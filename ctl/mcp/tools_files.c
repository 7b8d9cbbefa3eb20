/* loopsy_list_remote_files */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctl/context.h"
#include "ctl/fetch.h"
#include "ctl/mcp/aside.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/peer_path.h"
#include "ctl/mcp/tools.h"

#define NAMES_MAX 200000
#define LIMIT     100
#define LIMIT_MAX 1000

static const struct schema_field input[] = {
    {"peer", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_CTL_NAME_MAX},
    {"path", SCHEMA_STRING, .max = 4096,
     .description = "as its user's home has it, or in the mount"},
    {"offset", SCHEMA_INTEGER, .max = NAMES_MAX},
    {"limit", SCHEMA_INTEGER, .min = 1, .max = LIMIT_MAX, .description = "(100)"},
    {.name = NULL},
};

static const struct schema_field entry_fields[] = {
    {"name", SCHEMA_STRING, .required = true},
    {"type", SCHEMA_STRING, .required = true},
    {"size", SCHEMA_INTEGER},
    {"mtime", SCHEMA_STRING},
    {.name = NULL},
};

static const struct schema_field output[] = {
    {"path", SCHEMA_STRING, .required = true, .description = "in the mount"},
    {"entries", SCHEMA_ARRAY, .required = true, .of = entry_fields},
    {"total", SCHEMA_INTEGER, .required = true},
    {"next_offset", SCHEMA_INTEGER},
    {.name = NULL},
};

/* What is read of a directory, aside. */
struct listing {
	char *path;
	size_t offset, limit;
	atomic_bool stop;
	int error;
	char **names;
	size_t n_names;
	struct stat *stats; /* of those from offset on; st_mode 0: it is gone */
	size_t n_stats;
};

static void listing_free(void *arg)
{
	struct listing *listing = arg;

	for (size_t i = 0; i < listing->n_names; i++)
		free(listing->names[i]);
	free(listing->names);
	free(listing->stats);
	free(listing->path);
	free(listing);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct listing *listing, const char *name)
{
	size_t n = listing->n_names;

	if (n == NAMES_MAX)
		return -EFBIG;
	/* It doubles whenever it is a power of two. */
	if ((n & (n - 1)) == 0) {
		char **names = realloc(listing->names, (n ? 2 * n : 1) * sizeof(*names));

		if (!names)
			return -ENOMEM;
		listing->names = names;
	}
	listing->names[n] = strdup(name);
	if (!listing->names[n])
		return -ENOMEM;
	listing->n_names++;
	return 0;
}

static int read_names(struct listing *listing, DIR *directory)
{
	struct dirent *entry;
	int r = 0;

	while (r == 0 && !atomic_load(&listing->stop) && (errno = 0, entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = add_name(listing, entry->d_name);
	if (r == 0 && errno != 0)
		r = -errno;
	return r;
}

static int read_stats(struct listing *listing, int fd)
{
	size_t left = listing->n_names > listing->offset ? listing->n_names - listing->offset : 0;
	size_t n = left < listing->limit ? left : listing->limit;

	listing->stats = calloc(n ? n : 1, sizeof(*listing->stats));
	if (!listing->stats)
		return -ENOMEM;
	for (; listing->n_stats < n && !atomic_load(&listing->stop); listing->n_stats++) {
		struct stat *st = &listing->stats[listing->n_stats];

		if (fstatat(fd, listing->names[listing->offset + listing->n_stats], st,
			    AT_SYMLINK_NOFOLLOW) < 0)
			*st = (struct stat){0};
	}
	return 0;
}

static void read_directory(void *arg)
{
	struct listing *listing = arg;
	DIR *directory = opendir(listing->path);

	if (!directory) {
		listing->error = -errno;
		return;
	}
	listing->error = read_names(listing, directory);
	if (listing->error == 0 && listing->n_names > 1)
		qsort(listing->names, listing->n_names, sizeof(*listing->names), by_name);
	if (listing->error == 0)
		listing->error = read_stats(listing, dirfd(directory));
	closedir(directory);
}

static const char *type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "link";
	case 0:
		return "gone";
	default:
		return "other";
	}
}

static json_t *entry_of(const char *name, const struct stat *st)
{
	json_t *entry = json_pack("{s:o, s:s}", "name", mcp_text(name, strlen(name)), "type",
				  type_of(st->st_mode));

	if (st->st_mode == 0)
		return entry;
	json_object_set_new(entry, "size", json_integer(st->st_size));
	json_object_set_new(entry, "mtime", fetch_time(st->st_mtim));
	return entry;
}

static void add_line(struct buffer *text, const json_t *entry)
{
	const char *name = fetch_text(entry, "name"), *type = fetch_text(entry, "type");
	char line[128];

	snprintf(line, sizeof(line), "%s %lld %s ", type,
		 (long long)json_integer_value(json_object_get(entry, "size")),
		 fetch_text(entry, "mtime"));
	buffer_append(text, line, strlen(line));
	buffer_append(text, name, strlen(name));
	buffer_append(text, "\n", 1);
}

static void answer(struct mcp_call *call, const char *peer, const struct listing *listing)
{
	size_t next = listing->offset + listing->n_stats;
	json_t *entries = json_array();
	struct buffer text = {0};
	json_t *all;

	for (size_t i = 0; i < listing->n_stats; i++) {
		json_t *entry = entry_of(listing->names[listing->offset + i], &listing->stats[i]);

		add_line(&text, entry);
		json_array_append_new(entries, entry);
	}
	all = json_pack("{s:o, s:o, s:I}", "path", mcp_text(listing->path, strlen(listing->path)),
			"entries", entries, "total", (json_int_t)listing->n_names);
	if (next < listing->n_names)
		json_object_set_new(all, "next_offset", json_integer((json_int_t)next));
	mcp_call_answer(call, all, "[data from %s: %zu of %zu entries of %s]\n%.*s", peer,
			listing->n_stats, listing->n_names, listing->path, (int)text.size,
			text.size ? (const char *)text.data : "");
	buffer_deinit(&text);
}

static void fail(struct mcp_call *call, const char *peer, const struct listing *listing)
{
	if (listing->error == -EFBIG)
		mcp_call_fail(call, "%s has more than %d entries: use loopsy_execute with find",
			      listing->path, NAMES_MAX);
	else if (listing->error == -EHOSTDOWN)
		mcp_call_fail_errno(call, peer, listing->error, NULL);
	else
		mcp_call_fail(call, "%s: %s", listing->path, strerror(-listing->error));
}

static void run(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", "");
	struct listing *listing;
	struct peer_path path;
	struct aside *aside;
	int r = peer_path_take(call, peer, tool_string(arguments, "path", ""), "fs:ro", &path);

	if (r < 0)
		return;
	listing = calloc(1, sizeof(*listing));
	if (listing) {
		listing->path = path.here;
		path.here = NULL;
		listing->offset = (size_t)tool_integer(arguments, "offset", 0);
		listing->limit = (size_t)tool_integer(arguments, "limit", LIMIT);
	}
	peer_path_deinit(&path);
	r = listing ? aside_new(read_directory, listing, &aside) : -ENOMEM;
	if (r < 0) {
		if (listing)
			listing_free(listing);
		mcp_call_fail(call, "cannot begin: %s", strerror(-r));
		return;
	}
	r = aside_wait(aside, mcp_call_interrupt_fd(call), -1);
	if (r < 0) {
		atomic_store(&listing->stop, true);
		mcp_call_fail(call, "cancelled");
	} else if (listing->error < 0) {
		fail(call, peer, listing);
	} else {
		answer(call, peer, listing);
	}
	aside_free(aside, listing_free);
}

const struct tool tools_files_list = {
    .name = "loopsy_list_remote_files",
    .title = "List a peer's directory",
    .description = "Entries of a directory on a peer, sorted by name, in pages. Your own tools can "
		   "do the same "
		   "below its mount path.",
    .hints = TOOL_READ_ONLY | TOOL_IDEMPOTENT,
    .input = input,
    .output = output,
    .run = run,
};
