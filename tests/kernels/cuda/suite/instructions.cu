// Instructions that C++ has no words for, by inline PTX: carries, bit fields, permutations, video, packed and odd moves.
#include "suite.h"

#ifdef EXPECTATIONS
// Byte or half k of a word.
template <typename T> static int part(unsigned v, int k) { return (T)(v >> 8 * (int)sizeof(T) * k); }
template <typename T> static unsigned put(int64 v, int k) { return (unsigned)(sizeof(T) == 1 ? (unsigned char)v : (unsigned short)v) << 8 * (int)sizeof(T) * k; }
static int64 between(int64 v, int64 least, int64 most) { return v < least ? least : v > most ? most : v; }
static unsigned selected(unsigned a, unsigned b, unsigned pick)
{
    unsigned byte = (unsigned)(((uint64)b << 32 | a) >> 8 * (pick & 7)) & 255;
    return pick & 8 ? (byte & 128 ? 255u : 0u) : byte;
}
#endif
// An instruction on two or three words.
#define TWO(name, instruction, ...) NEAR(name, unsigned, "", { unsigned r; asm(instruction " %0, %1, %2;" : "=r"(r) : "r"(x), "r"(y)); return r; }, __VA_ARGS__)
#define THREE(name, instruction, tail, ...) NEAR(name, unsigned, "", { unsigned r; asm(instruction " %0, %1, %2, %3" tail ";" : "=r"(r) : "r"(x), "r"(y), "r"(z)); return r; }, __VA_ARGS__)

// Carries.
NEAR(carry_of_64_bits, int64, "", { unsigned low; unsigned high; asm("add.cc.u32 %0, %2, %3; addc.u32 %1, %4, %5;" : "=&r"(low), "=r"(high) : "r"(x), "r"(y), "r"(y), "r"(z)); return (int64)((uint64)high << 32 | low); },
     { return (int64)(((uint64)uy << 32 | ux) + ((uint64)uz << 32 | uy)); })
NEAR(borrow_of_64_bits, int64, "", { unsigned low; unsigned high; asm("sub.cc.u32 %0, %2, %3; subc.u32 %1, %4, %5;" : "=&r"(low), "=r"(high) : "r"(x), "r"(y), "r"(y), "r"(z)); return (int64)((uint64)high << 32 | low); },
     { return (int64)(((uint64)uy << 32 | ux) - ((uint64)uz << 32 | uy)); })
NEAR(carry_of_128_bits, uint64, "", {
    unsigned a; unsigned b; unsigned c; unsigned d;
    asm("add.cc.u32 %0, %4, %5; addc.cc.u32 %1, %5, %6; addc.cc.u32 %2, %6, %4; addc.u32 %3, %4, %4;" : "=&r"(a), "=&r"(b), "=&r"(c), "=r"(d) : "r"(x), "r"(y), "r"(z));
    return ((uint64)b << 32 | a) ^ ((uint64)d << 32 | c) * 3;
}, {
    unsigned __int128 p = (unsigned __int128)((uint64)ux << 32 | uz) << 64 | ((uint64)uy << 32 | ux), q = (unsigned __int128)((uint64)ux << 32 | ux) << 64 | ((uint64)uz << 32 | uy), s = p + q;
    return (uint64)s ^ (uint64)(s >> 64) * 3;
})
NEAR(carry_of_wide_words, uint64, "", { uint64 a = (uint64)ux << 32 | uy; uint64 b = (uint64)uy << 32 | uz; uint64 low; uint64 high; asm("add.cc.u64 %0, %2, %3; addc.u64 %1, %3, %2;" : "=&l"(low), "=l"(high) : "l"(a), "l"(b)); return low ^ high * 5; },
     { uint64 a = (uint64)ux << 32 | uy, b = (uint64)uy << 32 | uz, low = a + b, high = a + b + (low < a); return low ^ high * 5; })
