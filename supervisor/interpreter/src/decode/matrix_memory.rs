//! Matrices between memory and fragments: `ldmatrix`, `stmatrix`, `movmatrix`, `wmma.load` and `wmma.store`.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};
use tensor::{Accumulator, Element, Lanes};

use super::matrix::{accumulator, element};
use super::memory::{Addresses, elements, space};
use super::operands::{Decoded, Decoder};
use super::watch::Watched;
use crate::code::Origin;
use crate::memory::check;
use crate::registers::{LANES, Reg, Slot};
use crate::warp::Warp;
use crate::watch::{Deed, tell};

/// Bytes of a row that a lane gives the address of.
const ROW: u64 = 16;

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn matrix(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        match mnemonic.op {
            Op::Ldmatrix => self.load_matrices(mnemonic, operands),
            Op::Stmatrix => self.store_matrices(mnemonic, operands),
            Op::Movmatrix => {
                let d = self.target::<u32>(&operands[0])?;
                let a = self.source_as::<u32>(&operands[1], Type::B32)?;
                self.push(move |w| {
                    let matrix = tensor::transposed(w.lanes(a));
                    w.write(d, |_, lane| matrix[lane]);
                });
                Ok(())
            }
            _ if mnemonic.has(Modifier::Load) => self.load_fragment(mnemonic, operands),
            _ if mnemonic.has(Modifier::Store) => self.store_fragment(mnemonic, operands),
            _ => self.multiply(mnemonic, operands),
        }
    }

    /// One, two or four matrices, a row of 16 bytes at the address of each lane that counts.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn load_matrices(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let shape = mnemonic.shape.ok_or("a matrix without a shape")?;
        let format = RowFormat::of(mnemonic);
        let mut targets = Vec::new();
        for target in &elements(&operands[0]) {
            targets.push(self.target::<u32>(target)?);
        }
        let rows = 8 * targets.len();
        if !matches!(targets.len(), 1 | 2 | 4) {
            return Err("matrices of another number of registers".into());
        }
        let addresses = self.addresses(&operands[1], space(mnemonic))?;
        self.watch_rows(mnemonic, addresses, rows, Deed::Read);
        let (origin, columns_of_bytes, halves) =
            (self.origin(), shape.m == 16, mnemonic.has(Modifier::Trans));
        self.push(move |w| {
            let Some(at) = rows_of(w, addresses, rows, origin) else { return };
            for (number, target) in targets.iter().enumerate() {
                let lanes = if columns_of_bytes {
                    // SAFETY: the rows were checked.
                    unsafe { byte_columns(&at[number / 2 * 16..][..16], number % 2, format) }
                } else {
                    // SAFETY: the rows were checked.
                    let matrix = unsafe { rows_in_order(&at[8 * number..][..8], format) };
                    if halves { tensor::transposed(&matrix) } else { matrix }
                };
                w.write(*target, |_, lane| lanes[lane]);
            }
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn store_matrices(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        if mnemonic.ty() != Some(Type::B16) {
            return Err("stores of matrices of bytes are not implemented".into());
        }
        let addresses = self.addresses(&operands[0], space(mnemonic))?;
        let mut sources = Vec::new();
        for source in &elements(&operands[1]) {
            sources.push(self.source_as::<u32>(source, Type::B32)?);
        }
        if !matches!(sources.len(), 1 | 2 | 4) {
            return Err("matrices of another number of registers".into());
        }
        self.watch_rows(mnemonic, addresses, 8 * sources.len(), Deed::Write);
        let (origin, transposes) = (self.origin(), mnemonic.has(Modifier::Trans));
        self.push(move |w| {
            let Some(at) = rows_of(w, addresses, 8 * sources.len(), origin) else { return };
            for (source, at) in sources.iter().zip(at.chunks(8)) {
                let matrix = w.values(*source);
                let matrix = if transposes { tensor::transposed(&matrix) } else { matrix };
                for (row, address) in matrix.chunks_exact(4).zip(at) {
                    // SAFETY: the rows were checked, alignment included.
                    unsafe { (*address as *mut [u32; 4]).write([row[0], row[1], row[2], row[3]]) };
                }
            }
        });
        Ok(())
    }

    /// `wmma.load`: a whole matrix from one address.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn load_fragment(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let plan = Plan::of(mnemonic)?;
        let mut targets = Vec::new();
        for target in &elements(&operands[0]) {
            targets.push(self.target_slot(target)?);
        }
        if targets.len() < plan.registers() {
            return Err("a fragment of fewer registers".into());
        }
        let place = self.matrix_place(mnemonic, &operands[1], operands.get(2), &plan)?;
        self.watch_lines(mnemonic, &place, &plan, Deed::Read);
        self.push(move |w| {
            let Some((start, stride)) = place.of(w, &plan) else { return };
            for (register, target) in targets.iter().enumerate() {
                // Registers beyond those that the matrix takes are copies.
                let register = register % plan.registers();
                let values: [u64; LANES] = std::array::from_fn(|lane| {
                    // SAFETY: `of` has checked every line of the matrix.
                    unsafe { plan.read(start, stride, register, lane) }
                });
                match *target {
                    Slot::Narrow(d) => w.write(d, |_, lane| values[lane] as u32),
                    Slot::Wide(d) => w.write(d, |_, lane| values[lane]),
                    Slot::Predicate(_) => {}
                }
            }
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn store_fragment(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let plan = Plan::of(mnemonic)?;
        let mut sources = Vec::new();
        let wide = if plan.bits == 64 { Type::B64 } else { Type::B32 };
        for source in &elements(&operands[1]) {
            sources.push(self.source_slot(source, wide)?);
        }
        if sources.len() != plan.registers() {
            return Err("a fragment of another number of registers".into());
        }
        let place = self.matrix_place(mnemonic, &operands[0], operands.get(2), &plan)?;
        self.watch_lines(mnemonic, &place, &plan, Deed::Write);
        self.push(move |w| {
            let Some((start, stride)) = place.of(w, &plan) else { return };
            for (register, source) in sources.iter().enumerate() {
                let values = w.slot_values(*source);
                for lane in 0..LANES {
                    // SAFETY: `of` has checked every line of the matrix.
                    unsafe { plan.write(start, stride, (register, lane), values[lane]) };
                }
            }
        });
        Ok(())
    }

    /// Tells of rows, each touched by the lane that gives its address.
    fn watch_rows(&mut self, mnemonic: &Mnemonic, addresses: Addresses, rows: usize, deed: Deed) {
        if self.is_watched() {
            let access = self.access(mnemonic, &Watched { deed, addresses, size: ROW, align: ROW });
            let lanes = if rows < LANES { (1 << rows) - 1 } else { u32::MAX };
            self.push(move |w| tell(w, &access, w.mask & lanes, &addresses.of(w), None));
        }
    }

    /// Tells of a matrix's lines, for the first lane.
    fn watch_lines(&mut self, mnemonic: &Mnemonic, place: &Place, plan: &Plan, deed: Deed) {
        if !self.is_watched() {
            return;
        }
        let Place { addresses, stride, .. } = *place;
        let size = (plan.line_elements() * plan.bits / 8) as u64;
        let access = self.access(mnemonic, &Watched { deed, addresses, size, align: 1 });
        let (lines, bits) = (plan.line_count() as u64, plan.bits as u64);
        self.push(move |w| {
            if w.mask == 0 {
                return;
            }
            let lane = w.first();
            let (start, stride) = (addresses.of(w)[lane], u64::from(w.value(stride, lane)));
            for line in 0..lines {
                let at = [start.wrapping_add(line * stride * bits / 8); LANES];
                tell(w, &access, w.mask & 1 << lane, &at, None);
            }
        });
    }

    fn matrix_place(
        &mut self,
        mnemonic: &Mnemonic,
        address: &Operand,
        stride: Option<&Operand>,
        plan: &Plan,
    ) -> Decoded<Place> {
        let addresses = self.addresses(address, space(mnemonic))?;
        let stride = match stride {
            Some(stride) => self.source::<u32>(stride)?,
            None => self.constant(plan.line_elements() as u32),
        };
        Ok(Place { addresses, stride, origin: self.origin() })
    }
}

/// What the bytes of a row are.
#[derive(Clone, Copy, PartialEq)]
enum RowFormat {
    Plain,
    /// Sixteen numbers of 6 bits, and four unused bytes.
    Six,
    /// Sixteen numbers of 4 bits, and eight unused bytes.
    Four,
}

impl RowFormat {
    fn of(mnemonic: &Mnemonic) -> RowFormat {
        match mnemonic.ty() {
            Some(Type::B6x16) => RowFormat::Six,
            Some(Type::B4x16) => RowFormat::Four,
            _ => RowFormat::Plain,
        }
    }

    /// The row with each number in the low bits of a byte.
    fn bytes(self, row: u128) -> [u8; 16] {
        let packed =
            |bits: u32| std::array::from_fn(|place| (row >> (bits * place as u32)) as u8 & ((1 << bits) - 1));
        match self {
            RowFormat::Plain => row.to_le_bytes(),
            RowFormat::Six => packed(6),
            RowFormat::Four => packed(4),
        }
    }
}

/// The addresses of so many rows, checked; other lanes' addresses do not count.
fn rows_of(w: &mut Warp, addresses: Addresses, rows: usize, origin: Origin) -> Option<[u64; LANES]> {
    let given = addresses.of(w);
    let mut at: [u64; LANES] = std::array::from_fn(|lane| given[lane % rows]);
    let region = addresses.region(w.memory());
    check(w, &mut at, ROW, region, origin)?;
    // A warp with fewer lanes: rows whose lanes are not there were not checked.
    if w.mask != u32::MAX {
        for row in 0..rows {
            if let Some(kind) = w.memory().fault(at[row], (ROW, ROW), region) {
                w.fail(kind, at[row], row, origin);
                return None;
            }
        }
    }
    Some(at)
}

/// Eight rows one behind the other: four lanes have a row.
///
/// # Safety
/// Sixteen aligned bytes may be read at each address.
unsafe fn rows_in_order(at: &[u64], format: RowFormat) -> Lanes {
    let mut matrix = [0; LANES];
    for (lanes, address) in matrix.chunks_exact_mut(4).zip(at) {
        // SAFETY: the caller's promise.
        let row = unsafe { (*address as *const [u32; 4]).read() };
        if format == RowFormat::Plain {
            lanes.copy_from_slice(&row);
            continue;
        }
        let row = row.iter().rev().fold(0u128, |bits, word| bits << 32 | u128::from(*word));
        for (lane, bytes) in lanes.iter_mut().zip(format.bytes(row).chunks_exact(4)) {
            *lane = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    matrix
}

/// Columns `8 * half` to `8 * half + 7` of sixteen rows of bytes: four lanes have a column.
///
/// # Safety
/// Sixteen aligned bytes may be read at each address.
unsafe fn byte_columns(at: &[u64], half: usize, format: RowFormat) -> Lanes {
    let mut rows = [[0u8; 16]; 16];
    for (row, address) in rows.iter_mut().zip(at) {
        // SAFETY: the caller's promise.
        *row = format.bytes(unsafe { (*address as *const u128).read() });
    }
    std::array::from_fn(|lane| {
        let column = 8 * half + lane / 4;
        u32::from_le_bytes(std::array::from_fn(|byte| rows[lane % 4 * 4 + byte][column]))
    })
}

/// Where a matrix lies: its first element, and elements from one line to the next.
struct Place {
    addresses: Addresses,
    stride: Reg<u32>,
    origin: Origin,
}

impl Place {
    /// The address and the stride, which are the same for all lanes, once every line has been checked.
    fn of(&self, w: &mut Warp, plan: &Plan) -> Option<(u64, u64)> {
        if w.mask == 0 {
            return None;
        }
        let lane = w.first();
        let start = self.addresses.of(w)[lane];
        let stride = u64::from(w.value(self.stride, lane));
        let bytes = (plan.line_elements() * plan.bits / 8) as u64;
        let region = self.addresses.region(w.memory());
        for line in 0..plan.line_count() as u64 {
            let address = start.wrapping_add(line * stride * plan.bits as u64 / 8);
            if let Some(kind) = w.memory().fault(address, (bytes, 1), region) {
                w.fail(kind, address, lane, self.origin);
                return None;
            }
        }
        Some((start, stride))
    }
}

/// Which element of a matrix each part of a fragment is.
struct Plan {
    what: What,
    /// Rows and columns of the matrix; of a right factor, exchanged.
    rows: usize,
    columns: usize,
    /// Bits of an element in memory.
    bits: usize,
    /// Whether a row's elements are neighbours in memory.
    along: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Left,
    /// Its columns are taken for rows.
    Right,
    Sum(Accumulator),
}

impl Plan {
    fn of(mnemonic: &Mnemonic) -> Decoded<Plan> {
        let shape = mnemonic.shape.ok_or("a fragment without a shape")?;
        let ty = mnemonic.ty().ok_or("a fragment without a type")?;
        let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
        let by_rows = mnemonic.has(Modifier::Row);
        let factor = mnemonic.modifiers.first_of(&[Modifier::A, Modifier::B]);
        let Some(factor) = factor else {
            let kind = accumulator(ty).ok_or("sums of this type are not implemented")?;
            let bits = ty.bits() as usize;
            return Ok(Plan { what: What::Sum(kind), rows: m, columns: n, bits, along: by_rows });
        };
        let left = factor == Modifier::A;
        let bits = element(ty, false).map(Element::bits).ok_or("factors of this type are not implemented")?;
        let along = by_rows == left;
        if bits < 8 && !along {
            return Err("a factor of parts of bytes that lies the other way".into());
        }
        Ok(Plan {
            what: if left { What::Left } else { What::Right },
            rows: if left { m } else { n },
            columns: k,
            bits: bits as usize,
            along,
        })
    }

    /// Elements that are neighbours in memory, and how often there are so many.
    fn line_elements(&self) -> usize {
        if self.along { self.columns } else { self.rows }
    }

    fn line_count(&self) -> usize {
        if self.along { self.rows } else { self.columns }
    }

    /// Rows of a block: 16, but 8 of a right factor, and of a matrix that has no more.
    fn block_rows(&self) -> usize {
        if self.what == What::Right || self.rows == 8 { 8 } else { 16 }
    }

    /// Elements in a register of one lane.
    fn per_register(&self) -> usize {
        match self.what {
            What::Sum(Accumulator::Half) => 2,
            What::Sum(_) => 1,
            What::Left | What::Right => (32 / self.bits).max(1),
        }
    }

    /// Registers that the matrix takes.
    fn registers(&self) -> usize {
        self.rows * self.columns / (LANES * self.per_register())
    }

    /// Row and column of the first element that a lane has in a register.
    fn element(&self, register: usize, lane: usize) -> (usize, usize) {
        match self.what {
            What::Left | What::Right => {
                let across = self.columns / (4 * self.per_register());
                let halves = self.block_rows() / 8;
                let (block, register) = (register / (across * halves), register % (across * halves));
                let row = block * halves * 8 + register % halves * 8 + lane / 4;
                (row, (register / halves * 4 + lane % 4) * self.per_register())
            }
            What::Sum(kind) => {
                let rows = self.block_rows();
                let per_block = kind.registers(rows);
                let (block, register) = (register / per_block, register % per_block);
                let (half, odd) =
                    if kind == Accumulator::Half { (register, 0) } else { (register / 2, register % 2) };
                let blocks = self.columns / 8;
                let row = block / blocks * rows + half * 8 + lane / 4;
                (row, block % blocks * 8 + lane % 4 * 2 + odd)
            }
        }
    }

    /// Address of an element.
    fn address(&self, start: u64, stride: u64, row: usize, column: usize) -> u64 {
        let (line, place) = if self.along { (row, column) } else { (column, row) };
        start.wrapping_add((line as u64 * stride + place as u64) * self.bits as u64 / 8)
    }

    /// What a lane has in a register.
    ///
    /// # Safety
    /// The matrix's lines may be read.
    #[inline]
    unsafe fn read(&self, start: u64, stride: u64, register: usize, lane: usize) -> u64 {
        let (row, column) = self.element(register, lane);
        let first = self.address(start, stride, row, column);
        // SAFETY: elements of the matrix, by the caller's promise.
        unsafe {
            match self.bits {
                64 => (first as *const u64).read_unaligned(),
                _ if self.along || self.per_register() == 1 => (first as *const u32).read_unaligned().into(),
                bits => (0..self.per_register()).fold(0, |word, place| {
                    let address = self.address(start, stride, row, column + place);
                    let value = if bits == 16 {
                        u64::from((address as *const u16).read_unaligned())
                    } else {
                        u64::from((address as *const u8).read())
                    };
                    word | value << (bits * place)
                }),
            }
        }
    }

    /// Writes what a lane has in a register.
    ///
    /// # Safety
    /// The matrix's lines may be written.
    #[inline]
    unsafe fn write(&self, start: u64, stride: u64, (register, lane): (usize, usize), value: u64) {
        let (row, column) = self.element(register, lane);
        let first = self.address(start, stride, row, column);
        // SAFETY: elements of the matrix, by the caller's promise.
        unsafe {
            match self.bits {
                64 => (first as *mut u64).write_unaligned(value),
                32 => (first as *mut u32).write_unaligned(value as u32),
                _ => {
                    (first as *mut u16).write_unaligned(value as u16);
                    let second = self.address(start, stride, row, column + 1);
                    (second as *mut u16).write_unaligned((value >> 16) as u16);
                }
            }
        }
    }
}
