#include "daemon/jobs/spool_runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void spool_runs_deinit(struct spool_runs *runs)
{
	free(runs->starts);
	*runs = (struct spool_runs){0};
}

int spool_runs_add(struct spool_runs *runs, uint64_t offset, unsigned channel)
{
	if (runs->n > 0 && (runs->starts[runs->first + runs->n - 1] & 1) == channel)
		return 0;
	if (runs->first + runs->n == runs->capacity) {
		size_t capacity = runs->capacity;
		uint64_t *grown;

		if (runs->n * 2 >= capacity) {
			capacity = capacity ? capacity * 2 : 4;
			grown = reallocarray(runs->starts, capacity, sizeof(*grown));
			if (!grown)
				return -ENOMEM;
			runs->starts = grown;
			runs->capacity = capacity;
		}
		memmove(runs->starts, runs->starts + runs->first, runs->n * sizeof(*grown));
		runs->first = 0;
	}
	runs->starts[runs->first + runs->n++] = offset * 2 + channel;
	return 0;
}

/* The run that `offset` lies in: runs->n > 0, and the first begins at or below it. */
static size_t search(const struct spool_runs *runs, uint64_t offset)
{
	size_t low = 0, high = runs->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (runs->starts[runs->first + middle] / 2 <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

unsigned spool_runs_find(const struct spool_runs *runs, uint64_t offset, uint64_t *ret_end)
{
	size_t i;

	*ret_end = UINT64_MAX;
	if (runs->n == 0)
		return 0;
	i = search(runs, offset);
	if (i + 1 < runs->n)
		*ret_end = runs->starts[runs->first + i + 1] / 2;
	return (unsigned)(runs->starts[runs->first + i] & 1);
}

void spool_runs_trim(struct spool_runs *runs, uint64_t offset)
{
	size_t i;

	if (runs->n == 0)
		return;
	i = search(runs, offset);
	runs->first += i;
	runs->n -= i;
}

uint64_t spool_runs_second(const struct spool_runs *runs)
{
	return runs->n > 1 ? runs->starts[runs->first + 1] / 2 : UINT64_MAX;
}
