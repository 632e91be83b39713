// Integers: arithmetic of all widths, and the intrinsics, each against plain C++.
#include "suite.h"

// Narrow types.
EACH(bytes_signed, int, { signed char a = x, b = y; return (signed char)(a + b) * 3 + (signed char)(a * b) - (signed char)(a - b); })
EACH(bytes_unsigned, int, { unsigned char a = x, b = y; return (unsigned char)(a + b) * 3 + (unsigned char)(a * b) - (unsigned char)(a >> (b & 7)); })
EACH(bytes_divided, int, { signed char a = x, b = y | 1; return b == -1 ? a : a / b * 256 + a % b; })
EACH(shorts_signed, int, { short a = x, b = y; return (short)(a + b) ^ (short)(a * b) << 4 ^ (short)(a >> 3); })
EACH(shorts_unsigned, int, { unsigned short a = x, b = y; return (unsigned short)(a - b) ^ (unsigned short)(a * (unsigned)b) ^ (unsigned short)(a << 3); })
EACH(shorts_divided, int, { short a = x, b = y | 1; return b == -1 ? a : a / b * 7 + a % b; })
EACH(out_of_bytes, signed char, { return (signed char)(x >> 3); })
EACH(out_of_shorts, short, { return (short)(x ^ y); })
EACH(out_of_unsigned_shorts, unsigned short, { return (unsigned short)(ux * 3 + uy); })
EACH(truth, int, { bool a = x, b = y & 4, c = z > 0; return a * 4 + b * 2 + (a ^ c) + (!b << 3); })

// 32 bits.
EACH(sum_wraps, int, { return ux + uy * 3u - uz; })
EACH(product_low, int, { return ux * uy; })
EACH(negate_and_complement, int, { return (0u - ux) ^ ~uy; })
EACH(quotient_signed, int, { int d = y == 0 || y == -1 ? 3 : y; return x / d; })
EACH(remainder_signed, int, { int d = y == 0 || y == -1 ? 3 : y; return x % d; })
EACH(quotient_unsigned, unsigned, { return ux / (uy | 1); })
EACH(remainder_unsigned, unsigned, { return ux % (uy | 1); })
EACH(quotient_by_small, int, { return x / ((y & 63) + 1) - x % ((z & 63) + 1); })
EACH(quotient_by_constants, int, { return x / 3 + x / 7 + x / 10 + x / -5 + x / 1000 + x / 65536 + x / 641; })
EACH(remainder_by_constants, int, { return x % 3 + x % 7 + x % 10 + x % 8 + x % 1000 + x % 641; })
EACH(unsigned_by_constants, unsigned, { return ux / 3 + ux / 7 + ux / 10 + ux % 10 + ux / 1000 + ux % 641 + ux / 0x80000001u; })
EACH(shifts, unsigned, { return ux << (uy & 31) ^ ux >> (uz & 31); })
EACH(shift_arithmetic, int, { return x >> (y & 31); })
EACH(rotations, unsigned, { unsigned s = uy & 31; return (ux << s | ux >> (-s & 31)) + (ux >> s | ux << (-s & 31)); })
EACH(logic, int, { return (x & y) ^ (y | z) ^ ~(x ^ z) ^ (x & ~y); })
EACH(logic_of_three, int, { return (x & y | y & z | x & z) + (x ^ y ^ z) + (x & y | ~x & z); })
EACH(comparisons, int, { return (x < y) | (x <= y) << 1 | (x > z) << 2 | (x >= z) << 3 | (x == y) << 4 | (x != z) << 5 | (ux < uy) << 6 | (ux <= uz) << 7 | (ux > uy) << 8 | (ux >= uz) << 9; })
EACH(smallest_and_largest, int, { int a = x < y ? x : y, b = x > z ? x : z; unsigned c = ux < uz ? ux : uz, d = ux > uy ? ux : uy; return a ^ b * 3 ^ c * 5 ^ d * 7; })
EACH(absolute, int, { return x < 0 ? 0u - ux : ux; })
EACH(clamped, int, { int a = x < -500 ? -500 : x > 500 ? 500 : x; return a; })
EACH(bit_fields_by_hand, int, { return (ux >> 5 & 0x7f) | (uy >> 3 & 0x3ff) << 7 | (uz & 0x1fff) << 17; })
EACH(bytes_swapped, unsigned, { return ux >> 24 | (ux >> 8 & 0xff00) | (ux << 8 & 0xff0000) | ux << 24; })
EACH(parity, int, { unsigned v = ux; v ^= v >> 16; v ^= v >> 8; v ^= v >> 4; return 0x6996 >> (v & 15) & 1; })
EACH(hash, unsigned, { unsigned h = 2166136261u; for (int k = 0; k < 4; k++) h = (h ^ (ux >> 8 * k & 255)) * 16777619u; h ^= h >> 16; h *= 0x85ebca6b; h ^= h >> 13; return h; })
EACH(xorshift, unsigned, { unsigned s = ux | 1; for (int k = 0; k < 10; k++) { s ^= s << 13; s ^= s >> 17; s ^= s << 5; } return s; })

