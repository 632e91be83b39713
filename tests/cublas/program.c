// cuBLAS's routines against their definitions, written as loops: complex double precision for what both real and complex types
// have, double and single for what only those have. Numbers are small integers where sums have to be exact.
// Linked against our library of version MAJOR. Prints `ok NAME` for what holds and ends with 1 at the first thing that does not.
#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cublas.h"

typedef double complex z;
enum { N = 6, M = 5, K = 7, LD = 9, SIZE = 128 };

static cublas blas;
static z hA[SIZE], hB[SIZE], hC[SIZE], hx[SIZE], hy[SIZE], r[SIZE];
static z *A, *B, *C, *x, *y;
static const z alpha = 2 - 1 * I, beta = 3 + 2 * I;
static const double ralpha = 3, rbeta = -2;

static void expect(const char *name, int holds) {
    if (!holds) { printf("FAILED %s\n", name); exit(1); }
    printf("ok %s\n", name);
}

static void fill(z *h, int seed) {
    for (int i = 0; i < SIZE; i++) h[i] = (i * 7 + seed) % 11 - 5 + ((i * 5 + seed) % 7 - 3) * I;
}

static void up(void *device, const void *host, size_t bytes) {
    if (cudaMemcpy(device, host, bytes, 1)) expect("copy to the device", 0);
}

// Fresh inputs, on both sides.
static void reset(void) {
    fill(hA, 1); fill(hB, 2); fill(hC, 3); fill(hx, 4); fill(hy, 5);
    up(A, hA, sizeof hA); up(B, hB, sizeof hB); up(C, hC, sizeof hC); up(x, hx, sizeof hx); up(y, hy, sizeof hy);
}

// Whether device memory has these numbers.
static int is(const z *device, const z *wanted, double tolerance) {
    if (cudaMemcpy(r, device, sizeof r, 2)) return 0;
    for (int i = 0; i < SIZE; i++)
        if (!(cabs(r[i] - wanted[i]) <= tolerance)) { printf("# [%d] %g%+gi, not %g%+gi\n", i, creal(r[i]), cimag(r[i]), creal(wanted[i]), cimag(wanted[i])); return 0; }
    return 1;
}

// Element (i, j) of op(a).
static z op(int t, const z *a, int i, int j) { return t == 0 ? a[i + j * LD] : t == 1 ? a[j + i * LD] : conj(a[j + i * LD]); }
// Element of a symmetric or Hermitian matrix with one triangle stored.
static z sym(int hermitian, int uplo, const z *a, int i, int j) {
    int stored = uplo ? i <= j : i >= j;
    z value = stored ? a[i + j * LD] : a[j + i * LD];
    if (hermitian) value = i == j ? creal(value) : stored ? value : conj(value);
    return value;
}
// Element of op(triangular matrix).
static z tri(int uplo, int t, int unit, const z *a, int i, int j) {
    int row = t ? j : i, column = t ? i : j;
    if (row == column && unit) return 1;
    if (uplo ? row > column : row < column) return 0;
    z value = a[row + column * LD];
    return t == 2 ? conj(value) : value;
}
static int packed(int uplo, int n, int i, int j) { return uplo ? i + j * (j + 1) / 2 : i + j * (2 * n - j - 1) / 2; }

