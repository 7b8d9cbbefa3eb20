/*
 * A peer whose answers lie. They decode (what does not, ends the link before it gets here), and
 * nothing in them is to be believed: no answer may crash the mount, hang a program, or show a
 * program more than it asked for; what is good beside it goes on working.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

#include "fs/fs_private.h"
#include "fs_fake_files.h"
#include "fs_kernel_files.h"
#include "proto/codec.h"
#include "proto/ops_peer.h"

/* What the next answers to `op` are to be, for the lies below. */
static struct {
	uint16_t op;
	uint64_t node, mode, size;
	const char *name;
	unsigned n_same; /* the name, so often */
	struct buffer bytes;
} lie;

static struct fs_kernel *kernel_with(void (*lies)(struct fs_fake *fake, uint16_t op,
						  struct transport_reply *reply, void *result))
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);
	struct fs_fake_object *dir =
	    fs_fake_add(kernel->fake, kernel->fake->root, "dir", S_IFDIR | 0755);

	fs_fake_set(kernel->fake, fs_fake_add(kernel->fake, dir, "file", S_IFREG | 0644),
		    "0123456789", 10);
	fs_fake_set(kernel->fake,
		    fs_fake_add(kernel->fake, kernel->fake->root, "good", S_IFREG | 0644), "good",
		    4);
	kernel->fake->lie = lies;
	return kernel;
}

/* The mount still works; then it ends. */
static void finish(struct fs_kernel *kernel)
{
	struct fs_kernel_file file;
	char text[8];

	kernel->fake->lie = NULL;
	fs_kernel_pass(kernel, 2 * FS_SECOND);
	cr_assert_eq(fs_kernel_file_open(kernel, "desk/good", O_RDONLY, &file), 0);
	cr_assert_eq(fs_kernel_file_read(kernel, &file, 0, text, 8), 4);
	cr_assert_eq(memcmp(text, "good", 4), 0);
	cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	fs_kernel_free(kernel, false);
	buffer_deinit(&lie.bytes);
}

/* --- entries ---------------------------------------------------------------------------------- */

static void lie_entry(struct fs_fake *fake, uint16_t op, struct transport_reply *reply,
		      void *result)
{
	struct result_lookup *lookup = result;

	if (op != OP_LOOKUP || reply->error)
		return;
	if (lie.node)
		lookup->entry.node = lie.node - 1;
	if (lie.mode)
		lookup->entry.attr.mode = lie.mode;
}

Test(fs_hostile, entries_without_a_known_type_or_number_are_errors)
{
	static const uint64_t modes[] = {0644, 0170000, 0030000, UINT32_MAX, S_IFREG | 1 << 20};
	struct fs_kernel *kernel = kernel_with(lie_entry);
	uint64_t desk = fs_kernel_walk(kernel, "desk");
	struct fuse_entry_out entry;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		int error;

		lie.mode = modes[i];
		error = fs_kernel_lookup(kernel, desk, "good", &entry);
		if (error == 0)
			cr_assert_eq(entry.attr.mode & ~07777u, (unsigned)S_IFREG);
		else
			cr_assert_eq(error, -EIO);
	}
	lie.mode = 0;
	lie.node = 1; /* number 0 */
	cr_assert_eq(fs_kernel_lookup(kernel, desk, "good", &entry), -EIO);
	finish(kernel);
}

/* The same number for the top, for a directory in itself, and for objects of other types. */
Test(fs_hostile, numbers_that_are_used_for_other_objects_do_no_harm)
{
	struct fs_kernel *kernel = kernel_with(lie_entry);
	struct fuse_entry_out entry, inner;
	struct fuse_attr_out attr;
	uint64_t desk = fs_kernel_walk(kernel, "desk");
	uint64_t numbers[] = {OPS_ROOT_NODE, 0, UINT64_MAX - 1};

	cr_assert_eq(fs_kernel_lookup(kernel, desk, "dir", &entry), 0);
	numbers[1] = fs_fake_find(kernel->fake->root, "dir")->number;
	for (size_t i = 0; i < 3; i++) {
		lie.node = numbers[i] + 1;
		for (unsigned depth = 0; depth < 3; depth++) {
			static const uint64_t modes[] = {S_IFDIR | 0755, S_IFREG | 0644,
							 S_IFLNK | 0777};

			lie.mode = modes[(i + depth) % 3];
			if (fs_kernel_lookup(kernel, entry.nodeid, "file", &inner) == 0) {
				cr_assert_neq(inner.nodeid, entry.nodeid, "no directory in itself");
				cr_assert_neq(inner.nodeid, desk);
				fs_kernel_getattr(kernel, inner.nodeid, &attr);
			}
			fs_kernel_pass(kernel, 2 * FS_SECOND);
		}
	}
	lie.node = lie.mode = 0;
	finish(kernel);
}

