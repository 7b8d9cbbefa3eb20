#include "daemon/serve/fd_locks.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "lock:\t1: OFDLCK ADVISORY  WRITE -1 fe:00:1234 10 19": the last are the first and the last byte,
 * or "EOF" (proc_pid_fdinfo(5)). */
static bool is_that(const char *line, const struct result_lock *lock)
{
	char type[8], last[24];
	uint64_t from, to;

	if (sscanf(line, "lock: %*s OFDLCK %*s %7s %*s %*s %" SCNu64 " %23s", type, &from, last) !=
	    3)
		return false;
	if (strcmp(type, lock->type == F_WRLCK ? "WRITE" : "READ") != 0 || from != lock->offset)
		return false;
	if (strcmp(last, "EOF") == 0)
		return lock->size == 0;
	to = strtoull(last, NULL, 10);
	return lock->size > 0 && to - from == lock->size - 1;
}

bool fd_locks_has(int fd, const struct result_lock *lock)
{
	char path[40], line[256];
	bool has = false;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	if (!info)
		return false;
	while (!has && fgets(line, sizeof(line), info))
		has = is_that(line, lock);
	fclose(info);
	return has;
}
