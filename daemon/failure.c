#include "daemon/failure.h"

#include <stdarg.h>
#include <stdio.h>

int failure_set(struct failure *failure, int status, const char *format, ...)
{
	va_list args;

	if (!failure)
		return status;
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	return status;
}
