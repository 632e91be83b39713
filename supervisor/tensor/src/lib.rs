//! The matrix instructions of a warp (`mma`, `wmma.mma`) as plain functions on registers.
//!
//! A *product* is `D = A × B + C` for small matrices; a *fragment* is the registers of one of them, 32 lanes each. Nothing here
//! knows PTX, the interpreter or a compiler: all of them say which [`Product`] they want, get a [`Multiplier`], and hand it
//! registers.
//!
//! ```text
//!   Product { shape, a, b, c, d } ──Multiplier::new──▶ Multiplier ──run(a, b, c, d)──▶ registers of D
//!                                                          │
//!        format: words ▶ steps      tile, terms: packed steps ▶ sums      double, quad: products with layouts of their own
//! ```
//!
//! Compiled code takes a product in [`parts`]: it packs a factor once for all products that it is part of.
//!
//! # Numbers
//!
//! Products of `f16`, `bf16`, `tf32` and narrower floats are exact in `f32`. Each element of `D` begins as its element of `C`
//! and takes the products in the order of `A`'s columns, each addition rounded to nearest (`fma` in `f32`); an accumulator of
//! `f16` is rounded once, at the end. Real matrix units sum the products of 4 to 16 columns at once, aligned to the greatest of
//! them and cut off a few bits below its last, so that results differ in the last bits from one generation to the next, and from
//! ours; NVIDIA promises no order. `f64` is a chain of fused products. Integers are exact: they wrap, or stop at the ends with
//! `.satfinite`.
#![allow(clippy::needless_range_loop, reason = "loops over lanes index several arrays at once")]

mod double;
mod format;
mod fragment;
pub mod parts;
mod quad;
mod sparse;
mod terms;
#[cfg(test)]
mod tests;
mod tile;

pub use fragment::transposed;
use parts::Parts;
pub use tile::Sums;

/// A register: a word of each lane.
pub type Lanes = [u32; 32];
/// A register of 64 bits.
pub type Doubles = [u64; 32];
/// The registers of a matrix.
pub type Fragment<'a> = &'a [&'a Lanes];

/// What the factors consist of.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "they have PTX's names")]
pub enum Element {
    F16,
    Bf16,
    Tf32,
    E4m3,
    E5m2,
    E3m2,
    E2m3,
    /// In the middle of a byte.
    E2m1,
    /// Two to a byte.
    PackedE2m1,
    S8,
    U8,
    S4,
    U4,
    B1,
    F64,
}

impl Element {
    /// Bits that an element takes in a register.
    pub fn bits(self) -> u32 {
        match self {
            Element::F16 | Element::Bf16 => 16,
            Element::Tf32 => 32,
            Element::S4 | Element::U4 | Element::PackedE2m1 => 4,
            Element::B1 => 1,
            Element::F64 => 64,
            _ => 8,
        }
    }
}

/// What the sums consist of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accumulator {
    /// `f16`, two to a register.
    Half,
    /// `f32`.
    Single,
    /// `s32`.
    Integer,
    /// `f64`.
    Double,
}

impl Accumulator {
    /// Registers of a block of so many rows, 16 or 8, and 8 columns.
    pub fn registers(self, rows: usize) -> usize {
        if self == Accumulator::Half { rows / 8 } else { rows / 4 }
    }
}

/// How two bits make one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "they have PTX's names")]
pub enum Logic {
    And,
    Xor,
}

/// The size of a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Rows of `A` and `D`.
    pub m: u32,
    /// Columns of `B` and `D`.
    pub n: u32,
    /// Columns of `A`, rows of `B`.
    pub k: u32,
}

/// What is to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Its size.
    pub shape: Shape,
    /// Elements of the left factor.
    pub a: Element,
    /// Of the right one.
    pub b: Element,
    /// Of the addend.
    pub c: Accumulator,
    /// Of the result.
    pub d: Accumulator,
    /// `.satfinite`: integers stop at their ends, floats at the greatest finite number.
    pub saturates: bool,
    /// What single bits do.
    pub logic: Logic,
    /// Of `m8n8k4` with `f16` only, where it decides who holds what: whether `A` is stored by columns, and `B` by rows.
    pub transposed: [bool; 2],
}

impl Product {
    /// Rows of a block: 16, or 8 if there are no more.
    fn rows(&self) -> usize {
        if self.shape.m == 8 { 8 } else { 16 }
    }

    /// Blocks of rows, and blocks of eight columns.
    fn blocks(&self) -> (usize, usize) {
        (self.shape.m as usize / self.rows(), self.shape.n as usize / 8)
    }

    /// Whether it is the one whose fragments follow a law of their own.
    fn is_quad(&self) -> bool {
        self.shape == Shape { m: 8, n: 8, k: 4 } && self.a == Element::F16
    }

