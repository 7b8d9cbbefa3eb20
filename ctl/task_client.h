/*
 * Tasks between agents: values that begin with "task:" in the store of the machine that is to do
 * them, as loopsyctl(1) describes. Each change is made over the version that was read, so of
 * several claimers exactly one gets a task.
 *
 * All functions wait, return 0 or -errno, and leave a line for people in `reason` (may be empty).
 * Tasks are {"id","from","assignee","description","status","result"|null,"claimed_by"?}.
 */
#ifndef CTL_TASK_CLIENT_H
#define CTL_TASK_CLIENT_H

#include <jansson.h>

#include "ctl/remote.h"
#include "proto/ops_ctl.h"

#define TASK_CLIENT_ID_MAX   64          /* bytes */
#define TASK_CLIENT_TEXT_MAX (64 * 1024) /* of a description or a result */

struct task_client {
	struct remote *remote;
	const char *peer; /* whose tasks; "": this machine's */
	char reason[OPS_CTL_TEXT_MAX + 1];
};

/* Whether that is an id: 1 to 64 of [A-Za-z0-9._-]. */
bool task_client_is_id(const char *id);
/* What this machine is called, as it says in its tasks. */
int task_client_own_name(struct task_client *client, char name[OPS_CTL_NAME_MAX + 1]);

/* The task that a value holds; NULL if it is none (of that id). */
json_t *task_client_read(struct bytes value, const char *id);

/* Makes one; *ret_task has its id. */
int task_client_create(struct task_client *client, const char *from, const char *assignee,
		       const char *description, json_t **ret_task);
/* -ENOENT; -EBADMSG: the value is no task. */
int task_client_get(struct task_client *client, const char *id, json_t **ret_task);
/* From pending to running; without `id` the first one that is pending. -EALREADY: it is not pending
 * (any more); -ENOENT: there is none. */
int task_client_claim(struct task_client *client, const char *id, const char *by,
		      json_t **ret_task);
/* From running to done or failed; it is forgotten after a week. -EALREADY: it does not run. */
int task_client_finish(struct task_client *client, const char *id, const char *status,
		       const char *result, json_t **ret_task);
/* Those of that status, or all (NULL), in the order of their ids, at most `max`. */
int task_client_list(struct task_client *client, const char *status, size_t max, json_t **ret_list,
		     bool *ret_more);
/* Until it is done or failed, however long the machine is away meanwhile. */
int task_client_wait(struct task_client *client, const char *id, json_t **ret_task);

#endif
