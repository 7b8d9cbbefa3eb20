/* READDIR, in batches. */
#include "daemon/serve/serve_private.h"

const struct work_handler dirs_handlers[] = {
    {.op = 0},
};
