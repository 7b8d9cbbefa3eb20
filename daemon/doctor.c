#include "daemon/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/paired.h"

#define CLOCK_SKEW_MAX_MS 5000 /* make(1) and git see it from there on */

static void offer(struct control_page *page, const char *name, enum ctl_check_status status,
		  const char *detail, const char *fix)
{
	struct ctl_check check = {
	    .name = bytes_of_text(name),
	    .status = status,
	    .detail = bytes_of_text(detail),
	    .fix = bytes_of_text(fix),
	};

	/* Reasons of avahi's or a peer's could hold anything. */
	if (control_page_offer(page, &ctl_check_record, &check) < 0) {
		check.detail = bytes_of_text("(not printable)");
		control_page_offer(page, &ctl_check_record, &check);
	}
}

static void check_mount(struct daemon *daemon, struct control_page *page)
{
	if (daemon->mounting.fs)
		offer(page, "mount", CTL_CHECK_OK, daemon->paths->mount, "");
	else
		offer(page, "mount", CTL_CHECK_FAILURE, "somebody has unmounted it",
		      "loopsyctl restart");
}

static void check_port(struct daemon *daemon, struct control_page *page)
{
	const char *address = net_listen_address(daemon->net, 0);

	if (!address)
		offer(page, "port", CTL_CHECK_FAILURE, "not listening", "loopsyctl restart");
	else if (!daemon->options->lan)
		offer(page, "port", CTL_CHECK_WARNING, address,
		      "only this machine can connect: 'loopsyctl restart --lan' lets the local "
		      "network in");
	else
		offer(page, "port", CTL_CHECK_OK, address, "");
}

static void check_discovery(struct daemon *daemon, struct control_page *page)
{
	struct discovery_state state;

	if (!daemon->discovery) {
		offer(page, "discovery", CTL_CHECK_WARNING, "off (mdns = no)",
		      "set mdns = yes in loopsy.conf, or give addresses");
		return;
	}
	discovery_state(daemon->discovery, &state);
	if (state.status == DISCOVERY_UNAVAILABLE)
		offer(page, "discovery", CTL_CHECK_WARNING, state.reason,
		      "apt install avahi-daemon and start it, or give addresses");
	else if (daemon->options->lan && !state.published)
		offer(page, "discovery", CTL_CHECK_WARNING,
		      state.reason[0] ? state.reason : "not announced yet", "");
	else
		offer(page, "discovery", CTL_CHECK_OK,
		      state.service_name[0] ? state.service_name : "looking for others", "");
}

static void check_peer(const struct paired *paired, struct control_page *page)
{
	struct net_peer_status status;
	char name[PEER_NAME_MAX + 16], detail[512];

	net_peer_get_status(paired->net, &status);
	snprintf(name, sizeof(name), "peer %s", paired->record.name);
	if (status.state != TRANSPORT_UP) {
		snprintf(detail, sizeof(detail), "%s%s%s", paired_state_name(&status),
			 status.error[0] ? ": " : "", status.error);
		offer(page, name, CTL_CHECK_WARNING, detail,
		      "is it on, and loopsyd started there? 'loopsyctl peers add ADDRESS' where "
		      "discovery does not reach");
		return;
	}
	if (llabs((long long)status.clock_skew_ms) > CLOCK_SKEW_MAX_MS) {
		snprintf(detail, sizeof(detail), "its clock differs by %.1f s",
			 (double)status.clock_skew_ms / 1000);
		offer(page, name, CTL_CHECK_WARNING, detail,
		      "set both clocks (timedatectl set-ntp)");
		return;
	}
	snprintf(detail, sizeof(detail), "online at %s, %.1f ms", status.address,
		 (double)status.rtt_us / 1000);
	offer(page, name, CTL_CHECK_OK, detail, "");
}

void doctor_check(struct daemon *daemon, struct control_page *page)
{
	check_mount(daemon, page);
	check_port(daemon, page);
	check_discovery(daemon, page);
	for (struct paired *paired = daemon->paired; paired; paired = paired->next) {
		if (paired_is_up(paired))
			check_peer(paired, page);
	}
}
