//! `dp4a`: products of bytes, summed.

use ptx::{Mnemonic, Operand, Type};

use super::{Lowered, Lowering};
use crate::text::constant;

/// Products of neighbouring bytes, the first factor's without a sign, summed to halves that saturate.
const SUM_OF_BYTES: &str = "llvm.x86.avx2.pmadd.ub.sw";
/// Products of neighbouring halves, summed to words.
const SUM_OF_HALVES: &str = "llvm.x86.avx2.pmadd.wd";

/// Products of four bytes each, the first factor's without a sign, added to words.
const DOTS: &str = "llvm.x86.avx512.vpdpbusd.";

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
        let small = [1, 2].into_iter().find(|place| match &operands[*place] {
            Operand::Register(register) => self.small.contains(register),
            _ => false,
        });
        self.used.note(match (small.is_some(), signed) {
            _ if !wide => "dot of words",
            (true, [true, true]) => "dot of small bytes",
            (false, [true, true]) => "dot of signed bytes",
            (_, [false, false]) => "dot of unsigned bytes",
            _ => "dot of both",
        });
        if wide && self.manner.has_dots && signed != [false, false] {
            return Ok(self.dot_by_instruction(&sources, signed, small));
        }
        if wide && signed == [true, true] {
            let sum = match small {
                Some(place) => self.dot_of_small(&sources[place - 1], &sources[2 - place]),
                None => self.dot_of_signed(&sources[0], &sources[1]),
            };
            return Ok(self.text.value(format!("add {ty} {sum}, {}", sources[2])));
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

    /// An instruction on registers of 256 bits, for those that hold all lanes: from elements of so many bits to others.
    fn by_registers(&mut self, name: &str, sources: [&str; 2], from: u32, to: u32) -> String {
        let (length, result) = (256 / from as usize, 256 / to as usize);
        let registers = self.text.lanes / 8;
        let (whole, part) = (format!("<{} x i{from}>", registers * length), format!("<{length} x i{from}>"));
        let mut parts = Vec::new();
        for register in 0..registers {
            let cut = sources.map(|source| {
                let places = (register * length..(register + 1) * length).map(Some);
                self.text.shuffle(&whole, source, "poison", places)
            });
            let arguments = [(part.as_str(), cut[0].as_str()), (&part, &cut[1])];
            parts.push(self.text.call(name, &format!("<{result} x i{to}>"), &arguments));
        }
        self.text.joined(parts, result, to)
    }

    /// One factor's bytes are below 128: a pair of products fits 16 bits.
    fn dot_of_small(&mut self, small: &str, other: &str) -> String {
        let (words, bytes) = (self.text.integer(32, true), format!("<{} x i8>", 4 * self.text.lanes));
        let factors =
            [small, other].map(|name| self.text.value(format!("bitcast {words} {name} to {bytes}")));
        let pairs = self.by_registers(SUM_OF_BYTES, [&factors[0], &factors[1]], 8, 16);
        self.by_registers(SUM_OF_HALVES, [&pairs, "splat (i16 1)"], 16, 32)
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
        let plain = unsigned.or(small.map(|place| place - 1));
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

    /// Odd and even bytes as 16-bit numbers.
    fn dot_of_signed(&mut self, x: &str, y: &str) -> String {
        let (words, halves) = (self.text.integer(32, true), format!("<{} x i16>", 2 * self.text.lanes));
        let mut sums = Vec::new();
        let [x, y] = [x, y].map(|name| self.text.value(format!("bitcast {words} {name} to {halves}")));
        for even in [false, true] {
            let parts = [&x, &y].map(|name| {
                let top = if even {
                    self.text.value(format!("shl {halves} {name}, splat (i16 8)"))
                } else {
                    name.to_string()
                };
                self.text.value(format!("ashr {halves} {top}, splat (i16 8)"))
            });
            sums.push(self.by_registers(SUM_OF_HALVES, [&parts[0], &parts[1]], 16, 32));
        }
        self.text.value(format!("add {words} {}, {}", sums[0], sums[1]))
    }
}
