//! Every product beside one that is computed element by element, from the layouts as the PTX manual has them.

use half::{bf16, f16};

use super::*;

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as u32
    }

    fn lanes(&mut self, word: impl Fn(&mut Random) -> u32) -> Lanes {
        std::array::from_fn(|_| word(self))
    }
}

/// A word of small numbers of a type, all exact sums.
fn word(element: Element, random: &mut Random) -> u32 {
    let small = |random: &mut Random| (random.next() % 33) as f32 / 4.0 - 4.0;
    match element {
        Element::F16 => (0..2)
            .fold(0, |word, place| word | u32::from(f16::from_f32(small(random)).to_bits()) << (16 * place)),
        Element::Bf16 => (0..2)
            .fold(0, |word, place| word | u32::from(bf16::from_f32(small(random)).to_bits()) << (16 * place)),
        Element::Tf32 => small(random).to_bits() | random.next() & 0x1fff,
        // No NaN: they are tested apart.
        Element::E4m3 | Element::E5m2 => random.next() << 1 & 0xbbbb_bbbb | random.next() & 0x0303_0303,
        Element::E3m2 | Element::E2m3 => random.next() & 0x3f3f_3f3f,
        Element::E2m1 => (random.next() & 0x0f0f_0f0f) << 2,
        _ => random.next() << 1 ^ random.next(),
    }
}

/// A float of `exponent` and `fraction` bits below its sign.
fn narrow(bits: u32, exponent: u32, fraction: u32) -> f64 {
    let bias = (1 << (exponent - 1)) - 1;
    let (sign, power) = (bits >> (exponent + fraction) & 1, bits >> fraction & ((1 << exponent) - 1));
    let part = f64::from(bits & ((1 << fraction) - 1)) / f64::from(1 << fraction);
    let size =
        if power == 0 { part * 2f64.powi(1 - bias) } else { (1.0 + part) * 2f64.powi(power as i32 - bias) };
    if sign == 0 { size } else { -size }
}

/// What an element is worth.
fn value(element: Element, bits: u32) -> f64 {
    match element {
        Element::F16 => f16::from_bits(bits as u16).to_f64(),
        Element::Bf16 => bf16::from_bits(bits as u16).to_f64(),
        Element::Tf32 => f32::from_bits(bits & !0x1fff).into(),
        Element::E4m3 => narrow(bits, 4, 3),
        Element::E5m2 => narrow(bits, 5, 2),
        Element::E3m2 => narrow(bits, 3, 2),
        Element::E2m3 => narrow(bits, 2, 3),
        Element::E2m1 => narrow(bits >> 2, 2, 1),
        Element::PackedE2m1 => narrow(bits, 2, 1),
        Element::S8 => (bits as i8).into(),
        Element::S4 => ((bits << 4) as i8 >> 4).into(),
        Element::U8 | Element::U4 | Element::B1 => bits.into(),
        Element::F64 => unreachable!("doubles have a test of their own"),
    }
}

/// An element of a factor: `line` is the row of `A`, the column of `B`.
fn element(kind: Element, fragment: &[Lanes], block: usize, line: usize, k: usize) -> u32 {
    let (bits, halves) = (kind.bits() as usize, block / 8);
    let per_word = 32 / bits;
    let (word, place) = (k / per_word, k % per_word);
    let across = fragment.len();
    // Each block of lines takes the same number of registers.
    let lines = line / block;
    let register = word / 4 * halves + line % block / 8;
    let registers = across / (LINES.get() / block);
    fragment[lines * registers + register][line % 8 * 4 + word % 4] >> (bits * place) & mask(bits)
}

