#include "client/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/json_event.h"

enum { READ_STEP = 64 << 10, IDENTITY_BYTES = 64 << 10 };

struct file {
    const char *path;
    int fd;
    bool regular, ended;   /* ended: read() has answered 0 */
    uint64_t size;         /* of a regular file when it was opened */
    int64_t changed_ns;    /* likewise: time of its last change */
    struct buffer text;    /* what was read; lines before `taken` are done with */
    size_t taken, scanned; /* no line end in [taken, scanned) */
    uint64_t line;         /* number of the line taken last */
    uint64_t bytes_taken;
    bool skipping; /* inside a line that was longer than any may be */
    bool ready;    /* event and info hold the next record */
    struct buffer event;
    struct json_event_info info;
};

struct merge {
    struct file *files;
    uint32_t count;
    struct file *lent; /* its event is in the caller's hands */
};

enum line_result { LINE_READY, LINE_TOO_LONG, LINE_WAIT, LINE_END, LINE_FAILED };

static enum tm_code file_failed(const struct file *f, struct tm_error *err)
{
    int saved = errno;
    return tm_error_set(err, saved == ENOENT ? TM_NOT_FOUND : TM_IO, "%s: %s", f->path, strerrordesc_np(saved));
}

static enum tm_code file_open(struct file *f, const char *path, struct tm_error *err)
{
    struct stat st;
    bool standard_input = strcmp(path, "-") == 0;
    f->path = standard_input ? "<stdin>" : path;
    f->fd = standard_input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return file_failed(f, err);
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return file_failed(f, err);
    }
    f->regular = S_ISREG(st.st_mode) && !standard_input;
    f->size = f->regular ? (uint64_t)st.st_size : 0;
    f->changed_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return TM_OK;
}

enum tm_code merge_open(const char *const *paths, size_t count, struct merge **out, struct tm_error *err)
{
    if (count == 0 || count > MERGE_FILES_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "got %zu files; expected 1 to %d", count, MERGE_FILES_MAX);
    struct merge *m = mem_new(1, sizeof *m);
    enum tm_code rc = TM_OK;
    m->files = mem_new(count, sizeof *m->files);
    for (size_t i = 0; rc == TM_OK && i < count; i++) {
        m->count++;
        rc = file_open(&m->files[i], paths[i], err);
    }
    if (rc != TM_OK) {
        merge_close(m);
        return rc;
    }
    *out = m;
    return TM_OK;
}

void merge_close(struct merge *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->files[i].fd >= 0)
            close(m->files[i].fd);
        buffer_close(&m->files[i].text);
        buffer_close(&m->files[i].event);
    }
    free(m->files);
    free(m);
}

/* Read more behind what is there. LINE_READY: something came, or the end did. */
static enum line_result file_fill(struct file *f, struct tm_error *err)
{
    struct pollfd readable = {.fd = f->fd, .events = POLLIN};
    if (!f->regular && poll(&readable, 1, 0) == 0)
        return LINE_WAIT;
    if (f->taken > 0) {
        memmove(f->text.data, f->text.data + f->taken, f->text.size - f->taken);
        f->text.size -= f->taken;
        f->scanned -= f->taken;
        f->taken = 0;
    }
    ssize_t n = read(f->fd, buffer_reserve(&f->text, READ_STEP), READ_STEP);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return LINE_WAIT;
    if (n < 0) {
        file_failed(f, err);
        return LINE_FAILED;
    }
    f->ended = n == 0;
    f->text.size += (size_t)n;
    return LINE_READY;
}

/* Take [taken, end) as a line; `after` bytes of line end follow it. */
static struct bytes file_take(struct file *f, size_t end, size_t after)
{
    struct bytes line = bytes_of(f->text.data + f->taken, end - f->taken);
    f->bytes_taken += line.size + after;
    f->taken = f->scanned = end + after;
    return line;
}

/* Drop what is there of a line that is longer than any may be. */
static bool file_overflows(struct file *f)
{
    bool first = !f->skipping;
    if (f->scanned - f->taken <= JSON_LINE_MAX && !f->skipping)
        return false;
    f->skipping = true;
    f->line += first;
    file_take(f, f->scanned, 0);
    return first;
}

