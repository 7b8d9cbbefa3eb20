/*
 * ground ──ESC──> escape ──[──> csi ──final──> ground
 *                        └─ ] P X ^ _ k ──> string ──BEL, ESC \──> ground
 *
 * ESC begins anew wherever it comes, CAN and SUB give up; other controls within a sequence are done
 * at once, as terminals do (vt100.net/emu/dec_ansi_parser).
 */
#include "daemon/jobs/screen_parser.h"

#include <stdbool.h>
#include <string.h>

#define ESC         0x1b
#define REPLACEMENT 0xfffd

/* --- UTF-8 ------------------------------------------------------------------------------------ */

static void emit_character(struct screen_parser *parser, uint32_t character)
{
	bool is_none = character > 0x10ffff || (character >= 0xd800 && character < 0xe000) ||
		       (character & 0xfffe) == 0xfffe;

	/* U+0080 to U+009F are controls: of 8-bit terminals, which nobody is any more. */
	if (character >= 0xa0)
		parser->ops->character(parser->arg, is_none ? REPLACEMENT : character);
}

static void begin_character(struct screen_parser *parser, uint8_t byte)
{
	if (byte >= 0xc2 && byte < 0xe0) {
		parser->n_missing = 1;
		parser->smallest = 0x80;
		parser->character = byte & 0x1f;
	} else if (byte >= 0xe0 && byte < 0xf0) {
		parser->n_missing = 2;
		parser->smallest = 0x800;
		parser->character = byte & 0x0f;
	} else if (byte >= 0xf0 && byte < 0xf5) {
		parser->n_missing = 3;
		parser->smallest = 0x10000;
		parser->character = byte & 0x07;
	} else {
		emit_character(parser, REPLACEMENT);
	}
}

/* What has begun is not gone on with. */
static void break_character(struct screen_parser *parser)
{
	if (parser->n_missing > 0)
		emit_character(parser, REPLACEMENT);
	parser->n_missing = 0;
}

static void take_high_byte(struct screen_parser *parser, uint8_t byte)
{
	if ((byte & 0xc0) != 0x80 || parser->n_missing == 0) {
		break_character(parser);
		begin_character(parser, byte);
		return;
	}
	parser->character = parser->character << 6 | (byte & 0x3f);
	if (--parser->n_missing == 0)
		emit_character(parser, parser->character < parser->smallest ? REPLACEMENT
									    : parser->character);
}

/* --- sequences -------------------------------------------------------------------------------- */

static void take_escape_byte(struct screen_parser *parser, uint8_t byte)
{
	if (byte >= 0x20 && byte <= 0x2f) {
		parser->intermediate = byte;
		parser->n_intermediates++;
		return;
	}
	parser->state = SCREEN_PARSER_GROUND;
	if (byte < 0x30 || byte > 0x7e)
		return;
	if (parser->n_intermediates > 0) {
		if (parser->n_intermediates == 1)
			parser->ops->escape(parser->arg, parser->intermediate, byte);
	} else if (byte == '[') {
		parser->state = SCREEN_PARSER_CSI;
		parser->csi = (struct screen_csi){.args = {SCREEN_PARSER_ARG_NONE}};
	} else if (strchr("]PX^_k", byte)) {
		parser->state = SCREEN_PARSER_STRING;
		parser->string_kind = byte;
		parser->n_string = 0;
	} else {
		parser->ops->escape(parser->arg, 0, byte);
	}
}

static void take_digit(struct screen_csi *csi, uint8_t byte)
{
	uint16_t *arg = &csi->args[csi->n_args];
	unsigned value = (*arg == SCREEN_PARSER_ARG_NONE ? 0 : *arg) * 10 + (byte - '0');

	*arg = value < SCREEN_PARSER_ARG_MAX ? value : SCREEN_PARSER_ARG_MAX;
}

/* While arguments are read, n_args is the index of the last one. */
static bool take_separator(struct screen_csi *csi, uint8_t byte)
{
	if (csi->n_args + 1 == SCREEN_PARSER_ARGS_MAX)
		return false;
	csi->args[++csi->n_args] = SCREEN_PARSER_ARG_NONE;
	if (byte == ':')
		csi->joined |= UINT32_C(1) << csi->n_args;
	return true;
}

