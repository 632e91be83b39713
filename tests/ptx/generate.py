#!/usr/bin/env python3
"""Writes the fixtures in generated/: one file per family of instructions, edge values in every lane.

Expected values come from the definitions of the PTX ISA, computed here with Python's integers and with ieee.py; no
executor of ours is asked. Run it after changing a table below: `python3 tests/ptx/generate.py`.
"""
import os
import random
import sys

sys.dont_write_bytecode = True
from ieee import *

HERE = os.path.dirname(os.path.abspath(__file__))
LANES = 32


# ---- Writing a fixture

class Fixture:
    """One file: inputs shared by its kernels, and a kernel with its expected values per instruction."""

    def __init__(self, name, about, target='sm_61', version='8.0'):
        self.name, self.about, self.target, self.version = name, about, target, version
        self.data, self.runs, self.kernels = [], [], []

    def input(self, name, width, values):
        self.data.append(f'// data: {name} = u{width}{listing(values, width)}')

    def kernel(self, name, instruction, inputs, out, expected, within='', kind=None):
        """`inputs` is [(name, register type, bits in memory)], `out` the (register type, bits in memory) of %d."""
        name = name.replace('.', '_')
        out_type, out_width = out
        kind = kind or (out_type if within else f'u{out_width}')
        arguments = ', '.join(['out'] + [argument for argument, _, _ in inputs])
        values = expected if isinstance(expected, str) else listing(expected, out_width)
        self.runs.append(f'// run: {name}<<<1, {LANES}>>>({arguments}) -> out == {kind}{values}{within}')
        self.kernels.append(kernel_text(name, instruction, inputs, out))

    def write(self):
        lines = [f'// {self.about}', '// Written by generate.py; change that.', '//']
        lines += [wrapped for line in self.data + self.runs for wrapped in wrap(line)]
        lines += [f'.version {self.version}', f'.target {self.target}', '.address_size 64', ''] + self.kernels
        with open(os.path.join(HERE, 'generated', self.name + '.ptx'), 'w') as file:
            file.write('\n'.join(lines))


def listing(values, width):
    return '[' + ', '.join('nan' if value == 'nan' else hex(value & (1 << width) - 1) for value in values) + ']'


def wrap(line, columns=118):
    """A comment over several lines: all but the first begin with `//   `."""
    while len(line) > columns:
        cut = line.rindex(' ', 0, columns)
        yield line[:cut]
        line = '//   ' + line[cut + 1:]
    yield line


def kernel_text(name, instruction, inputs, out):
    out_type, out_width = out
    parameters = ', '.join(f'.param .u64 {name}_{index}' for index in range(len(inputs) + 1))
    lines = [f'.visible .entry {name}({parameters})', '{', '    .reg .b64 %address, %base;', '    .reg .b32 %lane;',
             '    .reg .pred %p, %q;', f'    .reg .{register(out_type)} %d;', '    mov.u32 %lane, %tid.x;']
    for index, (argument, kind, width) in enumerate(inputs):
        lines += [f'    .reg .{register(kind)} %{argument};', f'    ld.param.u64 %base, [{name}_{index + 1}];',
                  f'    mad.wide.u32 %address, %lane, {width // 8}, %base;',
                  f'    ld.global.{memory(kind, width)} %{argument}, [%address];']
    lines += ['    ' + line for line in instruction.split('\n')]
    lines += [f'    ld.param.u64 %base, [{name}_0];', f'    mad.wide.u32 %address, %lane, {out_width // 8}, %base;',
              f'    st.global.{memory(out_type, out_width)} [%address], %d;', '    ret;', '}', '']
    return '\n'.join(lines)


def register(kind):
    """The register type for an operand type: 8-bit values live in 16-bit registers."""
    return {'u8': 'u16', 's8': 's16', 'b8': 'b16', 'f16': 'b16', 'f16x2': 'b32', 'bf16': 'b16', 'bf16x2': 'b32'}.get(kind, kind)


def memory(kind, width):
    return kind if kind[0] in 'us' else f'f{width}' if kind in ('f32', 'f64') else f'b{width}'


# ---- Values

def width_of(kind):
    return {'f16x2': 32, 'bf16x2': 32, 'bf16': 16}.get(kind) or int(''.join(filter(str.isdigit, kind)))


def signed(value, width):
    return value - (1 << width) if value >> width - 1 & 1 else value


def typed(value, kind):
    """Bits as the integer that they are in this type."""
    return signed(value, width_of(kind)) if kind[0] == 's' else value


