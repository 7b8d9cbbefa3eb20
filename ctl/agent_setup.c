/*
 * The registration. Beside the key, a file of ours remembers what was in the agent's configuration,
 * so that it can be given back: agents/NAME.json and agents/NAME.key, in loopsy's own
 * configuration.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ctl/agent_key.h"
#include "ctl/agents.h"

#define TRIES 8 /* an agent that runs writes its configuration now and then */

void agent_report_deinit(struct agent_report *report)
{
	free(report->backup);
	free(report->note);
	free(report->error);
	*report = (struct agent_report){0};
}

static int fail(struct agent_report *report, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct agent_report *report, int r, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	free(report->error);
	if (vasprintf(&report->error, format, list) < 0)
		report->error = NULL;
	va_end(list);
	return r;
}

static int fail_edit(struct agent_report *report, int r, const char *file,
		     const struct edit_error *error)
{
	if (r == -EINVAL)
		return fail(report, r, "%s:%u: %s; nothing is changed", file, error->line,
			    error->text);
	return fail(report, r, "%s: %s; nothing is changed", file, strerror(-r));
}

/* --- what is registered ----------------------------------------------------------------------- */

static char *own_file(const struct context *context, const struct agent *agent, const char *ending)
{
	char *path;

	return asprintf(&path, "%s/agents/%s.%s", context->home->config_dir, agent->name, ending) <
		       0
		   ? NULL
		   : path;
}

char *agent_setup_key_file(const struct context *context, const struct agent *agent)
{
	return own_file(context, agent, "key");
}

/* Ourselves: as PATH has us, so that it stays right when we are installed anew. */
static char *own_program(void)
{
	char *exe = realpath("/proc/self/exe", NULL), *found = agents_find_program("loopsyctl");
	char *found_exe = found ? realpath(found, NULL) : NULL;

	if (exe && found_exe && strcmp(exe, found_exe) == 0) {
		free(exe);
		exe = found;
		found = NULL;
	}
	free(found);
	free(found_exe);
	return exe;
}

/* Agents start servers with few variables: those that say where loopsy is go with the command. */
static bool add_variable(json_t *list, const char *name, const char *usual)
{
	const char *value = getenv(name);

	if (!value || value[0] != '/' || strcmp(value, usual) == 0)
		return false;
	json_array_append_new(list, json_sprintf("%s=%s", name, value));
	return true;
}

static bool add_variables(json_t *list)
{
	const char *home = getenv("HOME");
	char config[4096], state[4096], runtime[64];
	bool added;

	snprintf(config, sizeof(config), "%s/.config", home ? home : "");
	snprintf(state, sizeof(state), "%s/.local/state", home ? home : "");
	snprintf(runtime, sizeof(runtime), "/run/user/%u", (unsigned)getuid());
	added = add_variable(list, "XDG_CONFIG_HOME", config);
	added = add_variable(list, "XDG_STATE_HOME", state) || added;
	return add_variable(list, "XDG_RUNTIME_DIR", runtime) || added;
}

int agent_setup_command(const struct context *context, const struct agent *agent,
			char **ret_command, json_t **ret_args)
{
	char *program = own_program(), *key = agent_setup_key_file(context, agent);
	const char *home = context->home->loopsy_home;
	json_t *args = json_array();
	int r = -ENOMEM;

	if (!program || !key || !args)
		goto out;
	if (!home && add_variables(args)) {
		json_array_append_new(args, json_string(program));
		free(program);
		program = strdup("/usr/bin/env");
	}
	json_array_append_new(args, json_string("mcp"));
	if (home) {
		json_array_append_new(args, json_string("--home"));
		json_array_append_new(args, json_string(home));
	}
	json_array_append_new(args, json_string("--key-file"));
	json_array_append_new(args, json_string(key));
	if (!program)
		goto out;
	*ret_command = program;
	*ret_args = json_incref(args);
	program = NULL;
	r = 0;
out:
	json_decref(args);
	free(program);
	free(key);
	return r;
}

