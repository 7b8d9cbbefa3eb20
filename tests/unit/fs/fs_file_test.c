#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs_fake_files.h"
#include "fs_kernel_files.h"
#include "fs/write_behind.h"
#include "proto/ops_peer.h"

#define KIB    1024ull
#define MIB    (1024 * KIB)
#define SECOND 1000000000ull

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 37 + (at >> 8) * 11 + (at >> 16));
}

static struct fs_fake_object *add_file(struct fs_kernel *kernel, const char *name, size_t size)
{
	struct fs_fake_object *file =
	    fs_fake_add(kernel->fake, kernel->fake->root, name, S_IFREG | 0644);
	uint8_t *data = malloc(size + 1);

	for (size_t i = 0; i < size; i++)
		data[i] = pattern(i);
	fs_fake_set(kernel->fake, file, data, size);
	free(data);
	return file;
}

static void forget_asked(struct fs_kernel *kernel)
{
	memset(kernel->fake->n_asked, 0, sizeof(kernel->fake->n_asked));
}

static void check_bytes(const uint8_t *data, size_t size, uint64_t offset)
{
	for (size_t i = 0; i < size; i++)
		cr_assert_eq(data[i], pattern(offset + i), "byte %zu", (size_t)offset + i);
}

/* Ends: nothing may be left open on the peer, and no frame kept. */
static void finish(struct fs_kernel *kernel)
{
	fs_kernel_run(kernel);
	cr_assert_eq(kernel->fake->n_handles, 0);
	cr_assert_eq(kernel->fake->n_frames, 0);
	fs_kernel_free(kernel, false);
}

Test(fs_file, small_file_is_one_round_trip)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	uint8_t data[8192];

	add_file(kernel, "small", 5000);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/small", O_RDONLY, &file), 0);
	forget_asked(kernel);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 8192), 5000);
	check_bytes(data, 5000, 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 4096, data, 4096), 904);
	check_bytes(data, 904, 4096);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert_eq(kernel->fake->n_whole, 1);
	cr_assert_eq(kernel->fake->n_asked[OP_READ], 0);
	cr_assert_eq(kernel->fake->n_asked[OP_FLUSH], 0);
	cr_assert_eq(kernel->fake->n_asked[OP_RELEASE], 1);
	finish(kernel);
}

Test(fs_file, close_of_what_was_only_read_waits_for_nobody)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;

	add_file(kernel, "small", 5000);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/small", O_RDONLY, &file), 0);
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	kernel->fake->is_held = false;
	finish(kernel);
}

Test(fs_file, large_file_is_read_ahead_once)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	static uint8_t data[128 * 1024];
	size_t size = 5 * MIB + 1234;

	add_file(kernel, "large", size);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDONLY, &file), 0);
	forget_asked(kernel);
	for (uint64_t at = 0; at < size; at += sizeof(data)) {
		int n = fs_kernel_file_read(kernel, &file, at, data, sizeof(data));

		cr_assert_eq(n, (int)(size - at < sizeof(data) ? size - at : sizeof(data)));
		check_bytes(data, (size_t)n, at);
	}
	cr_assert_eq(kernel->fake->n_asked[OP_READ], (size + OPS_IO_MAX - 1) / OPS_IO_MAX);
	/* With the peer stopped, what is ahead answers. */
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	finish(kernel);
}

Test(fs_file, what_was_read_ahead_answers_without_the_peer)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	static uint8_t data[128 * 1024];

	add_file(kernel, "large", 4 * MIB);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDONLY, &file), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, sizeof(data)), sizeof(data));
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_read(kernel, &file, sizeof(data), data, sizeof(data)),
		     sizeof(data));
	check_bytes(data, sizeof(data), sizeof(data));
	kernel->fake->is_held = false;
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	finish(kernel);
}

