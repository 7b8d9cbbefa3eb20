/* Runs a fuzz target over the files of its corpus, as an ordinary test: TAP on stdout. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

int main(int argc, char **argv)
{
	DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	int n = 0;

	if (!dir) {
		printf("Bail out! no corpus at '%s'\n", argc > 1 ? argv[1] : "");
		return 1;
	}
	while ((entry = readdir(dir))) {
		static uint8_t data[1 << 20];
		char path[4096];
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		file = fopen(path, "rb");
		if (!file)
			return 1;

		size_t size = fread(data, 1, sizeof(data), file);
		/* a block of just that size, so that a sanitizer sees what reads beyond it */
		uint8_t *copy = malloc(size ? size : 1);

		for (size_t i = 0; i < size; i++)
			copy[i] = data[i];
		fclose(file);
		LLVMFuzzerTestOneInput(copy, size);
		free(copy);
		printf("ok %d - corpus/%s\n", ++n, entry->d_name);
	}
	closedir(dir);
	printf("1..%d\n", n);
	return n > 0 ? 0 : 1;
}
