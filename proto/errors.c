#include "proto/errors.h"

#include <errno.h>
#include <stddef.h>

#define ROW(number_, error_, text_) {.number = number_, .error = error_},

static const struct {
	uint16_t number;
	int error;
} rows[] = {ERRORS(ROW)};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

uint16_t error_from_errno(int error)
{
	if (error == 0)
		return 0;
	if (error < 0)
		error = -error;
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].error == error)
			return rows[i].number;
	return error_from_errno(EIO);
}

int error_to_errno(uint64_t number)
{
	if (number == 0)
		return 0;
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].number == number)
			return -rows[i].error;
	return -EIO;
}
