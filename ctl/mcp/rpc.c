#include "ctl/mcp/rpc.h"

#include <stdio.h>
#include <string.h>

#include "ctl/mcp/mcp_text.h"

json_t *rpc_parse(struct bytes line, char *error)
{
	json_error_t where;
	json_t *value;

	if (line.size == 0) {
		strcpy(error, "empty");
		return NULL;
	}
	value = json_loadb((const char *)line.data, line.size, JSON_ALLOW_NUL | JSON_DECODE_ANY,
			   &where);
	if (!value)
		snprintf(error, JSON_ERROR_TEXT_LENGTH, "%s", where.text);
	return value;
}

static bool is_id(const json_t *id)
{
	return json_is_string(id) || json_is_integer(id);
}

static void complain(struct rpc_message *message, const char *text)
{
	message->kind = RPC_INVALID;
	message->error = text;
}

void rpc_read(json_t *value, struct rpc_message *ret_message)
{
	json_t *id = json_object_get(value, "id"), *method = json_object_get(value, "method");
	const char *version = json_string_value(json_object_get(value, "jsonrpc"));
	struct rpc_message message = {
	    .kind = id ? RPC_REQUEST : RPC_NOTIFICATION,
	    .id = is_id(id) ? id : NULL,
	    .method = json_string_value(method),
	    .params = json_object_get(value, "params"),
	};

	if (!json_is_object(value))
		complain(&message, "not an object");
	else if (!version || strcmp(version, "2.0") != 0)
		complain(&message, "\"jsonrpc\" must be \"2.0\"");
	else if (!method && (json_object_get(value, "result") || json_object_get(value, "error")))
		message.kind = RPC_RESPONSE;
	else if (!message.method || strlen(message.method) != json_string_length(method))
		complain(&message, "\"method\" must be a string");
	else if (id && !is_id(id))
		complain(&message, "\"id\" must be a string or an integer");
	else if (message.params && !json_is_object(message.params))
		complain(&message, "\"params\" must be an object");
	*ret_message = message;
}

/* --- what is sent ----------------------------------------------------------------------------- */

static json_t *envelope(json_t *id)
{
	json_t *object = json_pack("{s:s}", "jsonrpc", "2.0");

	if (id)
		json_object_set(object, "id", id);
	return object;
}

static json_t *with(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) == 0)
		return object;
	json_decref(object);
	return NULL;
}

json_t *rpc_result(json_t *id, json_t *result)
{
	return with(envelope(id), "result", result);
}

json_t *rpc_error(json_t *id, int code, const char *message, json_t *data)
{
	json_t *error =
	    json_pack("{s:i, s:o}", "code", code, "message", mcp_text(message, strlen(message)));

	if (data)
		json_object_set_new(error, "data", data);
	return with(envelope(id), "error", error);
}

json_t *rpc_notification(const char *method, json_t *params)
{
	return with(with(envelope(NULL), "method", json_string(method)), "params", params);
}

bool rpc_same_id(const json_t *a, const json_t *b)
{
	return a && b && json_equal(a, b);
}
