#include "daemon/serve/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

struct mount {
	uint64_t id;
	enum mounts_kind kind;
};

struct volume {
	uint32_t dev;
	uint64_t fs;
};

struct mounts {
	char *path;
	int fd;             /* polled: its state changes with the table of mounts */
	atomic_bool is_old; /* that change was seen where the table could not be read */
	pthread_rwlock_t lock;
	struct mount *items;
	size_t n, capacity;
	struct volume *volumes; /* devices seen since the last change */
	size_t n_volumes, volumes_capacity;
};

static const char *const refused[] = {
    "proc",        "sysfs",      "devpts",     "cgroup",      "cgroup2",
    "debugfs",     "tracefs",    "securityfs", "configfs",    "fusectl",
    "binfmt_misc", "bpf",        "efivarfs",   "pstore",      "mqueue",
    "nsfs",        "rpc_pipefs", "selinuxfs",  "smackfs",     "autofs",
    "fuse.loopsy", "resctrl",    "nfsd",       "fuse.portal", "fuse.gvfsd-fuse",
};

static const char *const remote[] = {
    "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "lustre", "ocfs2", "gfs2", "virtiofs",
};

static bool listed(const char *type, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(type, list[i]) == 0)
			return true;
	}
	return false;
}

enum mounts_kind mounts_classify(const char *type)
{
	if (listed(type, refused, sizeof(refused) / sizeof(refused[0])))
		return MOUNTS_REFUSED;
	if (listed(type, remote, sizeof(remote) / sizeof(remote[0])) ||
	    strncmp(type, "fuse", 4) == 0)
		return MOUNTS_REMOTE;
	return MOUNTS_LOCAL;
}

static int add(struct mounts *mounts, uint64_t id, enum mounts_kind kind)
{
	if (mounts->n == mounts->capacity) {
		size_t capacity = mounts->capacity ? mounts->capacity * 2 : 32;
		struct mount *items = realloc(mounts->items, capacity * sizeof(*items));

		if (!items)
			return -ENOMEM;
		mounts->items = items;
		mounts->capacity = capacity;
	}
	mounts->items[mounts->n++] = (struct mount){.id = id, .kind = kind};
	return 0;
}

/* A line: "36 35 98:0 /root /mount/point options… optional… - type source options". */
static int read_line(struct mounts *mounts, const char *line)
{
	unsigned long long id;
	const char *dash = strstr(line, " - ");
	char type[64];

	if (!dash || sscanf(line, "%llu", &id) != 1 || sscanf(dash, " - %63s", type) != 1)
		return 0;
	return add(mounts, id, mounts_classify(type));
}

static int load(struct mounts *mounts)
{
	FILE *file = fopen(mounts->path, "re");
	char *line = NULL;
	size_t size = 0;
	int error = 0;

	if (!file)
		return -errno;
	mounts->n = 0;
	mounts->n_volumes = 0;
	while (error == 0 && getline(&line, &size, file) >= 0)
		error = read_line(mounts, line);
	free(line);
	fclose(file);
	return error;
}

int mounts_new(const char *path, struct mounts **ret_mounts)
{
	struct mounts *mounts = calloc(1, sizeof(*mounts));
	int error;

	if (!mounts)
		return -ENOMEM;
	pthread_rwlock_init(&mounts->lock, NULL);
	mounts->path = strdup(path);
	mounts->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!mounts->path)
		error = -ENOMEM;
	else if (mounts->fd < 0)
		error = -errno;
	else
		error = load(mounts);
	if (error < 0) {
		mounts_free(mounts);
		return error;
	}
	*ret_mounts = mounts;
	return 0;
}

void mounts_free(struct mounts *mounts)
{
	if (!mounts)
		return;
	if (mounts->fd >= 0)
		close(mounts->fd);
	pthread_rwlock_destroy(&mounts->lock);
	free(mounts->path);
	free(mounts->items);
	free(mounts->volumes);
	free(mounts);
}

/* The kernel says so once. */
static bool have_changed(const struct mounts *mounts)
{
	struct pollfd changed = {.fd = mounts->fd, .events = POLLPRI};

	return poll(&changed, 1, 0) > 0 && changed.revents & (POLLPRI | POLLERR);
}

