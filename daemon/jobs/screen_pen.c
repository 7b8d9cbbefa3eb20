#include "daemon/jobs/screen_pen.h"

#include <stdio.h>
#include <string.h>

/* Attributes that one number sets and another takes away. 22 takes two. */
static const struct {
	uint8_t attribute;
	uint8_t on, off;
} switches[] = {
    {SCREEN_PEN_BOLD, 1, 22},   {SCREEN_PEN_DIM, 2, 22},       {SCREEN_PEN_ITALIC, 3, 23},
    {SCREEN_PEN_BLINK, 5, 25},  {SCREEN_PEN_REVERSE, 7, 27},   {SCREEN_PEN_HIDDEN, 8, 28},
    {SCREEN_PEN_STRIKE, 9, 29}, {SCREEN_PEN_OVERLINE, 53, 55},
};

#define N_SWITCHES (sizeof(switches) / sizeof(switches[0]))

static unsigned arg_at(const struct screen_csi *csi, unsigned i)
{
	return i < csi->n_args && csi->args[i] != SCREEN_PARSER_ARG_NONE ? csi->args[i] : 0;
}

static uint8_t component(const struct screen_csi *csi, unsigned i)
{
	unsigned value = arg_at(csi, i);

	return value < 255 ? value : 255;
}

/* How many arguments are joined to the one at i by colons. */
static unsigned n_joined(const struct screen_csi *csi, unsigned i)
{
	unsigned n = 0;

	while (i + n + 1 < csi->n_args && csi->joined >> (i + n + 1) & 1)
		n++;
	return n;
}

/*
 * 38, 48 and 58: 38;5;INDEX and 38;2;R;G;B, with colons too, where 38:2:SPACE:R:G:B names a colour
 * space as well. Returns how many arguments follow the one at i.
 */
static unsigned apply_colour(const struct screen_csi *csi, unsigned i, uint32_t *colour)
{
	unsigned joined = n_joined(csi, i), kind = arg_at(csi, i + 1), at = i + 2;

	if (kind == 5 && i + 2 < csi->n_args && (joined == 0 || joined >= 2)) {
		*colour = SCREEN_PEN_INDEXED | component(csi, at);
		return joined ? joined : 2;
	}
	if (kind == 2 && i + 4 < csi->n_args && (joined == 0 || joined >= 4)) {
		if (joined >= 5)
			at++;
		*colour = SCREEN_PEN_RGB | (uint32_t)component(csi, at) << 16 |
			  (uint32_t)component(csi, at + 1) << 8 | component(csi, at + 2);
		return joined ? joined : 4;
	}
	/* Cut short or unknown: the rest cannot be told apart from attributes. */
	return joined ? joined : csi->n_args;
}

static bool apply_switch(struct screen_pen *pen, unsigned number)
{
	bool is_known = false;

	for (unsigned i = 0; i < N_SWITCHES; i++) {
		if (number != switches[i].on && number != switches[i].off)
			continue;
		if (number == switches[i].on)
			pen->attributes |= switches[i].attribute;
		else
			pen->attributes &= ~switches[i].attribute;
		is_known = true;
	}
	return is_known;
}

static void apply_plain_colour(struct screen_pen *pen, unsigned number)
{
	unsigned digit = number % 10;
	bool is_bright = number >= 90;
	uint32_t *colour = number / 10 == 4 || number / 10 == 10 ? &pen->bg : &pen->fg;

	if ((number < 30 || number > 49) && (number < 90 || number > 107))
		return;
	if (digit < 8)
		*colour = SCREEN_PEN_INDEXED | (is_bright ? digit + 8 : digit);
	else if (digit == 9 && !is_bright)
		*colour = 0;
}

void screen_pen_apply(struct screen_pen *pen, const struct screen_csi *csi)
{
	for (unsigned i = 0; i < csi->n_args; i++) {
		unsigned number = arg_at(csi, i), joined = n_joined(csi, i);

		if (number == 38 || number == 48 || number == 58) {
			i += apply_colour(csi, i,
					  number == 38   ? &pen->fg
					  : number == 48 ? &pen->bg
							 : &pen->under);
			continue;
		}
		if (number == 0)
			*pen = (struct screen_pen){0};
		else if (number == 4)
			pen->underline = joined == 0               ? 1
					 : arg_at(csi, i + 1) <= 5 ? arg_at(csi, i + 1)
								   : pen->underline;
		else if (number == 21)
			pen->underline = 2;
		else if (number == 24)
			pen->underline = 0;
		else if (number == 6)
			pen->attributes |= SCREEN_PEN_BLINK;
		else if (number == 59)
			pen->under = 0;
		else if (!apply_switch(pen, number))
			apply_plain_colour(pen, number);
		i += joined;
	}
}

/* --- and back --------------------------------------------------------------------------------- */

/* `base` is 30 or 40, or 50 for the underline's, which has no short forms; its numbers are joined
 * by colons, so that a terminal which does not know them leaves them out. */
static size_t print_colour(char *text, size_t size, uint32_t colour, unsigned base)
{
	unsigned value = colour & 0xff;
	char c = base == 50 ? ':' : ';';

	if (colour == 0)
		return 0;
	if (colour & SCREEN_PEN_RGB)
		return snprintf(text, size, ";%u%c2%s%c%u%c%u%c%u", base + 8, c,
				base == 50 ? ":" : "", c, colour >> 16 & 0xff, c,
				colour >> 8 & 0xff, c, value);
	if (base == 50 || value >= 16)
		return snprintf(text, size, ";%u%c5%c%u", base + 8, c, c, value);
	return snprintf(text, size, ";%u", value < 8 ? base + value : base + 60 + value - 8);
}

int screen_pen_emit(const struct screen_pen *pen, struct buffer *out)
{
	char text[160] = "\033[0";
	size_t n = 3;

	for (unsigned i = 0; i < N_SWITCHES; i++)
		if (pen->attributes & switches[i].attribute)
			n += snprintf(text + n, sizeof(text) - n, ";%u", switches[i].on);
	if (pen->underline == 1 || pen->underline == 2)
		n += snprintf(text + n, sizeof(text) - n, pen->underline == 1 ? ";4" : ";21");
	else if (pen->underline)
		n += snprintf(text + n, sizeof(text) - n, ";4:%u", pen->underline);
	n += print_colour(text + n, sizeof(text) - n, pen->fg, 30);
	n += print_colour(text + n, sizeof(text) - n, pen->bg, 40);
	n += print_colour(text + n, sizeof(text) - n, pen->under, 50);
	text[n++] = 'm';
	return buffer_append(out, text, n);
}
