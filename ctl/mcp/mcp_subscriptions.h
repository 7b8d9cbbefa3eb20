/*
 * Subscriptions: resources/subscribe and unsubscribe of sessions, subscriptions/listen since
 * 2026-07-28. A thread watches what was asked for (resource_watch.c), from the first one on.
 */
#ifndef CTL_MCP_MCP_SUBSCRIPTIONS_H
#define CTL_MCP_MCP_SUBSCRIPTIONS_H

#include "ctl/mcp/mcp_call.h"
#include "ctl/mcp/subscription.h"

#define MCP_SUBSCRIPTIONS_MAX 48

int mcp_subscriptions_init(struct mcp_subscriptions *all, struct mcp_server *server);
/* Ends the thread, waiting so long at most. Returns whether it has ended; else the memory must stay
 * as it is until the program ends. */
bool mcp_subscriptions_stop(struct mcp_subscriptions *all, int timeout_ms);
/* After that returned true. */
void mcp_subscriptions_deinit(struct mcp_subscriptions *all);

/* The methods; all of them wait. A request that listens has no reply as long as it lasts. */
void mcp_subscriptions_subscribe(struct mcp_call *call);
void mcp_subscriptions_unsubscribe(struct mcp_call *call);
void mcp_subscriptions_listen(struct mcp_call *call);

/* Whether a request with that id listens; and it does not any more. */
bool mcp_subscriptions_has(struct mcp_subscriptions *all, const json_t *id);
void mcp_subscriptions_cancel(struct mcp_subscriptions *all, const json_t *id);

#endif
