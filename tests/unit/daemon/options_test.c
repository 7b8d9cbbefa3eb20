#include "daemon/options.h"

#include <errno.h>

#include "daemon/options_file.h"
#include "daemon/options_print.h"
#include "daemon/permissions.h"
#include "tests/unit/daemon/scratch.h"

static struct options *options;
static char *errors;

static void fini(void)
{
	options = options_free(options);
	free(errors);
	scratch_fini();
}

TestSuite(options, .init = scratch_init, .fini = fini);

static int parse_bytes(const char *text, size_t n)
{
	options = options_free(options);
	free(errors);
	errors = NULL;
	return options_file_parse("conf", text, n, "/home/u", &options, &errors);
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void assert_error(const char *text, const char *expected)
{
	cr_assert_eq(parse(text), -EINVAL, "%s", text);
	cr_assert_str_eq(errors, expected);
	cr_assert_null(options);
}

Test(options, nothing_configured_gives_the_defaults)
{
	cr_assert_eq(parse(""), 0);
	cr_assert_str_eq(options->name, "");
	cr_assert_eq(options->port, 19532);
	cr_assert_not(options->lan);
	cr_assert(options->mdns);
	cr_assert_eq(options->log_level, LOG_LEVEL_INFO);
	cr_assert_eq(options->allow, PERMISSIONS_DEFAULT);
	cr_assert_eq(options->symlinks, OPTIONS_SYMLINKS_CONTAIN);
	cr_assert_eq(options->io_timeout_ms, 30000);
	cr_assert_eq(options->session_grace_ms, 60000);
	cr_assert_eq(options->attr_timeout_ms, 1000);
	cr_assert_eq(options->max_nodes, 1000000);
	cr_assert_eq(options->max_open_files, 4096);
	cr_assert_eq(options->max_streams, 256);
	cr_assert_eq(options->max_calls, 1024);
	cr_assert_eq(options->max_write_bytes, 16 << 20);
	cr_assert_eq(options->max_jobs, 256);
	cr_assert_eq(options->job_grace_ms, 600000);
	cr_assert_eq(options->job_spool, 256 << 20);
	cr_assert_eq(options->job_time_limit_ms, 0);
	cr_assert_str_eq(options->exec_allow, "");
	cr_assert_str_eq(options->exec_deny, "");
	cr_assert_eq(options->kv_max_entries, 1000000);
	cr_assert_eq(options->kv_max_bytes, 1 << 30);
	cr_assert_eq(options->pool_threads, 16);
	cr_assert_eq(options->n_exports, 0);
}

Test(options, command_names_are_a_list_without_paths)
{
	cr_assert_eq(parse("exec_deny = rm, shutdown,,dd\nexec_allow = git\n"), 0);
	cr_assert_str_eq(options->exec_deny, "rm,shutdown,dd");
	cr_assert_str_eq(options->exec_allow, "git");
	cr_assert_eq(parse("exec_deny = ls,/bin/rm\n"), -EINVAL);
	cr_assert_not_null(strstr(errors, "/bin/rm has a path"));
}

Test(options, every_row_of_the_table_is_sound)
{
	for (size_t i = 0; i < options_table_n; i++) {
		const struct options_info *info = &options_table[i];

		cr_assert_eq(options_find(info->name), (int)i, "%s", info->name);
		cr_assert_eq(strspn(info->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(info->name));
		cr_assert_gt(strlen(info->text), 10);
		cr_assert_neq(info->text[strlen(info->text) - 1], '.');
		cr_assert_lt(info->offset, sizeof(struct options));
		for (size_t j = 0; j < i; j++)
			cr_assert_neq(options_table[j].offset, info->offset, "%s", info->name);
	}
	for (int i = 0; i < LOG_LEVEL_N; i++)
		cr_assert_str_eq(options_table[options_find("log_level")].choices[i],
				 log_level_name((enum log_level)i));
}

Test(options, file_is_read)
{
	cr_assert_eq(parse("\xef\xbb\xbf# my machine\r\n"
			   "name = desk\r\n"
			   "  port=0 ; any\n"
			   "lan: yes\n"
			   "\n"
			   "symlinks = raw\n"
			   "allow = fs:ro\n"
			   "mount = ~/net\n"
			   "io_timeout = 500ms\n"
			   "read_ahead_max = 8M\n"
			   "; sections\n"
			   "[ export work ]\n"
			   "deny = secret\n"
			   "deny = ~/w/.git/\n"
			   "path = ~/w\n"
			   "[export pub] # all may read\n"
			   "path = /srv/my files\n"
			   "mode = ro"),
		     0, "%s", errors);
	cr_assert_str_eq(options->name, "desk");
	cr_assert_eq(options->port, 0);
	cr_assert(options->lan);
	cr_assert_eq(options->symlinks, OPTIONS_SYMLINKS_RAW);
	cr_assert_eq(options->allow, PERMISSION_FS_RO);
	cr_assert_str_eq(options->mount, "/home/u/net");
	cr_assert_eq(options->io_timeout_ms, 500);
	cr_assert_eq(options->read_ahead_max, 8 << 20);
	cr_assert_eq(options->source[options_find("port")], OPTIONS_SOURCE_FILE);
	cr_assert_eq(options->source[options_find("mdns")], OPTIONS_SOURCE_DEFAULT);
	cr_assert_eq(options->n_exports, 2);
	cr_assert_str_eq(options->exports[0].name, "work");
	cr_assert_str_eq(options->exports[0].path, "/home/u/w");
	cr_assert_not(options->exports[0].read_only);
	cr_assert_eq(options->exports[0].n_deny, 2);
	cr_assert_str_eq(options->exports[0].deny[0], "/home/u/w/secret");
	cr_assert_str_eq(options->exports[0].deny[1], "/home/u/w/.git");
	cr_assert_str_eq(options->exports[1].path, "/srv/my files");
	cr_assert(options->exports[1].read_only);
}

Test(options, all_errors_are_listed_with_their_lines)
{
	assert_error(
	    "port = 70000\n"
	    "\n"
	    "prot = 1\n"
	    "lan = maybe\n"
	    "lan = yes\n"
	    "just words\n"
	    "path = /x\n"
	    "io_timeout = fast\n"
	    "symlinks = follow\n"
	    "allow = fs:rw,sudo\n"
	    "mount = here\n"
	    "name = .hidden\n"
	    "max_nodes =\n",
	    "conf:1: port: 70000 is not between 0 and 65535\n"
	    "conf:3: unknown option prot\n"
	    "conf:4: lan: maybe is neither yes nor no\n"
	    "conf:5: lan is given twice, first in line 4\n"
	    "conf:6: no \"name = value\"\n"
	    "conf:7: unknown option path (it belongs below [export NAME])\n"
	    "conf:8: io_timeout: fast is no duration, such as 30s or 500ms\n"
	    "conf:9: symlinks: follow is none of contain, raw\n"
	    "conf:10: allow: unknown permission sudo (known: fs:rw, fs:ro, fs:ids, exec, kv, "
	    "msg)\n"
	    "conf:11: mount: here is no absolute path\n"
	    "conf:12: name: .hidden is no name: 1 to 63 letters, digits, '.', '_' or '-', no "
	    "'.' first\n"
	    "conf:13: max_nodes: the value is missing\n");
}

Test(options, errors_in_sections_are_listed)
{
	assert_error(
	    "[export a]\n"
	    "mode = rx\n"
	    "port = 1\n"
	    "colour = red\n"
	    "deny = ../x\n"
	    "[export b]\n"
	    "path = /b\n"
	    "path = /c\n"
	    "[export b]\n"
	    "anything = in here is not looked at\n"
	    "[exports]\n"
	    "[export]\n"
	    "[export ]\n"
	    "[export a/b]\n"
	    "[export c\n"
	    "[export d] path = /d\n"
	    "[export e]\n",
	    "conf:2: mode: rx is neither rw nor ro\n"
	    "conf:3: port: an export has only path, mode and deny (put this above the first "
	    "section)\n"
	    "conf:4: colour: an export has only path, mode and deny\n"
	    "conf:5: deny: ../x has a .. in it\n"
	    "conf:1: export a has no path\n"
	    "conf:8: path: given twice in this section\n"
	    "conf:9: export b is there already, in line 6\n"
	    "conf:11: a section is written [export NAME]\n"
	    "conf:12: a section is written [export NAME]\n"
	    "conf:13: a section is written [export NAME]\n"
	    "conf:14: a/b is no name for an export\n"
	    "conf:15: a section is written [export NAME]\n"
	    "conf:16: a section is written [export NAME]\n"
	    "conf:17: export e has no path\n");
}

Test(options, hostile_lines_are_refused)
{
	char text[1024];

	cr_assert_eq(parse_bytes("port = 1\0\nlan = yes\n", 20), -EINVAL);
	cr_assert_str_eq(errors, "conf:1: control character 0x00 in the line\n");
	assert_error("name = a\x1b[2J\n", "conf:1: control character 0x1b in the line\n");
	assert_error("= v\n: v\n=\n", "conf:1: no \"name = value\"\nconf:2: no \"name = value\"\n"
				      "conf:3: no \"name = value\"\n");
	memset(text, 'a', sizeof(text));
	memcpy(text, "mount = /", 9);
	text[OPTIONS_FILE_LINE_MAX + 1] = '\0';
	assert_error(text, "conf:1: the line is longer than 190 bytes\n");
	text[OPTIONS_FILE_LINE_MAX] = '\0';
	cr_assert_eq(parse(text), 0, "%s", errors);
	cr_assert_eq(strlen(options->mount), OPTIONS_FILE_LINE_MAX - 8);
}

Test(options, many_errors_and_exports_are_bounded)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	for (int i = 0; i < 5000; i++)
		fputs("x = 1\n", out);
	fclose(out);
	cr_assert_eq(parse(text), -EINVAL);
	cr_assert(strstr(errors, "conf: 4980 more errors\n"), "%s", errors);
	cr_assert_lt(strlen(errors), 2000);
	free(text);

	out = open_memstream(&text, &n);
	for (int i = 0; i <= OPTIONS_FILE_EXPORTS_MAX; i++)
		fprintf(out, "[export e%d]\npath = /e\n", i);
	fclose(out);
	cr_assert_eq(parse(text), -EINVAL);
	cr_assert_str_eq(errors, "conf:129: more than 64 exports\n");
	free(text);
}

Test(options, command_line_wins)
{
	struct failure failure;

	cr_assert_eq(parse("port = 1\n"), 0);
	cr_assert_eq(options_set(options, "port", "2", OPTIONS_SOURCE_COMMAND_LINE, &failure), 0);
	cr_assert_eq(options->port, 2);
	cr_assert_eq(options->source[options_find("port")], OPTIONS_SOURCE_COMMAND_LINE);
	cr_assert_eq(options_set(options, "port", "x", OPTIONS_SOURCE_COMMAND_LINE, &failure),
		     -EINVAL);
	cr_assert_eq(options_set(options, "prot", "1", OPTIONS_SOURCE_COMMAND_LINE, &failure),
		     -ENOENT);
	cr_assert_eq(options->port, 2);
}

static char *print(void)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	options_print_ini(options, out);
	fclose(out);
	return text;
}

