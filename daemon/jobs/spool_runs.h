/* Runs: which bytes of a spool came from which kind of output, compactly. */
#ifndef DAEMON_JOBS_SPOOL_RUNS_H
#define DAEMON_JOBS_SPOOL_RUNS_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialised; starts[i] is where a run begins, twice, plus its channel. */
struct spool_runs {
	uint64_t *starts;
	size_t first, n, capacity; /* those from `first` on are in use */
};

void spool_runs_deinit(struct spool_runs *runs);
/* `offset` on is of `channel`. Returns 0 or -ENOMEM. */
int spool_runs_add(struct spool_runs *runs, uint64_t offset, unsigned channel);
/* The channel at `offset`, and where it ends (UINT64_MAX for the last run). */
unsigned spool_runs_find(const struct spool_runs *runs, uint64_t offset, uint64_t *ret_end);
/* What lies below `offset` is forgotten. */
void spool_runs_trim(struct spool_runs *runs, uint64_t offset);
/* Where the second run begins, or UINT64_MAX. */
uint64_t spool_runs_second(const struct spool_runs *runs);

#endif
