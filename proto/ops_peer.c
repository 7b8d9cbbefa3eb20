#include "proto/ops_peer.h"

RECORD_DEFINE(attr)
RECORD_DEFINE(entry)
RECORD_DEFINE(dir_entry)
RECORD_DEFINE(dir_name)
RECORD_DEFINE(forgotten)
RECORD_DEFINE(export_place)
RECORD_DEFINE(watch_path)
RECORD_DEFINE(watch_event)
RECORD_DEFINE(job_word)
RECORD_DEFINE(job_info)
RECORD_DEFINE(kv_entry)
RECORD_DEFINE(kv_change)
RECORD_DEFINE(msg_part)
RECORD_DEFINE(msg_receipt)
RECORD_DEFINE(msg_info)
RECORD_DEFINE(msg_sent)
RECORD_DEFINE(msg_id)
RECORD_DEFINE(msg_event)
OPS_peer(OP_DEFINE)

    static const struct op rows[] = {OPS_peer(OP_ROW)};

const struct op_table ops_peer = {
    .name = "peer",
    .ops = rows,
    .n_ops = sizeof(rows) / sizeof(rows[0]),
};

const char *ops_peer_error(uint16_t op, int error)
{
	if (op >= OP_KV_GET && op <= OP_KV_WATCH)
		return ops_kv_error(op, error);
	if (op >= OP_MSG_DELIVER && op <= OP_MSG_DISCARD)
		return ops_msg_error(op, error);
	return ops_jobs_error(op, error);
}
