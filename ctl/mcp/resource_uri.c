#include "ctl/mcp/resource_uri.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME "loopsy://"

void resource_uri_deinit(struct resource_uri *uri)
{
	free(uri->peer);
	free(uri->rest);
	*uri = (struct resource_uri){0};
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Malloc'ed; -EINVAL for what is no encoding, and for NUL. */
static int decode(const char *text, size_t size, char **ret_decoded)
{
	char *decoded = malloc(size + 1), *to = decoded;

	if (!decoded)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++) {
		int high = text[i] == '%' && i + 2 < size ? digit(text[i + 1]) : -1;
		int low = high >= 0 ? digit(text[i + 2]) : -1;

		if (text[i] == '%' && (low < 0 || (high == 0 && low == 0))) {
			free(decoded);
			return -EINVAL;
		}
		*to++ = text[i] == '%' ? (char)(high * 16 + low) : text[i];
		i += text[i] == '%' ? 2 : 0;
	}
	*to = '\0';
	*ret_decoded = decoded;
	return 0;
}

static bool has_dots(const char *path)
{
	for (; path; path = strchr(path, '/')) {
		path += *path == '/';
		if (strncmp(path, "..", 2) == 0 && (path[2] == '/' || path[2] == '\0'))
			return true;
	}
	return false;
}

static int read_peer(const char *text, struct resource_uri *uri)
{
	static const struct {
		const char *name;
		enum resource_kind kind;
	} kinds[] = {{"/files/", RESOURCE_FILE}, {"/kv/", RESOURCE_VALUE}};
	size_t n = strcspn(text, "/");

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t length = strlen(kinds[i].name);
		const char *rest = text + n + length;
		int r;

		if (n == 0 || strncmp(text + n, kinds[i].name, length) != 0)
			continue;
		uri->kind = kinds[i].kind;
		r = decode(text, n, &uri->peer);
		r = r < 0 ? r : decode(rest, strlen(rest), &uri->rest);
		if (r == 0 &&
		    (!uri->rest[0] || strchr(uri->peer, '/') ||
		     (uri->kind == RESOURCE_FILE && (has_dots(uri->rest) || uri->rest[0] == '/'))))
			r = -EINVAL;
		return r;
	}
	return -EINVAL;
}

int resource_uri_read(const char *text, struct resource_uri *ret_uri)
{
	static const char *const names[] = {"peers", "status", "context"};
	struct resource_uri uri = {0};
	int r;

	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return -EINVAL;
	text += strlen(SCHEME);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_uri = (struct resource_uri){.kind = (enum resource_kind)i};
			return 0;
		}
	}
	r = read_peer(text, &uri);
	if (r < 0)
		resource_uri_deinit(&uri);
	else
		*ret_uri = uri;
	return r;
}
