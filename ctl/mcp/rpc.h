/*
 * JSON-RPC 2.0 as MCP has it: a line in, a message; a message out, a line.
 */
#ifndef CTL_MCP_RPC_H
#define CTL_MCP_RPC_H

#include <jansson.h>
#include <stdbool.h>

#include "proto/codec.h"

enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_RESOURCE_NOT_FOUND = -32002,  /* sessions, until 2025-11-25 */
	RPC_UNSUPPORTED_VERSION = -32022, /* 2026-07-28 */
};

enum rpc_kind {
	RPC_REQUEST,
	RPC_NOTIFICATION,
	RPC_RESPONSE, /* to something that we never asked: not ours to answer */
	RPC_INVALID,
};

/* All borrowed from the value. */
struct rpc_message {
	enum rpc_kind kind;
	json_t *id; /* of a request: a string or an integer; of RPC_INVALID the same or NULL */
	const char *method;
	json_t *params;    /* an object, or NULL */
	const char *error; /* RPC_INVALID: what is wrong */
};

/* The JSON of a line: NULL and a text in `error` (JSON_ERROR_TEXT_LENGTH bytes) when it is none. */
json_t *rpc_parse(struct bytes line, char *error);
/* What a value that is not a batch says. */
void rpc_read(json_t *value, struct rpc_message *ret_message);

/* What is sent; all take the references of `result`, `data` and `params`, which may be NULL if
 * there was no memory: so is what they return then. `id` NULL: it is not known whose fault it was.
 */
json_t *rpc_result(json_t *id, json_t *result);
json_t *rpc_error(json_t *id, int code, const char *message, json_t *data);
json_t *rpc_notification(const char *method, json_t *params);

/* Whether two ids are the same one. */
bool rpc_same_id(const json_t *a, const json_t *b);

#endif
