/*
 * pair: one long call. The daemon tells in events how it goes:
 *
 *     sent -> WAITING -> CODE (the user is asked) -> answered -> reply: paired, or failed
 *
 * A reply may come at any point: the other side said no, the time is over. The end of this program
 * is the end of the pairing, whatever ends it: the daemon sees the connection close.
 *
 * Three voices: a person at a terminal, plain lines, and JSON lines. The last two are told apart
 * from the first by whether input and output are a terminal.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "ctl/own_addresses.h"
#include "ctl/peer_table.h"
#include "ctl/terminal.h"
#include "proto/errors.h"

#define TTL_S 120

enum answer { ANSWER_YES, ANSWER_NO, ANSWER_UNCLEAR };

struct pairing {
	const struct context *context;
	struct local_client *client;
	uint64_t id; /* of the call */
	bool dialling;
	bool asked; /* the code is shown and no answer given: input is read */
	bool answered;
	char code[7];
	char line[128]; /* of the input, so far */
	size_t n_line;
	const char *ending; /* why we ended it ourselves; static */
};

/* --- the three voices --------------------------------------------------------------------------
 */

static bool speaks_json(const struct pairing *pairing)
{
	return pairing->context->json;
}

static bool is_person(const struct pairing *pairing)
{
	return pairing->context->terminal && !pairing->context->json;
}

static char *shown(struct bytes text)
{
	return terminal_escape((const char *)text.data, text.size);
}

struct hint {
	FILE *out;
	bool is_given;
};

static void show_address(void *arg, const char *address)
{
	struct hint *hint = arg;

	fprintf(hint->out, "  loopsyctl pair %s\n", address);
	hint->is_given = true;
}

static void show_waiting(struct pairing *pairing, struct args_ctl_pair_waiting *waiting)
{
	FILE *out = pairing->context->out;
	struct hint hint = {.out = out};
	struct ctl_address address;
	json_t *listen = json_array();

	while (waiting->listen.n > 0 &&
	       codec_list_next(&waiting->listen, &ctl_address_record, &address, NULL) == 0)
		json_array_append_new(listen, context_json_text(address.address));
	if (speaks_json(pairing)) {
		context_print_json(pairing->context,
				   json_pack("{s:s, s:I, s:I, s:O}", "event", "waiting", "port",
					     (json_int_t)waiting->port, "ttl_s",
					     (json_int_t)waiting->ttl_s, "listen", listen));
	} else if (!is_person(pairing)) {
		fprintf(out, "waiting %u\n", (unsigned)waiting->port);
	} else if (pairing->dialling) {
		fprintf(out,
			"Calling %s; 'loopsyctl pair' must be waiting there. Ctrl-C ends it.\n",
			pairing->context->arguments.words[0]);
	} else {
		fprintf(out, "Waiting %u s for the other machine. There, run one of:\n",
			(unsigned)waiting->ttl_s);
		for (size_t i = 0; i < json_array_size(listen); i++)
			own_addresses_each(json_string_value(json_array_get(listen, i)),
					   show_address, &hint);
		if (!hint.is_given)
			fprintf(out, "  loopsyctl pair ADDRESS-OF-THIS-MACHINE:%u\n",
				(unsigned)waiting->port);
		fprintf(out, "Ctrl-C ends it.\n");
	}
	json_decref(listen);
	fflush(out);
}

/* "desk can read and change your files and run programs as you." */
static void show_grant(FILE *out, const char *name, const json_t *permissions)
{
	static const struct {
		const char *permission, *text;
	} phrases[] = {{"fs:ro", "read your files"},
		       {"fs:rw", "read and change your files"},
		       {"fs:ids", "act as other users of this machine"},
		       {"exec", "run programs as you"},
		       {"kv", "read and change shared values"},
		       {"msg", "send you messages"}};
	const char *texts[8];
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(permissions); i++)
		for (size_t j = 0; j < sizeof(phrases) / sizeof(phrases[0]); j++)
			if (n < 8 && strcmp(json_string_value(json_array_get(permissions, i)),
					    phrases[j].permission) == 0)
				texts[n++] = phrases[j].text;
	fprintf(out, "If you say yes, %s can ", name);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " and ", texts[i]);
	fprintf(out, "%s.\n", n == 0 ? "do nothing here" : "");
}

static void show_question(const struct pairing *pairing)
{
	fprintf(pairing->context->out, "Type 'yes' if the other screen shows the same code, or the "
				       "six digits that it shows [no]: ");
	fflush(pairing->context->out);
}

