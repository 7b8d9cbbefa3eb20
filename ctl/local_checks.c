#include "ctl/local_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/agents.h"
#include "ctl/daemon_program.h"
#include "ctl/fetch.h"

/* The text of a check; cut where it is too long. */
struct line {
	char text[1024];
};

static struct line line(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct line line(const char *format, ...)
{
	struct line result;
	va_list list;

	va_start(list, format);
	vsnprintf(result.text, sizeof(result.text), format, list);
	va_end(list);
	return result;
}

/* What came from a file or a program may be no UTF-8, which JSON cannot hold. */
static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (value)
		return value;
	copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(copy ? copy : "");
	free(copy);
	return value;
}

void local_checks_add(json_t *list, const char *name, const char *status, const char *detail,
		      const char *fix)
{
	json_array_append_new(list, json_pack("{s:o, s:s, s:o, s:o}", "name", text_value(name),
					      "status", status, "detail", text_value(detail), "fix",
					      text_value(fix)));
}

static void check_program(const struct context *context, json_t *list)
{
	char *program = daemon_program_find();

	if (program)
		local_checks_add(list, "program", "ok", program, "");
	else
		local_checks_add(list, "program", "failure",
				 "there is no loopsyd beside loopsyctl or in PATH",
				 "install loopsy, or name the program in LOOPSYD");
	free(program);
}

static void check_identity(const struct context *context, json_t *list)
{
	const char *path = context->home->identity;

	if (access(path, R_OK) == 0)
		local_checks_add(list, "identity", "ok", path, "");
	else if (errno == ENOENT)
		local_checks_add(list, "identity", "failure", "this machine has none yet",
				 "loopsyctl init");
	else
		local_checks_add(list, "identity", "failure",
				 line("%s cannot be read: %s", path, strerror(errno)).text,
				 line("chown it to yourself and chmod 600 %s", path).text);
}

/* Nobody else may read or write it. Returns whether something was wrong (and is in the list). */
static bool check_private(json_t *list, const char *path, mode_t mode)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return false; /* absent is said elsewhere, where it matters */
	if (st.st_uid != geteuid()) {
		local_checks_add(list, "permissions", "failure",
				 line("%s belongs to uid %u", path, (unsigned)st.st_uid).text,
				 line("chown %u %s", (unsigned)geteuid(), path).text);
		return true;
	}
	if (st.st_mode & 077 & ~mode) {
		local_checks_add(
		    list, "permissions", "failure",
		    line("%s is open to others (mode %03o)", path, (unsigned)st.st_mode & 0777)
			.text,
		    line("chmod %03o %s", (unsigned)mode, path).text);
		return true;
	}
	return false;
}

static void check_permissions(const struct context *context, json_t *list)
{
	const struct home *home = context->home;
	const char *const directories[] = {home->config_dir, home->state_dir, home->run_dir};
	const char *const files[] = {home->identity, home->api_key, home->database,
				     home->audit,    home->log,     home->socket};
	bool wrong = false;

	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		wrong = check_private(list, directories[i], 0700) || wrong;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		wrong = check_private(list, files[i], 0600) || wrong;
	if (!wrong)
		local_checks_add(list, "permissions", "ok", "private files are private", "");
}

static void check_configuration(const struct context *context, json_t *list)
{
	char *output = NULL, *error = NULL, *program = daemon_program_find();
	int r = program ? daemon_program_ask(context, "config", NULL, &output, &error) : 0;

	if (program && r == 0) {
		bool there = access(context->home->config_file, F_OK) == 0;

		local_checks_add(list, "configuration", "ok",
				 line("%s%s", context->home->config_file,
				      there ? "" : ": none, all options at their defaults")
				     .text,
				 "");
	} else if (program) {
		if (error)
			error[strcspn(error, "\n")] = '\0';
		local_checks_add(
		    list, "configuration", "failure", error && *error ? error : "cannot be read",
		    line("correct %s (loopsy.conf(5))", context->home->config_file).text);
	}
	free(output);
	free(error);
	free(program);
}

static void check_fuse(json_t *list)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		local_checks_add(list, "fuse device", "ok", "/dev/fuse can be opened", "");
	} else if (errno == EACCES || errno == EPERM) {
		local_checks_add(list, "fuse device", "failure", "/dev/fuse may not be opened",
				 "chmod 666 /dev/fuse as root (in a container, let it have the "
				 "device)");
	} else {
		local_checks_add(list, "fuse device", "failure",
				 line("/dev/fuse: %s", strerror(errno)).text,
				 "modprobe fuse as root (in a container: --device /dev/fuse)");
	}
}

static void check_fusermount(json_t *list)
{
	const char *at = getenv("PATH");
	struct stat st;
	char path[4096] = "";

	for (at = at ? at : "/usr/bin:/bin"; *at;) {
		size_t n = strcspn(at, ":");

		snprintf(path, sizeof(path), "%.*s/fusermount3", (int)n, at);
		if (n > 0 && access(path, X_OK) == 0)
			break;
		path[0] = '\0';
		at += n + (at[n] == ':');
	}
	if (!*path || stat(path, &st) < 0)
		local_checks_add(list, "fusermount3", geteuid() == 0 ? "warning" : "failure",
				 "the program is not in PATH", "apt install fuse3");
	else if (geteuid() != 0 && (!(st.st_mode & S_ISUID) || st.st_uid != 0))
		local_checks_add(list, "fusermount3", "failure",
				 line("%s is not setuid root", path).text,
				 line("chown root %s && chmod 4755 %s, as root", path, path).text);
	else
		local_checks_add(list, "fusermount3", "ok", path, "");
}

/* One that is here; that it does without loopsy is nobody's fault. */
static void check_agent(const struct context *context, const struct agent *agent, json_t *list)
{
	json_t *json = agent_setup_state(context, agent);
	const char *state = fetch_text(json, "state"), *key = fetch_text(json, "key");
	const char *file = fetch_text(json, "file"), *problem = fetch_text(json, "problem");
	struct line fix = line("loopsyctl mcp install %s", agent->name);

	if (!json_is_true(json_object_get(json, "found")))
		;
	else if (strcmp(state, "not registered") == 0)
		local_checks_add(
		    list, agent->title, "ok",
		    line("is here and does not know loopsy: '%s' registers it", fix.text).text, "");
	else if (strcmp(state, "unreadable") == 0)
		local_checks_add(list, agent->title, "warning", problem,
				 line("correct %s", file).text);
	else if (strcmp(state, "registered") != 0)
		local_checks_add(list, agent->title, "warning",
				 strcmp(state, "disabled") == 0
				     ? line("loopsy is disabled in %s", file).text
				     : line("%s runs something else as loopsy", file).text,
				 fix.text);
	else if (strcmp(key, "ok") != 0)
		local_checks_add(list, agent->title, "warning",
				 strcmp(key, "missing") == 0 ? "its key is missing"
							     : "its key can be read by others",
				 fix.text);
	else
		local_checks_add(list, agent->title, "ok",
				 line("loopsy is registered in %s", file).text, "");
	json_decref(json);
}

void local_checks_run(const struct context *context, json_t *list)
{
	check_program(context, list);
	check_identity(context, list);
	check_permissions(context, list);
	check_configuration(context, list);
	check_fuse(list);
	check_fusermount(list);
	for (size_t i = 0; i < agent_table_n; i++)
		check_agent(context, &agent_table[i], list);
}
