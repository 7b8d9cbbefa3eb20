#include "daemon/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/api_key.h"
#include "daemon/identity_file.h"
#include "daemon/options_file.h"
#include "daemon/options_print.h"
#include "daemon/paths.h"
#include "daemon/peer_name.h"

static int complain(const char *text)
{
	fprintf(stderr, "loopsyd: %s\n", text);
	return 1;
}

static struct paths *open_paths(const char *home)
{
	struct failure failure = {""};
	struct paths *paths;

	if (paths_new(home, &paths, &failure) == 0)
		return paths;
	complain(failure.text);
	return NULL;
}

/* A configuration that says nothing but the name, and where to read on. */
static int write_config(const struct paths *paths, const char *name)
{
	FILE *file;

	if (access(paths->config_file, F_OK) == 0)
		return 0;
	file = fopen(paths->config_file, "wx");
	if (!file)
		return -errno;
	fprintf(file, "# loopsy.conf(5) tells what can be set here;\n"
		      "# 'loopsyctl config' shows what is in force.\n");
	if (name)
		fprintf(file, "name = %s\n", name);
	return fclose(file) == 0 ? 0 : -errno;
}

int verbs_init(const char *home, const char *name)
{
	struct paths *paths = open_paths(home);
	struct failure failure = {""};
	char key[API_KEY_LENGTH + 1];
	struct identity *identity = NULL;
	char fingerprint[IDENTITY_FINGERPRINT_TEXT];
	bool made = true;
	int error, r = 1;

	if (!paths)
		return 1;
	if (name && !peer_name_is_valid(name)) {
		complain("the name must be 1 to 63 of A-Z a-z 0-9 . _ -, not starting with a dot");
		goto out;
	}
	if (paths_create(paths, &failure) < 0)
		goto failed;
	error = identity_file_create(paths->identity, &identity, &failure);
	if (error == -EEXIST) {
		made = false;
		error = identity_file_load(paths->identity, &identity, &failure);
	}
	if (error < 0)
		goto failed;
	if (api_key_load(paths->api_key, key, NULL) == -ENOENT &&
	    ((error = api_key_generate(key)) < 0 ||
	     (error = api_key_save(paths->api_key, key, false, &failure)) < 0))
		goto failed;
	error = write_config(paths, name);
	if (error < 0) {
		failure_set(&failure, error, "cannot write %s: %s", paths->config_file,
			    strerror(-error));
		goto failed;
	}
	identity_fingerprint_text(identity->fingerprint, fingerprint);
	printf("%s identity %s (%s)\nconfiguration: %s\n", made ? "made" : "kept", identity->id,
	       fingerprint, paths->config_file);
	r = 0;
	goto out;
failed:
	complain(failure.text);
out:
	explicit_bzero(key, sizeof(key));
	identity_free(identity);
	paths_free(paths);
	return r;
}

static struct options *load(const struct paths *paths)
{
	struct options *options;
	char *errors = NULL;

	if (options_file_load(paths, &options, &errors) == 0)
		return options;
	fputs(errors ? errors : "loopsyd: out of memory\n", stderr);
	free(errors);
	return NULL;
}

static void print_row(void *data, const struct options_print_row *row)
{
	json_t *line = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", row->name, "value",
				 row->value, "default", row->standard ? row->standard : "",
				 "source", row->source, "summary", row->text ? row->text : "");
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	if (text)
		puts(text);
	free(text);
	json_decref(line);
}

int verbs_config(const char *home)
{
	struct paths *paths = open_paths(home);
	struct options *options = paths ? load(paths) : NULL;
	int r = options ? 0 : 1;

	if (options)
		options_print_each(options, print_row, NULL);
	options_free(options);
	paths_free(paths);
	return r;
}

int verbs_print_config(const char *home, int json)
{
	struct paths *paths = open_paths(home);
	struct options *options = paths ? load(paths) : NULL;
	int r = options ? 0 : 1;

	if (options && !json) {
		options_print_ini(options, stdout);
	} else if (options) {
		json_t *object = options_print_json(options);

		json_dumpf(object, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(object);
	}
	options_free(options);
	paths_free(paths);
	return r;
}

int verbs_key(const char *home, int generate)
{
	struct paths *paths = open_paths(home);
	struct failure failure = {""};
	char key[API_KEY_LENGTH + 1] = "";
	int error;

	if (!paths)
		return 1;
	if (generate) {
		error = api_key_generate(key);
		if (error == 0)
			error = api_key_save(paths->api_key, key, true, &failure);
	} else {
		error = api_key_load(paths->api_key, key, &failure);
		if (error == -ENOENT)
			failure_set(&failure, error,
				    "there is no API key: make one with "
				    "'loopsyctl key generate'");
	}
	if (error < 0)
		complain(failure.text[0] ? failure.text : strerror(-error));
	else
		puts(key);
	explicit_bzero(key, sizeof(key));
	paths_free(paths);
	return error < 0 ? 1 : 0;
}
