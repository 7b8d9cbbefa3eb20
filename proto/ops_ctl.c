#include "proto/ops_ctl.h"

RECORD_DEFINE(ctl_address)
RECORD_DEFINE(ctl_peer)
RECORD_DEFINE(ctl_found)
RECORD_DEFINE(ctl_check)
RECORD_DEFINE(ctl_option)
RECORD_DEFINE(ctl_key_info)
OPS_ctl(OP_DEFINE)

    static const struct op rows[] = {OPS_ctl(OP_ROW)};

const struct op_table ops_ctl = {
    .name = "ctl",
    .ops = rows,
    .n_ops = sizeof(rows) / sizeof(rows[0]),
};
