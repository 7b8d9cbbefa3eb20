/* `events`: what happens to values and messages, once and in order. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_fake_messages.h"
#include "fs_kernel_files.h"

#define TOP "desk/.loopsy/events"
#define OWN ".loopsy/events"

static struct fs_kernel *new_kernel(void)
{
	struct fs_kernel *kernel = fs_kernel_new(NULL);

	kernel->fake->counts_values = kernel->self->counts_values = true;
	return kernel;
}

static struct fs_kernel_file open_file(struct fs_kernel *kernel, const char *path)
{
	struct fs_kernel_file file;

	cr_assert_eq(fs_kernel_file_open(kernel, path, O_RDONLY | O_NONBLOCK, &file), 0);
	return file;
}

static void close_file(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	fs_kernel_release(kernel, FUSE_RELEASE, file->node, file->handle);
	fs_kernel_run(kernel);
}

/* All that there is now, up to 64 MiB; to be freed. */
static char *drain(struct fs_kernel *kernel, const struct fs_kernel_file *file)
{
	size_t size = 0, room = 64 * 1024 * 1024;
	char *text = malloc(room);
	int n;

	fs_kernel_run(kernel);
	while ((n = fs_kernel_file_read(kernel, file, 0, text + size, 65536)) > 0)
		size += (size_t)n;
	cr_assert_eq(n, -EAGAIN);
	text[size] = '\0';
	return text;
}

/* The versions of values that are told, which must be those from `first` on. Returns the last. */
static unsigned check_values(const char *text, unsigned first)
{
	const char *at = text;

	while ((at = strstr(at, "\"event\":\"set\",\"key\":\"k"))) {
		unsigned key, version;

		cr_assert_eq(
		    sscanf(at, "\"event\":\"set\",\"key\":\"k%u\",\"version\":%u", &key, &version),
		    2);
		cr_assert(key == first && version == first, "%u, not %u", key, first);
		first++;
		at++;
	}
	return first - 1;
}

Test(fs_control_events, changes_of_values_are_told_once_and_in_order_over_cut_links)
{
	struct fs_kernel *kernel = new_kernel();
	struct fs_kernel_file events, all;
	unsigned last = 3;
	char *text;

	fs_fake_values_set(kernel->fake, 3); /* before anybody asked */
	events = open_file(kernel, TOP);
	fs_kernel_run(kernel);
	for (int i = 0; i < 20; i++) {
		fs_fake_values_set(kernel->fake, 7);
		if (i % 3 == 0)
			fs_fake_link_lost(kernel->fake);
		text = drain(kernel, &events);
		last = check_values(text, last + 1);
		free(text);
	}
	cr_assert_eq(last, 143);
	all = open_file(kernel, OWN);
	text = drain(kernel, &all);
	cr_assert_eq(check_values(text, 4), 143);
	cr_assert_null(strstr(text, "missed"));
	free(text);
	close_file(kernel, &events);
	close_file(kernel, &all);
	fs_kernel_free(kernel, true);
}

Test(fs_control_events, what_was_missed_is_said)
{
	struct fs_kernel *kernel = new_kernel();
	struct fs_kernel_file events = open_file(kernel, TOP);
	char *text;

	fs_kernel_run(kernel);
	kernel->fake->is_held = true;
	fs_fake_link_lost(kernel->fake);
	fs_fake_values_set(kernel->fake, 10);
	kernel->fake->changes_kept = 8;
	kernel->fake->is_held = false;
	text = drain(kernel, &events);
	cr_assert(strstr(text, "\"peer\":\"desk\",\"event\":\"missed\",\"of\":\"kv\"}\n"), "%s",
		  text);
	cr_assert_eq(check_values(text, 9), 10);
	free(text);
	kernel->self->stream_error = -EMSGSIZE;
	fs_kernel_run(kernel);
	fs_fake_message_event(kernel->self, MSG_EVENT_RECEIVED, "01a", "desk");
	close_file(kernel, &events);
	events = open_file(kernel, OWN);
	text = drain(kernel, &events);
	cr_assert(strstr(text, "\"peer\":\"lap\",\"event\":\"missed\",\"of\":\"messages\"}\n"),
		  "%s", text);
	cr_assert(strstr(text, "\"event\":\"received\",\"message\":\"01a\",\"type\":\"chat\"}\n"));
	free(text);
	close_file(kernel, &events);
	fs_kernel_free(kernel, true);
}

