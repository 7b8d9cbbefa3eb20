/*
 * watch: what changes on peers, printed as it comes, or a command run after it.
 *
 * A WATCH for each peer that paths are on; one whose link is lost is asked for again, and what may
 * have been missed meanwhile is said (kind "missed"). The command runs once for changes that come
 * together, and never twice at a time: what changes while it runs makes it run again after it.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/monotonic.h"
#include "ctl/mounted.h"
#include "ctl/remote.h"
#include "ctl/target.h"
#include "ctl/terminal.h"

#define RETRY_MS    500
#define TOGETHER_MS 50 /* changes within this time are one to the command */
#define PATHS_MAX   256

extern char **environ;

struct watch;

/* The paths of one peer. */
struct watched {
	struct watch *watch;
	struct watched *next;
	char *peer;
	unsigned n;
	const char *given[PATHS_MAX]; /* as the user wrote them */
	struct buffer paths;          /* encoded */
	unsigned n_gone;
	struct remote_call *call;
	int64_t retry_at; /* ms; 0: it is under way */
	bool was_set;     /* the peer has answered once */
};

struct watch {
	const struct context *context;
	struct remote *remote;
	struct watched *peers;
	char *const *command; /* NULL: changes are printed */
	pid_t pid;            /* of the command that runs; 0: none */
	int64_t run_at;       /* ms; 0: nothing has changed */
	char *last_path;      /* told to the command */
	const char *last_kind;
	sigset_t old_mask;
	bool is_over;
	int status;
};

static void finish(struct watch *watch, int status)
{
	if (!watch->is_over)
		watch->status = status;
	watch->is_over = true;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void print_json(const struct watch *watch, const struct watched *watched, const char *kind,
		       const char *path, bool is_dir)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	context_print_json(watch->context,
			   json_pack("{s:f, s:s, s:s, s:o, s:b}", "time",
				     (double)now.tv_sec + (double)now.tv_nsec / 1e9, "peer",
				     watched->peer, "kind", kind, "path",
				     context_json_text(bytes_of_text(path)), "dir", is_dir));
}

static void print_text(const struct watch *watch, const char *kind, const char *path, bool is_dir)
{
	char *escaped = terminal_escape(path, strlen(path));

	fprintf(watch->context->out, "%s %s%s\n", kind, escaped ? escaped : "?", is_dir ? "/" : "");
	free(escaped);
}

static void tell(struct watched *watched, const char *kind, unsigned index, struct bytes name,
		 bool is_dir)
{
	struct watch *watch = watched->watch;
	const char *given = watched->given[index];
	size_t length = strlen(given);
	char *path;

	if (asprintf(&path, "%s%s%.*s", given,
		     name.size > 0 && length > 0 && given[length - 1] != '/' ? "/" : "",
		     (int)name.size, name.size > 0 ? (const char *)name.data : "") < 0)
		return;
	if (watch->command) {
		if (!watch->run_at)
			watch->run_at = monotonic_ms() + TOGETHER_MS;
		free(watch->last_path);
		watch->last_path = path;
		watch->last_kind = kind;
		return;
	}
	if (watch->context->json)
		print_json(watch, watched, kind, path, is_dir);
	else
		print_text(watch, kind, path, is_dir);
	free(path);
}

static void tell_missed(struct watched *watched)
{
	for (unsigned i = 0; i < watched->n; i++)
		tell(watched, "missed", i, (struct bytes){0}, false);
}

/* --- what a peer tells ------------------------------------------------------------------------ */

static void take_event(struct watched *watched, const struct watch_event *event)
{
	static const char *const kinds[] = {
	    [WATCH_CREATED] = "created",   [WATCH_CHANGED] = "changed",
	    [WATCH_REMOVED] = "removed",   [WATCH_MOVED_FROM] = "moved-from",
	    [WATCH_MOVED_TO] = "moved-to", [WATCH_ATTRIBUTES] = "attributes",
	    [WATCH_OVERFLOW] = "missed",   [WATCH_GONE] = "gone",
	};

	if (event->path >= watched->n)
		return;
	if (event->kind == WATCH_OVERFLOW) {
		tell_missed(watched);
		return;
	}
	tell(watched, kinds[event->kind], (unsigned)event->path, event->name, event->dir);
	if (event->kind == WATCH_GONE)
		watched->n_gone++;
}

