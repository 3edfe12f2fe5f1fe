/* tests/failures/script.h - what a process does while something fails in it, and how the next one judges what it left.
 *
 * The script: open a new data directory, send half of the batches, drain, close, open again, send the rest, close. So
 * it makes, writes, reads back and compacts every kind of file. Each batch is a function of its number. */
#ifndef TIDEMILL_TESTS_FAILURES_SCRIPT_H
#define TIDEMILL_TESTS_FAILURES_SCRIPT_H

#include "tests/failures/failing.h"

/* Both return an exit code: of the script 0, or a documented one when a start is refused; of the judge 0, or 1 with a
 * line on standard error that says what was lost or doubled. The judge sends what the script did not get rid of, with
 * the numbers that the log says, and counts everything. */
int script_run(const char *folder, struct failing_report *report);
int script_judge(const char *folder, struct failing_report *report);

#endif
