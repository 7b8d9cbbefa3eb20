/*
 * Messages as JSON: what loopsyctl prints and what the mount's messages/ shows. Scripts rely on
 * these shapes.
 */
#ifndef PROTO_MSG_JSON_H
#define PROTO_MSG_JSON_H

#include <jansson.h>

#include "proto/ops_peer.h"

/* {"id","from","to","ts","type","reply_to"?,"body"}, and then "read" of one in the inbox, or
 * "state","queued_at","delivered_at","read_at","expires_at" of one that was sent. The body is given
 * apart: an info may lack it. NULL: no memory. */
json_t *msg_json_envelope(const struct msg_info *info, struct bytes body);

/* {"id","to","state","queued_at","delivered_at","read_at"} of one that was sent. */
json_t *msg_json_status(const struct msg_info *info);

#endif
