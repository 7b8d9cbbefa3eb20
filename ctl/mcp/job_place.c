#include "ctl/mcp/job_place.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ctl/mounted.h"

#define WORD_MAX 20 /* bytes of the command's name in that of the job */
#define RANDOM   6  /* characters behind it */

static int fail_cwd(struct mcp_call *call, const char *cwd, const char *why)
{
	mcp_call_fail(call, "cwd %s: %s", cwd, why);
	return -EINVAL;
}

/* An absolute path: below the mount it is one of ours, else of the peer. */
static int find_absolute(struct mcp_call *call, const char *peer, const char *cwd, char **ret_cwd)
{
	const char *mount = mcp_call_try_mount(call);
	struct mounted mounted;
	int r = mount ? mounted_find(mount, cwd, &mounted) : -EXDEV;

	if (r == -EISDIR)
		return fail_cwd(call, cwd, "name a directory of the peer");
	if (r < 0) {
		*ret_cwd = strdup(cwd);
		return *ret_cwd ? 0 : fail_cwd(call, cwd, "out of memory");
	}
	if (strcmp(mounted.peer, peer) != 0) {
		mcp_call_fail(call, "cwd %s is on %s, not on %s", cwd, mounted.peer, peer);
		mounted_deinit(&mounted);
		return -EXDEV;
	}
	/* The top of what it shows: "" would be the home directory. */
	*ret_cwd = strdup(mounted.path[0] ? mounted.path : ".");
	mounted_deinit(&mounted);
	return *ret_cwd ? 0 : fail_cwd(call, cwd, "out of memory");
}

int job_place_find_cwd(struct mcp_call *call, const json_t *arguments, char **ret_cwd)
{
	const char *cwd = tool_string(arguments, "cwd", "");

	if (cwd[0] == '/')
		return find_absolute(call, tool_string(arguments, "peer", ""), cwd, ret_cwd);
	*ret_cwd = strdup(cwd);
	return *ret_cwd ? 0 : fail_cwd(call, cwd, "out of memory");
}

void job_place_make_name(const char *command, char *name, size_t size)
{
	static const char digits[] = "abcdefghijkmnpqrstuvwxyz23456789";
	size_t length = strcspn(command, " \t\n;|&<>()"), n = 0;
	unsigned char random[RANDOM] = {0};
	const char *slash = memrchr(command, '/', length);

	if (slash) {
		length -= (size_t)(slash + 1 - command);
		command = slash + 1;
	}
	for (size_t i = 0; i < length && n < WORD_MAX && n + RANDOM + 2 < size; i++)
		if (isalnum((unsigned char)command[i]) || (n > 0 && strchr("._-", command[i])))
			name[n++] = command[i];
	if (n == 0)
		n = (size_t)snprintf(name, size, "job");
	name[n++] = '-';
	if (getrandom(random, sizeof(random), 0) < 0)
		random[0] = (unsigned char)n;
	for (size_t i = 0; i < RANDOM; i++)
		name[n++] = digits[random[i] % 32];
	name[n] = '\0';
}

int job_place_set_env(struct exec_command *command, const json_t *map)
{
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)map, key, value)
	{
		char *text;

		if (r < 0)
			break;
		if (!key[0] || strchr(key, '='))
			return -EINVAL;
		if (asprintf(&text, "%s=%s", key, json_string_value(value)) < 0)
			return -ENOMEM;
		r = exec_command_add_env(command, text);
		free(text);
	}
	return r;
}