Test(fs_file, random_and_direct_reads_are_exact)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file, direct;
	static uint8_t data[128 * 1024];

	add_file(kernel, "large", 4 * MIB);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDONLY, &file), 0);
	kernel->fake->bytes_asked = 0;
	for (int i = 0; i < 100; i++) {
		uint64_t at = (uint64_t)(i * 7919 % 1000) * 4096;

		cr_assert_eq(fs_kernel_file_read(kernel, &file, at, data, 4096), 4096);
		check_bytes(data, 4096, at);
	}
	cr_assert_eq(kernel->fake->bytes_asked, 100 * 4096);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDONLY | O_DIRECT, &direct), 0);
	kernel->fake->bytes_asked = 0;
	for (uint64_t at = 0; at < MIB; at += sizeof(data))
		cr_assert_eq(fs_kernel_file_read(kernel, &direct, at, data, sizeof(data)),
			     sizeof(data));
	cr_assert_eq(kernel->fake->bytes_asked, MIB);
	cr_assert_eq(fs_kernel_file_close(kernel, &direct), 0);
	finish(kernel);
}

Test(fs_file, write_is_answered_at_once_and_shows_its_size)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	struct fuse_attr_out attr;
	struct fuse_entry_out entry;
	uint64_t flush, read;
	uint8_t data[64];

	add_file(kernel, "note", 10);
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
	finish(kernel);
}

Test(fs_file, answer_that_a_write_overtook_does_not_show_the_old_size)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object;
	struct fs_kernel_file file;
	struct fs_kernel_reply *reply;
	struct fuse_entry_out entry;
	uint64_t desk, lookup;

	object = add_file(kernel, "note", 10);
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
	finish(kernel);
}

Test(fs_file, older_answer_that_comes_after_a_write_shows_what_was_written)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = add_file(kernel, "note", 10);
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
	finish(kernel);
}

/* Two writes at once, answered with these sizes, the second of which was looked at first or, with
 * `is_tick`, within the same tick of the peer's clock. */
static void check_newest_counts(uint64_t first, uint64_t second, bool is_tick)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = add_file(kernel, "note", 0);
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
	finish(kernel);
}

Test(fs_file, of_writes_done_side_by_side_the_newest_attributes_count)
{
	check_newest_counts(16, 8, false);
	check_newest_counts(16, 8, true);
	check_newest_counts(8, 16, true);
}

Test(fs_file, written_file_has_the_bytes)
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
			data[i] = pattern(at + i);
		cr_assert_eq(fs_kernel_file_write(kernel, &file, at, data, n), (int)n);
	}
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	object = fs_fake_find(kernel->fake->root, "new");
	cr_assert_eq(object->size, size);
	check_bytes(object->data, size, 0);
	finish(kernel);
}

Test(fs_file, unacknowledged_writes_are_bounded)
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
	finish(kernel);
}

Test(fs_file, failed_write_is_reported_once_by_every_handle)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file one, two, after;

	add_file(kernel, "note", 10);
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
	finish(kernel);
}

Test(fs_file, failed_write_is_reported_by_close)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;

	cr_assert_eq(fs_kernel_file_create(kernel, "desk", "new", O_WRONLY, &file), 0);
	kernel->fake->space = 4;
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "12345", 5), 5);
	kernel->fake->is_held = false;
	cr_assert_eq(fs_kernel_file_close(kernel, &file), -ENOSPC);
	finish(kernel);
}

Test(fs_file, append_goes_to_the_end_that_the_peer_sees)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	struct fs_fake_object *object = add_file(kernel, "log", 3);
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
	finish(kernel);
}

Test(fs_file, pages_stay_while_the_file_is_the_same)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = add_file(kernel, "note", 100);
	struct fs_kernel_file file;

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDONLY, &file), 0);
		cr_assert_eq(!!(file.open_flags & FOPEN_KEEP_CACHE), i > 0);
		cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	}
	cr_assert_eq(kernel->fake->n_whole, 1, "what the kernel has is not sent again");
	fs_fake_set(kernel->fake, object, "changed", 7);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDONLY, &file), 0);
	cr_assert_not(file.open_flags & FOPEN_KEEP_CACHE);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);

	/* A ctime of just now may be that of two changes. */
	fs_fake_set(kernel->fake, object, "again", 5);
	object->is_fresh = true;
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDONLY, &file), 0);
		cr_assert_not(file.open_flags & FOPEN_KEEP_CACHE);
		cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	}
	finish(kernel);
}