void mounts_refresh(struct mounts *mounts)
{
	if (!have_changed(mounts) && !mounts->is_old)
		return;
	mounts->is_old = false;
	pthread_rwlock_wrlock(&mounts->lock);
	if (load(mounts) < 0)
		mounts->n = 0; /* what is not known is not entered */
	pthread_rwlock_unlock(&mounts->lock);
}

/* The kind, or -1. */
static int find(const struct mounts *mounts, uint64_t id)
{
	for (size_t i = 0; i < mounts->n; i++) {
		if (mounts->items[i].id == id)
			return (int)mounts->items[i].kind;
	}
	return -1;
}

enum mounts_kind mounts_kind_of(struct mounts *mounts, uint64_t id)
{
	int kind;

	pthread_rwlock_rdlock(&mounts->lock);
	kind = find(mounts, id);
	pthread_rwlock_unlock(&mounts->lock);
	if (kind < 0) {
		pthread_rwlock_wrlock(&mounts->lock);
		if (load(mounts) == 0)
			kind = find(mounts, id);
		else
			mounts->n = 0;
		pthread_rwlock_unlock(&mounts->lock);
	}
	return kind < 0 ? MOUNTS_REFUSED : (enum mounts_kind)kind;
}

bool mounts_is_local(struct mounts *mounts, uint64_t id)
{
	bool is_local;

	if (have_changed(mounts))
		mounts->is_old = true; /* for mounts_refresh, which is not told again */
	if (mounts->is_old || pthread_rwlock_tryrdlock(&mounts->lock) != 0)
		return false;
	is_local = find(mounts, id) == MOUNTS_LOCAL;
	pthread_rwlock_unlock(&mounts->lock);
	return is_local;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t ask_fs(uint32_t dev, int fd)
{
	struct statfs info;
	int id[2] = {0, 0};

	if (fstatfs(fd, &info) == 0)
		memcpy(id, &info.f_fsid, sizeof(id));
	if (id[0] == 0 && id[1] == 0)
		return mix(dev + 1);
	return mix((uint64_t)(uint32_t)id[0] << 32 | (uint32_t)id[1]);
}

/* With the lock. */
static bool find_fs(const struct mounts *mounts, uint32_t dev, uint64_t *ret_fs)
{
	for (size_t i = 0; i < mounts->n_volumes; i++) {
		if (mounts->volumes[i].dev == dev) {
			*ret_fs = mounts->volumes[i].fs;
			return true;
		}
	}
	return false;
}

bool mounts_fs_known(struct mounts *mounts, uint32_t dev, uint64_t *ret_fs)
{
	bool found;

	if (pthread_rwlock_tryrdlock(&mounts->lock) != 0)
		return false;
	found = find_fs(mounts, dev, ret_fs);
	pthread_rwlock_unlock(&mounts->lock);
	return found;
}

uint64_t mounts_fs(struct mounts *mounts, uint32_t dev, int fd)
{
	uint64_t fs = 0;
	bool found;

	pthread_rwlock_rdlock(&mounts->lock);
	found = find_fs(mounts, dev, &fs);
	pthread_rwlock_unlock(&mounts->lock);
	if (found)
		return fs;
	fs = ask_fs(dev, fd);
	pthread_rwlock_wrlock(&mounts->lock);
	if (mounts->n_volumes == mounts->volumes_capacity) {
		size_t capacity = mounts->volumes_capacity ? mounts->volumes_capacity * 2 : 8;
		struct volume *volumes =
		    capacity > 1024 ? NULL : realloc(mounts->volumes, capacity * sizeof(*volumes));

		if (volumes) {
			mounts->volumes = volumes;
			mounts->volumes_capacity = capacity;
		} else {
			mounts->n_volumes = 0; /* it is only a cache */
		}
	}
	if (mounts->n_volumes < mounts->volumes_capacity)
		mounts->volumes[mounts->n_volumes++] = (struct volume){.dev = dev, .fs = fs};
	pthread_rwlock_unlock(&mounts->lock);
	return fs;
}
