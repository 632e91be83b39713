// Floating point: what IEEE 754 says exactly, conversions, and the approximations within what NVIDIA documents.
#include "suite.h"
#include "halves.h"

#ifdef EXPECTATIONS
#include <fenv.h>
#pragma STDC FENV_ACCESS ON
// One operation in another rounding.
template <typename T, typename F> static T rounded(int mode, F operation)
{
    fesetround(mode);
    volatile T result = operation();
    fesetround(FE_TONEAREST);
    return result;
}
// To an integer type, as CUDA converts: clamped, and NaN becomes 0 (the top bit alone in 64 bits).
template <typename T> static T clamped_to(double value, double low, double high, T least, T most)
{
    return value != value ? (T)(sizeof(T) == 8 ? (T)1 << 63 : 0) : value <= low ? least : value >= high ? most : (T)value;
}
#endif

// Single precision.
EACH(single_sum, float, { return moderate(x) + moderate(y); })
EACH(single_difference, float, { return moderate(x) - moderate(y) * 2.0f; })
EACH(single_product, float, { return moderate(x) * moderate(y); })
EACH(single_quotient, float, { return moderate(x) / moderate(y); })
EACH(single_of_any_bits, float, { return as_float(x) + as_float(y); })
EACH(single_product_of_any_bits, float, { return as_float(x) * as_float(y); })
EACH(single_quotient_of_any_bits, float, { return as_float(x) / as_float(y); })
NEAR(single_fused, float, "", { float r; asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(r) : "f"(moderate(x)), "f"(moderate(y)), "f"(moderate(z))); return r; }, { return fmaf(moderate(x), moderate(y), moderate(z)); })
NEAR(single_root, float, "", { float r; asm("sqrt.rn.f32 %0, %1;" : "=f"(r) : "f"(moderate(x))); return r; }, { return sqrtf(moderate(x)); })
NEAR(single_reciprocal, float, "", { float r; asm("rcp.rn.f32 %0, %1;" : "=f"(r) : "f"(moderate(x))); return r; }, { return 1.0f / moderate(x); })
EACH(single_comparisons, int, { float a = as_float(x), b = as_float(y); return (a < b) | (a <= b) << 1 | (a > b) << 2 | (a >= b) << 3 | (a == b) << 4 | (a != b) << 5 | !(a < b) << 6 | !(a > b) << 7; })
EACH(single_sign, int, { float a = as_float(x); return as_int(-a) ^ (as_int(a) & 0x7fffffff) * 3; })
EACH(single_ternary, float, { float a = moderate(x), b = moderate(y); return a > b ? a : b * 0.5f; })
EACH(single_polynomial, float, { float a = moderate(x) * 0.001f; return ((a * 0.3f - 1.7f) * a + 2.5f) * a - 0.125f; })
EACH(single_loop_sum, float, { float s = 0; for (int k = 0; k < 20; k++) s = s * 0.5f + moderate(in[(i + k) & 255]); return s; })
EACH(single_newton_root, float, { float a = moderate(x & 0xffffff) + 1.0f, r = a; for (int k = 0; k < 12; k++) r = 0.5f * (r + a / r); return r; })
EACH(mandelbrot, int, { float a = (i & 15) * 0.2f - 2.0f, b = (i >> 4) * 0.15f - 1.2f, p = 0, q = 0; int k = 0; while (k < 60 && p * p + q * q < 4.0f) { float t = p * p - q * q + a; q = 2.0f * p * q + b; p = t; k++; } return k; })