Test(fs_file, a_short_write_is_reported_with_its_reason)
{
	static const int reasons[][2] = {{0, -ENOSPC}, {-EDQUOT, -EDQUOT}, {-EFBIG, -EFBIG}};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct fs_kernel *kernel = fs_kernel_new(NULL);
		struct fs_kernel_file file;

		add_file(kernel, "note", 0);
		kernel->fake->space = 4;
		kernel->fake->short_error = reasons[i][0];
		cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_WRONLY, &file), 0);
		cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "0123456789", 10), 10);
		cr_assert_eq(fs_kernel_file_flush(kernel, &file), reasons[i][1]);
		cr_assert_eq(fs_kernel_file_close(kernel, &file), 0, "once");
		finish(kernel);
	}
}

Test(fs_file, own_write_drops_what_was_read_ahead)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	static uint8_t data[128 * 1024];

	add_file(kernel, "large", 4 * MIB);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDWR, &file), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, sizeof(data)), sizeof(data));
	cr_assert_eq(fs_kernel_file_write(kernel, &file, sizeof(data), "mine", 4), 4);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, sizeof(data), data, sizeof(data)),
		     sizeof(data));
	cr_assert_eq(memcmp(data, "mine", 4), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	finish(kernel);
}

Test(fs_file, change_on_the_peer_is_read_after_a_second)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = add_file(kernel, "small", 5000);
	struct fs_kernel_file file;
	uint8_t data[8192];

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/small", O_RDONLY, &file), 0);
	object->data[17] = 200;
	fs_kernel_pass(kernel, SECOND + SECOND / 10);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 8192), 5000);
	cr_assert_eq(data[17], 200);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	finish(kernel);
}

Test(fs_file, open_with_truncation_empties_it)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = add_file(kernel, "note", 100);
	struct fs_kernel_file old, file;
	struct fuse_attr_out attr;
	uint8_t data[64];

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDONLY, &old), 0);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_WRONLY | O_TRUNC, &file), 0);
	cr_assert_eq(object->size, 0);
	cr_assert_eq(fs_kernel_getattr(kernel, file.node, &attr), 0);
	cr_assert_eq(attr.attr.size, 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &old, 0, data, 64), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &old), 0);
	finish(kernel);
}

Test(fs_file, peer_that_is_down_says_so)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	uint8_t data[4096];

	add_file(kernel, "large", MIB);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDWR, &file), 0);
	kernel->fake->is_down = true;
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 4096), -EHOSTDOWN);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "x", 1), -EHOSTDOWN);
	cr_assert_eq(fs_kernel_file_fsync(kernel, &file), -EHOSTDOWN);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	kernel->fake->is_down = false;
	fs_kernel_run(kernel);
	fs_kernel_free(kernel, false);
}

Test(fs_file, reader_that_is_killed_ends_at_once)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	uint64_t read, write;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	add_file(kernel, "large", MIB);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDWR | O_SYNC, &file), 0);
	kernel->fake->is_held = true;
	kernel->pid = (uint32_t)pid;
	read = fs_kernel_file_send_read(kernel, &file, 0, 4096);
	write = fs_kernel_file_send_write(kernel, &file, 0, "x", 1);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, read), 1);
	fs_kernel_file_interrupt(kernel, read);
	fs_kernel_file_interrupt(kernel, write);
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, read), -EINTR);
	cr_assert_eq(fs_kernel_file_took(kernel, write), -EINTR);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	kernel->fake->is_held = false;
	finish(kernel);
}

Test(fs_file, open_that_was_interrupted_leaves_nothing_open)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fuse_open_in in = {.flags = O_RDONLY};
	uint64_t node, open;

	add_file(kernel, "note", 10);
	node = fs_kernel_walk(kernel, "desk/note");
	kernel->fake->is_held = true;
	kernel->fake->ignores_cancel = true;
	open = fs_kernel_send(kernel, FUSE_OPEN, node, &in, sizeof(in));
	fs_kernel_run(kernel);
	fs_kernel_file_interrupt(kernel, open);
	fs_kernel_run(kernel);
	fs_kernel_pass(kernel, 3 * SECOND);
	cr_assert_eq(fs_kernel_file_took(kernel, open), -EINTR);
	kernel->fake->is_held = false;
	finish(kernel);
}

/* --- ranges ----------------------------------------------------------------------------------- */

