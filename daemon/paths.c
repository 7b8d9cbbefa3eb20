#include "daemon/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* dir/name, without doubled or trailing slashes at the seam; NULL if there is no memory. */
static char *join(const char *dir, const char *name)
{
	size_t n = strlen(dir);
	char *path;

	while (n > 0 && dir[n - 1] == '/')
		n--;
	if (asprintf(&path, "%.*s/%s", (int)n, dir, name) < 0)
		return NULL;
	return path;
}

static const char *absolute_env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

static int find_home_dir(char **ret_dir, struct failure *failure)
{
	const char *dir = absolute_env("HOME");

	if (!dir) {
		struct passwd *user = getpwuid(getuid());

		dir = user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
	}
	if (!dir)
		return failure_set(failure, -EINVAL, "no home directory: set HOME");
	*ret_dir = strdup(dir);
	if (!*ret_dir)
		return -ENOMEM;
	for (size_t n = strlen(*ret_dir); n > 1 && (*ret_dir)[n - 1] == '/'; n--)
		(*ret_dir)[n - 1] = '\0';
	return 0;
}

static int use_loopsy_home(struct paths *paths, const char *dir)
{
	if (dir[0] == '/') {
		paths->loopsy_home = strdup(dir);
	} else {
		char *here = getcwd(NULL, 0);

		if (!here)
			return -errno;
		paths->loopsy_home = join(here, dir);
		free(here);
	}
	if (!paths->loopsy_home)
		return -ENOMEM;
	for (size_t n = strlen(paths->loopsy_home); n > 1 && paths->loopsy_home[n - 1] == '/'; n--)
		paths->loopsy_home[n - 1] = '\0';
	paths->config_dir = join(paths->loopsy_home, "config");
	paths->state_dir = join(paths->loopsy_home, "state");
	paths->run_dir = join(paths->loopsy_home, "run");
	paths->mount = join(paths->loopsy_home, "mnt");
	return 0;
}

static char *xdg_dir(const char *variable, const char *home_dir, const char *fallback)
{
	const char *base = absolute_env(variable);
	char *dir, *parent;

	if (base)
		return join(base, "loopsy");
	parent = join(home_dir, fallback);
	dir = parent ? join(parent, "loopsy") : NULL;
	free(parent);
	return dir;
}

