/*
 * The parser of what programs write to terminals (ECMA-48, and UTF-8): tokens out, all of them
 * bounded and well-formed. Incomplete ones wait for the next bytes.
 */
#ifndef DAEMON_JOBS_SCREEN_PARSER_H
#define DAEMON_JOBS_SCREEN_PARSER_H

#include <stddef.h>
#include <stdint.h>

#define SCREEN_PARSER_ARGS_MAX   32
#define SCREEN_PARSER_ARG_MAX    9999
#define SCREEN_PARSER_ARG_NONE   UINT16_MAX
#define SCREEN_PARSER_STRING_MAX 1100

/* CSI leader args intermediate final. 0 where there is no leader or intermediate. */
struct screen_csi {
	char leader, intermediate, final;
	unsigned n_args;
	uint16_t args[SCREEN_PARSER_ARGS_MAX]; /* SCREEN_PARSER_ARG_NONE: left out */
	uint32_t joined;                       /* bit i: a colon is before args[i] */
};

struct screen_parser_ops {
	void (*text)(void *arg, const char *ascii, size_t size); /* 0x20 to 0x7e */
	void (*character)(void *arg,
			  uint32_t character);       /* from U+00A0 on; U+FFFD for what is none */
	void (*control)(void *arg, uint8_t control); /* below 0x20 */
	void (*escape)(void *arg, char intermediate, char final);
	void (*csi)(void *arg, const struct screen_csi *csi);
	void (*osc)(void *arg, const char *string, size_t size); /* cut at the bound */
};

enum screen_parser_state {
	SCREEN_PARSER_GROUND,
	SCREEN_PARSER_ESCAPE,
	SCREEN_PARSER_CSI,
	SCREEN_PARSER_CSI_BAD, /* up to its end */
	SCREEN_PARSER_STRING,
	SCREEN_PARSER_STRING_ESCAPE,
};

/* Zero at first, but for ops and arg. */
struct screen_parser {
	const struct screen_parser_ops *ops;
	void *arg;
	enum screen_parser_state state;
	uint32_t character, smallest; /* of the UTF-8 sequence that has begun */
	unsigned n_missing;
	char intermediate;
	unsigned n_intermediates;
	struct screen_csi csi;
	char string_kind; /* ']' is kept, others are passed over */
	size_t n_string;
	char string[SCREEN_PARSER_STRING_MAX];
};

void screen_parser_write(struct screen_parser *parser, const char *data, size_t size);

#endif
