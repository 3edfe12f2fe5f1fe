/* ps/server/validation_message.h - how good a version's predictions were, as Validation messages.
 *
 * Errors   those of engine_validation(). Threads: any but those that serve calls: it reads the state. */
#ifndef TIDEMILL_PS_SERVER_VALIDATION_MESSAGE_H
#define TIDEMILL_PS_SERVER_VALIDATION_MESSAGE_H

#include "ps/engine/engine.h"

/* Append one for each kind of prediction that was counted and each window, as a repeated field. */
enum tm_code validation_message_put(struct engine *e, const struct version *v, uint32_t field, struct buffer *out,
                                    struct tm_error *err);

#endif
