/* The addresses of this machine, for people: what "all addresses" comes to. */
#ifndef CTL_OWN_ADDRESSES_H
#define CTL_OWN_ADDRESSES_H

#define OWN_ADDRESS_MAX 80

/*
 * Calls back with each address, "192.0.2.7:19532" or "[2001:db8::7]:19532", under which others may
 * reach what listens at `listen`, also an address with a port: itself, unless it stands for all
 * addresses. Then loopback and link-local ones are left out, which others cannot use as they are.
 */
void own_addresses_each(const char *listen, void (*visit)(void *arg, const char *address),
			void *arg);

#endif
