#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "proto/codec.h"
#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_dirs, .init = scratch_init_for_many, .fini = scratch_fini);

static struct serve_fake fake;

/* Reads dir_entries; returns how many, and finds one by name. */
static size_t parse(struct bytes input, const char *name, struct dir_entry *ret_found)
{
	struct dir_entry entry;
	size_t n = 0;

	for (; input.size > 0; n++) {
		cr_assert_eq(codec_decode(&dir_entry_record, &input, &entry, NULL), 0);
		if (name && entry.name.size == strlen(name) &&
		    memcmp(entry.name.data, name, entry.name.size) == 0)
			*ret_found = entry;
	}
	return n;
}

static struct serve_fake_call *start_list(uint64_t node)
{
	return serve_fake_start(&fake, 0, OP_READDIR, &(struct args_readdir){node});
}

/* The whole listing: its size; `name` must be in it if ret_found is given. */
static size_t list(uint64_t node, const char *name, struct dir_entry *ret_found)
{
	struct serve_fake_call *call = start_list(node);
	const struct result_readdir *result;
	struct dir_entry found = {0};
	size_t n;

	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	result = call->result;
	n = parse(result->entries, name, &found);
	if (result->more) {
		serve_fake_wait_stream(&fake, call);
		cr_assert_eq(call->end_error, 0);
		n += parse((struct bytes){call->stream.data, call->stream.size}, name, &found);
	}
	if (ret_found)
		*ret_found = found;
	return n;
}

Test(serve_dirs, lists_entries_as_lookup_finds_them)
{
	struct dir_entry found;
	struct entry entry;

	serve_fake_init(&fake, NULL);
	cr_assert_eq(list(1, NULL, NULL), 0);
	scratch_write(serve_fake_path("file"), "abc", 3, 0604);
	cr_assert_eq(symlink("/target", serve_fake_path("link")), 0);
	cr_assert_eq(mkdir(serve_fake_path(".loopsy"), 0700), 0);
	cr_assert_eq(list(1, "file", &found), 3);
	cr_assert_eq(serve_fake_walk(&fake, 0, "file", &entry), 0);
	cr_assert_eq(found.entry.node, entry.node);
	cr_assert_eq(found.entry.attr.mode, entry.attr.mode);
	cr_assert_eq(found.entry.attr.size, 3);
	list(1, "link", &found);
	cr_assert_eq(found.entry.target.size, 7);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, READDIR, readdir, NULL, entry.node), -ENOTDIR);
	serve_fake_deinit(&fake);
}

/* Takes names off a stream; returns how many. The one that is looked for goes to ret_found. */
static size_t parse_names(struct bytes input, const char *name, struct dir_name *ret_found)
{
	struct dir_name one;
	size_t n = 0;

	for (; input.size > 0; n++) {
		cr_assert_eq(codec_decode(&dir_name_record, &input, &one, NULL), 0);
		if (one.name.size == strlen(name) &&
		    memcmp(one.name.data, name, one.name.size) == 0)
			*ret_found = one;
	}
	return n;
}

/* Behind `from` of args. */
static struct serve_fake_call *list_names(const struct args_readdir *args, size_t *ret_n_entries)
{
	struct serve_fake_call *call = serve_fake_start(&fake, 0, OP_READDIR, args);

	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	*ret_n_entries = parse(((const struct result_readdir *)call->result)->entries, NULL, NULL);
	if (call->streaming) {
		serve_fake_wait_stream(&fake, call);
		cr_assert_eq(call->end_error, 0);
		*ret_n_entries +=
		    parse((struct bytes){call->stream.data, call->stream.size}, NULL, NULL);
	}
	return call;
}

Test(serve_dirs, names_alone_are_told_with_number_and_type)
{
	enum { FILES = 3000 };
	struct args_readdir args = {.node = 1, .n_entries = 100};
	struct serve_fake_call *call;
	struct dir_name found = {0}, first = {0};
	size_t n_entries, n_names, n_rest;
	char last[32];
	struct stat st;

	serve_fake_init(&fake, NULL);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(last, sizeof(last), "name-%u", i);
		scratch_write(serve_fake_path(last), "", 0, 0600);
	}
	call = list_names(&args, &n_entries);
	n_names = parse_names((struct bytes){call->names.data, call->names.size}, last, &found);
	cr_assert_geq(n_entries, 100);
	cr_assert_lt(n_entries, FILES / 2);
	cr_assert_eq(n_entries + n_names, FILES);
	/* From each name on the rest can be read, with attributes. */
	first = (struct dir_name){0};
	call = list_names(&args, &n_entries);
	cr_assert_eq(codec_decode(&dir_name_record,
				  &(struct bytes){call->names.data, call->names.size}, &first,
				  NULL),
		     0);
	cr_assert_eq(first.mode, S_IFREG);
	snprintf(last, sizeof(last), "%.*s", (int)first.name.size, (const char *)first.name.data);
	cr_assert_eq(lstat(serve_fake_path(last), &st), 0);
	cr_assert_eq(first.ino, st.st_ino);
	args = (struct args_readdir){.node = 1, .from = first.at};
	call = list_names(&args, &n_rest);
	cr_assert_eq(n_rest, n_names);
	cr_assert_eq(call->names.size, 0);
	/* A place that makes no sense is the peer's own harm. */
	args.from = UINT64_MAX;
	cr_assert_eq(serve_fake_wait(&fake, serve_fake_start(&fake, 0, OP_READDIR, &args)),
		     -EINVAL);
	serve_fake_deinit(&fake);
}

