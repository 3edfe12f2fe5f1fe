#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { DAY_S = 86400, ERA_YEARS = 400, ERA_DAYS = 146097 };

/* 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z */
static const int64_t year_0_ms = INT64_C(-62167219200000), year_9999_end_ms = INT64_C(253402300799999);

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_wall_ms(void) { return clock_ns(CLOCK_REALTIME) / NS_PER_MS; }
int64_t clock_monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
int64_t clock_thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

int64_t clock_ms_since(int64_t monotonic_ns) { return (clock_monotonic_ns() - monotonic_ns) / NS_PER_MS; }

int64_t clock_deadline_ns(int64_t timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX : clock_monotonic_ns() + timeout_ms * NS_PER_MS;
}

void clock_sleep_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS}, NULL);
}

/* The proleptic Gregorian calendar, with years that start in March so that the leap day is a year's last:
 * the day of the year is then a linear function of the month. 400 years are an era of equal length. */
static int64_t days_of_date(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1;
    int era = (y >= 0 ? y : y - (ERA_YEARS - 1)) / ERA_YEARS;
    int year_of_era = y - era * ERA_YEARS;
    int day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * ERA_DAYS + day_of_era - 719468; /* from 0000-03-01 to 1970-01-01 */
}

static void date_of_days(int64_t days, int *year, int *month, int *day)
{
    int64_t d = days + 719468;
    int64_t era = (d >= 0 ? d : d - (ERA_DAYS - 1)) / ERA_DAYS;
    int day_of_era = (int)(d - era * ERA_DAYS);
    int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int march_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * march_month + 2) / 5 + 1;
    *month = march_month < 10 ? march_month + 3 : march_month - 9;
    *year = (int)(era * ERA_YEARS) + year_of_era + (*month <= 2);
}

const char *clock_text(int64_t ms, char buf[static CLOCK_TEXT_SIZE])
{
    int year, month, day;
    if (ms < year_0_ms || ms > year_9999_end_ms) {
        snprintf(buf, CLOCK_TEXT_SIZE, "%" PRId64, ms);
        return buf;
    }
    int64_t seconds = ms / 1000 - (ms % 1000 < 0); /* floor: times before 1970 count down */
    int64_t days = seconds / DAY_S - (seconds % DAY_S < 0);
    unsigned second = (unsigned)(seconds - days * DAY_S);
    date_of_days(days, &year, &month, &day);
    snprintf(buf, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year % 10000, (unsigned)month % 100,
             (unsigned)day % 100, second / 3600 % 24, second / 60 % 60, second % 60,
             (unsigned)(ms - seconds * 1000) % 1000);
    return buf;
}

/* Exactly `digits` decimal digits; false leaves the reader bad. */
static bool take_number(struct reader *r, int digits, int low, int high, int *value)
{
    int v = 0;
    for (int i = 0; i < digits; i++) {
        uint8_t c = reader_u8(r);
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *value = v;
    return v >= low && v <= high;
}

static bool take_date(struct reader *r, int64_t *days)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take_number(r, 4, 0, 9999, &year) || reader_u8(r) != '-' || !take_number(r, 2, 1, 12, &month) ||
        reader_u8(r) != '-' || !take_number(r, 2, 1, 31, &day))
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    *days = days_of_date(year, month, day);
    return day <= month_days[month - 1] + (month == 2 && leap);
}

static bool take_fraction(struct reader *r, int *ms)
{
    int scale = 100, digits = 0;
    *ms = 0;
    if (reader_left(r) == 0 || *r->at != '.')
        return true;
    reader_u8(r);
    for (; reader_left(r) > 0 && *r->at >= '0' && *r->at <= '9'; digits++, scale /= 10)
        *ms += scale * (reader_u8(r) - '0');
    return digits > 0;
}

/* What has to be subtracted to get UTC, in seconds. */
static bool take_offset(struct reader *r, int *seconds)
{
    int hours, minutes;
    uint8_t sign = reader_u8(r);
    *seconds = 0;
    if (sign == 'Z' || sign == 'z')
        return true;
    if ((sign != '+' && sign != '-') || !take_number(r, 2, 0, 23, &hours) || reader_u8(r) != ':' ||
        !take_number(r, 2, 0, 59, &minutes))
        return false;
    *seconds = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return true;
}

bool clock_parse(struct bytes text, int64_t *ms)
{
    struct reader r = reader_of(text);
    int64_t days;
    int hour, minute, second, fraction, offset;
    if (!take_date(&r, &days))
        return false;
    uint8_t between = reader_u8(&r);
    if ((between != 'T' && between != 't' && between != ' ') || !take_number(&r, 2, 0, 23, &hour) ||
        reader_u8(&r) != ':' || !take_number(&r, 2, 0, 59, &minute) || reader_u8(&r) != ':' ||
        !take_number(&r, 2, 0, 60, &second) || !take_fraction(&r, &fraction) || !take_offset(&r, &offset))
        return false;
    int64_t seconds = days * DAY_S + hour * 3600 + minute * 60 + second - offset;
    /* A leap second is the last of a UTC day; counted as the first of the next, as POSIX time does. */
    if (r.bad || reader_left(&r) > 0 || (second == 60 && seconds % DAY_S != 0))
        return false;
    *ms = seconds * 1000 + fraction;
    return true;
}
