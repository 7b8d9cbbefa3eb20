#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/write_behind.h"
#include "fs_fake_tree.h"
#include "fs_kernel_files.h"
#include "fs_pattern.h"
#include "proto/ops_peer.h"

#define MIB    (1024 * 1024ull)
#define SECOND 1000000000ull

Test(fs_write, write_is_answered_at_once_and_shows_its_size)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	struct fuse_attr_out attr;
	struct fuse_entry_out entry;
	uint64_t flush, read;
	uint8_t data[64];

	fs_pattern_add(kernel, "note", 10);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &file), 0);
	cr_assert_eq(fs_kernel_getattr(kernel, file.node, &attr), 0);
	cr_assert_eq(attr.attr.size, 10);
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 8, "hello", 5), 5);
	/* From what is remembered: the size is ours, and not to be believed for long. */
	cr_assert_eq(fs_kernel_getattr(kernel, file.node, &attr), 0);
	cr_assert_eq(attr.attr.size, 13);
	cr_assert_eq(attr.attr_valid, 0);
	cr_assert_eq(attr.attr_valid_nsec, 0);
	flush = fs_kernel_file_send_flush(kernel, &file);
	read = fs_kernel_file_send_read(kernel, &file, 0, 64);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, flush), 1, "close waits for what was written");
	cr_assert_eq(fs_kernel_file_took(kernel, read), 1);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, flush), 0);
	cr_assert_eq(fs_kernel_file_took(kernel, read), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 64), 13);
	cr_assert_eq(memcmp(data + 8, "hello", 5), 0);
	cr_assert_eq(fs_kernel_lookup(kernel, fs_kernel_walk(kernel, "desk"), "note", &entry), 0);
	cr_assert_eq(entry.attr.size, 13);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_write, answer_that_a_write_overtook_does_not_show_the_old_size)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object;
	struct fs_kernel_file file;
	struct fs_kernel_reply *reply;
	struct fuse_entry_out entry;
	uint64_t desk, lookup;

	object = fs_pattern_add(kernel, "note", 10);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &file), 0);
	desk = fs_kernel_walk(kernel, "desk");
	fs_kernel_pass(kernel, 2 * SECOND);
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "0123456789abcdef", 16), 16);
	lookup = fs_kernel_send(kernel, FUSE_LOOKUP, desk, "note", 5);
	fs_kernel_run(kernel);
	/* The peer looks the name up first: other nodes' calls have an order of their own. */
	fs_fake_reverse(kernel->fake);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	reply = fs_kernel_take(kernel, lookup);
	cr_assert(reply && !reply->error);
	memcpy(&entry, reply->data, sizeof(entry));
	free(reply);
	cr_assert_eq(entry.attr.size, 16);
	cr_assert_eq(object->size, 16);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_write, older_answer_that_comes_after_a_write_shows_what_was_written)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = fs_pattern_add(kernel, "note", 10);
	struct fs_kernel_file file;
	struct fuse_entry_out entry;
	uint64_t desk = fs_kernel_walk(kernel, "desk");

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &file), 0);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "0123456789abcdef", 16), 16);
	/* As the peer saw it before the write. */
	object->ctime.tv_sec--;
	object->size = 10;
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "note", &entry), 0);
	cr_assert_eq(entry.attr.size, 16);
	cr_assert_eq(entry.attr_valid + entry.attr_valid_nsec, 0);
	/* But not for ever: clocks may be set back. */
	fs_kernel_pass(kernel, 2 * SECOND);
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "note", &entry), 0);
	cr_assert_eq(entry.attr.size, 10);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

/* Two writes at once, answered with these sizes, the second of which was looked at first or, with
 * `is_tick`, within the same tick of the peer's clock. */
static void check_newest_counts(uint64_t first, uint64_t second, bool is_tick)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = fs_pattern_add(kernel, "note", 0);
	struct attr attrs[2];
	struct fs_kernel_file file;
	struct fuse_attr_out attr;

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &file), 0);
	attrs[0] = attrs[1] = fs_fake_attr(object);
	attrs[0].size = first;
	attrs[1].size = second;
	attrs[1].ctime.tv_sec += 1;
	attrs[0].ctime.tv_sec += is_tick ? 1 : 2;
	kernel->fake->write_attrs = attrs;
	kernel->fake->n_write_attrs = 2;
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 8, "01234567", 8), 8);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "01234567", 8), 8);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_getattr(kernel, file.node, &attr), 0);
	cr_assert_eq(attr.attr.size, 16);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_write, of_writes_done_side_by_side_the_newest_attributes_count)
{
	check_newest_counts(16, 8, false);
	check_newest_counts(16, 8, true);
	check_newest_counts(8, 16, true);
}

