#include "learner/reward.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* What an op does; below the first label's it takes one or two values from the stack and puts one there. */
enum op { OP_ADD, OP_SUBTRACT, OP_MULTIPLY, OP_DIVIDE, OP_NEGATE, OP_MIN, OP_MAX, OP_GT, OP_GE, OP_LT, OP_LE };
enum { OP_LABEL = 32, OP_NUMBER = OP_LABEL + REWARD_LABELS_MAX };

/* ---- reading ---- */

struct parser {
    const char *text, *at; /* ends with a NUL */
    const char *const *label;
    uint32_t labels, nested, stack;
    struct reward *out;
    struct tm_error *err;
};

static enum tm_code comparison(struct parser *p);

static void skip_blanks(struct parser *p) { p->at += strspn(p->at, " \t"); }
static int column(const struct parser *p) { return (int)(p->at - p->text) + 1; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
/* A name does not end in front of one of these; of '-' only a longer label knows. */
static bool is_name(char c) { return is_letter(c) || is_digit(c) || c == '.'; }

static enum tm_code unexpected(struct parser *p, const char *expected)
{
    if (*p->at == '\0')
        return tm_error_set(p->err, TM_INVALID_ARGUMENT, "column %d: it ends; expected %s", column(p), expected);
    return tm_error_set(p->err, TM_INVALID_ARGUMENT, "column %d: got %.1s; expected %s", column(p), p->at, expected);
}

static enum tm_code too_much(struct parser *p, int most, const char *what)
{
    return tm_error_set(p->err, TM_INVALID_ARGUMENT, "column %d: more than %d %s; expected a shorter expression",
                        column(p), most, what);
}

/* pops: how many values it takes from the stack. */
static enum tm_code emit(struct parser *p, int op, uint32_t pops)
{
    if (p->out->ops == REWARD_OPS_MAX)
        return too_much(p, REWARD_OPS_MAX, "names, numbers and operators");
    p->stack += 1 - pops;
    if (p->stack > REWARD_DEPTH_MAX)
        return too_much(p, REWARD_DEPTH_MAX, "values that wait for each other");
    p->out->op[p->out->ops++] = (uint8_t)op;
    return TM_OK;
}

static bool take(struct parser *p, const char *word)
{
    size_t size = strlen(word);
    skip_blanks(p);
    if (strncmp(p->at, word, size) != 0)
        return false;
    p->at += size;
    return true;
}

static enum tm_code expect(struct parser *p, const char *word, const char *expected)
{
    return take(p, word) ? TM_OK : unexpected(p, expected);
}

/* The longest label that stands here; -1: none. */
static int label_here(const struct parser *p)
{
    size_t longest = 0;
    int found = -1;
    for (uint32_t i = 0; i < p->labels; i++) {
        size_t size = strlen(p->label[i]);
        if (size > longest && strncmp(p->at, p->label[i], size) == 0 && !is_name(p->at[size])) {
            longest = size;
            found = (int)i;
        }
    }
    return found;
}

static enum tm_code no_label(struct parser *p)
{
    CLEANUP(buffer_close) struct buffer names = {0};
    int size = 0;
    while (is_name(p->at[size]))
        size++;
    for (uint32_t i = 0; i < p->labels; i++)
        buffer_print(&names, "%s%s", i ? ", " : "", p->label[i]);
    return tm_error_set(p->err, TM_INVALID_ARGUMENT, "column %d: %.*s is no label; expected one of: %.*s", column(p),
                        size, p->at, (int)names.size, names.size ? (const char *)names.data : "");
}

static enum tm_code number(struct parser *p)
{
    struct reward *r = p->out;
    char *end;
    if (p->at[0] == '0' && (p->at[1] == 'x' || p->at[1] == 'X')) /* strtod takes it */
        return unexpected(p, "a decimal number");
    if (r->numbers == REWARD_NUMBERS_MAX)
        return too_much(p, REWARD_NUMBERS_MAX, "numbers");
    double v = strtod(p->at, &end);
    if (end == p->at || !isfinite(v))
        return unexpected(p, "a finite number");
    p->at = end;
    r->number[r->numbers] = v;
    return emit(p, OP_NUMBER + (int)r->numbers++, 0);
}

static enum tm_code pair(struct parser *p, int op)
{
    enum tm_code rc = expect(p, "(", "(");
    if (rc == TM_OK)
        rc = comparison(p);
    if (rc == TM_OK)
        rc = expect(p, ",", "an operator or ,");
    if (rc == TM_OK)
        rc = comparison(p);
    if (rc == TM_OK)
        rc = expect(p, ")", "an operator or )");
    return rc == TM_OK ? emit(p, op, 2) : rc;
}

/* min and max are functions where a parenthesis follows. */
static bool function_here(struct parser *p, const char *name)
{
    size_t size = strlen(name);
    if (strncmp(p->at, name, size) != 0 || p->at[size + strspn(p->at + size, " \t")] != '(')
        return false;
    p->at += size;
    return true;
}

static enum tm_code simple(struct parser *p)
{
    if (function_here(p, "min"))
        return pair(p, OP_MIN);
    if (function_here(p, "max"))
        return pair(p, OP_MAX);
    int label = label_here(p);
    if (is_letter(*p->at)) {
        if (label < 0)
            return no_label(p);
        p->at += strlen(p->label[label]);
        return emit(p, OP_LABEL + label, 0);
    }
    if (is_digit(*p->at) || *p->at == '.')
        return number(p);
    return unexpected(p, "a label, a number or (");
}

static enum tm_code factor(struct parser *p)
{
    enum tm_code rc;
    if (p->nested++ > REWARD_DEPTH_MAX)
        return too_much(p, REWARD_DEPTH_MAX, "of ( and - in each other");
    if (take(p, "-")) {
        rc = factor(p);
        if (rc == TM_OK)
            rc = emit(p, OP_NEGATE, 1);
    } else if (take(p, "(")) {
        rc = comparison(p);
        if (rc == TM_OK)
            rc = expect(p, ")", "an operator or )");
    } else {
        rc = simple(p);
    }
    p->nested--;
    return rc;
}

static enum tm_code product(struct parser *p)
{
    enum tm_code rc = factor(p);
    while (rc == TM_OK) {
        int op = take(p, "*") ? OP_MULTIPLY : take(p, "/") ? OP_DIVIDE : -1;
        if (op < 0)
            break;
        rc = factor(p);
        if (rc == TM_OK)
            rc = emit(p, op, 2);
    }
    return rc;
}

static enum tm_code sum(struct parser *p)
{
    enum tm_code rc = product(p);
    while (rc == TM_OK) {
        int op = take(p, "+") ? OP_ADD : take(p, "-") ? OP_SUBTRACT : -1;
        if (op < 0)
            break;
        rc = product(p);
        if (rc == TM_OK)
            rc = emit(p, op, 2);
    }
    return rc;
}

static enum tm_code comparison(struct parser *p)
{
    enum tm_code rc = sum(p);
    if (rc != TM_OK)
        return rc;
    int op = take(p, ">=") ? OP_GE : take(p, "<=") ? OP_LE : take(p, ">") ? OP_GT : take(p, "<") ? OP_LT : -1;
    if (op < 0)
        return TM_OK;
    rc = sum(p);
    return rc == TM_OK ? emit(p, op, 2) : rc;
}

static enum tm_code whole(struct parser *p)
{
    for (uint32_t i = 0; i < p->labels; i++)
        if (strcmp(p->text, p->label[i]) == 0)
            return emit(p, OP_LABEL + (int)i, 0);
    enum tm_code rc = comparison(p);
    skip_blanks(p);
    return rc == TM_OK && *p->at ? unexpected(p, "an operator") : rc;
}

enum tm_code reward_compile(struct bytes text, const char *const *label, uint32_t labels, struct reward *out,
                            struct tm_error *err)
{
    struct parser p = {.label = label, .labels = labels, .out = out, .err = err};
    CHECK(labels <= REWARD_LABELS_MAX);
    *out = (struct reward){0};
    if (text.size > REWARD_TEXT_MAX || (text.size && memchr(text.data, '\0', text.size)))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "an expression of %zu bytes; expected at most %d of text",
                            text.size, REWARD_TEXT_MAX);
    if (text.size)
        memcpy(out->text, text.data, text.size);
    p.text = p.at = out->text;
    return whole(&p);
}

