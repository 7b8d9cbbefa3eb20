/*
 * Holds loopsy-protocol(7) to the tables: the text between the lines `.\" TABLE name` and
 * `.\" END` is what this program makes of the table. With --write it puts it there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errors.h"
#include "proto/ops_peer.h"

static const char *permission_name(uint16_t permission)
{
	switch (permission) {
	case PERMISSION_NONE:
		return "none";
	case PERMISSION_FS_RO:
		return "fs:ro";
	case PERMISSION_FS_RW:
		return "fs:rw";
	case PERMISSION_EXEC:
		return "exec";
	case PERMISSION_KV:
		return "kv";
	case PERMISSION_MSG:
		return "msg";
	default:
		return "local";
	}
}

static void print_fields(FILE *out, const char *title, const struct record *record)
{
	static const char *const kinds[] = {
	    [FIELD_UINT] = "uint",  [FIELD_INT] = "int",       [FIELD_BOOL] = "bool",
	    [FIELD_BIN] = "bin",    [FIELD_TEXT] = "str",      [FIELD_NAME] = "name",
	    [FIELD_TIME] = "time",  [FIELD_RECORD] = "record", [FIELD_LIST] = "list",
	    [FIELD_PAYLOAD] = "bin"};

	if (record->n_fields == 0)
		return;
	fprintf(out, ".br\n%s:\n", title);
	for (unsigned i = 0; i < record->n_fields; i++) {
		const struct field *field = &record->fields[i];
		const char *end = i + 1 < record->n_fields ? "," : "";

		fprintf(out, ".Va %s", field->name);
		if (field->kind == FIELD_RECORD)
			fprintf(out, " Pq %s %s\n", field->record->name, end);
		else if (field->bound == 0 || field->bound == UINT64_MAX)
			fprintf(out, " Pq %s %s\n", kinds[field->kind], end);
		else
			fprintf(out, " Pq %s \\(<= %llu %s\n", kinds[field->kind],
				(unsigned long long)field->bound, end);
	}
}

static void print_operations(FILE *out)
{
	fprintf(out, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < ops_peer.n_ops; i++) {
		const struct op *op = &ops_peer.ops[i];

		fprintf(out, ".It %u Sy %s Pq %s%s%s%s%s\n", op->number, op->name,
			permission_name(op->permission), op->flags & OP_EVENT ? ", event" : "",
			op->flags & OP_MUTATES ? ", mutates" : "",
			op->flags & OP_REPEATABLE ? ", repeatable" : "",
			op->flags & OP_STREAMS ? ", streams" : "");
		fprintf(out, "%c%s.\n", op->summary[0] - ('a' <= op->summary[0] ? 32 : 0),
			op->summary + 1);
		print_fields(out, "Args", op->args);
		print_fields(out, "Result", op->result);
	}
	fprintf(out, ".El\n");
}

static void print_records(FILE *out)
{
	const struct record *records[] = {&attr_record, &entry_record, &dir_entry_record,
					  &forgotten_record};

	fprintf(out, ".Bl -tag -width Ds\n");
	for (unsigned i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		fprintf(out, ".It Sy %s\n", records[i]->name);
		print_fields(out, "Fields", records[i]);
	}
	fprintf(out, ".El\n");
}

static void print_errors(FILE *out)
{
	fprintf(out, ".Bl -column 99 ENAMETOOLONG text -compact\n");
#define ROW(number, error, text) fprintf(out, ".It %d Ta Er %s Ta %s\n", number, #error, text);
	ERRORS(ROW)
	fprintf(out, ".El\n");
}

static const struct {
	const char *name;
	void (*print)(FILE *out);
} tables[] = {
    {"operations", print_operations}, {"records", print_records}, {"errors", print_errors}};

/* The whole page with its tables made anew. */
static char *page_make(FILE *page)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	char line[4096];
	int skipping = 0;

	while (fgets(line, sizeof(line), page)) {
		if (!strncmp(line, ".\\\" END", 7))
			skipping = 0;
		if (!skipping)
			fputs(line, out);
		for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
			if (!strncmp(line, ".\\\" TABLE ", 10) &&
			    !strncmp(line + 10, tables[i].name, strlen(tables[i].name))) {
				tables[i].print(out);
				skipping = 1;
			}
		}
	}
	fclose(out);
	return text;
}

int main(int argc, char **argv)
{
	FILE *page = argc > 1 ? fopen(argv[1], "r") : NULL;
	int r = 0;

	if (!page) {
		fprintf(stderr, "usage: protocol_manual PAGE [--write]\n");
		return 2;
	}

	char *made = page_make(page);

	if (argc > 2 && !strcmp(argv[2], "--write")) {
		page = freopen(argv[1], "w", page);
		if (!page || fputs(made, page) < 0)
			r = 1;
	} else {
		char *now = calloc(1, strlen(made) + 2);

		rewind(page);
		if (fread(now, 1, strlen(made) + 1, page) != strlen(made) || strcmp(now, made)) {
			fprintf(stderr,
				"%s is not what the tables say: run tests/manual/protocol_manual "
				"PAGE --write\n",
				argv[1]);
			r = 1;
		}
		free(now);
	}
	if (page)
		fclose(page);
	free(made);
	return r;
}
