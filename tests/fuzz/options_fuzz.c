/* The configuration file: whatever is accepted prints as something that reads back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/options_file.h"
#include "daemon/options_print.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options *options = NULL, *again = NULL;
	char *errors = NULL, *text = NULL;
	size_t n = 0;
	FILE *out;

	if (options_file_parse("conf", (const char *)data, size, "/home/u", &options, &errors) <
	    0) {
		if (!errors || !*errors || strlen(errors) > 32768)
			abort();
		free(errors);
		return 0;
	}
	out = open_memstream(&text, &n);
	options_print_ini(options, out);
	fclose(out);
	/* Made absolute, a path may be too long for a line; nothing else may be wrong. */
	if (options_file_parse("conf", text, n, "/home/u", &again, &errors) < 0 &&
	    !strstr(errors, "the line is longer"))
		abort();
	json_decref(options_print_json(options));
	free(errors);
	free(text);
	options_free(again);
	options_free(options);
	return 0;
}