static void show_code(struct pairing *pairing, const struct args_ctl_pair_code *code)
{
	const struct context *context = pairing->context;
	json_t *permissions = fetch_permissions(code->permissions);
	char *name = shown(code->name), *address = shown(code->address),
	     *fingerprint = shown(code->fingerprint), granted[300];

	if (speaks_json(pairing)) {
		context_print_json(
		    context,
		    json_pack("{s:s, s:s, s:{s:o, s:o, s:o, s:o}, s:O}", "event", "code", "code",
			      pairing->code, "peer", "name", context_json_text(code->name), "id",
			      context_json_text(code->id), "fingerprint",
			      context_json_text(code->fingerprint), "address",
			      context_json_text(code->address), "permissions", permissions));
	} else if (!is_person(pairing)) {
		fprintf(context->out, "code %s\npeer %s %s %s\ngrants %s\n", pairing->code, name,
			address, fingerprint,
			peer_table_permissions(permissions, granted, sizeof(granted)));
	} else {
		const char *bold = context->color ? "\033[1m" : "",
			   *plain = context->color ? "\033[0m" : "";

		fprintf(context->out,
			"\n    %s%.3s %.3s%s\n\nThat is the code for %s at %s\n(key %s).\n", bold,
			pairing->code, pairing->code + 3, plain, name, address, fingerprint);
		show_grant(context->out, name, permissions);
		show_question(pairing);
	}
	fflush(context->out);
	json_decref(permissions);
	free(name);
	free(address);
	free(fingerprint);
}

static int show_paired(const struct pairing *pairing, const struct result_ctl_pair *result)
{
	char *peer = shown(result->peer);

	if (speaks_json(pairing))
		context_print_json(pairing->context,
				   json_pack("{s:s, s:o, s:o}", "event", "paired", "peer",
					     context_json_text(result->peer), "permissions",
					     fetch_permissions(result->permissions)));
	else if (!is_person(pairing))
		fprintf(pairing->context->out, "paired %s\n", peer);
	else
		fprintf(pairing->context->out, "Paired with %s.\n", peer);
	free(peer);
	return CONTEXT_OK;
}

static int show_failed(const struct pairing *pairing, const char *text)
{
	if (speaks_json(pairing))
		context_print_json(pairing->context,
				   json_pack("{s:s, s:s}", "event", "failed", "error", text));
	else if (!is_person(pairing))
		fprintf(pairing->context->out, "failed %s\n", text);
	else
		fprintf(pairing->context->out, "\nNot paired: %s\n", text);
	return CONTEXT_FAILURE;
}

/* --- the answer --------------------------------------------------------------------------------
 */

/* yes, no, or six digits, which may have a blank or a hyphen in the middle. */
static enum answer parse_answer(struct pairing *pairing, const char *line)
{
	char digits[7] = "";
	size_t n = 0;

	if (strcmp(line, "yes") == 0)
		return ANSWER_YES;
	if (!*line || strcmp(line, "no") == 0)
		return ANSWER_NO;
	for (; *line; line++) {
		if (*line >= '0' && *line <= '9' && n < 6)
			digits[n++] = *line;
		else if ((*line != ' ' && *line != '-') || n != 3)
			return ANSWER_UNCLEAR;
	}
	if (n != 6)
		return ANSWER_UNCLEAR;
	if (memcmp(digits, pairing->code, 6) == 0)
		return ANSWER_YES;
	pairing->ending = "the codes differ: somebody may sit between the two machines; "
			  "nothing was granted";
	return ANSWER_NO;
}

/* Sends the answer; its own reply is of no interest, the pairing's says how it ended. */
static int send_answer(struct pairing *pairing, enum answer answer)
{
	struct args_ctl_pair_answer args = {.accept = answer == ANSWER_YES};

	pairing->asked = false;
	pairing->answered = true;
	if (answer == ANSWER_YES && is_person(pairing)) {
		fprintf(pairing->context->out, "Waiting for the other machine's yes ...\n");
		fflush(pairing->context->out);
	}
	if (answer != ANSWER_YES && !pairing->ending)
		pairing->ending = "refused here; nothing was granted";
	return local_client_send(pairing->client, OP_CTL_PAIR_ANSWER, &args, NULL);
}

static int take_line(struct pairing *pairing)
{
	char *line = pairing->line, *end = line + pairing->n_line;
	enum answer answer;

	while (end > line && (end[-1] == ' ' || end[-1] == '\r' || end[-1] == '\t'))
		end--;
	*end = '\0';
	line += strspn(line, " \t");
	pairing->n_line = 0;
	answer = parse_answer(pairing, line);
	if (answer == ANSWER_UNCLEAR && is_person(pairing)) {
		show_question(pairing);
		return 0;
	}
	return send_answer(pairing, answer);
}

