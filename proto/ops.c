#include "proto/ops.h"

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
