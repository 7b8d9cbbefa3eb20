/* One record: the first byte chooses which; lists are taken apart. */
#include <stdlib.h>

#include "proto/codec.h"
#include "proto/ops_peer.h"
#include "tests/fuzz/fuzz.h"

static void check_list(struct list list, const struct record *record)
{
	char element[512];

	while (list.n > 0 && codec_list_next(&list, record, element, NULL) == 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct op *op;
	const struct record *record;
	struct bytes input;
	char value[1024];

	if (size < 1)
		return 0;
	op = &ops_peer.ops[data[0] % ops_peer.n_ops];
	record = data[0] & 0x80 ? op->result : op->args;
	input = (struct bytes){data + 1, size - 1};
	if (record->size > sizeof(value))
		abort();
	if (codec_decode(record, &input, value, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < record->n_fields; i++)
		if (record->fields[i].kind == FIELD_LIST)
			check_list(*(struct list *)(value + record->fields[i].offset),
				   &forgotten_record);
	return 0;
}
