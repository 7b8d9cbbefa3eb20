#include "daemon/jobs/screen_widths.h"

#include <errno.h>

#include "daemon/jobs/screen_line.h"

#define COLS 8

static int put_glyph(VTermGlyphInfo *info, VTermPos pos, void *arg)
{
	struct screen_widths *widths = arg;

	widths->last_col = pos.col;
	return 1;
}

static const VTermStateCallbacks callbacks = {.putglyph = put_glyph};

int screen_widths_init(struct screen_widths *widths)
{
	VTermState *state;

	widths->vterm = vterm_new(1, COLS);
	if (!widths->vterm)
		return -ENOMEM;
	vterm_set_utf8(widths->vterm, 1);
	state = vterm_obtain_state(widths->vterm);
	vterm_state_reset(state, 1);
	vterm_state_set_callbacks(state, &callbacks, widths);
	return 0;
}

void screen_widths_deinit(struct screen_widths *widths)
{
	if (widths->vterm)
		vterm_free(widths->vterm);
	widths->vterm = NULL;
}

bool screen_widths_is_mark(struct screen_widths *widths, uint32_t character)
{
	uint8_t text[8] = "\rx";
	struct buffer buffer = {.data = text, .size = 2, .capacity = sizeof(text)};

	screen_line_append_character(&buffer, character);
	vterm_input_write(widths->vterm, (const char *)text, buffer.size);
	return widths->last_col == 0;
}
