#include "ps/engine/option_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "learner/model.h"
#include "ps/state/catalog.h"

/* One word of a fixed choice. */
struct word {
    const char *word;
    uint32_t value;
    bool available;
};

static const struct word kinds[] = {
    {"features", STREAM_FEATURES, true},
    {"impression", STREAM_IMPRESSION, true},
    {"action", STREAM_ACTION, true},
    {"table", STREAM_TABLE, true},
};
static const struct word aggregates[] = {
#define A(name, word, help) {word, LABEL_##name, true},
    LABEL_AGGREGATES(A)
#undef A
};
static const struct word covariances[] = {{"diagonal", OPTION_COVARIANCE_DIAGONAL, true},
                                          {"full", OPTION_COVARIANCE_FULL, true}};
static const struct word fields[] = {{"value", FIELD_VALUE, true},
                                     {"weight", FIELD_WEIGHT, true},
                                     {"position", FIELD_POSITION, true},
                                     {"score", FIELD_SCORE, true},
                                     {"propensity", FIELD_PROPENSITY, true}};
static const struct word actions[] = {
    {"drop", FILTER_IS_DROP, true}, {"clamp", FILTER_IS_CLAMP, true}, {"default", FILTER_IS_DEFAULT, true}};
static const struct word looks[] = {{"value", BY_VALUE, true}, {"delay", BY_DELAY, true}};
static const struct word verdicts[] = {{"drop", VERDICT_DROP, true}, {"zero", VERDICT_ZERO, true}};
static const struct word sampling_units[] = {{"impression", 0, true}, {"user", 1, true}};
static const struct word policies[] = {
    {"thompson", RANK_BY_THOMPSON, true}, {"ucb", RANK_BY_UCB, true}, {"greedy", RANK_BY_GREEDY, true}};
static const struct word changes[] = {{"refuse", NEW_REPRESENTATION_REFUSE, true},
                                      {"reset", NEW_REPRESENTATION_RESET, true}};
static const struct word orders[] = {{"arrival", ORDER_ARRIVAL, true}, {"event_time", ORDER_EVENT_TIME, true}};
static const struct word switches[] = {{"off", false, true}, {"on", true, true}};
static const struct word attributes[] = {
    {"last", ATTRIBUTE_LAST, true}, {"first", ATTRIBUTE_FIRST, true}, {"all", ATTRIBUTE_ALL, true}};
static const struct word keys[] = {{"request", KEY_REQUEST, true}, {"user", KEY_USER, true}, {"doc", KEY_DOC, true}};

static const struct {
    const struct word *choice;
    size_t count;
} choices[OPTION_TYPES] = {
    [OPTION_KIND] = {kinds, ARRAY_LEN(kinds)},
    [OPTION_AGGREGATE] = {aggregates, ARRAY_LEN(aggregates)},
    [OPTION_ATTRIBUTE] = {attributes, ARRAY_LEN(attributes)},
    [OPTION_COVARIANCE] = {covariances, ARRAY_LEN(covariances)},
    [OPTION_UNIT] = {sampling_units, ARRAY_LEN(sampling_units)},
    [OPTION_POLICY] = {policies, ARRAY_LEN(policies)},
    [OPTION_FIELD] = {fields, ARRAY_LEN(fields)},
    [OPTION_ACTION] = {actions, ARRAY_LEN(actions)},
    [OPTION_LOOK] = {looks, ARRAY_LEN(looks)},
    [OPTION_VERDICT] = {verdicts, ARRAY_LEN(verdicts)},
    [OPTION_CHANGE] = {changes, ARRAY_LEN(changes)},
    [OPTION_ORDER] = {orders, ARRAY_LEN(orders)},
    [OPTION_SWITCH] = {switches, ARRAY_LEN(switches)},
    [OPTION_KEY_FIELDS] = {keys, ARRAY_LEN(keys)},
};

const char *option_choice_word(enum option_type type, uint32_t value)
{
    const struct word *c = choices[type].choice;
    while (!c->available || c->value != value)
        c++;
    return c->word;
}

static enum tm_code wrong(const struct option_row *row, const char *text, struct tm_error *err)
{
    char shown[OPTION_SHOWN_SIZE], expected[OPTION_EXPECTED_SIZE];
    return tm_error_set(err, TM_INVALID_ARGUMENT, "got %s; expected %s", option_shown(text, shown),
                        option_expected(row, expected));
}