static void level_1(void) {
    reset();
    for (int i = 0; i < N; i++) hy[3 * i] = alpha * hx[2 * i] + hy[3 * i];
    expect("axpy", !cublasZaxpy_v2(blas, N, &alpha, x, 2, y, 3) && is(y, hy, 0));
    for (int i = 0; i < N; i++) hx[2 * i] *= alpha;
    expect("scal", !cublasZscal_v2(blas, N, &alpha, x, 2) && is(x, hx, 0));
    for (int i = 0; i < N; i++) hx[2 * i] *= ralpha;
    expect("scal by a real number", !cublasZdscal_v2(blas, N, &ralpha, x, 2) && is(x, hx, 0));
    z sum = 0, conjugated = 0; double squares = 0, magnitudes = 0;
    for (int i = 0; i < N; i++) { sum += hx[2 * i] * hy[i]; conjugated += conj(hx[2 * i]) * hy[i];
        squares += creal(hx[2 * i] * conj(hx[2 * i])); magnitudes += fabs(creal(hx[2 * i])) + fabs(cimag(hx[2 * i])); }
    z dot; double norm; int index;
    expect("dotu", !cublasZdotu_v2(blas, N, x, 2, y, 1, &dot) && dot == sum);
    expect("dotc", !cublasZdotc_v2(blas, N, x, 2, y, 1, &dot) && dot == conjugated);
    expect("nrm2", !cublasDznrm2_v2(blas, N, x, 2, &norm) && fabs(norm - sqrt(squares)) < 1e-12);
    expect("asum", !cublasDzasum_v2(blas, N, x, 2, &norm) && norm == magnitudes);
    int most = 0, least = 0;
    for (int i = 1; i < N; i++) {
        double here = fabs(creal(hx[i])) + fabs(cimag(hx[i]));
        if (here > fabs(creal(hx[most])) + fabs(cimag(hx[most]))) most = i;
        if (here < fabs(creal(hx[least])) + fabs(cimag(hx[least]))) least = i;
    }
    expect("amax", !cublasIzamax_v2(blas, N, x, 1, &index) && index == most + 1);
    expect("amin", !cublasIzamin_v2(blas, N, x, 1, &index) && index == least + 1);
    expect("copy backwards", !cublasZcopy_v2(blas, N, x, -1, y, 1));
    for (int i = 0; i < N; i++) hy[i] = hx[N - 1 - i];
    expect("copied", is(y, hy, 0));
    double c = 2; z s = 1 - 2 * I;
    expect("rot", !cublasZrot_v2(blas, N, x, 1, y, 1, &c, &s));
    for (int i = 0; i < N; i++) { z u = hx[i], v = hy[i]; hx[i] = c * u + s * v; hy[i] = c * v - conj(s) * u; }
    expect("rotated", is(x, hx, 0) && is(y, hy, 0));
    expect("swap", !cublasZswap_v2(blas, N, x, 1, y, 1));
    for (int i = 0; i < N; i++) { z u = hx[i]; hx[i] = hy[i]; hy[i] = u; }
    expect("swapped", is(x, hx, 0) && is(y, hy, 0));
    // Result and scalar in device memory.
    expect("device pointers", !cublasSetPointerMode_v2(blas, 1) && !cublasZdotu_v2(blas, N, x, 1, y, 1, A) && !cublasSetPointerMode_v2(blas, 0));
    for (sum = 0, index = 0; index < N; index++) sum += hx[index] * hy[index];
    hA[0] = sum;
    expect("result stays there", is(A, hA, 0));
}

