#include "fs/attr_map.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "fs/dir.h"
#include "fs/file.h"
#include "fs/name_hash.h"
#include "fs/peer.h"

uint64_t attr_map_ino(const struct fs_peer *peer, uint64_t fs, uint64_t ino)
{
	uint64_t hash = name_hash_mix(name_hash_mix(peer->id, fs), ino);

	return hash > FUSE_ROOT_ID ? hash : hash + 2;
}

static uint32_t id_in(const struct fs_peer *peer, uint32_t id, uint32_t theirs, uint32_t ours)
{
	return !peer->fs->config.allow_other && peer->session && id == theirs ? ours : id;
}

static uint32_t id_out(const struct fs_peer *peer, uint32_t id, uint32_t theirs, uint32_t ours)
{
	return !peer->fs->config.allow_other && peer->session && id == ours ? theirs : id;
}

uint32_t attr_map_uid_out(const struct fs_peer *peer, uint32_t uid)
{
	return id_out(peer, uid, peer->uid, peer->fs->config.uid);
}

uint32_t attr_map_gid_out(const struct fs_peer *peer, uint32_t gid)
{
	return id_out(peer, gid, peer->gid, peer->fs->config.gid);
}

/* --- symbolic links --------------------------------------------------------------------------- */

/* The next component of a path, without slashes; size 0 at the end. */
static struct bytes next_component(const char **at, const char *end)
{
	struct bytes component;

	while (*at < end && **at == '/')
		(*at)++;
	component.data = (const uint8_t *)*at;
	while (*at < end && **at != '/')
		(*at)++;
	component.size = (size_t)((const uint8_t *)*at - component.data);
	return component;
}

static bool is_dots(struct bytes component, size_t n)
{
	return component.size == n && memcmp(component.data, "..", n) == 0;
}

/* Whether its `..` are all leading, and at most `depth`. */
static bool stays_inside(const char *target, size_t size, unsigned depth)
{
	const char *at = target, *end = target + size;
	unsigned n_up = 0;
	bool down = false;
	struct bytes component;

	while ((component = next_component(&at, end)).size) {
		if (is_dots(component, 1))
			continue;
		if (!is_dots(component, 2)) {
			down = true;
			continue;
		}
		if (down || ++n_up > depth)
			return false;
	}
	return true;
}

static size_t append(char *to, size_t at, const char *text, size_t size)
{
	memcpy(to + at, text, size);
	return at + size;
}

/* The relative target that leads from `depth` directories down to `rest` in the export `name`. */
static int from_top(unsigned depth, const char *name, const char *rest, size_t rest_size,
		    char *ret_target)
{
	size_t n = 0, name_size = strlen(name);

	if ((size_t)depth * 3 + name_size + rest_size + 2 >= PATH_MAX)
		return -EACCES;
	for (unsigned i = 0; i < depth; i++)
		n = append(ret_target, n, "../", 3);
	if (name_size) {
		n = append(ret_target, n, name, name_size);
		n = append(ret_target, n, "/", 1);
	}
	if (rest_size)
		n = append(ret_target, n, rest, rest_size);
	else if (n)
		n--; /* "..", "../src" */
	else
		n = append(ret_target, n, ".", 1);
	return (int)n;
}

int attr_map_target(const char *target, size_t size, unsigned depth, const struct places *places,
		    char *ret_target)
{
	const char *rest, *name;
	size_t rest_size;

	if (!size || size >= PATH_MAX)
		return -EACCES;
	if (target[0] != '/') {
		if (!stays_inside(target, size, depth))
			return -EACCES;
		memcpy(ret_target, target, size);
		return (int)size;
	}
	rest = places_find(places, target, size, &name);
	if (!rest)
		return -EACCES;
	rest_size = (size_t)(target + size - rest);
	if (!stays_inside(rest, rest_size, 0))
		return -EACCES;
	return from_top(depth, name, rest, rest_size, ret_target);
}

static uint64_t link_size(struct fs *fs, const struct fs_node *node, uint64_t size)
{
	char target[PATH_MAX];
	int n;

	if (fs->config.raw_symlinks || !node->target)
		return size;
	n = attr_map_target(node->target, strlen(node->target), node_depth(node),
			    &node_peer(fs, node)->places, target);
	return n < 0 ? size : (uint64_t)n;
}

/* --- attributes ------------------------------------------------------------------------------- */

uint64_t attr_map_stat(struct fs *fs, struct fs_node *node, const struct attr *attr, uint64_t left,
		       struct stat *ret_stat)
{
	const struct fs_peer *peer = node_peer(fs, node);

	*ret_stat = (struct stat){
	    .st_ino = node->ino,
	    .st_mode = (mode_t)(node->type | (attr->mode & 07777)),
	    .st_nlink = attr->nlink,
	    .st_uid = id_in(peer, (uint32_t)attr->uid, peer->uid, fs->config.uid),
	    .st_gid = id_in(peer, (uint32_t)attr->gid, peer->gid, fs->config.gid),
	    .st_rdev = attr->rdev,
	    .st_size = (off_t)attr->size,
	    .st_blocks = (blkcnt_t)attr->blocks,
	    .st_blksize = (blksize_t)attr->blksize,
	    .st_atim = attr->atime,
	    .st_mtim = attr->mtime,
	    .st_ctim = attr->ctime,
	};
	if (node->type == S_IFLNK)
		ret_stat->st_size = (off_t)link_size(fs, node, attr->size);
	if (node->type == S_IFREG && node->file && file_overlay(node, ret_stat))
		return 0;
	if (node->parent && dir_is_asked_each_time(fs, node->parent))
		return 0;
	/* A write clears them there, and to the kernel is no reason to ask for a mode again. */
	if (node->type == S_IFREG && (attr->mode & (S_ISUID | S_ISGID)))
		return 0;
	return left;
}

void attr_map_reply(fuse_req_t req, struct fs_node *node, const struct attr *attr, uint32_t sent)
{
	struct fs *fs = fs_of(req);
	uint64_t left;
	struct stat stat;

	if ((attr->mode & S_IFMT) != node->type) {
		/* The kernel would give EIO for ever. */
		node->is_stale = true;
		fuse_reply_err(req, ESTALE);
		return;
	}
	left = node_attr_set(fs, node, attr, sent) ? fs->config.trust : 0;
	left = attr_map_stat(fs, node, attr, left, &stat);
	fuse_reply_attr(req, &stat, (double)left / (double)FS_SECOND);
}

void attr_map_entry(struct fs *fs, struct fs_node *node, const struct attr *attr, uint64_t left,
		    struct fuse_entry_param *ret_entry)
{
	uint64_t attr_left;

	*ret_entry = (struct fuse_entry_param){
	    .ino = node_id(fs, node),
	    .generation = node->generation,
	};
	attr_left = attr_map_stat(fs, node, attr, left, &ret_entry->attr);
	ret_entry->attr_timeout = (double)attr_left / (double)FS_SECOND;
	if (node->parent && dir_is_asked_each_time(fs, node->parent))
		left = 0;
	ret_entry->entry_timeout = (double)left / (double)FS_SECOND;
}

void attr_map_reply_entry(fuse_req_t req, struct fs_node *node, const struct attr *attr,
			  uint32_t sent)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	uint64_t left = node_attr_set(fs, node, attr, sent) ? fs->config.trust : 0;

	if (node->parent && (int32_t)(sent - node->parent->changed) < 0)
		left = 0; /* the name may be gone again */
	attr_map_entry(fs, node, attr, left, &entry);
	node_looked_up(node);
	if (fuse_reply_entry(req, &entry))
		node_forgotten(fs, node, 1);
}