// 64 bits.
ON_BOTH inline int64 wide(int high, int low) { return (int64)((uint64)(unsigned)high << 32 | (unsigned)low); }
EACH(wide_sum, int64, { return (int64)((uint64)wide(x, y) + (uint64)wide(y, z)); })
EACH(wide_difference, int64, { return (int64)((uint64)wide(x, y) - (uint64)wide(z, x)); })
EACH(wide_product, int64, { return (int64)((uint64)wide(x, y) * (uint64)wide(y, z)); })
EACH(wide_product_of_narrow, int64, { return (int64)x * y; })
EACH(wide_product_of_unsigned, uint64, { return (uint64)ux * uy; })
EACH(wide_multiply_add, int64, { return (int64)((uint64)((int64)x * y) + (uint64)wide(y, z)); })
EACH(wide_quotient, int64, { int64 d = wide(y >> 16, z) | 1; return d == -1 ? 0 : wide(x, y) / d; })
EACH(wide_remainder, int64, { int64 d = wide(y >> 20, z) | 1; return d == -1 ? 0 : wide(x, y) % d; })
EACH(wide_quotient_unsigned, uint64, { return (uint64)wide(x, y) / ((uint64)wide(y & 0xffff, z) | 1); })
EACH(wide_remainder_unsigned, uint64, { return (uint64)wide(x, y) % ((uint64)wide(y & 0xffff, z) | 1); })
EACH(wide_by_constants, int64, { int64 v = wide(x, y); return v / 10 + v % 1000000007 + v / 3 - v % 86400; })
EACH(wide_shifts, uint64, { uint64 v = wide(x, y); return v << (uz & 63) ^ v >> (ux & 63); })
EACH(wide_shift_arithmetic, int64, { return wide(x, y) >> (z & 63); })
EACH(wide_logic, int64, { int64 a = wide(x, y), b = wide(y, z), c = wide(z, x); return (a & b) ^ (b | c) ^ ~(a ^ c); })
EACH(wide_comparisons, int, { int64 a = wide(x, y), b = wide(y, z); uint64 c = a, d = b; return (a < b) | (a <= b) << 1 | (a > b) << 2 | (a == b) << 3 | (c < d) << 4 | (c >= d) << 5 | (c != d) << 6; })
EACH(wide_extremes, int64, { int64 a = wide(x, y), b = wide(y, z); uint64 c = a, d = b; return (a < b ? a : b) ^ (int64)((c > d ? c : d) * 3); })
EACH(wide_absolute, int64, { int64 a = wide(x, y); return a < 0 ? (int64)(0 - (uint64)a) : a; })
EACH(wide_from_narrow, int64, { return (int64)x + (int64)(short)y + (int64)(signed char)z + (int64)(uint64)uy; })
EACH(narrow_from_wide, int, { return (int)(wide(x, y) >> 13) ^ (short)(wide(y, z) >> 40); })
EACH(modular_power, uint64, { uint64 r = 1, b = ux % 1000003, e = uy & 1023; while (e) { if (e & 1) r = r * b % 1000003; b = b * b % 1000003; e >>= 1; } return r; })
EACH(congruential_generator, uint64, { uint64 s = ux; for (int k = 0; k < 8; k++) s = s * 6364136223846793005ull + 1442695040888963407ull; return s; })