static void take_csi_byte(struct screen_parser *parser, uint8_t byte)
{
	struct screen_csi *csi = &parser->csi;
	bool good = true;

	if (byte >= 0x40 && byte <= 0x7e) {
		csi->final = byte;
		csi->n_args++;
		parser->state = SCREEN_PARSER_GROUND;
		parser->ops->csi(parser->arg, csi);
		return;
	}
	if (byte >= '0' && byte <= '9' && !csi->intermediate)
		take_digit(csi, byte);
	else if ((byte == ';' || byte == ':') && !csi->intermediate)
		good = take_separator(csi, byte);
	else if (byte >= 0x3c && byte <= 0x3f && csi->n_args == 0 && !csi->leader &&
		 csi->args[0] == SCREEN_PARSER_ARG_NONE)
		csi->leader = byte;
	else if (byte >= 0x20 && byte <= 0x2f && !csi->intermediate)
		csi->intermediate = byte;
	else
		good = false;
	if (!good)
		parser->state = SCREEN_PARSER_CSI_BAD;
}

static void end_string(struct screen_parser *parser)
{
	parser->state = SCREEN_PARSER_GROUND;
	if (parser->string_kind == ']')
		parser->ops->osc(parser->arg, parser->string, parser->n_string);
}

static void take_control(struct screen_parser *parser, uint8_t byte)
{
	if (byte == ESC) {
		parser->state = parser->state == SCREEN_PARSER_STRING ? SCREEN_PARSER_STRING_ESCAPE
								      : SCREEN_PARSER_ESCAPE;
		parser->n_intermediates = 0;
	} else if (byte == 0x18 || byte == 0x1a) {
		parser->state = SCREEN_PARSER_GROUND;
	} else if (parser->state == SCREEN_PARSER_STRING) {
		if (byte == 0x07)
			end_string(parser);
	} else {
		parser->ops->control(parser->arg, byte);
	}
}

static void take_string_byte(struct screen_parser *parser, uint8_t byte)
{
	if (parser->n_string < sizeof(parser->string))
		parser->string[parser->n_string++] = byte;
}

static void take_byte(struct screen_parser *parser, uint8_t byte)
{
	if (parser->state == SCREEN_PARSER_STRING_ESCAPE) {
		if (byte == '\\') {
			end_string(parser);
			return;
		}
		parser->state = SCREEN_PARSER_ESCAPE;
	}
	if (byte < 0x20) {
		take_control(parser, byte);
		return;
	}
	switch (parser->state) {
	case SCREEN_PARSER_GROUND:
		break;
	case SCREEN_PARSER_ESCAPE:
		take_escape_byte(parser, byte);
		break;
	case SCREEN_PARSER_CSI:
		take_csi_byte(parser, byte);
		break;
	case SCREEN_PARSER_CSI_BAD:
		if (byte >= 0x40 && byte <= 0x7e)
			parser->state = SCREEN_PARSER_GROUND;
		break;
	case SCREEN_PARSER_STRING:
	case SCREEN_PARSER_STRING_ESCAPE:
		take_string_byte(parser, byte);
		break;
	}
}

/* --- bytes ------------------------------------------------------------------------------------ */

static size_t count_ascii(const char *data, size_t size)
{
	size_t n = 0;

	while (n < size && (uint8_t)data[n] >= 0x20 && (uint8_t)data[n] < 0x7f)
		n++;
	return n;
}

void screen_parser_write(struct screen_parser *parser, const char *data, size_t size)
{
	size_t i = 0, n;

	while (i < size) {
		uint8_t byte = data[i];

		if (parser->state != SCREEN_PARSER_GROUND) {
			take_byte(parser, byte);
			i++;
			continue;
		}
		if (byte >= 0x80) {
			take_high_byte(parser, byte);
			i++;
			continue;
		}
		break_character(parser);
		n = count_ascii(data + i, size - i);
		if (n > 0)
			parser->ops->text(parser->arg, data + i, n);
		else if (byte != 0x7f)
			take_byte(parser, byte);
		i += n > 0 ? n : 1;
	}
}
