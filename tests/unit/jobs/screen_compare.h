/* Two screens, cell by cell and in all that the next bytes depend on. */
#ifndef TESTS_UNIT_JOBS_SCREEN_COMPARE_H
#define TESTS_UNIT_JOBS_SCREEN_COMPARE_H

#include "daemon/jobs/screen.h"

/* Returns 0 if they are the same, else -1 and what differs in `ret_text`. */
int screen_compare(const struct screen *a, const struct screen *b, char *ret_text, size_t size);

/* A screen of the same size which was given what screen_redraw says of this one; NULL if that
 * failed. */
struct screen *screen_compare_redrawn(struct screen *screen);

/* Lines above from when the screen was wider take several lines in a terminal of its size now:
 * whether there are none. */
bool screen_compare_history_fits(const struct screen *screen);

#endif