static void level_2(void) {
    char name[64];
    for (int t = 0; t < 3; t++) {
        int rows = t ? N : M, columns = t ? M : N;
        reset();
        for (int i = 0; i < rows; i++) { z sum = 0; for (int j = 0; j < columns; j++) sum += op(t, hA, i, j) * hx[2 * j]; hy[i] = alpha * sum + beta * hy[i]; }
        snprintf(name, sizeof name, "gemv, op %d", t);
        expect(name, !cublasZgemv_v2(blas, t, M, N, &alpha, A, LD, x, 2, &beta, y, 1) && is(y, hy, 0));
        // One diagonal below, two above; band (i, j) lies at row 2 + i - j.
        reset();
        z full[SIZE] = {0};
        for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) if (i - j <= 1 && j - i <= 2) full[i + j * LD] = hA[2 + i - j + j * LD];
        for (int i = 0; i < rows; i++) { z sum = 0; for (int j = 0; j < columns; j++) sum += op(t, full, i, j) * hx[j]; hy[i] = alpha * sum + beta * hy[i]; }
        snprintf(name, sizeof name, "gbmv, op %d", t);
        expect(name, !cublasZgbmv_v2(blas, t, M, N, 1, 2, &alpha, A, LD, x, 1, &beta, y, 1) && is(y, hy, 0));
    }
    reset();
    for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) hA[i + j * LD] += alpha * hx[i] * hy[j];
    expect("geru", !cublasZgeru_v2(blas, M, N, &alpha, x, 1, y, 1, A, LD) && is(A, hA, 0));
    for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) hA[i + j * LD] += alpha * hx[i] * conj(hy[j]);
    expect("gerc", !cublasZgerc_v2(blas, M, N, &alpha, x, 1, y, 1, A, LD) && is(A, hA, 0));
    for (int uplo = 0; uplo < 2; uplo++) {
        for (int h = 0; h < 2; h++) {
            reset();
            for (int i = 0; i < N; i++) { z sum = 0; for (int j = 0; j < N; j++) sum += sym(h, uplo, hA, i, j) * hx[j]; hy[i] = alpha * sum + beta * hy[i]; }
            snprintf(name, sizeof name, "%s, uplo %d", h ? "hemv" : "symv", uplo);
            expect(name, !(h ? cublasZhemv_v2 : cublasZsymv_v2)(blas, uplo, N, &alpha, A, LD, x, 1, &beta, y, 1) && is(y, hy, 0));
            // Rank 2, then 1.
            reset();
            for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) if (uplo ? i <= j : i >= j) {
                z update = h ? alpha * hx[i] * conj(hy[j]) + conj(alpha) * hy[i] * conj(hx[j]) : alpha * (hx[i] * hy[j] + hy[i] * hx[j]);
                hA[i + j * LD] += update;
                if (h && i == j) hA[i + j * LD] = creal(hA[i + j * LD]);
            }
            snprintf(name, sizeof name, "%s, uplo %d", h ? "her2" : "syr2", uplo);
            expect(name, !(h ? cublasZher2_v2 : cublasZsyr2_v2)(blas, uplo, N, &alpha, x, 1, y, 1, A, LD) && is(A, hA, 0));
            for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) if (uplo ? i <= j : i >= j) {
                hA[i + j * LD] += h ? ralpha * hx[i] * conj(hx[j]) : alpha * hx[i] * hx[j];
                if (h && i == j) hA[i + j * LD] = creal(hA[i + j * LD]);
            }
            snprintf(name, sizeof name, "%s, uplo %d", h ? "her" : "syr", uplo);
            expect(name, !(h ? cublasZher_v2(blas, uplo, N, &ralpha, x, 1, A, LD) : cublasZsyr_v2(blas, uplo, N, &alpha, x, 1, A, LD)) && is(A, hA, 0));
        }
        // Banded and packed storage hold the same matrix as the full one.
        reset();
        z band[SIZE] = {0}, pack[SIZE] = {0}, kept[SIZE] = {0};
        for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) if (uplo ? i <= j : i >= j) {
            pack[packed(uplo, N, i, j)] = hA[i + j * LD];
            if (abs(i - j) <= 2) { band[(uplo ? 2 + i - j : i - j) + j * LD] = hA[i + j * LD]; kept[i + j * LD] = hA[i + j * LD]; }
        }
        for (int i = 0; i < N; i++) { z sum = 0; for (int j = 0; j < N; j++) sum += sym(1, uplo, kept, i, j) * hx[j]; hy[i] = alpha * sum + beta * hy[i]; }
        up(B, band, sizeof band); up(C, pack, sizeof pack);
        snprintf(name, sizeof name, "hbmv, uplo %d", uplo);
        expect(name, !cublasZhbmv_v2(blas, uplo, N, 2, &alpha, B, LD, x, 1, &beta, y, 1) && is(y, hy, 0));
        for (int i = 0; i < N; i++) { z sum = 0; for (int j = 0; j < N; j++) sum += sym(1, uplo, hA, i, j) * hx[j]; hy[i] = alpha * sum + beta * hy[i]; }
        snprintf(name, sizeof name, "hpmv, uplo %d", uplo);
        expect(name, !cublasZhpmv_v2(blas, uplo, N, &alpha, C, x, 1, &beta, y, 1) && is(y, hy, 0));
        for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) if (uplo ? i <= j : i >= j) {
            int p = packed(uplo, N, i, j);
            pack[p] += ralpha * hx[i] * conj(hx[j]);
            if (i == j) pack[p] = creal(pack[p]);
        }
        snprintf(name, sizeof name, "hpr, uplo %d", uplo);
        expect(name, !cublasZhpr_v2(blas, uplo, N, &ralpha, x, 1, C) && is(C, pack, 0));
        // From packed to full and back.
        fill(r, 9); up(B, r, sizeof r); z whole[SIZE]; memcpy(whole, r, sizeof whole);
        for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) if (uplo ? i <= j : i >= j) whole[i + j * LD] = pack[packed(uplo, N, i, j)];
        snprintf(name, sizeof name, "tpttr, uplo %d", uplo);
        expect(name, !cublasZtpttr(blas, uplo, N, C, B, LD) && is(B, whole, 0));
        expect("trttp", !cudaMemset(C, 0, N * (N + 1) / 2 * sizeof(z)) && !cublasZtrttp(blas, uplo, N, B, LD, C) && is(C, pack, 0));
        for (int t = 0; t < 3; t++) for (int unit = 0; unit < 2; unit++) {
            // A diagonal that dominates, so that solving is well conditioned.
            reset();
            for (int i = 0; i < N; i++) hA[i + i * LD] = 16 + i * I;
            z banded[SIZE] = {0};
            for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) if (uplo ? i <= j : i >= j) {
                pack[packed(uplo, N, i, j)] = hA[i + j * LD];
                if (abs(i - j) <= 2) { band[(uplo ? 2 + i - j : i - j) + j * LD] = hA[i + j * LD]; banded[i + j * LD] = hA[i + j * LD]; }
            }
            up(A, hA, sizeof hA); up(B, band, sizeof band); up(C, pack, sizeof pack);
            z start[SIZE], full[SIZE], narrow[SIZE];
            memcpy(start, hx, sizeof hx); memcpy(full, hx, sizeof hx); memcpy(narrow, hx, sizeof hx);
            for (int i = 0; i < N; i++) {
                full[i] = narrow[i] = 0;
                for (int j = 0; j < N; j++) { full[i] += tri(uplo, t, unit, hA, i, j) * hx[j]; narrow[i] += tri(uplo, t, unit, banded, i, j) * hx[j]; }
            }
            snprintf(name, sizeof name, "trmv and trsv, uplo %d, op %d, unit %d", uplo, t, unit);
            expect(name, !cublasZtrmv_v2(blas, uplo, t, unit, N, A, LD, x, 1) && is(x, full, 0)
                   && !cublasZtrsv_v2(blas, uplo, t, unit, N, A, LD, x, 1) && is(x, start, 1e-9));
            up(x, start, sizeof start);
            expect("packed", !cublasZtpmv_v2(blas, uplo, t, unit, N, C, x, 1) && is(x, full, 0)
                   && !cublasZtpsv_v2(blas, uplo, t, unit, N, C, x, 1) && is(x, start, 1e-9));
            up(x, start, sizeof start);
            expect("banded", !cublasZtbmv_v2(blas, uplo, t, unit, N, 2, B, LD, x, 1) && is(x, narrow, 0)
                   && !cublasZtbsv_v2(blas, uplo, t, unit, N, 2, B, LD, x, 1) && is(x, start, 1e-9));
        }
    }
}

