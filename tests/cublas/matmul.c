// cuBLASLt's products with layouts and epilogues against loops. Linked against our libraries of version MAJOR.
// Prints `ok NAME` for what holds and ends with 1 at the first thing that does not.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cublas.h"

typedef void *handle;
typedef struct { uint64_t algorithm[8]; size_t workspace; int state; float waves; int reserved[4]; } found;

int cublasLtCreate(handle *), cublasLtDestroy(handle);
size_t cublasLtGetVersion(void);
int cublasLtMatmulDescCreate(handle *, int compute, int scale), cublasLtMatmulDescDestroy(handle);
int cublasLtMatmulDescSetAttribute(handle, int, const void *, size_t), cublasLtMatmulDescGetAttribute(handle, int, void *, size_t, size_t *);
int cublasLtMatrixLayoutCreate(handle *, int type, uint64_t rows, uint64_t columns, int64_t leading), cublasLtMatrixLayoutDestroy(handle);
int cublasLtMatrixLayoutInit_internal(handle, size_t, int type, uint64_t rows, uint64_t columns, int64_t leading);
int cublasLtMatrixLayoutSetAttribute(handle, int, const void *, size_t);
int cublasLtMatmulPreferenceCreate(handle *), cublasLtMatmulPreferenceSetAttribute(handle, int, const void *, size_t), cublasLtMatmulPreferenceDestroy(handle);
int cublasLtMatmulAlgoGetHeuristic(handle, handle, handle, handle, handle, handle, handle, int, found *, int *);
int cublasLtMatmul(handle, handle, in alpha, in a, handle, in b, handle, in beta, in c, handle, out d, handle, in algorithm, out workspace, size_t, handle stream);
int cublasLtMatrixTransformDescCreate(handle *, int scale), cublasLtMatrixTransformDescSetAttribute(handle, int, const void *, size_t), cublasLtMatrixTransformDescDestroy(handle);
int cublasLtMatrixTransform(handle, handle, in alpha, in a, handle, in beta, in b, handle, out c, handle, handle stream);

enum { F32 = 0, F16 = 2, E4M3 = 28, COMPUTE_32F = 68 };
enum { POINTER_MODE = 2, TRANS_A = 3, EPILOGUE = 7, BIAS = 8, AUX = 11, AUX_LD = 12, A_SCALE = 17, D_SCALE = 20, AMAX_D = 21 };
enum { ORDER = 1, BATCH = 5, STRIDE = 6 };
enum { M = 5, N = 4, K = 3, SIZE = 512 };

static handle lt;
static float hA[SIZE], hB[SIZE], hC[SIZE], hD[SIZE], bias[M], back[SIZE];
static float *A, *B, *C, *D, *dbias, *aux;

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s\n", name); exit(1); }
    printf("ok %s\n", name);
}

static void set(handle description, int attribute, const void *value, size_t size) {
    if (cublasLtMatmulDescSetAttribute(description, attribute, value, size)) { printf("FAILED attribute %d\n", attribute); exit(1); }
}

static handle layout(int type, int rows, int columns, int leading) {
    handle made = 0;
    if (cublasLtMatrixLayoutCreate(&made, type, rows, columns, leading)) expect("layout", 0);
    return made;
}

static int is(const float *device, const float *wanted, int count, float tolerance) {
    if (cudaDeviceSynchronize() || cudaMemcpy(back, device, count * sizeof(float), 2)) return 0;
    for (int i = 0; i < count; i++)
        if (!(fabsf(back[i] - wanted[i]) <= tolerance)) { printf("# [%d] %g, not %g\n", i, back[i], wanted[i]); return 0; }
    return 1;
}

static void reset(void) {
    for (int i = 0; i < SIZE; i++) { hA[i] = i % 7 - 3; hB[i] = i % 5 - 2; hC[i] = i % 3 - 1; hD[i] = 99; }
    cudaMemcpy(A, hA, sizeof hA, 1); cudaMemcpy(B, hB, sizeof hB, 1); cudaMemcpy(C, hC, sizeof hC, 1); cudaMemcpy(D, hD, sizeof hD, 1);
}

static float gelu(float x) { return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))); }

