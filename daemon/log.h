#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Log lines in logfmt: time=… level=info room=link peer=desk op=rename
 *
 * One line is one write(2) of at most LOG_LINE_MAX bytes, so lines of several threads never mix.
 * Level and descriptor are the only file-scope state of the program; all functions may be called
 * from any thread.
 */

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_N,
};

#define LOG_LINE_MAX  2048
#define LOG_VALUE_MAX 320

/* Where and from which level on lines are written: at first stderr and info. */
void log_set_level(enum log_level level);
void log_set_fd(int fd);

bool log_enabled(enum log_level level);

/* "error", "warning", "info", "debug". */
const char *log_level_name(enum log_level level);
/* The level of that name, or -EINVAL. */
int log_level_parse(const char *name);

/*
 * Writes one line. room is the part of the house that speaks; the format gives key=value pairs.
 * Control bytes in the result are escaped and an over-long line is cut and ends in "...", whatever
 * the values were; errno is kept.
 */
void log_write(enum log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Puts text into buffer (LOG_VALUE_MAX bytes) as a logfmt value and returns buffer: as it is if it
 * is a plain word, else in double quotes, with quotes, backslashes, control bytes and bytes that
 * are no ASCII escaped; cut with "..." if it is too long. NULL gives "".
 */
char *log_quote(char *buffer, const char *text);
/* The same for n bytes that may contain NUL. */
char *log_quote_bytes(char *buffer, const void *bytes, size_t n);

/* A value from outside within the arguments of log_*: log_info("link", "peer=%s", LOG_VALUE(name)).
 */
#define LOG_VALUE(text) log_quote((char[LOG_VALUE_MAX]){0}, text)

/* The arguments are evaluated only if the level is on. */
#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if (log_enabled(level))                                                            \
			log_write(level, __VA_ARGS__);                                             \
	} while (0)
#define log_error(...)   log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