/* The next line without its end. */
static enum line_result file_line(struct file *f, struct bytes *line, struct tm_error *err)
{
    for (;;) {
        const uint8_t *from = f->text.data + f->scanned;
        const uint8_t *end = f->scanned < f->text.size ? memchr(from, '\n', f->text.size - f->scanned) : NULL;
        f->scanned = end ? (size_t)(end - f->text.data) : f->text.size;
        if (end || (f->ended && f->taken < f->text.size)) {
            *line = file_take(f, f->scanned, end != NULL);
            if (!f->skipping) {
                f->line++;
                return LINE_READY;
            }
            f->skipping = false; /* that was the rest of a line reported before */
            continue;
        }
        if (f->ended)
            return LINE_END;
        if (file_overflows(f))
            return LINE_TOO_LONG;
        enum line_result filled = file_fill(f, err);
        if (filled != LINE_READY)
            return filled;
    }
}

static bool is_blank(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++)
        if (!memchr(" \t\r", line.data[i], 3))
            return false;
    return true;
}

static enum merge_result file_parse(struct file *f, struct bytes line, struct tm_error *err)
{
    const char *field = "";
    f->event.size = 0;
    if (json_event_encode(line, &f->event, &f->info, &field, err) == TM_OK) {
        f->ready = true;
        return MERGE_RECORD;
    }
    if (*field && strncmp(err->message, field, strlen(field)) != 0)
        tm_error_wrap(err, "%s", field);
    return MERGE_MALFORMED;
}

/* Have the file's next record ready. MERGE_RECORD: it is; MERGE_END: there is none. */
static enum merge_result file_advance(struct file *f, struct tm_error *err)
{
    struct bytes line;
    while (!f->ready) {
        switch (file_line(f, &line, err)) {
        case LINE_READY:
            if (!is_blank(line))
                return file_parse(f, line, err);
            break;
        case LINE_TOO_LONG:
            tm_error_set(err, TM_RESOURCE_EXHAUSTED, "line: longer than %d bytes; expected one event", JSON_LINE_MAX);
            return MERGE_MALFORMED;
        case LINE_WAIT: return MERGE_WAIT;
        case LINE_END: return MERGE_END;
        case LINE_FAILED: return MERGE_FAILED;
        }
    }
    return MERGE_RECORD;
}

enum merge_result merge_next(struct merge *m, struct merge_record *record, struct merge_place *place,
                             struct tm_error *err)
{
    struct file *first = NULL;
    if (m->lent)
        m->lent->ready = false;
    m->lent = NULL;
    for (uint32_t i = 0; i < m->count; i++) {
        struct file *f = &m->files[i];
        enum merge_result r = file_advance(f, err);
        *place = (struct merge_place){i, f->line};
        if (r == MERGE_MALFORMED || r == MERGE_WAIT || r == MERGE_FAILED)
            return r;
        if (r == MERGE_RECORD && (!first || f->info.time < first->info.time))
            first = f;
    }
    if (!first)
        return MERGE_END;
    *place = (struct merge_place){(uint32_t)(first - m->files), first->line};
    *record = (struct merge_record){buffer_view(&first->event), first->info.stream, first->info.time, *place};
    m->lent = first;
    return MERGE_RECORD;
}

const char *merge_name(const struct merge *m, uint32_t file) { return m->files[file].path; }

uint64_t merge_bytes_read(const struct merge *m)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->count; i++)
        sum += m->files[i].bytes_taken;
    return sum;
}

uint64_t merge_bytes_total(const struct merge *m)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        if (!m->files[i].regular)
            return 0;
        sum += m->files[i].size;
    }
    return sum;
}

void merge_names(const struct merge *m, struct hash128 *out)
{
    CLEANUP(buffer_close) struct buffer all = {0};
    for (uint32_t i = 0; i < m->count; i++)
        buffer_put_bytes(&all, bytes_text(m->files[i].path));
    *out = hash_128(buffer_view(&all), 0);
}

bool merge_identity(const struct merge *m, struct hash128 *out)
{
    CLEANUP(buffer_close) struct buffer all = {0};
    for (uint32_t i = 0; i < m->count; i++) {
        const struct file *f = &m->files[i];
        if (!f->regular)
            return false;
        ssize_t n = pread(f->fd, buffer_reserve(&all, IDENTITY_BYTES), IDENTITY_BYTES, 0);
        uint64_t head = n > 0 ? hash_64(bytes_of(all.data + all.size, (size_t)n)) : 0;
        buffer_put_bytes(&all, bytes_text(f->path));
        buffer_put_u64(&all, f->size);
        buffer_put_i64(&all, f->changed_ns);
        buffer_put_u64(&all, head);
    }
    *out = hash_128(buffer_view(&all), 0);
    return true;
}
