/* kv/ as it is listed, and what is asked for behind that. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs_fake_kv.h"
#include "fs_kernel_files.h"

#define DIR "desk/.loopsy/kv"

struct opened {
	uint64_t node, handle;
};

static struct fs_kernel *start(void)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	fs_fake_kv_set(kernel->fake, "a", 1, 0);
	fs_fake_kv_set(kernel->fake, "a/b", 2, 0);
	fs_fake_kv_set(kernel->fake, "b", 3, 0);
	fs_fake_kv_set(kernel->fake, "c", 4, 0);
	fs_fake_kv_set(kernel->fake, "d", 5, 0);
	return kernel;
}

static void seen(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	snprintf((char *)arg + strlen(arg), 4096 - strlen(arg), "%.*s ", (int)dirent->namelen,
		 dirent->name);
}

static struct opened open_dir(struct fs_kernel *kernel)
{
	struct opened dir = {.node = fs_kernel_walk(kernel, DIR)};

	cr_assert_eq(fs_kernel_open(kernel, FUSE_OPENDIR, dir.node, &dir.handle), 0);
	return dir;
}

static void close_dir(struct fs_kernel *kernel, struct opened dir)
{
	fs_kernel_release(kernel, FUSE_RELEASEDIR, dir.node, dir.handle);
	fs_kernel_run(kernel);
}

static void end(struct fs_kernel *kernel, struct opened dir)
{
	close_dir(kernel, dir);
	fs_kernel_free(kernel, true);
}

/* Its size, or -errno. */
static int64_t size_of(struct fs_kernel *kernel, struct opened dir, const char *name)
{
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	int error = fs_kernel_lookup(kernel, dir.node, name, &entry);

	if (error)
		return error;
	cr_assert_eq(entry.entry_valid + entry.entry_valid_nsec + entry.attr_valid +
			 entry.attr_valid_nsec,
		     0);
	cr_assert_eq(fs_kernel_getattr(kernel, entry.nodeid, &attr), 0);
	cr_assert_eq(attr.attr.size, entry.attr.size);
	fs_kernel_forget(kernel, entry.nodeid, 1);
	return (int64_t)attr.attr.size;
}

static unsigned n_asked(const struct fs_kernel *kernel)
{
	return kernel->fake->n_asked[OP_KV_STAT];
}

Test(fs_control_kv, what_was_listed_is_not_asked_for_again)
{
	struct fs_kernel *kernel = start();
	struct opened dir = open_dir(kernel);
	char names[4096] = "";
	uint64_t offset = 0;

	while (fs_kernel_readdir(kernel, dir.node, dir.handle, &offset, 512, true, seen, names) > 0)
		continue;
	cr_assert_str_eq(names, ". .. a a%2Fb b c d ");
	cr_assert_eq(size_of(kernel, dir, "a"), 1);
	cr_assert_eq(size_of(kernel, dir, "a%2Fb"), 2);
	cr_assert_eq(size_of(kernel, dir, "c"), 4);
	cr_assert_eq(size_of(kernel, dir, "d"), 5);
	cr_assert_eq(n_asked(kernel), 0);
	/* What is not in it may be there by now. */
	cr_assert_eq(size_of(kernel, dir, "e"), -ENOENT);
	cr_assert_eq(n_asked(kernel), 1);
	end(kernel, dir);
}

Test(fs_control_kv, a_change_by_others_is_seen)
{
	struct fs_kernel *kernel = start();
	struct opened dir = open_dir(kernel);

	fs_fake_kv_set(kernel->fake, "a", 10, 0);
	fs_fake_kv_del(kernel->fake, "b");
	fs_fake_kv_set(kernel->fake, "e", 11, 0);
	fs_kernel_run(kernel);
	cr_assert_eq(size_of(kernel, dir, "a"), 10);
	cr_assert_eq(size_of(kernel, dir, "b"), -ENOENT);
	cr_assert_eq(size_of(kernel, dir, "e"), 11);
	cr_assert_eq(size_of(kernel, dir, "c"), 4);
	cr_assert_eq(n_asked(kernel), 5);
	end(kernel, dir);
}

Test(fs_control_kv, a_change_from_here_is_seen_before_it_is_told)
{
	struct fs_kernel *kernel = start();
	struct opened dir = open_dir(kernel);
	struct fs_kernel_file file;

	cr_assert_eq(fs_kernel_name_op(kernel, FUSE_UNLINK, dir.node, NULL, 0, "a", NULL), 0);
	cr_assert_eq(size_of(kernel, dir, "a"), -ENOENT);
	cr_assert_eq(fs_kernel_file_open(kernel, DIR "/c", O_WRONLY | O_TRUNC, &file), 0);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "1234567", 7), 7);
	cr_assert_eq(fs_kernel_file_flush(kernel, &file), 0);
	cr_assert_eq(size_of(kernel, dir, "c"), 7);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert_eq(size_of(kernel, dir, "c"), 7);
	cr_assert_eq(size_of(kernel, dir, "d"), 5);
	end(kernel, dir);
}

/* Page by page: between them, keys change that have come, and keys that have not. */
static void change_between_pages(struct fs_fake *fake, uint16_t op, struct transport_reply *reply,
				 void *result)
{
	if (op != OP_KV_LIST)
		return;
	fake->lie = NULL;
	fs_fake_kv_set(fake, "a", 20, 0);
	fs_fake_kv_set(fake, "d", 21, 0);
	fs_fake_kv_del(fake, "a/b");
}

