/* What is answered on the loop. A call that goes through the pool cannot be answered before the
 * loop has turned: so `done` right after its start tells them apart. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include "proto/codec.h"
#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_quick, .init = scratch_init, .fini = scratch_fini, .timeout = 120);

static struct serve_fake fake;

/* Looked up, and old enough to be told from what changes it next. */
static struct entry settled(const char *name)
{
	struct entry entry;

	do
		cr_assert_eq(serve_fake_walk(&fake, 0, name, &entry), 0);
	while (!entry.attr.settled);
	if (!entry.attr.plain)
		scratch_skip_test("files here have extended attributes of their own");
	return entry;
}

static struct entry made(const char *name, const char *text)
{
	scratch_write(serve_fake_path(name), text, strlen(text), 0644);
	return settled(name);
}

static bool is_quick(uint16_t op, const void *args, struct serve_fake_call **ret_call)
{
	bool is_quick;

	*ret_call = serve_fake_start(&fake, 0, op, args);
	is_quick = (*ret_call)->done;
	serve_fake_wait(&fake, *ret_call);
	return is_quick;
}

/* The kernel may say at any time that it cannot answer without waiting (while others mount, say),
 * and what is known of a directory gets old: then the pool does it. So it is tried a few times. */
static void *quick_result(uint16_t op, const void *args)
{
	struct serve_fake_call *call;

	for (unsigned i = 0; i < 1000; i++) {
		if (!is_quick(op, args, &call))
			continue;
		cr_assert_eq(call->error, 0);
		return call->result;
	}
	cr_assert_fail("%s was never answered on the loop", op_find(&ops_peer, op)->name);
	return NULL;
}

static bool same(const struct attr *a, const struct attr *b)
{
	return a->fs == b->fs && a->ino == b->ino && a->mode == b->mode && a->nlink == b->nlink &&
	       a->size == b->size && a->ctime.tv_nsec == b->ctime.tv_nsec && a->plain == b->plain &&
	       a->settled == b->settled;
}

static void release(uint64_t node, uint64_t handle)
{
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RELEASE, release, NULL, node, handle), 0);
}

Test(serve_quick, what_was_seen_and_has_not_changed_is_answered_on_the_loop)
{
	const struct result_lookup *found;
	const struct result_getattr *got;
	const struct result_open *opened;
	struct entry entry;

	serve_fake_init(&fake, NULL);
	entry = made("file", "content");
	found = quick_result(OP_LOOKUP, &(struct args_lookup){1, serve_fake_bytes("file")});
	cr_assert_eq(found->entry.node, entry.node);
	cr_assert(same(&found->entry.attr, &entry.attr));
	got = quick_result(OP_GETATTR, &(struct args_getattr){entry.node});
	cr_assert(same(&got->attr, &entry.attr));
	opened = quick_result(OP_OPEN, &(struct args_open){entry.node, O_RDONLY, 4096});
	cr_assert(same(&opened->attr, &entry.attr));
	cr_assert(opened->whole);
	cr_assert_eq(opened->content.size, 7);
	cr_assert_eq(memcmp(opened->content.data, "content", 7), 0);
	cr_assert(is_quick(OP_RELEASE, &(struct args_release){entry.node, opened->handle},
			   &(struct serve_fake_call *){NULL}));
	serve_fake_deinit(&fake);
}

/* Of a node that has a descriptor, and of one of which a listing told. */
Test(serve_quick, a_name_in_a_listing_is_opened_on_the_loop)
{
	const struct result_readdir *read;
	const struct result_open *opened;
	struct dir_entry listed;
	struct bytes entries;
	uint64_t dir;

	serve_fake_init(&fake, NULL);
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	made("dir/file", "content");
	serve_fake_close_session(&fake, 0); /* and with it the descriptor */
	cr_assert_eq(fake.service->session_open(fake.service->arg, NULL, &fake.sessions[0]), 0);
	dir = serve_fake_node(&fake, "dir");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READDIR, readdir, &read, dir), 0);
	entries = read->entries;
	cr_assert_eq(codec_decode(&dir_entry_record, &entries, &listed, &(const char *){NULL}), 0);
	opened = quick_result(OP_OPEN,
			      &(struct args_open){listed.entry.node, O_RDONLY | O_NOATIME, 4096});
	cr_assert(same(&opened->attr, &listed.entry.attr));
	cr_assert_eq(opened->content.size, 7);
	serve_fake_deinit(&fake);
}

