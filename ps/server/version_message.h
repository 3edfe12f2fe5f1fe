/* ps/server/version_message.h - a version as a VersionStatus: its description, its state, its counters.
 *
 * Memory   the message lies beside what it points to, so that a list of them is one piece of memory; names are the
 *          engine's. For packing only.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_VERSION_MESSAGE_H
#define TIDEMILL_PS_SERVER_VERSION_MESSAGE_H

#include "ps/engine/engine.h"
#include "tidemill/v1/versions.pb-c.h"

struct version_message {
    Tidemill__V1__VersionStatus message;
    Tidemill__V1__EmbeddingSpec embedding;
    Tidemill__V1__SampleCounts fresh, corrections;
    Tidemill__V1__BatchCounts batches;
    char *samples_from[VERSION_SOURCES_MAX];
};

const char *version_state_name(enum version_state state); /* "paused" */
void version_message_fill(const struct engine *engine, const struct engine_version_status *v,
                          struct version_message *out);

#endif
