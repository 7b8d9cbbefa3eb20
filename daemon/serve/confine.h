/*
 * Confinement: how the serving side reaches a file.
 *
 * A path operation is one component, on a descriptor that was itself obtained so, by openat2 with
 * RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS. What it finds is looked at through its descriptor,
 * never by name again: so whatever else happens to the name, attributes and identity belong to the
 * same object. (What is listed is looked at by name where its inode numbers show the same.) Runs on
 * pool threads, but for the `quick` ones.
 */
#ifndef DAEMON_SERVE_CONFINE_H
#define DAEMON_SERVE_CONFINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct mounts;

#define CONFINE_PROC_SIZE 32

/* Which object it is. `generation` is a hash of its type and, where there is one, of its
 * name_to_handle_at handle: it tells an inode from the next one that gets the same number. */
struct identity {
	uint64_t ino;
	uint32_t dev;
	uint32_t generation;
};

#define CONFINE_HOLLOW_GENERATION UINT32_MAX

struct look {
	int fd;      /* O_PATH, owned; -1 if hollow, or only listed */
	bool hollow; /* a mount that is not entered: shown as an empty directory */
	struct identity identity;
	uint64_t fs;         /* as in struct attr */
	bool plain, settled; /* likewise */
	struct statx stx;
};

/* A look that owns nothing, and the variable that closes itself. */
#define LOOK_NULL ((struct look){.fd = -1})
#define LOOK      __attribute__((cleanup(confine_look_close))) struct look

static inline bool confine_same(const struct identity *a, const struct identity *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->generation == b->generation;
}

/* openat2 of one component (or "."), O_CLOEXEC and O_NOFOLLOW added, never through a symbolic
 * link. `resolve` may add RESOLVE_CACHED. Returns a descriptor or -errno. */
int confine_open(int dir_fd, const char *name, uint64_t flags, uint32_t mode, uint64_t resolve);

/* Looks at a name in a directory. Never touches the file system of a mount that is not to be
 * entered. Returns 0 or -errno; -ENOENT also for a mounted non-directory that is not entered. */
int confine_look(struct mounts *mounts, int dir_fd, const char *name, struct look *ret_look);

/* The same for a name that the directory was read to have, with the inode number that it gave:
 * where that is surely so still, no descriptor is opened (ret_look->fd is -1). */
int confine_look_listed(struct mounts *mounts, int dir_fd, const char *name, uint64_t ino,
			struct look *ret_look);

/* The same for an O_PATH descriptor, which is taken over (also in failure). */
int confine_look_fd(struct mounts *mounts, int fd, struct look *ret_look);

/* Identity and attributes of a descriptor that stays the caller's (ret_look->fd is -1). */
int confine_look_at(struct mounts *mounts, int fd, struct look *ret_look);

/*
 * The two without waiting, for the loop: what the kernel has in memory, in a local file system
 * (by name: in the directory's own). -EAGAIN if that is not enough. What they would have to read
 * from a disk is missing: `plain` is false.
 */
int confine_look_quick(struct mounts *mounts, int dir_fd, const char *name, struct look *ret_look);
int confine_look_at_quick(struct mounts *mounts, int fd, struct look *ret_look);

void confine_look_close(struct look *look);

/* Writes "/proc/self/fd/N", the way to what needs a path (chmod, xattrs, open). The caller has
 * checked that the descriptor is not a symbolic link's. */
void confine_proc_path(int fd, char ret_path[CONFINE_PROC_SIZE]);

/* Opens a directory that an O_PATH descriptor stands for, for reading. (Not by ".", which asks for
 * permission to search as well.) A descriptor or -errno. */
int confine_open_dir(int path_fd);

/* `name` as a C string; what comes from the wire is a valid component already. */
struct bytes;
void confine_name(const struct bytes *name, char ret_name[256]);

#endif