Test(serve_quick, what_has_changed_is_looked_at_in_the_pool)
{
	struct serve_fake_call *call;
	const struct attr *attr;
	struct entry entry;

	serve_fake_init(&fake, NULL);
	entry = made("file", "content");
	quick_result(OP_GETATTR, &(struct args_getattr){entry.node});
	if (setxattr(serve_fake_path("file"), "user.name", "value", 5, 0) < 0)
		scratch_skip_test("no extended attributes here");
	cr_assert(!is_quick(OP_GETATTR, &(struct args_getattr){entry.node}, &call));
	attr = &((const struct result_getattr *)call->result)->attr;
	cr_assert(!attr->plain);
	do { /* and it is not taken for one that has none once that is old, too */
		cr_assert(!is_quick(OP_GETATTR, &(struct args_getattr){entry.node}, &call));
		attr = &((const struct result_getattr *)call->result)->attr;
		cr_assert(!attr->plain);
	} while (!attr->settled);
	cr_assert(!is_quick(OP_OPEN, &(struct args_open){entry.node, O_RDONLY, 4096}, &call));
	cr_assert(!((const struct result_open *)call->result)->attr.plain);
	serve_fake_deinit(&fake);
}

Test(serve_quick, another_object_under_the_name_is_not_taken_for_the_node)
{
	struct serve_fake_call *call;
	struct entry entry;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	entry = made("file", "content");
	made("other", "something else");
	cr_assert_eq(rename(serve_fake_path("other"), serve_fake_path("file")), 0);
	cr_assert(!is_quick(OP_OPEN, &(struct args_open){entry.node, O_RDONLY, 4096}, &call));
	if (call->error == 0)
		cr_assert_eq(((const struct result_open *)call->result)->attr.ino, entry.attr.ino);
	cr_assert_eq(unlink(serve_fake_path("file")), 0);
	cr_assert_eq(mkfifo(serve_fake_path("file"), 0644), 0);
	cr_assert(!is_quick(OP_OPEN, &(struct args_open){entry.node, O_RDONLY, 4096}, &call));
	cr_assert(!is_quick(OP_GETATTR, &(struct args_getattr){entry.node}, &call));
	serve_fake_deinit(&fake);
}

Test(serve_quick, what_writes_or_acts_for_others_is_opened_in_the_pool)
{
	const int flags[] = {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC};
	struct serve_fake_call *call;
	struct entry entry;

	serve_fake_init(&fake, NULL);
	entry = made("file", "content");
	quick_result(OP_GETATTR, &(struct args_getattr){entry.node});
	for (unsigned i = 0; i < 3; i++)
		cr_assert(
		    !is_quick(OP_OPEN, &(struct args_open){entry.node, flags[i], 4096}, &call));
	if (geteuid() == 0) {
		const struct result_open *opened;

		settled("file");
		opened = quick_result(OP_OPEN, &(struct args_open){entry.node, O_RDONLY, 4096});
		release(entry.node, opened->handle);
		cr_assert_eq(chmod(serve_fake_path("file"), 0600), 0);
		settled("file");
		fake.caller = (struct caller){.uid = 4711, .gid = 4711};
		cr_assert(
		    !is_quick(OP_OPEN, &(struct args_open){entry.node, O_RDONLY, 4096}, &call));
		cr_assert_eq(call->error, -EACCES);
	}
	serve_fake_deinit(&fake);
}

