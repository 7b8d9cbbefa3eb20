#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs_kernel_files.h"
#include "fs_pattern.h"
#include "proto/ops_peer.h"

#define KIB    1024ull
#define MIB    (1024 * KIB)
#define SECOND 1000000000ull

static void forget_asked(struct fs_kernel *kernel)
{
	memset(kernel->fake->n_asked, 0, sizeof(kernel->fake->n_asked));
}

Test(fs_file, small_file_is_one_round_trip)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	uint8_t data[8192];

	fs_pattern_add(kernel, "small", 5000);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/small", O_RDONLY, &file), 0);
	forget_asked(kernel);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 8192), 5000);
	fs_pattern_check(data, 5000, 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 4096, data, 4096), 904);
	fs_pattern_check(data, 904, 4096);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	cr_assert_eq(kernel->fake->n_whole, 1);
	cr_assert_eq(kernel->fake->n_asked[OP_READ], 0);
	cr_assert_eq(kernel->fake->n_asked[OP_FLUSH], 0);
	cr_assert_eq(kernel->fake->n_asked[OP_RELEASE], 1);
	fs_kernel_file_finish(kernel);
}

Test(fs_file, close_of_what_was_only_read_waits_for_nobody)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;

	fs_pattern_add(kernel, "small", 5000);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/small", O_RDONLY, &file), 0);
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	kernel->fake->is_held = false;
	fs_kernel_file_finish(kernel);
}

Test(fs_file, large_file_is_read_ahead_once)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	static uint8_t data[128 * 1024];
	size_t size = 5 * MIB + 1234;

	fs_pattern_add(kernel, "large", size);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDONLY, &file), 0);
	forget_asked(kernel);
	for (uint64_t at = 0; at < size; at += sizeof(data)) {
		int n = fs_kernel_file_read(kernel, &file, at, data, sizeof(data));

		cr_assert_eq(n, (int)(size - at < sizeof(data) ? size - at : sizeof(data)));
		fs_pattern_check(data, (size_t)n, at);
	}
	cr_assert_eq(kernel->fake->n_asked[OP_READ], (size + OPS_IO_MAX - 1) / OPS_IO_MAX);
	/* With the peer stopped, what is ahead answers. */
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_file, what_was_read_ahead_answers_without_the_peer)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	static uint8_t data[128 * 1024];

	fs_pattern_add(kernel, "large", 4 * MIB);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDONLY, &file), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, sizeof(data)), sizeof(data));
	kernel->fake->is_held = true;
	cr_assert_eq(fs_kernel_file_read(kernel, &file, sizeof(data), data, sizeof(data)),
		     sizeof(data));
	fs_pattern_check(data, sizeof(data), sizeof(data));
	kernel->fake->is_held = false;
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_file, random_and_direct_reads_are_exact)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file, direct;
	static uint8_t data[128 * 1024];

	fs_pattern_add(kernel, "large", 4 * MIB);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDONLY, &file), 0);
	kernel->fake->bytes_asked = 0;
	for (int i = 0; i < 100; i++) {
		uint64_t at = (uint64_t)(i * 7919 % 1000) * 4096;

		cr_assert_eq(fs_kernel_file_read(kernel, &file, at, data, 4096), 4096);
		fs_pattern_check(data, 4096, at);
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
	fs_kernel_file_finish(kernel);
}

Test(fs_file, pages_stay_while_the_file_is_the_same)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = fs_pattern_add(kernel, "note", 100);
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
	fs_kernel_file_finish(kernel);
}

Test(fs_file, own_write_drops_what_was_read_ahead)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	static uint8_t data[128 * 1024];

	fs_pattern_add(kernel, "large", 4 * MIB);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/large", O_RDWR, &file), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, sizeof(data)), sizeof(data));
	cr_assert_eq(fs_kernel_file_write(kernel, &file, sizeof(data), "mine", 4), 4);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, sizeof(data), data, sizeof(data)),
		     sizeof(data));
	cr_assert_eq(memcmp(data, "mine", 4), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_file, change_on_the_peer_is_read_after_a_second)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = fs_pattern_add(kernel, "small", 5000);
	struct fs_kernel_file file;
	uint8_t data[8192];

	cr_assert_eq(fs_kernel_file_open(kernel, "desk/small", O_RDONLY, &file), 0);
	object->data[17] = 200;
	fs_kernel_pass(kernel, SECOND + SECOND / 10);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 8192), 5000);
	cr_assert_eq(data[17], 200);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
}

Test(fs_file, open_with_truncation_empties_it)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = fs_pattern_add(kernel, "note", 100);
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
	fs_kernel_file_finish(kernel);
}

Test(fs_file, peer_that_is_down_says_so)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	uint8_t data[4096];

	fs_pattern_add(kernel, "large", MIB);
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
	fs_pattern_add(kernel, "large", MIB);
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
	fs_kernel_file_finish(kernel);
}

Test(fs_file, open_that_was_interrupted_leaves_nothing_open)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fuse_open_in in = {.flags = O_RDONLY};
	uint64_t node, open;

	fs_pattern_add(kernel, "note", 10);
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
	fs_kernel_file_finish(kernel);
}

/* --- ranges ----------------------------------------------------------------------------------- */

Test(fs_file, ranges_are_done_on_the_peer)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = fs_pattern_add(kernel, "from", 1000), *copy;
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
	fs_pattern_check(copy->data + 5, 500, 10);
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
	fs_kernel_file_finish(kernel);
}

/* --- a new session ---------------------------------------------------------------------------- */

Test(fs_file, open_file_goes_on_in_a_new_session)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *object = fs_pattern_add(kernel, "note", 100);
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
	fs_kernel_file_finish(kernel);
}

Test(fs_file, file_that_was_replaced_meanwhile_is_stale)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_kernel_file file;
	uint8_t data[4096];

	fs_pattern_add(kernel, "note", 100);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/note", O_RDWR, &file), 0);
	fs_kernel_pass(kernel, 2 * SECOND);
	fs_fake_remove(kernel->fake->root, "note");
	fs_pattern_add(kernel, "note", 100);
	fs_fake_session_new(kernel->fake);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, data, 4096), -ESTALE);
	cr_assert_eq(fs_kernel_file_write(kernel, &file, 0, "x", 1), -ESTALE);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_file_finish(kernel);
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

	fs_pattern_add(kernel, "note", 100);
	file.node = fs_kernel_walk(kernel, "desk/note");
	fs_fake_remove(kernel->fake->root, "note");
	fs_pattern_add(kernel, "note", 101);
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
	fs_kernel_file_finish(kernel);
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

	fs_pattern_add(kernel, "note", size);
	for (size_t i = 0; i < size; i++)
		model[i] = fs_pattern(i);
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
	fs_kernel_file_finish(kernel);
}