thread_local! {
    /// Lines of the factor that [`element`] looks at.
    static LINES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn mask(bits: usize) -> u32 {
    if bits == 32 { u32::MAX } else { (1 << bits) - 1 }
}

/// An element of an accumulator.
fn sum(kind: Accumulator, fragment: &[Lanes], product: &Product, row: usize, column: usize) -> f64 {
    let rows = product.rows();
    let (_, column_blocks) = product.blocks();
    let block = row / rows * column_blocks + column / 8;
    let (half, lane) = (row % rows / 8, row % 8 * 4 + column % 8 / 2);
    let first = block * kind.registers(rows);
    match kind {
        Accumulator::Half => {
            f16::from_bits((fragment[first + half][lane] >> (16 * (column % 2))) as u16).to_f64()
        }
        Accumulator::Single => f32::from_bits(fragment[first + 2 * half + column % 2][lane]).into(),
        _ => (fragment[first + 2 * half + column % 2][lane] as i32).into(),
    }
}

fn product(shape: (u32, u32, u32), a: Element, b: Element, c: Accumulator) -> Product {
    let (m, n, k) = shape;
    Product {
        shape: Shape { m, n, k },
        a,
        b,
        c,
        d: c,
        saturates: false,
        logic: Logic::And,
        transposed: [false; 2],
    }
}

fn accumulators(kind: Accumulator, count: usize, random: &mut Random) -> Vec<Lanes> {
    let of = |random: &mut Random| {
        let number = random.next() % 64;
        match kind {
            Accumulator::Half => {
                let half = u32::from(f16::from_f32(number as f32 / 2.0).to_bits());
                half | half << 16
            }
            Accumulator::Single => (number as f32 / 2.0).to_bits(),
            _ => number,
        }
    };
    (0..count).map(|_| random.lanes(of)).collect()
}

fn references(fragment: &[Lanes]) -> Vec<&Lanes> {
    fragment.iter().collect()
}

/// Multiplies random factors and compares each element, exactly where sums are exact, else within `tolerance`.
fn check(product: Product, tolerance: f64) {
    let mut random = Random(product.shape.k.into());
    let [in_a, in_b, in_c, in_d] = product.registers();
    let a: Vec<Lanes> = (0..in_a).map(|_| random.lanes(|random| word(product.a, random))).collect();
    let b: Vec<Lanes> = (0..in_b).map(|_| random.lanes(|random| word(product.b, random))).collect();
    let c = accumulators(product.c, in_c, &mut random);
    let mut d = vec![[0; 32]; in_d];
    let multiplier = Multiplier::new(product).expect("a product of the table");
    multiplier.run(&references(&a), &references(&b), &references(&c), &mut d);
    let Shape { m, n, k } = product.shape;
    for row in 0..m as usize {
        for column in 0..n as usize {
            let mut expected = sum(product.c, &c, &product, row, column);
            let mut size = expected.abs();
            for k in 0..k as usize {
                LINES.set(m as usize);
                let left = element(product.a, &a, product.rows(), row, k);
                LINES.set(n as usize);
                let right = element(product.b, &b, 8, column, k);
                let term = if product.a == Element::B1 {
                    f64::from(if product.logic == Logic::And { left & right } else { left ^ right })
                } else {
                    value(product.a, left) * value(product.b, right)
                };
                expected += term;
                size += term.abs();
            }
            let actual = sum(product.d, &d, &product, row, column);
            let off = (actual - expected).abs();
            assert!(off <= tolerance * size, "{product:?}: {row}, {column}: {actual}, not {expected}");
        }
    }
}

#[test]
fn halves_and_their_kin() {
    use Accumulator::{Half, Single};
    use Element::*;
    for shape in [(16, 8, 8), (16, 8, 16), (16, 8, 32), (16, 16, 16), (32, 8, 16), (8, 32, 16)] {
        check(product(shape, F16, F16, Single), 0.0);
        check(product(shape, Bf16, Bf16, Single), 0.0);
        check(product(shape, F16, F16, Half), 1e-3);
        check(Product { d: Single, ..product(shape, F16, F16, Half) }, 0.0);
    }
    for shape in [(16, 8, 4), (16, 8, 8), (16, 16, 8), (16, 8, 16)] {
        check(product(shape, Tf32, Tf32, Single), 0.0);
    }
}

#[test]
fn narrow_floats() {
    use Element::*;
    for k in [16, 32, 64] {
        for (a, b) in [(E4m3, E4m3), (E5m2, E4m3), (E3m2, E2m3), (E2m1, E5m2), (E2m3, E2m1)] {
            check(product((16, 8, k), a, b, Accumulator::Single), 1e-6);
        }
    }
    for k in [64, 128] {
        check(product((16, 8, k), PackedE2m1, PackedE2m1, Accumulator::Single), 0.0);
    }
}

#[test]
fn integers() {
    use Accumulator::Integer;
    use Element::*;
    for (a, b) in [(S8, S8), (U8, S8), (S8, U8), (U8, U8)] {
        for shape in
            [(8, 8, 16), (16, 8, 16), (16, 8, 32), (16, 8, 64), (16, 16, 16), (32, 8, 16), (8, 32, 16)]
        {
            check(product(shape, a, b, Integer), 0.0);
        }
    }
    for (a, b) in [(S4, S4), (U4, S4), (U4, U4)] {
        for shape in [(8, 8, 32), (16, 8, 32), (16, 8, 64), (16, 8, 128)] {
            check(product(shape, a, b, Integer), 0.0);
        }
    }
    for logic in [Logic::And, Logic::Xor] {
        for shape in [(8, 8, 128), (16, 8, 128), (16, 8, 256)] {
            check(Product { logic, ..product(shape, B1, B1, Integer) }, 0.0);
        }
    }
}

#[test]
fn saturating_sums_stop_at_the_ends() {
    let product =
        Product { saturates: true, ..product((8, 8, 16), Element::S8, Element::S8, Accumulator::Integer) };
    let multiplier = Multiplier::new(product).expect("a product of the table");
    for (right, limit) in [(0x0101_0101u32, i32::MAX), (0xffff_ffff, i32::MIN)] {
        let (a, b, c) = ([0x0101_0101; 32], [right; 32], [(limit - limit.signum() * 3) as u32; 32]);
        let mut d = [[0; 32]; 2];
        multiplier.run(&[&a], &[&b], &[&c, &c], &mut d);
        assert_eq!(d[0], [limit as u32; 32]);
    }
}

#[test]
fn narrow_nan_and_infinity_stay() {
    let of = |a: Element, bits: u32| {
        let product = product((16, 8, 16), a, Element::E5m2, Accumulator::Single);
        let one = 0x3c3c_3c3c;
        let (a, b, c) = ([bits; 32], [one; 32], [0; 32]);
        let mut d = [[0; 32]; 4];
        let multiplier = Multiplier::new(product).expect("a product of the table");
        multiplier.run(&[&a, &a], &[&b], &[&c; 4], &mut d);
        f32::from_bits(d[0][0])
    };
    assert!(of(Element::E4m3, 0x7f).is_nan());
    assert!(of(Element::E4m3, 0xff).is_nan());
    assert_eq!(of(Element::E4m3, 0x7e), 4.0 * 448.0);
    assert_eq!(of(Element::E5m2, 0x7c), f32::INFINITY);
    assert!(of(Element::E5m2, 0x7d).is_nan());
}

#[test]
fn doubles() {
    let mut random = Random(5);
    for (m, k) in [(8, 4), (16, 4), (16, 8), (16, 16)] {
        let product = product((m, 8, k), Element::F64, Element::F64, Accumulator::Double);
        let [in_a, in_b, in_c, in_d] = product.registers();
        let mut fragment = |count: usize| -> Vec<Doubles> {
            (0..count).map(|_| std::array::from_fn(|_| f64::from(random.next() % 64).to_bits())).collect()
        };
        let (a, b, c) = (fragment(in_a), fragment(in_b), fragment(in_c));
        let mut d = vec![[0; 32]; in_d];
        let (ra, rb, rc): (Vec<_>, Vec<_>, Vec<_>) =
            (a.iter().collect(), b.iter().collect(), c.iter().collect());
        let multiplier = DoubleMultiplier::new(product).expect("a product of the table");
        multiplier.run(&ra, &rb, &rc, &mut d);
        let halves = m as usize / 8;
        for row in 0..m as usize {
            for column in 0..8 {
                let (lane, register) = (row % 8 * 4 + column / 2, row / 8 * 2 + column % 2);
                let mut expected = f64::from_bits(c[register][lane]);
                for k in 0..k as usize {
                    let left = f64::from_bits(a[k / 4 * halves + row / 8][row % 8 * 4 + k % 4]);
                    expected += left * f64::from_bits(b[k / 4][column * 4 + k % 4]);
                }
                assert_eq!(f64::from_bits(d[register][lane]), expected, "{m}, {k}: {row}, {column}");
            }
        }
    }
}

/// The four products of `m8n8k4`, from the manual's formulas for who holds what.
#[test]
fn quads() {
    for transposed in [[false, false], [true, false], [false, true], [true, true]] {
        for (from, to) in [
            (Accumulator::Single, Accumulator::Single),
            (Accumulator::Half, Accumulator::Half),
            (Accumulator::Half, Accumulator::Single),
        ] {
            let product =
                Product { d: to, transposed, ..product((8, 8, 4), Element::F16, Element::F16, from) };
            let mut random = Random(9);
            let [in_a, in_b, in_c, in_d] = product.registers();
            let a: Vec<Lanes> =
                (0..in_a).map(|_| random.lanes(|random| word(Element::F16, random))).collect();
            let b: Vec<Lanes> =
                (0..in_b).map(|_| random.lanes(|random| word(Element::F16, random))).collect();
            let c = accumulators(from, in_c, &mut random);
            let mut d = vec![[0; 32]; in_d];
            let multiplier = Multiplier::new(product).expect("a product of the table");
            multiplier.run(&references(&a), &references(&b), &references(&c), &mut d);
            let half = |fragment: &[Lanes], place: usize, lane: usize| {
                f16::from_bits((fragment[place / 2][lane] >> (16 * (place % 2))) as u16).to_f64()
            };
            let sum = |kind: Accumulator, fragment: &[Lanes], place: usize, lane: usize| match kind {
                Accumulator::Half => half(fragment, place, lane),
                _ => f32::from_bits(fragment[place][lane]).into(),
            };
            for quad in 0..4 {
                let lanes: Vec<usize> = (0..4)
                    .map(|lane| 4 * quad + lane)
                    .chain((0..4).map(|lane| 4 * quad + 16 + lane))
                    .collect();
                let (mut left, mut right) = ([[0f64; 4]; 8], [[0f64; 8]; 4]);
                for &lane in &lanes {
                    let high = if lane < 16 { 0 } else { 4 };
                    for i in 0..4 {
                        match transposed[0] {
                            false => left[lane % 4 + high][i] = half(&a, i, lane),
                            true => left[i % 4 + high][lane % 4] = half(&a, i, lane),
                        }
                        match transposed[1] {
                            false => right[i][lane % 4 + high] = half(&b, i, lane),
                            true => right[lane % 4][i + high] = half(&b, i, lane),
                        }
                    }
                }
                let place = |kind: Accumulator, lane: usize, i: usize| {
                    let high = if lane < 16 { 0 } else { 4 };
                    match kind {
                        Accumulator::Half => (lane % 4 + high, i),
                        _ => ((lane & 1) + (i & 2) + high, (i & 4) + (lane & 2) + (i & 1)),
                    }
                };
                let mut expected = [[0f64; 8]; 8];
                for &lane in &lanes {
                    for i in 0..8 {
                        let (row, column) = place(from, lane, i);
                        expected[row][column] = sum(from, &c, i, lane);
                    }
                }
                for row in 0..8 {
                    for column in 0..8 {
                        expected[row][column] += (0..4).map(|k| left[row][k] * right[k][column]).sum::<f64>();
                    }
                }
                for &lane in &lanes {
                    for i in 0..8 {
                        let (row, column) = place(to, lane, i);
                        let (actual, expected) = (sum(to, &d, i, lane), expected[row][column]);
                        let off = (actual - expected).abs();
                        assert!(off <= 1e-3 * expected.abs(), "{product:?}: {actual}, not {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn transposing_twice_changes_nothing() {
    let mut random = Random(3);
    let matrix = random.lanes(|random| random.next() << 1 ^ random.next());
    let other = transposed(&matrix);
    let half = |lanes: &Lanes, row: usize, column: usize| {
        lanes[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff
    };
    for row in 0..8 {
        for column in 0..8 {
            assert_eq!(half(&other, row, column), half(&matrix, column, row));
        }
    }
    assert_eq!(transposed(&other), matrix);
}

/// A factor that is thinned out gives the product of itself with zeros.
#[test]
fn thinned_factors() {
    use Element::*;
    let integer = Accumulator::Integer;
    let single = Accumulator::Single;
    // As the manual's figures have it: lanes of a group that say where elements belong.
    for (k, a, sums, selectors) in [
        (16, F16, single, 4),
        (32, F16, single, 2),
        (32, Bf16, single, 2),
        (8, Tf32, single, 4),
        (16, Tf32, single, 2),
        (32, S8, integer, 2),
        (64, U8, integer, 1),
        (64, E4m3, single, 1),
        (64, S4, integer, 2),
        (128, U4, integer, 1),
    ] {
        for selector in 0..selectors {
            check_thinned(product((16, 8, k), a, a, sums), selector);
        }
    }
}

fn check_thinned(product: Product, selector: u32) {
    let mut random = Random(u64::from(product.shape.k) + 77);
    let [in_a, in_b, in_c, in_d] = product.registers();
    let kept: Vec<Lanes> = (0..in_a / 2).map(|_| random.lanes(|random| word(product.a, random))).collect();
    let b: Vec<Lanes> = (0..in_b).map(|_| random.lanes(|random| word(product.b, random))).collect();
    let c = accumulators(product.c, in_c, &mut random);
    let (chunk, pairs) = match product.a {
        Element::Tf32 => (2, false),
        Element::S4 | Element::U4 => (8, true),
        _ => (4, false),
    };
    let (bits, k) = (product.a.bits() as usize, product.shape.k as usize);
    let (mut full, mut places) = (vec![[0u32; 32]; in_a], [0u32; 32]);
    let lanes = match (bits, k * bits) {
        (32, 256) | (16, 256) => 1,
        (32, 512) | (16, 512) | (8 | 4, 256) => 2,
        _ => 4,
    };
    for row in 0..16 {
        for number in 0..k / chunk {
            // Two different places of four, ascending; of `tf32` one of two, written as two of four.
            let first = random.next() % 3;
            let second = first + 1 + random.next() % (3 - first);
            let (first, second) =
                if chunk == 2 { (first / 2 * 2, first / 2 * 2 + 1) } else { (first, second) };
            let bit = number * 4;
            let (lane, shift) = match bits >= 16 {
                true => (bit / 16, row / 8 * 16 + bit % 16),
                false => (bit / 32 * 2 + row / 8, bit % 32),
            };
            places[row % 8 * 4 + selector as usize * lanes + lane] |= (first | second << 2) << shift;
            let mut put = |from: usize, to: usize| {
                LINES.set(16);
                let value = element(product.a, &kept, 16, row, from);
                let word = to * bits / 32;
                full[word / 4 * 2 + row / 8][row % 8 * 4 + word % 4] |= value << (to * bits % 32);
            };
            match (chunk, pairs) {
                (2, _) => put(number, number * 2 + first as usize / 2),
                (_, true) => {
                    for (at, place) in [first, second].into_iter().enumerate() {
                        put(number * 4 + at * 2, number * 8 + place as usize * 2);
                        put(number * 4 + at * 2 + 1, number * 8 + place as usize * 2 + 1);
                    }
                }
                _ => {
                    put(number * 2, number * 4 + first as usize);
                    put(number * 2 + 1, number * 4 + second as usize);
                }
            }
        }
    }
    let multiplier = Multiplier::new(product).expect("a product of the table");
    let (mut expected, mut actual) = (vec![[0; 32]; in_d], vec![[0; 32]; in_d]);
    multiplier.run(&references(&full), &references(&b), &references(&c), &mut expected);
    let thinned = (&references(&kept)[..], &places, selector);
    multiplier.run_sparse(thinned, &references(&b), &references(&c), &mut actual);
    assert!(expected == actual, "{product:?}, selector {selector}");
}
