/*
 * The server in the text of a configuration. In JSON it is a member of the object that the agent
 * has its servers in; what a user has added to it (variables, time-outs, trust) stays when it is
 * updated.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/agents.h"
#include "ctl/json_edit.h"
#include "ctl/toml_edit.h"

void agent_server_deinit(struct agent_server *server)
{
	free(server->command);
	json_decref(server->args);
	*server = (struct agent_server){0};
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* --- JSON ------------------------------------------------------------------------------------- */

static const char *environment_name(const struct agent *agent)
{
	return agent->joined ? "environment" : "env";
}

static void read_json(const struct agent *agent, const json_t *entry, struct agent_server *server)
{
	const json_t *command = json_object_get(entry, "command"), *list, *value;
	size_t i;

	server->is_there = true;
	server->is_disabled = json_is_false(json_object_get(entry, "enabled")) ||
			      json_is_true(json_object_get(entry, "disabled"));
	server->has_key =
	    json_object_get(json_object_get(entry, environment_name(agent)), "LOOPSY_API_KEY");
	list = agent->joined ? command : json_object_get(entry, "args");
	server->command = strdup(agent->joined ? "" : text_of(entry, "command"));
	server->args = json_array();
	json_array_foreach(list, i, value)
	{
		if (!agent->joined || i > 0) {
			json_array_append(server->args, (json_t *)value);
		} else if (json_is_string(value)) {
			free(server->command);
			server->command = strdup(json_string_value(value));
		}
	}
}

static int get_json(const struct agent *agent, struct bytes text, struct agent_server *ret_server,
		    struct edit_error *error)
{
	const char *const path[] = {agent->servers, AGENT_SERVER};
	struct agent_server server = {0};
	json_t *entry;
	int r = json_edit_load(text, path, 2, &entry, error);

	if (r == 0) {
		read_json(agent, entry, &server);
		json_decref(entry);
	} else if (r == -ENOENT) {
		server.command = strdup("");
		server.args = json_array();
		r = 0;
	}
	if (r == 0 && (!server.command || !server.args))
		r = -ENOMEM;
	if (r == 0)
		*ret_server = server;
	else
		agent_server_deinit(&server);
	return r;
}

/* The command as the agent wants it: its own, or with the arguments. */
static json_t *command_value(const struct agent *agent, const char *command, json_t *args)
{
	json_t *list;

	if (!agent->joined)
		return json_string(command);
	list = json_pack("[s]", command);
	json_array_extend(list, args);
	return list;
}

static json_t *new_entry(const struct agent *agent, const char *command, json_t *args)
{
	json_t *value = command_value(agent, command, args);

	if (agent->joined)
		return json_pack("{s:s, s:o, s:b}", "type", "local", "command", value, "enabled",
				 1);
	if (strcmp(agent->name, "claude") == 0)
		return json_pack("{s:s, s:o, s:O, s:{}}", "type", "stdio", "command", value, "args",
				 args, "env");
	return json_pack("{s:o, s:O}", "command", value, "args", args);
}

/* Whether it is a program that is started here, and not a server at some address. */
static bool is_program(const json_t *entry)
{
	const char *type = text_of(entry, "type");

	return json_is_object(entry) && !json_object_get(entry, "url") &&
	       !json_object_get(entry, "httpUrl") &&
	       (!*type || strcmp(type, "stdio") == 0 || strcmp(type, "local") == 0);
}

/* One more change: of `text`, which becomes the changed one. */
static int step(struct buffer *text, const char *const *path, unsigned n, json_t *value,
		struct edit_error *error)
{
	struct bytes now = {text->data, text->size};
	struct buffer out = {0};
	int r;

	if (value)
		r = json_edit_set(now, path, n, value, &out, NULL, error);
	else
		r = json_edit_remove(now, path, n, NULL, &out, error);
	json_decref(value);
	if (r < 0) {
		buffer_deinit(&out);
		return r == -ENOENT ? 0 : r;
	}
	buffer_deinit(text);
	*text = out;
	return 0;
}

/* Its members one by one, so that the others stay. */
static int update_json(const struct agent *agent, struct bytes text, const char *command,
		       json_t *args, const json_t *entry, struct buffer *out,
		       struct edit_error *error)
{
	const char *path[] = {agent->servers, AGENT_SERVER, "command", "LOOPSY_API_KEY"};
	struct buffer now = {0};
	int r = buffer_append(&now, text.data, text.size);

	r = r < 0 ? r : step(&now, path, 3, command_value(agent, command, args), error);
	path[2] = "args";
	if (r == 0 && !agent->joined)
		r = step(&now, path, 3, json_incref(args), error);
	path[2] = "enabled";
	if (r == 0 && json_is_false(json_object_get(entry, "enabled")))
		r = step(&now, path, 3, json_true(), error);
	path[2] = "disabled";
	if (r == 0 && json_is_true(json_object_get(entry, "disabled")))
		r = step(&now, path, 3, json_false(), error);
	path[2] = environment_name(agent);
	if (r == 0 && json_object_get(json_object_get(entry, path[2]), path[3]))
		r = step(&now, path, 4, NULL, error);
	r = r < 0 ? r : buffer_append(out, now.data, now.size);
	buffer_deinit(&now);
	return r;
}

