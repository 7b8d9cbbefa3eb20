/*
 * What strangers announce, checked: TXT records and addresses in, a bounded and well-formed
 * `struct discovery_service` out. Pure functions.
 */
#ifndef DAEMON_DISCOVERY_DISCOVERY_SERVICE_H
#define DAEMON_DISCOVERY_DISCOVERY_SERVICE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define DISCOVERY_TYPE          "_loopsy._tcp"
#define DISCOVERY_ID_MAX        32 /* exactly so many hex digits */
#define DISCOVERY_NAME_MAX      63
#define DISCOVERY_VERSION_MAX   31
#define DISCOVERY_CAPS_MAX      127
#define DISCOVERY_ADDRESSES_MAX 8
#define DISCOVERY_SERVICES_MAX  256
/* "[" address "%" interface "]:" port */
#define DISCOVERY_ADDRESS_TEXT_MAX 80

/* IPv4 or IPv6 with the port; a link-local one has its scope id. */
union discovery_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct discovery_service {
	char id[DISCOVERY_ID_MAX + 1];           /* 32 lower-case hex digits */
	char name[DISCOVERY_NAME_MAX + 1];       /* a valid peer name; not unique */
	char version[DISCOVERY_VERSION_MAX + 1]; /* printable ASCII without space; may be "" */
	char caps[DISCOVERY_CAPS_MAX + 1];       /* likewise */
	size_t n_addresses;
	union discovery_address addresses[DISCOVERY_ADDRESSES_MAX]; /* no duplicates */
};

/* One string of a TXT record: "key=value", not terminated. */
struct discovery_txt {
	const uint8_t *data;
	size_t size;
};

bool discovery_service_id_is_valid(const char *id);

/*
 * id, name, version and caps from the TXT strings; the name, where it is missing, from
 * `service_name`. A key that comes twice counts the first time (RFC 6763, 6.4). Returns 0, or
 * -EINVAL if there is no well-formed id, or a value is too long or not printable. Names of other
 * bytes than a peer name's are mapped to a valid one.
 */
int discovery_service_parse(const struct discovery_txt *txt, size_t n_txt, const char *service_name,
			    struct discovery_service *ret);

/*
 * An address as announced: `family` AF_INET or AF_INET6, `data` its 4 or 16 bytes. Returns 0, or
 * -EINVAL for one that cannot be dialled or that a stranger has no business to send us to:
 * unspecified, broadcast, multicast, v4-mapped, port 0, a link-local one without interface, and
 * loopback unless `local` (announced by this very machine).
 */
int discovery_service_address(int family, const void *data, uint16_t port, unsigned interface,
			      bool local, union discovery_address *ret);

bool discovery_service_address_equal(const union discovery_address *a,
				     const union discovery_address *b);

/* "192.0.2.1:19532", "[fe80::1%eth0]:19532"; returns buffer. */
char *discovery_service_address_text(const union discovery_address *address,
				     char buffer[DISCOVERY_ADDRESS_TEXT_MAX]);

/*
 * The name to announce, for the attempt-th time (0, 1, …): the plain name, then with more and more
 * of the id in it, "desk (3f2a)". Numbers as avahi_alternative_service_name gives them collide in
 * lockstep when two machines of one name start together; ids differ. Returns 0, or -E2BIG when
 * there are no more to try.
 */
int discovery_service_announced_name(const char *name, const char *id, unsigned attempt,
				     char ret[DISCOVERY_NAME_MAX + 1]);

#endif