/* ---- computing ---- */

static double bounded(double v) { return v > DBL_MAX ? DBL_MAX : v < -DBL_MAX ? -DBL_MAX : v; }

static double apply(enum op op, double a, double b)
{
    switch (op) {
    case OP_ADD: return bounded(a + b);
    case OP_SUBTRACT: return bounded(a - b);
    case OP_MULTIPLY: return bounded(a * b);
    case OP_DIVIDE: return bounded(a / b);
    case OP_NEGATE: return -b;
    case OP_MIN: return a < b ? a : b;
    case OP_MAX: return a > b ? a : b;
    case OP_GT: return a > b;
    case OP_GE: return a >= b;
    case OP_LT: return a < b;
    case OP_LE: return a <= b;
    }
    return 0;
}

bool reward_value(const struct reward *r, const double *labels, double *out)
{
    double stack[REWARD_DEPTH_MAX + 1] = {0}, *top = stack;
    for (uint32_t i = 0; i < r->ops; i++) {
        uint8_t op = r->op[i];
        if (op >= OP_NUMBER) {
            *++top = r->number[op - OP_NUMBER];
        } else if (op >= OP_LABEL) {
            *++top = labels[op - OP_LABEL];
        } else {
            double b = *top;
            if (op == OP_DIVIDE && b == 0)
                return false;
            top -= op != OP_NEGATE;
            *top = apply((enum op)op, *top, b);
        }
    }
    *out = *top + 0.0; /* no -0, which is other bits */
    return true;
}

