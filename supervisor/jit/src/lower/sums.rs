//! Sums of products of bytes (`dp4a`).
//!
//! A sum is kept as what it is the sum of until it is needed: products of chunks (`raw`) are added as they lie, those of small
//! bytes as 16-bit numbers while these hold them, and only the total is widened and sorted.

use ptx::Operand;

use super::Lowering;
use super::dot::DOTS;
use super::raw::{Raw, WORDS};
use crate::text::constant;

/// Products of neighbouring bytes, the first factor's without a sign, summed to halves that saturate.
const SUM_OF_BYTES: &str = "llvm.x86.avx2.pmadd.ub.sw";
/// Products of neighbouring halves, summed to words.
const SUM_OF_HALVES: &str = "llvm.x86.avx2.pmadd.wd";
/// Factors below this are small: a pair of products fits 16 bits.
const SMALL: u8 = 128;

/// What is added up in a chunk of eight words.
#[derive(Clone, Default)]
struct Products {
    /// Sums of small bytes' products as 16-bit numbers, and how large they are at most.
    halves: Option<(String, u32)>,
    /// The others, as words.
    words: Option<String>,
}

/// Products of chunks out of which lanes are taken in the same way.
#[derive(Clone)]
struct Group {
    places: Vec<(usize, usize)>,
    chunks: Vec<Products>,
}

impl Group {
    fn lies_like(&self, raw: &Raw) -> bool {
        self.places == raw.places && self.chunks.len() == raw.chunks.len()
    }
}

/// What each lane's word is the sum of.
#[derive(Clone)]
pub(super) struct Sum {
    /// What is no product.
    rest: String,
    /// The products of each eight lanes.
    parts: Vec<Vec<Group>>,
}

/// Which factor's bytes are small, and the largest that they can be.
#[derive(Clone, Copy)]
struct Small {
    place: usize,
    largest: u8,
}

