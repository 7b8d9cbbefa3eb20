/*
 * Text from outside, as JSON strings and as lines for a model.
 */
#ifndef CTL_MCP_TEXT_H
#define CTL_MCP_TEXT_H

#include <jansson.h>
#include <stdbool.h>

/* A JSON string of any bytes: what is not UTF-8, and NUL, becomes U+FFFD. NULL without memory. */
json_t *mcp_text(const void *data, size_t size);
/* The same, malloc'ed and ended by NUL. */
char *mcp_text_clean(const void *data, size_t size);
/* Whether it is UTF-8 and has no control characters but those of text and of terminals. */
bool mcp_text_is_text(const void *data, size_t size);

#endif
