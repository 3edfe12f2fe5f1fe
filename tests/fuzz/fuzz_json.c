/* json_event_encode: a line is refused with its reason, or becomes an event that every server takes. */
#include "proto/items.h"
#include "proto/json_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    struct json_event_info info;
    struct tm_error err = {0};
    struct event e;
    const char *field = NULL;
    if (json_event_encode(bytes_of(data, size), &out, &info, &field, &err) != TM_OK) {
        CHECK(field[0] && err.message[0] && out.size == 0);
        return 0;
    }
    CHECK(!field[0]);
    CHECK(event_scan(buffer_view(&out), &e, &err) == TM_OK);
    if (e.items) {
        struct items items = {0};
        CHECK(items_read(buffer_view(&out), INT64_MAX, &items, &field, &err) == TM_OK && items.count == e.items);
        items_close(&items);
    } else {
        CHECK(event_validate(&e, INT64_MAX, &field, &err) == TM_OK);
    }
    CHECK(info.time == e.time && bytes_equal(bytes_text(info.stream), e.stream));
    return 0;
}
