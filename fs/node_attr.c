/*
 * Attributes that are remembered hang from their nodes, and all of them in a list by age: a timer
 * drops from its old end what is not trusted any more.
 */
#include "fs/node.h"

#include <stdlib.h>

#include "fs/peer.h"

void node_attr_forget(struct fs *fs, struct fs_node *node)
{
	struct node_attr *attr = node->attr;

	if (!attr)
		return;
	*(attr->older ? &attr->older->newer : &fs->attrs_oldest) = attr->newer;
	*(attr->newer ? &attr->newer->older : &fs->attrs_newest) = attr->older;
	node->attr = NULL;
	free(attr);
}

static void expire_attrs(struct fs *fs, struct fs_timer *timer)
{
	uint64_t now = fs_now(fs);

	while (fs->attrs_oldest && fs->attrs_oldest->until <= now)
		node_attr_forget(fs, fs->attrs_oldest->node);
	if (fs->attrs_oldest)
		fs_timer_set(fs, timer, fs->attrs_oldest->until - now + FS_SECOND);
}

bool node_attr_is_new(struct fs *fs, const struct fs_node *node, const struct attr *attr,
		      uint32_t sent)
{
	const struct fs_peer *peer = node_peer(fs, node);

	if ((int32_t)(sent - node->changed) < 0)
		return false;
	return node->type == S_IFDIR || attr->nlink < 2 || !peer ||
	       (int32_t)(sent - peer->names_lost) >= 0;
}

bool node_attr_set(struct fs *fs, struct fs_node *node, const struct attr *attr, uint32_t sent)
{
	struct node_attr *kept;

	if (!node_attr_is_new(fs, node, attr, sent))
		return false;
	node_attr_forget(fs, node);
	kept = malloc(sizeof(*kept));
	if (!kept)
		return false;
	*kept = (struct node_attr){.node = node,
				   .until = fs_now(fs) + fs->config.trust,
				   .sent = sent,
				   .attr = *attr,
				   .older = fs->attrs_newest};
	*(fs->attrs_newest ? &fs->attrs_newest->newer : &fs->attrs_oldest) = kept;
	fs->attrs_newest = kept;
	node->attr = kept;
	if (!fs->attrs_timer.at) {
		fs->attrs_timer.fn = expire_attrs;
		fs_timer_set(fs, &fs->attrs_timer, 2 * fs->config.trust);
	}
	return true;
}

const struct attr *node_attr_get(struct fs *fs, const struct fs_node *node, uint64_t *ret_left)
{
	uint64_t now = fs_now(fs);

	if (!node->attr || node->attr->until <= now ||
	    !node_attr_is_new(fs, node, &node->attr->attr, node->attr->sent))
		return NULL;
	*ret_left = node->attr->until - now;
	return &node->attr->attr;
}