Test(serve_quick, what_comes_to_be_denied_is_hidden)
{
	static const char *const deny[] = {"secret"};
	struct exports_option export = {
	    .name = "export", .path = fake.export_path, .deny = deny, .n_deny = 1};
	struct serve_fake_call *call;
	struct entry entry;

	serve_fake_init(&fake, &(struct serve_options){.exports = &export, .n_exports = 1});
	entry = made("file", "content");
	quick_result(OP_GETATTR, &(struct args_getattr){entry.node});
	cr_assert_eq(rename(serve_fake_path("file"), serve_fake_path("secret")), 0);
	/* Its own descriptor is believed for a while, by the pool as well; its name is not. */
	cr_assert(!is_quick(OP_LOOKUP, &(struct args_lookup){1, serve_fake_bytes("file")}, &call));
	cr_assert_eq(call->error, -ENOENT);
	cr_assert(
	    !is_quick(OP_LOOKUP, &(struct args_lookup){1, serve_fake_bytes("secret")}, &call));
	cr_assert_eq(call->error, -ENOENT);
	cr_assert(!is_quick(OP_GETATTR, &(struct args_getattr){entry.node}, &call));
	cr_assert_eq(call->error, -ESTALE);
	cr_assert(!is_quick(OP_OPEN, &(struct args_open){entry.node, O_RDONLY, 4096}, &call));
	cr_assert_eq(call->error, -ESTALE);
	serve_fake_deinit(&fake);
}

/* --- closing ---------------------------------------------------------------------------------- */

/* How many descriptors it can be read from. */
static unsigned n_open(const char *name)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	struct stat wanted;
	unsigned n = 0;

	cr_assert_not_null(dir);
	cr_assert_eq(stat(serve_fake_path(name), &wanted), 0);
	while ((entry = readdir(dir))) {
		int flags = fcntl(atoi(entry->d_name), F_GETFL);
		struct stat st;

		/* By name: a thread may be closing it. */
		n += flags >= 0 && !(flags & O_PATH) &&
		     fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
		     st.st_ino == wanted.st_ino && st.st_dev == wanted.st_dev;
	}
	closedir(dir);
	return n;
}

static void on_time(uv_timer_t *timer)
{
}

static void open_and_release(int flags)
{
	const struct result_open *opened;
	uint64_t node, handles[200];
	uv_timer_t timer;

	serve_fake_init(&fake, NULL);
	node = made("file", "content").node;
	for (unsigned i = 0; i < 200; i++) {
		cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, &opened, node, flags), 0);
		handles[i] = opened->handle;
	}
	cr_assert_eq(n_open("file"), 200);
	for (unsigned i = 0; i < 200; i++) /* more at once than have room */
		serve_fake_start(&fake, 0, OP_RELEASE, &(struct args_release){node, handles[i]});
	uv_timer_init(&fake.loop, &timer); /* keeps the loop going */
	uv_timer_start(&timer, on_time, 1, 1);
	while (n_open("file") > 0)
		uv_run(&fake.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	serve_fake_deinit(&fake);
}

Test(serve_quick, every_file_that_was_read_is_closed_in_the_end)
{
	open_and_release(O_RDONLY);
}

Test(serve_quick, every_file_that_was_written_is_closed_in_the_end)
{
	open_and_release(O_RDWR);
}

Test(serve_quick, nothing_is_open_when_the_serving_side_has_stopped)
{
	const struct result_open *opened;
	uint64_t node;

	serve_fake_init(&fake, NULL);
	node = made("file", "content").node;
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(SERVE_FAKE_CALL(&fake, OPEN, open, &opened, node, O_RDONLY), 0);
		serve_fake_start(&fake, 0, OP_RELEASE,
				 &(struct args_release){node, opened->handle});
	}
	serve_fake_deinit(&fake);
	cr_assert_eq(n_open("file"), 0);
}
