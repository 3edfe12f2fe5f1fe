#include <string.h>

#include "ps/storage/rocks_parts.h"

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* The C interface has no codes, only the text of a Status: code and subcode, what the file layer was doing, the path,
 * the system's words. Code and subcode stand in front, before anything that could come from outside; only ENOSPC gives
 * these two. What it was doing must be one of those below: nobody was told yet that what it wrote is there. */
bool rocks_found_no_room(const char *words)
{
    static const char code[] = "IO error: No space left on device: ";
    static const char *const doing[] = {"While appending to file: ", "While open a file for appending: "};
    bool found = false;
    if (!begins(words, code))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(doing) && !found; i++)
        found = begins(words + strlen(code), doing[i]);
    return found;
}

enum tm_code rocks_take_words(const char *path, const char *doing, char **words, struct tm_error *err)
{
    if (!*words)
        return TM_OK;
    bool damaged = begins(*words, "Corruption") || strstr(*words, "No such file");
    enum tm_code rc = damaged ? TM_DATA_LOSS : rocks_found_no_room(*words) ? TM_RESOURCE_EXHAUSTED : TM_IO;
    tm_error_set(err, rc, "%s: %s: %s", path, doing, *words);
    rocksdb_free(*words);
    *words = NULL;
    return rc;
}