static void level_3(void) {
    char name[64];
    for (int ta = 0; ta < 3; ta++) for (int tb = 0; tb < 3; tb++) {
        reset();
        for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) { z sum = 0; for (int k = 0; k < K; k++) sum += op(ta, hA, i, k) * op(tb, hB, k, j); hC[i + j * LD] = alpha * sum + beta * hC[i + j * LD]; }
        snprintf(name, sizeof name, "gemm, ops %d and %d", ta, tb);
        expect(name, !cublasZgemm_v2(blas, ta, tb, M, N, K, &alpha, A, LD, B, LD, &beta, C, LD) && is(C, hC, 0));
        reset();
        for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) hC[i + j * LD] = alpha * op(ta, hA, i, j) + beta * op(tb, hB, i, j);
        snprintf(name, sizeof name, "geam, ops %d and %d", ta, tb);
        expect(name, !cublasZgeam(blas, ta, tb, M, N, &alpha, A, LD, &beta, B, LD, C, LD) && is(C, hC, 0));
    }
    for (int side = 0; side < 2; side++) {
        int n = side ? N : M;
        reset();
        for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) hC[i + j * LD] = hA[i + j * LD] * hx[2 * (side ? j : i)];
        snprintf(name, sizeof name, "dgmm, side %d", side);
        expect(name, !cublasZdgmm(blas, side, M, N, A, LD, x, 2, C, LD) && is(C, hC, 0));
        for (int uplo = 0; uplo < 2; uplo++) {
            for (int h = 0; h < 2; h++) {
                reset();
                for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) {
                    z sum = 0;
                    for (int k = 0; k < n; k++) sum += side ? hB[i + k * LD] * sym(h, uplo, hA, k, j) : sym(h, uplo, hA, i, k) * hB[k + j * LD];
                    hC[i + j * LD] = alpha * sum + beta * hC[i + j * LD];
                }
                snprintf(name, sizeof name, "%s, side %d, uplo %d", h ? "hemm" : "symm", side, uplo);
                expect(name, !(h ? cublasZhemm_v2 : cublasZsymm_v2)(blas, side, uplo, M, N, &alpha, A, LD, B, LD, &beta, C, LD) && is(C, hC, 0));
            }
            for (int t = 0; t < 3; t++) for (int unit = 0; unit < 2; unit++) {
                reset();
                for (int i = 0; i < n; i++) hA[i + i * LD] = 16 + i * I;
                up(A, hA, sizeof hA);
                for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) {
                    z sum = 0;
                    for (int k = 0; k < n; k++) sum += side ? hB[i + k * LD] * tri(uplo, t, unit, hA, k, j) : tri(uplo, t, unit, hA, i, k) * hB[k + j * LD];
                    hC[i + j * LD] = alpha * sum;
                }
                snprintf(name, sizeof name, "trmm and trsm, side %d, uplo %d, op %d, unit %d", side, uplo, t, unit);
                expect(name, !cublasZtrmm_v2(blas, side, uplo, t, unit, M, N, &alpha, A, LD, B, LD, C, LD) && is(C, hC, 0));
                z inverse = 1 / alpha;
                for (int j = 0; j < N; j++) for (int i = 0; i < M; i++) hC[i + j * LD] = hB[i + j * LD];
                expect("solved", !cublasZtrsm_v2(blas, side, uplo, t, unit, M, N, &inverse, A, LD, C, LD) && is(C, hC, 1e-9));
            }
        }
    }
    for (int uplo = 0; uplo < 2; uplo++) for (int t = 0; t < 2; t++) for (int h = 0; h < 2; h++) for (int kind = 0; kind < 3; kind++) {
        // syrk, syr2k, syrkx and their Hermitian forms; for those `t` is the conjugate transpose.
        int trans = t && h ? 2 : t;
        const z *second = kind ? hB : hA;
        z c_beta = h ? rbeta : beta, a = h && !kind ? ralpha : alpha;
        reset();
        for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) if (uplo ? i <= j : i >= j) {
            z sum = 0, mirrored = 0;
            for (int k = 0; k < K; k++) {
                z ai = op(trans, hA, i, k), bj = op(trans, second, j, k), bi = op(trans, second, i, k), aj = op(trans, hA, j, k);
                sum += ai * (h ? conj(bj) : bj); mirrored += bi * (h ? conj(aj) : aj);
            }
            z value = a * sum + c_beta * hC[i + j * LD];
            if (kind == 1) value += (h ? conj(a) : a) * mirrored;
            hC[i + j * LD] = h && i == j ? creal(value) : value;
        }
        int status;
        if (h) status = kind == 0 ? cublasZherk_v2(blas, uplo, trans, N, K, &ralpha, A, LD, &rbeta, C, LD)
            : (kind == 1 ? cublasZher2k_v2 : cublasZherkx)(blas, uplo, trans, N, K, &alpha, A, LD, B, LD, &rbeta, C, LD);
        else status = kind == 0 ? cublasZsyrk_v2(blas, uplo, trans, N, K, &alpha, A, LD, &beta, C, LD)
            : (kind == 1 ? cublasZsyr2k_v2 : cublasZsyrkx)(blas, uplo, trans, N, K, &alpha, A, LD, B, LD, &beta, C, LD);
        static const char *names[] = {"syrk", "syr2k", "syrkx", "herk", "her2k", "herkx"};
        snprintf(name, sizeof name, "%s, uplo %d, op %d", names[3 * h + kind], uplo, trans);
        expect(name, !status && is(C, hC, 0));
    }
}

