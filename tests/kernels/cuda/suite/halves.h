// Halves on the host: what f16 and bf16 hold, and the nearest of all of them.
#pragma once
#ifdef EXPECTATIONS
static float from_half(unsigned short bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return (float)(bits & 0x8000 ? -value : value);
}
static unsigned short to_half(double value)
{
    // The nearest of all halves, ties to the even one.
    unsigned short sign = signbit(value) ? 0x8000 : 0;
    value = fabs(value);
    if (value >= 65520) return sign | 0x7c00;
    unsigned short below = 0;
    for (int bit = 0x4000; bit; bit /= 2) if (from_half(below | bit) <= value && (below | bit) < 0x7c00) below |= bit;
    double low = value - from_half(below), high = below + 1 == 0x7c00 ? 65536 - value : from_half(below + 1) - value;
    return sign | (low < high || (low == high && !(below & 1)) ? below : below + 1);
}

// bf16 is the upper half of a float.
static float from_brain(unsigned short bits) { return as_float((int)((unsigned)bits << 16)); }
static unsigned short to_brain(float value)
{
    unsigned bits = as_int(value);
    if (value != value) return 0x7fff;
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
#endif