static json_t *json_undo(const struct json_edit_undo *undo)
{
	return json_pack("{s:i, s:s?, s:s?}", "made", (int)undo->n_made, "tail", undo->tail,
			 "before", undo->before);
}

static int set_json(const struct agent *agent, struct bytes text, const char *command, json_t *args,
		    struct buffer *out, json_t **ret_undo, struct edit_error *error)
{
	const char *const path[] = {agent->servers, AGENT_SERVER};
	struct json_edit_undo undo = {0};
	json_t *entry = NULL, *value = NULL;
	struct bytes before;
	int r = json_edit_load(text, path, 2, &entry, error);

	if (r == 0 && is_program(entry)) {
		r = json_edit_get(text, path, 2, &before, error);
		if (r == 0)
			undo.before = strndup((const char *)before.data, before.size);
		r = r < 0 ? r : update_json(agent, text, command, args, entry, out, error);
	} else if (r == 0 || r == -ENOENT) {
		value = new_entry(agent, command, args);
		r = value ? json_edit_set(text, path, 2, value, out, &undo, error) : -ENOMEM;
	}
	json_decref(entry);
	json_decref(value);
	if (r == 0) {
		*ret_undo = json_undo(&undo);
		r = *ret_undo ? 0 : -EILSEQ;
	}
	json_edit_undo_deinit(&undo);
	return r;
}

static int remove_json(const struct agent *agent, struct bytes text, const json_t *record,
		       struct buffer *out, struct edit_error *error)
{
	const char *const path[] = {agent->servers, AGENT_SERVER};
	struct json_edit_undo undo = {
	    .n_made = (unsigned)json_integer_value(json_object_get(record, "made")),
	    .tail = (char *)json_string_value(json_object_get(record, "tail")),
	    .before = (char *)json_string_value(json_object_get(record, "before")),
	};

	return json_edit_remove(text, path, 2, record ? &undo : NULL, out, error);
}

/* --- TOML ------------------------------------------------------------------------------------- */

/* A string or an array of them; what is written otherwise than in JSON is given as it stands. */
static json_t *toml_value(struct bytes text)
{
	const char *data = (const char *)text.data;
	json_t *value;

	if (text.size >= 2 && data[0] == '\'' && data[1] != '\'')
		return json_stringn(data + 1, text.size - 2);
	value = text.size > 0 ? json_loadb(data, text.size, JSON_DECODE_ANY, NULL) : NULL;
	return value ? value : json_stringn(text.size ? data : "", text.size);
}

static int get_toml(struct bytes text, struct agent_server *ret_server, struct edit_error *error)
{
	struct toml_edit_server found;
	json_t *command, *args;
	int r = toml_edit_get(text, AGENT_SERVER, &found, error);

	if (r < 0)
		return r;
	command = toml_value(found.command);
	args = toml_value(found.args);
	*ret_server = (struct agent_server){
	    .is_there = found.is_there,
	    .is_disabled = found.is_disabled,
	    .has_key = found.has_key,
	    .command = strdup(json_is_string(command) ? json_string_value(command) : ""),
	    .args = json_is_array(args) ? json_incref(args) : json_array(),
	};
	json_decref(command);
	json_decref(args);
	return ret_server->command && ret_server->args ? 0 : -ENOMEM;
}

static int set_toml(struct bytes text, const char *command, json_t *args, struct buffer *out,
		    json_t **ret_undo, struct edit_error *error)
{
	struct toml_edit_undo undo = {0};
	int r = toml_edit_set(text, AGENT_SERVER, command, args, out, &undo, error);

	if (r < 0)
		return r;
	*ret_undo = json_pack("{s:s?, s:s?, s:s?, s:b}", "prefix", undo.prefix, "command",
			      undo.command, "args", undo.args, "disabled", undo.disabled);
	toml_edit_undo_deinit(&undo);
	return *ret_undo ? 0 : -ENOMEM;
}

static int remove_toml(struct bytes text, const json_t *record, struct buffer *out,
		       struct edit_error *error)
{
	struct toml_edit_undo undo = {
	    .prefix = (char *)json_string_value(json_object_get(record, "prefix")),
	    .command = (char *)json_string_value(json_object_get(record, "command")),
	    .args = (char *)json_string_value(json_object_get(record, "args")),
	    .disabled = json_is_true(json_object_get(record, "disabled")),
	};

	return toml_edit_remove(text, AGENT_SERVER, record ? &undo : NULL, out, error);
}

/* --- either ----------------------------------------------------------------------------------- */

int agent_text_get(const struct agent *agent, struct bytes text, struct agent_server *ret_server,
		   struct edit_error *ret_error)
{
	return agent->servers ? get_json(agent, text, ret_server, ret_error)
			      : get_toml(text, ret_server, ret_error);
}

int agent_text_set(const struct agent *agent, struct bytes text, const char *command, json_t *args,
		   struct buffer *out, json_t **ret_undo, struct edit_error *ret_error)
{
	return agent->servers ? set_json(agent, text, command, args, out, ret_undo, ret_error)
			      : set_toml(text, command, args, out, ret_undo, ret_error);
}

int agent_text_remove(const struct agent *agent, struct bytes text, const json_t *undo,
		      struct buffer *out, struct edit_error *ret_error)
{
	return agent->servers ? remove_json(agent, text, undo, out, ret_error)
			      : remove_toml(text, undo, out, ret_error);
}