// Batches: three matrices one after another, LD * 2 apart where they are strided, and by arrays of addresses.
static void batches(void) {
    enum { S = 2, APART = 2 * LD };
    z **arrays;
    expect("arrays", !cudaMalloc((void **)&arrays, 9 * sizeof(z *)));
    z *addresses[9];
    for (int b = 0; b < 3; b++) { addresses[b] = A + b * APART; addresses[3 + b] = B + b * APART; addresses[6 + b] = C + b * APART; }
    up(arrays, addresses, sizeof addresses);
    for (int pass = 0; pass < 2; pass++) {
        reset();
        for (int b = 0; b < 3; b++) for (int j = 0; j < S; j++) for (int i = 0; i < S; i++) {
            z sum = 0;
            for (int k = 0; k < S; k++) sum += hA[b * APART + i + k * LD] * hB[b * APART + k + j * LD];
            hC[b * APART + i + j * LD] = alpha * sum + beta * hC[b * APART + i + j * LD];
        }
        int status = pass ? cublasZgemmBatched(blas, 0, 0, S, S, S, &alpha, (void *)arrays, LD, (void *)(arrays + 3), LD, &beta, (void *)(arrays + 6), LD, 3)
            : cublasZgemmStridedBatched(blas, 0, 0, S, S, S, &alpha, A, LD, APART, B, LD, APART, &beta, C, LD, APART, 3);
        expect(pass ? "gemmBatched" : "gemmStridedBatched", !status && is(C, hC, 0));
    }
    // LU of one 6 x 6 matrix and one that is singular.
    int *pivots, *info, told[2], host_info = 9;
    expect("pivots", !cudaMalloc((void **)&pivots, 2 * N * sizeof(int)) && !cudaMalloc((void **)&info, 2 * sizeof(int)));
    reset();
    z wanted[SIZE], product[SIZE] = {0};
    memcpy(wanted, hB, sizeof hB);
    for (int j = 0; j < 2; j++) for (int i = 0; i < N; i++) for (int k = 0; k < N; k++) product[i + j * LD] += hA[i + k * LD] * hB[k + j * LD];
    for (int j = 0; j < 2; j++) for (int i = 0; i < N; i++) hB[i + j * LD] = product[i + j * LD];
    up(B, hB, sizeof hB);
    addresses[0] = A; addresses[1] = y; addresses[3] = B; addresses[6] = C;
    up(arrays, addresses, sizeof addresses);
    memset(hy, 0, sizeof hy); up(y, hy, sizeof hy);
    expect("getrf", !cublasZgetrfBatched(blas, N, (void *)arrays, LD, pivots, info, 2) && !cudaMemcpy(told, info, sizeof told, 2) && told[0] == 0 && told[1] == 1);
    expect("getrs", !cublasZgetrsBatched(blas, 0, N, 2, (void *)arrays, LD, pivots, (void *)(arrays + 3), LD, &host_info, 1) && !host_info && is(B, wanted, 1e-9));
    expect("getri", !cublasZgetriBatched(blas, N, (void *)arrays, LD, pivots, (void *)(arrays + 6), LD, info, 1) && !cudaMemcpy(r, C, sizeof r, 2));
    double worst = 0;
    for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) { z sum = 0; for (int k = 0; k < N; k++) sum += hA[i + k * LD] * r[k + j * LD]; worst = fmax(worst, cabs(sum - (i == j))); }
    expect("inverse", worst < 1e-9);
}

