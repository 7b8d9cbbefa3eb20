#include "fs/write_behind.h"

#define BYTES_PER_US 1200 /* the fastest link that the target is made for */

void write_budget_init(struct write_budget *budget, size_t limit)
{
	TAILQ_INIT(&budget->waits);
	budget->bytes = 0;
	budget->limit = limit;
	budget->file_limit = WRITE_BEHIND_FILE_MIN;
}

void write_budget_delay(struct write_budget *budget, uint64_t rtt_us)
{
	if (rtt_us >= (WRITE_BEHIND_FILE_MAX - WRITE_BEHIND_FILE_MIN) / BYTES_PER_US)
		budget->file_limit = WRITE_BEHIND_FILE_MAX;
	else
		budget->file_limit = WRITE_BEHIND_FILE_MIN + rtt_us * BYTES_PER_US;
}

void write_behind_init(struct write_behind *behind, struct write_budget *budget)
{
	*behind = (struct write_behind){.budget = budget};
	TAILQ_INIT(&behind->records);
	TAILQ_INIT(&behind->waits);
}

bool write_behind_is_pending(const struct write_behind *behind)
{
	return !TAILQ_EMPTY(&behind->records);
}

bool write_behind_has_room(const struct write_behind *behind)
{
	return behind->bytes <= behind->budget->file_limit &&
	       behind->budget->bytes <= behind->budget->limit;
}

void write_behind_sent(struct write_behind *behind, struct write_record *record, uint64_t offset,
		       size_t size, struct timespec now)
{
	if (!write_behind_is_pending(behind))
		behind->end = 0;
	if (offset + size > behind->end)
		behind->end = offset + size;
	behind->mtime = now;
	record->number = ++behind->last;
	record->size = size;
	TAILQ_INSERT_TAIL(&behind->records, record, link);
	behind->bytes += size;
	behind->budget->bytes += size;
}

/* Those who waited for writes that are done by now. */
static struct write_wait *wait_take_done(struct write_behind *behind)
{
	const struct write_record *first = TAILQ_FIRST(&behind->records);
	struct write_wait *wait = TAILQ_FIRST(&behind->waits);

	/* Waits are in the order of their numbers, as records are. */
	if (wait == NULL || (first != NULL && first->number <= wait->number))
		return NULL;
	TAILQ_REMOVE(&behind->waits, wait, link);
	return wait;
}

static struct write_wait *wait_take_roomy(struct write_budget *budget)
{
	struct write_wait *wait;

	TAILQ_FOREACH(wait, &budget->waits, link)
	{
		if (write_behind_has_room(wait->behind)) {
			TAILQ_REMOVE(&budget->waits, wait, link);
			return wait;
		}
	}
	return NULL;
}

void write_behind_answered(struct write_behind *behind, struct write_record *record)
{
	struct write_budget *budget = behind->budget;
	struct write_wait *wait;

	TAILQ_REMOVE(&behind->records, record, link);
	behind->bytes -= record->size;
	budget->bytes -= record->size;
	while ((wait = wait_take_done(behind)) != NULL)
		wait->done(wait);
	while ((wait = wait_take_roomy(budget)) != NULL)
		wait->done(wait);
}

bool write_behind_wait(struct write_behind *behind, struct write_wait *wait, bool for_room,
		       void (*done)(struct write_wait *wait))
{
	if (for_room ? write_behind_has_room(behind) : !write_behind_is_pending(behind))
		return false;
	*wait = (struct write_wait){
	    .behind = behind, .number = behind->last, .for_room = for_room, .done = done};
	if (for_room)
		TAILQ_INSERT_TAIL(&behind->budget->waits, wait, link);
	else
		TAILQ_INSERT_TAIL(&behind->waits, wait, link);
	return true;
}
