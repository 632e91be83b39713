// Kernels of `make bench` with matrix instructions: `Module::Tensor`, compiled by NVRTC for capability 8.0.
//
// c = a · bᵀ, n × n; both a and b lie row by row, so that a row of 32 bytes is one operand's depth: 32 numbers of 8 bits or 16 of
// 16 bits, with the same places of the bytes in registers. A block has a tile of 64×64, four warps with 32×32 each, and goes on
// by 64 bytes of depth.

struct Int8 {
    typedef int sum;
    static const int bytes = 1;
    static __device__ void multiply(int (&d)[4], const unsigned (&a)[4], const unsigned *b)
    {
        asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    }
};

struct Half {
    typedef float sum;
    static const int bytes = 2;
    static __device__ void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned *b)
    {
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    }
};

// Four 8×8 matrices of 16 bits, that is 8 rows of 16 bytes; each lane names one row.
static __device__ void load_matrices(unsigned (&to)[4], const char *row)
{
    unsigned address = __cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(address) : "memory");
}

template <typename Kind>
static __device__ void product(const char *__restrict__ a, const char *__restrict__ b, typename Kind::sum *__restrict__ c, int n)
{
    // Rows of 80 bytes: the eight rows of a matrix lie in different banks.
    __shared__ __align__(16) char as[64][80], bs[64][80];
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, pitch = n * Kind::bytes;
    int row = warp / 2 * 32, column = warp % 2 * 32;
    a += (size_t)blockIdx.y * 64 * pitch;
    b += (size_t)blockIdx.x * 64 * pitch;
    typename Kind::sum sums[2][4][4] = {};
    for (int depth = 0; depth < pitch; depth += 64) {
#pragma unroll
        for (int i = thread; i < 64 * 4; i += 128) {
            size_t from = (size_t)(i / 4) * pitch + depth + i % 4 * 16;
            *(int4 *)&as[i / 4][i % 4 * 16] = *(const int4 *)(a + from);
            *(int4 *)&bs[i / 4][i % 4 * 16] = *(const int4 *)(b + from);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 64; k += 32) {
            unsigned left[2][4], right[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                load_matrices(left[i], &as[row + 16 * i + lane % 16][k + lane / 16 * 16]);
                load_matrices(right[i], &bs[column + 16 * i + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 16]);
            }
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) Kind::multiply(sums[i][j], left[i], &right[j / 2][j % 2 * 2]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int part = 0; part < 4; part++) {
                size_t y = blockIdx.y * 64 + row + 16 * i + part / 2 * 8 + lane / 4;
                c[y * n + blockIdx.x * 64 + column + 8 * j + lane % 4 * 2 + part % 2] = sums[i][j][part];
            }
}

extern "C" __global__ void __launch_bounds__(128) mma_int8(const char *__restrict__ a, const char *__restrict__ b, int *__restrict__ c, int n)
{
    product<Int8>(a, b, c, n);
}

extern "C" __global__ void __launch_bounds__(128) mma_f16(const char *__restrict__ a, const char *__restrict__ b, float *__restrict__ c, int n)
{
    product<Half>(a, b, c, n);
}
