#include "ctl/mcp/terminal_keys.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *name, *bytes;
	bool moves; /* "\033[X" is "\033OX" in application mode */
} keys[] = {
    {"enter", "\r"},          {"return", "\r"},         {"tab", "\t"},
    {"escape", "\033"},       {"esc", "\033"},          {"space", " "},
    {"backspace", "\177"},    {"delete", "\033[3~"},    {"insert", "\033[2~"},
    {"up", "\033[A", true},   {"down", "\033[B", true}, {"right", "\033[C", true},
    {"left", "\033[D", true}, {"home", "\033[H", true}, {"end", "\033[F", true},
    {"pageup", "\033[5~"},    {"pagedown", "\033[6~"},  {"f1", "\033OP"},
    {"f2", "\033OQ"},         {"f3", "\033OR"},         {"f4", "\033OS"},
    {"f5", "\033[15~"},       {"f6", "\033[17~"},       {"f7", "\033[18~"},
    {"f8", "\033[19~"},       {"f9", "\033[20~"},       {"f10", "\033[21~"},
    {"f11", "\033[23~"},      {"f12", "\033[24~"},      {"shift-tab", "\033[Z"},
};

static int add(struct buffer *out, const char *bytes)
{
	return buffer_append(out, bytes, strlen(bytes));
}

/* Of what is behind "ctrl-": the letters, and those few characters that have one. */
static int add_control(const char *name, struct buffer *out)
{
	char c = (char)toupper((unsigned char)name[0]);

	if (strcasecmp(name, "space") == 0)
		c = '@';
	else if (name[0] == '\0' || name[1] != '\0')
		return -ENOENT;
	if (c < '@' || c > '_')
		return -ENOENT;
	c &= 0x1f;
	return buffer_append(out, &c, 1);
}

int terminal_keys_add(const char *name, bool application, struct buffer *out)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char moved[] = "\033O?";

		if (strcasecmp(keys[i].name, name) != 0)
			continue;
		if (!keys[i].moves || !application)
			return add(out, keys[i].bytes);
		moved[2] = keys[i].bytes[2];
		return add(out, moved);
	}
	if (strncasecmp(name, "ctrl-", 5) == 0 || strncasecmp(name, "c-", 2) == 0)
		return add_control(strchr(name, '-') + 1, out);
	if ((strncasecmp(name, "alt-", 4) == 0 || strncasecmp(name, "m-", 2) == 0) &&
	    strchr(name, '-')[1] && !strchr(name, '-')[2])
		return add(out, "\033") < 0 ? -ENOMEM : add(out, strchr(name, '-') + 1);
	if ((unsigned char)name[0] >= 0x20 && name[1] == '\0')
		return add(out, name);
	return -ENOENT;
}

int terminal_keys_add_text(const char *text, struct buffer *out)
{
	int r = 0;

	for (; *text && r == 0; text++) {
		if (text[0] == '\r' && text[1] == '\n')
			continue;
		r = buffer_append(out, *text == '\n' ? "\r" : text, 1);
	}
	return r;
}
