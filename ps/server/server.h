/* ps/server/server.h - `tidemill serve`: from options to a running server, and in good order to its end.
 *
 * Start    HTTP, which says that the rest is not ready; engine (recovery), then the services, then gRPC's port: whoever
 *          can connect there is served.
 * Stop     the first SIGTERM or SIGINT: /readyz says no, health says NOT_SERVING, calls are answered what they have
 *          sent, HTTP ends, the engine commits and closes. The second ends the process at once with exit code 130;
 *          nothing acknowledged is lost by it.
 * Output   the start screen and one last line, on standard output.
 * Threads  the caller's, which must not have started others: signals are blocked here for all that come. */
#ifndef TIDEMILL_PS_SERVER_SERVER_H
#define TIDEMILL_PS_SERVER_SERVER_H

#include "ps/engine/options.h"

/* How the configuration is read again on SIGHUP. TM_INVALID_ARGUMENT: what is wrong with it. */
struct server_configuration {
    enum tm_code (*read)(void *context, struct options *out, struct tm_error *err);
    void *context;
};

/* again: NULL: only the lists of users are. */
enum tm_code server_run(const struct options *options, const struct server_configuration *again, struct tm_error *err);

#endif