// Double precision.
EACH(double_sum, double, { return x / 7.0 + y / 3.0; })
EACH(double_difference, double, { return x * 1e-3 - y * 1e3; })
EACH(double_product, double, { return (x * 1e-5) * (y * 1e-5); })
EACH(double_quotient, double, { return (double)x / y; })
EACH(double_of_any_bits, double, { double a = as_double((int64)ux << 32 | uy), b = as_double((int64)uy << 32 | uz); return a * b + a; })
NEAR(double_fused, double, "", { double r; asm("fma.rn.f64 %0, %1, %2, %3;" : "=d"(r) : "d"(x * 0.1), "d"(y * 0.1), "d"(z * 1e6)); return r; }, { return fma(x * 0.1, y * 0.1, z * 1e6); })
NEAR(double_root, double, "", { double r; asm("sqrt.rn.f64 %0, %1;" : "=d"(r) : "d"(x * 0.1)); return r; }, { return sqrt(x * 0.1); })
NEAR(double_reciprocal, double, "", { double r; asm("rcp.rn.f64 %0, %1;" : "=d"(r) : "d"(x * 0.1)); return r; }, { return 1.0 / (x * 0.1); })
EACH(double_comparisons, int, { double a = as_double((int64)ux << 32 | uy), b = as_double((int64)uy << 32 | ux); return (a < b) | (a <= b) << 1 | (a > b) << 2 | (a >= b) << 3 | (a == b) << 4 | (a != b) << 5; })
EACH(double_series, double, { double s = 0, t = 1, a = (x & 1023) / 1024.0; for (int k = 1; k < 20; k++) { s += t; t = t * a / k; } return s; })
EACH(double_mixed_with_single, double, { return (double)moderate(x) * y + (float)(y / 3.0); })

// Directed rounding.
#define ROUNDED(name, T, instruction, letter, mode, operation)                                                                             \
    NEAR(name, T, "", { T r; T a = (T)x / (T)65536; T b = (T)y / (T)3; asm(instruction " %0, %1, %2;" : "=" letter(r) : letter(a), letter(b)); return r; }, \
         { volatile T a = (T)x / (T)65536, b = (T)y / (T)3; return rounded<T>(mode, [&] { return (T)(a operation b); }); })
ROUNDED(sum_towards_zero, float, "add.rz.f32", "f", FE_TOWARDZERO, +)
ROUNDED(sum_downwards, float, "add.rm.f32", "f", FE_DOWNWARD, +)
ROUNDED(sum_upwards, float, "add.rp.f32", "f", FE_UPWARD, +)
ROUNDED(difference_towards_zero, float, "sub.rz.f32", "f", FE_TOWARDZERO, -)
ROUNDED(product_towards_zero, float, "mul.rz.f32", "f", FE_TOWARDZERO, *)
ROUNDED(product_downwards, float, "mul.rm.f32", "f", FE_DOWNWARD, *)
ROUNDED(product_upwards, float, "mul.rp.f32", "f", FE_UPWARD, *)
ROUNDED(quotient_towards_zero, float, "div.rz.f32", "f", FE_TOWARDZERO, /)
ROUNDED(quotient_upwards, float, "div.rp.f32", "f", FE_UPWARD, /)
ROUNDED(double_sum_downwards, double, "add.rm.f64", "d", FE_DOWNWARD, +)
ROUNDED(double_product_upwards, double, "mul.rp.f64", "d", FE_UPWARD, *)
ROUNDED(double_quotient_towards_zero, double, "div.rz.f64", "d", FE_TOWARDZERO, /)

