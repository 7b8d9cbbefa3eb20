#include "daemon/jobs/screen_modes.h"

#include <stdio.h>

static const struct {
	uint16_t number;
	bool standard;
	bool apart; /* not told by screen_modes_emit */
} table[] = {
    {.number = 1}, /* cursor keys send application sequences */
    {.number = 5}, /* all in reverse */
    {.number = SCREEN_MODE_ORIGIN, .apart = true},
    {.number = SCREEN_MODE_AUTOWRAP, .standard = true, .apart = true},
    {.number = 12}, /* the cursor blinks */
    {.number = SCREEN_MODE_CURSOR, .standard = true},
    {.number = 1004}, /* focus is told */
    {.number = 1007}, /* the wheel sends cursor keys on the alternate screen */
    {.number = 2004}, /* pastes are bracketed */
};

#define N_TABLE (sizeof(table) / sizeof(table[0]))

static bool is_mouse(unsigned number)
{
	return number == 9 || (number >= 1000 && number <= 1003);
}

static bool is_mouse_encoding(unsigned number)
{
	return number == 1005 || number == 1006 || number == 1015 || number == 1016;
}

void screen_modes_set(struct screen_modes *modes, unsigned number, bool on)
{
	if (is_mouse(number))
		modes->mouse = on ? number : 0;
	else if (is_mouse_encoding(number))
		modes->mouse_encoding = on ? number : 0;
	else if (number == 66)
		modes->keypad = on;
	for (unsigned i = 0; i < N_TABLE; i++) {
		if (table[i].number != number)
			continue;
		if (on == table[i].standard)
			modes->changed &= ~(UINT32_C(1) << i);
		else
			modes->changed |= UINT32_C(1) << i;
	}
}

unsigned screen_modes_query(const struct screen_modes *modes, unsigned number)
{
	if (is_mouse(number))
		return modes->mouse == number ? 1 : 2;
	if (is_mouse_encoding(number))
		return modes->mouse_encoding == number ? 1 : 2;
	if (number == 66)
		return modes->keypad ? 1 : 2;
	for (unsigned i = 0; i < N_TABLE; i++)
		if (table[i].number == number)
			return (modes->changed >> i & 1) != table[i].standard ? 1 : 2;
	return 0;
}

bool screen_modes_is_set(const struct screen_modes *modes, unsigned number)
{
	return screen_modes_query(modes, number) == 1;
}

static int emit(struct buffer *out, const char *format, unsigned value)
{
	char text[32];

	return buffer_append(out, text, snprintf(text, sizeof(text), format, value));
}

int screen_modes_emit(const struct screen_modes *modes, struct buffer *out)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < N_TABLE; i++)
		if (modes->changed >> i & 1 && !table[i].apart)
			r = emit(out, table[i].standard ? "\033[?%ul" : "\033[?%uh",
				 table[i].number);
	if (r == 0 && modes->mouse)
		r = emit(out, "\033[?%uh", modes->mouse);
	if (r == 0 && modes->mouse_encoding)
		r = emit(out, "\033[?%uh", modes->mouse_encoding);
	if (r == 0 && modes->cursor_style)
		r = emit(out, "\033[%u q", modes->cursor_style);
	if (r == 0 && modes->other_keys)
		r = emit(out, "\033[>4;%um", modes->other_keys);
	if (r == 0 && modes->keypad)
		r = buffer_append(out, "\033=", 2);
	if (r == 0 && modes->newline)
		r = buffer_append(out, "\033[20h", 5);
	return r;
}