Test(fs_file, ranges_are_done_on_the_peer)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = add_file(kernel, "from", 1000), *copy;
	struct fs_kernel_file from, to;
	struct fuse_copy_file_range_in range;
	struct fuse_fallocate_in allocate;
	struct fuse_lseek_in seek;
	struct fs_kernel_reply *reply;
	struct fuse_write_out out;
	struct fuse_lseek_out found;
	struct fuse_attr_out attr;

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/from", O_RDWR, &from), 0);
	cr_assert_eq(fs_kernel_file_create(kernel, "desk", "to", O_RDWR, &to), 0);
	cr_assert_eq(fs_kernel_file_write(kernel, &to, 0, "start", 5), 5);
	range = (struct fuse_copy_file_range_in){.fh_in = from.handle,
						 .off_in = 10,
						 .nodeid_out = to.node,
						 .fh_out = to.handle,
						 .off_out = 5,
						 .len = 500};
	reply = fs_kernel_ask(kernel, FUSE_COPY_FILE_RANGE, from.node, &range, sizeof(range));
	cr_assert_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	free(reply);
	cr_assert_eq(out.size, 500);
	copy = fs_fake_find(kernel->fake->root, "to");
	cr_assert_eq(copy->size, 505);
	cr_assert_eq(memcmp(copy->data, "start", 5), 0);
	check_bytes(copy->data + 5, 500, 10);
	cr_assert_eq(kernel->fake->n_asked[OP_READ], 0);

	allocate = (struct fuse_fallocate_in){.fh = from.handle, .offset = 0, .length = 4000};
	reply = fs_kernel_ask(kernel, FUSE_FALLOCATE, from.node, &allocate, sizeof(allocate));
	cr_assert_eq(reply->error, 0);
	free(reply);
	cr_assert_eq(object->size, 4000);
	cr_assert_eq(fs_kernel_getattr(kernel, from.node, &attr), 0);
	cr_assert_eq(attr.attr.size, 4000);

	seek = (struct fuse_lseek_in){.fh = from.handle, .offset = 7, .whence = SEEK_HOLE};
	reply = fs_kernel_ask(kernel, FUSE_LSEEK, from.node, &seek, sizeof(seek));
	cr_assert_eq(reply->error, 0);
	memcpy(&found, reply->data, sizeof(found));
	free(reply);
	cr_assert_eq(found.offset, 4000);
	seek.offset = 5000;
	reply = fs_kernel_ask(kernel, FUSE_LSEEK, from.node, &seek, sizeof(seek));
	cr_assert_eq(reply->error, -ENXIO);
	free(reply);
	cr_assert_eq(fs_kernel_file_close(kernel, &from), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &to), 0);
	finish(kernel);
}

/* --- a new session ---------------------------------------------------------------------------- */

Test(fs_file, open_file_goes_on_in_a_new_session)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = add_file(kernel, "note", 100);
	struct fs_kernel_file file;
	uint8_t data[4096];
	uint64_t read;

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR | O_TRUNC, &file), 0);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "before", 6), 6);
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 4096), 6);
	cr_assert_eq(memcmp(data, "before", 6), 0, "it is not truncated again");
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 6, " after", 6), 6);
	cr_assert_eq(fs_kernel_file_fsync(kernel, &file), 0);
	cr_assert_eq(object->size, 12);
	cr_assert_eq(memcmp(object->data, "before after", 12), 0);
	/* Also with a call under way. */
	kernel->fake->is_held = true;
	read = fs_kernel_file_send_read(kernel, &file, 4096, 4096);
	fs_kernel_run(kernel);
	fs_fake_session_new(kernel->fake);
	kernel->fake->is_held = false;
	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_took(kernel, read), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	finish(kernel);
}

Test(fs_file, write_under_way_when_the_session_ends_is_reported)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;

	add_file(kernel, "note", 100);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &file), 0);
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "x", 1), 1);
	fs_fake_session_new(kernel->fake);
	kernel->fake->is_held = false;
	cr_assert_eq(fs_kernel_file_fsync(kernel, &file), -EIO);
	cr_assert_eq(fs_kernel_file_fsync(kernel, &file), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	finish(kernel);
}

