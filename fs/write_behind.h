/*
 * Write-behind: what was acknowledged to programs and not yet by the peer.
 *
 * Pure bookkeeping over the writes of one file, and a bound over those of all files of a peer; the
 * owner sends them. The wire keeps the order of a node's calls, so what comes after a write sees
 * it without waiting; waiting is for those who must know that it was done.
 */
#ifndef FS_WRITE_BEHIND_H
#define FS_WRITE_BEHIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

/* Bytes of one file that may be unacknowledged: as many as a LAN needs, and more with the delay; of
 * a peer: fs_config.write_behind_max. The server stops reading from us at 16 MiB. */
#define WRITE_BEHIND_FILE_MIN (3 * 1024 * 1024)
#define WRITE_BEHIND_FILE_MAX (12 * 1024 * 1024)
#define WRITE_BEHIND_PEER_MAX (14 * 1024 * 1024)

struct write_behind;

/* One WRITE under way. Embedded in the owner's call. */
struct write_record {
	TAILQ_ENTRY(write_record) link; /* behind->records, in the order sent */
	uint64_t number;
	size_t size;
};

/* Somebody waits: for the writes made before, or for room. Embedded. */
struct write_wait {
	TAILQ_ENTRY(write_wait) link; /* behind->waits or budget->waits */
	struct write_behind *behind;
	uint64_t number; /* of the last write that is waited for */
	bool for_room;
	/* It is over; the wait is on no list any more. May start new writes and waits, and free
	 * itself. */
	void (*done)(struct write_wait *wait);
};

/* Shared by all files of a peer. */
struct write_budget {
	TAILQ_HEAD(, write_wait) waits; /* for room, first come first served */
	size_t bytes;
	size_t limit;
	size_t file_limit;
};

struct write_behind {
	struct write_budget *budget;
	TAILQ_HEAD(, write_record) records;
	TAILQ_HEAD(, write_wait) waits;
	uint64_t last; /* the number given last */
	size_t bytes;
	uint64_t end;          /* one past the last byte written, since nothing was pending */
	struct timespec mtime; /* of the last write, by our clock */
};

void write_budget_init(struct write_budget *budget, size_t limit);
/* The round trip, as last measured: what one file may have unacknowledged follows it. */
void write_budget_delay(struct write_budget *budget, uint64_t rtt_us);
void write_behind_init(struct write_behind *behind, struct write_budget *budget);

/* A write goes out. */
void write_behind_sent(struct write_behind *behind, struct write_record *record, uint64_t offset,
		       size_t size, struct timespec now);
/* It was answered, well or not. Ends waits. */
void write_behind_answered(struct write_behind *behind, struct write_record *record);

/* Whether something is unacknowledged. */
bool write_behind_is_pending(const struct write_behind *behind);
/* Whether another write may be acknowledged to its program now. */
bool write_behind_has_room(const struct write_behind *behind);

/*
 * Waits for all writes sent before (or, for_room, until the next may be acknowledged). Returns
 * false if there is nothing to wait for; `done` is not called then, else exactly once.
 */
bool write_behind_wait(struct write_behind *behind, struct write_wait *wait, bool for_room,
		       void (*done)(struct write_wait *wait));

#endif
