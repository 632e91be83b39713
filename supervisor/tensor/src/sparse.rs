//! Left factors of which half the elements are zero and left out (`mma.sp`).
//!
//! A chunk of four elements keeps two, of eight four in two pairs, of two (`tf32`) one; two bits for each tell where in its chunk
//! it belongs. The registers hold what is kept as if it were a factor of half the columns. The places of sixteen rows are words
//! of two or four lanes of each group, which the *selector* names: of elements of sixteen and more bits, a lane has sixteen bits
//! of row `g` and sixteen of row `g + 8`, and the next lane those of the columns behind; of narrower ones, a lane has 32 bits of
//! row `g`, and the next lane those of row `g + 8`.

use crate::{Element, Fragment, Lanes, Product};

/// Most registers of a factor with its zeros.
const MOST: usize = 8;

/// The left factor of a product, with its zeros, from what is kept of it.
pub(crate) fn expanded(product: &Product, kept: Fragment, places: &Lanes, selector: u32) -> [Lanes; MOST] {
    let mut full = [[0; 32]; MOST];
    let plan = Plan::of(product.a);
    let columns = product.shape.k as usize / 2;
    // Lanes of a group that are needed for the places of two rows.
    let lanes = 2 * columns / plan.together * plan.place_bits() / 32;
    let base = selector as usize * lanes;
    for row in 0..16 {
        for column in (0..columns).step_by(plan.together) {
            let place = plan.place(places, base, row, column / plan.together);
            let target = column / plan.kept * plan.chunk + place * plan.together;
            for element in 0..plan.together {
                let value = plan.read(kept, row, column + element);
                plan.write(&mut full, row, target + element, value);
            }
        }
    }
    full
}

/// How a format is thinned out.
struct Plan {
    bits: usize,
    /// Elements of a chunk, those that are kept, and how many of these are neighbours always.
    chunk: usize,
    kept: usize,
    together: usize,
}

impl Plan {
    fn of(element: Element) -> Plan {
        let bits = element.bits() as usize;
        let (chunk, kept, together) = match element {
            Element::Tf32 => (2, 1, 1),
            Element::S4 | Element::U4 | Element::PackedE2m1 => (8, 4, 2),
            _ => (4, 2, 1),
        };
        Plan { bits, chunk, kept, together }
    }

    /// Where in its chunk the `number`-th of a row's kept elements (or pairs) belongs; `base`: the first lane that says so.
    fn place(&self, places: &Lanes, base: usize, row: usize, number: usize) -> usize {
        let bit = number * self.place_bits();
        let (lane, shift) = if self.bits >= 16 {
            (bit / 16, row / 8 * 16 + bit % 16)
        } else {
            (bit / 32 * 2 + row / 8, bit % 32)
        };
        let place = (places[row % 8 * 4 + (base + lane) % 4] >> shift & 3) as usize;
        // An element of 32 bits counts as two of 16.
        if self.chunk == 2 { place / 2 } else { place }
    }

    /// Bits that tell the place of what is kept together.
    fn place_bits(&self) -> usize {
        if self.chunk == 2 { 4 } else { 2 }
    }

    /// Register, lane and lowest bit of an element.
    fn element(&self, row: usize, column: usize) -> (usize, usize, usize) {
        let word = column * self.bits / 32;
        (word / 4 * 2 + row / 8, row % 8 * 4 + word % 4, column * self.bits % 32)
    }

    fn read(&self, fragment: Fragment, row: usize, column: usize) -> u32 {
        let (register, lane, bit) = self.element(row, column);
        fragment[register][lane] >> bit & (u32::MAX >> (32 - self.bits))
    }

    fn write(&self, fragment: &mut [Lanes], row: usize, column: usize, value: u32) {
        let (register, lane, bit) = self.element(row, column);
        fragment[register][lane] |= value << bit;
    }
}
