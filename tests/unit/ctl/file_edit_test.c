#include "ctl/file_edit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
	char directory[64], path[128];
};

static void place_init(struct place *place)
{
	*place = (struct place){.directory = "/tmp/loopsy-edit-XXXXXX"};
	cr_assert_not_null(mkdtemp(place->directory));
	snprintf(place->path, sizeof(place->path), "%s/file", place->directory);
}

static void place_deinit(struct place *place)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", place->directory);
	cr_assert_eq(system(command), 0);
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	fputs(text, file);
	cr_assert_eq(fclose(file), 0);
}

static void expect_text(const char *path, const char *text)
{
	struct file_edit edit;

	cr_assert_eq(file_edit_read(path, &edit), 0);
	cr_assert(edit.exists, "%s", path);
	cr_assert_eq(edit.text.size, strlen(text), "%.*s", (int)edit.text.size,
		     (const char *)edit.text.data);
	cr_assert(edit.text.size == 0 || memcmp(edit.text.data, text, edit.text.size) == 0);
	file_edit_deinit(&edit);
}

static unsigned count_entries(const struct place *place)
{
	char command[128], line[64] = "";
	FILE *out;

	snprintf(command, sizeof(command), "ls -A %s | wc -l", place->directory);
	out = popen(command, "r");
	cr_assert_not_null(out);
	cr_assert_not_null(fgets(line, sizeof(line), out));
	pclose(out);
	return (unsigned)atoi(line);
}

static const struct bytes new_text = {(const uint8_t *)"new", 3};

Test(file_edit, a_file_is_replaced_with_its_mode)
{
	struct file_edit edit;
	struct place place;
	struct stat st;

	place_init(&place);
	put(place.path, "old");
	cr_assert_eq(chmod(place.path, 0640), 0);
	cr_assert_eq(file_edit_read(place.path, &edit), 0);
	cr_assert_eq(file_edit_write(&edit, new_text, NULL), 0);
	expect_text(place.path, "new");
	cr_assert_eq(stat(place.path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0640);
	cr_assert_eq(count_entries(&place), 1);
	file_edit_deinit(&edit);
	place_deinit(&place);
}

Test(file_edit, a_change_of_somebody_else_is_not_lost)
{
	struct file_edit edit, absent;
	struct place place;
	char other[160];

	place_init(&place);
	snprintf(other, sizeof(other), "%s/other", place.directory);
	put(place.path, "old");
	cr_assert_eq(file_edit_read(place.path, &edit), 0);
	cr_assert_eq(file_edit_read(other, &absent), 0);
	cr_assert(!absent.exists);
	put(place.path, "theirs");
	put(other, "theirs");
	cr_assert_eq(file_edit_write(&edit, new_text, NULL), -EBUSY);
	cr_assert_eq(file_edit_write(&absent, new_text, NULL), -EBUSY);
	cr_assert_eq(file_edit_remove(&edit, 0), -EBUSY);
	expect_text(place.path, "theirs");
	expect_text(other, "theirs");
	cr_assert_eq(unlink(place.path), 0);
	cr_assert_eq(file_edit_write(&edit, new_text, NULL), -EBUSY);
	cr_assert_eq(count_entries(&place), 1);
	file_edit_deinit(&edit);
	file_edit_deinit(&absent);
	place_deinit(&place);
}

Test(file_edit, links_are_followed_also_to_nothing)
{
	char link[160], hanging[160], made[160];
	struct file_edit edit;
	struct place place;
	unsigned n_made = 0;

	place_init(&place);
	snprintf(link, sizeof(link), "%s/link", place.directory);
	snprintf(hanging, sizeof(hanging), "%s/hanging", place.directory);
	snprintf(made, sizeof(made), "%s/a/b/made", place.directory);
	put(place.path, "old");
	cr_assert_eq(symlink("file", link), 0);
	cr_assert_eq(symlink(made, hanging), 0);
	cr_assert_eq(file_edit_read(link, &edit), 0);
	cr_assert_eq(file_edit_write(&edit, new_text, NULL), 0);
	expect_text(place.path, "new");
	file_edit_deinit(&edit);
	cr_assert_eq(file_edit_read(hanging, &edit), 0);
	cr_assert(!edit.exists);
	cr_assert_eq(file_edit_write(&edit, new_text, &n_made), 0);
	cr_assert_eq(n_made, 2);
	file_edit_deinit(&edit);
	expect_text(made, "new");
	cr_assert_eq(file_edit_read(hanging, &edit), 0);
	cr_assert_eq(file_edit_remove(&edit, n_made), 0);
	file_edit_deinit(&edit);
	cr_assert_eq(count_entries(&place), 3);
	cr_assert_eq(unlink(link), 0);
	cr_assert_eq(symlink("link", link), 0);
	cr_assert_eq(file_edit_read(link, &edit), -ELOOP);
	cr_assert_eq(file_edit_read(place.directory, &edit), -EISDIR);
	place_deinit(&place);
}

Test(file_edit, one_backup_is_made_and_kept)
{
	char backup[160], *path;
	struct file_edit edit;
	struct place place;

	place_init(&place);
	snprintf(backup, sizeof(backup), "%s.loopsy-backup", place.path);
	put(place.path, "first");
	cr_assert_eq(file_edit_read(place.path, &edit), 0);
	cr_assert_eq(file_edit_back_up(&edit, &path), 1);
	cr_assert_str_eq(path, backup);
	free(path);
	file_edit_deinit(&edit);
	put(place.path, "second");
	cr_assert_eq(file_edit_read(place.path, &edit), 0);
	cr_assert_eq(file_edit_back_up(&edit, &path), 0);
	free(path);
	file_edit_deinit(&edit);
	expect_text(backup, "first");
	cr_assert_eq(count_entries(&place), 2);
	place_deinit(&place);
}
