#include "daemon/permissions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"

/* A name comes before the names that it includes, so that the shortest list is printed. */
const struct permissions_info permissions_table[] = {
    {"fs:rw", PERMISSION_FS_RW | PERMISSION_FS_RO, "read and change your files"},
    {"fs:ro", PERMISSION_FS_RO, "read your files"},
    {"fs:ids", PERMISSION_FS_IDS, "act on files as any user of this machine"},
    {"exec", PERMISSION_EXEC, "run programs as you"},
    {"kv", PERMISSION_KV, "read and change shared values"},
    {"msg", PERMISSION_MSG, "send you messages"},
};
const size_t permissions_table_n = sizeof(permissions_table) / sizeof(permissions_table[0]);

static int unknown(const char *name, size_t n, struct failure *failure)
{
	char known[PERMISSIONS_TEXT_MAX + 16] = "", value[LOG_VALUE_MAX];

	if (n == 0)
		return failure_set(failure, -EINVAL, "empty name in the list of permissions");
	for (size_t i = 0; i < permissions_table_n; i++) {
		strcat(known, i ? ", " : "");
		strcat(known, permissions_table[i].name);
	}
	return failure_set(failure, -EINVAL, "unknown permission %s (known: %s)",
			   log_quote_bytes(value, name, n), known);
}

int permissions_parse(const char *text, uint16_t *ret_set, struct failure *failure)
{
	const char *blanks = " \t";
	uint16_t set = 0;

	text += strspn(text, blanks);
	if (strncmp(text, "none", 4) == 0 && text[4 + strspn(text + 4, blanks)] == '\0') {
		*ret_set = PERMISSION_NONE;
		return 0;
	}
	for (;;) {
		size_t n, i;

		text += strspn(text, blanks);
		n = strcspn(text, ", \t");
		for (i = 0; i < permissions_table_n; i++)
			if (strlen(permissions_table[i].name) == n &&
			    memcmp(permissions_table[i].name, text, n) == 0)
				break;
		if (i == permissions_table_n)
			return unknown(text, n, failure);
		set = (uint16_t)(set | permissions_table[i].set);
		text += n;
		text += strspn(text, blanks);
		if (*text == '\0')
			break;
		if (*text != ',')
			return failure_set(failure, -EINVAL,
					   "permissions are separated by commas, as in fs:rw,exec");
		text++;
	}
	*ret_set = set;
	return 0;
}

char *permissions_print(uint16_t set, char *buffer)
{
	uint16_t printed = 0;

	buffer[0] = '\0';
	for (size_t i = 0; i < permissions_table_n; i++) {
		uint16_t bits = permissions_table[i].set;

		if ((set & bits) != bits || (printed & bits) == bits)
			continue;
		if (printed)
			strcat(buffer, ",");
		strcat(buffer, permissions_table[i].name);
		printed = (uint16_t)(printed | bits);
	}
	if (!printed)
		strcpy(buffer, "none");
	return buffer;
}
