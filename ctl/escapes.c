#include "ctl/escapes.h"

enum escapes_command escapes_take(struct escapes *escapes, uint8_t byte, uint8_t ret_bytes[2],
				  size_t *ret_n)
{
	bool was_tilde = escapes->tilde;

	*ret_n = 0;
	escapes->tilde = false;
	if (was_tilde && byte == '.')
		return ESCAPES_END;
	if (was_tilde && byte == 'd')
		return ESCAPES_DETACH;
	if (was_tilde && byte == '?')
		return ESCAPES_HELP;
	if (!was_tilde && !escapes->in_line && byte == '~') {
		escapes->tilde = true;
		return ESCAPES_NONE;
	}
	if (was_tilde && byte != '~')
		ret_bytes[(*ret_n)++] = '~';
	ret_bytes[(*ret_n)++] = byte;
	escapes->in_line = byte != '\r' && byte != '\n';
	return ESCAPES_NONE;
}
