/* jobs/ as a directory: names of jobs are looked up, made, removed and listed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_job.h"
#include "fs/control_names.h"
#include "fs/control_private.h"
#include "fs/root.h"

#define JOBS_LISTED_MAX 16384 /* of one peer: no honest one has as many */

/* A question about one name. */
struct name_ask {
	struct control_ask ask;
	struct fs_node *node;    /* held: the directory */
	struct control_job *job; /* held, or NULL */
	size_t name_size;
	char name[OPS_JOB_NAME_MAX];
};

struct list_ask {
	struct control_ask ask;
	struct fs_node *node;        /* held */
	struct control_names *names; /* NULL: handed on */
	uint32_t offset;             /* of the page */
};

static struct bytes name_of(const struct name_ask *ask)
{
	return (struct bytes){(const uint8_t *)ask->name, ask->name_size};
}

static void release_name(struct control_ask *ask)
{
	struct name_ask *name = (struct name_ask *)ask;

	control_job_unref(name->job);
	node_drop(ask->peer->fs, name->node);
}

/* NULL: ENOMEM was answered. */
static struct name_ask *new_name_ask(fuse_req_t req, struct fs_node *node, struct bytes name,
				     void (*done)(struct control_ask *ask,
						  const struct transport_reply *reply))
{
	struct name_ask *ask = control_ask_new(control_peer(fs_of(req), node), sizeof(*ask), req);

	if (!ask) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	ask->node = node;
	node_hold(node);
	ask->name_size = name.size;
	memcpy(ask->name, name.data, name.size);
	ask->ask.done = done;
	ask->ask.release = release_name;
	return ask;
}

/* Whether somebody can be asked about jobs there; else the error was answered. */
static bool can_ask(fuse_req_t req, const struct fs_node *node)
{
	const struct fs_peer *peer = control_peer(fs_of(req), node);

	if (peer && peer->transport)
		return true;
	fuse_reply_err(req, ESTALE);
	return false;
}

static void refuse(fuse_req_t req, struct fs_node *node, struct bytes name, uint16_t op, int error,
		   const char *why)
{
	char what[CONTROL_WHAT_MAX + OPS_JOB_NAME_MAX + 2];
	size_t size;

	control_print_what(node, what);
	size = strlen(what);
	if (name.size > OPS_JOB_NAME_MAX)
		name.size = OPS_JOB_NAME_MAX;
	what[size] = '/';
	memcpy(what + size + 1, name.data, name.size);
	what[size + 1 + name.size] = '\0';
	control_errors_reply(req, control_peer(fs_of(req), node), what, op, error, why);
}

/* --- names ------------------------------------------------------------------------------------ */

static void reply_entry(fuse_req_t req, struct fs_node *node, struct bytes name,
			struct control_job *job)
{
	root_reply_entry(req, control_node_of_job(fs_of(req), node, name, job));
}

static void on_lookup(struct control_ask *ask, const struct transport_reply *reply)
{
	struct name_ask *name = (struct name_ask *)ask;
	const struct result_job_status *result = reply->result;
	struct control_job *job = control_job_find(ask->peer, name_of(name)), *other;
	fuse_req_t req = control_ask_take(ask);
	int error = reply->error;

	if (!error && !result->info.job)
		error = -EPROTO;
	/* Another one has its name now, or it was removed by somebody else. */
	if (job && job->state == CONTROL_JOB_STARTED &&
	    (error == -ENOENT || (!error && job->number != result->info.job)))
		control_job_removed(job);
	if (!req)
		return;
	if (error == -ENOENT) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (error) {
		refuse(req, name->node, name_of(name), OP_JOB_STATUS, error, NULL);
		return;
	}
	other = control_job_find_number(ask->peer, result->info.job);
	job = other ? control_job_ref(other)
		    : control_job_new(ask->peer, name_of(name), result->info.job,
				      CONTROL_JOB_STARTED);
	if (!job) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	job->size = result->info.end;
	control_job_ended(job, &result->info);
	reply_entry(req, name->node, name_of(name), job);
	control_job_unref(job);
}

