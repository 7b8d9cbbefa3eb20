/*
 * A request of the client's that is being answered: what those see who answer it.
 *
 * Those that wait run on a thread of their own (mcp_pool.h). A call is ended exactly once, by
 * mcp_call_result, mcp_call_error or one of the three for tools; what is said of a call that was
 * cancelled goes nowhere, so nobody need ask before saying it.
 */
#ifndef CTL_MCP_CALL_H
#define CTL_MCP_CALL_H

#include <jansson.h>
#include <stdbool.h>

#include "ctl/mcp/mcp_version.h"

struct mcp_call;
struct mcp_server;
struct remote;

/* --- of any call ------------------------------------------------------------------------------ */

/* Never NULL; borrowed. */
const json_t *mcp_call_params(const struct mcp_call *call);
enum mcp_version mcp_call_version(const struct mcp_call *call);
struct mcp_server *mcp_call_server(const struct mcp_call *call);

/* Takes the reference; NULL (no memory) becomes an error. */
void mcp_call_result(struct mcp_call *call, json_t *result);
/* A result that the client may keep for so long, if its version knows of that. `shared`: it is the
 * same for every user of this program. */
void mcp_call_result_cached(struct mcp_call *call, json_t *result, long long ttl_ms, bool shared);
/* A JSON-RPC error (enum rpc_code). */
void mcp_call_error(struct mcp_call *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with data; takes the reference. */
void mcp_call_error_data(struct mcp_call *call, int code, const char *message, json_t *data);

/* --- of those that wait ----------------------------------------------------------------------- */

/* The client does not want it any more, or is gone: end the call soon, with whatever. The
 * descriptor becomes readable then, and stays so; it is to be polled only. */
bool mcp_call_is_cancelled(const struct mcp_call *call);
int mcp_call_interrupt_fd(const struct mcp_call *call);

/* This thread's connection to loopsyd, with the key presented; kept for the thread's next call.
 * NULL: mcp_call_fail was called, return at once. */
struct remote *mcp_call_remote(struct mcp_call *call);
/* The same for those that are no tools: NULL and a line in *ret_reason (valid as long as the call),
 * that says the next step. */
struct remote *mcp_call_connect(struct mcp_call *call, const char **ret_reason);
/* Where the peers are mounted (valid until the end of the call), or NULL having failed. */
const char *mcp_call_mount(struct mcp_call *call);
/* The same, but NULL is no failure: there is no mount, or it is not known. */
const char *mcp_call_try_mount(struct mcp_call *call);

/* Tells how far it is, if the client asked to be told. `total` < 0: not known; `message` may be
 * NULL. `done` must grow from one to the next. */
void mcp_call_progress(struct mcp_call *call, double done, double total, const char *message);

/* --- of tools --------------------------------------------------------------------------------- */

/* Takes `structured`, which matches the tool's output table, and a compact text beside it (NULL:
 * the JSON itself). What is not UTF-8 in the text is replaced. */
void mcp_call_answer(struct mcp_call *call, json_t *structured, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An error that the model can act on: a line that says the next step. */
void mcp_call_fail(struct mcp_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The usual one, for errors of the client library: `peer` may be "" or NULL (this machine),
 * `reason` is what was said about it and may be NULL or empty. */
void mcp_call_fail_errno(struct mcp_call *call, const char *peer, int error, const char *reason);
/* A copy that is valid until the end of the call, or until another one is kept. "" without memory.
 */
const char *mcp_call_keep(struct mcp_call *call, const char *text);
/* Whether there is a peer of that name. */
bool mcp_call_knows_peer(struct mcp_call *call, const char *peer);

#endif