Test(options, what_is_printed_reads_back_as_the_same)
{
	char *first, *second;

	cr_assert_eq(parse("name = desk\nport = 0\nlan = yes\nattr_timeout = 1.25s\n"
			   "symlinks = raw\nallow = none\nwrite_behind_max = 640k\n"
			   "[export a]\npath = /a b\nmode = ro\ndeny = c\ndeny = d\n"),
		     0, "%s", errors);
	first = print();
	cr_assert_eq(parse(first), 0, "%s", errors);
	second = print();
	cr_assert_str_eq(first, second);
	cr_assert(strstr(first, "attr_timeout = 1250ms\n"));
	cr_assert(strstr(first, "path = /a b\nmode = ro\ndeny = /a b/c\n"), "%s", first);
	free(first);
	free(second);
}

Test(options, json_has_every_option_with_its_type)
{
	json_t *object, *export;

	cr_assert_eq(parse("io_timeout = 1.5s\nmount = /m\xff\n[export a]\npath = /a\ndeny = b\n"),
		     0);
	object = options_print_json(options);
	for (size_t i = 0; i < options_table_n; i++)
		cr_assert_not_null(json_object_get(object, options_table[i].name));
	cr_assert_eq(json_integer_value(json_object_get(object, "port")), 19532);
	cr_assert(json_is_false(json_object_get(object, "lan")));
	cr_assert_float_eq(json_real_value(json_object_get(object, "io_timeout")), 1.5, 1e-9);
	cr_assert_str_eq(json_string_value(json_object_get(object, "mount")), "/m\xef\xbf\xbd");
	cr_assert_str_eq(json_string_value(json_object_get(object, "allow")), "fs:rw,exec,kv,msg");
	export = json_array_get(json_object_get(object, "exports"), 0);
	cr_assert_str_eq(json_string_value(json_object_get(export, "path")), "/a");
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(export, "deny"), 0)),
			 "/a/b");
	json_decref(object);
}

