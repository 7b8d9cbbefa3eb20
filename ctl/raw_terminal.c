#include "ctl/raw_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* In this order they are taken back: the alternate screen first, so that the rest is of the main
 * one. */
static const struct {
	uint16_t number;
	bool standard;
} modes[] = {
    {1049, false}, {1047, false}, {47, false},   {1, false},    {5, false},
    {6, false},    {7, true},     {9, false},    {25, true},    {66, false},
    {1000, false}, {1001, false}, {1002, false}, {1003, false}, {1004, false},
    {1005, false}, {1006, false}, {1015, false}, {1016, false}, {2004, false},
};

#define N_MODES (sizeof(modes) / sizeof(modes[0]))
_Static_assert(N_MODES == RAW_TERMINAL_MODES, "a bit for each");

/* --- what has changed -------------------------------------------------------------------------
 */

static void note_mode(struct raw_terminal_changes *changes, unsigned long number, bool on)
{
	for (unsigned i = 0; i < N_MODES; i++) {
		if (modes[i].number != number)
			continue;
		if (on == modes[i].standard)
			changes->modes &= ~(UINT32_C(1) << i);
		else
			changes->modes |= UINT32_C(1) << i;
	}
}

static void note_modes(struct raw_terminal_changes *changes, const char *numbers, bool on)
{
	while (*numbers) {
		char *end;
		unsigned long number = strtoul(numbers, &end, 10);

		if (end == numbers)
			break;
		note_mode(changes, number, on);
		numbers = *end == ';' ? end + 1 : end;
	}
}

/* `sequence` is what is between "ESC [" and its last character. */
static void note_sequence(struct raw_terminal_changes *changes, const char *sequence, char final)
{
	size_t size = strlen(sequence);

	if (final == 'h' || final == 'l') {
		if (sequence[0] == '?')
			note_modes(changes, sequence + 1, final == 'h');
		else if (strcmp(sequence, "4") == 0)
			changes->insert = final == 'h';
	} else if (final == 'r' && sequence[0] != '?') {
		changes->region = size > 0;
	} else if (final == 'q' && size > 0 && sequence[size - 1] == ' ') {
		changes->cursor_style = true;
	} else if (final == 'm' && strncmp(sequence, ">4", 2) == 0) {
		changes->other_keys = true;
	}
}

static void note_escape(struct raw_terminal_changes *changes, uint8_t byte)
{
	changes->state = RAW_TERMINAL_TEXT;
	if (byte == '[') {
		changes->state = RAW_TERMINAL_CSI;
		changes->n_sequence = 0;
	} else if (byte == '=' || byte == '>') {
		changes->keypad = byte == '=';
	} else if (byte == 'c') {
		*changes = (struct raw_terminal_changes){0};
	}
}

static void note_csi(struct raw_terminal_changes *changes, uint8_t byte)
{
	if (byte >= 0x40 && byte <= 0x7e) {
		changes->sequence[changes->n_sequence] = '\0';
		changes->state = RAW_TERMINAL_TEXT;
		note_sequence(changes, changes->sequence, (char)byte);
	} else if (byte >= ' ' && changes->n_sequence + 1 < sizeof(changes->sequence)) {
		changes->sequence[changes->n_sequence++] = (char)byte;
	} else if (byte >= ' ') {
		changes->state = RAW_TERMINAL_TEXT; /* longer than any that is of interest */
	}
}

void raw_terminal_watch(struct raw_terminal_changes *changes, struct bytes output)
{
	for (size_t i = 0; i < output.size; i++) {
		uint8_t byte = output.data[i];

		if (byte == 0x1b)
			changes->state = RAW_TERMINAL_ESCAPE;
		else if (changes->state == RAW_TERMINAL_ESCAPE)
			note_escape(changes, byte);
		else if (changes->state == RAW_TERMINAL_CSI)
			note_csi(changes, byte);
	}
}

static int append(struct buffer *out, const char *text)
{
	return buffer_append(out, text, strlen(text));
}

