#include "ctl/kv_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/fetch.h"
#include "ctl/terminal.h"

int kv_text_names_quietly(struct local_client *client, json_t **ret_names)
{
	struct result_ctl_status status;
	json_t *peers, *names;
	char *id;
	int r = local_client_call(client, OP_CTL_STATUS, &(struct args_ctl_status){0}, &status);

	if (r < 0)
		return r;
	names = json_object();
	id = bytes_to_text(status.id);
	if (id)
		json_object_set_new(names, id, context_json_text(status.name));
	free(id);
	r = fetch_peers_quietly(client, &peers);
	if (r < 0) {
		json_decref(names);
		return r;
	}
	for (size_t i = 0; i < json_array_size(peers); i++) {
		const json_t *peer = json_array_get(peers, i);

		json_object_set(names, fetch_text(peer, "id"), json_object_get(peer, "name"));
	}
	json_decref(peers);
	*ret_names = names;
	return 0;
}

int kv_text_names(const struct context *context, struct local_client *client, json_t **ret_names)
{
	int r = kv_text_names_quietly(client, ret_names);

	return r == 0 ? CONTEXT_OK : context_complain(context, client, r);
}

static json_t *name_of(struct bytes id, const json_t *names)
{
	char *text = bytes_to_text(id);
	json_t *name = text ? json_object_get(names, text) : NULL;

	free(text);
	return name ? json_incref(name) : context_json_text(id);
}

json_t *kv_text_entry(const struct kv_entry *entry, const json_t *names)
{
	json_t *ttl = entry->ttl_ms > 0 ? json_integer((json_int_t)(entry->ttl_ms + 999) / 1000)
					: json_null();

	return json_pack("{s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "key",
			 context_json_text(entry->key), "size", (json_int_t)entry->size, "version",
			 (json_int_t)entry->version, "from", name_of(entry->from, names), "created",
			 fetch_time(entry->created), "changed", fetch_time(entry->changed), "ttl_s",
			 ttl);
}

static char *base64(struct bytes value)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((value.size + 2) / 3 * 4 + 1), *at = text;

	for (size_t i = 0; text && i < value.size; i += 3) {
		size_t n = value.size - i < 3 ? value.size - i : 3;
		uint32_t bits = (uint32_t)value.data[i] << 16;

		if (n > 1)
			bits |= (uint32_t)value.data[i + 1] << 8;
		if (n > 2)
			bits |= value.data[i + 2];
		*at++ = digits[bits >> 18];
		*at++ = digits[bits >> 12 & 63];
		*at++ = n > 1 ? digits[bits >> 6 & 63] : '=';
		*at++ = n > 2 ? digits[bits & 63] : '=';
	}
	if (text)
		*at = '\0';
	return text;
}

int kv_text_add_value(json_t *entry, struct bytes value)
{
	const char *bytes = value.size > 0 ? (const char *)value.data : "";
	json_t *text = json_stringn(bytes, value.size); /* NULL if it is no UTF-8 */
	char *encoded;
	int r;

	if (text)
		return json_object_set_new(entry, "value", text) < 0 ? -ENOMEM : 0;
	encoded = base64(value);
	if (!encoded)
		return -ENOMEM;
	r = json_object_set_new(entry, "value_base64", json_string(encoded));
	free(encoded);
	return r < 0 ? -ENOMEM : 0;
}

static void add_number(struct terminal_table *table, const json_t *number)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(number));
	terminal_table_add(table, json_is_integer(number) ? text : NULL, TERMINAL_PLAIN);
}

void kv_text_print(const struct context *context, const json_t *entries, bool peers)
{
	static const char *const titles[] = {"KEY", "SIZE", "VERSION", "FROM", "CHANGED", "TTL"};
	struct terminal_table table = {.n_columns = peers ? 7 : 6};

	if (peers)
		terminal_table_add(&table, "PEER", TERMINAL_BOLD);
	for (size_t i = 0; i < 6; i++)
		terminal_table_add(&table, titles[i], TERMINAL_BOLD);
	for (size_t i = 0; i < json_array_size(entries); i++) {
		const json_t *entry = json_array_get(entries, i);

		if (peers)
			terminal_table_add(&table, fetch_text(entry, "peer"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(entry, "key"), TERMINAL_PLAIN);
		add_number(&table, json_object_get(entry, "size"));
		add_number(&table, json_object_get(entry, "version"));
		terminal_table_add(&table, fetch_text(entry, "from"), TERMINAL_PLAIN);
		terminal_table_add(&table, fetch_text(entry, "changed"), TERMINAL_PLAIN);
		add_number(&table, json_object_get(entry, "ttl_s"));
	}
	terminal_table_print(&table, context->out, context->color);
}
