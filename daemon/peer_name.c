#include "daemon/peer_name.h"

#include <stdio.h>
#include <string.h>

static bool is_allowed(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool peer_name_is_valid(const char *name)
{
	size_t n = strnlen(name, PEER_NAME_MAX + 1);

	if (n == 0 || n > PEER_NAME_MAX || name[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_allowed(name[i]))
			return false;
	return true;
}

void peer_name_map(const char *name, char ret_name[PEER_NAME_MAX + 1])
{
	size_t length = 0;
	bool gap = false;

	for (; name && *name && length < PEER_NAME_MAX; name++) {
		if (!is_allowed(*name)) {
			gap = length > 0;
			continue;
		}
		if (length == 0 && (*name == '.' || *name == '-'))
			continue;
		if (gap && length + 1 < PEER_NAME_MAX)
			ret_name[length++] = '-';
		gap = false;
		ret_name[length++] = *name;
	}
	ret_name[length] = '\0';
	if (length == 0)
		strcpy(ret_name, "peer");
}

void peer_name_choose(const char *name, peer_name_taken_fn taken, void *data,
		      char ret_name[PEER_NAME_MAX + 1])
{
	char mapped[PEER_NAME_MAX + 1];

	peer_name_map(name, mapped);
	strcpy(ret_name, mapped);
	for (unsigned int i = 2; taken(ret_name, data); i++) {
		char suffix[16];
		int n = snprintf(suffix, sizeof(suffix), "-%u", i);

		snprintf(ret_name, PEER_NAME_MAX + 1, "%.*s%s", PEER_NAME_MAX - n, mapped, suffix);
	}
}