// Conversions.
EACH(integer_to_single, float, { return (float)x; })
EACH(unsigned_to_single, float, { return (float)ux; })
EACH(wide_to_single, float, { return (float)((int64)x * y); })
EACH(wide_unsigned_to_single, float, { return (float)((uint64)ux << 32 | uy); })
EACH(integer_to_double, double, { return (double)x; })
EACH(wide_to_double, double, { return (double)(int64)((uint64)ux << 32 | uy); })
EACH(wide_unsigned_to_double, double, { return (double)((uint64)ux << 32 | uy); })
EACH(bytes_to_single, float, { return (float)(signed char)x + (float)(unsigned char)y * 256.0f + (float)(short)z; })
EACH(double_to_single, float, { return (float)as_double((int64)ux << 32 | uy); })
EACH(single_to_double, double, { return (double)as_float(x); })
EACH(single_to_integer, int, { return (int)moderate(x); })
NEAR(single_to_integer_clamped, int, "", { int r; asm("cvt.rzi.s32.f32 %0, %1;" : "=r"(r) : "f"(as_float(x))); return r; }, { return clamped_to<int>(as_float(x), -2147483648.0, 2147483647.0, (int)0x80000000, 0x7fffffff); })
NEAR(single_to_unsigned_clamped, unsigned, "", { unsigned r; asm("cvt.rzi.u32.f32 %0, %1;" : "=r"(r) : "f"(as_float(x))); return r; }, { return clamped_to<unsigned>(as_float(x), 0.0, 4294967295.0, 0u, 0xffffffffu); })
NEAR(single_to_wide_clamped, int64, "", { int64 r; asm("cvt.rzi.s64.f32 %0, %1;" : "=l"(r) : "f"(as_float(x))); return r; }, { return clamped_to<int64>(as_float(x), -9223372036854775808.0, 9223372036854775808.0, (int64)1 << 63, 0x7fffffffffffffff); })
NEAR(double_to_wide_clamped, int64, "", { int64 r; asm("cvt.rzi.s64.f64 %0, %1;" : "=l"(r) : "d"(x * 1e10 * (y & 7))); return r; }, { return clamped_to<int64>(x * 1e10 * (y & 7), -9223372036854775808.0, 9223372036854775808.0, (int64)1 << 63, 0x7fffffffffffffff); })
EACH(double_to_integer, int, { return (int)(x / 3.0); })
EACH(double_to_unsigned, unsigned, { return (unsigned)(ux / 3.0); })
#define TO_INTEGER(name, instruction, function)                                                                            \
    NEAR(name, int, "", { int r; asm(instruction " %0, %1;" : "=r"(r) : "f"(moderate(x))); return r; }, { return (int)function(moderate(x)); })
TO_INTEGER(nearest_integer, "cvt.rni.s32.f32", nearbyint)
TO_INTEGER(integer_below, "cvt.rmi.s32.f32", floor)
TO_INTEGER(integer_above, "cvt.rpi.s32.f32", ceil)
#define TO_WHOLE(name, instruction, function)                                                                              \
    NEAR(name, float, "", { float r; asm(instruction " %0, %1;" : "=f"(r) : "f"(moderate(x))); return r; }, { return function(moderate(x)); })
