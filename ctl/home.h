/*
 * Where everything is: the same rules as daemon/paths.h, for the paths that loopsyctl needs.
 */
#ifndef CTL_HOME_H
#define CTL_HOME_H

struct home {
	char *loopsy_home; /* of --home or LOOPSY_HOME, absolute; NULL without */
	char *config_dir;
	char *state_dir;
	char *run_dir;
	char *config_file;
	char *identity;
	char *api_key;
	char *database;
	char *audit;
	char *log;
	char *socket;
};

/* From the argument of --home (NULL: none) and the environment; touches nothing. Returns 0, -EINVAL
 * when there is no home directory, or -ENOMEM. */
int home_new(const char *argument, struct home **ret_home);
struct home *home_free(struct home *home);

#endif
