#include "ctl/command.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/ctl/fake_loopsyd.h"

Test(command, table_is_whole)
{
	for (size_t i = 0; i < command_table_n; i++) {
		const struct command *row = &command_table[i];

		cr_assert_eq(command_find(row->name), row, "'%s' is there twice", row->name);
		cr_assert(row->summary[0] != '\0' && row->run);
		cr_assert_leq(row->min_words, row->max_words);
		/* The usage names every option of its own. */
		for (const struct option_row *option = row->options; option && option->name;
		     option++) {
			char text[64];

			if (option->letter)
				snprintf(text, sizeof(text), "-%c", option->letter);
			else
				snprintf(text, sizeof(text), "--%s", option->name);
			cr_assert_not_null(strstr(row->usage, text), "%s: usage lacks %s",
					   row->name, text);
			cr_assert(!option->number || option->value);
		}
	}
}

Test(command, help_names_every_command_and_option)
{
	struct fake fake;

	fake_init(&fake);
	fake_run(&fake, NULL, "help", NULL);
	cr_assert_eq(fake.status, 0);
	for (size_t i = 0; i < command_table_n; i++)
		cr_assert_not_null(strstr(fake.out, command_table[i].name));
	fake_run(&fake, NULL, "help", "peers", "rename", NULL);
	cr_assert_not_null(strstr(fake.out, "usage: loopsyctl peers rename NAME NEW-NAME\n"));
	fake_run(&fake, NULL, "help", "key", NULL);
	cr_assert_not_null(strstr(fake.out, "  key generate "));
	fake_run(&fake, NULL, "help", "peers", NULL);
	cr_assert_not_null(strstr(fake.out, "  peers rename "));
	fake_run(&fake, NULL, "pair", "-h", NULL);
	cr_assert_eq(fake.status, 0);
	cr_assert_not_null(strstr(fake.out, "--ttl S"));
	fake_run(&fake, NULL, "--version", NULL);
	cr_assert_str_eq(fake.out, "loopsyctl " LOOPSY_VERSION "\n");
	fake_deinit(&fake);
}

Test(command, usage_errors_exit_with_2_and_one_clear_line)
{
	static const char *const wrong[][4] = {
	    {"frobnicate"},           {"peers", "frob"},       {"key"},
	    {"peers", "rename", "a"}, {"status", "extra"},     {"start", "--port", "70000"},
	    {"start", "--port"},      {"start", "--lan=yes"},  {"pair", "--ttl", "-1"},
	    {"pair", "--ttl", "0"},   {"logs", "-n", "1x"},    {"--frob", "status"},
	    {"status", "--lan"},      {"completions", "tcsh"}, {"help", "frobnicate"}};
	struct fake fake;

	fake_init(&fake);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		fake_run(&fake, NULL, wrong[i][0], wrong[i][1], wrong[i][2], NULL);
		cr_assert_eq(fake.status, 2, "%s %s: %d", wrong[i][0],
			     wrong[i][1] ? wrong[i][1] : "", fake.status);
		cr_assert_str_eq(fake.out, "");
		cr_assert_eq(strncmp(fake.err, "loopsyctl: ", 11), 0, "%s", fake.err);
	}
	fake_run(&fake, NULL, NULL);
	cr_assert_eq(fake.status, 2);
	fake_deinit(&fake);
}

Test(command, says_how_to_start_a_daemon_that_does_not_run)
{
	static const char *const commands[][4] = {{"status"},
						  {"peers"},
						  {"peers", "discovered"},
						  {"pair"},
						  {"peers", "show", "desk"},
						  {"peers", "remove", "desk"}};
	struct fake fake;

	fake_init(&fake);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		fake_run(&fake, NULL, commands[i][0], commands[i][1], commands[i][2], NULL);
		cr_assert_eq(fake.status, 1);
		cr_assert_str_eq(fake.out, "");
		cr_assert_str_eq(fake.err, "loopsyctl: loopsyd is not running: start it with "
					   "'loopsyctl start'\n");
	}
	fake_run(&fake, NULL, "stop", NULL);
	cr_assert_eq(fake.status, 0);
	cr_assert_str_eq(fake.err, "loopsyd is not running\n");
	fake_deinit(&fake);
}

Test(command, finds_its_home_by_option_before_and_after_the_command)
{
	struct fake fake;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	setenv("LOOPSY_HOME", "/nonexistent", 1);
	fake_run(&fake, NULL, "status", NULL);
	cr_assert_eq(fake.status, 1);
	fake_run(&fake, NULL, "--home", fake.home, "status", NULL);
	cr_assert_eq(fake.status, 0, "%s", fake.err);
	fake_run(&fake, NULL, "status", "--home", fake.home, NULL);
	cr_assert_eq(fake.status, 0, "%s", fake.err);
	fake_deinit(&fake);
}

Test(command, completions_are_scripts_that_name_every_command)
{
	static const char *const shells[] = {"bash", "fish"};
	struct fake fake;

	fake_init(&fake);
	for (unsigned i = 0; i < 2; i++) {
		fake_run(&fake, NULL, "completions", shells[i], NULL);
		cr_assert_eq(fake.status, 0);
		for (size_t j = 0; j < command_table_n; j++) {
			const char *blank = strchr(command_table[j].name, ' ');

			cr_assert_not_null(
			    strstr(fake.out, blank ? blank + 1 : command_table[j].name));
		}
	}
	fake_deinit(&fake);
}
