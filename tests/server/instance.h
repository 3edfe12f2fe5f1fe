/* tests/server/instance.h - a whole server on a thread of this process, started and stopped as an operator does it. */
#ifndef TIDEMILL_TESTS_SERVER_INSTANCE_H
#define TIDEMILL_TESTS_SERVER_INSTANCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "ps/server/server.h"

enum { INSTANCE_PORT = 7070, INSTANCE_REPLY_MAX = 8 << 20 };

struct instance {
    struct options options;
    pthread_t thread;
    struct tm_error err;
    enum tm_code code;
    atomic_bool ended;
};

/* Data in this folder, 8 shards, the versions of traffic.h. */
void instance_options(struct options *o, const char *folder, const char *window);
void instance_start(struct instance *s); /* returns when it answers */
void instance_stop(struct instance *s);

/* A call without a request, such as Drain. */
void instance_ask(const char *method, struct buffer *reply);

/* A folder of its own below /tmp, and away with it. */
enum { INSTANCE_FOLDER_SIZE = 64 };
void instance_folder_make(char folder[static INSTANCE_FOLDER_SIZE]);
void instance_folder_remove(const char *folder);

#endif
