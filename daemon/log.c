#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	_Atomic int level;
	_Atomic int fd;
} log_process = {LOG_LEVEL_INFO, STDERR_FILENO};

static const char *const level_names[LOG_LEVEL_N] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_process.level, (int)level, memory_order_relaxed);
}

void log_set_fd(int fd)
{
	atomic_store_explicit(&log_process.fd, fd, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_process.level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < LOG_LEVEL_N ? level_names[level] : "?";
}

int log_level_parse(const char *name)
{
	for (int i = 0; i < LOG_LEVEL_N; i++)
		if (strcmp(name, level_names[i]) == 0)
			return i;
	return -EINVAL;
}

/*
 * Copies text of n bytes to out of size bytes with control bytes as \xNN; returns the length.
 * *cut is set if not all of it fits.
 */
static size_t escape_controls(char *out, size_t size, const char *text, size_t n, bool *cut)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (length + 5 > size) {
			*cut = true;
			break;
		}
		if (c < 0x20 || c == 0x7f)
			length += (size_t)snprintf(out + length, 5, "\\x%02x", c);
		else
			out[length++] = (char)c;
	}
	return length;
}

void log_write(enum log_level level, const char *room, const char *format, ...)
{
	char text[LOG_LINE_MAX], line[LOG_LINE_MAX];
	int saved_errno = errno, n;
	struct timespec now;
	struct tm tm;
	size_t length, room_left;
	va_list args;
	bool cut = false;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	length = strftime(text, sizeof(text), "time=%Y-%m-%dT%H:%M:%S", &tm);
	length +=
	    (size_t)snprintf(text + length, sizeof(text) - length, ".%03ldZ level=%s room=%.32s ",
			     now.tv_nsec / 1000000, log_level_name(level), room);
	room_left = sizeof(text) - length;
	va_start(args, format);
	n = vsnprintf(text + length, room_left, format, args);
	va_end(args);
	if (n > 0) {
		cut = (size_t)n >= room_left;
		length += cut ? room_left - 1 : (size_t)n;
	}

	/* Kept free at the end: "..." and the newline. */
	length = escape_controls(line, sizeof(line) - 4, text, length, &cut);
	if (cut) {
		memcpy(line + length, "...", 3);
		length += 3;
	}
	line[length++] = '\n';
	/* A log that cannot be written must not stop the daemon: nothing sensible is left to do. */
	if (write(atomic_load_explicit(&log_process.fd, memory_order_relaxed), line, length) < 0)
		errno = 0;
	errno = saved_errno;
}

static bool is_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

char *log_quote_bytes(char *buffer, const void *bytes, size_t n)
{
	const unsigned char *in = bytes;
	size_t length = 0, i;
	bool plain = n > 0 && n < LOG_VALUE_MAX;

	for (i = 0; plain && i < n; i++)
		plain = is_plain(in[i]);
	if (plain) {
		memcpy(buffer, in, n);
		buffer[n] = '\0';
		return buffer;
	}

	buffer[length++] = '"';
	for (i = 0; i < n; i++) {
		/* What may still follow: one escape (4), the mark (3), the quote and NUL. */
		if (length + 9 > LOG_VALUE_MAX) {
			memcpy(buffer + length, "...", 3);
			length += 3;
			break;
		}
		if (in[i] == '"' || in[i] == '\\') {
			buffer[length++] = '\\';
			buffer[length++] = (char)in[i];
		} else if (in[i] == '\n') {
			buffer[length++] = '\\';
			buffer[length++] = 'n';
		} else if (in[i] < 0x20 || in[i] >= 0x7f) {
			length += (size_t)snprintf(buffer + length, 5, "\\x%02x", in[i]);
		} else {
			buffer[length++] = (char)in[i];
		}
	}
	buffer[length++] = '"';
	buffer[length] = '\0';
	return buffer;
}

char *log_quote(char *buffer, const char *text)
{
	return log_quote_bytes(buffer, text ? text : "", text ? strlen(text) : 0);
}
