// What came with capabilities 10.0 and 12.0, for 12.0: pairs of single-precision numbers.
#include "suite.h"

ON_DEVICE(
    __device__ uint64 pair(float a, float b) { uint64 d; asm("mov.b64 %0, {%1, %2};" : "=l"(d) : "f"(a), "f"(b)); return d; }
    __device__ unsigned mixed(uint64 p) { return (unsigned)p ^ (unsigned)(p >> 32) * 3; })
#ifdef EXPECTATIONS
static unsigned mixed(float a, float b) { return as_int(a) ^ (unsigned)as_int(b) * 3; }
// Numbers that are subnormal become zero, their sign stays.
static float flushed(float v) { return fabsf(v) < 1.17549435e-38f ? copysignf(0, v) : v; }
#endif
#define PAIRS(name, text, low, high) \
    NEAR(name, unsigned, "", { uint64 d; asm(text " %0, %1, %2;" : "=l"(d) : "l"(pair(moderate(x), moderate(y))), "l"(pair(moderate(y), moderate(z)))); return mixed(d); }, \
        { float a = moderate(x), b = moderate(y), c = moderate(z); return mixed(low, high); })
PAIRS(sums_of_pairs, "add.rn.f32x2", a + b, b + c)
PAIRS(differences_of_pairs, "sub.rn.f32x2", a - b, b - c)
PAIRS(products_of_pairs, "mul.rn.f32x2", a * b, b * c)
NEAR(fused_products_of_pairs, unsigned, "", { uint64 d; asm("fma.rn.f32x2 %0, %1, %2, %3;" : "=l"(d) : "l"(pair(moderate(x), moderate(y))), "l"(pair(moderate(y), moderate(z))), "l"(pair(moderate(z), moderate(x)))); return mixed(d); }, { float a = moderate(x), b = moderate(y), c = moderate(z); return mixed(fmaf(a, b, c), fmaf(b, c, a)); })
NEAR(flushed_sums_of_pairs, unsigned, "", { uint64 d; asm("add.rn.ftz.f32x2 %0, %1, %2;" : "=l"(d) : "l"(pair(as_float(x & 0x80ffffff), 0.0f)), "l"(pair(as_float(y & 0x80ffffff), as_float(z & 0x807fffff)))); return mixed(d); }, { return mixed(flushed(flushed(as_float(x & 0x80ffffff)) + flushed(as_float(y & 0x80ffffff))), flushed(0.0f + flushed(as_float(z & 0x807fffff)))); })
