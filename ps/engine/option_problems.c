#include "ps/engine/option_problems.h"

#include <stdio.h>

void option_write(struct buffer *out, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    CHECK(size >= 0);
    vsnprintf((char *)buffer_reserve(out, (size_t)size + 1), (size_t)size + 1, format, again);
    out->size += (size_t)size;
    va_end(again);
    va_end(args);
}

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
        option_write(&problems->text, "%s:%u:%u: %s\n", path, place->line, place->column, text);
    else if (path)
        option_write(&problems->text, "%s: %s\n", path, text);
    else
        option_write(&problems->text, "%s\n", text);
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

/* Letters to change, add, drop or swap with their neighbour (optimal string alignment). */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][OPTION_KEY_SIZE];
    CHECK(nb < OPTION_KEY_SIZE);
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[na % 3][nb];
}

void option_guess_offer(struct option_guess *g, const char *name, size_t size)
{
    enum { EDITS_MAX = 2 };
    size_t wanted = strlen(g->wanted), used = strlen(g->all);
    if (size >= OPTION_KEY_SIZE)
        return;
    if (used < size || strncmp(g->all + used - size, name, size) != 0)
        snprintf(g->all + used, sizeof g->all - used, "%s%.*s", used ? ", " : "", (int)size, name);
    if (wanted > size + EDITS_MAX)
        return;
    size_t distance = edit_distance(g->wanted, wanted, name, size);
    if (distance <= EDITS_MAX && distance < size && (!g->best[0] || distance < g->distance)) {
        snprintf(g->best, sizeof g->best, "%.*s", (int)size, name);
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
