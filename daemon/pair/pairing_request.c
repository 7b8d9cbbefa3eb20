#include "daemon/pair/pairing_request.h"

#include <errno.h>
#include <string.h>

#include "daemon/permissions.h"

#define TTL_DEFAULT_S 120

/* The text of a field as a string; false if it does not fit. */
static bool copy_text(struct bytes text, char *buffer, size_t size)
{
	if (text.size >= size)
		return false;
	memcpy(buffer, text.data, text.size);
	buffer[text.size] = '\0';
	return true;
}

int pairing_request_read(const struct args_ctl_pair *args, const struct pairing_room_config *config,
			 struct pairing_request *ret_request, struct failure *failure)
{
	struct pairing_request request = {.allow = config->allow,
					  .ttl_s = args->ttl_s ? args->ttl_s : TTL_DEFAULT_S};
	char address[STORE_ADDRESS_TEXT_MAX + 1], name[OPS_CTL_NAME_MAX + 1];
	char allow[OPS_CTL_NAME_MAX + 1];

	if (!copy_text(args->address, address, sizeof(address)) ||
	    !copy_text(args->name, name, sizeof(name)) ||
	    !copy_text(args->allow, allow, sizeof(allow)))
		return failure_set(failure, -EINVAL, "too long");
	if (name[0] && !peer_name_is_valid(name))
		return failure_set(failure, -EINVAL,
				   "'%s' is no name for a peer: 1 to 63 of A-Z a-z 0-9 . _ -, not "
				   "starting with a dot",
				   name);
	if (allow[0] && permissions_parse(allow, &request.allow, failure) < 0)
		return -EINVAL;
	if (address[0] && config->host->resolve(config->arg, address, request.address) < 0)
		return failure_set(failure, -EINVAL,
				   "'%s' is neither an address nor a machine that was found",
				   address);
	memcpy(request.name, name, strlen(name) < sizeof(request.name) ? strlen(name) + 1 : 1);
	*ret_request = request;
	return 0;
}
