#include "ctl/context.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/remote.h"
#include "ctl/terminal.h"

static void complain(const struct context *context, const char *format, va_list list)
{
	fputs("loopsyctl: ", context->err);
	vfprintf(context->err, format, list);
	fputc('\n', context->err);
}

int context_fail(const struct context *context, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	complain(context, format, list);
	va_end(list);
	return CONTEXT_FAILURE;
}

int context_usage(const struct context *context, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	complain(context, format, list);
	va_end(list);
	if (context->command)
		fprintf(context->err, "usage: loopsyctl %s%s%s\n", context->command->name,
			context->command->usage[0] ? " " : "", context->command->usage);
	else
		fprintf(context->err, "try 'loopsyctl help'\n");
	return CONTEXT_USAGE;
}

void context_say(const struct context *context, const char *format, ...)
{
	va_list list;

	if (context->json)
		return;
	va_start(list, format);
	vfprintf(context->err, format, list);
	fputc('\n', context->err);
	va_end(list);
	fflush(context->err);
}

int context_print_json(const struct context *context, json_t *value)
{
	int r = value ? json_dumpf(value, context->out,
				   JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY |
				       JSON_REAL_PRECISION(9))
		      : -1;

	json_decref(value);
	if (r < 0)
		return context_fail(context, "cannot write JSON");
	fputc('\n', context->out);
	fflush(context->out);
	return CONTEXT_OK;
}

static int complain_unreachable(const struct context *context, int r)
{
	const char *path = context->home->socket;

	switch (r) {
	case 0:
		return CONTEXT_OK;
	case -ENOENT:
	case -ENOTDIR:
	case -ECONNREFUSED:
		return context_fail(context,
				    "loopsyd is not running: start it with 'loopsyctl start'");
	case -ETIMEDOUT:
		return context_fail(context,
				    "loopsyd does not answer at %s: end it with "
				    "'kill -9 PID' and start it again",
				    path);
	case -EACCES:
	case -EPERM:
		return context_fail(context,
				    "%s is another user's: only that user may ask its "
				    "loopsyd",
				    path);
	default:
		return context_fail(context, "cannot reach loopsyd at %s: %s", path, strerror(-r));
	}
}

/* An agent's commands are limited as the agent is. */
static int present_key(const struct context *context, struct local_client *client)
{
	const char *key = getenv("LOOPSY_API_KEY");
	struct args_ctl_key args = {.key = bytes_of_text(key)};

	return args.key.size > 0 ? context_call(context, client, OP_CTL_KEY, &args, NULL)
				 : CONTEXT_OK;
}

int context_connect_if_up(const struct context *context, struct local_client **ret_client)
{
	struct local_client *client = NULL;
	int r = local_client_new(context->home->socket, &client);

	if (r == -ENOENT || r == -ENOTDIR || r == -ECONNREFUSED)
		r = 0;
	if (r < 0)
		return complain_unreachable(context, r);
	if (client && present_key(context, client) != CONTEXT_OK) {
		local_client_free(client);
		return CONTEXT_FAILURE;
	}
	*ret_client = client;
	return CONTEXT_OK;
}

int context_connect(const struct context *context, struct local_client **ret_client)
{
	int r = context_connect_if_up(context, ret_client);

	return r == CONTEXT_OK && !*ret_client ? complain_unreachable(context, -ENOENT) : r;
}

int context_connect_remote(const struct context *context, struct remote **ret_remote)
{
	struct remote *remote = NULL;
	int r = complain_unreachable(context, remote_new(context->home->socket, &remote));

	if (r == CONTEXT_OK)
		r = present_key(context, remote_client(remote));
	if (r == CONTEXT_OK)
		*ret_remote = remote;
	else
		remote_free(remote);
	return r;
}

char *context_explain(struct local_client *client, int r)
{
	const char *text;

	if (client->reason[0] != '\0')
		return terminal_escape(client->reason, strlen(client->reason));
	switch (r) {
	case -ETIMEDOUT:
		text = "loopsyd did not answer in time: 'loopsyctl logs' may say why";
		break;
	case -ECONNRESET:
		text = "loopsyd ended before it answered: start it with 'loopsyctl start'";
		break;
	case -EBADMSG:
		text = "loopsyd's answer makes no sense: is it of another version? "
		       "Try 'loopsyctl restart'";
		break;
	case -ENOSYS:
		text = "the running loopsyd cannot do that: is it of another version? "
		       "Try 'loopsyctl restart'";
		break;
	default:
		text = strerror(-r);
	}
	return strdup(text);
}

int context_complain(const struct context *context, struct local_client *client, int r)
{
	char *text = context_explain(client, r);

	context_fail(context, "%s", text ? text : "out of memory");
	free(text);
	return CONTEXT_FAILURE;
}

int context_call(const struct context *context, struct local_client *client, uint16_t op,
		 const void *args, void *result)
{
	int r = local_client_call(client, op, args, result);

	return r == 0 ? CONTEXT_OK : context_complain(context, client, r);
}

json_t *context_json_text(struct bytes text)
{
	return json_stringn((const char *)text.data, text.size);
}
