#ifndef DAEMON_STORE_SCHEMA_H
#define DAEMON_STORE_SCHEMA_H

#include <sqlite3.h>

#include "daemon/failure.h"

/*
 * Brings the tables of an open database up to date, from whatever older loopsyd made them; all of
 * it or nothing. 0; -EPROTONOSUPPORT if a newer loopsyd made them; or another -errno.
 */
int store_schema_migrate(sqlite3 *db, struct failure *failure);

#endif
