// OpenMP target regions of every shape. Each prints its name and what it computed.
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 3000, SIDE = 40 };

static void tell(const char *name, const double *values, int count) {
    printf("%s", name);
    for (int at = 0; at < count; at++) printf(" %.9g", values[at]);
    puts("");
}

static void tell_sum(const char *name, const double *values, int count) {
    double sum = 0, weighed = 0;
    for (int at = 0; at < count; at++) sum += values[at], weighed += values[at] * (at % 17);
    tell(name, (double[]){sum, weighed}, 2);
}

#pragma omp declare target
static int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
static double polynomial(double x) { return (x * 2 - 1) * x + 0.5; }
static int table[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
typedef struct { double x, y; int kind; } point;
#pragma omp end declare target

static void loops(double *a, double *b) {
    #pragma omp target teams distribute parallel for map(tofrom: a[:N]) map(to: b[:N])
    for (int i = 0; i < N; i++) a[i] += 3 * b[i];
    tell_sum("loop", a, N);
    #pragma omp target parallel for map(tofrom: a[:N]) schedule(dynamic, 7)
    for (int i = 0; i < N; i++) a[i] = a[i] * 0.5 + i;
    tell_sum("dynamic_schedule", a, N);
    #pragma omp target teams distribute parallel for simd map(tofrom: a[:N])
    for (int i = 0; i < N; i++) a[i] = sqrt(a[i] + 1) + sin(i * 0.01);
    tell_sum("simd", a, N);
    #pragma omp target map(tofrom: a[:N])
    for (int i = 1; i < N; i++) a[i] += 0.5 * a[i - 1];
    tell_sum("one_thread", a, N);
}

static void reductions(double *a) {
    double sum = 0, product = 1, most = -1e9;
    int either = 0, all = ~0;
    #pragma omp target teams distribute parallel for reduction(+: sum) reduction(max: most) map(to: a[:N])
    for (int i = 0; i < N; i++) {
        sum += a[i];
        if (a[i] > most) most = a[i];
    }
    #pragma omp target parallel for reduction(*: product) reduction(|: either) reduction(&: all)
    for (int i = 0; i < 24; i++) {
        product *= 1 + i * 0.01;
        either |= 1 << i;
        all &= ~(1 << (i + 2));
    }
    tell("reductions", (double[]){sum, product, most, either, all}, 5);
}

static void nested(double *a) {
    double grid[SIDE * SIDE];
    #pragma omp target teams distribute map(from: grid)
    for (int i = 0; i < SIDE; i++) {
        #pragma omp parallel for
        for (int j = 0; j < SIDE; j++) grid[i * SIDE + j] = i * 1.5 + j * j;
    }
    tell_sum("teams_and_threads", grid, SIDE * SIDE);
    #pragma omp target teams distribute parallel for collapse(2) map(tofrom: grid)
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) grid[i * SIDE + j] = polynomial(grid[i * SIDE + j] * 0.01);
    tell_sum("collapsed", grid, SIDE * SIDE);
    double left[SIDE * SIDE], product[SIDE * SIDE];
    memcpy(left, grid, sizeof left);
    #pragma omp target teams distribute parallel for collapse(2) map(to: left, grid) map(from: product)
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            double sum = 0;
            for (int k = 0; k < SIDE; k++) sum += left[i * SIDE + k] * grid[k * SIDE + j];
            product[i * SIDE + j] = sum;
        }
    tell_sum("matrix_product", product, SIDE * SIDE);
    (void)a;
}

static void synchronised(void) {
    int counter = 0, bins[8] = {0}, order = 0;
    double shared[64] = {0};
    #pragma omp target parallel for map(tofrom: counter, bins)
    for (int i = 0; i < 500; i++) {
        #pragma omp atomic
        counter += i;
        #pragma omp atomic
        bins[i % 8]++;
    }
    #pragma omp target parallel map(tofrom: shared, order) num_threads(8)
    {
        int me = omp_get_thread_num();
        if (me < 8) shared[me] = me + 1;
        #pragma omp barrier
        if (me < 8) shared[8 + me] = shared[7 - me] * 2;
        #pragma omp critical
        order += 1;
        #pragma omp single
        shared[20] = 7;
        #pragma omp master
        shared[21] = 9;
    }
    double told[] = {counter, bins[0], bins[3], bins[7], order >= 1, shared[20], shared[21]};
    tell("atomics_and_barriers", told, 7);
}

static void data(double *a) {
    double *only_there = a;
    #pragma omp target data map(tofrom: only_there[:N])
    {
        #pragma omp target
        for (int i = 0; i < N; i++) only_there[i] = i * 0.25;
        #pragma omp target teams distribute parallel for
        for (int i = 0; i < N; i++) only_there[i] *= 2;
        #pragma omp target update from(only_there[:10])
    }
    tell_sum("kept_between_regions", a, N);
    #pragma omp target enter data map(to: a[:N])
    #pragma omp target teams distribute parallel for
    for (int i = 0; i < N; i++) a[i] += 1;
    #pragma omp target exit data map(from: a[:N])
    tell_sum("enter_and_exit", a, N);
    int device = omp_get_default_device();
    double *place = omp_target_alloc(N * sizeof *place, device);
    omp_target_memcpy(place, a, N * sizeof *place, 0, 0, device, omp_get_initial_device());
    #pragma omp target teams distribute parallel for is_device_ptr(place)
    for (int i = 0; i < N; i++) place[i] -= 0.5;
    omp_target_memcpy(a, place, N * sizeof *place, 0, 0, omp_get_initial_device(), device);
    omp_target_free(place, device);
    tell_sum("device_pointers", a, N);
}

static void functions(void) {
    double results[32];
    point points[100];
    #pragma omp target teams distribute parallel for map(from: results)
    for (int i = 0; i < 32; i++) results[i] = fibonacci(i % 12) + table[i % 16];
    tell("recursion_and_tables", results, 32);
    #pragma omp target teams distribute parallel for map(from: points)
    for (int i = 0; i < 100; i++) points[i] = (point){cos(i * 0.1), exp(-i * 0.05), i % 3};
    double sums[3] = {0};
    for (int i = 0; i < 100; i++) sums[points[i].kind] += points[i].x * points[i].y;
    tell("structures", sums, 3);
}

static void tasks(void) {
    double parts[4] = {0};
    #pragma omp parallel num_threads(2)
    #pragma omp single
    for (int part = 0; part < 4; part++) {
        #pragma omp target map(tofrom: parts[part: 1]) firstprivate(part) nowait depend(out: parts[part])
        for (int i = 0; i < 100; i++) parts[part] += i * (part + 1);
    }
    #pragma omp taskwait
    tell("asynchronous_regions", parts, 4);
}

int main(void) {
    static double a[N], b[N];
    int on_device = 0;
    for (int i = 0; i < N; i++) a[i] = i * 0.5, b[i] = i % 13;
    #pragma omp target map(from: on_device)
    on_device = !omp_is_initial_device();
    printf("on_device %d\n", on_device);
    loops(a, b);
    reductions(a);
    nested(a);
    synchronised();
    data(a);
    functions();
    tasks();
    return 0;
}