static char *find_run_dir(const char *state_dir)
{
	const char *base = absolute_env("XDG_RUNTIME_DIR");
	char session[64];
	struct stat st;

	if (base)
		return join(base, "loopsy");
	snprintf(session, sizeof(session), "/run/user/%u", (unsigned)getuid());
	if (stat(session, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid())
		return join(session, "loopsy");
	return join(state_dir, "run");
}

static int use_xdg(struct paths *paths)
{
	paths->config_dir = xdg_dir("XDG_CONFIG_HOME", paths->home_dir, ".config");
	paths->state_dir = xdg_dir("XDG_STATE_HOME", paths->home_dir, ".local/state");
	paths->run_dir = paths->state_dir ? find_run_dir(paths->state_dir) : NULL;
	paths->mount = join(paths->home_dir, "loopsy");
	return 0;
}

int paths_new(const char *loopsy_home, struct paths **ret_paths, struct failure *failure)
{
	struct paths *paths = calloc(1, sizeof(*paths));
	int r;

	if (!paths)
		return -ENOMEM;
	r = find_home_dir(&paths->home_dir, failure);
	if (r < 0)
		goto out;
	if (!loopsy_home)
		loopsy_home = getenv("LOOPSY_HOME");
	r = loopsy_home && loopsy_home[0] ? use_loopsy_home(paths, loopsy_home) : use_xdg(paths);
	if (r < 0)
		goto out;
	r = -ENOMEM;
	if (!paths->config_dir || !paths->state_dir || !paths->run_dir || !paths->mount)
		goto out;
	paths->config_file = join(paths->config_dir, "loopsy.conf");
	paths->identity = join(paths->config_dir, "identity.pem");
	paths->api_key = join(paths->config_dir, "api.key");
	paths->database = join(paths->state_dir, "loopsy.db");
	paths->audit = join(paths->state_dir, "audit.jsonl");
	paths->log = join(paths->state_dir, "loopsyd.log");
	paths->lock = join(paths->state_dir, "loopsyd.pid");
	paths->socket = join(paths->run_dir, "ctl.sock");
	if (!paths->config_file || !paths->identity || !paths->api_key || !paths->database ||
	    !paths->audit || !paths->log || !paths->lock || !paths->socket)
		goto out;
	if (strlen(paths->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		r = failure_set(failure, -EINVAL,
				"%.256s is too long for a socket: choose a shorter directory",
				paths->socket);
		goto out;
	}
	*ret_paths = paths;
	paths = NULL;
	r = 0;
out:
	if (r == -ENOMEM)
		failure_set(failure, r, "out of memory");
	paths_free(paths);
	return r;
}

struct paths *paths_free(struct paths *paths)
{
	if (!paths)
		return NULL;
	free(paths->home_dir);
	free(paths->loopsy_home);
	free(paths->config_dir);
	free(paths->state_dir);
	free(paths->run_dir);
	free(paths->mount);
	free(paths->config_file);
	free(paths->identity);
	free(paths->api_key);
	free(paths->database);
	free(paths->audit);
	free(paths->log);
	free(paths->lock);
	free(paths->socket);
	free(paths);
	return NULL;
}

int paths_set_mount(struct paths *paths, const char *mount)
{
	char *copy = strdup(mount);

	if (!copy)
		return -ENOMEM;
	free(paths->mount);
	paths->mount = copy;
	return 0;
}

/* mkdir -p: the parents with 0700 too, as the XDG specification has it. */
static int make_dirs(const char *path)
{
	char *copy = strdup(path);
	int r = 0;

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; r == 0 && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			r = -errno;
		*p = '/';
	}
	if (r == 0 && mkdir(copy, 0700) < 0 && errno != EEXIST)
		r = -errno;
	free(copy);
	return r;
}

static int create_private_dir(const char *path, struct failure *failure)
{
	struct stat st;
	int r = make_dirs(path);

	if (r == 0 && stat(path, &st) < 0)
		r = -errno;
	if (r < 0)
		return failure_set(failure, r, "cannot make %.256s: %s", path, strerror(-r));
	if (!S_ISDIR(st.st_mode))
		return failure_set(failure, -EPERM, "%.256s is no directory", path);
	if (st.st_uid != geteuid())
		return failure_set(failure, -EPERM, "%.256s belongs to uid %u, not to uid %u", path,
				   (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & 022)
		return failure_set(failure, -EPERM, "%.256s can be written by others: chmod 700 it",
				   path);
	return 0;
}

int paths_create(const struct paths *paths, struct failure *failure)
{
	const char *dirs[] = {paths->loopsy_home, paths->config_dir, paths->state_dir,
			      paths->run_dir};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		int r = dirs[i] ? create_private_dir(dirs[i], failure) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int paths_create_mount_point(struct paths *paths, struct failure *failure)
{
	char *parent = strdup(paths->mount), *resolved = NULL, *name, *mount;
	int r = -ENOMEM;

	if (!parent)
		return -ENOMEM;
	name = strrchr(parent, '/');
	if (!name || name[1] == '\0') {
		r = failure_set(failure, -EINVAL, "%.256s is no place for a mount", paths->mount);
		goto out;
	}
	*name++ = '\0';
	r = parent[0] ? make_dirs(parent) : 0;
	/* Of the last component only its parent is asked: it may be a mount that does not answer.
	 */
	if (r == 0 && mkdir(paths->mount, 0500) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		resolved = realpath(parent[0] ? parent : "/", NULL);
		r = resolved ? 0 : -errno;
	}
	if (r < 0) {
		failure_set(failure, r, "cannot make %.256s: %s", paths->mount, strerror(-r));
		goto out;
	}
	mount = join(resolved, name);
	if (!mount) {
		r = -ENOMEM;
		goto out;
	}
	free(paths->mount);
	paths->mount = mount;
out:
	free(resolved);
	free(parent);
	return r;
}