// Products of other types than double: half, bfloat16, bytes. Small integers are exact in all of them.
static void mixed(void) {
    enum { BYTES = 4 * 64 };
    unsigned short half[16], brain[16]; signed char bytes[16]; float single[16], sums[16], one = 1, zero = 0; int whole[16], i_one = 1, i_zero = 0;
    void *a, *c;
    expect("operands", !cudaMalloc(&a, BYTES) && !cudaMalloc(&c, BYTES));
    for (int i = 0; i < 16; i++) {
        int v = i % 5 + 1;
        unsigned bits; single[i] = v; memcpy(&bits, &single[i], 4);
        brain[i] = bits >> 16; bytes[i] = v;
        half[i] = ((bits >> 23) - 127 + 15) << 10 | (bits >> 13 & 0x3ff);
    }
    for (int j = 0; j < 4; j++) for (int i = 0; i < 4; i++) { sums[i + 4 * j] = 0; for (int k = 0; k < 4; k++) sums[i + 4 * j] += single[i + 4 * k] * single[k + 4 * j]; }
    struct { const char *name; int type; const void *data; } kinds[] = {{"half", 2, half}, {"bfloat16", 14, brain}};
    for (int kind = 0; kind < 2; kind++) {
        float back[16];
        up(a, kinds[kind].data, 32);
        expect(kinds[kind].name, !cublasGemmEx(blas, 0, 0, 4, 4, 4, &one, a, kinds[kind].type, 4, a, kinds[kind].type, 4, &zero, c, 0, 4, 68, -1)
               && !cudaMemcpy(back, c, sizeof back, 2) && !memcmp(back, sums, sizeof back));
    }
    up(a, half, 32);
    unsigned short h_one = 0x3c00, h_zero = 0, back[16];
    expect("hgemm", !cublasHgemm(blas, 0, 0, 4, 4, 4, &h_one, a, 4, a, 4, &h_zero, c, 4) && !cudaMemcpy(back, c, sizeof back, 2));
    // 52 is 0x5280: the sums are below 2048, so halves hold them.
    for (int i = 0; i < 16; i++) { unsigned bits; memcpy(&bits, &sums[i], 4); expect("half sum", back[i] == (((bits >> 23) - 127 + 15) << 10 | (bits >> 13 & 0x3ff))); }
    up(a, bytes, 16);
    expect("bytes", !cublasGemmEx(blas, 0, 0, 4, 4, 4, &i_one, a, 3, 4, a, 3, 4, &i_zero, c, 10, 4, 72, -1) && !cudaMemcpy(whole, c, sizeof whole, 2));
    for (int i = 0; i < 16; i++) expect("integer sum", whole[i] == (int)sums[i]);
}