def edges(width):
    top, ones = 1 << width - 1, (1 << width) - 1
    return [0, 1, 2, 3, 5, 7, 0x10, 0x55 * (ones // 255), top - 1, top, top + 1, ones - 1, ones, ones // 3, ones // 7 + 1, top | top >> 1]


def lanes_of(choices, seed, count=LANES):
    """Every choice at least once, then a repeatable sample."""
    sample = random.Random(seed)
    values = list(choices) + [sample.choice(choices) for _ in range(count)]
    values = values[:count]
    sample.shuffle(values)
    return values


def integer_inputs(width, seed):
    sample = random.Random(width * 100 + seed)
    noise = [sample.getrandbits(width) for _ in range(10)]
    return lanes_of(edges(width) + noise, f'{width} {seed}')


FLOATS = {
    F32: [0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x80800000, 0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff,
          0x40490fdb, 0xc0490fdb, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x34000000, 0x4b800000,
          0x4b7fffff, 0xcb000001, 0x4f000000, 0xcf000000, 0x3eaaaaab, 0x3f000000, 0x40200000, 0xbfc00000, 0x00ffffff, 0x5f800000],
    F64: [0, 1 << 63, 1, 0x8000000000000001, 0x000fffffffffffff, 0x0010000000000000, 0x8010000000000000, 0x3ff0000000000000,
          0xbff0000000000000, 0x3ff0000000000001, 0x3fefffffffffffff, 0x400921fb54442d18, 0xc00921fb54442d18,
          0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
          0x3cb0000000000000, 0x4340000000000000, 0x433fffffffffffff, 0x41e0000000000000, 0xc1e0000000000000,
          0x3fd5555555555555, 0x3fe0000000000000, 0x4004000000000000, 0xbff8000000000000, 0x43f0000000000000, 0x47efffffffffffff, 0x3690000000000000],
    F16: [0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x8400, 0x3c00, 0xbc00, 0x3c01, 0x3bff, 0x4248, 0xc248, 0x7bff, 0xfbff,
          0x7c00, 0xfc00, 0x7e00, 0x1400, 0x6800, 0x67ff, 0x3555, 0x3800, 0x4100, 0xbe00, 0x07ff, 0x7800, 0x2e66],
    BF16: [0, 0x8000, 0x3f80, 0xbf80, 0x3f81, 0x3f7f, 0x4049, 0xc049, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7fc0, 0x3400, 0x4b80,
           0x3eab, 0x3f00, 0x4020, 0xbfc0, 0x0080, 0x0001, 0x00ff],
}


def float_inputs(form, seed):
    sample = random.Random(form.width * 1000 + seed)
    moderate = [form.encode(Fraction(sample.uniform(-1, 1)) * Fraction(2) ** sample.randint(-6, 6)) for _ in range(8)]
    return lanes_of(FLOATS[form] + moderate, f'{form.name} {seed}', LANES)


def bits_or_nan(form, value, mode='rn', ftz=False, sat=False):
    bits = form.encode(value, mode, ftz, sat)
    return 'nan' if form.decode(bits) == 'nan' else bits


# ---- Integer families

INTEGERS = ['u16', 's16', 'u32', 's32', 'u64', 's64']


def divide(a, b):
    """Quotient towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def integer_arithmetic():
    for kind in INTEGERS:
        width = width_of(kind)
        fixture = Fixture(f'arithmetic_{kind}', f'Integer arithmetic on .{kind}: sums and products wrap, quotients round towards zero.')
        a, b, c = (integer_inputs(width, seed) for seed in range(3))
        # x / 0 and the quotient of the least number by -1 have no defined result.
        divisor = [value if value and value != (1 << width) - 1 else 3 for value in b]
        for name, values in (('a', a), ('b', b), ('c', c), ('n', divisor)):
            fixture.input(name, width, values)

        def binary(op, function, second='b', out=kind):
            values = [function(typed(x, kind), typed(y, kind)) for x, y in zip(a, b if second == 'b' else divisor)]
            fixture.kernel(f'{op}_{kind}', f'{op}.{kind} %d, %a, %{second};', [('a', kind, width), (second, kind, width)], (out, width_of(out)), values)

        def ternary(op, function, out=kind):
            values = [function(typed(x, kind), typed(y, kind), typed(z, out)) for x, y, z in zip(a, b, c)]
            fixture.kernel(f'{op}_{kind}', f'{op}.{kind} %d, %a, %b, %c;', [('a', kind, width), ('b', kind, width), ('c', kind, width)], (out, width_of(out)), values)

        binary('add', lambda x, y: x + y)
        binary('sub', lambda x, y: x - y)
        binary('mul.lo', lambda x, y: x * y)
        binary('mul.hi', lambda x, y: x * y >> width)
        binary('div', divide, 'n')
        binary('rem', lambda x, y: x - y * divide(x, y), 'n')
        binary('min', min)
        binary('max', max)
        ternary('mad.lo', lambda x, y, z: x * y + z)
        ternary('mad.hi', lambda x, y, z: (x * y >> width) + z)
        ternary('sad', lambda x, y, z: z + abs(x - y))
        if width < 64:
            wide = kind[0] + str(2 * width)
            binary('mul.wide', lambda x, y: x * y, out=wide)
            values = [typed(x, kind) * typed(y, kind) + 0x12345 for x, y in zip(a, b)]
            fixture.kernel(f'mad_wide_{kind}', f'mad.wide.{kind} %d, %a, %b, 0x12345;', [('a', kind, width), ('b', kind, width)], (wide, 2 * width), values)
        if kind[0] == 's':
            for op, function in (('abs', abs), ('neg', lambda x: -x)):
                fixture.kernel(f'{op}_{kind}', f'{op}.{kind} %d, %a;', [('a', kind, width)], (kind, width), [function(typed(x, kind)) for x in a])
        if kind == 's32':
            clamp = lambda value: max(-2 ** 31, min(2 ** 31 - 1, value))
            for op, function in (('add', lambda x, y: x + y), ('sub', lambda x, y: x - y)):
                values = [clamp(function(typed(x, kind), typed(y, kind))) for x, y in zip(a, b)]
                fixture.kernel(f'{op}_sat', f'{op}.sat.s32 %d, %a, %b;', [('a', kind, 32), ('b', kind, 32)], (kind, 32), values)
            values = [clamp((typed(x, kind) * typed(y, kind) >> 32) + typed(z, kind)) for x, y, z in zip(a, b, c)]
            fixture.kernel('mad_hi_sat', 'mad.hi.sat.s32 %d, %a, %b, %c;', [('a', kind, 32), ('b', kind, 32), ('c', kind, 32)], (kind, 32), values)
        if width == 32:
            low = lambda value: typed24(value, kind)
            for part, shift in (('lo', 0), ('hi', 16)):
                product = lambda x, y: low(x) * low(y) >> shift
                values = [product(x, y) for x, y in zip(a, b)]
                fixture.kernel(f'mul24_{part}', f'mul24.{part}.{kind} %d, %a, %b;', [('a', kind, 32), ('b', kind, 32)], (kind, 32), values)
                values = [(product(x, y) & 0xffffffff) + z for x, y, z in zip(a, b, c)]
                fixture.kernel(f'mad24_{part}', f'mad24.{part}.{kind} %d, %a, %b, %c;', [('a', kind, 32), ('b', kind, 32), ('c', kind, 32)], (kind, 32), values)
        fixture.write()


def typed24(value, kind):
    return signed(value & 0xffffff, 24) if kind[0] == 's' else value & 0xffffff


def logic_and_shifts():
    fixture = Fixture('shifts', 'Shifts and logic: amounts beyond the width give all sign bits or zero, they do not wrap.')
    amounts = lanes_of([0, 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 0x80000000, 0xffffffff], 'amounts')
    fixture.input('n', 32, amounts)
    for width in (16, 32, 64):
        a, b = integer_inputs(width, 7), integer_inputs(width, 8)
        fixture.input(f'a{width}', width, a)
        fixture.input(f'b{width}', width, b)
        first, second = (f'a{width}', f'b{width}', width), (f'b{width}', f'b{width}', width)
        for op, function in (('and', lambda x, y: x & y), ('or', lambda x, y: x | y), ('xor', lambda x, y: x ^ y)):
            fixture.kernel(f'{op}_{width}', f'{op}.b{width} %d, %a{width}, %b{width};', [first, second], (f'b{width}', width), [function(x, y) for x, y in zip(a, b)])
        fixture.kernel(f'not_{width}', f'not.b{width} %d, %a{width};', [first], (f'b{width}', width), [~x for x in a])
        fixture.kernel(f'cnot_{width}', f'cnot.b{width} %d, %a{width};', [first], (f'b{width}', width), [int(x == 0) for x in a])
        for op, kind, function in (('shl', f'b{width}', lambda x, n: x << n), ('shr', f'u{width}', lambda x, n: x >> n), ('shr', f's{width}', lambda x, n: signed(x, width) >> n)):
            values = [function(x, min(n, width)) for x, n in zip(a, amounts)]
            fixture.kernel(f'{op}_{kind}', f'{op}.{kind} %d, %a{width}, %n;', [(f'a{width}', kind, width), ('n', 'u32', 32)], (kind, width), values)
    fixture.write()

    fixture = Fixture('funnel_shifts', 'shf: 64 bits shifted, one half kept; `clamp` stops at 32, `wrap` takes the amount modulo 32.')
    a, b = integer_inputs(32, 9), integer_inputs(32, 10)
    for name, values in (('a', a), ('b', b), ('n', amounts)):
        fixture.input(name, 32, values)
    for side in 'lr':
        for mode in ('clamp', 'wrap'):
            def shifted(low, high, n):
                n = min(n, 32) if mode == 'clamp' else n & 31
                pair = high << 32 | low
                return pair << n >> 32 if side == 'l' else pair >> n
            fixture.kernel(f'shf_{side}_{mode}', f'shf.{side}.{mode}.b32 %d, %a, %b, %n;', [('a', 'b32', 32), ('b', 'b32', 32), ('n', 'u32', 32)],
                           ('b32', 32), [shifted(x, y, n) for x, y, n in zip(a, b, amounts)])
    fixture.write()


def bit_fields():
    fixture = Fixture('bit_fields', 'Bit counting, searching, reversing, extracting and inserting.')
    positions = lanes_of([0, 1, 5, 8, 16, 24, 30, 31, 32, 33, 62, 63, 64, 255], 'positions')
    lengths = lanes_of([0, 1, 2, 4, 7, 8, 16, 31, 32, 33, 63, 64, 255], 'lengths')
    fixture.input('position', 32, positions)
    fixture.input('length', 32, lengths)
    for width in (32, 64):
        a, b = integer_inputs(width, 11), integer_inputs(width, 12)
        fixture.input(f'a{width}', width, a)
        fixture.input(f'b{width}', width, b)
        name = f'a{width}'
        argument = (name, f'b{width}', width)
        fixture.kernel(f'popc_{width}', f'popc.b{width} %d, %{name};', [argument], ('u32', 32), [bin(x).count('1') for x in a])
        fixture.kernel(f'clz_{width}', f'clz.b{width} %d, %{name};', [argument], ('u32', 32), [width - x.bit_length() for x in a])
        fixture.kernel(f'brev_{width}', f'brev.b{width} %d, %{name};', [argument], (f'b{width}', width), [int(f'{x:0{width}b}'[::-1], 2) for x in a])
        for kind in (f'u{width}', f's{width}'):
            def find(x):
                x = ~x & (1 << width) - 1 if kind[0] == 's' and x >> width - 1 else x
                return x.bit_length() - 1
            fixture.kernel(f'bfind_{kind}', f'bfind.{kind} %d, %{name};', [(name, kind, width)], ('u32', 32), [find(x) for x in a])
            fixture.kernel(f'bfind_shiftamt_{kind}', f'bfind.shiftamt.{kind} %d, %{name};', [(name, kind, width)], ('u32', 32),
                           [find(x) if find(x) < 0 else width - 1 - find(x) for x in a])

            def extract(x, position, length):
                position, length = position & 255, length & 255
                sign_at = min(position + length - 1, width - 1)
                sign = 0 if kind[0] == 'u' or length == 0 else x >> sign_at & 1
                return sum((x >> position + i & 1 if i < length and position + i < width else sign) << i for i in range(width))
            fixture.kernel(f'bfe_{kind}', f'bfe.{kind} %d, %{name}, %position, %length;', [(name, kind, width), ('position', 'u32', 32), ('length', 'u32', 32)], (kind, width),
                           [extract(x, p, l) for x, p, l in zip(a, positions, lengths)])

        def insert(x, y, position, length):
            for i in range(length & 255):
                if (position & 255) + i < width:
                    bit = 1 << (position & 255) + i
                    y = y & ~bit | (bit if x >> i & 1 else 0)
            return y
        fixture.kernel(f'bfi_{width}', f'bfi.b{width} %d, %a{width}, %b{width}, %position, %length;',
                       [argument, (f'b{width}', f'b{width}', width), ('position', 'u32', 32), ('length', 'u32', 32)], (f'b{width}', width),
                       [insert(x, y, p, l) for x, y, p, l in zip(a, b, positions, lengths)])
    fixture.write()


def byte_permutation():
    fixture = Fixture('prmt_lop3', 'Byte permutation in all modes, and three-input logic by truth table.')
    a, b, c = (integer_inputs(32, seed) for seed in (13, 14, 15))
    selectors = lanes_of([0x3210, 0x7654, 0x0123, 0x4567, 0xba98, 0xfedc, 0x8888, 0x5410, 0x7632, 0x3715, 0xc0de, 0xffff, 0xabcd1234, 1, 2, 3], 'selectors')
    for name, values in (('a', a), ('b', b), ('c', c), ('s', selectors)):
        fixture.input(name, 32, values)

    def byte(x, y, index):
        return (y << 32 | x) >> 8 * (index & 7) & 255

    def default(x, y, s):
        def pick(selector):
            value = byte(x, y, selector)
            return (0xff if value & 0x80 else 0) if selector & 8 else value
        return sum(pick(s >> 4 * i & 15) << 8 * i for i in range(4))

    # The four result bytes, least significant first, for the low two bits of the selector (PTX ISA, table of prmt modes).
    modes = {
        'f4e': ['0123', '1234', '2345', '3456'], 'b4e': ['0765', '1076', '2107', '3210'], 'rc8': ['0000', '1111', '2222', '3333'],
        'ecl': ['0123', '1123', '2223', '3333'], 'ecr': ['0000', '0111', '0122', '0123'], 'rc16': ['0101', '2323', '0101', '2323'],
    }
    operands = [('a', 'b32', 32), ('b', 'b32', 32), ('s', 'b32', 32)]
    fixture.kernel('prmt', 'prmt.b32 %d, %a, %b, %s;', operands, ('b32', 32), [default(*lane) for lane in zip(a, b, selectors)])
    for mode, rows in modes.items():
        values = [sum(byte(x, y, int(digit)) << 8 * i for i, digit in enumerate(rows[s & 3])) for x, y, s in zip(a, b, selectors)]
        fixture.kernel(f'prmt_{mode}', f'prmt.b32.{mode} %d, %a, %b, %s;', operands, ('b32', 32), values)
    for table in (0x00, 0x80, 0xfe, 0x96, 0xe8, 0xca, 0x3c, 0xff, 0x1d):
        def look_up(x, y, z):
            return sum((table >> ((x >> i & 1) << 2 | (y >> i & 1) << 1 | z >> i & 1) & 1) << i for i in range(32))
        fixture.kernel(f'lop3_{table:02x}', f'lop3.b32 %d, %a, %b, %c, {table:#x};', [('a', 'b32', 32), ('b', 'b32', 32), ('c', 'b32', 32)], ('b32', 32),
                       [look_up(*lane) for lane in zip(a, b, c)])
    fixture.write()


def dot_products():
    fixture = Fixture('dot_products', 'dp4a and dp2a: products of bytes summed into 32 bits, which wrap.')
    a, b, c = (integer_inputs(32, seed) for seed in (16, 17, 18))
    for name, values in (('a', a), ('b', b), ('c', c)):
        fixture.input(name, 32, values)
    part = lambda value, index, bits, kind: signed(value >> bits * index & (1 << bits) - 1, bits) if kind[0] == 's' else value >> bits * index & (1 << bits) - 1
    for x_kind in ('u32', 's32'):
        for y_kind in ('u32', 's32'):
            out = 's32' if 's32' in (x_kind, y_kind) else 'u32'
            operands = [('a', x_kind, 32), ('b', y_kind, 32), ('c', out, 32)]
            values = [sum(part(x, i, 8, x_kind) * part(y, i, 8, y_kind) for i in range(4)) + z for x, y, z in zip(a, b, c)]
            fixture.kernel(f'dp4a_{x_kind}_{y_kind}', f'dp4a.{x_kind}.{y_kind} %d, %a, %b, %c;', operands, (out, 32), values)
            for half in ('lo', 'hi'):
                values = [sum(part(x, i, 16, x_kind) * part(y, i + (2 if half == 'hi' else 0), 8, y_kind) for i in range(2)) + z for x, y, z in zip(a, b, c)]
                fixture.kernel(f'dp2a_{half}_{x_kind}_{y_kind}', f'dp2a.{half}.{x_kind}.{y_kind} %d, %a, %b, %c;', operands, (out, 32), values)
    fixture.write()


PARTS = {'': (0, 32), 'b0': (0, 8), 'b1': (8, 8), 'b2': (16, 8), 'b3': (24, 8), 'h0': (0, 16), 'h1': (16, 16)}


def video():
    """Arithmetic on chosen bytes and halves, saturated, then a second operation with a third source or put among its bytes."""
    fixture = Fixture('video', 'Scalar video instructions: a part of each source, saturation, a second operation or a merge.')
    a, b, c = (integer_inputs(32, seed) for seed in (26, 27, 28))
    for name, values in (('a', a), ('b', b), ('c', c)):
        fixture.input(name, 32, values)

    def part(word, name, kind):
        shift, bits = PARTS[name]
        field = word >> shift & (1 << bits) - 1
        return signed(field, bits) if kind == 's32' else field

    def saturated(value, name, kind):
        bits = PARTS[name][1]
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind == 's32' else (0, (1 << bits) - 1)
        return max(low, min(high, value))

    def merged(value, name, word):
        shift, bits = PARTS[name]
        mask = (1 << bits) - 1 << shift
        return word & ~mask | value << shift & mask

    first = {'vadd': lambda x, y: x + y, 'vsub': lambda x, y: x - y, 'vabsdiff': lambda x, y: abs(x - y), 'vmin': min, 'vmax': max,
             'vshl.clamp': lambda x, y: x << min(y, 32), 'vshl.wrap': lambda x, y: x << (y & 31),
             'vshr.clamp': lambda x, y: x >> min(y, 32), 'vshr.wrap': lambda x, y: x >> (y & 31)}
    second = {'add': lambda x, y, kind: x + y, 'min': lambda x, y, kind: min(typed(x, kind), typed(y, kind)), 'max': lambda x, y, kind: max(typed(x, kind), typed(y, kind))}
    names = list(PARTS)
    sample = random.Random(29)
    for op, compute in first.items():
        op, mode = (op.split('.') + [''])[:2]
        for out in ('u32', 's32'):
            for x_kind in ('u32', 's32'):
                # Shift counts have no sign.
                y_kind = 'u32' if mode else sample.choice(('u32', 's32'))
                operands = [('a', x_kind, 32), ('b', y_kind, 32), ('c', out, 32)]
                for form in ('plain', 'sat', 'add', 'min', 'max', 'merge'):
                    x_part, y_part, d_part = sample.choice(names), sample.choice(names), sample.choice(names[1:]) if form == 'merge' else ''
                    sat = '.sat' if form == 'sat' or form == 'merge' and sample.random() < 0.5 else ''
                    values = []
                    for x, y, z in zip(a, b, c):
                        value = compute(part(x, x_part, x_kind), part(y, y_part, y_kind))
                        value = saturated(value, d_part, out) if sat else value
                        value = second[form](value & 0xffffffff, z, out) if form in second else merged(value, d_part, z) if form == 'merge' else value
                        values.append(value)
                    dot = lambda name: '.' + name if name else ''
                    tail = ', %c' if form in second or form == 'merge' else ''
                    text = f'{op}.{out}.{x_kind}.{y_kind}{sat}{dot(mode)}{dot(form if form in second else "")} %d{dot(d_part)}, %a{dot(x_part)}, %b{dot(y_part)}{tail};'
                    fixture.kernel(f'{op}{mode}_{out}_{x_kind}_{form}', text, operands, (out, 32), values)
    for test, compare in (('eq', lambda x, y: x == y), ('ne', lambda x, y: x != y), ('lt', lambda x, y: x < y), ('le', lambda x, y: x <= y),
                          ('gt', lambda x, y: x > y), ('ge', lambda x, y: x >= y)):
        for kind in ('u32', 's32'):
            operands = [('a', kind, 32), ('b', kind, 32), ('c', 'u32', 32)]
            values = [compare(part(x, 'h1', kind), part(y, 'b0', kind)) + z for x, y, z in zip(a, b, c)]
            fixture.kernel(f'vset_{test}_{kind}', f'vset.{kind}.{kind}.{test}.add %d, %a.h1, %b.b0, %c;', operands, ('u32', 32), values)
    fixture.write()


def carry_chains():
    """128-bit arithmetic in 64-bit halves, 64-bit in 32-bit halves: the carry travels between instructions."""
    for width in (32, 64):
        fixture = Fixture(f'carry_chains_{width}', f'Carry chains of {width} bits: the upper half of a double-width result, which needs the carry of the lower.', version='8.0')
        inputs = {name: integer_inputs(width, seed) for seed, name in enumerate('abcd', 20)}
        for name, values in inputs.items():
            fixture.input(name if name != 'd' else 'e', width, values)
        u, operands = f'u{width}', [(name, f'u{width}', width) for name in 'abce']
        pair = lambda low, high: high << width | low
        lanes = list(zip(*inputs.values()))
        fixture.kernel('add_chain', f'add.cc.{u} %d, %a, %c;\naddc.{u} %d, %b, %e;', operands, (u, width), [pair(x, y) + pair(z, w) >> width for x, y, z, w in lanes])
        fixture.kernel('sub_chain', f'sub.cc.{u} %d, %a, %c;\nsubc.{u} %d, %b, %e;', operands, (u, width), [pair(x, y) - pair(z, w) >> width for x, y, z, w in lanes])
        fixture.kernel('carry_out', f'add.cc.{u} %d, %a, %c;\naddc.cc.{u} %d, %b, %e;\naddc.{u} %d, 0, 0;', operands, (u, width), [pair(x, y) + pair(z, w) >> 2 * width for x, y, z, w in lanes])
        fixture.kernel('mad_chain', f'mad.lo.cc.{u} %d, %a, %c, %b;\nmadc.hi.{u} %d, %a, %c, %e;', operands, (u, width), [x * z + pair(y, w) >> width for x, y, z, w in lanes])
        fixture.kernel('mad_carry_in', f'mad.lo.cc.{u} %d, %a, %b, %c;\nmadc.lo.cc.{u} %d, %a, %c, %b;\naddc.{u} %d, %e, 0;', operands, (u, width),
                       [w + ((x * z & (1 << width) - 1) + y + ((x * y & (1 << width) - 1) + z >> width) >> width) for x, y, z, w in lanes])
        fixture.write()


def integer_comparisons():
    fixture = Fixture('setp_integer', 'Integer comparisons, selection by predicate and by sign, and predicates combined with others.')
    for kind, ops in (('u16', ['eq', 'ne', 'lt', 'le', 'gt', 'ge']), ('s16', ['lt', 'ge']), ('u32', ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'lo', 'ls', 'hi', 'hs']),
                      ('s32', ['eq', 'ne', 'lt', 'le', 'gt', 'ge']), ('u64', ['lt', 'le', 'gt', 'ge', 'lo', 'hs']), ('s64', ['eq', 'ne', 'lt', 'le', 'gt', 'ge']), ('b32', ['eq', 'ne'])):
        width = width_of(kind)
        names = f'a{width}', f'b{width}'
        a, b = integer_inputs(width, 30), integer_inputs(width, 31)
        b = [x if i % 5 == 0 else y for i, (x, y) in enumerate(zip(a, b))]
        for name, values in zip(names, (a, b)):
            line = f'// data: {name} = u{width}{listing(values, width)}'
            if line not in fixture.data:
                fixture.data.append(line)
        for op in ops:
            plain = {'lo': 'lt', 'ls': 'le', 'hi': 'gt', 'hs': 'ge'}.get(op, op)
            values = [11 if compare(plain, typed(x, kind), typed(y, kind)) else 22 for x, y in zip(a, b)]
            fixture.kernel(f'setp_{op}_{kind}', f'setp.{op}.{kind} %p, %{names[0]}, %{names[1]};\nselp.u32 %d, 11, 22, %p;',
                           [(names[0], kind, width), (names[1], kind, width)], ('u32', 32), values)
    a, b = integer_inputs(32, 30), integer_inputs(32, 31)
    b = [x if i % 5 == 0 else y for i, (x, y) in enumerate(zip(a, b))]
    both = [('a32', 's32', 32), ('b32', 's32', 32)]
    less = lambda x, y: signed(x, 32) < signed(y, 32)
    for op, function in (('and', lambda p, q: p and q), ('or', lambda p, q: p or q), ('xor', lambda p, q: p != q)):
        text = f'setp.gt.s32 %q, %a32, 5;\nsetp.lt.{op}.s32 %p, %a32, %b32, %q;\nselp.u32 %d, 1, 0, %p;'
        fixture.kernel(f'setp_{op}', text, both, ('u32', 32), [int(function(less(x, y), signed(x, 32) > 5)) for x, y in zip(a, b)])
    text = 'setp.gt.s32 %q, %a32, 5;\nsetp.lt.and.s32 %p|%q, %a32, %b32, !%q;\nselp.u32 %d, 1, 0, %q;'
    fixture.kernel('setp_two_results', text, both, ('u32', 32), [int(not less(x, y) and not signed(x, 32) > 5) for x, y in zip(a, b)])
    fixture.kernel('set_u32', 'set.lt.u32.s32 %d, %a32, %b32;', both, ('u32', 32), [0xffffffff if less(x, y) else 0 for x, y in zip(a, b)])
    fixture.kernel('set_f32', 'set.lt.f32.s32 %d, %a32, %b32;', both, ('f32', 32), [0x3f800000 if less(x, y) else 0 for x, y in zip(a, b)])
    fixture.kernel('slct', 'slct.u32.s32 %d, 7, 9, %a32;', both[:1], ('u32', 32), [7 if signed(x, 32) >= 0 else 9 for x in a])
    fixture.write()


# ---- Floating point

def float_arithmetic():
    for form, modes, extra in ((F32, ['rn', 'rz', 'rm', 'rp'], True), (F64, ['rn', 'rz', 'rm', 'rp'], False)):
        kind, width = form.name, form.width
        fixture = Fixture(f'arithmetic_{kind}', f'IEEE arithmetic on .{kind}: four roundings, subnormals, infinities, NaN; `.ftz` and `.sat`.')
        a, b, c = (float_inputs(form, seed) for seed in range(3))
        # Sums that cancel and products that are nearly representable.
        c = [form.encode(neg(mul(form.decode(x), form.decode(y)))) if i % 4 == 0 else z for i, (x, y, z) in enumerate(zip(a, b, c))]
        for name, values in (('a', a), ('b', b), ('c', c)):
            fixture.input(name, width, values)

        def kernel(op, suffix, function, arity, mode, ftz=False, sat=False):
            lanes = zip(*(a, b, c)[:arity])
            values = [bits_or_nan(form, function(*(form.decode(bits, ftz) for bits in lane)), mode, ftz, sat) for lane in lanes]
            operands = [(name, kind, width) for name in 'abc'[:arity]]
            text = f'{op}{suffix}.{kind} %d, {", ".join("%" + name for name, _, _ in operands)};'
            fixture.kernel(f'{op}{suffix}', text, operands, (kind, width), values)

        for op, function, arity in (('add', add, 2), ('sub', lambda x, y, mode='rn': add(x, neg(y), mode) if y != 'nan' else 'nan', 2), ('mul', mul, 2),
                                    ('fma', fma, 3), ('div', div, 2), ('rcp', lambda x, mode='rn': div(Fraction(1), x), 1), ('sqrt', sqrt, 1)):
            for mode in modes:
                rounded = lambda *operands: function(*operands, mode)
                kernel(op, f'.{mode}', rounded, arity, mode)
                if extra and mode in ('rn', 'rz'):
                    kernel(op, f'.{mode}.ftz', rounded, arity, mode, ftz=True)
            if extra and op in ('add', 'sub', 'mul', 'fma'):
                plain = lambda *operands: function(*operands, 'rn')
                kernel(op, '.rn.sat', plain, arity, 'rn', sat=True)
                kernel(op, '.rn.ftz.sat', plain, arity, 'rn', ftz=True, sat=True)
        for op, larger in (('min', False), ('max', True)):
            kernel(op, '', lambda x, y: minmax(x, y, larger), 2, 'rn')
            if extra:
                kernel(op, '.ftz', lambda x, y: minmax(x, y, larger), 2, 'rn', ftz=True)
        sign = 1 << width - 1
        operands = [('a', kind, width)]
        clean = lambda bits, result: 'nan' if form.decode(bits) == 'nan' else result
        fixture.kernel('abs', f'abs.{kind} %d, %a;', operands, (kind, width), [clean(x, x & ~sign) for x in a])
        fixture.kernel('neg', f'neg.{kind} %d, %a;', operands, (kind, width), [clean(x, x ^ sign) for x in a])
        fixture.kernel('copysign', f'copysign.{kind} %d, %a, %b;', [('a', kind, width), ('b', kind, width)], (kind, width),
                       [clean(y, y & ~sign | x & sign) for x, y in zip(a, b)])
        for test in ('finite', 'infinite', 'number', 'notanumber', 'normal', 'subnormal'):
            values = [int(has_property(form, x, test)) for x in a]
            fixture.kernel(f'testp_{test}', f'testp.{test}.{kind} %p, %a;\nselp.u32 %d, 1, 0, %p;', operands, ('u32', 32), values)
        fixture.write()


def has_property(form, bits, test):
    value, exponent = form.decode(bits), bits & ~form.sign
    return {'finite': value not in ('nan', 'inf', '-inf'), 'infinite': value in ('inf', '-inf'), 'number': value != 'nan',
            'notanumber': value == 'nan', 'subnormal': 0 < exponent < 1 << form.fbits,
            # Zero counts as normal (PTX ISA, testp).
            'normal': (exponent == 0 or exponent >= 1 << form.fbits) and value not in ('nan', 'inf', '-inf')}[test]


def float_comparisons():
    for form in (F32, F64):
        kind, width = form.name, form.width
        fixture = Fixture(f'setp_{kind}', f'Comparisons of .{kind}: ordered ones are false for NaN, the others true; -0 equals 0.')
        a, b = float_inputs(form, 5), float_inputs(form, 6)
        b = [x if i % 5 == 0 else y for i, (x, y) in enumerate(zip(a, b))]
        fixture.input('a', width, a)
        fixture.input('b', width, b)
        operands = [('a', kind, width), ('b', kind, width)]
        for ftz in ('', '.ftz') if form is F32 else ('',):
            for op in ('eq', 'ne', 'lt', 'le', 'gt', 'ge', 'equ', 'neu', 'ltu', 'leu', 'gtu', 'geu', 'num', 'nan'):
                values = [11 if compare(op, form.decode(x, bool(ftz)), form.decode(y, bool(ftz))) else 22 for x, y in zip(a, b)]
                fixture.kernel(f'setp_{op}{ftz}', f'setp.{op}{ftz}.{kind} %p, %a, %b;\nselp.u32 %d, 11, 22, %p;', operands, ('u32', 32), values)
        fixture.kernel('selp', f'setp.lt.{kind} %p, %a, %b;\nselp.{kind} %d, %a, %b, %p;', operands, (kind, width),
                       ['nan' if form.decode(z) == 'nan' else z for z in (x if compare('lt', form.decode(x), form.decode(y)) else y for x, y in zip(a, b))])
        fixture.kernel('set_ge_u32', f'set.ge.u32.{kind} %d, %a, %b;', operands, ('u32', 32), [0xffffffff if compare('ge', form.decode(x), form.decode(y)) else 0 for x, y in zip(a, b)])
        fixture.write()


def half_arithmetic():
    for form, target in ((F16, 'sm_80'), (BF16, 'sm_90')):
        kind = form.name
        fixture = Fixture(f'arithmetic_{kind}', f'Arithmetic on .{kind} and .{kind}x2: one rounding, also of fma.', target=target)
        a, b, c = (float_inputs(form, seed) for seed in range(3))
        c = [form.encode(neg(mul(form.decode(x), form.decode(y)))) if i % 4 == 0 else z for i, (x, y, z) in enumerate(zip(a, b, c))]
        for name, values in (('a', a), ('b', b), ('c', c)):
            fixture.input(name, 16, values)
            fixture.input(name + 'x2', 32, [x | values[(i * 7 + 3) % LANES] << 16 for i, x in enumerate(values)])

        def kernel(op, suffix, function, arity, ftz=False, sat=False):
            def result(lane):
                return bits_or_nan(form, function(*(form.decode(bits, ftz) for bits in lane)), 'rn', ftz, sat)
            values = [result(lane) for lane in zip(*(a, b, c)[:arity])]
            operands = [(name, kind, 16) for name in 'abc'[:arity]]
            listed = lambda names: ', '.join('%' + name for name, _, _ in names)
            fixture.kernel(f'{op}{suffix}_{kind}', f'{op}{suffix}.{kind} %d, {listed(operands)};', operands, (kind, 16), values)
            packed = [(name + 'x2', kind + 'x2', 32) for name in 'abc'[:arity]]
            # Expected halves one by one, so that each may be any NaN.
            halves = [half for i in range(LANES) for half in (values[i], values[(i * 7 + 3) % LANES])]
            fixture.kernel(f'{op}{suffix}_{kind}x2', f'{op}{suffix}.{kind}x2 %d, {listed(packed)};', packed, (kind + 'x2', 32), listing(halves, 16), kind='u16')

        subtract = lambda x, y: add(x, neg(y)) if y != 'nan' else 'nan'
        for op, function, arity in (('add', add, 2), ('sub', subtract, 2), ('mul', mul, 2), ('fma.rn', fma, 3)):
            kernel(op, '', function, arity)
            if form is F16:
                kernel(op, '.ftz', function, arity, ftz=True)
                kernel(op, '.sat', function, arity, sat=True)
        kernel('min', '', lambda x, y: minmax(x, y, False), 2)
        kernel('max', '', lambda x, y: minmax(x, y, True), 2)
        operands = [('a', kind, 16)]
        clean = lambda bits, result: 'nan' if form.decode(bits) == 'nan' else result
        fixture.kernel('neg', f'neg.{kind} %d, %a;', operands, (kind, 16), [clean(x, x ^ 0x8000) for x in a])
        fixture.kernel('abs', f'abs.{kind} %d, %a;', operands, (kind, 16), [clean(x, x & 0x7fff) for x in a])
        for op in ('eq', 'ne', 'lt', 'geu', 'nan'):
            fixture.kernel(f'setp_{op}', f'setp.{op}.{kind} %p, %a, %b;\nselp.u32 %d, 1, 0, %p;', [('a', kind, 16), ('b', kind, 16)], ('u32', 32),
                           [int(compare(op, form.decode(x), form.decode(y))) for x, y in zip(a, b)])
        fixture.write()


def approximations():
    """Bounds from the table of maximum errors in the PTX ISA; exact values by Python's double-precision functions."""
    import math
    import struct
    fixture = Fixture('approximations', 'Approximate functions of .f32, each within the error that the PTX ISA allows it.', target='sm_75')
    sample = random.Random(5)
    value = lambda x: struct.unpack('<f', struct.pack('<f', x))[0]
    general = [value(sample.uniform(-30, 30)) for _ in range(24)] + [0.0, 1.0, -1.0, 0.5, 2.0, 10.0, -20.5, 1e-3]
    positive = [value(abs(x) + 1e-3) for x in general]
    near_one = [value(sample.uniform(0.51, 1.99)) for _ in range(LANES)]
    angle = [value(sample.uniform(-math.pi, math.pi)) for _ in range(LANES)]
    bits = lambda values: [struct.unpack('<I', struct.pack('<f', x))[0] for x in values]
    for name, values in (('x', general), ('y', positive), ('o', near_one), ('t', angle)):
        fixture.input(name, 32, bits(values))
    table = [
        ('ex2.approx', 'x', general, lambda x: 2.0 ** x, 'rel 3e-7'), ('ex2.approx.ftz', 'x', general, lambda x: 2.0 ** x, 'rel 3e-7'),
        ('lg2.approx', 'y', positive, math.log2, 'abs 1e-6'), ('lg2.approx.ftz', 'o', near_one, math.log2, 'abs 2.4e-7'),
        ('sin.approx', 't', angle, math.sin, 'abs 6.8e-7'), ('cos.approx', 't', angle, math.cos, 'abs 6.8e-7'),
        ('sin.approx.ftz', 't', angle, math.sin, 'abs 6.8e-7'), ('cos.approx.ftz', 't', angle, math.cos, 'abs 6.8e-7'),
        ('rcp.approx', 'y', positive, lambda x: 1 / x, '1ulp'), ('rcp.approx.ftz', 'y', positive, lambda x: 1 / x, '1ulp'),
        ('rsqrt.approx', 'y', positive, lambda x: x ** -0.5, 'rel 1.3e-7'), ('rsqrt.approx.ftz', 'y', positive, lambda x: x ** -0.5, 'rel 1.3e-7'),
        ('sqrt.approx', 'y', positive, math.sqrt, 'rel 1.2e-7'), ('sqrt.approx.ftz', 'y', positive, math.sqrt, 'rel 1.2e-7'),
        ('tanh.approx', 'x', general, math.tanh, 'rel 4.9e-4'),
    ]
    number_list = lambda values: '[' + ', '.join(repr(x) for x in values) + ']'
    for op, name, inputs, function, bound in table:
        fixture.kernel(op, f'{op}.f32 %d, %{name};', [(name, 'f32', 32)], ('f32', 32), number_list([function(x) for x in inputs]), within=f' within {bound}')
    for op in ('div.approx', 'div.approx.ftz', 'div.full', 'div.full.ftz'):
        fixture.kernel(op, f'{op}.f32 %d, %x, %y;', [('x', 'f32', 32), ('y', 'f32', 32)], ('f32', 32), number_list([x / y for x, y in zip(general, positive)]), within=' within 2ulp')
    fixture.write()

    fixture = Fixture('approximation_edges', 'Approximate functions at zeros, infinities, NaN and subnormals: these results are exact.', target='sm_75')
    special = [0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x3f800000]
    inputs = [special[i % len(special)] for i in range(LANES)]
    fixture.input('a', 32, inputs)
    zero, minus_zero, inf, minus_inf, one = 0, 0x80000000, 0x7f800000, 0xff800000, 0x3f800000
    for op, row in (('rcp.approx', [inf, minus_inf, zero, minus_zero, 'nan', one]), ('rsqrt.approx', [inf, minus_inf, zero, 'nan', 'nan', one]),
                    ('sqrt.approx', [zero, minus_zero, inf, 'nan', 'nan', one]), ('ex2.approx', [one, one, inf, zero, 'nan', 0x40000000]),
                    ('lg2.approx', [minus_inf, minus_inf, inf, 'nan', 'nan', zero]), ('sin.approx', [zero, minus_zero, 'nan', 'nan', 'nan', None]),
                    ('tanh.approx', [zero, minus_zero, one, 0xbf800000, 'nan', None])):
        keep = [i for i, result in enumerate(row) if result is not None]
        # Where the last column has no exact result the lane repeats the first one.
        results = [row[i] if i in keep else None for i in (lane % len(special) for lane in range(LANES))]
        text = f'{op}.f32 %d, %a;' if len(keep) == len(row) else f'setp.eq.f32 %p, %a, 0f3F800000;\n@%p mov.f32 %a, 0f00000000;\n{op}.f32 %d, %a;'
        fixture.kernel(op, text, [('a', 'f32', 32)], ('f32', 32), [row[0] if result is None else result for result in results])
    fixture.write()


# ---- Conversions

def conversions():
    fixture = Fixture('cvt_integer', 'Conversions between integers: sign or zero extension, truncation, `.sat` clamps.')
    kinds = ['u8', 's8', 'u16', 's16', 'u32', 's32', 'u64', 's64']
    inputs = {width: integer_inputs(width, 40) for width in (8, 16, 32, 64)}
    for width, values in inputs.items():
        fixture.input(f'a{width}', width, values)
    for source in kinds:
        width = width_of(source)
        for target in kinds:
            if source == target:
                continue
            values = [typed(x, source) for x in inputs[width]]
            operand = [(f'a{width}', source, width)]
            fixture.kernel(f'cvt_{target}_{source}', f'cvt.{target}.{source} %d, %a{width};', operand, (target, width_of(target)), values)
            low, high = (-(1 << width_of(target) - 1), (1 << width_of(target) - 1) - 1) if target[0] == 's' else (0, (1 << width_of(target)) - 1)
            holds_all = low <= (-(1 << width - 1) if source[0] == 's' else 0) and (1 << width - (source[0] == 's')) - 1 <= high
            if holds_all:
                # The assembler refuses `.sat` where nothing can be clamped.
                continue
            fixture.kernel(f'cvt_sat_{target}_{source}', f'cvt.sat.{target}.{source} %d, %a{width};', operand, (target, width_of(target)), [max(low, min(high, x)) for x in values])
    fixture.write()

    fixture = Fixture('cvt_to_float', 'Integers to floating point in four roundings.', target='sm_61')
    for width, values in inputs.items():
        if width > 8:
            fixture.input(f'a{width}', width, values)
    for source in kinds[2:]:
        width = width_of(source)
        for form in (F16, F32, F64):
            for mode in ('rn', 'rz', 'rm', 'rp'):
                values = [form.encode(Fraction(typed(x, source)), mode) for x in inputs[width]]
                fixture.kernel(f'cvt_{mode}_{form.name}_{source}', f'cvt.{mode}.{form.name}.{source} %d, %a{width};', [(f'a{width}', source, width)], (form.name, form.width), values)
    fixture.write()

    fixture = Fixture('cvt_to_integer', 'Floating point to integers: four roundings, out of range clamps, NaN gives what an H100 gives.')
    for form in (F16, F32, F64):
        values = float_inputs(form, 41)
        near = [Fraction(n, 4) for n in (-10, -7, -6, -5, -3, -2, -1, 1, 2, 3, 5, 6, 7, 10, 13)]
        values = [form.encode(near[i // 2 % len(near)]) if i % 2 else x for i, x in enumerate(values)]
        fixture.input(form.name, form.width, values)
        for target in ('u16', 's16', 'u32', 's32', 'u64', 's64'):
            bits = width_of(target)
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if target[0] == 's' else (0, (1 << bits) - 1)
            # The highest bit alone in 64 bits, and from F64: measured.
            of_nan = 1 << bits - 1 if bits == 64 or form is F64 else 0
            for mode in ('rn', 'rz', 'rm', 'rp'):
                def convert(x):
                    value = form.decode(x)
                    if value in ('nan', '-0'):
                        return of_nan if value == 'nan' else 0
                    if value in ('inf', '-inf'):
                        return high if value == 'inf' else low
                    return max(low, min(high, round_integer(value, mode)))
                fixture.kernel(f'cvt_{mode}i_{target}_{form.name}', f'cvt.{mode}i.{target}.{form.name} %d, %{form.name};', [(form.name, form.name, form.width)], (target, bits), [convert(x) for x in values])
    fixture.write()

    fixture = Fixture('cvt_float', 'Between floating-point formats, and to integral values within one.', target='sm_90', version='8.0')
    values = {form: float_inputs(form, 42) for form in (F16, BF16, F32, F64)}
    # Halves between neighbours of the narrow formats: ties must go to even.
    values[F32] = [x if i % 3 else F32.encode(F16.decode(values[F16][i]) + Fraction(2) ** -30 * (i % 2) if not isinstance(F16.decode(values[F16][i]), str) else Fraction(1)) for i, x in enumerate(values[F32])]
    values[F32][3:6] = [0x3f801000, 0x3f803000, 0x3f808000]
    for form, bits in values.items():
        fixture.input(form.name, form.width, bits)
    pairs = [(F16, F32, ['rn', 'rz']), (F16, F64, ['rn', 'rz', 'rm', 'rp']), (F32, F64, ['rn', 'rz', 'rm', 'rp']), (F32, F16, ['']), (F64, F16, ['']), (F64, F32, ['']), (BF16, F32, ['rn', 'rz']), (F32, BF16, [''])]
    for target, source, modes in pairs:
        for mode in modes:
            dotted = f'.{mode}' if mode else ''
            results = [bits_or_nan(target, source.decode(x), mode or 'rn') for x in values[source]]
            fixture.kernel(f'cvt{dotted}_{target.name}_{source.name}', f'cvt{dotted}.{target.name}.{source.name} %d, %{source.name};', [(source.name, source.name, source.width)], (target.name, target.width), results)
    for sat, ftz in ((True, False), (False, True), (True, True)):
        suffix = ('.ftz' if ftz else '') + ('.sat' if sat else '')
        results = [bits_or_nan(F32, F32.decode(x, ftz), 'rn', ftz, sat) for x in values[F32]]
        if sat:
            fixture.kernel(f'cvt{suffix}_f32_f32', f'cvt{suffix}.f32.f32 %d, %f32;', [('f32', 'f32', 32)], ('f32', 32), results)
    for form in (F32, F64):
        for mode in ('rn', 'rz', 'rm', 'rp'):
            def integral(x):
                value = form.decode(x)
                if isinstance(value, str):
                    return 'nan' if value == 'nan' else x
                rounded = round_integer(value, mode)
                return form.encode(Fraction(rounded)) if rounded else (form.sign if value < 0 else 0)
            fixture.kernel(f'cvt_{mode}i_{form.name}', f'cvt.{mode}i.{form.name}.{form.name} %d, %{form.name};', [(form.name, form.name, form.width)], (form.name, form.width), [integral(x) for x in values[form]])
    fixture.write()


def main():
    os.makedirs(os.path.join(HERE, 'generated'), exist_ok=True)
    for family in (integer_arithmetic, logic_and_shifts, bit_fields, byte_permutation, dot_products, video, carry_chains, integer_comparisons,
                   float_arithmetic, float_comparisons, half_arithmetic, approximations, conversions):
        family()


main()
