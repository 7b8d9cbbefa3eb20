#include "daemon/status_text.h"

#include <stdio.h>

#include "daemon/log.h"
#include "daemon/paired.h"
#include "daemon/permissions.h"

static int append_line(struct buffer *text, const char *key, const char *value)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s %s\n", key, value);

	return buffer_append(text, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static int own_text(struct daemon *daemon, struct buffer *text)
{
	size_t n = 0, online = 0;
	char counts[64];
	int error;

	for (struct paired *paired = daemon->paired; paired; paired = paired->next) {
		struct net_peer_status status;

		if (!paired_is_up(paired))
			continue;
		net_peer_get_status(paired->net, &status);
		n++;
		online += status.state == TRANSPORT_UP;
	}
	error = append_line(text, "name", daemon->name);
	if (error == 0)
		error = append_line(text, "id", daemon->identity->id);
	if (error == 0)
		error = append_line(text, "version", LOOPSY_VERSION);
	for (size_t i = 0; error == 0 && net_listen_address(daemon->net, i); i++)
		error = append_line(text, "listen", net_listen_address(daemon->net, i));
	snprintf(counts, sizeof(counts), "%zu", n);
	if (error == 0)
		error = append_line(text, "peers", counts);
	snprintf(counts, sizeof(counts), "%zu", online);
	return error < 0 ? error : append_line(text, "online", counts);
}

int status_text_write(void *arg, void *peer_arg, struct buffer *text)
{
	struct paired *paired = peer_arg;
	struct net_peer_status status;
	char permissions[PERMISSIONS_TEXT_MAX], number[32];
	int error;

	if (!paired)
		return own_text(arg, text);
	net_peer_get_status(paired->net, &status);
	error = append_line(text, "name", paired->record.name);
	if (error == 0)
		error = append_line(text, "id", paired->record.id);
	if (error == 0)
		error = append_line(text, "state", paired_state_name(&status));
	if (error == 0 && status.address[0])
		error = append_line(text, "address", status.address);
	if (error == 0 && status.state == TRANSPORT_UP && status.rtt_us) {
		snprintf(number, sizeof(number), "%.3f", (double)status.rtt_us / 1000);
		error = append_line(text, "rtt_ms", number);
	}
	if (error == 0 && status.software[0])
		error = append_line(text, "version", LOG_VALUE(status.software));
	if (error == 0)
		error = append_line(text, "permissions",
				    permissions_print(paired->record.permissions, permissions));
	return error < 0
		   ? error
		   : append_line(text, "granted", permissions_print(status.granted, permissions));
}