// 128 bits.
ON_BOTH inline unsigned __int128 widest(int a, int b, int c, int d) { return (unsigned __int128)(uint64)wide(a, b) << 64 | (uint64)wide(c, d); }
ON_BOTH inline uint64 folded(unsigned __int128 v) { return (uint64)(v >> 64) * 3 ^ (uint64)v; }
EACH(sum_of_128, uint64, { return folded(widest(x, y, z, x) + widest(y, z, x, y)); })
EACH(difference_of_128, uint64, { return folded(widest(x, y, z, x) - widest(y, z, x, y)); })
EACH(product_of_128, uint64, { return folded(widest(x, y, z, x) * widest(y, z, x, y)); })
EACH(product_to_128, uint64, { return folded((unsigned __int128)(uint64)wide(x, y) * (uint64)wide(y, z)); })
EACH(signed_product_to_128, uint64, { return folded((unsigned __int128)((__int128)wide(x, y) * wide(y, z))); })
EACH(shift_left_128, uint64, { return folded(widest(x, y, z, x) << (uy & 127)); })
EACH(shift_right_128, uint64, { return folded(widest(x, y, z, x) >> (uy & 127)); })
EACH(shift_arithmetic_128, uint64, { return folded((unsigned __int128)((__int128)widest(x, y, z, x) >> (uz & 127))); })
EACH(compare_128, int, { unsigned __int128 a = widest(x, y, z, x), b = widest(x, y, y, z); __int128 c = a, d = b; return (a < b) | (a == b) << 1 | (c < d) << 2 | (c >= d) << 3; })
EACH(add_three_words, uint64, { uint64 a = (uint64)wide(x, y), b = (uint64)wide(y, z), low = a + b, carry = low < a, middle = a + carry, next = middle < carry; return low ^ middle * 3 ^ next * 5; })

