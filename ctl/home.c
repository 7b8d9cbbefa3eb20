#include "ctl/home.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* dir/name, or NULL without memory (or without dir). */
static char *join(const char *dir, const char *name)
{
	size_t n = dir ? strlen(dir) : 0;
	char *path;

	while (n > 0 && dir[n - 1] == '/')
		n--;
	if (!dir || asprintf(&path, "%.*s/%s", (int)n, dir, name) < 0)
		return NULL;
	return path;
}

static const char *absolute_env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

static void use_loopsy_home(struct home *home, const char *directory)
{
	char *here = directory[0] == '/' ? NULL : getcwd(NULL, 0);

	home->loopsy_home = join(here ? here : "", directory[0] == '/' ? directory + 1 : directory);
	free(here);
	for (size_t n = home->loopsy_home ? strlen(home->loopsy_home) : 0;
	     n > 1 && home->loopsy_home[n - 1] == '/'; n--)
		home->loopsy_home[n - 1] = '\0';
	home->config_dir = join(home->loopsy_home, "config");
	home->state_dir = join(home->loopsy_home, "state");
	home->run_dir = join(home->loopsy_home, "run");
}

static char *xdg_dir(const char *variable, const char *user_home, const char *otherwise)
{
	const char *base = absolute_env(variable);

	return base ? join(base, "loopsy") : join(user_home, otherwise);
}

static char *find_run_dir(const char *state_dir)
{
	char session[64];
	struct stat st;

	if (absolute_env("XDG_RUNTIME_DIR"))
		return join(absolute_env("XDG_RUNTIME_DIR"), "loopsy");
	snprintf(session, sizeof(session), "/run/user/%u", (unsigned)getuid());
	if (stat(session, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid())
		return join(session, "loopsy");
	return join(state_dir, "run");
}

static int use_xdg(struct home *home)
{
	const char *user_home = absolute_env("HOME");

	if (!user_home) {
		struct passwd *user = getpwuid(getuid());

		user_home = user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
	}
	if (!user_home)
		return -EINVAL;
	home->config_dir = xdg_dir("XDG_CONFIG_HOME", user_home, ".config/loopsy");
	home->state_dir = xdg_dir("XDG_STATE_HOME", user_home, ".local/state/loopsy");
	home->run_dir = find_run_dir(home->state_dir);
	return 0;
}

int home_new(const char *argument, struct home **ret_home)
{
	struct home *home = calloc(1, sizeof(*home));
	int r = 0;

	if (!home)
		return -ENOMEM;
	if (!argument)
		argument = getenv("LOOPSY_HOME");
	if (argument && argument[0])
		use_loopsy_home(home, argument);
	else
		r = use_xdg(home);
	home->config_file = join(home->config_dir, "loopsy.conf");
	home->identity = join(home->config_dir, "identity.pem");
	home->api_key = join(home->config_dir, "api.key");
	home->database = join(home->state_dir, "loopsy.db");
	home->audit = join(home->state_dir, "audit.jsonl");
	home->log = join(home->state_dir, "loopsyd.log");
	home->socket = join(home->run_dir, "ctl.sock");
	if (r == 0 && (!home->config_file || !home->identity || !home->api_key || !home->database ||
		       !home->audit || !home->log || !home->socket))
		r = -ENOMEM;
	if (r < 0) {
		home_free(home);
		return r;
	}
	*ret_home = home;
	return 0;
}

struct home *home_free(struct home *home)
{
	if (!home)
		return NULL;
	free(home->loopsy_home);
	free(home->config_dir);
	free(home->state_dir);
	free(home->run_dir);
	free(home->config_file);
	free(home->identity);
	free(home->api_key);
	free(home->database);
	free(home->audit);
	free(home->log);
	free(home->socket);
	free(home);
	return NULL;
}
