#include "ctl/own_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_of_use(const struct ifaddrs *own, int family)
{
	if (!own->ifa_addr || own->ifa_addr->sa_family != family || (own->ifa_flags & IFF_LOOPBACK))
		return false;
	return family == AF_INET ||
	       !IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *)own->ifa_addr)->sin6_addr);
}

static void visit_own(const struct ifaddrs *own, const char *port,
		      void (*visit)(void *arg, const char *address), void *arg)
{
	int family = own->ifa_addr->sa_family;
	char text[INET6_ADDRSTRLEN], address[OWN_ADDRESS_MAX];
	const void *bytes = family == AF_INET
				? (void *)&((struct sockaddr_in *)own->ifa_addr)->sin_addr
				: (void *)&((struct sockaddr_in6 *)own->ifa_addr)->sin6_addr;

	if (!inet_ntop(family, bytes, text, sizeof(text)))
		return;
	snprintf(address, sizeof(address), family == AF_INET ? "%s:%s" : "[%s]:%s", text, port);
	visit(arg, address);
}

void own_addresses_each(const char *listen, void (*visit)(void *arg, const char *address),
			void *arg)
{
	static const char any4[] = "0.0.0.0:", any6[] = "[::]:";
	bool is_any4 = strncmp(listen, any4, sizeof(any4) - 1) == 0;
	bool is_any6 = strncmp(listen, any6, sizeof(any6) - 1) == 0;
	struct ifaddrs *all;

	if (!is_any4 && !is_any6) {
		visit(arg, listen);
		return;
	}
	if (getifaddrs(&all) < 0)
		return;
	for (struct ifaddrs *own = all; own; own = own->ifa_next)
		if (is_of_use(own, is_any4 ? AF_INET : AF_INET6))
			visit_own(own, strrchr(listen, ':') + 1, visit, arg);
	freeifaddrs(all);
}