static void check_row(void *data, const struct options_print_row *row)
{
	size_t *n = data;

	if (*n < options_table_n) {
		cr_assert_str_eq(row->name, options_table[*n].name);
		cr_assert_str_eq(row->standard, options_table[*n].standard);
		if (strcmp(row->source, "default") == 0)
			cr_assert_str_eq(row->value, row->standard, "%s", row->name);
		else
			cr_assert_str_eq(row->name, "port");
	} else {
		static const char *const names[] = {"export.a.path", "export.a.mode",
						    "export.a.deny", "export.a.deny"};

		cr_assert_str_eq(row->name, names[*n - options_table_n]);
		cr_assert_str_eq(row->source, "file");
	}
	++*n;
}

/* Also: every default is written as it would be printed. */
Test(options, rows_say_where_a_value_comes_from)
{
	size_t n = 0;

	cr_assert_eq(parse("port = 1\n[export a]\npath = /a\ndeny = b\ndeny = c\n"), 0);
	options_print_each(options, check_row, &n);
	cr_assert_eq(n, options_table_n + 4);
}

static bool denies(const struct options_export *export, const char *path)
{
	for (size_t i = 0; i < export->n_deny; i++)
		if (strcmp(export->deny[i], path) == 0)
			return true;
	return false;
}

