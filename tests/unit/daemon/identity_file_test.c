#include "daemon/identity_file.h"

#include <errno.h>

#include "tests/unit/daemon/scratch.h"

TestSuite(identity_file, .init = scratch_init, .fini = scratch_fini);

static struct failure failure;

Test(identity_file, comes_back_as_it_was_made)
{
	const char *path = scratch_path("identity.pem");
	struct identity *made, *loaded;

	cr_assert_eq(identity_file_load(path, &loaded, &failure), -ENOENT);
	cr_assert_eq(identity_file_create(path, &made, &failure), 0, "%s", failure.text);
	cr_assert_eq(scratch_mode(path), 0600);
	cr_assert_eq(identity_file_load(path, &loaded, &failure), 0, "%s", failure.text);
	cr_assert_str_eq(made->id, loaded->id);
	identity_free(loaded);
	cr_assert_eq(identity_file_create(path, NULL, &failure), -EEXIST);
	cr_assert_eq(identity_file_load(path, &loaded, &failure), 0);
	cr_assert_str_eq(made->id, loaded->id, "it was not replaced");
	identity_free(loaded);
	identity_free(made);
}

Test(identity_file, refuses_a_file_that_holds_none)
{
	const char *path = scratch_path("identity.pem");
	struct identity *identity = NULL;

	scratch_write(path, "not a key\n", 10, 0600);
	cr_assert_eq(identity_file_load(path, &identity, &failure), -EBADMSG);
	cr_assert(strstr(failure.text, "holds no identity"), "%s", failure.text);
	scratch_write(path, "", 0, 0600);
	cr_assert_eq(identity_file_load(path, &identity, &failure), -EBADMSG);
	scratch_write(path, "", 0, 0644);
	cr_assert_eq(identity_file_load(path, &identity, &failure), -EPERM);
	cr_assert_null(identity);
}