static void rest(void) {
    double dx[8] = {1, 2, 3, 4, 5, 6, 7, 8}, dback[8] = {0}, *d, one = 1, dot;
    int version, index;
    long long wide_index = -1;
    expect("strided copies", !cudaMalloc((void **)&d, sizeof dx) && !cublasSetVector(4, 8, dx, 2, d, 1) && !cublasGetVector(4, 8, d, 1, dback, 2)
           && dback[0] == 1 && dback[2] == 3 && dback[1] == 0 && !cublasSetMatrix(2, 3, 8, dx, 2, d, 2) && !cublasGetMatrix(2, 2, 8, d, 2, dback, 4) && dback[5] == 4);
    up(d, dx, sizeof dx);
    expect("spmv", !cublasDspmv_v2(blas, 0, 2, &one, d, d, 1, &one, d + 4, 1) && !cudaMemcpy(dback, d + 4, 16, 2) && dback[0] == 5 + 1 + 4 && dback[1] == 6 + 2 + 6);
    float sx[3] = {1, 2, 3}, *s, result;
    expect("sdot", !cudaMalloc((void **)&s, sizeof sx) && !cudaMemcpy(s, sx, sizeof sx, 1) && !cublasSdot_v2(blas, 3, s, 1, s, 1, &result) && result == 14);
    expect("nothing to add", !cublasDdot_v2(blas, 0, d, 1, d, 1, &dot) && dot == 0 && !cublasIdamax_v2(blas, 0, d, 1, &index) && index == 0);
#if MAJOR >= 12
    expect("64-bit extents", !cublasIdamax_v2_64(blas, 4, d, 1, &wide_index) && wide_index == 4);
#endif
    (void)wide_index;
    expect("version", !cublasGetVersion_v2(blas, &version) && version / 10000 == MAJOR);
    expect("negative extent refused", cublasDdot_v2(blas, -1, d, 1, d, 1, &dot) == 7);
    expect("missing scalar refused", cublasZscal_v2(blas, N, 0, x, 1) == 7);
    expect("refused by name", cublasDrotm_v2(blas, 2, d, 1, d, 1, dx) == 15);
}

int main(void) {
    expect("memory", !cudaMalloc((void **)&A, sizeof hA) && !cudaMalloc((void **)&B, sizeof hB) && !cudaMalloc((void **)&C, sizeof hC)
           && !cudaMalloc((void **)&x, sizeof hx) && !cudaMalloc((void **)&y, sizeof hy));
    expect("handle", !cublasCreate_v2(&blas));
    level_1(); level_2(); level_3(); batches(); mixed(); rest();
    expect("end", !cublasDestroy_v2(blas));
    return 0;
}
