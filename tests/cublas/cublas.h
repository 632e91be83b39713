// The functions that these programs call, declared by hand: cuBLAS's headers come only with its library, half a gigabyte.
// `make clients` compares the payload's signatures with those headers.
#include <stddef.h>

typedef struct cublasContext *cublas;
typedef const void *in;
typedef void *out;
typedef long long wide;

int cudaMalloc(void **, size_t), cudaMemcpy(void *, const void *, size_t, int), cudaMemset(void *, int, size_t);
int cudaDeviceSynchronize(void);

int cublasCreate_v2(cublas *), cublasDestroy_v2(cublas), cublasGetVersion_v2(cublas, int *), cublasSetPointerMode_v2(cublas, int);
int cublasSetVector(int, int, in, int, out, int), cublasGetVector(int, int, in, int, out, int);
int cublasSetMatrix(int, int, int, in, int, out, int), cublasGetMatrix(int, int, int, in, int, out, int);

int cublasZaxpy_v2(cublas, int n, in alpha, in x, int, out y, int), cublasZscal_v2(cublas, int n, in alpha, out x, int);
int cublasZdscal_v2(cublas, int n, in alpha, out x, int), cublasZcopy_v2(cublas, int n, in x, int, out y, int);
int cublasZswap_v2(cublas, int n, out x, int, out y, int), cublasZrot_v2(cublas, int n, out x, int, out y, int, in c, in s);
int cublasZdotu_v2(cublas, int n, in x, int, in y, int, out), cublasZdotc_v2(cublas, int n, in x, int, in y, int, out);
int cublasDznrm2_v2(cublas, int n, in x, int, out), cublasDzasum_v2(cublas, int n, in x, int, out);
int cublasIzamax_v2(cublas, int n, in x, int, int *), cublasIzamin_v2(cublas, int n, in x, int, int *);
int cublasSdot_v2(cublas, int n, in x, int, in y, int, out), cublasDdot_v2(cublas, int n, in x, int, in y, int, out);
int cublasIdamax_v2(cublas, int n, in x, int, int *), cublasIdamax_v2_64(cublas, wide n, in x, wide, wide *);
int cublasDrotm_v2(cublas, int n, out x, int, out y, int, in);

int cublasZgemv_v2(cublas, int trans, int m, int n, in alpha, in a, int, in x, int, in beta, out y, int);
int cublasZgbmv_v2(cublas, int trans, int m, int n, int kl, int ku, in alpha, in a, int, in x, int, in beta, out y, int);
int cublasZgeru_v2(cublas, int m, int n, in alpha, in x, int, in y, int, out a, int);
int cublasZgerc_v2(cublas, int m, int n, in alpha, in x, int, in y, int, out a, int);
int cublasZsymv_v2(cublas, int uplo, int n, in alpha, in a, int, in x, int, in beta, out y, int);
int cublasZhemv_v2(cublas, int uplo, int n, in alpha, in a, int, in x, int, in beta, out y, int);
int cublasZhbmv_v2(cublas, int uplo, int n, int k, in alpha, in a, int, in x, int, in beta, out y, int);
int cublasZhpmv_v2(cublas, int uplo, int n, in alpha, in a, in x, int, in beta, out y, int);
int cublasDspmv_v2(cublas, int uplo, int n, in alpha, in a, in x, int, in beta, out y, int);
int cublasZsyr_v2(cublas, int uplo, int n, in alpha, in x, int, out a, int), cublasZher_v2(cublas, int uplo, int n, in alpha, in x, int, out a, int);
int cublasZhpr_v2(cublas, int uplo, int n, in alpha, in x, int, out a);
int cublasZsyr2_v2(cublas, int uplo, int n, in alpha, in x, int, in y, int, out a, int);
int cublasZher2_v2(cublas, int uplo, int n, in alpha, in x, int, in y, int, out a, int);
int cublasZtrmv_v2(cublas, int uplo, int trans, int diag, int n, in a, int, out x, int);
int cublasZtrsv_v2(cublas, int uplo, int trans, int diag, int n, in a, int, out x, int);
int cublasZtpmv_v2(cublas, int uplo, int trans, int diag, int n, in a, out x, int);
int cublasZtpsv_v2(cublas, int uplo, int trans, int diag, int n, in a, out x, int);
int cublasZtbmv_v2(cublas, int uplo, int trans, int diag, int n, int k, in a, int, out x, int);
int cublasZtbsv_v2(cublas, int uplo, int trans, int diag, int n, int k, in a, int, out x, int);
int cublasZtpttr(cublas, int uplo, int n, in ap, out a, int), cublasZtrttp(cublas, int uplo, int n, in a, int, out ap);

int cublasZgemm_v2(cublas, int ta, int tb, int m, int n, int k, in alpha, in a, int, in b, int, in beta, out c, int);
int cublasHgemm(cublas, int ta, int tb, int m, int n, int k, in alpha, in a, int, in b, int, in beta, out c, int);
int cublasGemmEx(cublas, int ta, int tb, int m, int n, int k, in alpha, in a, int, int, in b, int, int, in beta, out c, int, int, int compute, int algorithm);
int cublasZgemmBatched(cublas, int ta, int tb, int m, int n, int k, in alpha, in a, int, in b, int, in beta, in c, int, int count);
int cublasZgemmStridedBatched(cublas, int ta, int tb, int m, int n, int k, in alpha, in a, int, wide, in b, int, wide, in beta, out c, int, wide, int count);
int cublasZsymm_v2(cublas, int side, int uplo, int m, int n, in alpha, in a, int, in b, int, in beta, out c, int);
int cublasZhemm_v2(cublas, int side, int uplo, int m, int n, in alpha, in a, int, in b, int, in beta, out c, int);
int cublasZsyrk_v2(cublas, int uplo, int trans, int n, int k, in alpha, in a, int, in beta, out c, int);
int cublasZherk_v2(cublas, int uplo, int trans, int n, int k, in alpha, in a, int, in beta, out c, int);
int cublasZsyr2k_v2(cublas, int uplo, int trans, int n, int k, in alpha, in a, int, in b, int, in beta, out c, int);
int cublasZher2k_v2(cublas, int uplo, int trans, int n, int k, in alpha, in a, int, in b, int, in beta, out c, int);
int cublasZsyrkx(cublas, int uplo, int trans, int n, int k, in alpha, in a, int, in b, int, in beta, out c, int);
int cublasZherkx(cublas, int uplo, int trans, int n, int k, in alpha, in a, int, in b, int, in beta, out c, int);
int cublasZtrmm_v2(cublas, int side, int uplo, int trans, int diag, int m, int n, in alpha, in a, int, in b, int, out c, int);
int cublasZtrsm_v2(cublas, int side, int uplo, int trans, int diag, int m, int n, in alpha, in a, int, out b, int);
int cublasZgeam(cublas, int ta, int tb, int m, int n, in alpha, in a, int, in beta, in b, int, out c, int);
int cublasZdgmm(cublas, int side, int m, int n, in a, int, in x, int, out c, int);
int cublasZgetrfBatched(cublas, int n, in a, int, int *pivots, int *info, int count);
int cublasZgetriBatched(cublas, int n, in a, int, const int *pivots, in c, int, int *info, int count);
int cublasZgetrsBatched(cublas, int trans, int n, int k, in a, int, const int *pivots, in b, int, int *info, int count);
