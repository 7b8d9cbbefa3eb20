#include "daemon/identity_file.h"

#include <errno.h>
#include <string.h>

#include "daemon/private_file.h"

int identity_file_load(const char *path, struct identity **ret_identity, struct failure *failure)
{
	char *pem;
	size_t n;
	int r = private_file_read(path, &pem, &n, failure);

	if (r < 0)
		return r;
	r = identity_from_pem(ret_identity, pem, n);
	private_file_free(pem, n);
	if (r == -EINVAL)
		r = failure_set(failure, -EBADMSG,
				"%.256s holds no identity: restore it, or remove it, run loopsyctl "
				"init and pair again",
				path);
	else if (r < 0)
		failure_set(failure, r, "cannot read %.256s: %s", path, strerror(-r));
	return r;
}

int identity_file_create(const char *path, struct identity **ret_identity, struct failure *failure)
{
	struct identity *identity = NULL;
	char *pem = NULL;
	size_t n = 0;
	int r = identity_generate(&identity);

	if (r == 0)
		r = identity_to_pem(identity, &pem, &n);
	if (r < 0) {
		failure_set(failure, r, "cannot make a key: %s", strerror(-r));
		goto out;
	}
	r = private_file_write(path, pem, n, false, failure);
	if (r == 0 && ret_identity) {
		*ret_identity = identity;
		identity = NULL;
	}
out:
	if (pem)
		identity_pem_free(pem, n);
	identity_free(identity);
	return r;
}
