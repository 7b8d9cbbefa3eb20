/*
 * What the parser finds, and what becomes of it: text and motion go on to libvterm, everything
 * else is done here. Semantics are those of xterm's ctlseqs where terminals differ.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/jobs/screen_private.h"

const struct screen_charset screen_charset_standard = {.sets = {'B', 'B', 'B', 'B'}};

static struct screen *screen_of(void *arg)
{
	return arg;
}

/* An argument, of which 0 and none mean `standard`. */
static unsigned arg_of(const struct screen_csi *csi, unsigned i, unsigned standard)
{
	if (i >= csi->n_args || csi->args[i] == SCREEN_PARSER_ARG_NONE || csi->args[i] == 0)
		return standard;
	return csi->args[i];
}

/* --- tabs and character sets ------------------------------------------------------------------
 */

void screen_reset_tabs(struct screen *screen, unsigned from)
{
	for (unsigned i = from; i < SCREEN_COLS_MAX; i++)
		screen->tabs[i] = i % 8 == 0;
}

static void set_tab(struct screen *screen)
{
	unsigned row, col;

	screen_get_cursor(screen, &row, &col);
	screen->tabs[col] = true;
	screen_feed(screen, "\033H");
}

static void clear_tabs(struct screen *screen, unsigned which)
{
	unsigned row, col;

	screen_get_cursor(screen, &row, &col);
	if (which == 0)
		screen->tabs[col] = false;
	else if (which == 3)
		memset(screen->tabs, 0, screen->cols * sizeof(*screen->tabs));
	else
		return;
	screen_feed(screen, "\033[%ug", which);
}

static void shift(struct screen *screen, unsigned set)
{
	static const char *const sequences[] = {"\017", "\016", "\033n", "\033o"};

	screen->charset.shift = set;
	screen_feed(screen, "%s", sequences[set]);
}

static void designate(struct screen *screen, unsigned set, char name)
{
	char known = name == '0' || name == 'A' ? name : 'B';

	screen->charset.sets[set] = known;
	screen_feed(screen, "\033%c%c", "()*+"[set], known);
}

void screen_apply_charset(struct screen *screen, const struct screen_charset *charset)
{
	for (unsigned i = 0; i < 4; i++)
		designate(screen, i, charset->sets[i]);
	shift(screen, charset->shift);
}

/* --- saved cursors and the alternate screen ---------------------------------------------------
 */

static void save_cursor(struct screen *screen)
{
	struct screen_slot *slot = &screen->slots[screen->active];

	screen_get_cursor(screen, &slot->row, &slot->col);
	slot->pen = screen->pen;
	slot->charset = screen->charset;
	slot->origin = screen_modes_is_set(&screen->modes, SCREEN_MODE_ORIGIN);
}

static void set_origin(struct screen *screen, bool on)
{
	screen_modes_set(&screen->modes, SCREEN_MODE_ORIGIN, on);
	screen_feed_motion(screen, on ? "\033[?6h" : "\033[?6l");
}

static void restore_cursor(struct screen *screen)
{
	const struct screen_slot *slot = &screen->slots[screen->active];

	screen->pen = slot->pen;
	screen_apply_charset(screen, &slot->charset);
	set_origin(screen, slot->origin);
	screen_place(screen, slot->row, slot->col);
}

/* 47, 1047 and 1049; the last saves the cursor too. */
static void set_alternate(struct screen *screen, unsigned number, bool on)
{
	unsigned row, col;

	screen_get_cursor(screen, &row, &col);
	screen_place(screen, row, col); /* it is not behind a character that is not there */
	if (on && screen->active == SCREEN_MAIN) {
		if (number == 1049)
			save_cursor(screen);
		screen->active = SCREEN_ALTERNATE;
		screen->slots[SCREEN_ALTERNATE] =
		    (struct screen_slot){.charset = screen_charset_standard};
		screen_grid_scroll(&screen->grids[SCREEN_ALTERNATE], 0, screen->rows, screen->rows,
				   screen->pen.bg);
	} else if (!on) {
		screen->active = SCREEN_MAIN;
		if (number == 1049)
			restore_cursor(screen);
	}
}

/* --- modes ------------------------------------------------------------------------------------
 */

static void set_dec_mode(struct screen *screen, unsigned number, bool on)
{
	switch (number) {
	case SCREEN_MODE_ORIGIN:
		set_origin(screen, on);
		break;
	case SCREEN_MODE_AUTOWRAP:
		screen_modes_set(&screen->modes, number, on);
		screen_feed_motion(screen, on ? "\033[?7h" : "\033[?7l");
		break;
	case 47:
	case 1047:
	case 1049:
		set_alternate(screen, number, on);
		break;
	case 1048:
		if (on)
			save_cursor(screen);
		else
			restore_cursor(screen);
		break;
	default:
		screen_modes_set(&screen->modes, number, on);
	}
}

