/* A message for programs: the same JSON that HTTP answers with. */
#include "client/print.h"
#include "proto/json.h"

void print_json_message(FILE *out, const ProtobufCMessage *message)
{
    CLEANUP(buffer_close) struct buffer text = {0};
    json_put_message(&text, message);
    fwrite(text.data, 1, text.size, out);
}

void print_json_line(const ProtobufCMessage *message)
{
    print_json_message(stdout, message);
    putchar('\n');
}
