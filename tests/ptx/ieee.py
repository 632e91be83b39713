"""IEEE 754 arithmetic by exact rationals: the reference for the fixtures that generate.py writes.

A value is a Fraction, or one of the strings 'nan', 'inf', '-inf', '-0'. Rounding to a format is the only place where
precision is lost, so every operation here is correctly rounded by construction.
"""
from fractions import Fraction
from math import isqrt


class Format:
    def __init__(self, name, exponent_bits, fraction_bits):
        self.name, self.ebits, self.fbits = name, exponent_bits, fraction_bits
        self.width = 1 + exponent_bits + fraction_bits
        self.bias = (1 << exponent_bits - 1) - 1
        self.emin = 1 - self.bias
        self.sign = 1 << self.width - 1
        self.inf = ((1 << exponent_bits) - 1) << fraction_bits
        self.nan = self.inf | ((1 << fraction_bits) - 1)
        self.max = (Fraction(2) - Fraction(1, 1 << fraction_bits)) * Fraction(2) ** self.bias

    def decode(self, bits, ftz=False):
        negative, exponent, fraction = bits >> self.width - 1, bits >> self.fbits & (1 << self.ebits) - 1, bits & (1 << self.fbits) - 1
        if exponent == (1 << self.ebits) - 1:
            return 'nan' if fraction else ('-inf' if negative else 'inf')
        if exponent == 0 and (fraction == 0 or ftz):
            return '-0' if negative else Fraction(0)
        mantissa = fraction if exponent == 0 else fraction | 1 << self.fbits
        value = Fraction(mantissa) * Fraction(2) ** (max(exponent, 1) - self.bias - self.fbits)
        return -value if negative else value

    def encode(self, value, mode='rn', ftz=False, sat=False):
        """The bits of a value, rounded; `sat` clamps to [0, 1] and turns NaN into 0, as PTX says."""
        if sat:
            value = saturate(value)
        if value == 'nan':
            return self.nan
        if value in ('inf', '-inf'):
            return self.inf | (self.sign if value == '-inf' else 0)
        if value == '-0':
            return self.sign
        if value == 0:
            return 0
        negative, magnitude = value < 0, abs(value)
        exponent = max(floor_log2(magnitude), self.emin)
        quantum = Fraction(2) ** (exponent - self.fbits)
        units = round_integer(magnitude / quantum, directed(mode, negative))
        result = units * quantum
        sign = self.sign if negative else 0
        if result > self.max:
            stays = mode == 'rz' or mode == 'rm' and not negative or mode == 'rp' and negative
            return sign | (self.inf - 1 if stays else self.inf)
        if result == 0:
            return sign
        exponent = max(floor_log2(result), self.emin)
        units = int(result / Fraction(2) ** (exponent - self.fbits))
        if units < 1 << self.fbits:
            return sign if ftz else sign | units
        return sign | (exponent + self.bias) << self.fbits | units - (1 << self.fbits)


F16, BF16, F32, F64 = Format('f16', 5, 10), Format('bf16', 8, 7), Format('f32', 8, 23), Format('f64', 11, 52)


def floor_log2(value):
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if Fraction(2) ** guess <= value else guess - 1


def directed(mode, negative):
    """A rounding mode for the value as one for its magnitude."""
    return {'rm': 'up' if negative else 'rz', 'rp': 'rz' if negative else 'up'}.get(mode, mode)


def round_integer(value, mode):
    """A rational as an integer: rn (ties to even), rz, rm, rp, or 'up' (away from zero)."""
    low = value.numerator // value.denominator
    rest = value - low
    if rest == 0:
        return low
    if mode == 'rn':
        return low + (1 if rest > Fraction(1, 2) or rest == Fraction(1, 2) and low % 2 else 0)
    if mode in ('up', 'rp'):
        return low + (1 if mode == 'rp' or value > 0 else 0)
    return low + (1 if mode == 'rz' and value < 0 else 0)


