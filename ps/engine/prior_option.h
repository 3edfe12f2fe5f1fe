/* ps/engine/prior_option.h - the option prior_from of a version: what its documents begin with.
 *
 * A name     of a version: what its documents have learned when this one is made (ps/engine/new_prior.c).
 * A file     proto/prior_file.h, read when this version is made. Then both are values of a control record; later starts
 *            need neither, and compare a file that is still there (ps/engine/setup_priors.c).
 * Threads    any. */
#ifndef TIDEMILL_PS_ENGINE_PRIOR_OPTION_H
#define TIDEMILL_PS_ENGINE_PRIOR_OPTION_H

#include "ps/engine/options.h"

/* Does it name a file? With a / in it, or with a name that ends in .safetensors; else a version. */
bool prior_option_is_file(const char *prior_from);

/* What is wrong with it, as far as it can be told without the data directory. TM_NOT_FOUND: the file is not there,
 * which only a version that is made needs. */
enum tm_code prior_option_check(const struct version_options *v, struct tm_error *err);

#endif