Test(fs_file, file_that_was_replaced_meanwhile_is_stale)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	uint8_t data[4096];

	add_file(kernel, "note", 100);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &file), 0);
	fs_kernel_pass(kernel, 2 * SECOND);
	fs_fake_remove(kernel->fake->root, "note");
	add_file(kernel, "note", 100);
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 4096), -ESTALE);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "x", 1), -ESTALE);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	finish(kernel);
}

/* The kernel would read no further than the size that it knows, which is the other one's. */
Test(fs_file, a_file_that_takes_a_place_before_its_open_is_opened_when_the_others_size_is_forgotten)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fuse_open_in in = {.flags = O_RDONLY};
	struct fs_kernel_reply *reply = NULL;
	time_t deadline = time(NULL) + 60;
	struct fs_kernel_file file;
	struct fuse_attr_out attr;
	struct fuse_open_out out;
	uint8_t data[4096];
	uint64_t unique;

	add_file(kernel, "note", 100);
	file.node = fs_kernel_walk(kernel, "desk/note");
	fs_fake_remove(kernel->fake->root, "note");
	add_file(kernel, "note", 101);
	unique = fs_kernel_send(kernel, FUSE_OPEN, file.node, &in, sizeof(in));
	while (!reply && time(NULL) < deadline) { /* another thread tells the kernel */
		fs_kernel_run(kernel);
		reply = fs_kernel_take(kernel, unique);
	}
	cr_assert_not_null(reply);
	cr_assert_eq(reply->error, 0);
	cr_assert_gt(reply->n_notified, 0);
	memcpy(&out, reply->data, sizeof(out));
	free(reply);
	cr_assert_not(out.open_flags & FOPEN_KEEP_CACHE);
	file = (struct fs_kernel_file){.node = file.node, .handle = out.fh, .flags = O_RDONLY};
	cr_assert_eq(fs_kernel_getattr(kernel, file.node, &attr), 0);
	cr_assert_eq(attr.attr.size, 101);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 4096), 101);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	finish(kernel);
}

/* --- any order -------------------------------------------------------------------------------- */

/* Reads and writes through two handles, with the peer now and then silent: each read finds what was
 * written before it. */
Test(fs_file, reads_see_writes_whatever_happens)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file files[2];
	static uint8_t model[MIB], data[128 * 1024];
	size_t size = 300 * KIB;
	uint64_t random = 7;

	add_file(kernel, "note", size);
	for (size_t i = 0; i < size; i++)
		model[i] = pattern(i);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &files[i]), 0);
	for (int i = 0; i < 3000; i++) {
		struct fs_kernel_file *file;
		uint64_t at, n;
		unsigned what;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		what = (unsigned)(random >> 33) % 10;
		file = &files[(random >> 50) % 2];
		at = (random >> 20) % (MIB - sizeof(data));
		n = (random >> 40) % (what < 3 ? sizeof(data) : 5000) + 1;
		if (what < 3) {
			size_t expected = at >= size ? 0 : size - at < n ? size - at : n;

			kernel->fake->is_held = false;
			cr_assert_eq(fs_kernel_file_read(kernel, file, at, data, (uint32_t)n),
				     (int)expected);
			cr_assert_eq(memcmp(data, model + at, expected), 0);
		} else if (what < 8) {
			at = at % (size + 1);
			for (size_t k = 0; k < n; k++)
				data[k] = (uint8_t)(random >> (k % 50));
			memcpy(model + at, data, n);
			if (at + n > size)
				size = at + n;
			cr_assert_eq(fs_kernel_file_write(kernel, file, at, data, n), (int)n);
		} else if (what == 8) {
			kernel->fake->is_held = true;
		} else {
			kernel->fake->is_held = false;
			fs_kernel_pass(kernel, random % SECOND);
		}
	}
	kernel->fake->is_held = false;
	for (int i = 0; i < 2; i++)
		cr_assert_eq(fs_kernel_file_close(kernel, &files[i]), 0);
	cr_assert_eq(fs_fake_find(kernel->fake->root, "note")->size, size);
	cr_assert_eq(memcmp(fs_fake_find(kernel->fake->root, "note")->data, model, size), 0);
	finish(kernel);
}
