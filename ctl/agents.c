#include "ctl/agents.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *absolute_env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

static char *below(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static char *find_claude(const char *home)
{
	const char *directory = absolute_env("CLAUDE_CONFIG_DIR");

	return below(directory ? directory : home, ".claude.json");
}

static char *find_codex(const char *home)
{
	const char *directory = absolute_env("CODEX_HOME");

	return directory ? below(directory, "config.toml") : below(home, ".codex/config.toml");
}

static char *find_gemini(const char *home)
{
	const char *directory = absolute_env("GEMINI_CLI_HOME");

	return below(directory ? directory : home, ".gemini/settings.json");
}

/* Of several it reads all, and what the first of these says counts. */
static char *find_opencode(const char *home)
{
	static const char *const names[] = {"opencode.jsonc", "opencode.json", "config.json"};
	const char *config = absolute_env("XDG_CONFIG_HOME");
	char *directory = below(config ? config : home, config ? "opencode" : ".config/opencode");
	char *path = NULL;

	for (size_t i = 0; directory && i < sizeof(names) / sizeof(names[0]); i++) {
		path = below(directory, names[i]);
		if (!path || access(path, F_OK) == 0)
			break;
		free(path);
		path = NULL;
	}
	if (!path && directory)
		path = below(directory, "opencode.json");
	free(directory);
	return path;
}

const struct agent agent_table[] = {
    {"claude", "Claude Code", "claude", "mcpServers", false, find_claude},
    {"codex", "Codex CLI", "codex", NULL, false, find_codex},
    {"gemini", "Gemini CLI", "gemini", "mcpServers", false, find_gemini},
    {"opencode", "opencode", "opencode", "mcp", true, find_opencode},
};
const size_t agent_table_n = sizeof(agent_table) / sizeof(agent_table[0]);

const struct agent *agent_find(const char *name)
{
	for (size_t i = 0; i < agent_table_n; i++)
		if (strcmp(agent_table[i].name, name) == 0)
			return &agent_table[i];
	return NULL;
}

char *agent_file(const struct agent *agent)
{
	const char *home = absolute_env("HOME");
	struct passwd *user = home ? NULL : getpwuid(getuid());

	if (user && user->pw_dir && user->pw_dir[0] == '/')
		home = user->pw_dir;
	return home ? agent->find_file(home) : NULL;
}

char *agents_find_program(const char *name)
{
	const char *at = getenv("PATH");
	char *path;

	for (at = at ? at : "/usr/bin:/bin"; *at;) {
		size_t n = strcspn(at, ":");

		if (n > 0 && asprintf(&path, "%.*s/%s", (int)n, at, name) >= 0) {
			if (at[0] == '/' && access(path, X_OK) == 0)
				return path;
			free(path);
		}
		at += n + (at[n] == ':');
	}
	return NULL;
}

char *agent_program(const struct agent *agent)
{
	return agents_find_program(agent->program);
}

bool agent_is_there(const struct agent *agent, const char *program, const char *file)
{
	const char *slash = file ? strrchr(file, '/') : NULL;
	char *directory;
	bool is_there;

	if (program || (file && access(file, F_OK) == 0))
		return true;
	/* Claude Code's file is in the home directory itself. */
	if (!slash || agent->find_file == find_claude)
		return false;
	directory = strndup(file, (size_t)(slash - file));
	is_there = directory && access(directory, F_OK) == 0;
	free(directory);
	return is_there;
}
