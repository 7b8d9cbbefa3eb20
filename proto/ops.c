#include "proto/ops.h"

#include <string.h>

const struct op *op_find(const struct op_table *table, uint64_t number)
{
	size_t low = 0;
	size_t high = table->n_ops;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (table->ops[middle].number == number)
			return &table->ops[middle];
		if (table->ops[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool op_reply_streams(const struct op *op, const void *result)
{
	if (!(op->flags & OP_STREAMS))
		return false;
	for (unsigned i = 0; i < op->result->n_fields; i++) {
		const struct field *field = &op->result->fields[i];

		if (field->kind == FIELD_BOOL && strcmp(field->name, "more") == 0)
			return *(const bool *)((const char *)result + field->offset);
	}
	return true;
}