    /// Registers that `A`, `B`, `C` and `D` take.
    pub fn registers(&self) -> [usize; 4] {
        if self.is_quad() {
            let sums = |kind| if kind == Accumulator::Half { 4 } else { 8 };
            return [2, 2, sums(self.c), sums(self.d)];
        }
        let (row_blocks, column_blocks) = self.blocks();
        // A register has four words of eight rows; of `f64`, four elements.
        let across =
            if self.a == Element::F64 { self.shape.k / 4 } else { self.shape.k * self.a.bits() / 128 };
        let sums = |kind: Accumulator| row_blocks * column_blocks * kind.registers(self.rows());
        let a = row_blocks * across as usize * (self.rows() / 8);
        [a, column_blocks * across as usize, sums(self.c), sums(self.d)]
    }
}

/// How a product of 32-bit registers is computed.
#[derive(Clone, Copy)]
enum Way {
    Quad,
    Parts(Parts),
}

/// Computes one kind of product.
#[derive(Clone, Copy)]
pub struct Multiplier {
    product: Product,
    registers: [usize; 4],
    way: Way,
}

impl Multiplier {
    /// For a product of 32-bit registers; `None`: there is no such product, or this processor lacks AVX2, FMA or F16C.
    pub fn new(product: Product) -> Option<Multiplier> {
        let way = if product.is_quad() { Way::Quad } else { Way::Parts(Parts::of(&product)?) };
        let registers = product.registers();
        let fits = registers.iter().all(|count| *count <= MOST);
        (fits && is_able()).then_some(Multiplier { product, registers, way })
    }

    /// What it computes.
    pub fn product(&self) -> &Product {
        &self.product
    }

    /// As [`Multiplier::run`], of a left factor of which half the elements are left out (`mma.sp`): `a` holds the others in half
    /// the registers, `places` says where they belong, and `selector` in which lanes it does.
    pub fn run_sparse(
        &self,
        (a, places, selector): (Fragment, &Lanes, u32),
        b: Fragment,
        c: Fragment,
        d: &mut [Lanes],
    ) {
        let [in_a, ..] = self.registers;
        let full = sparse::expanded(&self.product, &a[..in_a / 2], places, selector);
        self.run(&full.each_ref(), b, c, d);
    }

    /// Computes. The fragments must have the registers that [`Product::registers`] says, or more, which are not looked at.
    // Callers change how the processor rounds around this call, which holds only for what is not inlined.
    #[inline(never)]
    pub fn run(&self, a: Fragment, b: Fragment, c: Fragment, d: &mut [Lanes]) {
        let [in_a, in_b, in_c, in_d] = self.registers;
        let (a, b, c, d) = (&a[..in_a], &b[..in_b], &c[..in_c], &mut d[..in_d]);
        // SAFETY: `new` has seen that the processor has what is needed; slicing has checked the numbers of registers.
        unsafe {
            match &self.way {
                Way::Quad => quad::multiply(&self.product, a, b, c, d),
                Way::Parts(parts) => {
                    let [a, b, c] = [a, b, c].map(addresses);
                    let mut results = [std::ptr::null_mut(); MOST];
                    d.iter_mut().zip(&mut results).for_each(|(d, place)| *place = d);
                    parts.run(&a, &b, &c, &results);
                }
            }
        }
    }
}

/// Most registers of a fragment.
const MOST: usize = 8;

/// Registers that are only read.
fn addresses(fragment: Fragment) -> [*mut Lanes; MOST] {
    let mut addresses = [std::ptr::null_mut(); MOST];
    fragment.iter().zip(&mut addresses).for_each(|(lanes, place)| *place = (&raw const **lanes).cast_mut());
    addresses
}

/// Computes one kind of product of `f64`, in registers of 64 bits.
#[derive(Clone, Copy)]
pub struct DoubleMultiplier {
    product: Product,
    registers: [usize; 4],
}

impl DoubleMultiplier {
    /// `None`: there is no such product, or this processor lacks AVX2 or FMA.
    pub fn new(product: Product) -> Option<DoubleMultiplier> {
        let Shape { m, n, k } = product.shape;
        let known = product.a == Element::F64 && n == 8 && matches!((m, k), (8, 4) | (16, 4 | 8 | 16));
        (known && is_able()).then(|| DoubleMultiplier { product, registers: product.registers() })
    }

    /// As [`Multiplier::run`].
    #[inline(never)]
    pub fn run(&self, a: &[&Doubles], b: &[&Doubles], c: &[&Doubles], d: &mut [Doubles]) {
        let [in_a, in_b, in_c, in_d] = self.registers;
        // SAFETY: `new` has seen that the processor has what is needed; slicing checks the numbers of registers.
        unsafe { double::multiply(&self.product, &a[..in_a], &b[..in_b], &c[..in_c], &mut d[..in_d]) }
    }
}

fn is_able() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}