Test(fs_control_events, messages_are_told_where_they_belong)
{
	struct fs_kernel *kernel = new_kernel();
	struct fs_kernel_file events = open_file(kernel, TOP), all = open_file(kernel, OWN);
	char *text;

	fs_kernel_run(kernel);
	fs_fake_message_event(kernel->self, MSG_EVENT_QUEUED, "01a", "desk");
	fs_fake_message_event(kernel->self, MSG_EVENT_DELIVERED, "01a", "desk");
	fs_fake_message_event(kernel->self, MSG_EVENT_READ, "01a", "gone");
	fs_fake_values_set(kernel->self, 2);
	text = drain(kernel, &events);
	cr_assert(strstr(text, "\"peer\":\"desk\",\"event\":\"queued\",\"message\":\"01a\""));
	cr_assert(strstr(text, "\"event\":\"delivered\""));
	cr_assert_null(strstr(text, "\"event\":\"read\""));
	cr_assert_null(strstr(text, "\"event\":\"set\""), "those of this machine are the root's");
	free(text);
	text = drain(kernel, &all);
	cr_assert(strstr(text, "\"event\":\"delivered\""));
	cr_assert(strstr(text, "\"peer\":\"lap\",\"event\":\"set\",\"key\":\"k2\",\"version\":2"));
	free(text);
	close_file(kernel, &events);
	close_file(kernel, &all);
	fs_kernel_free(kernel, true);
}

Test(fs_control_events, who_is_behind_misses_nothing_and_a_new_reader_gets_the_newest)
{
	struct fs_kernel *kernel = new_kernel();
	struct fs_kernel_file slow = open_file(kernel, TOP), late;
	char begin[10], *text, *all;

	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_read(kernel, &slow, 0, begin, 10), 10);
	fs_fake_values_set(kernel->fake, 10000); /* about a megabyte of lines */
	fs_kernel_run(kernel);
	late = open_file(kernel, TOP);
	text = drain(kernel, &late);
	cr_assert_lt(strlen(text), 2 * 65536);
	cr_assert_eq(text[0], '{', "it begins with a line");
	cr_assert(strstr(text, "\"k10000\""));
	free(text);
	all = drain(kernel, &slow);
	cr_assert_eq(check_values(all, 1), 10000);
	cr_assert_null(strstr(all, "missed"));
	free(all);
	close_file(kernel, &slow);
	close_file(kernel, &late);
	fs_kernel_free(kernel, true);
}

Test(fs_control_events, who_is_too_far_behind_is_told)
{
	struct fs_kernel *kernel = new_kernel();
	struct fs_kernel_file slow = open_file(kernel, TOP);
	char begin[10], *text, *line;
	unsigned key;

	fs_kernel_run(kernel);
	cr_assert_eq(fs_kernel_file_read(kernel, &slow, 0, begin, 10), 10);
	fs_fake_values_set(kernel->fake, 100000);
	fs_kernel_run(kernel);
	text = drain(kernel, &slow);
	/* The rest of its line, and then whole ones. */
	line = strchr(text, '\n') + 1;
	cr_assert_eq(strncmp(line, "{\"event\":\"missed\"}\n{", 20), 0, "%.100s", text);
	line = strstr(line, "\"key\":\"k");
	cr_assert_eq(sscanf(line, "\"key\":\"k%u", &key), 1);
	cr_assert_gt(key, 1);
	cr_assert_eq(check_values(text, key), 100000);
	free(text);
	close_file(kernel, &slow);
	fs_kernel_free(kernel, true);
}