Test(fs_control_kv, what_changes_while_pages_come_is_asked_for)
{
	struct fs_kernel *kernel = start();
	struct opened dir;

	kernel->fake->lie = change_between_pages;
	dir = open_dir(kernel);
	cr_assert_eq(size_of(kernel, dir, "a"), 20);
	cr_assert_eq(size_of(kernel, dir, "a%2Fb"), -ENOENT);
	cr_assert_eq(size_of(kernel, dir, "d"), 21);
	cr_assert_eq(n_asked(kernel), 5);
	cr_assert_eq(size_of(kernel, dir, "c"), 4);
	cr_assert_eq(n_asked(kernel), 5);
	end(kernel, dir);
}

Test(fs_control_kv, without_a_watch_all_is_asked_for)
{
	struct fs_kernel *kernel = start();
	struct opened dir;

	kernel->fake->error[OP_KV_WATCH] = -EMFILE;
	dir = open_dir(kernel);
	cr_assert_eq(size_of(kernel, dir, "a"), 1);
	cr_assert_eq(n_asked(kernel), 2);
	close_dir(kernel, dir);
	kernel->fake->error[OP_KV_WATCH] = 0;
	dir = open_dir(kernel);
	cr_assert_eq(size_of(kernel, dir, "a"), 1);
	cr_assert_eq(n_asked(kernel), 2);
	fs_fake_link_lost(kernel->fake);
	cr_assert_eq(size_of(kernel, dir, "a"), 1);
	cr_assert_eq(n_asked(kernel), 4);
	end(kernel, dir);
}

Test(fs_control_kv, it_is_known_as_long_as_it_is_used)
{
	struct fs_kernel *kernel = start();
	struct opened dir = open_dir(kernel), second = open_dir(kernel);

	cr_assert_eq(kernel->fake->n_streams, 1); /* the last one's */
	close_dir(kernel, dir);
	close_dir(kernel, second);
	cr_assert_eq(kernel->fake->n_streams, 1);
	for (int i = 0; i < 5; i++) {
		fs_kernel_pass(kernel, 900000000);
		cr_assert_eq(size_of(kernel, dir, "a"), 1);
	}
	cr_assert_eq(n_asked(kernel), 0);
	fs_kernel_pass(kernel, 2100000000);
	cr_assert_eq(kernel->fake->n_streams, 0);
	cr_assert_eq(size_of(kernel, dir, "a"), 1);
	cr_assert_eq(n_asked(kernel), 2);
	fs_kernel_free(kernel, true);
}

Test(fs_control_kv, what_is_over_is_asked_for)
{
	struct fs_kernel *kernel = start();
	struct opened dir;

	fs_fake_kv_set(kernel->fake, "short", 6, 1500);
	dir = open_dir(kernel);
	cr_assert_eq(size_of(kernel, dir, "short"), 6);
	fs_kernel_pass(kernel, 1499000000);
	cr_assert_eq(size_of(kernel, dir, "short"), 6);
	cr_assert_eq(n_asked(kernel), 0);
	fs_kernel_pass(kernel, 1000000);
	cr_assert_eq(size_of(kernel, dir, "short"), 6);
	cr_assert_eq(n_asked(kernel), 2);
	end(kernel, dir);
}

Test(fs_control_kv, one_that_is_known_is_gone_with_its_peer)
{
	struct fs_kernel *kernel = start();
	struct opened dir = open_dir(kernel);

	cr_assert_eq(size_of(kernel, dir, "a"), 1);
	fs_peer_remove(kernel->peer);
	kernel->peer = NULL;
	fs_kernel_run(kernel);
	cr_assert_lt(size_of(kernel, dir, "a"), 0);
	close_dir(kernel, dir);
	fs_kernel_pass(kernel, 2000000000);
	fs_kernel_free(kernel, false);
}

/* A page in another order: what is in it could not be found. */
static void reverse_pages(struct fs_fake *fake, uint16_t op, struct transport_reply *reply,
			  void *result)
{
	static const char *const keys[] = {"z", "a"};
	static struct buffer scratch;
	struct result_kv_list *list = result;

	if (op != OP_KV_LIST)
		return;
	*list = (struct result_kv_list){0};
	scratch.size = 0;
	for (int i = 0; i < 2; i++)
		codec_list_append(&list->entries, &scratch, &kv_entry_record,
				  &(struct kv_entry){.key = {(const uint8_t *)keys[i], 1}});
	codec_list_finish(&list->entries, &scratch);
}

Test(fs_control_kv, a_listing_without_order_is_not_believed)
{
	struct fs_kernel *kernel = start();
	struct opened dir;

	kernel->fake->lie = reverse_pages;
	dir = open_dir(kernel);
	cr_assert_eq(size_of(kernel, dir, "a"), 1);
	cr_assert_eq(size_of(kernel, dir, "z"), -ENOENT);
	cr_assert_eq(n_asked(kernel), 3);
	fs_kernel_run(kernel);
	cr_assert_eq(kernel->fake->n_streams, 0);
	close_dir(kernel, dir);
	fs_kernel_free(kernel, false);
}