/* --- listings --------------------------------------------------------------------------------- */

/* msgpack of a dir_entry with `name`, which the codec would refuse to make. */
static void add_forged(const char *name, size_t size)
{
	struct dir_entry entry = {
	    .name = {(const uint8_t *)"X", 1},
	    .entry = {.node = 4711, .attr = {.mode = S_IFREG | 0644, .ino = 77, .nlink = 1}},
	};
	struct buffer encoded = {0};
	uint8_t head[3] = {0xc4, (uint8_t)size};
	size_t at = 0;

	cr_assert_eq(codec_encode(&dir_entry_record, &entry, &encoded, NULL), 0);
	while (encoded.data[at] != 'X')
		at++;
	/* ... array, then the name as a bin or str of one byte */
	cr_assert(encoded.data[at - 1] == 1 || encoded.data[at - 1] == 0xa1);
	if (encoded.data[at - 1] == 1) {
		head[0] = encoded.data[at - 2];
		buffer_append(&lie.bytes, encoded.data, at - 2);
		buffer_append(&lie.bytes, head, 2);
	} else {
		head[0] = 0xd9;
		buffer_append(&lie.bytes, encoded.data, at - 1);
		buffer_append(&lie.bytes, head, 2);
	}
	buffer_append(&lie.bytes, name, size);
	buffer_append(&lie.bytes, encoded.data + at + 1, encoded.size - at - 1);
	buffer_deinit(&encoded);
}

static void lie_listing(struct fs_fake *fake, uint16_t op, struct transport_reply *reply,
			void *result)
{
	if (op == OP_READDIR && !reply->error && lie.bytes.size)
		((struct result_readdir *)result)->entries =
		    (struct bytes){lie.bytes.data, lie.bytes.size};
}

static int list(struct fs_kernel *kernel, bool plus)
{
	uint64_t dir, handle, offset = 0;
	int n = 0, got;

	dir = fs_kernel_walk(kernel, "desk/dir");
	cr_assert_neq(dir, 0);
	fs_kernel_pass(kernel, 2 * FS_SECOND); /* nothing is remembered */
	got = fs_kernel_open(kernel, FUSE_OPENDIR, dir, &handle);
	if (got < 0)
		return got;
	while ((got = fs_kernel_readdir(kernel, dir, handle, &offset, 4096, plus, NULL, NULL)) > 0)
		n += got;
	fs_kernel_release(kernel, FUSE_RELEASEDIR, dir, handle);
	return got < 0 ? got : n;
}

Test(fs_hostile, names_that_are_none_are_not_listed)
{
	static const struct {
		const char *name;
		size_t size;
	} names[] = {{"", 0}, {".", 1}, {"..", 2}, {"a/b", 3}, {"/", 1}, {"../x", 4}, {"a\0b", 3}};
	struct fs_kernel *kernel = kernel_with(lie_listing);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		lie.bytes.size = 0;
		add_forged(names[i].name, names[i].size);
		cr_assert_eq(list(kernel, i % 2), -EIO, "%zu", i);
	}
	lie.bytes.size = 0;
	add_forged("name", 4);
	cr_assert_eq(list(kernel, true), 3, "the forger can be trusted: ., .., name");
	finish(kernel);
}

Test(fs_hostile, one_name_many_times_ends)
{
	struct fs_kernel *kernel = kernel_with(lie_listing);

	for (unsigned i = 0; i < 1000; i++)
		add_forged("same", 4);
	cr_assert_leq(list(kernel, true), 1002);
	cr_assert_leq(list(kernel, false), 1002);
	lie.bytes.size = 0;
	finish(kernel);
}

Test(fs_hostile, half_an_entry_is_an_error)
{
	struct fs_kernel *kernel = kernel_with(lie_listing);
	size_t whole;

	add_forged("name", 4);
	whole = lie.bytes.size;
	for (size_t size = 1; size < whole; size++) {
		lie.bytes.size = size;
		cr_assert_eq(list(kernel, size % 2), -EIO, "%zu", size);
	}
	lie.bytes.size = 0;
	finish(kernel);
}

/* --- files ------------------------------------------------------------------------------------ */

static uint8_t plenty[OPS_IO_MAX];