static void finish_if_gone(struct watch *watch)
{
	for (const struct watched *watched = watch->peers; watched; watched = watched->next)
		if (watched->n_gone < watched->n)
			return;
	context_fail(watch->context, "nothing that was watched is there any more");
	finish(watch, CONTEXT_FAILURE);
}

static void on_data(void *arg, unsigned channel, struct bytes data)
{
	struct watched *watched = arg;
	struct bytes rest = data;
	struct watch_event event;

	while (rest.size > 0 && codec_decode(&watch_event_record, &rest, &event, NULL) == 0)
		take_event(watched, &event);
	remote_consumed(watched->call, channel, data.size);
	if (fflush(watched->watch->context->out) == EOF)
		finish(watched->watch, CONTEXT_FAILURE);
	finish_if_gone(watched->watch);
}

/* Errors after which the same may go well. */
static bool is_of_the_link(int error)
{
	return error == -ENOTCONN || error == -EHOSTDOWN || error == -ETIMEDOUT ||
	       error == -ESTALE || error == -EIO;
}

static void lose(struct watched *watched, int error, const char *reason)
{
	watched->call = NULL;
	if (watched->was_set && is_of_the_link(error)) {
		watched->retry_at = monotonic_ms() + RETRY_MS;
		return;
	}
	if (error == -ENOSPC)
		reason = "its inotify watches are used up (fs.inotify.max_user_watches there): "
			 "watch less";
	context_fail(watched->watch->context, "cannot watch on %s: %s", watched->peer,
		     reason[0] ? reason : strerror(-error));
	finish(watched->watch, CONTEXT_FAILURE);
}

static void on_reply(void *arg, const struct remote_reply *reply)
{
	struct watched *watched = arg;

	if (reply->error < 0) {
		lose(watched, reply->error, reply->reason);
		return;
	}
	if (watched->was_set)
		tell_missed(watched);
	else if (!watched->watch->context->json)
		context_say(watched->watch->context, "loopsyctl: watching on %s", watched->peer);
	watched->was_set = true;
}

static void on_end(void *arg, int error)
{
	lose(arg, error < 0 ? error : -ENOTCONN, "");
}

static const struct remote_handler handler = {on_reply, on_data, on_end};

static void ask(struct watched *watched)
{
	struct args_watch args = {.recursive = true};
	int r;

	args.paths =
	    (struct list){.raw = {watched->paths.data, watched->paths.size}, .n = watched->n};
	watched->retry_at = 0;
	r = remote_call(watched->watch->remote, watched->peer, OP_WATCH, &args, &handler, watched,
			&watched->call);
	if (r < 0)
		lose(watched, r, "");
}

/* --- the command ------------------------------------------------------------------------------ */

static void run(struct watch *watch)
{
	posix_spawnattr_t attributes;
	int r;

	watch->run_at = 0;
	setenv("LOOPSY_PATH", watch->last_path, 1);
	setenv("LOOPSY_KIND", watch->last_kind, 1);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &watch->old_mask);
	r = posix_spawnp(&watch->pid, watch->command[0], NULL, &attributes, watch->command,
			 environ);
	posix_spawnattr_destroy(&attributes);
	if (r == 0)
		return;
	watch->pid = 0;
	context_fail(watch->context, "%s: %s", watch->command[0], strerror(r));
	finish(watch, r == ENOENT ? 127 : 126);
}

static void take_signals(struct watch *watch, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			finish(watch, 128 + (int)info.ssi_signo);
		else if (watch->pid && waitpid(watch->pid, NULL, WNOHANG) == watch->pid)
			watch->pid = 0;
	}
}

/* --- the loop --------------------------------------------------------------------------------- */

static int timeout(const struct watch *watch)
{
	int64_t at = watch->pid ? 0 : watch->run_at, left;

	for (const struct watched *watched = watch->peers; watched; watched = watched->next)
		if (watched->retry_at && (!at || watched->retry_at < at))
			at = watched->retry_at;
	if (!at)
		return -1;
	left = at - monotonic_ms();
	return left < 0 ? 0 : (int)left;
}

