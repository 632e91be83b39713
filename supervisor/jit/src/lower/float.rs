//! `f32`, `f64` and `f16` arithmetic: exact IEEE results, as the interpreter's.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::{Lowered, Lowering};
use crate::kind::Kind;
use crate::text::constant;

/// Numbers with which an operation gives its other operand, but for the sign: zeros of both signs too.
const NEUTRAL: [f32; 3] = [0.0, 1.0, -1.0];

impl Lowering<'_> {
    pub(super) fn float_arithmetic(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        use Modifier::*;
        let ty = mnemonic.ty().ok_or("an instruction without a type")?;
        if mnemonic.types.len() > 1 || !matches!(ty, Type::F32 | Type::F64 | Type::F16) {
            return Err("arithmetic on this type".into());
        }
        if mnemonic.modifiers.first_of(&[Rm, Rp, NaN, XorSign, AbsModifier, Relu, Oob]).is_some() {
            return Err("rounding, or a choice, of this kind".into());
        }
        let cuts = mnemonic.has(Rz);
        if cuts
            && (ty != Type::F32 || !matches!(mnemonic.op, Op::Add | Op::Sub | Op::Mul | Op::Fma | Op::Mad))
        {
            return Err("rounding to zero of this operation".into());
        }
        let approximate = matches!(mnemonic.op, Op::Rcp | Op::Rsqrt) && mnemonic.has(Approx);
        if mnemonic.has(Ftz) && (ty == Type::F16 || ty == Type::F64 && approximate) {
            return Err("flushing of this type".into());
        }
        if ty == Type::F16 && !matches!(mnemonic.op, Op::Add | Op::Sub | Op::Mul | Op::Neg | Op::Abs) {
            return Err("not in code for f16".into());
        }
        let bits = 8 * ty.size();
        let wide = self.facts().value(mnemonic, operands).kind == Kind::Varying;
        let (from, to) = (self.text.integer(bits, wide), self.text.float(bits, wide));
        // What is not computed by the processor's own arithmetic it does not flush.
        let selects = matches!(
            mnemonic.op,
            Op::Min | Op::Max | Op::Abs | Op::Neg | Op::Sin | Op::Cos | Op::Lg2 | Op::Ex2 | Op::Tanh
        );
        let flushes = mnemonic.has(Ftz) && ty == Type::F32 && (!self.plan.flushes || selects || cuts);
        // A result that is one of the operands, but for its sign, is flushed alone.
        let early = flushes && !matches!(mnemonic.op, Op::Min | Op::Max | Op::Abs | Op::Neg);
        let mut sources = Vec::new();
        for operand in &operands[1..] {
            let mut value = self.operand(operand, bits)?;
            if bits == 32 {
                value.name = self.unfolded(value.name);
            }
            let source = self.shaped(&value, bits, wide);
            let source = if early { self.flushed(&source, wide) } else { source };
            sources.push(self.text.value(format!("bitcast {from} {source} to {to}")));
        }
        let result = match cuts {
            true => self.rounded_to_zero(mnemonic.op, &sources, wide),
            false => self.computed(mnemonic, &sources, bits, wide)?,
        };
        let result = if mnemonic.has(Sat) { self.saturated(&result, bits, wide) } else { result };
        let name = self.text.value(format!("bitcast {to} {result} to {from}"));
        let name = if flushes { self.flushed(&name, wide) } else { name };
        self.assign(&operands[0], if wide { Kind::Varying } else { Kind::Uniform }, name, bits)
    }

    fn computed(
        &mut self,
        mnemonic: &Mnemonic,
        sources: &[String],
        bits: u32,
        wide: bool,
    ) -> Lowered<String> {
        use Op::*;
        let ty = self.text.float(bits, wide);
        let one = if wide { format!("splat ({} 1.0)", self.text.float(bits, false)) } else { "1.0".into() };
        let pair = |how: &str| format!("{how} {ty} {}, {}", sources[0], sources[1]);
        Ok(match mnemonic.op {
            Add => self.text.value(pair("fadd")),
            Sub => self.text.value(pair("fsub")),
            Mul => self.text.value(pair("fmul")),
            Div => self.text.value(pair("fdiv")),
            Fma | Mad => self.text.intrinsic("fma", &ty, sources),
            Neg => self.text.value(format!("fneg {ty} {}", sources[0])),
            Abs => self.text.intrinsic("fabs", &ty, sources),
            Sqrt => self.text.intrinsic("sqrt", &ty, sources),
            Copysign if wide => self.signed_like(&sources[1], &sources[0], bits),
            Copysign => self.text.intrinsic("copysign", &ty, &[sources[1].clone(), sources[0].clone()]),
            Rcp => self.text.value(format!("fdiv {ty} {one}, {}", sources[0])),
            Rsqrt => {
                let root = self.text.intrinsic("sqrt", &ty, sources);
                self.text.value(format!("fdiv {ty} {one}, {root}"))
            }
            Min | Max if sources.len() == 2 => self.float_extreme(mnemonic.op, sources, bits, wide),
            Ex2 if bits == 32 => self.power_of_two(&sources[0], wide),
            Sin | Cos | Lg2 | Tanh if bits == 32 => self.function_of(mnemonic.op, &sources[0], wide),
            _ => return Err("not in code".into()),
        })
    }

    /// Vectors with the signs of others: as bits, so that crate `llvm` sees that masks put them together (its `bit_fields`).
    fn signed_like(&mut self, size: &str, sign: &str, bits: u32) -> String {
        let (float, ty) = (self.text.float(bits, true), self.text.integer(bits, true));
        let mut masked = |value: &str, mask: i64| {
            let value = self.text.value(format!("bitcast {float} {value} to {ty}"));
            self.text.value(format!("and {ty} {value}, splat (i{bits} {mask})"))
        };
        let top = -1 << (bits - 1);
        let (size, sign) = (masked(size, !top), masked(sign, top));
        let both = self.text.value(format!("or {ty} {size}, {sign}"));
        self.text.value(format!("bitcast {ty} {both} to {float}"))
    }

    /// `.rz` of `f32`: in `f64`, where a product is exact and what a sum loses can be told, then rounded to nearest, and one
    /// step back where that went away from zero.
    fn rounded_to_zero(&mut self, op: Op, sources: &[String], wide: bool) -> String {
        let (single, double, bit) =
            (self.text.float(32, wide), self.text.float(64, wide), self.text.integer(1, wide));
        let widened =
            |this: &mut Self, name: &String| this.text.value(format!("fpext {single} {name} to {double}"));
        let mut wider: Vec<String> = sources.iter().map(|name| widened(self, name)).collect();
        if op == Op::Sub {
            wider[1] = self.text.value(format!("fneg {double} {}", wider[1]));
        }
        let binary = |this: &mut Self, how: &str, a: &str, b: &str| {
            this.text.value(format!("{how} {double} {a}, {b}"))
        };
        let addends = match op {
            Op::Add | Op::Sub => Some((wider[0].clone(), wider[1].clone())),
            Op::Mul => None,
            _ => Some((binary(self, "fmul", &wider[0], &wider[1]), wider[2].clone())),
        };
        // What the sum is short of the exact one.
        let (sum, lost) = match addends {
            None => (binary(self, "fmul", &wider[0], &wider[1]), None),
            Some((a, b)) => {
                let sum = binary(self, "fadd", &a, &b);
                let of_b = binary(self, "fsub", &sum, &a);
                let of_a = binary(self, "fsub", &sum, &of_b);
                let (a, b) = (binary(self, "fsub", &a, &of_a), binary(self, "fsub", &b, &of_b));
                let lost = binary(self, "fadd", &a, &b);
                (sum, Some(lost))
            }
        };
        let rounded = self.text.value(format!("fptrunc {double} {sum} to {single}"));
        let back = widened(self, &rounded);
        let [size, exact] =
            [&back, &sum].map(|name| self.text.intrinsic("fabs", &double, std::slice::from_ref(name)));
        let mut beyond = self.text.value(format!("fcmp ogt {double} {size}, {exact}"));
        if let Some(lost) = lost {
            let same = self.text.value(format!("fcmp oeq {double} {size}, {exact}"));
            let sides = binary(self, "fmul", &sum, &lost);
            let zero = if wide { "zeroinitializer" } else { "0.0" };
            let less = self.text.value(format!("fcmp olt {double} {sides}, {zero}"));
            let both = self.text.value(format!("and {bit} {same}, {less}"));
            beyond = self.text.value(format!("or {bit} {beyond}, {both}"));
        }
        let word = self.text.integer(32, wide);
        let bits = self.text.value(format!("bitcast {single} {rounded} to {word}"));
        let less = self.text.value(format!("sub {word} {bits}, {}", constant(32, wide, 1)));
        let bits = self.text.value(format!("select {bit} {beyond}, {word} {less}, {word} {bits}"));
        self.text.value(format!("bitcast {word} {bits} to {single}"))
    }

    /// A number beats NaN, and -0 is less than +0.
    fn float_extreme(&mut self, op: Op, sources: &[String], bits: u32, wide: bool) -> String {
        let (ty, word, bit) =
            (self.text.float(bits, wide), self.text.integer(bits, wide), self.text.integer(1, wide));
        let (x, y) = (&sources[0], &sources[1]);
        let (test, sign) = if op == Op::Min { ("olt", "or") } else { ("ogt", "and") };
        let beats = self.text.value(format!("fcmp {test} {ty} {x}, {y}"));
        let chosen = self.text.value(format!("select {bit} {beats}, {ty} {x}, {ty} {y}"));
        let same = self.text.value(format!("fcmp oeq {ty} {x}, {y}"));
        let [a, b] = [x, y].map(|name| self.text.value(format!("bitcast {ty} {name} to {word}")));
        let both = self.text.value(format!("{sign} {word} {a}, {b}"));
        let both = self.text.value(format!("bitcast {word} {both} to {ty}"));
        let chosen = self.text.value(format!("select {bit} {same}, {ty} {both}, {ty} {chosen}"));
        let nan = self.text.value(format!("fcmp uno {ty} {y}, {y}"));
        self.text.value(format!("select {bit} {nan}, {ty} {x}, {ty} {chosen}"))
    }

    /// `.sat`: clamped to [0, 1]; NaN becomes 0.
    pub(super) fn saturated(&mut self, value: &str, bits: u32, wide: bool) -> String {
        let (ty, bit) = (self.text.float(bits, wide), self.text.integer(1, wide));
        let one = if wide { format!("splat ({} 1.0)", self.text.float(bits, false)) } else { "1.0".into() };
        let zero = if wide { "zeroinitializer" } else { "0.0" };
        let below = self.text.value(format!("fcmp olt {ty} {value}, {one}"));
        let bounded = self.text.value(format!("select {bit} {below}, {ty} {value}, {ty} {one}"));
        let above = self.text.value(format!("fcmp ogt {ty} {value}, {zero}"));
        self.text.value(format!("select {bit} {above}, {ty} {bounded}, {ty} {zero}"))
    }

    /// A word, of which LLVM does not see that it leaves an operand as it is, or is subnormal: where the processor flushes, `x - 0` and
    /// `x * 1` are not `x`, and a subnormal number is zero.
    pub(super) fn unfolded(&mut self, word: String) -> String {
        let is_neutral = match word.parse::<i64>() {
            Ok(number) => {
                let number = f32::from_bits(number as u32);
                NEUTRAL.contains(&number) || number.is_subnormal()
            }
            Err(_) => false,
        };
        if is_neutral { self.fenced(word, false) } else { word }
    }

    /// A word that becomes an `f32`, of which LLVM does not see that it is known, as bits made of lanes' numbers are: it does not flush
    /// what it computes itself.
    pub(super) fn fenced(&mut self, word: String, wide: bool) -> String {
        if !self.plan.flushes {
            return word;
        }
        let (from, to) = (self.text.integer(32, wide), self.text.float(32, wide));
        let number = self.text.value(format!("bitcast {from} {word} to {to}"));
        let number = self.text.intrinsic("arithmetic.fence", &to, &[number]);
        self.text.value(format!("bitcast {to} {number} to {from}"))
    }

    /// Of a subnormal `f32`, only the sign.
    pub(super) fn flushed(&mut self, name: &str, wide: bool) -> String {
        let ty = self.text.integer(32, wide);
        let exponent = self.text.value(format!("and {ty} {name}, {}", constant(32, wide, 0x7f80_0000)));
        let zero = self.text.value(format!("icmp eq {ty} {exponent}, {}", constant(32, wide, 0)));
        let sign = self.text.value(format!("and {ty} {name}, {}", constant(32, wide, 0x8000_0000)));
        self.text.value(format!("select {} {zero}, {ty} {sign}, {ty} {name}", self.text.integer(1, wide)))
    }

    /// As `interpreter::functions::exp2` does it.
    fn power_of_two(&mut self, x: &str, wide: bool) -> String {
        use interpreter::functions::exp2::{LEAST, MOST, POLYNOMIAL, SHIFTER};
        let (single, ty) = (self.text.float(32, wide), self.text.float(64, wide));
        let (word, bit) = (self.text.integer(64, wide), self.text.integer(1, wide));
        let number = |number| double(number, wide);
        let [least, most, shifter] = [LEAST, MOST, SHIFTER].map(number);
        let x = self.text.value(format!("fpext {single} {x} to {ty}"));
        let less = self.text.value(format!("fcmp olt {ty} {x}, {least}"));
        let x = self.text.value(format!("select {bit} {less}, {ty} {least}, {ty} {x}"));
        let more = self.text.value(format!("fcmp ogt {ty} {x}, {most}"));
        let x = self.text.value(format!("select {bit} {more}, {ty} {most}, {ty} {x}"));
        let shifted = self.text.value(format!("fadd {ty} {x}, {shifter}"));
        let whole = self.text.value(format!("fsub {ty} {shifted}, {shifter}"));
        let rest = self.text.value(format!("fsub {ty} {x}, {whole}"));
        let [lower @ .., highest] = POLYNOMIAL;
        let mut power = number(highest);
        for factor in lower.into_iter().rev().chain([1.0]) {
            power = self.text.intrinsic("fma", &ty, &[power, rest.clone(), number(factor)]);
        }
        let bits = self.text.value(format!("bitcast {ty} {shifted} to {word}"));
        let biased = self.text.value(format!("add {word} {bits}, {}", constant(64, wide, 1023)));
        let bits = self.text.value(format!("shl {word} {biased}, {}", constant(64, wide, 52)));
        let scale = self.text.value(format!("bitcast {word} {bits} to {ty}"));
        let power = self.text.value(format!("fmul {ty} {power}, {scale}"));
        self.text.value(format!("fptrunc {ty} {power} to {single}"))
    }

    /// A function that has no instruction: called for all lanes through memory (see `runtime`).
    fn function_of(&mut self, op: Op, source: &str, wide: bool) -> String {
        let name = match op {
            Op::Sin => "vgpu_sin",
            Op::Cos => "vgpu_cos",
            Op::Lg2 => "vgpu_lg2",
            _ => "vgpu_tanh",
        };
        let (ty, count) = (self.text.float(32, wide), if wide { self.text.lanes } else { 1 });
        self.text.line(format!("store {ty} {source}, ptr %buffer, align 32"));
        self.text.perform(name, &[("ptr", "%buffer"), ("i32", &count.to_string())]);
        self.text.value(format!("load {ty}, ptr %buffer, align 32"))
    }
}

/// A constant as LLVM writes it: its bits.
fn double(number: f64, wide: bool) -> String {
    let bits = format!("0x{:016X}", number.to_bits());
    if wide { format!("splat (double {bits})") } else { bits }
}
