/* What a row costs the encoder, in batches and alone; and the products of its layers by OpenBLAS with nothing around them,
 * as a floor in the same run. */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "learner/draw.h"
#include "learner/encoder.h"
#include "learner/lr.h"

enum { ROWS = 960, ROUNDS = 9, WEIGHTS_MAX = 1 << 20 };

struct network {
    const char *name;
    uint32_t dense, widths[3];
};

struct world {
    struct encoder *encoder;
    size_t batch;
    float *weights, *x, *out, *room;
    float *from, *to; /* of bare products */
    struct encoder_input row[ROWS];
    struct model_config config; /* of lr on what it makes */
    void *block;
};

static float *fill(size_t count, uint64_t seed)
{
    struct draw stream = draw_begin(seed, 0, 0);
    float *v = mem_new(count, sizeof *v);
    for (size_t i = 0; i < count; i++)
        v[i] = (float)(0.1 * draw_normal(&stream));
    return v;
}

static struct world *world_open(const struct network *n)
{
    struct world *w = mem_new(1, sizeof *w);
    struct encoder_layout l = {.dense = n->dense};
    struct tm_error err;
    uint32_t in = n->dense, widest = in;
    w->weights = fill(WEIGHTS_MAX, 1);
    float *at = w->weights;
    for (; l.layer_count < ARRAY_LEN(n->widths) && n->widths[l.layer_count]; l.layer_count++) {
        uint32_t out = n->widths[l.layer_count];
        l.layer[l.layer_count] = (struct encoder_layer){in, out, ACTIVATION_RELU, at, at + (size_t)in * out};
        at += (size_t)(in + 1) * out;
        in = out;
        widest = out > widest ? out : widest;
    }
    CHECK(at <= w->weights + WEIGHTS_MAX);
    if (encoder_open(&l, &w->encoder, &err) != TM_OK)
        stop(2, "%s", err.message);
    w->x = fill((size_t)ROWS * n->dense, 2);
    w->from = fill((size_t)ROWS * widest, 3);
    w->to = fill((size_t)ROWS * widest, 4);
    w->out = fill((size_t)ROWS * in, 5);
    w->room = fill(encoder_room(w->encoder), 6);
    for (size_t i = 0; i < ROWS; i++)
        w->row[i].dense = w->x + i * n->dense;
    w->config = (struct model_config){.dimension = in, .covariance = COVARIANCE_FULL, .prior_sd = 1, .intercept_sd = 1};
    model_fix(&model_lr_full, &w->config);
    w->block = mem_new(1, model_lr_full.block_size(&w->config));
    model_lr_full.init(&w->config, w->block);
    return w;
}

static void world_close(struct world *w)
{
    encoder_close(w->encoder);
    free(w->block);
    free(w->weights);
    free(w->x);
    free(w->out);
    free(w->room);
    free(w->from);
    free(w->to);
    free(w);
}

static void encode_all(struct world *w)
{
    uint32_t width = encoder_width(w->encoder);
    for (size_t i = 0; i < ROWS; i += w->batch)
        encoder_run(w->encoder, w->row + i, w->batch, w->room, w->out + i * width);
}

/* The same products over as many rows at once as a batch has. */
static void multiply_all(struct world *w)
{
    const struct encoder_layout *l = encoder_layout(w->encoder);
    int rows = (int)w->batch;
    for (size_t i = 0; i < ROWS; i += w->batch) {
        const float *weights = w->weights;
        for (uint32_t k = 0; k < l->layer_count; k++) {
            int in = (int)l->layer[k].in, out = (int)l->layer[k].out;
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, out, in, 1, w->from, in, weights, in, 0, w->to,
                        out);
            weights += (size_t)(in + 1) * (size_t)out;
        }
    }
}

/* What a version with an encoder does with a sample: one row encoded alone, and its last layer learned. */
static void serve_all(struct world *w)
{
    const uint32_t width = encoder_width(w->encoder);
    for (size_t i = 0; i < ROWS; i++) {
        float *x = w->out + i * width;
        encoder_run(w->encoder, w->row + i, 1, w->room, x);
        struct example e = {.reward = i % 8 == 0, .weight = 1, .time = 1, .x = x};
        model_lr_full.learn(&w->config, w->block, &e, 1);
    }
}

/* ns of CPU per row: the least of several rounds, since what else runs here only adds. */
static double cost_of(void (*run)(struct world *), struct world *w)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_thread_cpu_ns();
        run(w);
        best = fmin(best, (double)(clock_thread_cpu_ns() - began) / ROWS);
    }
    return best;
}

static void add_served(struct bench *b, struct world *w, const char *name)
{
    if (encoder_width(w->encoder) > MODEL_FULL_MAX - 1)
        return;
    w->batch = 1;
    bench_say("encoder: %s and lr on what it makes", name);
    double alone = cost_of(encode_all, w), ours = cost_of(serve_all, w);
    bench_add(b,
              (struct bench_row){
                  .value = ours, .unit = "ns CPU/sample", .reference = "encoding alone", .reference_value = alone},
              "encoder/%s/with lr", name);
}

int main(int argc, char **argv)
{
    static const struct network networks[] = {
        {"32-32", 32, {32}},
        {"64-64-32", 64, {64, 32}},
        {"128-256-128-64", 128, {256, 128, 64}},
    };
    static const size_t batches[] = {1, 10, 16, 240};
    struct bench *b = mem_new(1, sizeof *b);
    bench_open(b, argc, argv);
    for (size_t i = 0; i < ARRAY_LEN(networks); i++) {
        struct world *w = world_open(&networks[i]);
        for (size_t k = 0; k < ARRAY_LEN(batches); k++) {
            w->batch = batches[k];
            bench_say("encoder: %s in batches of %zu", networks[i].name, w->batch);
            double floor = cost_of(multiply_all, w), ours = cost_of(encode_all, w);
            bench_add(b,
                      (struct bench_row){
                          .value = ours, .unit = "ns CPU/row", .reference = "bare sgemm", .reference_value = floor},
                      "encoder/%s/batch=%zu", networks[i].name, w->batch);
        }
        add_served(b, w, networks[i].name);
        world_close(w);
    }
    int status = bench_finish(b);
    free(b);
    return status;
}
