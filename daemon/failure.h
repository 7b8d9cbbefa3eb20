#ifndef DAEMON_FAILURE_H
#define DAEMON_FAILURE_H

/*
 * What went wrong, for the person who started us: a status for the program and one line for the
 * reader. Filled by functions that run at start, where a log line alone would not reach the
 * terminal.
 */
struct failure {
	char text[512]; /* one line, no full stop, "" if nothing failed */
};

/* Writes the line (cut at the size of the text) and returns status. failure may be NULL. */
int failure_set(struct failure *failure, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
