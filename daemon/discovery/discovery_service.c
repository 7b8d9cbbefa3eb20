#include "daemon/discovery/discovery_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/peer_name.h"

_Static_assert(DISCOVERY_NAME_MAX == PEER_NAME_MAX, "a peer name fits");

bool discovery_service_id_is_valid(const char *id)
{
	return strlen(id) == DISCOVERY_ID_MAX && strspn(id, "0123456789abcdef") == DISCOVERY_ID_MAX;
}

/* The value of the first string with that key, or NULL. */
static const uint8_t *find_value(const struct discovery_txt *txt, size_t n_txt, const char *key,
				 size_t *ret_size)
{
	size_t key_size = strlen(key);

	for (size_t i = 0; i < n_txt; i++) {
		if (txt[i].size > key_size && txt[i].data[key_size] == '=' &&
		    strncasecmp((const char *)txt[i].data, key, key_size) == 0) {
			*ret_size = txt[i].size - key_size - 1;
			return txt[i].data + key_size + 1;
		}
	}
	return NULL;
}

/* A value of printable ASCII without spaces; a missing one is "". */
static int copy_word(const struct discovery_txt *txt, size_t n_txt, const char *key, char *ret,
		     size_t max)
{
	size_t size = 0;
	const uint8_t *value = find_value(txt, n_txt, key, &size);

	if (size > max)
		return -EINVAL;
	for (size_t i = 0; i < size; i++)
		if (value[i] <= ' ' || value[i] > '~')
			return -EINVAL;
	if (size > 0)
		memcpy(ret, value, size);
	ret[size] = '\0';
	return 0;
}

/* A name may be any bytes: it is mapped to a valid one. */
static int copy_name(const struct discovery_txt *txt, size_t n_txt,
		     char ret[DISCOVERY_NAME_MAX + 1])
{
	size_t size = 0;
	const uint8_t *value = find_value(txt, n_txt, "name", &size);

	if (size > DISCOVERY_NAME_MAX)
		return -EINVAL;
	if (size > 0)
		memcpy(ret, value, size);
	ret[size] = '\0';
	return 0;
}

int discovery_service_parse(const struct discovery_txt *txt, size_t n_txt, const char *service_name,
			    struct discovery_service *ret)
{
	struct discovery_service service = {0};
	char name[DISCOVERY_NAME_MAX + 1];

	if (copy_word(txt, n_txt, "id", service.id, DISCOVERY_ID_MAX) < 0 ||
	    !discovery_service_id_is_valid(service.id) || copy_name(txt, n_txt, name) < 0 ||
	    copy_word(txt, n_txt, "v", service.version, DISCOVERY_VERSION_MAX) < 0 ||
	    copy_word(txt, n_txt, "caps", service.caps, DISCOVERY_CAPS_MAX) < 0)
		return -EINVAL;
	peer_name_map(name[0] != '\0' ? name : service_name, service.name);
	*ret = service;
	return 0;
}

static bool is_dialable_in(struct in_addr address, bool local)
{
	uint32_t host = ntohl(address.s_addr);
	uint32_t first = host >> 24;

	if (first == 127)
		return local;
	return first != 0 && first < 224; /* 224/4 is multicast, 240/4 reserved and broadcast */
}

static bool is_dialable_in6(const struct in6_addr *address, unsigned interface, bool local)
{
	if (IN6_IS_ADDR_LOOPBACK(address))
		return local;
	if (IN6_IS_ADDR_LINKLOCAL(address))
		return interface != 0;
	return !IN6_IS_ADDR_UNSPECIFIED(address) && !IN6_IS_ADDR_MULTICAST(address) &&
	       !IN6_IS_ADDR_V4MAPPED(address) && !IN6_IS_ADDR_V4COMPAT(address);
}

int discovery_service_address(int family, const void *data, uint16_t port, unsigned interface,
			      bool local, union discovery_address *ret)
{
	union discovery_address address = {0};

	if (port == 0)
		return -EINVAL;
	if (family == AF_INET) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
		memcpy(&address.in.sin_addr, data, sizeof(address.in.sin_addr));
		if (!is_dialable_in(address.in.sin_addr, local))
			return -EINVAL;
	} else if (family == AF_INET6) {
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(port);
		memcpy(&address.in6.sin6_addr, data, sizeof(address.in6.sin6_addr));
		if (!is_dialable_in6(&address.in6.sin6_addr, interface, local))
			return -EINVAL;
		if (IN6_IS_ADDR_LINKLOCAL(&address.in6.sin6_addr))
			address.in6.sin6_scope_id = interface;
	} else {
		return -EINVAL;
	}
	*ret = address;
	return 0;
}

bool discovery_service_address_equal(const union discovery_address *a,
				     const union discovery_address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port &&
	       a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
	       IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
}

char *discovery_service_address_text(const union discovery_address *address,
				     char buffer[DISCOVERY_ADDRESS_TEXT_MAX])
{
	char text[INET6_ADDRSTRLEN] = "", interface[IF_NAMESIZE] = "";

	if (address->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->in.sin_addr, text, sizeof(text));
		snprintf(buffer, DISCOVERY_ADDRESS_TEXT_MAX, "%s:%u", text,
			 ntohs(address->in.sin_port));
		return buffer;
	}
	inet_ntop(AF_INET6, &address->in6.sin6_addr, text, sizeof(text));
	if (address->in6.sin6_scope_id != 0 &&
	    if_indextoname(address->in6.sin6_scope_id, interface) == NULL)
		snprintf(interface, sizeof(interface), "%u", address->in6.sin6_scope_id);
	snprintf(buffer, DISCOVERY_ADDRESS_TEXT_MAX, "[%s%s%s]:%u", text,
		 interface[0] != '\0' ? "%" : "", interface, ntohs(address->in6.sin6_port));
	return buffer;
}

int discovery_service_announced_name(const char *name, const char *id, unsigned attempt,
				     char ret[DISCOVERY_NAME_MAX + 1])
{
	static const int digits[] = {0, 4, 8, DISCOVERY_ID_MAX};
	char suffix[DISCOVERY_ID_MAX + 4] = "";

	if (attempt >= sizeof(digits) / sizeof(digits[0]))
		return -E2BIG;
	if (attempt > 0)
		snprintf(suffix, sizeof(suffix), " (%.*s)", digits[attempt], id);
	snprintf(ret, DISCOVERY_NAME_MAX + 1, "%.*s%s", (int)(DISCOVERY_NAME_MAX - strlen(suffix)),
		 name, suffix);
	return 0;
}
