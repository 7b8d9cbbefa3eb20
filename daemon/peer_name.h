#ifndef DAEMON_PEER_NAME_H
#define DAEMON_PEER_NAME_H

#include <stdbool.h>

/*
 * Names of peers: directories below the mount and words on the command line. 1 to 63 of
 * [A-Za-z0-9._-], not starting with a dot.
 */
#define PEER_NAME_MAX 63

bool peer_name_is_valid(const char *name);

/*
 * Makes a valid name of whatever a peer calls itself: runs of other bytes become one "-", leading
 * dots and hyphens go, too long is cut, nothing left is "peer". A valid name that starts with
 * neither stays as it is. name may be NULL.
 */
void peer_name_map(const char *name, char ret_name[PEER_NAME_MAX + 1]);

/* Whether a name is given to another peer already. */
typedef bool (*peer_name_taken_fn)(const char *name, void *data);

/* As peer_name_map, and with -2, -3, … added (cut to fit) for as long as the name is taken. */
void peer_name_choose(const char *name, peer_name_taken_fn taken, void *data,
		      char ret_name[PEER_NAME_MAX + 1]);

#endif