static bool is_same(const struct agent_server *server, const char *command, const json_t *args)
{
	return server->is_there && !server->is_disabled && !server->has_key &&
	       strcmp(server->command, command) == 0 && json_equal(server->args, args);
}

/* --- what we remember ------------------------------------------------------------------------- */

static json_t *load_record(const struct context *context, const struct agent *agent,
			   const char *file)
{
	char *path = own_file(context, agent, "json");
	json_t *record = path ? json_load_file(path, 0, NULL) : NULL;
	const char *of = json_string_value(json_object_get(record, "file"));

	free(path);
	if (of && strcmp(of, file) == 0)
		return record;
	json_decref(record);
	return NULL;
}

static int save_private(const char *path, const char *text)
{
	struct file_edit edit;
	int r = file_edit_read(path, &edit);

	if (r < 0)
		return r;
	edit.st.st_mode = S_IFREG | 0600;
	r = file_edit_write(&edit, (struct bytes){(const uint8_t *)text, strlen(text)}, NULL);
	file_edit_deinit(&edit);
	return r;
}

static int save_record(const struct context *context, const struct agent *agent,
		       const struct file_edit *edit, json_t *undo, unsigned n_directories)
{
	json_t *record = json_pack("{s:s, s:b, s:i, s:O}", "file", edit->file, "existed",
				   edit->exists, "directories", (int)n_directories, "undo", undo);
	char *path = own_file(context, agent, "json");
	char *text = record ? json_dumps(record, JSON_INDENT(1)) : NULL;
	int r = path && text ? save_private(path, text) : -ENOMEM;

	free(path);
	free(text);
	json_decref(record);
	return r;
}

static void forget(const struct context *context, const struct agent *agent, const char *ending)
{
	char *path = own_file(context, agent, ending);

	if (path)
		unlink(path);
	free(path);
}

/* One at a time. A descriptor, or -1. */
static int lock(const struct context *context)
{
	char *path;
	int fd = -1;

	if (asprintf(&path, "%s/agents", context->home->config_dir) < 0)
		return -1;
	mkdir(context->home->config_dir, 0700);
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			close(fd);
			return -1;
		}
	return fd;
}

/* --- installing ------------------------------------------------------------------------------- */

/* The configuration with the server. What was there before the first time is remembered. */
static int write_server(const struct context *context, const struct agent *agent,
			const struct file_edit *edit, const struct agent_server *server,
			const char *command, json_t *args, struct agent_report *report)
{
	struct bytes text = {edit->text.data, edit->text.size};
	struct buffer out = {0};
	struct edit_error error;
	json_t *undo = NULL, *record = load_record(context, agent, edit->file);
	unsigned n_made = 0;
	int r = agent_text_set(agent, text, command, args, &out, &undo, &error);

	if (r < 0) {
		fail_edit(report, r, edit->path, &error);
		goto out;
	}
	if (edit->exists) {
		char *backup = NULL;

		r = file_edit_back_up(edit, &backup);
		if (r < 0) {
			fail(report, r, "cannot make %s.loopsy-backup: %s; nothing is changed",
			     edit->path, strerror(-r));
			goto out;
		}
		free(report->backup);
		report->backup = r > 0 ? backup : NULL;
		if (r == 0)
			free(backup);
	}
	if (!record || !server->is_there)
		r = save_record(context, agent, edit, undo, 0);
	r = r < 0 ? r : file_edit_write(edit, (struct bytes){out.data, out.size}, &n_made);
	if (r == 0 && n_made > 0)
		r = save_record(context, agent, edit, undo, n_made);
	if (r < 0)
		fail(report, r, "cannot write %s: %s", edit->path, strerror(-r));
	else
		report->result = server->is_there ? AGENT_UPDATED : AGENT_ADDED;
out:
	json_decref(undo);
	json_decref(record);
	buffer_deinit(&out);
	return r < 0 ? r : 0;
}

