#include "fs/control_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/name_hash.h"
#include "fs/node.h"

struct control_names *control_names_new(struct fs *fs, mode_t type, size_t limit)
{
	struct control_names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	names->fs = fs;
	names->type = type;
	names->text.limit = limit;
	names->next = fs->control_names;
	if (names->next)
		names->next->prev = names;
	fs->control_names = names;
	return names;
}

void control_names_free(struct control_names *names)
{
	if (!names)
		return;
	*(names->prev ? &names->prev->next : &names->fs->control_names) = names->next;
	if (names->next)
		names->next->prev = names->prev;
	buffer_deinit(&names->text);
	free(names);
}

void control_names_free_all(struct fs *fs)
{
	while (fs->control_names)
		control_names_free(fs->control_names);
}

int control_names_add(struct control_names *names, struct bytes name)
{
	size_t size = names->text.size;
	int error = buffer_append(&names->text, name.data, name.size);

	if (!error)
		error = buffer_append(&names->text, "", 1);
	if (error)
		names->text.size = size;
	names->n += !error;
	return error;
}

bool control_names_have(const struct control_names *names, struct bytes name)
{
	for (size_t at = 0; at < names->text.size;) {
		const char *one = (const char *)names->text.data + at;
		size_t size = strlen(one);

		if (size == name.size && memcmp(one, name.data, size) == 0)
			return true;
		at += size + 1;
	}
	return false;
}

void control_names_reply(fuse_req_t req, struct control_names *names)
{
	struct fuse_file_info info = {.fh = (uint64_t)(uintptr_t)names};

	if (fuse_reply_open(req, &info))
		control_names_free(names);
}

uint64_t control_names_ino(const struct fs_node *dir, struct bytes name)
{
	return name_hash(dir->ino, name) | 2;
}

/* `.` and `..` come before the names; a name's offset is that of what comes behind it. */
void control_names_read(fuse_req_t req, const struct fs_node *node, size_t size, off_t offset,
			const struct fuse_file_info *info, bool plus)
{
	const struct control_names *names = (void *)(uintptr_t)info->fh;
	size_t used = 0, at = offset > 2 ? (size_t)offset - 2 : 0;
	char *buffer = malloc(size);

	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	while (offset < 2 || at < names->text.size) {
		bool is_dots = offset < 2;
		const char *name =
		    is_dots ? &".."[offset == 0] : (const char *)names->text.data + at;
		size_t next = is_dots ? 0 : at + strlen(name) + 1, need;
		struct fuse_entry_param entry = {
		    .attr = {.st_ino = node->ino, .st_mode = is_dots ? S_IFDIR : names->type}};

		offset = is_dots ? offset + 1 : (off_t)next + 2;
		if (!is_dots)
			entry.attr.st_ino = control_names_ino(
			    node, (struct bytes){(const uint8_t *)name, strlen(name)});
		need = plus ? fuse_add_direntry_plus(req, buffer + used, size - used, name, &entry,
						     offset)
			    : fuse_add_direntry(req, buffer + used, size - used, name, &entry.attr,
						offset);
		if (need > size - used)
			break;
		used += need;
		at = next;
	}
	fuse_reply_buf(req, buffer, used);
	free(buffer);
}

void control_names_release(fuse_req_t req, const struct fuse_file_info *info)
{
	control_names_free((void *)(uintptr_t)info->fh);
	if (req)
		fuse_reply_err(req, 0);
}
