//! A product in parts, for compiled code: functions that pack a block of a factor, and that sum a tile, by name.
//!
//! Their registers lie behind a base, and are named by how many bytes they do, so that code has a constant table for each use.

use std::arch::x86_64::__m256i;

use crate::format::*;
use crate::terms::{And, Fused, Pairs, Xor};
use crate::tile::{Cut, Factors, Registers, Sums, Term, multiply, pack_left, pack_right};
use crate::{Accumulator, Element, Lanes, Logic, Product, Shape};

/// Packs registers of a factor: `pack(base, places, count, packed)`.
pub type Pack = unsafe extern "C" fn(*mut u8, *const u32, u32, *mut u8);
/// Sums a tile: `sum(base, places, left, right, sums)`, of which `places` are those of `C`, then those of `D`, and `sums` is
/// [`Sums::word`].
pub type Sum = unsafe extern "C" fn(*mut u8, *const u32, *const u8, *const u8, u32);

/// Registers by their addresses.
type Fragment<'a> = &'a [*mut Lanes];

/// Most registers of a block of a factor, or of a tile.
const MOST: usize = 8;
/// Most vectors of a packed block.
const MOST_VECTORS: usize = 256;

/// How a factor is packed.
#[derive(Clone, Copy)]
pub struct Packing {
    /// A name that no other has.
    pub name: &'static str,
    /// Steps of a word.
    steps: usize,
    /// Of the left factor.
    pub left: Pack,
    /// Of the right one.
    pub right: Pack,
    pack: [unsafe fn(Fragment, *mut __m256i); 2],
}

impl Packing {
    /// Bytes that so many registers take when packed.
    pub fn bytes(&self, registers: usize) -> usize {
        registers * self.steps * size_of::<Lanes>()
    }
}

/// How steps are summed.
#[derive(Clone, Copy)]
pub struct Summing {
    /// A name that no other has.
    pub name: &'static str,
    /// Whether the processor's way with floats matters.
    pub floats: bool,
    /// The function.
    pub sum: Sum,
    multiply: unsafe fn(Sums, Factors, Fragment, Fragment),
}

/// A product in parts.
#[derive(Clone, Copy)]
pub struct Parts {
    /// How `A` and `B` are packed.
    pub packing: [Packing; 2],
    /// How they are summed.
    pub summing: Summing,
    /// What a tile is.
    pub sums: Sums,
    /// Blocks of rows, and of columns.
    pub blocks: (usize, usize),
}

impl Parts {
    /// Registers of a block of `A`, of one of `B`, and of a tile of `C` and of `D`.
    pub fn registers(&self) -> [usize; 4] {
        let groups = self.sums.groups as usize;
        [groups * self.sums.halves as usize, groups, self.sums.sources(), self.sums.results()]
    }

    /// The parts of a product; `None`: it has none.
    pub fn of(product: &Product) -> Option<Parts> {
        let Shape { m, n, k } = product.shape;
        let sized = (m == 8 || m.is_multiple_of(16)) && n.is_multiple_of(8) && m * n * k != 0;
        if product.is_quad() || !sized || !is_known(product) {
            return None;
        }
        let packing = [packing(product.a)?, packing(product.b)?];
        let summing = summing(product, packing[0].steps)?;
        let sums = Sums {
            groups: k * product.a.bits() / 128,
            halves: product.rows() as u32 / 8,
            from_half: product.c == Accumulator::Half,
            to_half: product.d == Accumulator::Half,
            saturates: product.saturates,
        };
        let parts = Parts { packing, summing, sums, blocks: product.blocks() };
        parts.registers().iter().all(|count| (1..=MOST).contains(count)).then_some(parts)
    }

    /// Computes the whole.
    ///
    /// # Safety
    /// The processor must have AVX2, FMA and F16C. The fragments have the registers that the product says.
    pub(crate) unsafe fn run(&self, a: Fragment, b: Fragment, c: Fragment, d: Fragment) {
        let [in_a, in_b, in_c, in_d] = self.registers();
        let (row_blocks, column_blocks) = self.blocks;
        let (mut left, mut right) = (Packed::new(), Packed::new());
        for row in 0..row_blocks {
            // SAFETY: the caller's promises; a block has at most `MOST` registers of at most eight steps.
            unsafe { (self.packing[0].pack[0])(&a[row * in_a..][..in_a], left.start()) };
            for column in 0..column_blocks {
                let tile = row * column_blocks + column;
                // SAFETY: as above.
                unsafe { (self.packing[1].pack[1])(&b[column * in_b..][..in_b], right.start()) };
                let (c, d) = (&c[tile * in_c..][..in_c], &d[tile * in_d..][..in_d]);
                // SAFETY: as above; both were packed just now.
                unsafe { (self.summing.multiply)(self.sums, (left.start(), right.start()), c, d) };
            }
        }
    }
}

/// Room for a packed block.
struct Packed([std::mem::MaybeUninit<__m256i>; MOST_VECTORS]);

impl Packed {
    fn new() -> Packed {
        Packed([std::mem::MaybeUninit::uninit(); MOST_VECTORS])
    }

    fn start(&mut self) -> *mut __m256i {
        self.0.as_mut_ptr().cast()
    }
}

