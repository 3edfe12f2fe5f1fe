/* Tests of ps/engine/registry: names are found while others come, and states change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "ps/engine/registry.h"

enum { READERS = 2, VERSIONS = CATALOG_VERSIONS_MAX };

/* A catalog to which versions are added, as the log writer's. */
struct world {
    struct catalog catalog;
    struct registry *registry;
    _Atomic bool over;
};

static void name_of(uint32_t i, char name[static 16]) { snprintf(name, 16, "v%u", i); }

static void add(struct world *w, uint32_t i)
{
    struct version *v = mem_new(1, sizeof *v);
    struct catalog *c = &w->catalog;
    v->id = i + 1;
    name_of(i, v->name);
    c->version = mem_grow(c->version, c->versions + 1, sizeof *c->version);
    c->state = mem_grow(c->state, c->versions + 1, sizeof *c->state);
    c->encoder = mem_grow(c->encoder, c->versions + 1, sizeof *c->encoder);
    c->encoder[c->versions] = (struct encoder_id){0};
    c->state[c->versions] = VERSION_LEARNING;
    c->version[c->versions++] = v;
    registry_follow(w->registry, c);
}

static void setup(struct world *w)
{
    *w = (struct world){.registry = registry_open()};
    assert_int_equal(registry_count(w->registry), 0);
    assert_null(registry_find(w->registry, bytes_text("v0")));
}

static void teardown(struct world *w)
{
    registry_close(w->registry);
    catalog_close(&w->catalog);
}

static void what_is_there_is_found(void **state)
{
    struct world w;
    char name[16];
    (void)state;
    setup(&w);
    for (uint32_t i = 0; i < VERSIONS; i++)
        add(&w, i);
    for (uint32_t i = 0; i < VERSIONS; i++) {
        name_of(i, name);
        const struct version *v = registry_find(w.registry, bytes_text(name));
        assert_string_equal(v->name, name);
        assert_ptr_equal(registry_at(w.registry, i), v);
        assert_ptr_equal(registry_by_id(w.registry, i + 1), v);
    }
    assert_null(registry_find(w.registry, bytes_text("v")));
    assert_null(registry_find(w.registry, bytes_text("")));
    assert_null(registry_by_id(w.registry, 0));
    assert_null(registry_by_id(w.registry, VERSIONS + 1));
    teardown(&w);
}

static void ids_may_leave_gaps(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    for (uint32_t i = 0; i < 10; i++)
        add(&w, 7 * i);
    assert_int_equal(registry_by_id(w.registry, 64)->id, 64);
    assert_null(registry_by_id(w.registry, 10));
    teardown(&w);
}

static void states_are_followed(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    for (uint32_t i = 0; i < 3; i++)
        add(&w, i);
    w.catalog.state[1] = VERSION_PAUSED;
    registry_follow(w.registry, &w.catalog);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(registry_state(w.registry, w.catalog.version[i]), i == 1 ? VERSION_PAUSED : VERSION_LEARNING);
    teardown(&w);
}

/* Returns how often something was not as it must be. */
static void *read_on(void *context)
{
    struct world *w = context;
    uintptr_t faults = 0;
    char name[16];
    uint32_t before = 0;
    while (!atomic_load(&w->over)) {
        uint32_t count = registry_count(w->registry);
        faults += count < before;
        for (uint32_t i = 0; i < count; i += 1 + count / 8) {
            name_of(i, name);
            const struct version *v = registry_find(w->registry, bytes_text(name));
            faults += !v || v->id != i + 1 || registry_at(w->registry, i)->id != v->id;
            faults += v && v->config.prior[0] != v->config.prior[1]; /* both change at once */
            faults += v && registry_state(w->registry, v) > VERSION_PAUSED;
        }
        name_of(count + 1, name); /* may have come just now */
        const struct version *next = registry_find(w->registry, bytes_text(name));
        faults += next && next->id != count + 2;
        before = count;
    }
    return (void *)faults;
}

static void names_are_read_while_versions_come(void **state)
{
    struct world w;
    pthread_t reader[READERS];
    void *faults;
    (void)state;
    setup(&w);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, read_on, &w), 0);
    for (uint32_t i = 0; i < VERSIONS / 4; i++) {
        double *prior = w.catalog.versions ? w.catalog.version[i / 2]->config.prior : NULL;
        if (prior)
            prior[0] = prior[1] = i;
        add(&w, i);
    }
    assert_int_equal(registry_changes(w.registry), VERSIONS / 4 - 1);
    assert_true(registry_at(w.registry, 0)->config.prior[0] == 1);
    atomic_store(&w.over, true);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(reader[i], &faults), 0);
        assert_null(faults);
    }
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_found),
        cmocka_unit_test(ids_may_leave_gaps),
        cmocka_unit_test(states_are_followed),
        cmocka_unit_test(names_are_read_while_versions_come),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
