/*
 * Values as they are printed: the JSON that scripts rely upon, and a table for people. Machines are
 * called as they are called here.
 */
#ifndef CTL_KV_TEXT_H
#define CTL_KV_TEXT_H

#include "ctl/context.h"
#include "proto/ops_peer.h"

/* What the machines are called: {"id": "name"}. Returns CONTEXT_OK, or CONTEXT_FAILURE having said
 * why. */
int kv_text_names(const struct context *context, struct local_client *client, json_t **ret_names);
/* The same, but it returns 0 or -errno and says nothing. */
int kv_text_names_quietly(struct local_client *client, json_t **ret_names);

/* {"key","size","version","from","created","changed","ttl_s"|null}; `from` by its name, where
 * `names` has it. NULL without memory. */
json_t *kv_text_entry(const struct kv_entry *entry, const json_t *names);
/* Adds "value", or "value_base64" where it is no UTF-8 text. Returns 0 or -ENOMEM. */
int kv_text_add_value(json_t *entry, struct bytes value);
/* Prints a list of such entries as a table. With `peers`, a column of their "peer". */
void kv_text_print(const struct context *context, const json_t *entries, bool peers);

#endif