static void set_mode(struct screen *screen, unsigned number, bool on)
{
	if (number == 4)
		screen->modes.insert = on;
	else if (number == 20)
		screen->modes.newline = on;
	else
		return;
	screen_feed(screen, "\033[%u%c", number, on ? 'h' : 'l');
}

static void set_modes(struct screen *screen, const struct screen_csi *csi)
{
	bool on = csi->final == 'h';

	for (unsigned i = 0; i < csi->n_args; i++) {
		if (csi->leader == '?')
			set_dec_mode(screen, arg_of(csi, i, 0), on);
		else if (!csi->leader)
			set_mode(screen, arg_of(csi, i, 0), on);
	}
}

static void set_region(struct screen *screen, const struct screen_csi *csi)
{
	unsigned top = arg_of(csi, 0, 1), bottom = arg_of(csi, 1, screen->rows);

	if (bottom > screen->rows)
		bottom = screen->rows;
	if (top >= bottom)
		return;
	screen->top = top - 1;
	screen->bottom = bottom;
	screen_feed_motion(screen, "\033[%u;%ur", top, bottom);
}

/* DECSTR */
static void reset_softly(struct screen *screen)
{
	unsigned row, col;

	screen_get_cursor(screen, &row, &col);
	screen->pen = (struct screen_pen){0};
	screen_modes_set(&screen->modes, 1, false);
	screen_modes_set(&screen->modes, SCREEN_MODE_CURSOR, true);
	set_dec_mode(screen, SCREEN_MODE_AUTOWRAP, true);
	screen->modes.keypad = false;
	set_mode(screen, 4, false);
	set_origin(screen, false);
	screen->charset = screen_charset_standard;
	screen_apply_charset(screen, &screen_charset_standard);
	screen->slots[screen->active] = (struct screen_slot){.charset = screen_charset_standard};
	screen->top = 0;
	screen->bottom = screen->rows;
	screen_feed_motion(screen, "\033[r");
	screen_place(screen, row, col);
}

/* --- cells ------------------------------------------------------------------------------------
 */

/* DECALN */
static void fill_with_e(struct screen *screen)
{
	struct screen_cell cell = {.character = 'E', .width = 1};

	screen->top = 0;
	screen->bottom = screen->rows;
	screen_feed_motion(screen, "\033[r");
	for (unsigned row = 0; row < screen->rows; row++)
		for (unsigned col = 0; col < screen->cols; col++)
			screen_note(screen, screen_grid_put(&screen->grids[screen->active], row,
							    col, &cell, NULL));
	screen_place(screen, 0, 0);
}

static void erase(struct screen *screen, const struct screen_csi *csi)
{
	unsigned which = arg_of(csi, 0, 0);

	if (which <= 2)
		screen_feed_motion(screen, "\033[%u%c", which, csi->final);
	else if (which == 3 && csi->final == 'J')
		screen_history_clear(&screen->history);
}

static void repeat(struct screen *screen, const struct screen_csi *csi)
{
	struct screen_glyph glyph = screen->glyph;
	unsigned n = arg_of(csi, 0, 1);

	if (!glyph.is_valid)
		return;
	for (unsigned i = 0; i < n && i < screen->cols; i++)
		for (unsigned j = 0; j < glyph.n_characters; j++)
			screen_put(screen, glyph.characters[j]);
}

/* --- what is asked ----------------------------------------------------------------------------
 */

static void report_status(struct screen *screen, const struct screen_csi *csi)
{
	const char *leader = csi->leader == '?' ? "?" : "";
	unsigned row, col;

	screen_get_cursor(screen, &row, &col);
	if (screen_modes_is_set(&screen->modes, SCREEN_MODE_ORIGIN))
		row -= screen->top;
	if (arg_of(csi, 0, 0) == 5 && !csi->leader)
		screen_answer(screen, "\033[0n");
	else if (arg_of(csi, 0, 0) == 6)
		screen_answer(screen, "\033[%s%u;%uR", leader, row + 1, col + 1);
}

/* As tmux does: a VT100 with advanced video. */
static void report_attributes(struct screen *screen, const struct screen_csi *csi)
{
	if (arg_of(csi, 0, 0) != 0)
		return;
	if (!csi->leader)
		screen_answer(screen, "\033[?1;2c");
	else if (csi->leader == '>')
		screen_answer(screen, "\033[>0;95;0c");
}

static void report_mode(struct screen *screen, unsigned number)
{
	screen_answer(screen, "\033[?%u;%u$y", number, screen_modes_query(&screen->modes, number));
}

static void manage_window(struct screen *screen, const struct screen_csi *csi)
{
	unsigned what = arg_of(csi, 1, 0);

	switch (arg_of(csi, 0, 0)) {
	case 18:
		screen_answer(screen, "\033[8;%u;%ut", screen->rows, screen->cols);
		break;
	case 22:
		if (what == 0 || what == 2)
			screen_push_title(screen);
		break;
	case 23:
		if (what == 0 || what == 2)
			screen_pop_title(screen);
		break;
	}
}