static struct paths *new_paths(void)
{
	struct paths *paths = NULL;

	setenv("HOME", "/home/u", 1);
	cr_assert_eq(paths_new(scratch_dir, &paths, NULL), 0);
	cr_assert_eq(paths_create(paths, NULL), 0);
	return paths;
}

Test(options, home_is_exported_by_default_without_secrets)
{
	struct paths *paths = new_paths();

	cr_assert_eq(options_file_load(paths, &options, &errors), 0);
	cr_assert_eq(options->n_exports, 1);
	cr_assert_str_eq(options->exports[0].name, "home");
	cr_assert_str_eq(options->exports[0].path, "/home/u");
	cr_assert_not(options->exports[0].read_only);
	cr_assert(denies(&options->exports[0], "/home/u/.ssh"));
	cr_assert(denies(&options->exports[0], "/home/u/.gnupg"));
	cr_assert(denies(&options->exports[0], paths->config_dir));
	cr_assert(denies(&options->exports[0], paths->state_dir));
	paths_free(paths);
}

Test(options, configured_exports_deny_loopsys_own_directories_too)
{
	const char *text = "[export all]\npath = /\ndeny = etc\n";
	struct paths *paths = new_paths();

	scratch_write(paths->config_file, text, strlen(text), 0600);
	cr_assert_eq(options_file_load(paths, &options, &errors), 0, "%s", errors);
	cr_assert_eq(options->n_exports, 1);
	cr_assert(denies(&options->exports[0], "/etc"));
	cr_assert(denies(&options->exports[0], paths->config_dir));
	cr_assert(denies(&options->exports[0], paths->state_dir));
	cr_assert_not(denies(&options->exports[0], "/home/u/.ssh"));
	paths_free(paths);
}

