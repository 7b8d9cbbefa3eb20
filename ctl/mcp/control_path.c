#include "ctl/mcp/control_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 255

/* A key as the name of a file. False if it is too long for one. */
static bool escape_key(struct bytes key, char name[NAME_MAX_BYTES + 1])
{
	bool is_dots =
	    (key.size == 1 || key.size == 2) && key.data[0] == '.' && key.data[key.size - 1] == '.';
	size_t n = 0;

	for (size_t i = 0; i < key.size; i++) {
		bool escaped = key.data[i] == '/' || key.data[i] == '%' || is_dots;

		if (n + (escaped ? 3 : 1) > NAME_MAX_BYTES)
			return false;
		if (escaped)
			n += (size_t)sprintf(name + n, "%%%02X", key.data[i]);
		else
			name[n++] = (char)key.data[i];
	}
	name[n] = '\0';
	return n > 0;
}

static char *path_of(struct mcp_call *call, const char *peer, const char *directory,
		     const char *name)
{
	const char *mount = mcp_call_try_mount(call);
	char *path;

	if (!mount || asprintf(&path, "%s%s%s/.loopsy/%s/%s", mount, peer[0] ? "/" : "", peer,
			       directory, name) < 0)
		return NULL;
	return path;
}

char *control_path_kv(struct mcp_call *call, const char *peer, struct bytes key)
{
	char name[NAME_MAX_BYTES + 1];

	return escape_key(key, name) ? path_of(call, peer, "kv", name) : NULL;
}

char *control_path_inbox(struct mcp_call *call, const char *peer, const char *id)
{
	return path_of(call, peer, "messages/inbox", id);
}

void control_path_add(json_t *object, char *path)
{
	if (path)
		json_object_set_new(object, "path", json_string(path));
	free(path);
}