Test(fs_write, written_file_has_the_bytes)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	static uint8_t data[128 * 1024];
	struct fs_fake_object *object;
	size_t size = 3 * MIB + 77;

	cr_assert_eq(fs_kernel_file_create(kernel, "desk", "new", O_RDWR, &file), 0);
	for (uint64_t at = 0; at < size; at += sizeof(data)) {
		size_t n = size - at < sizeof(data) ? size - at : sizeof(data);

		for (size_t i = 0; i < n; i++)
			data[i] = fs_pattern(at + i);
		cr_assert_eq(fs_kernel_file_write(kernel, &file, at, data, n), (int)n);
	}
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	object = fs_fake_find(kernel->fake->root, "new");
	cr_assert_eq(object->size, size);
	fs_pattern_check(object->data, size, 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_write, unacknowledged_writes_are_bounded)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	static uint8_t data[128 * 1024];
	uint64_t n = WRITE_BEHIND_FILE_MIN / sizeof(data), late;

	cr_assert_eq(fs_kernel_file_create(kernel, "desk", "new", O_WRONLY, &file), 0);
	kernel->fake->is_held = true;
	for (uint64_t i = 0; i < n; i++)
		cr_assert_eq(
		    fs_kernel_file_write(kernel, &file, i * sizeof(data), data, sizeof(data)),
		    sizeof(data));
	late = fs_kernel_file_send_write(kernel, &file, n * sizeof(data), data, sizeof(data));
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, late), 1, "the program waits");
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, late), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_write, failed_write_is_reported_once_by_every_handle)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file one, two, after;

	fs_pattern_add(kernel, "note", 10);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &one), 0);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &two), 0);
	kernel->fake->space = 10;
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_write(kernel, &one, 10, "x", 1), 1);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &after), 0);
	cr_assert_eq(fs_kernel_file_write(kernel, &one, 0, "y", 1), -ENOSPC);
	cr_assert_eq(fs_kernel_file_write(kernel, &one, 0, "y", 1), 1);
	cr_assert_eq(fs_kernel_file_fsync(kernel, &two), -ENOSPC);
	cr_assert_eq(fs_kernel_file_fsync(kernel, &two), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &one), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &two), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &after), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_write, failed_write_is_reported_by_close)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;

	cr_assert_eq(fs_kernel_file_create(kernel, "desk", "new", O_WRONLY, &file), 0);
	kernel->fake->space = 4;
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "12345", 5), 5);
	kernel->fake->is_held = false;
	cr_assert_eq(fs_kernel_file_close(kernel, &file), -ENOSPC);
	fs_kernel_file_finish(kernel);
}

Test(fs_write, append_goes_to_the_end_that_the_peer_sees)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	struct fs_fake_object *object = fs_pattern_add(kernel, "log", 3);
	uint64_t write;

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/log", O_WRONLY | O_APPEND, &file), 0);
	cr_assert(file.open_flags & FOPEN_DIRECT_IO);
	fs_fake_set(kernel->fake, object, "remote", 6);
	kernel->fake->is_held = true;
	write = fs_kernel_file_send_write(kernel, &file, 3, "local", 5);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, write), 1, "it is known only then");
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, write), 0);
	cr_assert_eq(object->size, 11);
	cr_assert_eq(memcmp(object->data, "remotelocal", 11), 0);
	kernel->fake->space = 11;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 11, "x", 1), -ENOSPC);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0, "it was said already");
	fs_kernel_file_finish(kernel);
}

Test(fs_write, a_short_write_is_reported_with_its_reason)
{
	static const int reasons[][2] = {{0, -ENOSPC}, {-EDQUOT, -EDQUOT}, {-EFBIG, -EFBIG}};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct fs_kernel *kernel = fs_kernel_new(NULL);
		struct fs_kernel_file file;

		fs_pattern_add(kernel, "note", 0);
		kernel->fake->space = 4;
		kernel->fake->short_error = reasons[i][0];
		cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_WRONLY, &file), 0);
		cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "0123456789", 10), 10);
		cr_assert_eq(fs_kernel_file_flush(kernel, &file), reasons[i][1]);
		cr_assert_eq(fs_kernel_file_close(kernel, &file), 0, "once");
		fs_kernel_file_finish(kernel);
	}
}

Test(fs_write, write_under_way_when_the_session_ends_is_reported)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;

	fs_pattern_add(kernel, "note", 100);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &file), 0);
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "x", 1), 1);
	fs_fake_session_new(kernel->fake);
	kernel->fake->is_held = false;
	cr_assert_eq(fs_kernel_file_fsync(kernel, &file), -EIO);
	cr_assert_eq(fs_kernel_file_fsync(kernel, &file), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}