/* --- tokens -----------------------------------------------------------------------------------
 */

static void take_text(void *arg, const char *ascii, size_t size)
{
	screen_put_text(arg, ascii, size);
}

static void take_character(void *arg, uint32_t character)
{
	screen_put(arg, character);
}

static void take_control(void *arg, uint8_t control)
{
	struct screen *screen = screen_of(arg);

	if (control >= '\b' && control <= '\r')
		screen_feed_motion(screen, "%c", control);
	else if (control == 0x0e || control == 0x0f)
		shift(screen, control == 0x0e);
}

static void take_plain_escape(struct screen *screen, char final)
{
	switch (final) {
	case '7':
		save_cursor(screen);
		break;
	case '8':
		restore_cursor(screen);
		break;
	case 'D':
	case 'E':
	case 'M':
		screen_feed_motion(screen, "\033%c", final);
		break;
	case 'H':
		set_tab(screen);
		break;
	case 'Z':
		screen_answer(screen, "\033[?1;2c");
		break;
	case 'c':
		screen_reset(screen);
		break;
	case '=':
	case '>':
		screen->modes.keypad = final == '=';
		break;
	case 'n':
	case 'o':
		shift(screen, final == 'n' ? 2 : 3);
		break;
	}
}

static void take_escape(void *arg, char intermediate, char final)
{
	struct screen *screen = screen_of(arg);
	const char *set = strchr("()*+", intermediate);

	if (!intermediate)
		take_plain_escape(screen, final);
	else if (set)
		designate(screen, set - "()*+", final);
	else if (intermediate == '#' && final == '8')
		fill_with_e(screen);
}

static void take_plain_csi(struct screen *screen, const struct screen_csi *csi)
{
	switch (csi->final) {
	case 'H':
	case 'f':
		screen_feed_motion(screen, "\033[%u;%uH", arg_of(csi, 0, 1), arg_of(csi, 1, 1));
		break;
	case 'J':
	case 'K':
		erase(screen, csi);
		break;
	case 'M':
		/* Lines that are deleted are not kept, those that scroll are. */
		screen->lines_leave = false;
		screen_feed_motion(screen, "\033[%uM", arg_of(csi, 0, 1));
		screen->lines_leave = true;
		break;
	case 'b':
		repeat(screen, csi);
		break;
	case 'c':
		report_attributes(screen, csi);
		break;
	case 'g':
		clear_tabs(screen, arg_of(csi, 0, 0));
		break;
	case 'h':
	case 'l':
		set_modes(screen, csi);
		break;
	case 'm':
		screen_pen_apply(&screen->pen, csi);
		break;
	case 'n':
		report_status(screen, csi);
		break;
	case 'r':
		set_region(screen, csi);
		break;
	case 's':
		save_cursor(screen);
		break;
	case 't':
		manage_window(screen, csi);
		break;
	case 'u':
		restore_cursor(screen);
		break;
	default:
		if (strchr("@ABCDEFGILPSXZ`adejk", csi->final) ||
		    (csi->final == 'T' && csi->n_args == 1))
			screen_feed_motion(screen, "\033[%u%c", arg_of(csi, 0, 1), csi->final);
	}
}

static void take_csi(void *arg, const struct screen_csi *csi)
{
	struct screen *screen = screen_of(arg);

	if (!csi->leader && !csi->intermediate) {
		take_plain_csi(screen, csi);
	} else if (csi->leader == '?' && !csi->intermediate) {
		if (csi->final == 'h' || csi->final == 'l')
			set_modes(screen, csi);
		else if (csi->final == 'J' || csi->final == 'K')
			erase(screen, csi);
		else if (csi->final == 'n')
			report_status(screen, csi);
	} else if (csi->leader == '?' && csi->intermediate == '$' && csi->final == 'p') {
		report_mode(screen, arg_of(csi, 0, 0));
	} else if (csi->leader == '>' && !csi->intermediate) {
		if (csi->final == 'c')
			report_attributes(screen, csi);
		else if (csi->final == 'm' && arg_of(csi, 0, 0) == 4)
			screen->modes.other_keys = arg_of(csi, 1, 0) & 3;
		else if (csi->final == 'n' && arg_of(csi, 0, 0) == 4)
			screen->modes.other_keys = 0;
	} else if (!csi->leader && csi->intermediate == '!' && csi->final == 'p') {
		reset_softly(screen);
	} else if (!csi->leader && csi->intermediate == ' ' && csi->final == 'q') {
		if (arg_of(csi, 0, 0) <= 6)
			screen->modes.cursor_style = arg_of(csi, 0, 0);
	}
}

static void take_osc(void *arg, const char *string, size_t size)
{
	screen_take_osc(arg, string, size);
}

const struct screen_parser_ops screen_parser_ops = {
    .text = take_text,
    .character = take_character,
    .control = take_control,
    .escape = take_escape,
    .csi = take_csi,
    .osc = take_osc,
};
