#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int grpc;
    int exit;
    int http;
    const char *help;
} codes[TM_CODE_COUNT] = {
#define C(name, grpc, exit, http, help) [TM_##name] = {#name, grpc, exit, http, help},
    TM_CODES(C)
#undef C
};

enum tm_code tm_error_set(struct tm_error *err, enum tm_code code, const char *format, ...)
{
    if (err) {
        va_list args;
        err->code = code;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return code;
}

enum tm_code tm_error_wrap(struct tm_error *err, const char *format, ...)
{
    char context[sizeof err->message];
    char whole[2 * sizeof err->message + 2];
    va_list args;
    if (!err)
        return TM_IO;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", context, err->message);
    memcpy(err->message, whole, sizeof err->message - 1);
    err->message[sizeof err->message - 1] = '\0';
    return err->code;
}

const char *tm_code_name(enum tm_code code) { return code < TM_CODE_COUNT ? codes[code].name : "UNKNOWN"; }
const char *tm_code_help(enum tm_code code) { return code < TM_CODE_COUNT ? codes[code].help : ""; }
int tm_code_grpc(enum tm_code code) { return code < TM_CODE_COUNT ? codes[code].grpc : 13; }
int tm_code_exit(enum tm_code code) { return code < TM_CODE_COUNT ? codes[code].exit : 1; }
int tm_code_http(enum tm_code code) { return code < TM_CODE_COUNT ? codes[code].http : 500; }

enum tm_code tm_code_from_grpc(int status)
{
    for (int i = 0; i < TM_CODE_COUNT; i++)
        if (codes[i].grpc == status)
            return (enum tm_code)i;
    return TM_IO;
}
