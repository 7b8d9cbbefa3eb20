#include "ctl/agent_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/file_edit.h"
#include "ctl/key_client.h"

#define KEY_MAX 1024 /* bytes of a key file */

/* Of what was said, the first line; NULL is nothing. */
static int fail(char **ret_error, const char *what, const char *said)
{
	int n = said ? (int)strcspn(said, "\n") : 0;

	free(*ret_error);
	if (asprintf(ret_error, "%s%s%.*s", what, n > 0 ? ": " : "", n, said ? said : "") < 0)
		*ret_error = NULL;
	return -EIO;
}

static int save(const char *path, const char *key, char **ret_error)
{
	struct file_edit edit;
	int r = file_edit_read(path, &edit);

	if (r == 0) {
		edit.st.st_mode = S_IFREG | 0600;
		r = file_edit_write(&edit, (struct bytes){(const uint8_t *)key, strlen(key)}, NULL);
		file_edit_deinit(&edit);
	}
	return r < 0 ? fail(ret_error, "cannot write the key file", strerror(-r)) : 0;
}

/* Whether the file is there, ours alone, and what is in it was not revoked. */
static bool is_good(const struct context *context, const char *path)
{
	char key[KEY_MAX + 1] = "";
	FILE *file = strcmp(agent_key_state(path), "ok") == 0 ? fopen(path, "re") : NULL;
	bool good = file && fgets(key, sizeof(key), file);

	if (file)
		fclose(file);
	key[strcspn(key, "\n")] = '\0';
	good = good && key_client_holds(context, key);
	explicit_bzero(key, sizeof(key));
	return good;
}

/* How the key of an agent is called. */
static char *name_of(const char *agent)
{
	char *name;

	return asprintf(&name, "mcp-%s", agent) < 0 ? NULL : name;
}

int agent_key_make(const struct context *context, const char *agent, const char *path,
		   char **ret_error)
{
	char *name = name_of(agent), *key = NULL, *said = NULL;
	int r;

	if (is_good(context, path))
		r = 0;
	else if (!name || key_client_generate(context, name, NULL, NULL, &key, &said) < 0)
		r = fail(ret_error, "cannot make a key", said);
	else
		r = save(path, key, ret_error);
	if (key)
		explicit_bzero(key, strlen(key));
	free(key);
	free(said);
	free(name);
	return r;
}

int agent_key_end(const struct context *context, const char *agent, const char *path,
		  char **ret_error)
{
	char *name = name_of(agent), *said = NULL;
	int r = 0;

	/* One that was revoked by hand is gone already. */
	if (access(path, F_OK) == 0 && name)
		key_client_revoke(context, name, &said);
	if (unlink(path) < 0 && errno != ENOENT)
		r = fail(ret_error, "cannot remove the key file", strerror(errno));
	free(said);
	free(name);
	return r;
}

const char *agent_key_state(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > KEY_MAX)
		return "missing";
	return st.st_uid != geteuid() || (st.st_mode & 077) ? "open" : "ok";
}