static void lie_file(struct fs_fake *fake, uint16_t op, struct transport_reply *reply, void *result)
{
	if (reply->error || op != lie.op)
		return;
	switch (op) {
	case OP_READ:
		((struct result_read *)result)->data = (struct bytes){plenty, OPS_IO_MAX};
		break;
	case OP_WRITE:
		((struct result_write *)result)->written = lie.size;
		break;
	case OP_OPEN: {
		struct result_open *open = result;

		open->whole = true;
		open->content = (struct bytes){plenty, OPS_CONTENT_MAX};
		if (lie.mode)
			open->attr.mode = lie.mode;
		break;
	}
	case OP_GETATTR:
		((struct result_getattr *)result)->attr.mode = lie.mode;
		((struct result_getattr *)result)->attr.size = lie.size;
		break;
	case OP_COPY_RANGE:
		((struct result_copy_range *)result)->copied = lie.size;
		break;
	}
}

Test(fs_hostile, a_read_gives_no_more_than_was_asked_for)
{
	struct fs_kernel *kernel = kernel_with(lie_file);
	static uint8_t data[65536];
	struct fs_kernel_file file;

	memset(plenty, 'x', sizeof(plenty));
	for (unsigned direct = 0; direct < 2; direct++) {
		cr_assert_eq(fs_kernel_file_open(kernel, "desk/dir/file",
						 direct ? O_RDONLY | O_DIRECT : O_RDWR, &file),
			     0);
		lie.op = OP_READ;
		for (uint32_t size = 1; size <= 4096; size *= 8) {
			int n = fs_kernel_file_read(kernel, &file, 1, data, size);

			cr_assert(n <= (int)size && n >= 0, "%d of %u", n, size);
		}
		lie.op = 0;
		cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	}
	finish(kernel);
}

Test(fs_hostile, content_that_does_not_fit_its_size_is_no_more_than_was_asked_for)
{
	struct fs_kernel *kernel = kernel_with(lie_file);
	static uint8_t data[4096];
	struct fs_kernel_file file;

	lie.op = OP_OPEN;
	if (fs_kernel_file_open(kernel, "desk/dir/file", O_RDONLY, &file) == 0) {
		int n = fs_kernel_file_read(kernel, &file, 0, data, 100);

		cr_assert(n >= 0 && n <= 100, "%d", n);
		cr_assert_eq(fs_kernel_file_close(kernel, &file), 0);
	}
	lie.mode = S_IFDIR | 0755; /* what was opened has become something else */
	fs_kernel_pass(kernel, 2 * FS_SECOND);
	if (fs_kernel_file_open(kernel, "desk/dir/file", O_RDONLY, &file) == 0)
		fs_kernel_file_close(kernel, &file);
	lie.mode = 0;
	finish(kernel);
}

Test(fs_hostile, more_written_than_was_sent_is_not_more)
{
	struct fs_kernel *kernel = kernel_with(lie_file);
	struct fs_kernel_file file;
	int n;

	lie.op = OP_WRITE;
	for (unsigned append = 0; append < 2; append++) {
		cr_assert_eq(fs_kernel_file_open(kernel, "desk/dir/file",
						 append ? O_WRONLY | O_APPEND : O_WRONLY, &file),
			     0);
		lie.size = OPS_IO_MAX;
		n = fs_kernel_file_write(kernel, &file, 0, "abc", 3);
		cr_assert_leq(n, 3);
		fs_kernel_file_flush(kernel, &file);
		lie.size = 0; /* and nothing written is an error, not a loop */
		n = fs_kernel_file_write(kernel, &file, 3, "abc", 3);
		cr_assert_leq(n, 3);
		cr_assert(n < 3 || fs_kernel_file_flush(kernel, &file) < 0);
		fs_kernel_file_close(kernel, &file);
	}
	finish(kernel);
}

Test(fs_hostile, attributes_of_another_type_are_stale)
{
	struct fs_kernel *kernel = kernel_with(lie_file);
	struct fuse_attr_out attr;
	uint64_t node = fs_kernel_walk(kernel, "desk/dir/file");

	lie.op = OP_GETATTR;
	lie.mode = S_IFDIR | 0755;
	fs_kernel_pass(kernel, 2 * FS_SECOND);
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), -ESTALE);
	lie.mode = S_IFREG | 0644;
	lie.size = INT64_MAX;
	node = fs_kernel_walk(kernel, "desk/good");
	fs_kernel_pass(kernel, 2 * FS_SECOND);
	cr_assert_eq(fs_kernel_getattr(kernel, node, &attr), 0);
	cr_assert_eq(attr.attr.size, (uint64_t)INT64_MAX);
	lie.mode = lie.size = 0;
	finish(kernel);
}
