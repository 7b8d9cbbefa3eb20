/*
 * `messages/send`: what is written between open and close is one message, to the machine in whose
 * directory it is, or in the root's to all.
 */
#ifndef FS_CONTROL_SEND_H
#define FS_CONTROL_SEND_H

#include "fs/control_private.h"

void control_send_open(fuse_req_t req, struct control_handle *handle);
void control_send_write(fuse_req_t req, struct control_handle *handle, struct bytes data);
/* FLUSH and FSYNC. */
void control_send_flush(fuse_req_t req, struct control_handle *handle, bool is_close);
/* It is closed, or freed: what is accepted is sent. */
void control_send_closed(struct control_handle *handle);

#endif