TO_WHOLE(whole_nearest, "cvt.rni.f32.f32", nearbyintf)
TO_WHOLE(whole_below, "cvt.rmi.f32.f32", floorf)
TO_WHOLE(whole_above, "cvt.rpi.f32.f32", ceilf)
TO_WHOLE(whole_towards_zero, "cvt.rzi.f32.f32", truncf)
NEAR(single_rounded_up_from_double, float, "", { float r; asm("cvt.rp.f32.f64 %0, %1;" : "=f"(r) : "d"(x / 3.0)); return r; }, { return rounded<float>(FE_UPWARD, [&] { volatile double v = x / 3.0; return (float)v; }); })
NEAR(single_rounded_down_from_integer, float, "", { float r; asm("cvt.rm.f32.s32 %0, %1;" : "=f"(r) : "r"(x)); return r; }, { return rounded<float>(FE_DOWNWARD, [&] { volatile int v = x; return (float)v; }); })
NEAR(saturated, float, "", { float r; asm("cvt.sat.f32.f32 %0, %1;" : "=f"(r) : "f"(moderate(x) / 16384)); return r; }, { float v = moderate(x) / 16384; return v > 0 ? v < 1 ? v : 1 : 0.0f; })
NEAR(minimum_of_singles, float, "", { float r; asm("min.f32 %0, %1, %2;" : "=f"(r) : "f"(as_float(x)), "f"(as_float(y))); return r; }, { float a = as_float(x), b = as_float(y); return a != a ? b : b != b ? a : fminf(a, b); })
NEAR(maximum_of_singles, float, "", { float r; asm("max.f32 %0, %1, %2;" : "=f"(r) : "f"(as_float(x)), "f"(as_float(y))); return r; }, { float a = as_float(x), b = as_float(y); return a != a ? b : b != b ? a : fmaxf(a, b); })
NEAR(sign_copied, float, "", { float r; asm("copysign.f32 %0, %1, %2;" : "=f"(r) : "f"(as_float(x)), "f"(as_float(y))); return r; }, { return copysignf(as_float(y), as_float(x)); })
#define FLUSHED(v) ((as_int(v) & 0x7f800000) == 0 ? as_float(as_int(v) & (int)0x80000000) : (v))
NEAR(flushed_product, float, "", { float r; asm("mul.ftz.f32 %0, %1, %2;" : "=f"(r) : "f"(as_float(x & (int)0xbfffffff)), "f"(as_float(y & (int)0xbfffffff))); return r; }, { float a = as_float(x & (int)0xbfffffff), b = as_float(y & (int)0xbfffffff), r = FLUSHED(a) * FLUSHED(b); return FLUSHED(r); })
NEAR(class_of_single, int, "", {
    int r = 0;
    float v = as_float(x & 1 ? x : x & (int)0x807fffff);
    asm("{ .reg .pred p; .reg .b32 t; testp.finite.f32 p, %1; selp.b32 %0, 1, 0, p; testp.infinite.f32 p, %1; selp.b32 t, 2, 0, p; or.b32 %0, %0, t;"
        " testp.normal.f32 p, %1; selp.b32 t, 4, 0, p; or.b32 %0, %0, t; testp.subnormal.f32 p, %1; selp.b32 t, 8, 0, p; or.b32 %0, %0, t; }" : "=&r"(r) : "f"(v));
    return r;
}, { float v = as_float(x & 1 ? x : x & (int)0x807fffff); return (isfinite(v) ? 1 : 0) | (isinf(v) ? 2 : 0) | (isnormal(v) || v == 0 ? 4 : 0) | (fpclassify(v) == FP_SUBNORMAL ? 8 : 0); })

// Approximations (CUDA C++ Programming Guide, 17.2; PTX ISA, 9.7.3).
#define APPROXIMATE(name, bound, instruction, argument, reference)                                                         \
    NEAR(name, float, bound, { float r; float a = argument; asm(instruction " %0, %1;" : "=f"(r) : "f"(a)); return r; }, { float a = argument; return (float)(reference); })
APPROXIMATE(approximate_reciprocal, "1ulp", "rcp.approx.f32", moderate(x | 1), 1.0 / a)
APPROXIMATE(approximate_root, "2ulp", "sqrt.approx.f32", moderate(x & 0x7fffffff), sqrt((double)a))
APPROXIMATE(approximate_reciprocal_root, "2ulp", "rsqrt.approx.f32", moderate((x & 0x7fffffff) | 1), 1.0 / sqrt((double)a))
APPROXIMATE(approximate_sine, "abs 5e-7", "sin.approx.f32", (x % 3141) * 0.001f, sin((double)a))
APPROXIMATE(approximate_cosine, "abs 5e-7", "cos.approx.f32", (x % 3141) * 0.001f, cos((double)a))
APPROXIMATE(approximate_logarithm, "abs 3e-6", "lg2.approx.f32", moderate((x & 0x7fffffff) | 1), log2((double)a))
APPROXIMATE(approximate_power_of_two, "2ulp", "ex2.approx.f32", (x % 12000) * 0.01f, exp2((double)a))
NEAR(approximate_quotient, float, "2ulp", { float r; asm("div.approx.f32 %0, %1, %2;" : "=f"(r) : "f"(moderate(x)), "f"(moderate(y | 1))); return r; }, { return moderate(x) / moderate(y | 1); })
NEAR(full_quotient, float, "2ulp", { float r; asm("div.full.f32 %0, %1, %2;" : "=f"(r) : "f"(moderate(x)), "f"(moderate(y | 1))); return r; }, { return moderate(x) / moderate(y | 1); })
NEAR(approximate_double_reciprocal, double, "rel 1e-6", { double r; asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(r) : "d"((double)(x | 1))); return r; }, { return 1.0 / (x | 1); })
NEAR(approximate_double_root, double, "rel 1e-6", { double r; asm("rsqrt.approx.f64 %0, %1;" : "=d"(r) : "d"((double)((x & 0x7fffffff) | 1))); return r; }, { return 1.0 / sqrt((double)((x & 0x7fffffff) | 1)); })