NEAR(product_of_64_by_carries, uint64, "", {
    unsigned a; unsigned b; unsigned c; unsigned d;
    asm("mul.lo.u32 %0, %4, %6; mul.hi.u32 %1, %4, %6; mad.lo.cc.u32 %1, %5, %6, %1; madc.hi.u32 %2, %5, %6, 0; mad.lo.cc.u32 %1, %4, %7, %1; madc.hi.cc.u32 %2, %4, %7, %2; addc.u32 %3, 0, 0; mad.lo.cc.u32 %2, %5, %7, %2; madc.hi.u32 %3, %5, %7, %3;"
        : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d) : "r"(x), "r"(y), "r"(z), "r"(x));
    return ((uint64)b << 32 | a) ^ ((uint64)d << 32 | c) * 7;
}, { unsigned __int128 p = (unsigned __int128)((uint64)uy << 32 | ux) * ((uint64)ux << 32 | uz); return (uint64)p ^ (uint64)(p >> 64) * 7; })

// Bits.
NEAR(field_extracted, int, "", { int r; asm("bfe.s32 %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y & 31), "r"(z & 31)); return r; },
     { int at = y & 31, len = z & 31; if (!len) return 0; int64 v = x; return (int)((v >> at) << (64 - len) >> (64 - len)); })
NEAR(field_extracted_unsigned, unsigned, "", { unsigned r; asm("bfe.u32 %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y & 31), "r"(z & 31)); return r; }, { return (unsigned)((uint64)ux >> (y & 31) & ((1ull << (z & 31)) - 1)); })
NEAR(field_extracted_wide, uint64, "", { uint64 r; asm("bfe.u64 %0, %1, %2, %3;" : "=l"(r) : "l"((uint64)ux << 32 | uy), "r"(y & 63), "r"(z & 63)); return r; }, { return ((uint64)ux << 32 | uy) >> (y & 63) & ((1ull << (z & 63)) - 1); })
NEAR(field_inserted, unsigned, "", { unsigned r; asm("bfi.b32 %0, %1, %2, %3, %4;" : "=r"(r) : "r"(x), "r"(y), "r"(z & 31), "r"(z >> 5 & 31)); return r; }, { uint64 mask = ((1ull << (z >> 5 & 31)) - 1) << (z & 31); return (unsigned)((uy & ~mask) | ((uint64)ux << (z & 31) & mask)); })
NEAR(field_inserted_wide, uint64, "", { uint64 r; asm("bfi.b64 %0, %1, %2, %3, %4;" : "=l"(r) : "l"((uint64)ux), "l"((uint64)uy << 20), "r"(z & 31), "r"(z >> 5 & 31)); return r; }, { uint64 mask = ((1ull << (z >> 5 & 31)) - 1) << (z & 31); return ((uint64)uy << 20 & ~mask) | ((uint64)ux << (z & 31) & mask); })
NEAR(highest_bit, unsigned, "", { unsigned r; asm("bfind.u32 %0, %1;" : "=r"(r) : "r"(ux >> (y & 31))); return r; }, { unsigned v = ux >> (y & 31); int k = 31; while (k >= 0 && !(v >> k & 1)) k--; return (unsigned)k; })
NEAR(highest_bit_signed, unsigned, "", { unsigned r; asm("bfind.s32 %0, %1;" : "=r"(r) : "r"(x)); return r; }, { unsigned v = x < 0 ? ~ux : ux; int k = 31; while (k >= 0 && !(v >> k & 1)) k--; return (unsigned)k; })
NEAR(highest_bit_as_shift, unsigned, "", { unsigned r; asm("bfind.shiftamt.u32 %0, %1;" : "=r"(r) : "r"(ux >> (y & 31))); return r; }, { unsigned v = ux >> (y & 31); int k = 31; while (k >= 0 && !(v >> k & 1)) k--; return k < 0 ? ~0u : 31u - k; })
NEAR(highest_bit_wide, unsigned, "", { unsigned r; asm("bfind.u64 %0, %1;" : "=r"(r) : "l"((uint64)ux << 32 >> (y & 63))); return r; }, { uint64 v = (uint64)ux << 32 >> (y & 63); int k = 63; while (k >= 0 && !(v >> k & 1)) k--; return (unsigned)k; })
THREE(logic_of_table_e8, "lop3.b32", ", 0xe8", { return (ux & uy) | (uy & uz) | (ux & uz); })
THREE(logic_of_table_96, "lop3.b32", ", 0x96", { return ux ^ uy ^ uz; })
THREE(logic_of_table_ca, "lop3.b32", ", 0xca", { return (ux & uy) | (~ux & uz); })
THREE(logic_of_table_1b, "lop3.b32", ", 0x1b", { unsigned r = 0; for (int k = 0; k < 32; k++) r |= (0x1bu >> ((ux >> k & 1) * 4 + (uy >> k & 1) * 2 + (uz >> k & 1)) & 1) << k; return r; })
NEAR(logical_complement, unsigned, "", { unsigned r; asm("cnot.b32 %0, %1;" : "=r"(r) : "r"(x & y & z)); return r; }, { return (x & y & z) == 0; })
TWO(shift_left_clamps, "shl.b32", { return uy > 31 ? 0 : ux << uy; })
TWO(shift_right_clamps, "shr.u32", { return uy > 31 ? 0 : ux >> uy; })
TWO(shift_right_signed_clamps, "shr.s32", { return (unsigned)(x >> (uy > 31 ? 31 : uy)); })
NEAR(selected_by_sign, int, "", { int r; asm("slct.s32.s32 %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z)); return r; }, { return z >= 0 ? x : y; })
NEAR(selected_by_float_sign, int, "", { int r; asm("slct.s32.f32 %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "f"(as_float(z))); return r; }, { return as_float(z) >= 0 ? x : y; })
NEAR(compared_to_a_word, int, "", { int r; asm("set.lt.s32.s32 %0, %1, %2;" : "=r"(r) : "r"(x), "r"(y)); return r; }, { return x < y ? -1 : 0; })
NEAR(compared_to_a_float, float, "", { float r; asm("set.ge.f32.u32 %0, %1, %2;" : "=f"(r) : "r"(x), "r"(y)); return r; }, { return ux >= uy ? 1.0f : 0.0f; })
NEAR(compared_and_combined, int, "", { int r; asm("{ .reg .pred p, q, s; setp.gt.s32 p, %3, 0; setp.lt.and.s32 q|s, %1, %2, p; selp.s32 %0, 1, 0, q; @s add.s32 %0, %0, 10; }" : "=&r"(r) : "r"(x), "r"(y), "r"(z)); return r; }, { return (x < y && z > 0) + 10 * (!(x < y) && z > 0); })
NEAR(predicates_combined, int, "", { int r; asm("{ .reg .pred a, b, c; setp.gt.s32 a, %1, 0; setp.gt.s32 b, %2, 0; and.pred c, a, b; selp.s32 %0, 1, 0, c; xor.pred c, a, b; @c add.s32 %0, %0, 2; or.pred c, a, b; @!c add.s32 %0, %0, 4; not.pred c, a; @c add.s32 %0, %0, 8; }" : "=&r"(r) : "r"(x), "r"(y)); return r; },
     { bool a = x > 0, b = y > 0; return (a && b) + 2 * (a != b) + 4 * !(a || b) + 8 * !a; })

// Permutations.
NEAR(permuted_by_signs, unsigned, "", { unsigned r; asm("prmt.b32 %0, %1, %2, 0x8c19;" : "=r"(r) : "r"(x), "r"(y)); return r; }, { return selected(ux, uy, 9) | selected(ux, uy, 1) << 8 | selected(ux, uy, 12) << 16 | selected(ux, uy, 8) << 24; })
#define PERMUTED(name, mode, ...) NEAR(name, unsigned, "", { unsigned r; asm("prmt.b32." mode " %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z & 3)); return r; }, { uint64 v = (uint64)uy << 32 | ux; int c = z & 3; unsigned r = 0; const int t[4][4] = __VA_ARGS__; for (int k = 0; k < 4; k++) r |= (unsigned)(v >> 8 * t[c][k] & 255) << 8 * k; return r; })
PERMUTED(permuted_forwards, "f4e", {{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {3, 4, 5, 6}})
PERMUTED(permuted_backwards, "b4e", {{0, 7, 6, 5}, {1, 0, 7, 6}, {2, 1, 0, 7}, {3, 2, 1, 0}})
PERMUTED(permuted_replicating, "rc8", {{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}})
PERMUTED(permuted_clamping_left, "ecl", {{0, 1, 2, 3}, {1, 1, 2, 3}, {2, 2, 2, 3}, {3, 3, 3, 3}})
PERMUTED(permuted_clamping_right, "ecr", {{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}})
PERMUTED(permuted_halves, "rc16", {{0, 1, 0, 1}, {2, 3, 2, 3}, {0, 1, 0, 1}, {2, 3, 2, 3}})

// Video: four bytes, two halves, and single parts.
#define VIDEO(name, instruction, T, parts, ...)                                                                            \
    NEAR(name, unsigned, "", { unsigned r; asm(instruction " %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z)); return r; }, { unsigned r = 0; for (int k = 0; k < parts; k++) { int64 a = part<T>(ux, k), b = part<T>(uy, k); r |= put<T>(__VA_ARGS__, k); } return r; })
VIDEO(video_add_bytes, "vadd4.u32.u32.u32", unsigned char, 4, a + b)
VIDEO(video_add_bytes_saturating, "vadd4.u32.u32.u32.sat", unsigned char, 4, between(a + b, 0, 255))
VIDEO(video_add_signed_bytes_saturating, "vadd4.s32.s32.s32.sat", signed char, 4, between(a + b, -128, 127))
VIDEO(video_subtract_bytes, "vsub4.s32.s32.s32", signed char, 4, a - b)
VIDEO(video_subtract_saturating, "vsub4.u32.u32.u32.sat", unsigned char, 4, between(a - b, 0, 255))
VIDEO(video_average_bytes, "vavrg4.u32.u32.u32", unsigned char, 4, (a + b + 1) >> 1)
VIDEO(video_difference_bytes, "vabsdiff4.u32.u32.u32", unsigned char, 4, a > b ? a - b : b - a)
VIDEO(video_minimum_bytes, "vmin4.u32.u32.u32", unsigned char, 4, a < b ? a : b)
VIDEO(video_maximum_bytes, "vmax4.s32.s32.s32", signed char, 4, a > b ? a : b)
VIDEO(video_compare_bytes, "vset4.u32.u32.lt", unsigned char, 4, a < b)
VIDEO(video_compare_equal, "vset4.s32.s32.eq", signed char, 4, a == b)
VIDEO(video_add_halves, "vadd2.s32.s32.s32", short, 2, a + b)
VIDEO(video_add_halves_saturating, "vadd2.s32.s32.s32.sat", short, 2, between(a + b, -32768, 32767))
VIDEO(video_subtract_halves, "vsub2.u32.u32.u32", unsigned short, 2, a - b)
VIDEO(video_average_halves, "vavrg2.u32.u32.u32", unsigned short, 2, (a + b + 1) >> 1)
VIDEO(video_minimum_halves, "vmin2.s32.s32.s32", short, 2, a < b ? a : b)
VIDEO(video_maximum_halves, "vmax2.u32.u32.u32", unsigned short, 2, a > b ? a : b)
VIDEO(video_difference_halves, "vabsdiff2.u32.u32.u32", unsigned short, 2, a > b ? a - b : b - a)
VIDEO(video_compare_halves, "vset2.s32.s32.ge", short, 2, a >= b)
NEAR(video_sum_of_differences, unsigned, "", { unsigned r; asm("vabsdiff4.u32.u32.u32.add %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z)); return r; }, { unsigned s = uz; for (int k = 0; k < 4; k++) { int d = part<unsigned char>(ux, k) - part<unsigned char>(uy, k); s += d < 0 ? -d : d; } return s; })
NEAR(video_add_parts, int, "", { int r; asm("vadd.s32.s32.s32 %0, %1.b1, %2.h1;" : "=r"(r) : "r"(x), "r"(y)); return r; }, { return part<signed char>(ux, 1) + part<short>(uy, 1); })
NEAR(video_add_parts_and_word, int, "", { int r; asm("vadd.s32.u32.s32.add %0, %1.b3, %2.b0, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z >> 8)); return r; }, { return part<unsigned char>(ux, 3) + part<signed char>(uy, 0) + (z >> 8); })
NEAR(video_multiply_parts, int, "", { int r; asm("vmad.s32.s32.s32 %0, %1.h0, %2.h1, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z)); return r; }, { return (int)((unsigned)(part<short>(ux, 0) * part<short>(uy, 1)) + uz); })
NEAR(video_shift_parts, unsigned, "", { unsigned r; asm("vshl.u32.u32.u32.clamp %0, %1, %2.b0;" : "=r"(r) : "r"(x), "r"(y)); return r; }, { unsigned s = uy & 255; return s > 31 ? 0 : ux << s; })
NEAR(video_minimum_parts, int, "", { int r; asm("vmin.s32.s32.s32 %0, %1.b2, %2.b2;" : "=r"(r) : "r"(x), "r"(y)); return r; }, { int a = part<signed char>(ux, 2), b = part<signed char>(uy, 2); return a < b ? a : b; })

// Moves.
NEAR(packed_and_unpacked, unsigned, "", { unsigned r; asm("{ .reg .b16 a, b; .reg .b64 v; .reg .b32 p, q; mov.b32 {a, b}, %1; mov.b32 p, {b, a}; mov.b64 v, {p, %2}; mov.b64 {q, p}, v; xor.b32 %0, q, p; }" : "=r"(r) : "r"(x), "r"(y)); return r; }, { return (ux << 16 | ux >> 16) ^ uy; })
NEAR(packed_of_four, uint64, "", { uint64 r; asm("{ .reg .b16 a, b, c, d; mov.b32 {a, b}, %1; mov.b32 {c, d}, %2; mov.b64 %0, {d, a, c, b}; }" : "=l"(r) : "r"(x), "r"(y)); return r; }, { return (uint64)(uy >> 16) | (uint64)(ux & 0xffff) << 16 | (uint64)(uy & 0xffff) << 32 | (uint64)(ux >> 16) << 48; })
NEAR(extended_by_conversion, int, "", { int r; asm("{ .reg .b16 t; .reg .b32 a, b; cvt.u16.u32 t, %1; cvt.s32.s8 a, t; cvt.s32.s16 b, t; cvt.u32.u16 %0, t; xor.b32 %0, %0, a; xor.b32 %0, %0, b; }" : "=&r"(r) : "r"(x)); return r; }, { return (unsigned short)x ^ (signed char)x ^ (short)x; })
NEAR(saturated_by_conversion, int, "", { int r; asm("{ .reg .b16 t; .reg .b32 a; cvt.sat.s8.s32 a, %1; cvt.sat.u16.s32 t, %2; cvt.u32.u16 %0, t; mad.lo.s32 %0, a, 65536, %0; }" : "=&r"(r) : "r"(x >> 12), "r"(y >> 4)); return r; }, { int a = x >> 12, b = y >> 4; return (a < -128 ? -128 : a > 127 ? 127 : a) * 65536 + (b < 0 ? 0 : b > 65535 ? 65535 : b); })
NEAR(product_and_sum_saturating, int, "", { int r; asm("mad.hi.sat.s32 %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z)); return r; }, { return (int)between(((int64)x * y >> 32) + z, -2147483648ll, 2147483647); })
NEAR(sum_saturating, int, "", { int r; asm("add.sat.s32 %0, %1, %2;" : "=r"(r) : "r"(x), "r"(y)); return r; }, { return (int)between((int64)x + y, -2147483648ll, 2147483647); })
NEAR(difference_saturating, int, "", { int r; asm("sub.sat.s32 %0, %1, %2;" : "=r"(r) : "r"(x), "r"(y)); return r; }, { return (int)between((int64)x - y, -2147483648ll, 2147483647); })
NEAR(product_of_24_high, int, "", { int r; asm("mul24.hi.s32 %0, %1, %2;" : "=r"(r) : "r"(x), "r"(y)); return r; }, { int64 a = (int)(ux << 8) >> 8, b = (int)(uy << 8) >> 8; return (int)(a * b >> 16); })
NEAR(dot_of_mixed_signs, int, "", { int r; asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z)); return r; }, { unsigned s = uz; for (int k = 0; k < 4; k++) s += part<unsigned char>(ux, k) * part<signed char>(uy, k); return (int)s; })

// Addresses and spaces.
KERNEL(spaces_of_addresses, int, {
    __shared__ int s[64]; int l[4];
    l[in[INDEX] & 3] = INDEX; s[threadIdx.x] = l[in[INDEX] & 3];
    const void *p[3] = {out, s, l};
    int r = 0;
    for (int k = 0; k < 3; k++) { int g; asm("{ .reg .pred p; .reg .b32 t; isspacep.global p, %1; selp.s32 %0, 1, 0, p; isspacep.shared p, %1; selp.s32 t, 2, 0, p; or.b32 %0, %0, t; isspacep.local p, %1; selp.s32 t, 4, 0, p; or.b32 %0, %0, t; }" : "=&r"(g) : "l"(p[k])); r = r * 10 + g; }
    out[INDEX] = r + (s[threadIdx.x] < 0);
})
EXPECT(spaces_of_addresses, int, { for (int i = 0; i < n; i++) out[i] = 124; })
KERNEL(shared_by_its_own_address, int, { __shared__ int s[64]; unsigned a; asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(a) : "l"(s + threadIdx.x)); asm volatile("st.shared.u32 [%0], %1;" :: "r"(a), "r"(in[INDEX]) : "memory"); __syncthreads(); int r; asm volatile("ld.shared.u32 %0, [%1+-0];" : "=r"(r) : "r"(a ^ 4) : "memory"); out[INDEX] = r; })
EXPECT(shared_by_its_own_address, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 1]; })
KERNEL(loads_of_all_kinds, int, {
    int a; int b; int c; int d; const int *p = in + INDEX;
    asm volatile("ld.global.ca.s32 %0, [%1];" : "=r"(a) : "l"(p)); asm volatile("ld.global.cg.s32 %0, [%1];" : "=r"(b) : "l"(p)); asm volatile("ld.global.cs.u16 %0, [%1];" : "=r"(c) : "l"(p)); asm volatile("ld.volatile.global.s8 %0, [%1+1];" : "=r"(d) : "l"(p));
    asm volatile("prefetch.global.L2 [%0];" :: "l"(p)); asm volatile("st.global.wb.s32 [%0], %1;" :: "l"(out + INDEX), "r"((a & b) + c + d) : "memory");
})
EXPECT(loads_of_all_kinds, int, { for (int i = 0; i < n; i++) out[i] = (int)((unsigned)in[i] + (in[i] & 0xffff) + (signed char)(in[i] >> 8)); })
KERNEL(vector_loads_by_hand, int, { int a; int b; int c; int d; const int *p = in + 4 * (INDEX & 63); asm volatile("ld.global.v4.s32 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "l"(p)); asm volatile("st.global.v2.s32 [%0], {%1, %2};" :: "l"(out + 2 * (INDEX & 127)), "r"(a ^ d), "r"(b ^ c) : "memory"); })
EXPECT_AS(vector_loads_by_hand, int, "2, 64", { for (int i = 0; i < 128; i++) { const int *p = in + 4 * (i & 63); out[2 * i] = p[0] ^ p[3]; out[2 * i + 1] = p[1] ^ p[2]; } })
KERNEL(reductions_without_result, int, { asm volatile("red.global.add.s32 [%0], %1;" :: "l"(out + (INDEX & 7)), "r"(in[INDEX]) : "memory"); asm volatile("red.global.max.u32 [%0], %1;" :: "l"(out + 8 + (INDEX & 7)), "r"(in[INDEX]) : "memory"); asm volatile("red.global.xor.b32 [%0], %1;" :: "l"(out + 16), "r"(in[INDEX]) : "memory"); })
EXPECT(reductions_without_result, int, { for (int i = 0; i < n; i++) { out[i & 7] = (unsigned)out[i & 7] + in[i]; if ((unsigned)in[i] > (unsigned)out[8 + (i & 7)]) out[8 + (i & 7)] = in[i]; out[16] ^= in[i]; } })
KERNEL(barriers_by_number, int, {
    __shared__ int s[64]; int t = threadIdx.x;
    // The first warp makes, the second takes: named barriers with arrival.
    if (t < 32) { s[t] = in[INDEX]; asm volatile("membar.cta; bar.arrive 1, 64;" ::: "memory"); out[INDEX] = 1; }
    else { asm volatile("bar.sync 1, 64;" ::: "memory"); out[INDEX] = s[t - 32]; }
})
EXPECT(barriers_by_number, int, { for (int i = 0; i < n; i++) out[i] = i & 32 ? in[i - 32] : 1; })
KERNEL(barrier_of_one_warp, int, { __shared__ int s[64]; int t = threadIdx.x; s[t] = in[INDEX]; asm volatile("bar.sync %0, 32;" :: "r"(2 + t / 32) : "memory"); out[INDEX] = s[t ^ 31]; })
EXPECT(barrier_of_one_warp, int, { for (int i = 0; i < n; i++) out[i] = in[i ^ 31]; })
KERNEL(jumps_by_hand, int, { int r; asm volatile("{ .reg .pred p; mov.s32 %0, 0; mov.s32 %0, %1; $again: setp.lt.s32 p, %0, 1000; @!p bra $done; mad.lo.s32 %0, %0, 2, 1; bra.uni $again; $done: }" : "=&r"(r) : "r"(in[INDEX] & 511)); out[INDEX] = r; })
EXPECT(jumps_by_hand, int, { for (int i = 0; i < n; i++) { int r = in[i] & 511; while (r < 1000) r = 2 * r + 1; out[i] = r; } })
KERNEL(bit_counts_in_a_row, int, { int r; asm("{ .reg .b32 t; .reg .b64 w; popc.b32 t, %1; clz.b32 %0, %1; mad.lo.s32 %0, %0, 100, t; cvt.u64.u32 w, %1; brev.b64 w, w; popc.b64 t, w; mad.lo.s32 %0, %0, 100, t; clz.b64 t, w; mad.lo.s32 %0, %0, 100, t; }" : "=&r"(r) : "r"(in[INDEX])); out[INDEX] = r; })
EXPECT(bit_counts_in_a_row, int, { for (int i = 0; i < n; i++) { int p = 0, c = 32, z = 64; for (int k = 0; k < 32; k++) if ((unsigned)in[i] >> k & 1) { p++; c = 31 - k; if (z == 64) z = k; } out[i] = ((c * 100 + p) * 100 + p) * 100 + z; } })