// Intrinsics.
#ifdef EXPECTATIONS
static int bits_of(uint64 v) { int c = 0; for (; v; v >>= 1) c += v & 1; return c; }
static int zeros_above(uint64 v, int width) { int c = 0; for (int k = width - 1; k >= 0 && !(v >> k & 1); k--) c++; return c; }
static int first_set(uint64 v) { for (int k = 0; k < 64; k++) if (v >> k & 1) return k + 1; return 0; }
static uint64 reversed(uint64 v, int width) { uint64 r = 0; for (int k = 0; k < width; k++) r |= (v >> k & 1) << (width - 1 - k); return r; }
static unsigned permuted(unsigned a, unsigned b, unsigned s)
{
    unsigned r = 0;
    for (int k = 0; k < 4; k++) {
        // CUDA looks at three bits of each selector; the instruction has a fourth (see instructions.cu).
        r |= ((unsigned)(((uint64)b << 32 | a) >> 8 * (s >> 4 * k & 7)) & 255) << 8 * k;
    }
    return r;
}
template <typename T> static int64 part(unsigned v, int k) { return (T)(v >> 8 * (int)sizeof(T) * k); }
#endif
NEAR(ones, int, "", { return __popc(x); }, { return bits_of(ux); })
NEAR(ones_wide, int, "", { return __popcll(wide(x, y)); }, { return bits_of(wide(x, y)); })
NEAR(leading_zeros, int, "", { return __clz(x >> (y & 31)); }, { return zeros_above((unsigned)(x >> (y & 31)), 32); })
NEAR(leading_zeros_wide, int, "", { return __clzll((uint64)wide(x, y) >> (z & 63)); }, { return zeros_above((uint64)wide(x, y) >> (z & 63), 64); })
NEAR(find_first_set, int, "", { return __ffs(ux << (y & 31)); }, { return first_set(ux << (y & 31)); })
NEAR(find_first_set_wide, int, "", { return __ffsll((uint64)wide(x, y) << (z & 63)); }, { return first_set((uint64)wide(x, y) << (z & 63)); })
NEAR(reverse_bits, unsigned, "", { return __brev(ux); }, { return (unsigned)reversed(ux, 32); })
NEAR(reverse_bits_wide, uint64, "", { return __brevll(wide(x, y)); }, { return reversed(wide(x, y), 64); })
NEAR(high_product, int, "", { return __mulhi(x, y); }, { return (int)((int64)x * y >> 32); })
NEAR(high_product_unsigned, unsigned, "", { return __umulhi(ux, uy); }, { return (unsigned)((uint64)ux * uy >> 32); })
NEAR(high_product_wide, int64, "", { return __mul64hi(wide(x, y), wide(y, z)); }, { return (int64)((__int128)wide(x, y) * wide(y, z) >> 64); })
NEAR(high_product_wide_unsigned, uint64, "", { return __umul64hi(wide(x, y), wide(y, z)); }, { return (uint64)((unsigned __int128)(uint64)wide(x, y) * (uint64)wide(y, z) >> 64); })
NEAR(product_of_24_bits, int, "", { return __mul24(x, y); }, { return (int)((ux << 8) / 256 | (x & 0x800000 ? 0xff000000u : 0)) * (int)((uy << 8) / 256 | (y & 0x800000 ? 0xff000000u : 0)); })
NEAR(product_of_24_bits_unsigned, unsigned, "", { return __umul24(ux, uy); }, { return (ux & 0xffffff) * (uy & 0xffffff); })
NEAR(absolute_difference_sum, unsigned, "", { return __sad(x, y, uz); }, { return (unsigned)(x > y ? (int64)x - y : (int64)y - x) + uz; })
NEAR(absolute_difference_sum_unsigned, unsigned, "", { return __usad(ux, uy, uz); }, { return (ux > uy ? ux - uy : uy - ux) + uz; })
NEAR(permute_bytes, unsigned, "", { return __byte_perm(ux, uy, uz); }, { return permuted(ux, uy, uz); })
NEAR(permute_bytes_by_constants, unsigned, "", { return __byte_perm(ux, uy, 0x0123) ^ __byte_perm(ux, uy, 0x7531) ^ __byte_perm(ux, uy, 0x8c40); }, { return permuted(ux, uy, 0x0123) ^ permuted(ux, uy, 0x7531) ^ permuted(ux, uy, 0x8c40); })
NEAR(funnel_left, unsigned, "", { return __funnelshift_l(ux, uy, uz); }, { return (unsigned)((((uint64)uy << 32 | ux) << (uz & 31)) >> 32); })
NEAR(funnel_right, unsigned, "", { return __funnelshift_r(ux, uy, uz); }, { return (unsigned)(((uint64)uy << 32 | ux) >> (uz & 31)); })
NEAR(funnel_left_clamped, unsigned, "", { return __funnelshift_lc(ux, uy, uz & 63); }, { unsigned s = uz & 63; if (s > 32) s = 32; return (unsigned)((unsigned __int128)((uint64)uy << 32 | ux) << s >> 32); })
NEAR(funnel_right_clamped, unsigned, "", { return __funnelshift_rc(ux, uy, uz & 63); }, { unsigned s = uz & 63; if (s > 32) s = 32; return (unsigned)(((uint64)uy << 32 | ux) >> s); })
NEAR(dot_of_four, int, "", { return __dp4a(x, y, z); }, { int64 s = z; for (int k = 0; k < 4; k++) s += part<signed char>(ux, k) * part<signed char>(uy, k); return (int)s; })
NEAR(dot_of_four_unsigned, unsigned, "", { return __dp4a(ux, uy, uz); }, { uint64 s = uz; for (int k = 0; k < 4; k++) s += part<unsigned char>(ux, k) * part<unsigned char>(uy, k); return (unsigned)s; })
NEAR(dot_of_two_low, int, "", { return __dp2a_lo(x, y, z); }, { int64 s = z; for (int k = 0; k < 2; k++) s += part<short>(ux, k) * part<signed char>(uy, k); return (int)s; })
NEAR(dot_of_two_high, int, "", { return __dp2a_hi(x, y, z); }, { int64 s = z; for (int k = 0; k < 2; k++) s += part<short>(ux, k) * part<signed char>(uy, k + 2); return (int)s; })
NEAR(dot_of_two_low_unsigned, unsigned, "", { return __dp2a_lo(ux, uy, uz); }, { uint64 s = uz; for (int k = 0; k < 2; k++) s += part<unsigned short>(ux, k) * part<unsigned char>(uy, k); return (unsigned)s; })
NEAR(dot_of_two_high_unsigned, unsigned, "", { return __dp2a_hi(ux, uy, uz); }, { uint64 s = uz; for (int k = 0; k < 2; k++) s += part<unsigned short>(ux, k) * part<unsigned char>(uy, k + 2); return (unsigned)s; })
