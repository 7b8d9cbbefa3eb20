/*
 * Path filter: the output of a program that ran on a peer, with paths as the user gave them. At the
 * start of each record (which ends with a newline or a NUL) a path that was given to the program
 * is replaced by the one that the user had written.
 */
#ifndef CTL_PATH_FILTER_H
#define CTL_PATH_FILTER_H

#include "proto/codec.h"

#define PATH_FILTER_MAX 64 /* pairs */

struct path_filter_pair {
	char *there, *here; /* owned */
};

/* Zero at first. */
struct path_filter {
	struct path_filter_pair pairs[PATH_FILTER_MAX];
	unsigned n_pairs;
	struct buffer held; /* the start of a record that is not decided yet */
	bool within;        /* behind the start of a record */
};

/* Copies both. Returns 0, -E2BIG or -ENOMEM. */
int path_filter_add(struct path_filter *filter, const char *there, const char *here);
/* Appends to `out` what is known of the output so far. Returns 0 or -errno. */
int path_filter_take(struct path_filter *filter, struct bytes data, struct buffer *out);
/* There is no more: what is held. */
int path_filter_finish(struct path_filter *filter, struct buffer *out);
void path_filter_deinit(struct path_filter *filter);

#endif
