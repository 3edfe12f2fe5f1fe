#include "ps/engine/option_problems.h"

#include <stdio.h>

#include "base/text.h"

void option_problem(struct option_problems *problems, const char *path, const struct option_place *place,
                    const char *format, ...)
{
    char text[1024];
    va_list args;
    problems->count++;
    if (problems->count > OPTION_PROBLEMS_SHOWN)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (path && place && place->line)
        buffer_print(&problems->text, "%s:%u:%u: %s\n", path, place->line, place->column, text);
    else if (path)
        buffer_print(&problems->text, "%s: %s\n", path, text);
    else
        buffer_print(&problems->text, "%s\n", text);
}

const char *option_shown(const char *text, char buf[static OPTION_SHOWN_SIZE])
{
    size_t size = strlen(text), kept = size;
    if (size == 0) {
        snprintf(buf, OPTION_SHOWN_SIZE, "nothing");
        return buf;
    }
    if (size > OPTION_VALUE_SHOWN) /* cut before a character, not inside one */
        for (kept = OPTION_VALUE_SHOWN; kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80;)
            kept--;
    for (size_t i = 0; i < kept; i++) {
        unsigned char c = (unsigned char)text[i];
        buf[i] = c < 0x20 || c == 0x7f ? '?' : text[i];
    }
    snprintf(buf + kept, OPTION_SHOWN_SIZE - kept, "%s", kept < size ? "..." : "");
    return buf;
}

void option_guess_offer(struct option_guess *g, const char *name, size_t size)
{
    enum { EDITS_MAX = 2 };
    char offered[OPTION_KEY_SIZE];
    size_t wanted = strlen(g->wanted), used = strlen(g->all);
    if (size >= sizeof offered)
        return;
    snprintf(offered, sizeof offered, "%.*s", (int)size, name);
    if (used < size || strncmp(g->all + used - size, name, size) != 0)
        snprintf(g->all + used, sizeof g->all - used, "%s%s", used ? ", " : "", offered);
    if (wanted > size + EDITS_MAX)
        return;
    size_t distance = text_distance(g->wanted, offered);
    if (distance <= EDITS_MAX && distance < size && (!g->best[0] || distance < g->distance)) {
        memcpy(g->best, offered, sizeof g->best);
        g->distance = distance;
    }
}

const char *option_guess_hint(const struct option_guess *g, char buf[static OPTION_HINT_SIZE])
{
    if (g->best[0])
        snprintf(buf, OPTION_HINT_SIZE, "did you mean %s?", g->best);
    else if (g->all[0])
        snprintf(buf, OPTION_HINT_SIZE, "expected one of: %s", g->all);
    else
        snprintf(buf, OPTION_HINT_SIZE, "there is none");
    return buf;
}

enum tm_code options_refuse(struct option_problems *problems, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer line = {0};
    for (size_t i = 0; i + 1 < problems->text.size; i++) { /* every problem ends with a line's end */
        buffer_put_u8(&line, problems->text.data[i] == '\n' ? ';' : problems->text.data[i]);
        if (problems->text.data[i] == '\n')
            buffer_put_u8(&line, ' ');
    }
    if (problems->count)
        tm_error_set(err, TM_INVALID_ARGUMENT, "%.*s", (int)line.size, (const char *)line.data);
    buffer_close(&problems->text);
    return problems->count ? TM_INVALID_ARGUMENT : TM_OK;
}
