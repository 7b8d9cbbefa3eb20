/*
 * What doctor can find out without the daemon.
 */
#ifndef CTL_LOCAL_CHECKS_H
#define CTL_LOCAL_CHECKS_H

#include "ctl/context.h"

/* Appends {"name","status","detail","fix"} for each check to `list`. */
void local_checks_run(const struct context *context, json_t *list);
/* One of them. status: "ok", "warning" or "failure"; fix "" for ok. */
void local_checks_add(json_t *list, const char *name, const char *status, const char *detail,
		      const char *fix);

#endif