int raw_terminal_take_back(struct raw_terminal_changes *changes, struct buffer *out)
{
	int r = 0;

	/* CAN ends a sequence that was cut off. */
	r = append(out, "\030");
	for (unsigned i = 0; r == 0 && i < N_MODES; i++) {
		char text[16];

		if (!(changes->modes >> i & 1))
			continue;
		snprintf(text, sizeof(text), "\033[?%u%c", modes[i].number,
			 modes[i].standard ? 'h' : 'l');
		r = append(out, text);
	}
	if (r == 0 && changes->region)
		r = append(out, "\0337\033[r\0338"); /* it moves the cursor */
	if (r == 0 && changes->keypad)
		r = append(out, "\033>");
	if (r == 0 && changes->insert)
		r = append(out, "\033[4l");
	if (r == 0 && changes->cursor_style)
		r = append(out, "\033[0 q");
	if (r == 0 && changes->other_keys)
		r = append(out, "\033[>4;0m");
	if (r == 0)
		r = append(out, "\033(B\017\033[0m");
	*changes = (struct raw_terminal_changes){0};
	return r;
}

/* --- the terminal -----------------------------------------------------------------------------
 */

int raw_terminal_init(struct raw_terminal *terminal, int in, int out)
{
	char path[40];

	*terminal = (struct raw_terminal){.in = in, .out = -1};
	if (!isatty(out) || tcgetattr(in, &terminal->found) < 0)
		return -ENOTTY;
	/* Opened anew: whether it blocks is a matter of all who share a descriptor. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", out);
	terminal->out = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return terminal->out < 0 ? -errno : 0;
}

void raw_terminal_deinit(struct raw_terminal *terminal)
{
	raw_terminal_leave(terminal);
	if (terminal->out >= 0)
		close(terminal->out);
	terminal->out = -1;
}

int raw_terminal_enter(struct raw_terminal *terminal)
{
	struct termios raw = terminal->found;

	if (terminal->is_raw)
		return 0;
	cfmakeraw(&raw);
	if (tcsetattr(terminal->in, TCSADRAIN, &raw) < 0)
		return -errno;
	terminal->is_raw = terminal->is_taken = true;
	return 0;
}

void raw_terminal_leave(struct raw_terminal *terminal)
{
	struct buffer out = {0};

	if (!terminal->is_taken)
		return;
	terminal->is_taken = false;
	if (raw_terminal_take_back(&terminal->changes, &out) == 0)
		raw_terminal_write(terminal, (struct bytes){out.data, out.size});
	buffer_deinit(&out);
	raw_terminal_pause(terminal);
}

void raw_terminal_pause(struct raw_terminal *terminal)
{
	/* Not waiting for output: a terminal that is stopped must not keep us. */
	if (terminal->is_raw)
		tcsetattr(terminal->in, TCSANOW, &terminal->found);
	terminal->is_raw = false;
}

void raw_terminal_get_size(const struct raw_terminal *terminal, unsigned *ret_rows,
			   unsigned *ret_cols)
{
	struct winsize size;

	*ret_rows = 24;
	*ret_cols = 80;
	if (ioctl(terminal->out, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		return;
	*ret_rows = size.ws_row;
	*ret_cols = size.ws_col;
}

void raw_terminal_clear(struct raw_terminal *terminal)
{
	struct buffer out = {0};
	unsigned rows, cols;
	int r = raw_terminal_take_back(&terminal->changes, &out);

	raw_terminal_get_size(terminal, &rows, &cols);
	if (r == 0)
		r = append(&out, "\033[9999;1H");
	for (unsigned i = 0; r == 0 && i < rows; i++)
		r = append(&out, "\n");
	if (r == 0)
		r = append(&out, "\033[H");
	if (r == 0)
		raw_terminal_write(terminal, (struct bytes){out.data, out.size});
	buffer_deinit(&out);
}

ssize_t raw_terminal_write_some(struct raw_terminal *terminal, struct bytes data)
{
	ssize_t n = write(terminal->out, data.data, data.size);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int raw_terminal_write(struct raw_terminal *terminal, struct bytes data)
{
	while (data.size > 0) {
		struct pollfd fd = {terminal->out, POLLOUT, 0};
		ssize_t n = raw_terminal_write_some(terminal, data);

		if (n < 0)
			return (int)n;
		data = (struct bytes){data.data + n, data.size - (size_t)n};
		/* One that takes nothing for so long is left. */
		if (data.size > 0 && poll(&fd, 1, 2000) == 0)
			return -ETIMEDOUT;
	}
	return 0;
}
