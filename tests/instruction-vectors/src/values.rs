//! Values of operands: the edges of each type, and random ones.
//!
//! They are made from the case's text and nothing else, so that every machine makes the same.

use ptx::Type;

use crate::case::{Case, Domain, Input};

/// The values of all operands of a case, operand after operand, one for each thread.
pub fn words(case: &Case) -> Vec<u64> {
    let count = case.count();
    let mut random = Random(hash_text(&case.text));
    let edges: Vec<Vec<u64>> = case.inputs.iter().map(|input| edges(input.ty)).collect();
    let mut out = vec![0; case.inputs.len() * count];
    let mut tuple = vec![0; case.inputs.len()];
    for thread in 0..count {
        fill(case, &edges, thread, &mut random, &mut tuple);
        for (place, value) in tuple.iter().enumerate() {
            out[place * count + thread] = *value;
        }
    }
    for (place, input) in case.inputs.iter().enumerate() {
        constrain(input, &edges[place], &mut random, &mut out[place * count..][..count]);
    }
    out
}

/// One thread's operands: edges with edges first, then mixtures.
fn fill(case: &Case, edges: &[Vec<u64>], thread: usize, random: &mut Random, tuple: &mut [u64]) {
    let free: Vec<usize> = (0..tuple.len())
        .filter(|place| matches!(case.inputs[*place].domain, Domain::Any | Domain::AtMost(_)))
        .collect();
    if case.count() > 1 << 15 {
        tuple[0] = thread as u64;
        return;
    }
    let pairs = match free[..] {
        [only] => edges[only].len(),
        [first, second] => edges[first].len() * edges[second].len(),
        _ => 0,
    };
    // Of too many pairs every so many-th.
    let step = pairs.div_ceil(3072).max(1);
    let place = thread * step;
    match free[..] {
        [only] if place < pairs => tuple[only] = edges[only][place],
        [first, second] if place < pairs => {
            let many = edges[first].len();
            tuple[first] = edges[first][place % many];
            tuple[second] = edges[second][place / many];
        }
        _ => mixture(case, edges, &free, random, tuple),
    }
}

fn mixture(case: &Case, edges: &[Vec<u64>], free: &[usize], random: &mut Random, tuple: &mut [u64]) {
    for (index, &place) in free.iter().enumerate() {
        let ty = case.inputs[place].ty;
        let near = index > 0 && case.inputs[free[index - 1]].ty == ty && random.below(8) == 0;
        tuple[place] = match random.below(5) {
            // What cancels, or nearly, and what is equal.
            _ if near => near_by(tuple[free[index - 1]], ty, random),
            0 | 1 => edges[place][random.below(edges[place].len() as u64) as usize],
            _ => random.of(ty),
        };
    }
}

fn near_by(value: u64, ty: Type, random: &mut Random) -> u64 {
    let sign = if random.below(2) == 0 { 1 << (ty.size() * 8 - 1) } else { 0 };
    let by = [0, 0, 1, u64::MAX, 2][random.below(5) as usize];
    value.wrapping_add(by) ^ sign
}

/// Operands that may not have any value.
fn constrain(input: &Input, edges: &[u64], random: &mut Random, values: &mut [u64]) {
    match input.domain {
        Domain::Any => {}
        Domain::AllLanes => values.fill(0xffff_ffff),
        Domain::AtMost(most) => values.iter_mut().for_each(|value| *value &= most),
        Domain::Offset => {
            values.iter_mut().for_each(|value| *value = random.below(80).wrapping_sub(40) & 0xffff_ffff);
        }
        Domain::Members => {
            for warp in values.chunks_mut(32) {
                let mask = match random.below(4) {
                    0 => 1 << random.below(32),
                    1 => u64::from(u32::MAX),
                    _ => (random.next() & 0xffff_ffff).max(1),
                };
                warp.fill(mask);
            }
        }
        Domain::Few => {
            for warp in values.chunks_mut(32) {
                let alike = random.below(3) == 0;
                let few: Vec<u64> =
                    (0..4).map(|_| edges[random.below(edges.len() as u64) as usize]).collect();
                for value in warp {
                    *value = few[if alike { 0 } else { random.below(4) as usize }];
                }
            }
        }
    }
}

