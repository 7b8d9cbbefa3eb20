#include "daemon/serve/acting.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/frame.h"

#define BIT(capability) (1u << ((capability) % 32))

/* Those with ids of 32 bits, where there are others. */
#ifdef SYS_setgroups32
#define SET_GROUPS SYS_setgroups32
#define SET_FSUID  SYS_setfsuid32
#define SET_FSGID  SYS_setfsgid32
#else
#define SET_GROUPS SYS_setgroups
#define SET_FSUID  SYS_setfsuid
#define SET_FSGID  SYS_setfsgid
#endif

/* --- raw calls, of this thread only ----------------------------------------------------------- */

static int set_groups(size_t n, const gid_t *groups)
{
	return syscall(SET_GROUPS, n, groups) < 0 ? -errno : 0;
}

/* setfsuid and setfsgid say what was before, and nothing of failure: -1 only asks. */
static int set_fs_id(long call, uint32_t id)
{
	syscall(call, id);
	return (uint32_t)syscall(call, UINT32_MAX) == id ? 0 : -EPERM;
}

static int set_capabilities(const struct acting_self *self, const uint32_t effective[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (unsigned i = 0; i < 2; i++)
		data[i] = (struct __user_cap_data_struct){.effective = effective[i],
							  .permitted = self->permitted[i],
							  .inheritable = self->inheritable[i]};
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int get_capabilities(struct acting_self *self)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (unsigned i = 0; i < 2; i++) {
		self->permitted[i] = data[i].permitted;
		self->effective[i] = data[i].effective;
		self->inheritable[i] = data[i].inheritable;
	}
	return 0;
}

/* --- the daemon itself ------------------------------------------------------------------------ */

int acting_self_init(struct acting_self *self)
{
	uint32_t needed = BIT(CAP_SETUID) | BIT(CAP_SETGID);
	int n;

	*self = (struct acting_self){.gid = getegid()};
	n = getgroups(0, NULL);
	if (n < 0)
		return -errno;
	self->groups = calloc((size_t)n + 1, sizeof(*self->groups));
	if (!self->groups)
		return -ENOMEM;
	n = getgroups(n, self->groups);
	if (n >= 0 && get_capabilities(self) == 0) {
		self->n_groups = (size_t)n;
		self->possible = geteuid() == 0 && (self->effective[0] & needed) == needed;
	}
	return 0;
}

void acting_self_deinit(struct acting_self *self)
{
	free(self->groups);
	*self = (struct acting_self){0};
}

enum acting_how acting_decide(const struct acting_self *self, const struct caller *caller,
			      bool granted)
{
	if (!self->possible || !caller)
		return ACTING_SELF;
	if (granted)
		return ACTING_CALLER;
	return caller->uid == 0 ? ACTING_SELF : ACTING_HUMBLY;
}

/* --- on and off ------------------------------------------------------------------------------- */

/* CAP_FSETID alone is missing. */
static int humble(const struct acting_self *self)
{
	uint32_t effective[2] = {self->effective[0] & ~BIT(CAP_FSETID), self->effective[1]};

	return set_capabilities(self, effective);
}

static int become(const struct acting_self *self, const struct caller *caller)
{
	static const uint32_t none[2];
	gid_t groups[FRAME_GROUPS_MAX];
	int error;

	for (uint32_t i = 0; i < caller->n_groups; i++)
		groups[i] = caller->groups[i];
	error = set_groups(caller->n_groups, groups);
	if (error == 0)
		error = set_fs_id(SET_FSGID, caller->gid);
	if (error == 0)
		error = set_fs_id(SET_FSUID, caller->uid);
	/* The kernel drops only those that it counts among a file system's: trusted attributes,
	 * reserved blocks and the like would still be allowed. */
	if (error == 0 && caller->uid != 0)
		error = set_capabilities(self, none);
	return error;
}

/* The little memory that this takes the kernel finds, sooner or later. */
static void must(int (*step)(const struct acting_self *self), const struct acting_self *self)
{
	int error;

	while ((error = step(self)) == -ENOMEM)
		sched_yield();
	if (error < 0)
		abort();
}

static int own_capabilities(const struct acting_self *self)
{
	return set_capabilities(self, self->effective);
}

static int own_groups(const struct acting_self *self)
{
	return set_groups(self->n_groups, self->groups);
}

/* Back to euid and egid, which takes no capability: it fails for want of memory only. */
static int own_gid(const struct acting_self *self)
{
	return set_fs_id(SET_FSGID, self->gid) < 0 ? -ENOMEM : 0;
}

static int own_uid(const struct acting_self *self)
{
	return set_fs_id(SET_FSUID, 0) < 0 ? -ENOMEM : 0;
}

void acting_end(struct acting *acting)
{
	const struct acting_self *self = acting->self;

	if (!self)
		return;
	must(own_capabilities, self);
	if (acting->how == ACTING_CALLER) {
		must(own_groups, self);
		must(own_gid, self);
		must(own_uid, self);
	}
	*acting = ACTING_NULL;
}

int acting_begin(const struct acting_self *self, enum acting_how how, const struct caller *caller,
		 struct acting *ret_acting)
{
	struct acting acting = {.self = self, .how = how};
	int error;

	*ret_acting = ACTING_NULL;
	if (how == ACTING_SELF)
		return 0;
	error = how == ACTING_CALLER ? become(self, caller) : humble(self);
	if (error < 0) {
		acting_end(&acting); /* a part of it may be on */
		return error;
	}
	*ret_acting = acting;
	return 0;
}