impl Lowering<'_> {
    /// The factor of a product whose bytes are all below 128, if one is.
    fn small_factor(&self, operands: &[Operand]) -> Option<Small> {
        let factors =
            (0..2).map(|place| Small { place, largest: self.ones.largest_byte(&operands[1 + place]) });
        factors.filter(|factor| factor.largest < SMALL).min_by_key(|factor| factor.largest)
    }

    /// Whether a factor of `dp4a` has small bytes, and which.
    pub(super) fn small_place(&self, operands: &[Operand]) -> Option<usize> {
        self.small_factor(operands).map(|factor| factor.place)
    }

    /// Products of bytes with signs and a third source, summed.
    pub(super) fn sum_of_dots(
        &mut self,
        operands: &[Operand],
        sources: &[String; 3],
        shared: [bool; 2],
    ) -> String {
        let [x, y, rest] = sources;
        let count = self.text.lanes / WORDS;
        let mut sum = match self.raw.sums.get(rest) {
            Some(sum) => sum.clone(),
            None => Sum { rest: rest.clone(), parts: vec![Vec::new(); count] },
        };
        let small = self.small_factor(operands);
        let factors = self.factors([x, y], shared);
        for (part, [x, y]) in sum.parts.iter_mut().zip(factors) {
            let alike = |group: &Group| group.lies_like(&x);
            let number = part.iter().position(alike).unwrap_or_else(|| {
                let chunks = vec![Products::default(); x.chunks.len()];
                part.push(Group { places: x.places.clone(), chunks });
                part.len() - 1
            });
            for (products, factors) in part[number].chunks.iter_mut().zip(x.chunks.iter().zip(&y.chunks)) {
                self.add_products(products, [factors.0, factors.1], small);
            }
        }
        let name = self.total(&sum);
        self.raw.sums.insert(name.clone(), sum);
        name
    }

    /// Whether two factors lie alike in chunks, or one in chunks with which the other, that lanes share, is multiplied as often
    /// as with their words: a single chunk, or several of which all words have the same factor, a constant.
    pub(super) fn lie_alike(&self, factors: [&str; 2], shared: [bool; 2]) -> bool {
        let fits = |place: usize, chunks: &Vec<Raw>| {
            let is_constant = !factors[place].starts_with('%');
            shared[place] && (is_constant || chunks.iter().all(|raw| raw.chunks.len() == 1))
        };
        match factors.map(|factor| self.raw.words(factor)) {
            [Some(x), Some(y)] => x.iter().zip(y).all(|(x, y)| x.lies_like(y)),
            [Some(x), None] => fits(1, x),
            [None, Some(y)] => fits(0, y),
            [None, None] => false,
        }
    }

    /// Two factors of each eight lanes: as they lie, if they lie alike, else sorted.
    fn factors(&mut self, factors: [&str; 2], shared: [bool; 2]) -> Vec<[Raw; 2]> {
        let parts = 0..self.text.lanes / WORDS;
        if !self.lie_alike(factors, shared) {
            return parts.map(|part| factors.map(|it| Raw::sorted(self.eight_lanes(it, part)))).collect();
        }
        self.used.note("dot of chunks");
        let raw = factors.map(|factor| self.raw.words(factor).cloned());
        let any = factors.map(|factor| self.eight_lanes(factor, 0));
        let both = |part: usize| match &raw {
            [Some(x), Some(y)] => [x[part].clone(), y[part].clone()],
            [Some(x), None] => [x[part].clone(), x[part].filled(&any[1])],
            [None, Some(y)] => [y[part].filled(&any[0]), y[part].clone()],
            [None, None] => any.clone().map(Raw::sorted),
        };
        parts.map(both).collect()
    }

    /// Eight lanes of a vector of all.
    fn eight_lanes(&mut self, name: &str, part: usize) -> String {
        if self.text.lanes == WORDS {
            return name.into();
        }
        let lanes = part * WORDS..(part + 1) * WORDS;
        let list: Vec<String> = lanes.map(|lane| format!("i32 {lane}")).collect();
        let (ty, list) = (self.text.integer(32, true), list.join(", "));
        self.compute_once(format!("shufflevector {ty} {name}, {ty} poison, <{WORDS} x i32> <{list}>"))
    }

    fn add_products(&mut self, products: &mut Products, factors: [&str; 2], small: Option<Small>) {
        if self.manner.has_dots {
            let words = products.words.take().unwrap_or_else(|| "zeroinitializer".into());
            products.words = Some(self.add_by_instruction(&words, factors, small));
            return;
        }
        let Some(Small { place, largest }) = small else {
            let more = self.dot_of_signed(factors[0], factors[1]);
            products.words = Some(self.plus_words(products.words.take(), more));
            return;
        };
        let bytes = |this: &mut Self, name: &str| {
            this.compute_once(format!("bitcast <{WORDS} x i32> {name} to <32 x i8>"))
        };
        let (plain, signed) = (bytes(self, factors[place]), bytes(self, factors[1 - place]));
        let mut more = self.call_once(SUM_OF_BYTES, "<16 x i16>", "<32 x i8>", &[&plain, &signed]);
        let mut most = 2 * u32::from(largest) * 128;
        if let Some((halves, bound)) = products.halves.take() {
            if bound + most <= i16::MAX as u32 {
                more = self.compute_once(format!("add <16 x i16> {halves}, {more}"));
                most += bound;
            } else {
                let full = self.widened_halves(&halves);
                products.words = Some(self.plus_words(products.words.take(), full));
            }
        }
        products.halves = Some((more, most));
    }

    /// By the processor's own instruction (see [`Lowering::dot`]).
    fn add_by_instruction(&mut self, words: &str, factors: [&str; 2], small: Option<Small>) -> String {
        let ty = format!("<{WORDS} x i32>");
        let mut add = |words: &str, plain: &str, signed: &str| {
            self.call_once(&format!("{DOTS}256"), &ty, &ty, &[words, plain, signed])
        };
        match small {
            Some(Small { place, .. }) => add(words, factors[place], factors[1 - place]),
            None => {
                let half = constant(32, true, 0x8080_8080);
                let more = add("zeroinitializer", &half, factors[1]);
                let raised = self.compute_once(format!("xor {ty} {}, {half}", factors[0]));
                let much = self.call_once(&format!("{DOTS}256"), &ty, &ty, &[words, &raised, factors[1]]);
                self.compute_once(format!("sub {ty} {much}, {more}"))
            }
        }
    }

    fn plus_words(&mut self, words: Option<String>, more: String) -> String {
        match words {
            Some(words) => self.compute_once(format!("add <{WORDS} x i32> {words}, {more}")),
            None => more,
        }
    }

    /// Neighbouring halves, added to words.
    fn widened_halves(&mut self, halves: &str) -> String {
        self.call_once(SUM_OF_HALVES, "<8 x i32>", "<16 x i16>", &[halves, "splat (i16 1)"])
    }

    /// Products of bytes with signs, odd and even ones as 16-bit numbers.
    fn dot_of_signed(&mut self, x: &str, y: &str) -> String {
        let halves = "<16 x i16>";
        let [x, y] =
            [x, y].map(|name| self.compute_once(format!("bitcast <{WORDS} x i32> {name} to {halves}")));
        let sums = [false, true].map(|even| {
            let [x, y] = [&x, &y].map(|name| {
                let top = if even {
                    self.compute_once(format!("shl {halves} {name}, splat (i16 8)"))
                } else {
                    name.clone()
                };
                self.compute_once(format!("ashr {halves} {top}, splat (i16 8)"))
            });
            self.call_once(SUM_OF_HALVES, "<8 x i32>", halves, &[&x, &y])
        });
        self.compute_once(format!("add <{WORDS} x i32> {}, {}", sums[0], sums[1]))
    }

    /// The words of all lanes.
    fn total(&mut self, sum: &Sum) -> String {
        let mut parts = Vec::new();
        for groups in &sum.parts {
            let mut all: Option<String> = None;
            for group in groups {
                let mut chunks = Vec::new();
                for products in &group.chunks {
                    let mut words = products.words.clone();
                    if let Some((halves, _)) = &products.halves {
                        let more = self.widened_halves(halves);
                        words = Some(self.plus_words(words, more));
                    }
                    chunks.push(words.unwrap_or_else(|| "zeroinitializer".into()));
                }
                let sorted = self.sorted(&Raw { chunks, places: group.places.clone() });
                all = Some(self.plus_words(all, sorted));
            }
            parts.push(all.unwrap_or_else(|| "zeroinitializer".into()));
        }
        let (ty, all) = (self.text.integer(32, true), self.text.joined(parts, WORDS, 32));
        self.text.value(format!("add {ty} {all}, {}", sum.rest))
    }
}
