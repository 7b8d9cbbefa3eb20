/*
 * Peers for people: a line each.
 */
#ifndef CTL_PEER_TABLE_H
#define CTL_PEER_TABLE_H

#include "ctl/context.h"

/* Prints fetch_peers' list on context->out. */
void peer_table_print(const struct context *context, const json_t *peers);
/* The permissions as the user writes them, into `text`; "none" for none. */
const char *peer_table_permissions(const json_t *list, char *text, size_t size);

#endif