Test(options, unreadable_file_is_an_error)
{
	struct paths *paths = new_paths();
	char *large = calloc(1, OPTIONS_FILE_MAX + 1);

	cr_assert_eq(mkdir(paths->config_file, 0700), 0);
	cr_assert_eq(options_file_load(paths, &options, &errors), -EINVAL);
	cr_assert(strstr(errors, "no regular file"), "%s", errors);
	free(errors);
	cr_assert_eq(rmdir(paths->config_file), 0);
	memset(large, '\n', OPTIONS_FILE_MAX + 1);
	scratch_write(paths->config_file, large, OPTIONS_FILE_MAX + 1, 0600);
	cr_assert_eq(options_file_load(paths, &options, &errors), -EFBIG);
	free(errors);
	scratch_write(paths->config_file, "lan = perhaps\n", 14, 0600);
	cr_assert_eq(options_file_load(paths, &options, &errors), -EINVAL);
	cr_assert(strstr(errors, "loopsy.conf:1: lan: perhaps is neither yes nor no"), "%s",
		  errors);
	free(large);
	paths_free(paths);
}

/* Adds the names of ".It Ic NAME" lines between the sections to names; returns how many. */
static size_t manual_items(const char *manual, const char *section, const char *names[64])
{
	static char copy[65536];
	size_t n = 0;
	char *start, *end, *line, *rest = NULL;

	cr_assert_lt(strlen(manual), sizeof(copy));
	strcpy(copy, manual);
	start = strstr(copy, section);
	cr_assert_not_null(start, "%s", section);
	start += strlen(section);
	end = strstr(start, "\n.Sh ");
	if (end)
		*end = '\0';
	for (line = strtok_r(start, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strncmp(line, ".It Ic ", 7) == 0 && n < 64)
			names[n++] = strdup(line + 7);
	return n;
}

static void compare_manual(const char *section, const struct options_info *table, size_t table_n)
{
	const char *root = getenv("LOOPSY_SOURCE_ROOT"), *names[64];
	char path[1024], *manual;
	size_t n;

	cr_assert_not_null(root, "LOOPSY_SOURCE_ROOT is not set (meson test sets it)");
	snprintf(path, sizeof(path), "%s/man/loopsy.conf.5", root);
	manual = scratch_read(path);
	cr_assert_not_null(manual);
	n = manual_items(manual, section, names);
	free(manual);
	for (size_t i = 0; i < n || i < table_n; i++) {
		char expected[128];

		cr_assert_lt(i, n, "%s is missing in the manual", table[i].name);
		cr_assert_lt(i, table_n, "the manual has an option %s", names[i]);
		snprintf(expected, sizeof(expected), "%s = %s", table[i].name, table[i].standard);
		if (!table[i].standard[0])
			snprintf(expected, sizeof(expected), "%s", table[i].name);
		cr_assert_str_eq(names[i], expected);
		free((void *)names[i]);
	}
}

Test(options, manual_lists_the_table_with_its_defaults)
{
	compare_manual(".Sh OPTIONS\n", options_table, options_table_n);
	compare_manual(".Sh EXPORTS\n", options_export_table, options_export_table_n);
}
