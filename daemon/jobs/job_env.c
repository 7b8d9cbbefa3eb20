#include "daemon/jobs/job_env.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_STANDARD "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

/* Of the daemon, its service manager, or the terminal that it was started from. */
static const char *const left_out[] = {
    "LOOPSY_*",
    "NOTIFY_SOCKET",
    "LISTEN_*",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "WATCHDOG_*",
    "MAINPID",
    "MANAGERPID",
    "SYSTEMD_*",
    "CREDENTIALS_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "CACHE_DIRECTORY",
    "LOGS_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "MEMORY_PRESSURE_*",
    "UV_THREADPOOL_SIZE",
    "TERM",
    "COLUMNS",
    "LINES",
    "TERMCAP",
    "TERM_PROGRAM*",
    "COLORTERM",
    "TMUX*",
    "STY",
    "WINDOWID",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "SSH_CONNECTION",
    "SSH_CLIENT",
    "SSH_TTY",
    "GPG_TTY",
};

void job_env_deinit(struct job_env *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->items[i]);
	free(env->items);
	*env = (struct job_env){0};
}

static char **find(const struct job_env *env, const char *name, size_t length)
{
	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->items[i], name, length) == 0 && env->items[i][length] == '=')
			return &env->items[i];
	}
	return NULL;
}

/* Takes `text` over. */
static int put(struct job_env *env, char *text)
{
	char **known = text ? find(env, text, strcspn(text, "=")) : NULL;

	if (!text)
		return -ENOMEM;
	if (known) {
		free(*known);
		*known = text;
		return 0;
	}
	if (env->n + 1 >= env->capacity) {
		size_t capacity = env->capacity ? env->capacity * 2 : 64;
		char **grown = reallocarray(env->items, capacity, sizeof(*grown));

		if (!grown) {
			free(text);
			return -ENOMEM;
		}
		env->items = grown;
		env->capacity = capacity;
	}
	env->items[env->n++] = text;
	env->items[env->n] = NULL;
	return 0;
}

int job_env_set(struct job_env *env, const char *name, const char *value)
{
	char *text;

	return put(env, asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text);
}

int job_env_put(struct job_env *env, const char *text, size_t size)
{
	if (size == 0 || text[0] == '=' || memchr(text, '\0', size) || !memchr(text, '=', size))
		return -EINVAL;
	return put(env, strndup(text, size));
}

const char *job_env_get(const struct job_env *env, const char *name)
{
	char **item = find(env, name, strlen(name));

	return item ? strchr(*item, '=') + 1 : NULL;
}

static bool is_left_out(const char *item)
{
	size_t length = strcspn(item, "=");

	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++) {
		size_t n = strcspn(left_out[i], "*");

		if (strncmp(item, left_out[i], n) == 0 && (left_out[i][n] == '*' || n == length))
			return true;
	}
	return item[length] != '=';
}

static int set_missing(struct job_env *env, const char *name, const char *value)
{
	const char *known = job_env_get(env, name);

	return known && known[0] ? 0 : job_env_set(env, name, value);
}

int job_env_base(struct job_env *env, char *const *environment)
{
	const struct passwd *user = getpwuid(getuid());
	const char *name = user ? user->pw_name : "nobody";
	int error = 0;

	for (; *environment && error == 0; environment++) {
		if (!is_left_out(*environment))
			error = put(env, strdup(*environment));
	}
	if (error == 0)
		error = set_missing(env, "HOME", user && user->pw_dir[0] ? user->pw_dir : "/");
	if (error == 0)
		error = set_missing(env, "USER", name);
	if (error == 0)
		error = set_missing(env, "LOGNAME", name);
	/* What the user logs in with, not what happened to start the daemon. */
	if (error == 0)
		error = user && user->pw_shell[0] ? job_env_set(env, "SHELL", user->pw_shell)
						  : set_missing(env, "SHELL", "/bin/sh");
	if (error == 0)
		error = set_missing(env, "PATH", PATH_STANDARD);
	return error;
}

int job_env_copy(struct job_env *env, const struct job_env *from)
{
	int error = 0;

	for (size_t i = 0; i < from->n && error == 0; i++)
		error = put(env, strdup(from->items[i]));
	return error;
}

/* --- terminals -------------------------------------------------------------------------------- */

static bool has_entry(const char *dir, const char *term)
{
	char path[4096];

	/* By the first letter, or (as on macOS, and on file systems that do not tell cases apart)
	 * by its number. */
	snprintf(path, sizeof(path), "%s/%c/%s", dir, term[0], term);
	if (access(path, R_OK) == 0)
		return true;
	snprintf(path, sizeof(path), "%s/%02x/%s", dir, (unsigned char)term[0], term);
	return access(path, R_OK) == 0;
}

static bool is_known(const char *term, const char *home)
{
	static const char *const dirs[] = {"/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo",
					   "/usr/lib/terminfo", "/usr/local/share/terminfo"};
	char own[4000];

	if (term[0] == '\0' || term[0] == '.' || strchr(term, '/'))
		return false;
	snprintf(own, sizeof(own), "%s/.terminfo", home);
	if (has_entry(own, term))
		return true;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (has_entry(dirs[i], term))
			return true;
	}
	return false;
}

const char *job_env_choose_term(const char *term, const char *home)
{
	static const char *const others[] = {"xterm-256color", "xterm", "vt100"};

	if (is_known(term, home))
		return term;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (is_known(others[i], home))
			return others[i];
	}
	return "dumb";
}
