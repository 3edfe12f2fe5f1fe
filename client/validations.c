#include "client/validations.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"
#include "client/print.h"

static struct cell number_or_none(bool has, double number) { return has ? cell_number(number) : cell_none(); }

static void print_probabilities(Tidemill__V1__Validation *const *validations, size_t count)
{
    static const char *const names[] = {"window", "predictions", "samples", "positives",   "log-loss", "NE",
                                        "AUC",    "AUC +-",      "GAUC",    "calibration", "ECE",      "as of"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < count; i++) {
        const Tidemill__V1__Validation *v = validations[i];
        char window[UNITS_TEXT_SIZE];
        printer_row(p, (struct cell[]){
                           cell_text(duration_text(v->window_ms, window)), cell_text(v->kind), cell_count(v->samples),
                           cell_count(v->positives), number_or_none(v->has_log_loss, v->log_loss),
                           number_or_none(v->has_normalised_entropy, v->normalised_entropy),
                           number_or_none(v->has_auc, v->auc), number_or_none(v->has_auc_error, v->auc_error),
                           number_or_none(v->has_grouped_auc, v->grouped_auc),
                           number_or_none(v->has_calibration, v->calibration),
                           number_or_none(v->has_calibration_error, v->calibration_error), cell_time(v->as_of)});
    }
    printer_close(p);
}

static void print_errors(Tidemill__V1__Validation *const *validations, size_t count)
{
    static const char *const names[] = {"window",    "predictions", "samples",     "mean reward", "squared error",
                                        "abs error", "explained",   "log density", "coverage",    "as of"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < count; i++) {
        const Tidemill__V1__Validation *v = validations[i];
        char window[UNITS_TEXT_SIZE];
        printer_row(p, (struct cell[]){cell_text(duration_text(v->window_ms, window)), cell_text(v->kind),
                                       cell_count(v->samples), number_or_none(v->has_base_rate, v->base_rate),
                                       number_or_none(v->has_mean_squared_error, v->mean_squared_error),
                                       number_or_none(v->has_mean_absolute_error, v->mean_absolute_error),
                                       number_or_none(v->has_explained_variance, v->explained_variance),
                                       number_or_none(v->has_log_density, v->log_density),
                                       number_or_none(v->has_interval_coverage, v->interval_coverage),
                                       cell_time(v->as_of)});
    }
    printer_close(p);
}

/* Does the posterior know how wide it is? */
static void print_coverage(Tidemill__V1__Validation *const *validations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Tidemill__V1__Validation *v = validations[i];
        char window[UNITS_TEXT_SIZE];
        if (v->has_trials && v->trials > 0)
            printf("%s: %.1f %% of %" PRIu64
                   " batches had as many positives as the 95 %% interval foretold; dispersion "
                   "%.3g (1: the posterior is right, above: too narrow)\n",
                   duration_text(v->window_ms, window), 100 * v->coverage, v->trials, v->dispersion);
    }
}

void validations_print(Tidemill__V1__Validation *const *validations, size_t count)
{
    bool real = false; /* of one version they are all of one kind */
    for (size_t i = 0; i < count; i++)
        real |= validations[i]->has_mean_squared_error;
    if (real) {
        print_errors(validations, count);
    } else {
        print_probabilities(validations, count);
        print_coverage(validations, count);
    }
}
