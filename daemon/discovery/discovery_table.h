/*
 * The services known now, each with the addresses that the single announcements ("origins": one
 * per interface and protocol) gave, and which of them the loop has yet to hear of. Bounded, no
 * locking, no I/O.
 */
#ifndef DAEMON_DISCOVERY_DISCOVERY_TABLE_H
#define DAEMON_DISCOVERY_DISCOVERY_TABLE_H

#include "daemon/discovery/discovery_service.h"

struct discovery_row {
	struct discovery_service service; /* id "" in a free row; without addresses: gone, but the
					     loop has yet to hear of it */
	unsigned origins[DISCOVERY_ADDRESSES_MAX]; /* of each address */
	bool changed;                              /* since it was last taken */
	bool told;                                 /* it was taken as found, not yet as gone */
};

struct discovery_table {
	size_t n_rows; /* used at some time; the rest was never touched */
	struct discovery_row rows[DISCOVERY_SERVICES_MAX];
};

/*
 * Origin `origin` now says `service` (with one address): replaces what it said before. Returns 0,
 * or -ENOSPC if the table, or the service's list of addresses, is full; what the origin said
 * before is withdrawn all the same.
 */
int discovery_table_put(struct discovery_table *table, unsigned origin,
			const struct discovery_service *service);

/* The origin says nothing any more. */
void discovery_table_remove(struct discovery_table *table, unsigned origin);
void discovery_table_clear(struct discovery_table *table);

enum discovery_change {
	DISCOVERY_CHANGE_NONE,
	DISCOVERY_CHANGE_FOUND,
	DISCOVERY_CHANGE_GONE, /* only the id counts */
};

/* Takes one change that was not taken yet; its service goes to *ret. */
enum discovery_change discovery_table_take(struct discovery_table *table,
					   struct discovery_service *ret);

/* Row `i` of n_rows, without double addresses; false if there is no service in it. */
bool discovery_table_get(const struct discovery_table *table, size_t i,
			 struct discovery_service *ret);

#endif
