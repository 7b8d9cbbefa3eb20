/*
 * What loopsyd knows, as the JSON that is printed; tables for people are made of the same.
 */
#ifndef CTL_FETCH_H
#define CTL_FETCH_H

#include "ctl/context.h"

/* "2026-01-31T12:00:00Z", or null for 0. */
json_t *fetch_time(struct timespec time);
/* ["fs:rw","exec"] from "fs:rw,exec"; empty for "none" and for "". */
json_t *fetch_permissions(struct bytes text);
/* {"name","permissions","peers","created","used"}; "peers" is null when it is for all. */
json_t *fetch_key(const struct ctl_key_info *key);
/* {"name","id","state","address","rtt_ms","permissions",…} */
json_t *fetch_peer(const struct ctl_peer *peer);

/* The whole of a paged list, as an array in *ret_list. Return CONTEXT_OK, or CONTEXT_FAILURE having
 * said why. */
int fetch_peers(const struct context *context, struct local_client *client, json_t **ret_list);
/* The same for those who complain elsewhere: 0 or -errno, with client->reason. */
int fetch_peers_quietly(struct local_client *client, json_t **ret_list);
int fetch_checks(const struct context *context, struct local_client *client, json_t **ret_list);
int fetch_keys(const struct context *context, struct local_client *client, json_t **ret_list);
int fetch_options(const struct context *context, struct local_client *client, json_t **ret_list);
/* *ret_warning is malloc'ed, or NULL when the list is complete. */
int fetch_discovered(const struct context *context, struct local_client *client, json_t **ret_list,
		     char **ret_warning);
/* {"name","id","version","pid","uptime_s","listen","mount","peers"} */
int fetch_status(const struct context *context, struct local_client *client, json_t **ret_status);

/* A member of an object as text; "" when it is none. */
const char *fetch_text(const json_t *object, const char *key);

#endif
