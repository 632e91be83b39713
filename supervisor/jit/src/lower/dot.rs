//! `dp4a`: products of bytes, summed.

use ptx::{Mnemonic, Operand, Type};

use super::{Lowered, Lowering};
use crate::kind::Kind;
use crate::text::constant;

/// Products of four bytes each, the first factor's without a sign, added to words.
pub(super) const DOTS: &str = "llvm.x86.avx512.vpdpbusd.";

impl Lowering<'_> {
    /// `dp4a`: products of bytes, summed.
    pub(super) fn dot(&mut self, mnemonic: &Mnemonic, operands: &[Operand], wide: bool) -> Lowered<String> {
        let [first, second] = mnemonic.types[..] else {
            return Err("a dot product without two types".into());
        };
        let signed = [first == Type::S32, second == Type::S32];
        let sources = [
            self.source(&operands[1], 32, wide)?,
            self.source(&operands[2], 32, wide)?,
            self.source(&operands[3], 32, wide)?,
        ];
        let ty = self.text.integer(32, wide);
        let small = self.small_place(operands);
        self.used.note(match (small.is_some(), signed) {
            _ if !wide => "dot of words",
            (true, [true, true]) => "dot of small bytes",
            (false, [true, true]) => "dot of signed bytes",
            (_, [false, false]) => "dot of unsigned bytes",
            _ => "dot of both",
        });
        let shared = [1, 2].map(|place| self.facts().operand(&operands[place]).kind == Kind::Uniform);
        let factors = [sources[0].as_str(), &sources[1]];
        if wide && signed == [true, true] && (!self.manner.has_dots || self.lie_alike(factors, shared)) {
            return Ok(self.sum_of_dots(operands, &sources, shared));
        }
        if wide && self.manner.has_dots && signed != [false, false] {
            return Ok(self.dot_by_instruction(&sources, signed, small));
        }
        let mut sum = sources[2].clone();
        for byte in 0..4u64 {
            let mut parts = Vec::new();
            for (source, signed) in sources[..2].iter().zip(signed) {
                let top =
                    self.text.value(format!("shl {ty} {source}, {}", constant(32, wide, 24 - 8 * byte)));
                let how = if signed { "ashr" } else { "lshr" };
                parts.push(self.text.value(format!("{how} {ty} {top}, {}", constant(32, wide, 24))));
            }
            let product = self.text.value(format!("mul {ty} {}, {}", parts[0], parts[1]));
            sum = self.text.value(format!("add {ty} {sum}, {product}"));
        }
        Ok(sum)
    }

    /// By the processor's own instruction, one of whose factors has no sign: 128 is added to a factor that has one, and what
    /// that is too much taken away again.
    fn dot_by_instruction(
        &mut self,
        sources: &[String; 3],
        signed: [bool; 2],
        small: Option<usize>,
    ) -> String {
        let ty = self.text.integer(32, true);
        // One without a sign may have the high bits that the other kind's small factor does not.
        let unsigned = signed.iter().position(|signed| !signed);
        let plain = unsigned.or(small);
        let [x, y, sum] = sources;
        match plain {
            Some(0) => self.sum_of_products(sum, x, y),
            Some(_) => self.sum_of_products(sum, y, x),
            None => {
                let half = constant(32, true, 0x8080_8080);
                let raised = self.text.value(format!("xor {ty} {x}, {half}"));
                let much = self.sum_of_products(sum, &raised, y);
                let more = self.sum_of_products("zeroinitializer", &half, y);
                self.text.value(format!("sub {ty} {much}, {more}"))
            }
        }
    }

    /// `vpdpbusd` on registers of 512 bits, or of 256 if that is all: bytes without a sign, and with one.
    fn sum_of_products(&mut self, sum: &str, plain: &str, signed: &str) -> String {
        let length = self.text.lanes.min(16);
        let (whole, part) = (self.text.integer(32, true), format!("<{length} x i32>"));
        let name = format!("{DOTS}{}", 32 * length);
        let parts = (0..self.text.lanes / length).map(|register| {
            let cut = [sum, plain, signed].map(|source| {
                let places = (register * length..(register + 1) * length).map(Some);
                self.text.shuffle(&whole, source, "poison", places)
            });
            let arguments = cut.each_ref().map(|name| (part.as_str(), name.as_str()));
            self.text.call(&name, &part, &arguments)
        });
        let parts = parts.collect();
        self.text.joined(parts, length, 32)
    }
}
