#include "ctl/agent_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/daemon_program.h"
#include "ctl/file_edit.h"

#define KEY_MAX 1024 /* bytes of a key file */

static int fail(char **ret_error, const char *what, char *said)
{
	if (said)
		said[strcspn(said, "\n")] = '\0';
	free(*ret_error);
	if (asprintf(ret_error, "%s%s%s", what, said && *said ? ": " : "", said ? said : "") < 0)
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

int agent_key_make(const struct context *context, const char *agent, const char *path,
		   char **ret_error)
{
	const char *const arguments[] = {"show", NULL};
	char *key = NULL, *said = NULL;
	int r = 0;

	(void)agent;
	if (strcmp(agent_key_state(path), "ok") == 0)
		return 0;
	if (daemon_program_ask(context, "key", arguments, &key, &said) != CONTEXT_OK || !key ||
	    !*key)
		r = fail(ret_error, "cannot make a key", said);
	else
		r = save(path, key, ret_error);
	if (key)
		explicit_bzero(key, strlen(key));
	free(key);
	free(said);
	return r;
}

int agent_key_end(const struct context *context, const char *agent, const char *path,
		  char **ret_error)
{
	(void)context;
	(void)agent;
	if (unlink(path) < 0 && errno != ENOENT)
		return fail(ret_error, "cannot remove the key file", strerror(errno));
	return 0;
}

const char *agent_key_state(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > KEY_MAX)
		return "missing";
	return st.st_uid != geteuid() || (st.st_mode & 077) ? "open" : "ok";
}