static void turn(struct watch *watch, int signals)
{
	struct pollfd fds[2] = {remote_poll(watch->remote), {signals, POLLIN, 0}};
	int64_t now;

	if (poll(fds, 2, timeout(watch)) < 0)
		return;
	if (fds[1].revents)
		take_signals(watch, signals);
	if (fds[0].revents && !watch->is_over && remote_turn(watch->remote) < 0) {
		const char *why = remote_end_reason(watch->remote);

		context_fail(watch->context, "%s", why[0] ? why : "loopsyd here was stopped");
		finish(watch, CONTEXT_FAILURE);
	}
	now = monotonic_ms();
	for (struct watched *watched = watch->peers; watched; watched = watched->next)
		if (watched->retry_at && watched->retry_at <= now && !watch->is_over)
			ask(watched);
	if (watch->run_at && watch->run_at <= now && !watch->pid && !watch->is_over)
		run(watch);
}

static int follow(struct watch *watch)
{
	sigset_t set;
	int signals;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &watch->old_mask);
	signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	for (struct watched *watched = watch->peers; watched; watched = watched->next)
		ask(watched);
	while (!watch->is_over)
		turn(watch, signals);
	if (signals >= 0)
		close(signals);
	sigprocmask(SIG_SETMASK, &watch->old_mask, NULL);
	return watch->status;
}

/* --- arguments -------------------------------------------------------------------------------- */

static struct watched *of_peer(struct watch *watch, char *peer)
{
	struct watched **at = &watch->peers;

	while (*at && strcmp((*at)->peer, peer) != 0)
		at = &(*at)->next;
	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return NULL;
		(*at)->watch = watch;
		(*at)->peer = strdup(peer);
	}
	return (*at)->peer && (*at)->n < PATHS_MAX ? *at : NULL;
}

static int add(struct watch *watch, const char *mount, const char *path)
{
	struct mounted mounted = {0};
	struct watch_path element;
	struct watched *watched;
	struct list count = {0};
	int r = mounted_find(mount, path, &mounted);

	if (r < 0)
		return context_fail(watch->context, "%s: %s", path,
				    r == -EXDEV    ? "not in the mount"
				    : r == -EISDIR ? "all machines: name a directory of one"
						   : strerror(-r));
	watched = of_peer(watch, mounted.peer);
	element.path = bytes_of_text(mounted.path);
	r = watched ? codec_list_append(&count, &watched->paths, &watch_path_record, &element)
		    : -ENOMEM;
	if (r == 0)
		watched->given[watched->n++] = path;
	mounted_deinit(&mounted);
	return r == 0 ? CONTEXT_OK : context_fail(watch->context, "%s: %s", path, strerror(-r));
}

/* Paths, and options of ours among them, up to "--" and the command. */
static int read_words(struct watch *watch, struct context *context, const char *mount)
{
	int i = 0, status = CONTEXT_OK;

	for (; i < context->n_rest && strcmp(context->rest[i], "--") != 0; i++) {
		if (strcmp(context->rest[i], "--json") == 0)
			context->json = true;
		else if (context->rest[i][0] == '-')
			return context_usage(context, "watch: unknown option '%.60s'",
					     context->rest[i]);
		else if (status == CONTEXT_OK)
			status = add(watch, mount, context->rest[i]);
	}
	if (status == CONTEXT_OK && !watch->peers)
		return context_usage(context, "watch: name what is to be watched");
	if (i + 1 < context->n_rest)
		watch->command = context->rest + i + 1;
	return status;
}

int cmd_watch_run(struct context *context)
{
	struct watch watch = {.context = context};
	char *mount = NULL;
	int status;

	if (context_connect_remote(context, &watch.remote) != CONTEXT_OK)
		return CONTEXT_FAILURE;
	status = CONTEXT_FAILURE;
	if (target_mount(context, remote_client(watch.remote), &mount) == 0)
		status = read_words(&watch, context, mount);
	if (status == CONTEXT_OK)
		status = follow(&watch);
	remote_free(watch.remote);
	free(mount);
	free(watch.last_path);
	while (watch.peers) {
		struct watched *watched = watch.peers;

		watch.peers = watched->next;
		buffer_deinit(&watched->paths);
		free(watched->peer);
		free(watched);
	}
	return status;
}
