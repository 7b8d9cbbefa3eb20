#ifndef DAEMON_OPTIONS_FILE_H
#define DAEMON_OPTIONS_FILE_H

#include "daemon/options.h"
#include "daemon/paths.h"

/*
 * loopsy.conf: an INI file of "name = value" lines, and a section [export NAME] for each directory
 * that peers may enter.
 */
#define OPTIONS_FILE_MAX             (256 * 1024)
#define OPTIONS_FILE_LINE_MAX        190 /* inih's own limit is 200, and it would split the line */
#define OPTIONS_FILE_EXPORTS_MAX     64
#define OPTIONS_FILE_EXPORT_NAME_MAX 48   /* "export.NAME.deny" fits CTL_CONFIG's names */
#define OPTIONS_FILE_DENY_MAX        1024 /* of one export */

/*
 * Reads n bytes of text. file is what errors call it. Exports are those of the text: none is added.
 * Returns 0; -EINVAL with all errors found in *ret_errors, a line "FILE:LINE: what" each, to be
 * freed; or -ENOMEM.
 */
int options_file_parse(const char *file, const char *text, size_t n, const char *home_dir,
		       struct options **ret_options, char **ret_errors);

/*
 * Reads paths->config_file; a missing one is an empty one. Without any export, the home directory
 * is exported as "home", without ~/.ssh and ~/.gnupg. Every export denies loopsy's own directories:
 * who reads the identity is this machine. Returns as options_file_parse, or -errno with a line in
 * *ret_errors.
 */
int options_file_load(const struct paths *paths, struct options **ret_options, char **ret_errors);

#endif