/* Once; -EBUSY: somebody else wrote the file. */
static int try_install(const struct context *context, const struct agent *agent, const char *file,
		       const char *command, json_t *args, struct agent_report *report)
{
	struct agent_server server = {0};
	struct edit_error error;
	struct file_edit edit;
	int r = file_edit_read(file, &edit);

	if (r < 0)
		return fail(report, r, "cannot read %s: %s", file, strerror(-r));
	r = agent_text_get(agent, (struct bytes){edit.text.data, edit.text.size}, &server, &error);
	if (r < 0)
		fail_edit(report, r, file, &error);
	else if (is_same(&server, command, args))
		report->result = AGENT_UNCHANGED;
	else
		r = write_server(context, agent, &edit, &server, command, args, report);
	agent_server_deinit(&server);
	file_edit_deinit(&edit);
	return r;
}

/* Whether it can be done at all: a key that nobody uses is not to be made. */
static int check_text(const struct agent *agent, const char *file, const char *command,
		      json_t *args, struct agent_report *report)
{
	struct buffer out = {0};
	struct edit_error error;
	struct file_edit edit;
	json_t *undo = NULL;
	int r = file_edit_read(file, &edit);

	if (r < 0)
		return fail(report, r, "cannot read %s: %s", file, strerror(-r));
	r = agent_text_set(agent, (struct bytes){edit.text.data, edit.text.size}, command, args,
			   &out, &undo, &error);
	if (r < 0)
		fail_edit(report, r, file, &error);
	json_decref(undo);
	buffer_deinit(&out);
	file_edit_deinit(&edit);
	return r;
}

int agent_setup_install(const struct context *context, const struct agent *agent, const char *file,
			struct agent_report *report)
{
	char *command = NULL, *key = agent_setup_key_file(context, agent);
	json_t *args = NULL;
	int r = agent_setup_command(context, agent, &command, &args), fd = -1;

	if (r < 0 || !key) {
		r = fail(report, -ENOMEM, "cannot find out what this program is called");
		goto out;
	}
	fd = lock(context);
	if (fd < 0) {
		r = fail(report, -EIO, "cannot use %s/agents: %s", context->home->config_dir,
			 strerror(errno));
		goto out;
	}
	r = check_text(agent, file, command, args, report);
	r = r < 0 ? r : agent_key_make(context, agent->name, key, &report->error);
	if (r < 0)
		goto out;
	for (int i = 0; i < TRIES; i++) {
		r = try_install(context, agent, file, command, args, report);
		if (r != -EBUSY)
			break;
	}
	if (r == -EBUSY)
		fail(report, r, "%s changes all the time: end %s, and try again", file,
		     agent->title);
out:
	if (fd >= 0)
		close(fd);
	json_decref(args);
	free(command);
	free(key);
	return r;
}

/* --- removing --------------------------------------------------------------------------------- */

static bool is_blank(const struct buffer *text)
{
	for (size_t i = 0; i < text->size; i++)
		if (!strchr(" \t\r\n", text->data[i]) || text->data[i] == '\0')
			return false;
	return true;
}

static int try_remove(const struct context *context, const struct agent *agent, const char *file,
		      struct agent_report *report)
{
	struct buffer out = {0};
	struct edit_error error;
	struct file_edit edit;
	json_t *record;
	int r = file_edit_read(file, &edit);

	if (r < 0)
		return fail(report, r, "cannot read %s: %s", file, strerror(-r));
	record = load_record(context, agent, edit.file);
	r = agent_text_remove(agent, (struct bytes){edit.text.data, edit.text.size},
			      json_object_get(record, "undo"), &out, &error);
	if (r == -ENOENT) {
		report->result = AGENT_UNCHANGED;
		r = 0;
	} else if (r < 0) {
		fail_edit(report, r, file, &error);
	} else {
		bool ours = record && json_is_false(json_object_get(record, "existed"));

		if (ours && is_blank(&out))
			r = file_edit_remove(&edit, (unsigned)json_integer_value(
							json_object_get(record, "directories")));
		else
			r = file_edit_write(&edit, (struct bytes){out.data, out.size}, NULL);
		report->result = AGENT_REMOVED;
		if (r < 0)
			fail(report, r, "cannot write %s: %s", file, strerror(-r));
	}
	json_decref(record);
	buffer_deinit(&out);
	file_edit_deinit(&edit);
	return r;
}