// Half precision through PTX, which needs no header.
#define HALF_OF(name, v) unsigned short name; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(name) : "f"(v))
NEAR(half_from_single, unsigned short, "", { HALF_OF(a, moderate(x)); return a; }, { return to_half(moderate(x)); })
NEAR(half_from_small_single, unsigned short, "", { HALF_OF(a, moderate(x) * 1e-7f); return a; }, { return to_half(moderate(x) * 1e-7f); })
NEAR(half_to_single, float, "", { float r; asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"((unsigned short)(x & 0xfbff))); return r; }, { return from_half(x & 0xfbff); })
NEAR(half_sum, unsigned short, "", { HALF_OF(a, moderate(x) / 8); HALF_OF(b, moderate(y)); unsigned short r; asm("add.f16 %0, %1, %2;" : "=h"(r) : "h"(a), "h"(b)); return r; },
     { double a = from_half(to_half(moderate(x) / 8)), b = from_half(to_half(moderate(y))); return to_half(a + b); })
NEAR(half_product, unsigned short, "", { HALF_OF(a, moderate(x) / 256); HALF_OF(b, moderate(y) / 256); unsigned short r; asm("mul.f16 %0, %1, %2;" : "=h"(r) : "h"(a), "h"(b)); return r; },
     { double a = from_half(to_half(moderate(x) / 256)), b = from_half(to_half(moderate(y) / 256)); return to_half(a * b); })
NEAR(half_fused, unsigned short, "", { HALF_OF(a, moderate(x) / 256); HALF_OF(b, moderate(y) / 256); HALF_OF(c, moderate(z)); unsigned short r; asm("fma.rn.f16 %0, %1, %2, %3;" : "=h"(r) : "h"(a), "h"(b), "h"(c)); return r; },
     { double a = from_half(to_half(moderate(x) / 256)), b = from_half(to_half(moderate(y) / 256)), c = from_half(to_half(moderate(z))); return to_half(a * b + c); })
NEAR(half_pair_sum, unsigned, "", {
    HALF_OF(a, moderate(x) / 8); HALF_OF(b, moderate(y) / 8); HALF_OF(c, moderate(z) / 8);
    unsigned r;
    asm("{ .reg .b32 s, t; mov.b32 s, {%1, %2}; mov.b32 t, {%2, %3}; add.f16x2 %0, s, t; }" : "=r"(r) : "h"(a), "h"(b), "h"(c));
    return r;
}, { double a = from_half(to_half(moderate(x) / 8)), b = from_half(to_half(moderate(y) / 8)), c = from_half(to_half(moderate(z) / 8)); return to_half(a + b) | (unsigned)to_half(b + c) << 16; })
NEAR(half_comparison, int, "", { HALF_OF(a, moderate(x)); HALF_OF(b, moderate(y)); int r; asm("{ .reg .pred p; setp.lt.f16 p, %1, %2; selp.s32 %0, 1, 0, p; }" : "=r"(r) : "h"(a), "h"(b)); return r; },
     { return from_half(to_half(moderate(x))) < from_half(to_half(moderate(y))); })
NEAR(half_to_integer, int, "", { HALF_OF(a, moderate(x)); int r; asm("cvt.rzi.s32.f16 %0, %1;" : "=r"(r) : "h"(a)); return r; }, { return clamped_to<int>(from_half(to_half(moderate(x))), -2147483648.0, 2147483647.0, (int)0x80000000, 0x7fffffff); })
NEAR(half_from_integer, unsigned short, "", { unsigned short r; asm("cvt.rn.f16.s32 %0, %1;" : "=h"(r) : "r"(x >> 15)); return r; }, { return to_half(x >> 15); })
