#ifndef DAEMON_MOUNTINFO_H
#define DAEMON_MOUNTINFO_H

#include <stddef.h>
#include <stdint.h>

/*
 * /proc/self/mountinfo (proc(5)): what is mounted, as the kernel tells it, without a question to
 * the mounts themselves, which may not answer.
 */
struct mountinfo_entry {
	uint64_t id, parent;
	char *mount_point; /* with the octal escapes resolved: any bytes but NUL */
	char *fs_type;     /* "ext4", "fuse.loopsy" */
	char *source;
};

/*
 * Reads one line of n bytes, without newline. Returns 0, -EINVAL if it is none, or -ENOMEM.
 * *ret_entry is to be deinitialised.
 */
int mountinfo_parse_line(const char *line, size_t n, struct mountinfo_entry *ret_entry);
void mountinfo_deinit_entry(struct mountinfo_entry *entry);

/*
 * The mount on top at mount_point (spelled as the kernel does: absolute, no links). Lines that make
 * no sense are skipped. Returns 0, -ENOENT if nothing is mounted there, or -ENOMEM.
 */
int mountinfo_find(const char *text, size_t n, const char *mount_point,
		   struct mountinfo_entry *ret_entry);

/* The same in /proc/self/mountinfo as it is now; or -errno. */
int mountinfo_find_now(const char *mount_point, struct mountinfo_entry *ret_entry);

#endif
