#include "daemon/net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy(char *to, size_t size, const char *from, size_t n)
{
	if (n == 0 || n >= size)
		return -EINVAL;
	memcpy(to, from, n);
	to[n] = '\0';
	return 0;
}

int address_split(const char *text, char ret_host[ADDRESS_HOST_MAX],
		  char ret_port[ADDRESS_PORT_MAX])
{
	const char *host = text, *colon = strrchr(text, ':'), *end;
	char port[ADDRESS_PORT_MAX], name[ADDRESS_HOST_MAX];
	unsigned long number = ADDRESS_PORT;

	if (text[0] == '[') {
		host = text + 1;
		end = strchr(host, ']');
		if (!end || (end[1] != ':' && end[1] != '\0'))
			return -EINVAL;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else if (colon && strchr(text, ':') != colon) {
		colon = NULL; /* more than one: IPv6 without a port */
		end = text + strlen(text);
	} else {
		end = colon ? colon : text + strlen(text);
	}
	if (copy(name, sizeof(name), host, (size_t)(end - host)) < 0)
		return -EINVAL;
	for (const char *at = name; *at; at++)
		if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 127 || *at == '/')
			return -EINVAL;
	if (colon) {
		if (strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
		    copy(port, sizeof(port), colon + 1, strlen(colon + 1)) < 0)
			return -EINVAL;
		number = strtoul(port, NULL, 10);
	}
	if (number < 1 || number > UINT16_MAX)
		return -EINVAL;
	snprintf(ret_host, ADDRESS_HOST_MAX, "%s", name);
	snprintf(ret_port, ADDRESS_PORT_MAX, "%u", (unsigned)(uint16_t)number);
	return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				 .ai_socktype = SOCK_STREAM};
	char host[ADDRESS_HOST_MAX], port[ADDRESS_PORT_MAX];
	struct addrinfo *info;

	if (address_split(text, host, port) < 0 || getaddrinfo(host, port, &hints, &info) != 0)
		return -EINVAL;
	memcpy(&ret_address->socket, info->ai_addr, info->ai_addrlen);
	ret_address->size = info->ai_addrlen;
	freeaddrinfo(info);
	return 0;
}

void address_format(const struct sockaddr *socket, char ret_text[ADDRESS_MAX])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)socket;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)socket;
	char host[INET6_ADDRSTRLEN], zone[IF_NAMESIZE];

	ret_text[0] = '\0';
	if (socket->sa_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(ret_text, ADDRESS_MAX, "%s:%u", host, ntohs(v4->sin_port));
	} else if (socket->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof(host));
		snprintf(ret_text, ADDRESS_MAX, "%s:%u", host, ntohs(v6->sin6_port));
	} else if (socket->sa_family == AF_INET6) {
		bool has_zone = v6->sin6_scope_id != 0 && if_indextoname(v6->sin6_scope_id, zone);

		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(ret_text, ADDRESS_MAX, "[%s%s%s]:%u", host, has_zone ? "%" : "",
			 has_zone ? zone : "", ntohs(v6->sin6_port));
	}
}

void address_of_socket(int fd, bool of_peer, char ret_text[ADDRESS_MAX])
{
	struct sockaddr_storage socket = {0};
	socklen_t size = sizeof(socket);
	int r = of_peer ? getpeername(fd, (struct sockaddr *)&socket, &size)
			: getsockname(fd, (struct sockaddr *)&socket, &size);

	ret_text[0] = '\0';
	if (r == 0)
		address_format((const struct sockaddr *)&socket, ret_text);
}
