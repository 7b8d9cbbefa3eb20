/*
 * Addresses: "host:port" and "[v6%zone]:port" as text, and as what sockets take.
 */
#ifndef DAEMON_NET_ADDRESS_H
#define DAEMON_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_MAX      128 /* with NUL */
#define ADDRESS_PORT     19532
#define ADDRESS_HOST_MAX 112
#define ADDRESS_PORT_MAX 6

struct address {
	struct sockaddr_storage socket;
	socklen_t size;
};

/*
 * Splits a text; without a port it is ADDRESS_PORT. An IPv6 address without a port needs no
 * brackets. Returns 0, or -EINVAL if it has not that form (the host is not looked up).
 */
int address_split(const char *text, char ret_host[ADDRESS_HOST_MAX],
		  char ret_port[ADDRESS_PORT_MAX]);

/* The address, if the host is a number. Returns 0, or -EINVAL if it is not. */
int address_parse(const char *text, struct address *ret_address);

/* Writes the text of an address; one of IPv4 within IPv6 as IPv4; "" if it is neither. */
void address_format(const struct sockaddr *socket, char ret_text[ADDRESS_MAX]);

/* Writes the other end's address (`of_peer`) or the own one of a socket; "" if it has none. */
void address_of_socket(int fd, bool of_peer, char ret_text[ADDRESS_MAX]);

#endif