def saturate(value):
    if value in ('nan', '-0', '-inf'):
        return Fraction(0)
    if value == 'inf':
        return Fraction(1)
    return min(max(value, Fraction(0)), Fraction(1))


def is_zero(value):
    return value == '-0' or value == 0


def negative(value):
    return value in ('-0', '-inf') or not isinstance(value, str) and value < 0


def neg(value):
    swap = {'inf': '-inf', '-inf': 'inf', '-0': Fraction(0), 'nan': 'nan'}
    if isinstance(value, str):
        return swap[value]
    return '-0' if value == 0 else -value


def absolute(value):
    return neg(value) if negative(value) else value


def signed_zero(minus):
    return '-0' if minus else Fraction(0)


def add(a, b, mode='rn'):
    if 'nan' in (a, b) or {a, b} == {'inf', '-inf'}:
        return 'nan'
    for value in (a, b):
        if value in ('inf', '-inf'):
            return value
    if is_zero(a) and is_zero(b):
        return signed_zero(negative(a) and negative(b) or negative(a) != negative(b) and mode == 'rm')
    total = number(a) + number(b)
    return total if total else signed_zero(mode == 'rm')


def number(value):
    return Fraction(0) if value == '-0' else value


def mul(a, b, mode='rn'):
    if 'nan' in (a, b):
        return 'nan'
    minus = negative(a) != negative(b)
    infinite = a in ('inf', '-inf') or b in ('inf', '-inf')
    if is_zero(a) or is_zero(b):
        return 'nan' if infinite else signed_zero(minus)
    return ('-inf' if minus else 'inf') if infinite else a * b


def div(a, b, mode='rn'):
    if 'nan' in (a, b):
        return 'nan'
    minus = negative(a) != negative(b)
    if a in ('inf', '-inf'):
        return 'nan' if b in ('inf', '-inf') else ('-inf' if minus else 'inf')
    if b in ('inf', '-inf'):
        return signed_zero(minus)
    if is_zero(b):
        return 'nan' if is_zero(a) else ('-inf' if minus else 'inf')
    return signed_zero(minus) if is_zero(a) else a / b


def fma(a, b, c, mode='rn'):
    return add(mul(a, b), c, mode)


def sqrt(a, mode='rn'):
    """Exact where the root is rational, else a rational that rounds the same way in every format."""
    if a in ('nan', '-inf') or not is_zero(a) and negative(a):
        return 'nan'
    if a == 'inf' or is_zero(a):
        return a
    scale = 1 << 700
    square = a.numerator * scale * scale // a.denominator
    root = isqrt(square)
    exact = root * root * a.denominator == a.numerator * scale * scale
    # A little above the truncated root: never a tie, never on a boundary.
    return Fraction(root, scale) if exact else Fraction(2 * root + 1, 2 * scale)


def minmax(a, b, larger):
    """PTX min and max: a NaN operand loses, -0 is less than +0."""
    if a == 'nan':
        return b
    if b == 'nan':
        return a
    key = lambda value: (order(value), 0 if value == '-0' else 1)
    return max(a, b, key=key) if larger else min(a, b, key=key)


def order(value):
    """A value as something that compares like it."""
    return {'inf': Fraction(10) ** 400, '-inf': -Fraction(10) ** 400, '-0': Fraction(0)}.get(value, value) if isinstance(value, str) else value


def compare(op, a, b):
    """PTX comparisons: the second half of the names is true for NaN operands."""
    nan = 'nan' in (a, b)
    if op in ('num', 'nan'):
        return nan == (op == 'nan')
    if nan:
        return op.endswith('u')
    x, y = order(a), order(b)
    return {'eq': x == y, 'ne': x != y, 'lt': x < y, 'le': x <= y, 'gt': x > y, 'ge': x >= y}[op.removesuffix('u') if op not in ('eq', 'ne') else op]
