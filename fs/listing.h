/*
 * Listings: all entries of one directory with their attributes, as one READDIR brings them.
 *
 * A listing is shared: the handles that read it hold it, and so does the directory that it answers
 * lookups for (dir.c), for a second. Each entry carries a reference of the server's, which goes to
 * the node when one is made (listing_enter), and is forgotten with the entry otherwise.
 *
 * In a large directory, whose entries nobody may want to look at (`ls -f`, shell patterns), the
 * later ones are bare: a name with its inode number and type, for which the peer looks at nothing.
 * If they are looked at after all, they are asked for again from there on (listing_want_attrs).
 *
 * It streams: readers get what is there and wait for more. Beyond LISTING_KEEP bytes it lets go of
 * what all its readers have passed and asks for more only then, so that a directory of any size
 * takes bounded memory. Who wants to go back needs a new listing. It also does not come faster than
 * it is read: what is delivered must be fresh, or the kernel would ask for each name again.
 */
#ifndef FS_LISTING_H
#define FS_LISTING_H

#include "fs/peer.h"

#define LISTING_KEEP  (16 * 1024 * 1024)
#define LISTING_AHEAD (512 * 1024) /* beyond its fastest reader */
#define LISTING_CHUNK (64 * 1024)
/* What took long to come is believed longer than others, or `ls -l` in a large directory would ask
 * for each name again: for so many times as long, up to so many times fs_config.trust. */
#define LISTING_TRUST_TIMES 10
#define LISTING_TRUST_MAX   20

/* Waits for a listing to have more; embedded. */
struct listing_reader {
	struct listing *listing;            /* NULL: none */
	struct listing_reader *prev, *next; /* listing->readers */
	uint64_t position;                  /* the entry that is wanted next: those before may go */
	bool is_waiting;
	void (*more)(struct listing_reader *reader); /* once per listing_wait */
};

struct listing_entry {
	struct bytes name; /* followed by a NUL */
	struct entry entry;
	uint64_t until; /* believed until then, even while the rest is coming */
	bool is_taken;  /* its reference is a node's */
	bool is_bare;   /* only its name, inode number and type are known */
	void *at;       /* for listing_enter */
};

struct listing {
	struct fs_node *node; /* held */
	struct fs_peer *peer;
	unsigned refs;
	uint32_t sent; /* fs->change when it was asked for */
	uint32_t session;
	uint64_t asked;
	uint64_t until;     /* believed until then */
	uint64_t n;         /* entries so far */
	uint64_t fs_number; /* the file system of bare names: the directory's */
	bool is_complete;   /* all have come */
	bool is_whole;      /* none was let go of */
	bool has_bare;      /* the last ones are bare */
	int error;          /* it broke */
	size_t bytes;
	struct listing_chunk **chunks; /* NULL: let go of */
	size_t n_chunks, chunks_capacity;
	size_t chunk_size;
	size_t n_gone;   /* chunks let go of */
	size_t unpaid;   /* stream bytes for which the peer got no credit yet */
	uint32_t *index; /* by name: positions + 1; made, and brought up to date, when wanted */
	size_t n_index;
	uint64_t index_first, index_end; /* what is in it */
	struct peer_call *call;          /* while it comes */
	struct listing_reader *readers;
	/* dir.c's: in fs->listings while it answers for its directory */
	struct listing *older, *newer;
	bool is_listed;
};

/* Asks the peer. Behind the first n_entries or somewhat more, names may be bare; 0: all come with
 * their attributes. The caller holds it once. NULL: out of memory (or the call failed so). */
struct listing *listing_new(struct fs *fs, struct fs_node *node, uint64_t n_entries);
/* The bare entry at `position` and all behind it are asked for again, with their attributes; unless
 * a reader has passed it already. */
void listing_want_attrs(struct listing *listing, uint64_t position);
/* That of a directory which has nothing in it, known without asking. NULL: out of memory. */
struct listing *listing_new_empty(struct fs *fs, struct fs_node *node);
void listing_hold(struct listing *listing);
void listing_drop(struct listing *listing);

void listing_reader_start(struct listing_reader *reader, struct listing *listing);
void listing_reader_end(struct listing_reader *reader);
/* The reader is at `position` now. */
void listing_passed(struct listing_reader *reader, uint64_t position);
/* Is called back when entry `position` is there, or the listing is complete or broken. */
void listing_wait(struct listing_reader *reader);

/* Entry `position`: 1, 0 beyond the last one (so far), -ESTALE if it was let go of. */
int listing_get(const struct listing *listing, uint64_t position, struct listing_entry *ret_entry);
/* The same by name, among those that are there. 1, 0 or -ENOMEM. */
int listing_find(struct listing *listing, struct bytes name, struct listing_entry *ret_entry);
/* All of the directory is there: what is not found in it is absent. */
bool listing_is_all(const struct listing *listing);

/* The node of an entry, as node_enter; NULL also if its reference was taken and forgotten since. */
struct fs_node *listing_enter(struct listing *listing, const struct listing_entry *entry);

#endif