/// Whether instructions have such a product.
fn is_known(product: &Product) -> bool {
    use Element::*;
    let narrow = |element| matches!(element, E4m3 | E5m2 | E3m2 | E2m3 | E2m1);
    match (product.a, product.b, product.shape.k) {
        (F16, F16, 8 | 16 | 32) | (Bf16, Bf16, 8 | 16 | 32) | (Tf32, Tf32, 4 | 8 | 16) => true,
        (a, b, 16 | 32 | 64) if narrow(a) && narrow(b) => true,
        (PackedE2m1, PackedE2m1, 64 | 128) => true,
        (S8 | U8, S8 | U8, 16 | 32 | 64) | (S4 | U4, S4 | U4, 32 | 64 | 128) => true,
        (B1, B1, 128 | 256) => true,
        _ => false,
    }
}

fn packing(element: Element) -> Option<Packing> {
    PACKINGS.iter().find(|(known, _)| *known == element).map(|(_, packing)| *packing)
}

fn summing(product: &Product, steps: usize) -> Option<Summing> {
    let integers = matches!(product.c, Accumulator::Integer);
    let name = match (product.a, steps) {
        (Element::B1, _) if product.logic == Logic::And => "and",
        (Element::B1, _) => "xor",
        (_, 1) => "floats1",
        (_, 2) if integers => "integers2",
        (_, 4) if integers => "integers4",
        (_, 2) => "floats2",
        (_, 4) => "floats4",
        _ => "floats8",
    };
    SUMMINGS.iter().find(|summing| summing.name == name).copied()
}

macro_rules! packings {
    ($($element:ident $name:literal $cut:ty;)*) => {
        /// By element.
        static PACKINGS: &[(Element, Packing)] = &[$((Element::$element, Packing {
            name: $name,
            steps: <$cut>::STEPS,
            left: left::<$cut>,
            right: right::<$cut>,
            pack: [
                // SAFETY: the caller's promises are those of the functions.
                |registers, packed| unsafe { pack_left(<$cut>::default(), registers, registers.len(), packed) },
                // SAFETY: as above.
                |registers, packed| unsafe { pack_right(<$cut>::default(), registers, registers.len(), packed) },
            ],
        }),)*];
    };
}

packings! {
    F16 "f16" Half;
    Bf16 "bf16" Brain;
    Tf32 "tf32" Tensor;
    E4m3 "e4m3" E4m3;
    E5m2 "e5m2" E5m2;
    E3m2 "e3m2" E3m2;
    E2m3 "e2m3" E2m3;
    E2m1 "e2m1" E2m1;
    PackedE2m1 "e2m1x2" Nibbles;
    S8 "s8" Integers<8, true>;
    U8 "u8" Integers<8, false>;
    S4 "s4" Integers<4, true>;
    U4 "u4" Integers<4, false>;
    B1 "b1" Bits;
}

macro_rules! summings {
    ($($name:literal $term:ty;)*) => {
        static SUMMINGS: &[Summing] = &[$(Summing {
            name: $name,
            floats: <$term>::FLOATS,
            sum: sum::<$term>,
            // SAFETY: the caller's promises are those of the function.
            multiply: |sums, factors, c, d| unsafe { multiply::<$term>(sums, factors, c, d) },
        },)*];
    };
}

summings! {
    "floats1" Fused<1>;
    "floats2" Fused<2>;
    "floats4" Fused<4>;
    "floats8" Fused<8>;
    "integers2" Pairs<2>;
    "integers4" Pairs<4>;
    "and" And;
    "xor" Xor;
}

/// All packings, for those who look for them by name.
pub fn packings() -> impl Iterator<Item = &'static Packing> {
    PACKINGS.iter().map(|(_, packing)| packing)
}

/// All summings.
pub fn summings() -> impl Iterator<Item = &'static Summing> {
    SUMMINGS.iter()
}

/// The summing of floats of which a word has so many.
pub fn sum_of_floats<const STEPS: usize>() -> Sum {
    sum::<Fused<STEPS>>
}

/// Registers at some places behind a base.
#[derive(Clone, Copy)]
struct Behind {
    base: *mut u8,
    places: *const u32,
}

impl Registers for Behind {
    #[inline(always)]
    fn at(self, number: usize) -> *mut Lanes {
        // SAFETY: those who make one promise that there is such a place, and a register at it.
        unsafe { self.base.add(self.places.add(number).read() as usize).cast() }
    }
}

/// # Safety
/// The processor must have AVX2 and F16C; see [`Pack`]: the registers exist, and `packed` is aligned and has
/// [`Packing::bytes`].
#[target_feature(enable = "avx2,f16c")]
unsafe extern "C" fn left<C: Cut>(base: *mut u8, places: *const u32, count: u32, packed: *mut u8) {
    // SAFETY: the caller's promises.
    unsafe { pack_left(C::default(), Behind { base, places }, count as usize, packed.cast()) }
}

/// # Safety
/// As [`left`].
#[target_feature(enable = "avx2,f16c")]
unsafe extern "C" fn right<C: Cut>(base: *mut u8, places: *const u32, count: u32, packed: *mut u8) {
    // SAFETY: the caller's promises.
    unsafe { pack_right(C::default(), Behind { base, places }, count as usize, packed.cast()) }
}

/// # Safety
/// The processor must have AVX2, FMA and F16C; see [`Sum`]: the registers exist, and the factors were packed for these sums. If a
/// register is one of both `C` and `D`, it is in the same place.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe extern "C" fn sum<T: Term>(
    base: *mut u8,
    places: *const u32,
    left: *const u8,
    right: *const u8,
    word: u32,
) {
    let sums = Sums::of(word);
    let c = Behind { base, places };
    // SAFETY: the caller's promises.
    unsafe {
        let d = Behind { base, places: places.add(sums.sources()) };
        multiply::<T>(sums, (left.cast(), right.cast()), c, d);
    }
}