/* Reads what is there, up to one line. */
static int read_answer(struct pairing *pairing)
{
	char byte;
	ssize_t n = read(pairing->context->in, &byte, 1);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : send_answer(pairing, ANSWER_NO);
	if (n == 0 && pairing->n_line == 0)
		return send_answer(pairing, ANSWER_NO);
	if (n == 0 || byte == '\n')
		return take_line(pairing);
	if (pairing->n_line + 1 == sizeof(pairing->line))
		return send_answer(pairing, ANSWER_NO);
	pairing->line[pairing->n_line++] = byte;
	return 0;
}

/* --- the course --------------------------------------------------------------------------------
 */

/* An event, or the reply: then 1 and the exit status. */
static int handle_frame(struct pairing *pairing, struct frame *frame, int *ret_status)
{
	struct args_ctl_pair_waiting waiting;
	struct args_ctl_pair_code code;
	struct result_ctl_pair result;

	if (frame->kind == FRAME_EVENT && frame->op == OP_CTL_PAIR_WAITING) {
		if (codec_decode(&args_ctl_pair_waiting_record, &frame->body, &waiting, NULL) < 0)
			return -EBADMSG;
		show_waiting(pairing, &waiting);
	} else if (frame->kind == FRAME_EVENT && frame->op == OP_CTL_PAIR_CODE) {
		if (codec_decode(&args_ctl_pair_code_record, &frame->body, &code, NULL) < 0 ||
		    code.code.size != 6 || pairing->asked || pairing->answered)
			return -EBADMSG;
		memcpy(pairing->code, code.code.data, 6);
		pairing->asked = true;
		if (is_person(pairing))
			tcflush(pairing->context->in, TCIFLUSH); /* typed before the question */
		show_code(pairing, &code);
	} else if (frame->kind == FRAME_REPLY && frame->id == pairing->id) {
		if (frame->status != 0)
			return error_to_errno(frame->status);
		if (codec_decode(&result_ctl_pair_record, &frame->body, &result, NULL) < 0)
			return -EBADMSG;
		*ret_status = show_paired(pairing, &result);
		return 1;
	}
	return 0;
}

/* Everything that has come from the daemon. Returns 0 to go on, 1 at the end, or -errno. */
static int handle_frames(struct pairing *pairing, int *ret_status)
{
	struct frame frame;
	int r;

	do {
		r = local_client_receive(pairing->client, 0, &frame);
		if (r == -ETIMEDOUT)
			return 0; /* nothing more is there; the pairing's own time-out is below */
		if (r == 0)
			r = handle_frame(pairing, &frame, ret_status);
	} while (r == 0);
	return r;
}

static int follow(struct pairing *pairing, int signals, int *ret_status)
{
	int r = 0;

	while (r == 0) {
		struct pollfd poll_fds[] = {
		    {.fd = pairing->client->fd, .events = POLLIN},
		    {.fd = signals, .events = POLLIN},
		    {.fd = pairing->asked ? pairing->context->in : -1, .events = POLLIN}};

		if (poll(poll_fds, 3, -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (poll_fds[0].revents) {
			r = handle_frames(pairing, ret_status);
			continue; /* what it said may have changed what is awaited */
		}
		if (poll_fds[1].revents) {
			struct signalfd_siginfo taken;

			if (read(signals, &taken, sizeof(taken)) < 0)
				continue;
			pairing->ending = "ended here; nothing was granted";
			return -ECANCELED;
		}
		if (poll_fds[2].revents)
			r = read_answer(pairing);
	}
	return r;
}

/* Ctrl-C and the like as a descriptor, so that the end is said. */
static int open_signals(sigset_t *ret_before)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, ret_before);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cmd_pair_run(struct context *context)
{
	const struct arguments *arguments = &context->arguments;
	const char *address = arguments->n_words > 0 ? arguments->words[0] : "";
	struct args_ctl_pair args = {.address = bytes_of_text(address),
				     .name = bytes_of_text(arguments_text(arguments, "name", "")),
				     .allow = bytes_of_text(arguments_text(arguments, "allow", "")),
				     .ttl_s = arguments_number(arguments, "ttl", TTL_S)};
	struct pairing pairing = {.context = context, .dialling = *address};
	int r = context_connect(context, &pairing.client), status = CONTEXT_FAILURE, signals;
	sigset_t before;
	char *text;

	if (r != CONTEXT_OK)
		return r;
	signals = open_signals(&before);
	r = local_client_send(pairing.client, OP_CTL_PAIR, &args, &pairing.id);
	if (r == 0)
		r = follow(&pairing, signals, &status);
	if (r < 0) {
		text = pairing.ending ? strdup(pairing.ending) : context_explain(pairing.client, r);
		status = show_failed(&pairing, text ? text : "out of memory");
		free(text);
	}
	fflush(context->out);
	local_client_free(pairing.client);
	if (signals >= 0)
		close(signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}
