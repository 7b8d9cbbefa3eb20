#include "proto/ops_kv.h"

#include <errno.h>

#include "proto/ops_peer.h"

const char *ops_kv_error(uint16_t op, int error)
{
	switch (error) {
	case -EACCES:
		return "%s does not share its values with this machine ('kv' of loopsyctl peers "
		       "allow, there)";
	case -ENOENT:
		return "no such key on %s";
	case -EEXIST:
		return "that key is there already on %s";
	case -EREMCHG:
		return "that key has another version on %s";
	case -EINVAL:
		return "a key is 1 to 512 bytes of UTF-8 without control characters: %s takes no "
		       "other";
	case -EFBIG:
		return "a value may have 16 MiB at most: %s takes no larger one";
	case -ENOSPC:
		return "no room on %s: its disk is full, or this machine keeps as much there as it "
		       "may (kv_max_entries and kv_max_bytes in its loopsy.conf)";
	case -ENOTCONN:
		return "the link to %s broke";
	case -ENFILE:
		return "too many streams are open to %s (max_streams in its loopsy.conf)";
	default:
		return NULL;
	}
}