struct exchanger {
	pthread_t thread;
	atomic_bool stop;
	char a[1024], b[1024];
};

static void *exchange(void *arg)
{
	struct exchanger *exchanger = arg;

	while (!exchanger->stop)
		renameat2(AT_FDCWD, exchanger->a, AT_FDCWD, exchanger->b, RENAME_EXCHANGE);
	return NULL;
}

/* What is listed is looked at by name, with more than one question. */
Test(serve_dirs, an_entry_is_one_object_while_names_are_exchanged)
{
	struct exchanger exchanger = {0};
	struct stat small, large;
	unsigned n_small = 0, n_large = 0;

	serve_fake_init(&fake, NULL);
	scratch_write(serve_fake_path("a"), "abc", 3, 0600);
	scratch_write(serve_fake_path("b"), "abcdef", 6, 0644);
	strcpy(exchanger.a, serve_fake_path("a"));
	strcpy(exchanger.b, serve_fake_path("b"));
	cr_assert_eq(stat(exchanger.a, &small), 0);
	cr_assert_eq(stat(exchanger.b, &large), 0);
	cr_assert_eq(pthread_create(&exchanger.thread, NULL, exchange, &exchanger), 0);
	for (unsigned i = 0; i < 20000 && (i < 500 || !n_small || !n_large); i++) {
		const struct result_getattr *now;
		struct dir_entry found = {0};
		bool is_small;

		list(1, "a", &found);
		if (!found.entry.node) /* it was elsewhere just then */
			continue;
		is_small = found.entry.attr.ino == small.st_ino;
		cr_assert_eq(found.entry.attr.ino, is_small ? small.st_ino : large.st_ino);
		cr_assert_eq(found.entry.attr.size, is_small ? 3 : 6);
		cr_assert_eq(found.entry.attr.mode & 07777, is_small ? 0600 : 0644);
		*(is_small ? &n_small : &n_large) += 1;
		/* Its number leads to that object, or to none. */
		if (SERVE_FAKE_CALL(&fake, GETATTR, getattr, &now, found.entry.node) == 0)
			cr_assert_eq(now->attr.ino, found.entry.attr.ino);
	}
	exchanger.stop = true;
	pthread_join(exchanger.thread, NULL);
	cr_assert_gt(n_small, 0);
	cr_assert_gt(n_large, 0);
	serve_fake_deinit(&fake);
}

static void make_many(unsigned n)
{
	char name[32];
	int dir = open(serve_fake_path("."), O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "name-%06u", i);
		cr_assert_eq(symlinkat("to", dir, name), 0);
	}
	close(dir);
}

Test(serve_dirs, lists_100000_entries)
{
	struct dir_entry found;

	serve_fake_init(&fake, &(struct serve_options){.max_nodes = 99000});
	make_many(100000);
	fake.window = SIZE_MAX;
	cr_assert_eq(list(1, "name-054321", &found),
		     100000); /* those above the limit without node */
	cr_assert(S_ISLNK(found.entry.attr.mode));
	serve_fake_deinit(&fake);
}

Test(serve_dirs, waits_for_credit)
{
	struct serve_fake_call *call;
	size_t before;

	serve_fake_init(&fake, NULL);
	make_many(3000);
	fake.window = 5000;
	call = start_list(1);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	/* As much as there was room for, then nothing until there is credit. */
	while (call->stream.size < 4000)
		uv_run(&fake.loop, UV_RUN_ONCE);
	cr_assert_leq(call->stream.size, 5000);
	while (!call->ended) {
		before = call->stream.size;
		call->window = 5000;
		call->ready(call->ready_arg, 0);
		while (call->stream.size == before && !call->ended)
			uv_run(&fake.loop, UV_RUN_ONCE);
		cr_assert_leq(call->stream.size, before + 5000);
	}
	cr_assert_eq(parse(((struct result_readdir *)call->result)->entries, NULL, NULL) +
			 parse((struct bytes){call->stream.data, call->stream.size}, NULL, NULL),
		     3000);
	serve_fake_deinit(&fake);
}

Test(serve_dirs, ends_with_its_session_and_with_a_cancel)
{
	struct serve_fake_call *call;

	serve_fake_init(&fake, NULL);
	make_many(5000);
	fake.window = 0;
	call = start_list(1);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	call->ended = true; /* the link broke */
	call->ready(call->ready_arg, -ENOTCONN);
	call = start_list(1);
	serve_fake_cancel(&fake, 0, call);
	cr_assert_eq(serve_fake_wait(&fake, call), -EINTR);
	call = start_list(1);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	call = start_list(1);
	serve_fake_close_session(&fake, 0);
	serve_fake_wait(&fake, call);
	serve_fake_deinit(&fake);
}

Test(serve_dirs, an_entry_that_cannot_be_looked_at_has_its_name_and_type)
{
	struct dir_entry found;

	serve_fake_init(&fake, &(struct serve_options){.max_nodes = 1});
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	cr_assert_eq(list(1, "dir", &found), 1);
	cr_assert_eq(found.entry.node, 0);
	cr_assert(S_ISDIR(found.entry.attr.mode));
	serve_fake_deinit(&fake);
}