int main(void) {
    float alpha = 2, beta = 3, zero = 0, one = 1;
    expect("memory", !cudaMalloc((void **)&A, sizeof hA) && !cudaMalloc((void **)&B, sizeof hB) && !cudaMalloc((void **)&C, sizeof hC)
           && !cudaMalloc((void **)&D, sizeof hD) && !cudaMalloc((void **)&dbias, sizeof bias) && !cudaMalloc((void **)&aux, sizeof hD));
    expect("handle", !cublasLtCreate(&lt) && cublasLtGetVersion() / 10000 == MAJOR);
    for (int i = 0; i < M; i++) bias[i] = 2 * i - 4;
    cudaMemcpy(dbias, bias, sizeof bias, 1);

    handle product, preference;
    expect("description", !cublasLtMatmulDescCreate(&product, COMPUTE_32F, F32) && !cublasLtMatmulPreferenceCreate(&preference));
    handle la = layout(F32, M, K, M), lb = layout(F32, K, N, K), lc = layout(F32, M, N, M), ld = layout(F32, M, N, M + 1);
    size_t workspace = 1 << 20, written = 0;
    int epilogue = 0, count = 0, transposed = 1;
    found best;
    expect("preference", !cublasLtMatmulPreferenceSetAttribute(preference, 1, &workspace, sizeof workspace));
    expect("attribute is told", !cublasLtMatmulDescGetAttribute(product, EPILOGUE, &epilogue, sizeof epilogue, &written) && epilogue == 1 && written == 4);
    expect("heuristic", !cublasLtMatmulAlgoGetHeuristic(lt, product, la, lb, lc, ld, preference, 1, &best, &count) && count == 1 && !best.state && best.workspace <= workspace);

    // D, which has a row more than the product, and C apart from it.
    float sums[M * N];
    reset();
    for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) {
        float sum = 0;
        for (int k = 0; k < K; k++) sum += hA[i + k * M] * hB[k + j * K];
        sums[i + j * M] = sum;
        hD[i + j * (M + 1)] = alpha * sum + beta * hC[i + j * M];
    }
    expect("product", !cublasLtMatmul(lt, product, &alpha, A, la, B, lb, &beta, C, lc, D, ld, &best.algorithm, 0, 0, 0) && is(D, hD, SIZE, 0));

    // Epilogues: ReLU, bias, GELU and together; and the derivative of GELU at what was kept.
    static const struct { const char *name; int epilogue; } cases[] = {
        {"relu", 2}, {"bias", 4}, {"bias and relu", 6}, {"gelu", 32}, {"bias and gelu", 36}, {"bias and gelu, kept", 164},
    };
    for (unsigned index = 0; index < sizeof cases / sizeof *cases; index++) {
        int flags = cases[index].epilogue;
        int64_t leading = M;
        reset();
        set(product, EPILOGUE, &flags, sizeof flags);
        set(product, BIAS, &dbias, sizeof dbias);
        set(product, AUX, &aux, sizeof aux);
        set(product, AUX_LD, &leading, sizeof leading);
        float kept[M * N];
        for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) {
            float value = alpha * sums[i + j * M] + (flags & 4 ? bias[i] : 0);
            kept[i + j * M] = value;
            if (flags & 2) value = fmaxf(value, 0);
            if (flags & 32) value = gelu(value);
            hD[i + j * (M + 1)] = value;
        }
        expect(cases[index].name, !cublasLtMatmul(lt, product, &alpha, A, la, B, lb, &zero, C, lc, D, ld, 0, 0, 0, 0) && is(D, hD, SIZE, 1e-5f));
        if (flags & 128) expect("what went into the unit", is(aux, kept, M * N, 0));
    }
    int gradient = 192;
    set(product, EPILOGUE, &gradient, sizeof gradient);
    for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) {
        float x = alpha * sums[i + j * M] + bias[i], h = 1e-3f;
        hD[i + j * (M + 1)] = alpha * sums[i + j * M] * (gelu(x + h) - gelu(x - h)) / (2 * h);
    }
    expect("derivative of gelu", !cublasLtMatmul(lt, product, &alpha, A, la, B, lb, &zero, C, lc, D, ld, 0, 0, 0, 0) && is(D, hD, SIZE, 2e-2f));
    epilogue = 1;
    set(product, EPILOGUE, &epilogue, sizeof epilogue);

    // Transposed A; and by rows, where the same memory is the transposed matrix.
    reset();
    set(product, TRANS_A, &transposed, sizeof transposed);
    handle lt_a = layout(F32, K, M, K);
    for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) { float sum = 0; for (int k = 0; k < K; k++) sum += hA[k + i * K] * hB[k + j * K]; hD[i + j * (M + 1)] = sum; }
    expect("transposed", !cublasLtMatmul(lt, product, &one, A, lt_a, B, lb, &zero, C, lc, D, ld, 0, 0, 0, 0) && is(D, hD, SIZE, 0));
    transposed = 0;
    set(product, TRANS_A, &transposed, sizeof transposed);
    uint64_t in_place[14];
    int rows_first = 1;
    expect("layout in the caller's memory", !cublasLtMatrixLayoutInit_internal(in_place, 64, F32, M, K, K) && !cublasLtMatrixLayoutSetAttribute(in_place, ORDER, &rows_first, sizeof rows_first));
    expect("by rows", !cublasLtMatmul(lt, product, &one, A, in_place, B, lb, &zero, C, lc, D, ld, 0, 0, 0, 0) && is(D, hD, SIZE, 0));

    // A batch of two, scalars in device memory.
    reset();
    int two = 2, device = 1;
    int64_t strides[] = {M * K, K * N, M * N, (M + 1) * N};
    handle layouts[] = {la, lb, lc, ld};
    for (int i = 0; i < 4; i++) { cublasLtMatrixLayoutSetAttribute(layouts[i], BATCH, &two, 4); cublasLtMatrixLayoutSetAttribute(layouts[i], STRIDE, strides + i, 8); }
    set(product, POINTER_MODE, &device, sizeof device);
    cudaMemcpy(aux, &alpha, 4, 1); cudaMemcpy(aux + 1, &beta, 4, 1);
    for (int b = 0; b < 2; b++) for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) {
        float sum = 0;
        for (int k = 0; k < K; k++) sum += hA[b * M * K + i + k * M] * hB[b * K * N + k + j * K];
        hD[b * (M + 1) * N + i + j * (M + 1)] = alpha * sum + beta * hC[b * M * N + i + j * M];
    }
    expect("batch with scalars on the device", !cublasLtMatmul(lt, product, aux, A, la, B, lb, aux + 1, C, lc, D, ld, 0, 0, 0, 0) && is(D, hD, SIZE, 0));

    // 8-bit floats with scales: 1.5 is 0x3c, 2 is 0x40 in E4M3. 16 x 16 of them, scale 0.5 for A; the largest magnitude of D.
    unsigned char eights[256], twos[256];
    float half = 0.5f, largest = 0;
    handle l8 = layout(E4M3, 16, 16, 16), l32 = layout(F32, 16, 16, 16), eight;
    memset(eights, 0x3c, sizeof eights); memset(twos, 0x40, sizeof twos);
    cudaMemcpy(A, eights, 256, 1); cudaMemcpy(B, twos, 256, 1); cudaMemcpy(aux, &half, 4, 1);
    expect("description of 8-bit floats", !cublasLtMatmulDescCreate(&eight, COMPUTE_32F, F32));
    float *place = aux + 4;
    set(eight, A_SCALE, &aux, sizeof aux);
    set(eight, AMAX_D, &place, sizeof place);
    for (int i = 0; i < 256; i++) hD[i] = 16 * 1.5f * 2 * 0.5f;
    expect("8-bit floats", !cublasLtMatmul(lt, eight, &one, A, l8, B, l8, &zero, C, l32, D, l32, 0, 0, 0, 0) && is(D, hD, 256, 0)
           && !cudaMemcpy(&largest, place, 4, 2) && largest == 24);

    // Out of place into the other order.
    reset();
    handle transform;
    handle square = layout(F32, M, N, M);
    expect("transform", !cublasLtMatrixTransformDescCreate(&transform, F32) && !cublasLtMatrixLayoutInit_internal(in_place, 64, F32, M, N, N)
           && !cublasLtMatrixLayoutSetAttribute(in_place, ORDER, &rows_first, sizeof rows_first));
    for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) hD[j + i * N] = alpha * hA[i + j * M];
    for (int i = M * N; i < SIZE; i++) hD[i] = 99;
    expect("columns become rows", !cublasLtMatrixTransform(lt, transform, &alpha, A, square, &zero, 0, 0, D, in_place, 0) && is(D, hD, SIZE, 0));

    int tiles = 2;
    expect("tiles are refused", !cublasLtMatrixLayoutSetAttribute(in_place, ORDER, &tiles, sizeof tiles)
           && cublasLtMatmul(lt, product, aux, A, la, B, lb, aux, C, lc, D, in_place, 0, 0, 0, 0) != 0
           && cublasLtMatmulAlgoGetHeuristic(lt, eight, l8, l8, l32, in_place, preference, 1, &best, &count) != 0 && count == 0);
    expect("end", !cublasLtMatmulDescDestroy(product) && !cublasLtMatrixLayoutDestroy(la) && !cublasLtMatmulPreferenceDestroy(preference)
           && !cublasLtMatrixTransformDescDestroy(transform) && !cublasLtDestroy(lt) && cublasLtDestroy(lt));
    return 0;
}
