/* loopsy_transfer_file */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/context.h"
#include "ctl/mcp/aside.h"
#include "ctl/mcp/file_copy.h"
#include "ctl/mcp/mcp_text.h"
#include "ctl/mcp/peer_path.h"
#include "ctl/mcp/tools.h"

#define PROGRESS_MS 500
#define CLEAN_UP_MS 250 /* a copy that is cancelled takes its file away, if it can at once */

static const char *const directions[] = {"push", "pull", NULL};

static const struct schema_field input[] = {
    {"peer", SCHEMA_STRING, .required = true, .min = 1, .max = OPS_CTL_NAME_MAX},
    {"direction", SCHEMA_STRING, .required = true, .choices = directions},
    {"source_path", SCHEMA_STRING, .required = true, .min = 1, .max = 4096},
    {"dest_path", SCHEMA_STRING, .required = true, .min = 1, .max = 4096,
     .description = "a file; replaced if it is there"},
    {.name = NULL},
};

static const struct schema_field output[] = {
    {"path", SCHEMA_STRING, .required = true, .description = "of the copy, here"},
    {"bytes", SCHEMA_INTEGER, .required = true},
    {"source_sha256", SCHEMA_STRING, .required = true},
    {"dest_sha256", SCHEMA_STRING, .required = true, .description = "read back"},
    {.name = NULL},
};

static void answer(struct mcp_call *call, const struct file_copy *copy)
{
	mcp_call_answer(call,
			json_pack("{s:o, s:I, s:s, s:s}", "path",
				  mcp_text(copy->to, strlen(copy->to)), "bytes",
				  (json_int_t)copy->size, "source_sha256", copy->sha256,
				  "dest_sha256", copy->sha256_back),
			"%llu bytes are at %s, both ends have sha256 %s",
			(unsigned long long)copy->size, copy->to, copy->sha256);
}

static void tell(struct mcp_call *call, const struct file_copy *copy)
{
	uint64_t done = atomic_load(&copy->done), total = atomic_load(&copy->total);
	char message[128];

	if (done <= total / 2)
		snprintf(message, sizeof(message), "%llu of %llu bytes copied",
			 (unsigned long long)done, (unsigned long long)total / 2);
	else
		snprintf(message, sizeof(message), "copied; reading back");
	mcp_call_progress(call, (double)done, (double)total, message);
}

static void follow(struct mcp_call *call, const char *peer, struct file_copy *copy)
{
	struct aside *aside;
	int r = aside_new(file_copy_run, copy, &aside);

	if (r < 0) {
		file_copy_free(copy);
		mcp_call_fail(call, "cannot begin: %s", strerror(-r));
		return;
	}
	while ((r = aside_wait(aside, mcp_call_interrupt_fd(call), PROGRESS_MS)) == -ETIMEDOUT)
		tell(call, copy);
	if (r < 0) {
		atomic_store(&copy->stop, true);
		aside_wait(aside, -1, CLEAN_UP_MS);
		mcp_call_fail(call, "cancelled");
	} else if (copy->error == -EHOSTDOWN) {
		mcp_call_fail_errno(call, peer, copy->error, NULL);
	} else if (copy->error < 0) {
		mcp_call_fail(call, "%s", copy->reason);
	} else {
		answer(call, copy);
	}
	aside_free(aside, file_copy_free);
}

static void run(struct mcp_call *call, const json_t *arguments)
{
	const char *peer = tool_string(arguments, "peer", "");
	const char *source = tool_string(arguments, "source_path", "");
	const char *dest = tool_string(arguments, "dest_path", "");
	bool push = strcmp(tool_string(arguments, "direction", ""), "push") == 0;
	struct file_copy *copy;
	struct peer_path path;

	if (peer_path_take(call, peer, push ? dest : source, push ? "fs:rw" : "fs:ro", &path) < 0)
		return;
	copy = calloc(1, sizeof(*copy));
	if (copy) {
		copy->from = strdup(push ? source : path.here);
		copy->to = strdup(push ? path.here : dest);
	}
	peer_path_deinit(&path);
	if (copy && copy->from && copy->to) {
		follow(call, peer, copy);
		return;
	}
	if (copy)
		file_copy_free(copy);
	mcp_call_fail(call, "out of memory");
}

const struct tool tools_transfer_file = {
    .name = "loopsy_transfer_file",
    .title = "Copy a file to or from a peer",
    .description =
	"Copies one file: push from here to a peer, pull from a peer to here. On the peer a path "
	"is "
	"relative to its home, or one in the mount. To only read or edit, use the mount instead.",
    .hints = TOOL_DESTRUCTIVE | TOOL_IDEMPOTENT,
    .input = input,
    .output = output,
    .run = run,
};
