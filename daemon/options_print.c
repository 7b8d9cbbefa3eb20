#include "daemon/options_print.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/json_text.h"
#include "daemon/option_value.h"
#include "daemon/peer_name.h"
#include "daemon/permissions.h"

#define VALUE_MAX 64
static_assert(VALUE_MAX >= OPTION_VALUE_TEXT_MAX && VALUE_MAX >= PERMISSIONS_TEXT_MAX, "");

/* The value as text: the option's own, or written into buffer (VALUE_MAX bytes). */
static const char *print_value(const struct options *options, const struct options_info *info,
			       char *buffer)
{
	const void *field = (const char *)options + info->offset;

	switch (info->type) {
	case OPTIONS_TEXT:
	case OPTIONS_PATH:
	case OPTIONS_WORDS:
		return *(char *const *)field;
	case OPTIONS_BOOL:
		return *(const bool *)field ? "yes" : "no";
	case OPTIONS_NUMBER:
		snprintf(buffer, VALUE_MAX, "%" PRId64, *(const int64_t *)field);
		return buffer;
	case OPTIONS_BYTES:
		return option_value_print_bytes(*(const int64_t *)field, buffer);
	case OPTIONS_DURATION:
		return option_value_print_duration(*(const int64_t *)field, buffer);
	case OPTIONS_CHOICE:
		return info->choices[*(const int64_t *)field];
	case OPTIONS_PERMISSIONS:
		return permissions_print(*(const uint16_t *)field, buffer);
	}
	return "";
}

static void each_of_export(const struct options_export *export, options_print_fn fn, void *data)
{
	struct options_print_row row = {.source = export->line ? "file" : "default"};
	char name[sizeof("export..path") + PEER_NAME_MAX];

	for (size_t i = 0; i < options_export_table_n; i++) {
		const struct options_info *info = &options_export_table[i];

		snprintf(name, sizeof(name), "export.%s.%s", export->name, info->name);
		row.name = name;
		row.standard = info->standard;
		row.text = info->text;
		if (strcmp(info->name, "deny") == 0) {
			for (size_t j = 0; j < export->n_deny; j++) {
				row.value = export->deny[j];
				fn(data, &row);
			}
			continue;
		}
		if (strcmp(info->name, "path") == 0)
			row.value = export->path;
		else
			row.value = export->read_only ? "ro" : "rw";
		fn(data, &row);
	}
}

void options_print_each(const struct options *options, options_print_fn fn, void *data)
{
	static const char *const sources[] = {"default", "file", "command line"};
	char buffer[VALUE_MAX];

	for (size_t i = 0; i < options_table_n; i++) {
		const struct options_info *info = &options_table[i];
		struct options_print_row row = {
		    .name = info->name,
		    .value = print_value(options, info, buffer),
		    .standard = info->standard,
		    .source = sources[options->source[i]],
		    .text = info->text,
		};

		fn(data, &row);
	}
	for (size_t i = 0; i < options->n_exports; i++)
		each_of_export(&options->exports[i], fn, data);
}

void options_print_ini(const struct options *options, FILE *out)
{
	char buffer[VALUE_MAX];

	for (size_t i = 0; i < options_table_n; i++) {
		const struct options_info *info = &options_table[i];

		fprintf(out, "# %s\n%s = %s\n\n", info->text, info->name,
			print_value(options, info, buffer));
	}
	for (size_t i = 0; i < options->n_exports; i++) {
		const struct options_export *export = &options->exports[i];

		fprintf(out, "[export %s]\npath = %s\nmode = %s\n", export->name, export->path,
			export->read_only ? "ro" : "rw");
		for (size_t j = 0; j < export->n_deny; j++)
			fprintf(out, "deny = %s\n", export->deny[j]);
		fputc('\n', out);
	}
}

static json_t *json_value(const struct options *options, const struct options_info *info)
{
	const void *field = (const char *)options + info->offset;
	char buffer[VALUE_MAX];

	switch (info->type) {
	case OPTIONS_BOOL:
		return json_boolean(*(const bool *)field);
	case OPTIONS_NUMBER:
	case OPTIONS_BYTES:
		return json_integer(*(const int64_t *)field);
	case OPTIONS_DURATION:
		return json_real((double)*(const int64_t *)field / 1000);
	default:
		return json_text(print_value(options, info, buffer));
	}
}

static json_t *json_export(const struct options_export *export)
{
	json_t *deny = json_array();

	for (size_t i = 0; i < export->n_deny; i++)
		json_array_append_new(deny, json_text(export->deny[i]));
	return json_pack("{s:o, s:o, s:s, s:o}", "name", json_text(export->name), "path",
			 json_text(export->path), "mode", export->read_only ? "ro" : "rw", "deny",
			 deny);
}

json_t *options_print_json(const struct options *options)
{
	json_t *object = json_object(), *exports = json_array();
	int r = 0;

	for (size_t i = 0; i < options_table_n; i++)
		r |= json_object_set_new(object, options_table[i].name,
					 json_value(options, &options_table[i]));
	for (size_t i = 0; i < options->n_exports; i++)
		r |= json_array_append_new(exports, json_export(&options->exports[i]));
	r |= json_object_set_new(object, "exports", exports);
	if (r == 0)
		return object;
	json_decref(object);
	return NULL;
}
