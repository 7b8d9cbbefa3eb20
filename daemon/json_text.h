#ifndef DAEMON_JSON_TEXT_H
#define DAEMON_JSON_TEXT_H

#include <jansson.h>

/*
 * A JSON string of text that may be no UTF-8, as paths and names of files may be: each byte that
 * does not belong to a character becomes U+FFFD. NULL if there is no memory.
 */
json_t *json_text(const char *text);

/* The same of n bytes that may contain NUL. */
json_t *json_text_bytes(const void *bytes, size_t n);

#endif
