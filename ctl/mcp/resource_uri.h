/*
 * The addresses of resources: loopsy://peers, loopsy://status, loopsy://context,
 * loopsy://PEER/files/PATH and loopsy://PEER/kv/KEY, with percent-encoding (RFC 3986).
 */
#ifndef CTL_MCP_RESOURCE_URI_H
#define CTL_MCP_RESOURCE_URI_H

enum resource_kind {
	RESOURCE_PEERS,
	RESOURCE_STATUS,
	RESOURCE_CONTEXT, /* the values of this machine */
	RESOURCE_FILE,
	RESOURCE_VALUE,
};

struct resource_uri {
	enum resource_kind kind;
	char *peer; /* of the last two; owned, as the next */
	char *rest; /* the path or the key, decoded: no NUL is in it, and no ".." in a path */
};

/* Returns 0, -EINVAL when there is no such resource, or -ENOMEM. */
int resource_uri_read(const char *text, struct resource_uri *ret_uri);
void resource_uri_deinit(struct resource_uri *uri);

#endif
