/* loopsyctl(1) and the table of commands say the same. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"

static char *read_manual(void)
{
	const char *root = getenv("LOOPSY_SOURCE_ROOT");
	char path[4096], *text = NULL;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/man/loopsyctl.1", root ? root : ".");
	file = fopen(path, "r");
	cr_assert_not_null(file, "no %s: set LOOPSY_SOURCE_ROOT", path);
	cr_assert_gt(getdelim(&text, &size, '\0', file), 0);
	fclose(file);
	return text;
}

/* The words of `.It Ic peers rename Ar NAME…` that are the command: up to a macro. */
static void item_name(const char *item, char *ret_name, size_t size)
{
	size_t n = 0;

	while (*item && *item != '\n') {
		size_t length = strcspn(item, " \n");
		bool is_macro = length == 2 && item[0] >= 'A' && item[0] <= 'Z';

		if (is_macro)
			break;
		n += (size_t)snprintf(ret_name + n, size - n, "%s%.*s", n ? " " : "", (int)length,
				      item);
		item += length + (item[length] == ' ');
	}
	ret_name[n < size ? n : size - 1] = '\0';
}

/* What the manual says of a command: from its item to the next command that has a text. */
static char *find_section(const char *manual, const char *name)
{
	const char *at = manual, *end;
	char found[64];

	while ((at = strstr(at, "\n.It Ic "))) {
		at += strlen("\n.It Ic ");
		item_name(at, found, sizeof(found));
		if (strcmp(found, name) == 0)
			break;
	}
	cr_assert_not_null(at, "loopsyctl(1) lacks '%s'", name);
	end = strstr(at, "\n.It Ic ");
	return end ? strndup(at, (size_t)(end - at)) : strdup(at);
}

Test(ctl_manual, has_every_command_and_its_options)
{
	char *manual = read_manual();

	for (size_t i = 0; i < command_table_n; i++) {
		const struct command *command = &command_table[i];
		char *section = find_section(manual, command->name);

		for (const struct option_row *option = command->options; option && option->name;
		     option++) {
			char text[64];

			snprintf(text, sizeof(text), "-%s%s%s", option->name,
				 option->value ? " Ar " : "", option->value ? option->value : "");
			cr_assert_not_null(strstr(section, text), "loopsyctl(1) lacks -%s of '%s'",
					   text, command->name);
		}
		free(section);
	}
	for (const struct option_row *option = command_common_options; option->name; option++) {
		char text[64];

		snprintf(text, sizeof(text), "-%s", option->name);
		cr_assert_not_null(strstr(manual, text));
	}
	free(manual);
}

Test(ctl_manual, has_no_command_that_is_not_there)
{
	char *manual = read_manual(), name[64];
	size_t n = 0;

	for (const char *at = manual; (at = strstr(at, "\n.It Ic "));) {
		at += strlen("\n.It Ic ");
		item_name(at, name, sizeof(name));
		cr_assert_not_null(command_find(name), "there is no command '%s'", name);
		n++;
	}
	cr_assert_eq(n, command_table_n);
	free(manual);
}