/* ---- bounds ---- */

struct interval {
    double low, high;
};

static struct interval both(double a, double b, double c, double d)
{
    return (struct interval){fmin(fmin(a, b), fmin(c, d)), fmax(fmax(a, b), fmax(c, d))};
}

/* Infinite bounds stand for finite values, however large: 0 times one of them is 0, and something over it nearly so. */
static double times(double a, double b) { return a == 0 || b == 0 ? 0 : a * b; }
static double over(double a, double b) { return isinf(b) ? 0 : a / b; }

static struct interval interval_of(enum op op, struct interval a, struct interval b)
{
    switch (op) {
    case OP_ADD: return (struct interval){a.low + b.low, a.high + b.high};
    case OP_SUBTRACT: return (struct interval){a.low - b.high, a.high - b.low};
    case OP_MULTIPLY:
        return both(times(a.low, b.low), times(a.low, b.high), times(a.high, b.low), times(a.high, b.high));
    case OP_DIVIDE:
        if (b.low <= 0 && b.high >= 0)
            return (struct interval){-INFINITY, INFINITY};
        return both(over(a.low, b.low), over(a.low, b.high), over(a.high, b.low), over(a.high, b.high));
    case OP_NEGATE: return (struct interval){-b.high, -b.low};
    case OP_MIN: return (struct interval){fmin(a.low, b.low), fmin(a.high, b.high)};
    case OP_MAX: return (struct interval){fmax(a.low, b.low), fmax(a.high, b.high)};
    case OP_GT:
    case OP_GE:
    case OP_LT:
    case OP_LE: break;
    }
    return (struct interval){0, 1};
}

struct reward_range reward_range(const struct reward *r, const double *low, const double *high)
{
    struct interval stack[REWARD_DEPTH_MAX + 1] = {{0}}, *top = stack;
    bool always = true;
    for (uint32_t i = 0; i < r->ops; i++) {
        uint8_t op = r->op[i];
        if (op >= OP_NUMBER) {
            *++top = (struct interval){r->number[op - OP_NUMBER], r->number[op - OP_NUMBER]};
        } else if (op >= OP_LABEL) {
            *++top = (struct interval){low[op - OP_LABEL], high[op - OP_LABEL]};
        } else {
            struct interval b = *top;
            always = always && !(op == OP_DIVIDE && b.low <= 0 && b.high >= 0);
            top -= op != OP_NEGATE;
            *top = interval_of((enum op)op, *top, b);
        }
    }
    return (struct reward_range){top->low, top->high, always};
}