static void lookup(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	struct control_job *job;
	struct args_job_status args = {.name = name};
	struct name_ask *ask;

	if (!can_ask(req, node))
		return;
	job = control_job_find(control_peer(fs_of(req), node), name);
	if (job && job->state != CONTROL_JOB_STARTED) {
		reply_entry(req, node, name, job);
		return;
	}
	if (!control_job_name_is_good(name)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	ask = new_name_ask(req, node, name, on_lookup);
	if (ask)
		control_ask_send(&ask->ask, OP_JOB_STATUS, &args);
}

/* Whether there is one of that name already. */
static void on_mkdir(struct control_ask *ask, const struct transport_reply *reply)
{
	struct name_ask *name = (struct name_ask *)ask;
	struct fs_peer *peer = ask->peer;
	fuse_req_t req = control_ask_take(ask);
	struct control_job *job;

	if (!req)
		return;
	if (reply->error != -ENOENT || control_job_find(peer, name_of(name))) {
		int error = reply->error ? reply->error : -EEXIST;

		if (error == -ENOENT)
			error = -EEXIST;
		refuse(req, name->node, name_of(name), OP_JOB_STATUS, error,
		       error == -EEXIST ? "there is a job of that name" : NULL);
		return;
	}
	job = control_job_new(peer, name_of(name), control_job_number(), CONTROL_JOB_NEW);
	if (!job)
		fuse_reply_err(req, ENOMEM);
	else
		reply_entry(req, name->node, name_of(name), job);
}

static void make(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	struct args_job_status args = {.name = name};
	struct name_ask *ask;

	if (!can_ask(req, node))
		return;
	if (!control_job_name_is_good(name)) {
		refuse(
		    req, node, (struct bytes){name.data, 0}, 0, -EINVAL,
		    "a job's name is 1 to 64 of A-Z a-z 0-9 . _ - and begins with no dot or dash");
		return;
	}
	ask = new_name_ask(req, node, name, on_mkdir);
	if (ask)
		control_ask_send(&ask->ask, OP_JOB_STATUS, &args);
}

static void on_rmdir(struct control_ask *ask, const struct transport_reply *reply)
{
	struct name_ask *name = (struct name_ask *)ask;
	fuse_req_t req = control_ask_take(ask);

	if (!reply->error) {
		control_job_removed(name->job);
		node_forget_child(ask->peer->fs, name->node, name_of(name));
	}
	if (!req)
		return;
	if (reply->error)
		refuse(req, name->node, name_of(name), OP_JOB_REMOVE, reply->error, NULL);
	else
		fuse_reply_err(req, 0);
}

static void remove_(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	struct control_job *job;
	struct args_job_remove args = {0};
	struct name_ask *ask;

	if (!can_ask(req, node))
		return;
	job = control_job_find(control_peer(fs_of(req), node), name);
	if (!job) { /* the kernel has looked it up just now */
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (job->state == CONTROL_JOB_STARTING) {
		refuse(req, node, name, 0, -EBUSY, "the job is just being started");
		return;
	}
	if (job->state == CONTROL_JOB_NEW) {
		control_job_removed(job);
		job->state = CONTROL_JOB_STARTED; /* as if: it has no reference of its own */
		node_forget_child(fs_of(req), node, name);
		control_job_unref(job);
		fuse_reply_err(req, 0);
		return;
	}
	ask = new_name_ask(req, node, name, on_rmdir);
	if (!ask)
		return;
	ask->job = control_job_ref(job);
	args.job = job->number;
	control_ask_send(&ask->ask, OP_JOB_REMOVE, &args);
}

/* --- listing ---------------------------------------------------------------------------------- */

/* What is no name, or is there already, is left out. */
static int add_name(struct control_names *names, struct bytes name)
{
	if (!control_job_name_is_good(name) || control_names_have(names, name))
		return 0;
	return names->n < JOBS_LISTED_MAX ? control_names_add(names, name) : -EOVERFLOW;
}

static void release_list(struct control_ask *ask)
{
	struct list_ask *list = (struct list_ask *)ask;

	control_names_free(list->names);
	node_drop(ask->peer->fs, list->node);
}

static void send_page(fuse_req_t req, struct fs_node *node, struct control_names *names,
		      uint32_t offset);

static int add_page(struct list_ask *list, const struct result_job_list *result)
{
	struct list jobs = result->jobs;
	struct job_info info;
	int error = 0;

	while (jobs.n && !error) {
		if (codec_list_next(&jobs, &job_info_record, &info, NULL))
			return -EPROTO;
		error = add_name(list->names, info.name);
	}
	return error;
}

static int add_new(struct control_names *names, const struct fs_peer *peer)
{
	int error = 0;

	for (const struct control_job *job = peer->control.jobs; job && !error; job = job->next)
		if (job->state != CONTROL_JOB_STARTED && !job->is_removed)
			error = add_name(
			    names, (struct bytes){(const uint8_t *)job->name, strlen(job->name)});
	return error;
}

static void on_list(struct control_ask *ask, const struct transport_reply *reply)
{
	struct list_ask *list = (struct list_ask *)ask;
	const struct result_job_list *result = reply->result;
	struct control_names *names = list->names;
	fuse_req_t req = control_ask_take(ask);
	int error = reply->error;
	uint32_t n = error ? 0 : result->jobs.n;

	if (!error)
		error = add_page(list, result);
	if (!error && list->offset + n >= JOBS_LISTED_MAX)
		error = -EOVERFLOW;
	if (!req)
		return;
	if (!error && n && list->offset + n < result->total) {
		list->names = NULL;
		send_page(req, list->node, names, list->offset + n);
		return;
	}
	if (!error)
		error = add_new(names, ask->peer);
	if (error) {
		refuse(req, list->node, (struct bytes){(const uint8_t *)"", 0}, OP_JOB_LIST, error,
		       NULL);
		return;
	}
	list->names = NULL;
	control_names_reply(req, names);
}

static void send_page(fuse_req_t req, struct fs_node *node, struct control_names *names,
		      uint32_t offset)
{
	struct args_job_list args = {.offset = offset, .limit = OPS_JOB_PAGE_MAX};
	struct list_ask *ask = control_ask_new(control_peer(fs_of(req), node), sizeof(*ask), req);

	if (!ask) {
		control_names_free(names);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	ask->node = node;
	node_hold(node);
	ask->names = names;
	ask->offset = offset;
	ask->ask.done = on_list;
	ask->ask.release = release_list;
	control_ask_send(&ask->ask, OP_JOB_LIST, &args);
}

static void open_list(fuse_req_t req, struct fs_node *node)
{
	struct control_names *names;

	if (!can_ask(req, node))
		return;
	names = control_names_new(fs_of(req), S_IFDIR, JOBS_LISTED_MAX * (OPS_JOB_NAME_MAX + 1));
	if (names)
		send_page(req, node, names, 0);
	else
		fuse_reply_err(req, ENOMEM);
}

const struct control_dir control_jobs_dir = {
    .lookup = lookup, .mkdir = make, .rmdir = remove_, .open = open_list};