int agent_setup_remove(const struct context *context, const struct agent *agent, const char *file,
		       struct agent_report *report)
{
	char *key = agent_setup_key_file(context, agent);
	int fd = lock(context), r = -EBUSY;

	if (fd < 0 || !key) {
		free(key);
		return fail(report, -EIO, "cannot use %s/agents: %s", context->home->config_dir,
			    strerror(errno));
	}
	for (int i = 0; i < TRIES && r == -EBUSY; i++)
		r = try_remove(context, agent, file, report);
	if (r == 0) {
		r = agent_key_end(context, agent->name, key, &report->error);
		forget(context, agent, "json");
	}
	free(key);
	close(fd);
	return r;
}

/* --- how it is -------------------------------------------------------------------------------- */

static void add_server(const struct context *context, const struct agent *agent,
		       const struct agent_server *server, json_t *state)
{
	char *command = NULL, *line = NULL;
	json_t *args = NULL, *word;
	const char *text = "not registered";
	size_t i;

	if (server->is_there) {
		bool same = agent_setup_command(context, agent, &command, &args) == 0 &&
			    strcmp(server->command, command) == 0 && json_equal(server->args, args);

		text = !same || server->has_key ? "differs"
		       : server->is_disabled    ? "disabled"
						: "registered";
		line = strdup(server->command);
		json_array_foreach(server->args, i, word)
		{
			char *longer = NULL;

			if (line &&
			    asprintf(&longer, "%s %s", line,
				     json_is_string(word) ? json_string_value(word) : "?") < 0)
				longer = NULL;
			free(line);
			line = longer;
		}
		json_object_set_new(state, "command", json_string(line ? line : ""));
	}
	json_object_set_new(state, "state", json_string(text));
	json_decref(args);
	free(command);
	free(line);
}

json_t *agent_setup_state(const struct context *context, const struct agent *agent)
{
	char *file = agent_file(agent), *program = agent_program(agent);
	char *key = agent_setup_key_file(context, agent);
	json_t *state = json_pack("{s:s, s:s, s:s?, s:s?, s:b, s:s, s:n, s:n, s:n}", "agent",
				  agent->name, "title", agent->title, "program", program, "file",
				  file, "found", agent_is_there(agent, program, file), "state",
				  "not registered", "command", "key", "problem");
	struct agent_server server = {0};
	struct edit_error error;
	struct file_edit edit;
	int r = file ? file_edit_read(file, &edit) : -ENOENT;

	if (r == 0) {
		r = agent_text_get(agent, (struct bytes){edit.text.data, edit.text.size}, &server,
				   &error);
		if (r == 0)
			add_server(context, agent, &server, state);
		else if (r == -EINVAL)
			json_object_set_new(
			    state, "problem",
			    json_sprintf("%s:%u: %s", file, error.line, error.text));
		agent_server_deinit(&server);
		file_edit_deinit(&edit);
	}
	if (r < 0) {
		json_object_set_new(state, "state", json_string("unreadable"));
		if (r != -EINVAL)
			json_object_set_new(state, "problem",
					    json_sprintf("%s: %s",
							 file ? file : "no home directory",
							 strerror(-r)));
	}
	if (key &&
	    strcmp(json_string_value(json_object_get(state, "state")), "not registered") != 0)
		json_object_set_new(state, "key", json_string(agent_key_state(key)));
	free(file);
	free(program);
	free(key);
	return state;
}