static enum tm_code unavailable(const char *text, struct tm_error *err)
{
    char shown[OPTION_SHOWN_SIZE];
    return tm_error_set(err, TM_UNIMPLEMENTED, "%s is not available in this version", option_shown(text, shown));
}

static enum tm_code wrong_range(const struct option_row *row, const char *word, const char *text, struct tm_error *err)
{
    char shown[OPTION_SHOWN_SIZE];
    return tm_error_set(err, TM_INVALID_ARGUMENT, "got %s; expected a %s from %s to %s", option_shown(text, shown),
                        word, row->min, row->max);
}

/* Well-formed UTF-8 of characters that YAML can carry in one line: no controls, no line breaks, no byte order marks. */
static bool printable(const char *text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        int more = *p < 0x80 ? 0 : (*p & 0xe0) == 0xc0 ? 1 : (*p & 0xf0) == 0xe0 ? 2 : (*p & 0xf8) == 0xf0 ? 3 : -1;
        if (more < 0)
            return false;
        uint32_t c = more ? *p & (0x3fu >> more) : *p;
        for (int i = 0; i < more; i++) {
            if ((p[1] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (*++p & 0x3fu);
        }
        bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
        bool no_character = (c >= 0xd800 && c < 0xe000) || c == 0xfeff || c == 0xfffe || c == 0xffff || c > 0x10ffff;
        if (c < least[more] || control || no_character)
            return false;
    }
    return true;
}

static enum tm_code parse_path(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    size_t size = strlen(text);
    if (size == 0 || size >= sizeof((struct options *)owner)->data || !printable(text))
        return wrong(row, text, err);
    memcpy((char *)owner + row->offset, text, size + 1);
    return TM_OK;
}

static enum tm_code parse_file(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    if (*text)
        return parse_path(row, owner, text, err);
    *((char *)owner + row->offset) = '\0';
    return TM_OK;
}

/* host:port, the host of an IPv6 address in brackets. */
static bool address_valid(const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (!colon || colon == text || colon[1] < '0' || colon[1] > '9' || strlen(colon) > strlen(":65535"))
        return false;
    if (strtoul(colon + 1, &end, 10) > UINT16_MAX || *end)
        return false;
    size_t host = (size_t)(colon - text);
    if (text[0] == '[')
        return host > 2 && strspn(text + 1, "0123456789abcdefABCDEF:.") == host - 2 && text[host - 1] == ']';
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == host;
}

static enum tm_code parse_address(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    size_t size = strlen(text);
    if (size >= sizeof((struct options *)owner)->listen || !address_valid(text))
        return wrong(row, text, err);
    memcpy((char *)owner + row->offset, text, size + 1);
    return TM_OK;
}

static bool count_parse(const char *text, uint32_t *value)
{
    if (*text == '\0' || strlen(text) > 9 || strspn(text, "0123456789") != strlen(text))
        return false;
    *value = (uint32_t)strtoul(text, NULL, 10);
    return true;
}

static enum tm_code parse_switchable(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    if (strcmp(text, OPTION_OFF) != 0)
        return parse_address(row, owner, text, err);
    memcpy((char *)owner + row->offset, OPTION_OFF, sizeof OPTION_OFF);
    return TM_OK;
}

static enum tm_code parse_count(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    uint32_t v, min, max;
    CHECK(count_parse(row->min, &min) && count_parse(row->max, &max));
    if (!count_parse(text, &v) || v < min || v > max)
        return wrong(row, text, err);
    memcpy((char *)owner + row->offset, &v, sizeof v);
    return TM_OK;
}

static enum tm_code parse_duration(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    int64_t v, min, max;
    CHECK(duration_parse(row->min, &min) && duration_parse(row->max, &max));
    if (!duration_parse(text, &v))
        return wrong(row, text, err);
    if (v < min || v > max)
        return wrong_range(row, "duration", text, err);
    memcpy((char *)owner + row->offset, &v, sizeof v);
    return TM_OK;
}

static enum tm_code parse_size(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    uint64_t v, min, max;
    CHECK(size_parse(row->min, &min) && size_parse(row->max, &max));
    if (!size_parse(text, &v))
        return wrong(row, text, err);
    if (v < min || v > max)
        return wrong_range(row, "size", text, err);
    memcpy((char *)owner + row->offset, &v, sizeof v);
    return TM_OK;
}

static bool number_parse(const char *text, double *value)
{
    char *end;
    if (*text == '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

static enum tm_code parse_number(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    double v, min, max;
    CHECK(number_parse(row->min, &min) && number_parse(row->max, &max));
    if (!number_parse(text, &v) || v < min || v > max)
        return wrong(row, text, err);
    memcpy((char *)owner + row->offset, &v, sizeof v);
    return TM_OK;
}

static enum tm_code parse_flag(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    bool v = strcmp(text, "true") == 0;
    if (!v && strcmp(text, "false") != 0)
        return wrong(row, text, err);
    memcpy((char *)owner + row->offset, &v, sizeof v);
    return TM_OK;
}

/* True: with its NUL it fits into OPTION_NAME_MAX + 1. */
bool option_name_valid(const char *text)
{
    size_t size = strlen(text);
    return size >= 1 && size <= OPTION_NAME_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == size;
}

static enum tm_code parse_name(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    if (!option_name_valid(text))
        return wrong(row, text, err);
    memcpy((char *)owner + row->offset, text, strlen(text) + 1);
    return TM_OK;
}

/* What it means shows when the labels are known. */
static enum tm_code parse_reward(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    size_t size;
    text += strspn(text, " ");
    size = strlen(text);
    while (size > 0 && text[size - 1] == ' ')
        size--;
    if (size == 0 || size > REWARD_TEXT_MAX || !printable(text))
        return wrong(row, text, err);
    snprintf((char *)owner + row->offset, REWARD_TEXT_MAX + 1, "%.*s", (int)size, text);
    return TM_OK;
}

static enum tm_code parse_choice(const struct option_row *row, const char *text, uint32_t *value, struct tm_error *err)
{
    const struct word *c = choices[row->type].choice;
    for (size_t i = 0; i < choices[row->type].count; i++) {
        if (strcmp(text, c[i].word) != 0)
            continue;
        *value = c[i].value;
        return c[i].available ? TM_OK : unavailable(text, err);
    }
    return wrong(row, text, err);
}

static enum tm_code parse_kind(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    uint32_t v = 0;
    enum tm_code rc = parse_choice(row, text, &v, err);
    if (rc == TM_OK)
        *(enum option_stream_kind *)((char *)owner + row->offset) = (enum option_stream_kind)v;
    return rc;
}

static enum tm_code parse_aggregate(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    uint32_t v = 0;
    enum tm_code rc = parse_choice(row, text, &v, err);
    if (rc == TM_OK)
        *(enum label_aggregate *)((char *)owner + row->offset) = (enum label_aggregate)v;
    return rc;
}

static enum tm_code parse_word(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    uint32_t v = 0;
    enum tm_code rc = parse_choice(row, text, &v, err);
    if (rc == TM_OK)
        *(uint32_t *)((char *)owner + row->offset) = v;
    return rc;
}

static enum tm_code parse_switch(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    uint32_t v = 0;
    enum tm_code rc = parse_choice(row, text, &v, err);
    if (rc == TM_OK)
        *(bool *)((char *)owner + row->offset) = v;
    return rc;
}

static enum tm_code parse_attribute(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    uint32_t v = 0;
    enum tm_code rc = parse_choice(row, text, &v, err);
    if (rc == TM_OK)
        *(enum option_attribute *)((char *)owner + row->offset) = (enum option_attribute)v;
    return rc;
}

enum { ELEMENT_SIZE = 128 };

/* The next of "a, b, c" without the blanks around it; too long ones come out cut, and are then no valid element. */
static bool next_element(const char **text, char element[static ELEMENT_SIZE])
{
    if (!*text)
        return false;
    size_t size = strcspn(*text, ",");
    const char *start = *text, *end = start + size;
    *text = *end ? end + 1 : NULL;
    while (start < end && *start == ' ')
        start++;
    while (end > start && end[-1] == ' ')
        end--;
    snprintf(element, ELEMENT_SIZE, "%.*s", (int)(end - start < ELEMENT_SIZE ? end - start : ELEMENT_SIZE), start);
    return true;
}

static enum tm_code parse_key_fields(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    char element[ELEMENT_SIZE];
    uint32_t v = 0, bit = 0;
    for (const char *at = text; next_element(&at, element); v |= bit)
        if (parse_choice(row, element, &bit, NULL) || (v & bit))
            return wrong(row, text, err);
    *(uint32_t *)((char *)owner + row->offset) = v;
    return TM_OK;
}

static enum tm_code parse_bound(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    struct label_bound bound = {.given = true};
    if (!number_parse(text, &bound.value))
        return wrong(row, text, err);
    *(struct label_bound *)((char *)owner + row->offset) = bound;
    return TM_OK;
}

static enum tm_code parse_prior(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    struct version_options *version = owner;
    double v[ARRAY_LEN(version->prior)] = {0};
    char element[ELEMENT_SIZE];
    uint32_t count = 0;
    for (const char *at = text; next_element(&at, element); count++)
        if (count == ARRAY_LEN(v) || !number_parse(element, &v[count]))
            return wrong(row, text, err);
    memcpy(version->prior, v, sizeof v);
    version->prior_count = count;
    return TM_OK;
}

static enum tm_code parse_samples_from(const struct option_row *row, void *owner, const char *text,
                                       struct tm_error *err)
{
    struct version_options *version = owner;
    char element[ELEMENT_SIZE];
    uint32_t count = 0;
    for (const char *at = text; next_element(&at, element); count++)
        if (count == OPTION_SAMPLES_FROM_MAX || !option_name_valid(element))
            return wrong(row, text, err);
    count = 0;
    for (const char *at = text; next_element(&at, element); count++)
        memcpy(version->samples_from[count], element, strlen(element) + 1);
    version->samples_from_count = count;
    return TM_OK;
}

static enum tm_code parse_unavailable(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    (void)owner, (void)text;
    return unavailable(row->key, err);
}

static const struct {
    const char *word;
    bool list;
    enum tm_code (*parse)(const struct option_row *row, void *owner, const char *text, struct tm_error *err);
} types[OPTION_TYPES] = {
    [OPTION_PATH] = {"path", false, parse_path},
    [OPTION_FILE] = {"path", false, parse_file},
    [OPTION_ADDRESS] = {"address", false, parse_address},
    [OPTION_SWITCHABLE] = {"address", false, parse_switchable},
    [OPTION_COUNT] = {"number", false, parse_count},
    [OPTION_NUMBER] = {"number", false, parse_number},
    [OPTION_DURATION] = {"duration", false, parse_duration},
    [OPTION_SIZE] = {"size", false, parse_size},
    [OPTION_FLAG] = {"flag", false, parse_flag},
    [OPTION_SWITCH] = {"word", false, parse_switch},
    [OPTION_NAME] = {"name", false, parse_name},
    [OPTION_MODEL] = {"name", false, parse_name},
    [OPTION_REWARD] = {"expression", false, parse_reward},
    [OPTION_KIND] = {"word", false, parse_kind},
    [OPTION_AGGREGATE] = {"word", false, parse_aggregate},
    [OPTION_BOUND] = {"number", false, parse_bound},
    [OPTION_COVARIANCE] = {"word", false, parse_word},
    [OPTION_UNIT] = {"word", false, parse_word},
    [OPTION_POLICY] = {"word", false, parse_word},
    [OPTION_FIELD] = {"word", false, parse_word},
    [OPTION_ACTION] = {"word", false, parse_word},
    [OPTION_CHANGE] = {"word", false, parse_word},
    [OPTION_ORDER] = {"word", false, parse_word},
    [OPTION_LOOK] = {"word", false, parse_word},
    [OPTION_VERDICT] = {"word", false, parse_word},
    [OPTION_KEY_FIELDS] = {"list", true, parse_key_fields},
    [OPTION_ATTRIBUTE] = {"word", false, parse_attribute},
    [OPTION_PRIOR] = {"list", true, parse_prior},
    [OPTION_SAMPLES_FROM] = {"list", true, parse_samples_from},
    [OPTION_UNAVAILABLE] = {"", false, parse_unavailable},
};

const char *option_type_word(enum option_type type) { return types[type].word; }
bool option_type_is_list(enum option_type type) { return types[type].list; }

static void expected_aggregate(char buf[static OPTION_EXPECTED_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(aggregates); i++)
        used += (size_t)snprintf(buf + used, OPTION_EXPECTED_SIZE - used, "%s%s",
                                 i == 0                          ? ""
                                 : i + 1 < ARRAY_LEN(aggregates) ? ", "
                                                                 : " or ",
                                 aggregates[i].word);
}

const char *option_expected(const struct option_row *row, char buf[static OPTION_EXPECTED_SIZE])
{
    const char *example = row->example ? row->example : row->preset;
    switch (row->type) {
    case OPTION_PATH: snprintf(buf, OPTION_EXPECTED_SIZE, "a path of 1 to 4095 bytes, printable"); break;
    case OPTION_FILE: snprintf(buf, OPTION_EXPECTED_SIZE, "a path of at most 4095 bytes, printable"); break;
    case OPTION_ADDRESS: snprintf(buf, OPTION_EXPECTED_SIZE, "host:port such as %s", example); break;
    case OPTION_SWITCHABLE: snprintf(buf, OPTION_EXPECTED_SIZE, "host:port such as %s, or off", example); break;
    case OPTION_COUNT: snprintf(buf, OPTION_EXPECTED_SIZE, "a whole number from %s to %s", row->min, row->max); break;
    case OPTION_NUMBER: snprintf(buf, OPTION_EXPECTED_SIZE, "a number from %s to %s", row->min, row->max); break;
    case OPTION_COVARIANCE: snprintf(buf, OPTION_EXPECTED_SIZE, "full or diagonal"); break;
    case OPTION_CHANGE: snprintf(buf, OPTION_EXPECTED_SIZE, "refuse or reset"); break;
    case OPTION_ORDER: snprintf(buf, OPTION_EXPECTED_SIZE, "arrival or event_time"); break;
    case OPTION_SWITCH: snprintf(buf, OPTION_EXPECTED_SIZE, "on or off"); break;
    case OPTION_FLAG: snprintf(buf, OPTION_EXPECTED_SIZE, "true or false"); break;
    case OPTION_KIND: snprintf(buf, OPTION_EXPECTED_SIZE, "features, impression or action"); break;
    case OPTION_AGGREGATE: expected_aggregate(buf); break;
    case OPTION_FIELD: snprintf(buf, OPTION_EXPECTED_SIZE, "value, weight, position, score or propensity"); break;
    case OPTION_ACTION: snprintf(buf, OPTION_EXPECTED_SIZE, "drop, clamp or default"); break;
    case OPTION_POLICY: snprintf(buf, OPTION_EXPECTED_SIZE, "thompson, ucb or greedy"); break;
    case OPTION_LOOK: snprintf(buf, OPTION_EXPECTED_SIZE, "value or delay"); break;
    case OPTION_VERDICT: snprintf(buf, OPTION_EXPECTED_SIZE, "drop or zero"); break;
    case OPTION_UNIT: snprintf(buf, OPTION_EXPECTED_SIZE, "impression or user"); break;
    case OPTION_MODEL: snprintf(buf, OPTION_EXPECTED_SIZE, "one of the models: %s", model_names()); break;
    case OPTION_KEY_FIELDS:
        snprintf(buf, OPTION_EXPECTED_SIZE, "a list of request, user and doc, each at most once");
        break;
    case OPTION_ATTRIBUTE: snprintf(buf, OPTION_EXPECTED_SIZE, "last, first or all"); break;
    case OPTION_PRIOR: snprintf(buf, OPTION_EXPECTED_SIZE, "a list of 1 to 8 numbers such as %s", example); break;
    case OPTION_SAMPLES_FROM:
        snprintf(buf, OPTION_EXPECTED_SIZE, "a list of 1 to %d versions such as %s", OPTION_SAMPLES_FROM_MAX, example);
        break;
    case OPTION_REWARD:
        snprintf(buf, OPTION_EXPECTED_SIZE, "an expression of 1 to %d bytes such as %s", REWARD_TEXT_MAX, example);
        break;
    case OPTION_NAME: snprintf(buf, OPTION_EXPECTED_SIZE, "a name: 1 to %d of [A-Za-z0-9._-]", OPTION_NAME_MAX); break;
    default: snprintf(buf, OPTION_EXPECTED_SIZE, "a %s such as %s", types[row->type].word, example); break;
    }
    return buf;
}

enum tm_code option_parse(const struct option_row *row, void *owner, const char *text, struct tm_error *err)
{
    return types[row->type].parse(row, owner, text, err);
}