/// Values where something changes.
fn edges(ty: Type) -> Vec<u64> {
    use Type::*;
    match ty {
        Pred => vec![0, 1],
        F32 | Tf32 => singles(),
        F64 => doubles(),
        F16 => halves(5),
        Bf16 => halves(8),
        F16x2 => pairs(&halves(5), 16),
        Bf16x2 => pairs(&halves(8), 16),
        F32x2 => pairs(&singles(), 32),
        _ => integers(ty.size().max(1) * 8),
    }
}

/// Each with another one above it.
fn pairs(values: &[u64], shift: u32) -> Vec<u64> {
    let other = |index: usize| values[(index * 7 + 3) % values.len()];
    values.iter().enumerate().map(|(index, value)| value | other(index) << shift).collect()
}

fn integers(bits: u32) -> Vec<u64> {
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    let mut out: Vec<u64> =
        vec![0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255];
    out.extend([
        0x0100,
        0x1f1f,
        0x7fff,
        0x8000,
        0xffff,
        0x1_0000,
        0x00ff_7f80,
        0x7f7f_7f7f,
        0x8080_8080,
        0x8000_7fff,
    ]);
    out.extend([
        0x5555_5555_5555_5555,
        0xf0f0_f0f0_0f0f_0f0f,
        0xffff_ffff,
        0x7fff_ffff,
        0x8000_0000,
        0x1_0000_0000,
        0x00ff_ffff,
        0x0080_0000,
    ]);
    let top = 1u64 << (bits - 1);
    out.extend([top, top - 1, top + 1, mask, mask - 1, mask ^ 31, mask ^ 0x7f]);
    out.iter_mut().for_each(|value| *value &= mask);
    let mut seen = std::collections::HashSet::new();
    out.retain(|value| seen.insert(*value));
    out
}

fn singles() -> Vec<u64> {
    let numbers: [f32; 30] = [
        0.0,
        1.0,
        0.5,
        1.5,
        2.5,
        3.0,
        0.1,
        0.499_999_97,
        0.500_000_06,
        1.000_000_1,
        0.999_999_94,
        2.0,
        127.5,
        255.5,
        256.0,
        2_147_483_648.0,
        2_147_483_520.0,
        4_294_967_296.0,
        9.223_372e18,
        1.844_674_4e19,
        65504.0,
        65519.996,
        65520.0,
        8_388_607.5,
        16_777_217.0,
        5.960_464_5e-8,
        2.980_232_2e-8,
        6.103_515_6e-5,
        f32::MAX,
        f32::MIN_POSITIVE,
    ];
    let mut out: Vec<u32> = numbers.iter().map(|number| number.to_bits()).collect();
    // Subnormal numbers, infinity, quiet and signalling NaN; halfway between two bf16 and two f16.
    out.extend([
        1,
        0x007f_ffff,
        0x0040_0000,
        0x7f80_0000,
        0x7fc0_0000,
        0x7f80_0001,
        0x7fff_ffff,
        0x3f80_8000,
        0x3f80_8001,
    ]);
    out.extend([0x3f81_8000, 0x3f80_1000, 0x3f80_3000, 0x3880_1000, 0x7f7f_8000, 0x00ff_ffff]);
    let signed = out.iter().flat_map(|bits| [*bits, bits | 1 << 31]);
    signed.map(u64::from).collect()
}

fn doubles() -> Vec<u64> {
    let numbers: [f64; 34] = [
        0.0,
        1.0,
        0.5,
        1.5,
        2.5,
        3.0,
        0.1,
        0.499_999_999_999_999_94,
        1.000_000_000_000_000_2,
        0.999_999_999_999_999_9,
        127.5,
        255.5,
        2_147_483_647.0,
        2_147_483_647.5,
        2_147_483_648.0,
        4_294_967_295.5,
        4_294_967_296.0,
        9.223_372_036_854_775e18,
        9.223_372_036_854_776e18,
        1.844_674_407_370_955_2e19,
        65504.0,
        65519.999,
        65520.0,
        3.402_823_466_385_288_6e38,
        3.402_823_567_797_336_6e38,
        1.175_494_350_822_287_5e-38,
        1.0e-45,
        7.0e-46,
        1.000_000_059_604_644_8,
        1.000_000_178_813_934_3,
        4_503_599_627_370_495.5,
        f64::MAX,
        f64::MIN_POSITIVE,
        2.0,
    ];
    let mut out: Vec<u64> = numbers.iter().map(|number| number.to_bits()).collect();
    out.extend([
        1,
        0x000f_ffff_ffff_ffff,
        0x7ff0 << 48,
        0x7ff8 << 48,
        (0x7ff0 << 48) + 1,
        u64::MAX >> 1,
        0x7ff4_0000_dead_beef,
    ]);
    out.iter().flat_map(|bits| [*bits, bits | 1 << 63]).collect()
}

/// Sixteen bits with so many of exponent.
fn halves(exponent: u32) -> Vec<u64> {
    let fraction = 15 - exponent;
    let one = ((1u64 << (exponent - 1)) - 1) << fraction;
    let infinity = ((1u64 << exponent) - 1) << fraction;
    let mut out =
        vec![0, 1, 2, (1 << fraction) - 1, 1 << fraction, (1 << fraction) + 1, one, one + 1, one - 1];
    out.extend([
        one + (1 << (fraction - 1)),
        one + (1 << fraction),
        one - (1 << fraction),
        one + (1 << fraction) + 1,
    ]);
    out.extend([
        infinity - 1,
        infinity,
        infinity + 1,
        infinity + (1 << (fraction - 1)),
        0x7fff,
        one / 2,
        one + (5 << fraction),
    ]);
    out.iter().flat_map(|bits| [*bits, bits | 1 << 15]).collect()
}

/// A sequence that its seed decides (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// A number less than `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A value of a type; small magnitudes are as likely as large ones.
    fn of(&mut self, ty: Type) -> u64 {
        use Type::*;
        match ty {
            Pred => self.below(2),
            F32 | Tf32 => self.float(8, 23),
            F64 => self.float(11, 52),
            F16 => self.float(5, 10),
            Bf16 => self.float(8, 7),
            F16x2 => self.float(5, 10) | self.float(5, 10) << 16,
            Bf16x2 => self.float(8, 7) | self.float(8, 7) << 16,
            F32x2 => self.float(8, 23) | self.float(8, 23) << 32,
            _ => {
                let bits = u64::from(ty.size() * 8);
                let value = self.next() >> (64 - bits) >> self.below(bits);
                let negative = self.below(2) == 0;
                // Bits above an operand of a byte are there too, and have to be ignored.
                let mask = if bits >= 64 { u64::MAX } else { (1 << bits.max(32)) - 1 };
                (if negative { value.wrapping_neg() } else { value }) & mask
            }
        }
    }

    /// Of so many bits of exponent and fraction: any bits, or near one, with few or many digits.
    fn float(&mut self, exponent: u32, fraction: u32) -> u64 {
        let all = (1u64 << (1 + exponent + fraction)) - 1;
        let bits = self.next() & if exponent + fraction == 63 { u64::MAX } else { all };
        if self.below(3) == 0 {
            return bits;
        }
        let near = self.below(7) + (1 << (exponent - 1)) - 4;
        let digits = bits & ((1 << fraction) - 1);
        let digits = if self.below(2) == 0 { digits } else { digits >> (fraction - 3) << (fraction - 3) };
        let sign = bits >> (exponent + fraction) & 1;
        sign << (exponent + fraction) | near << fraction | digits
    }
}

/// A hash of text (FNV-1a).
pub fn hash_text(text: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    // FNV's low bits alone tell little.
    hash ^ hash >> 29
}
