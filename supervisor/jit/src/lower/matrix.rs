//! Matrix instructions: products, and matrices between memory and registers.
//!
//! Registers of products are *resident*: they are kept where the interpreter has its registers, in both worlds and across
//! barriers, as a warp's fragments are far more than the processor has registers. A product is done by functions of crate
//! `tensor` (its `parts`), which find them there: a factor is packed for the first product of a block that it is part of, and the
//! packed form serves until one of its registers is written; sums are read and written in their places.
//!
//! All lanes take part: where they may have parted, it is assumed that they have not.

use std::collections::{HashMap, HashSet};

use ptx::{Mnemonic, Modifier, Op, Operand, RegisterId, Type};
use tensor::parts::{Packing, Parts};

use super::memory::{Access, room};
use super::{Lowered, Lowering, Value, World};
use crate::kind::{Kind, LANES, Pattern};

/// Packed factors that a block has at once: far more than one product has, so that those of the product at hand are never
/// among the ones that make room.
const MOST_PACKED: usize = 24;

/// Bytes of a row of a matrix in memory.
const ROW: Access = Access { bits: 32, count: 4, constant: false };

/// What matrix instructions need beside the rest.
#[derive(Default)]
pub(super) struct Matrix {
    resident: HashSet<RegisterId>,
    /// Registers whose value the register file has, beside those that are resident and were not written.
    filed: HashSet<RegisterId>,
    /// The one that was needed last is last.
    packed: Vec<Packed>,
    /// Bytes of each place for a packed factor.
    places: Vec<usize>,
    /// Lists of registers' places in the file, and their numbers.
    lists: HashMap<Vec<u32>, usize>,
}

/// A factor that has been packed.
struct Packed {
    registers: Vec<RegisterId>,
    left: bool,
    packing: &'static str,
    place: usize,
}

impl Matrix {
    pub fn begin_block(&mut self) {
        self.filed.clear();
        self.packed.clear();
    }

    /// A register is written.
    pub fn forget(&mut self, register: RegisterId) {
        self.filed.remove(&register);
        self.packed.retain(|packed| !packed.registers.contains(&register));
    }

    /// The lists' tables.
    pub fn tables(&self) -> String {
        let mut lists: Vec<(&Vec<u32>, &usize)> = self.lists.iter().collect();
        lists.sort_by_key(|(_, number)| **number);
        let table = |(list, number): (&Vec<u32>, &usize)| {
            let places: Vec<String> = list.iter().map(|place| format!("i32 {place}")).collect();
            let count = list.len();
            format!("@places{number} = private constant [{count} x i32] [{}]\n", places.join(", "))
        };
        lists.into_iter().map(table).collect()
    }

    fn list(&mut self, places: Vec<u32>) -> String {
        let next = self.lists.len();
        format!("@places{}", self.lists.entry(places).or_insert(next))
    }

    /// A place for a packed factor of so many bytes: a free one, or that of the factor which was not needed
    /// for longest.
    fn place(&mut self, bytes: usize) -> usize {
        if self.packed.len() == MOST_PACKED {
            self.packed.remove(0);
        }
        let used = |place: &usize| self.packed.iter().any(|packed| packed.place == *place);
        let place = (0..MOST_PACKED).find(|place| !used(place)).unwrap_or(0);
        if place == self.places.len() {
            self.places.push(0);
        }
        self.places[place] = self.places[place].max(bytes);
        place
    }
}

impl Lowering<'_> {
    /// Finds the registers of products.
    pub(super) fn find_resident(&mut self) {
        let kinds = &self.first.facts.kinds;
        let mut resident = HashSet::new();
        for (instruction, roles) in self.body.instructions.iter().zip(&self.graph.roles) {
            if is_product(self.body.mnemonic(instruction)) {
                let all = roles.reads.iter().chain(&roles.writes).copied();
                resident.extend(all.filter(|register| {
                    let place = *register as usize;
                    self.bits(*register) == 32 && kinds[place] == Kind::Varying && !self.plan.kept[place]
                }));
            }
        }
        self.matrix.resident = resident;
    }

    /// Registers that stay in the register file for another reason than that they are matrices.
    pub(super) fn make_resident(&mut self, registers: &HashSet<RegisterId>) {
        self.matrix.resident.extend(registers);
    }

    /// Whether a register is kept in the register file.
    pub(super) fn is_resident(&self, register: RegisterId) -> bool {
        self.matrix.resident.contains(&register)
    }

    /// Makes the register file have a register's lanes, on the way that code takes: not for stops, which lead elsewhere.
    pub(super) fn file(&mut self, register: RegisterId) {
        let untouched = self.is_resident(register) && !self.written.contains_key(&register);
        if !untouched && self.matrix.filed.insert(register) {
            let value = self.register(register);
            self.store_lanes(register, &value);
        }
    }

    /// Variables for packed factors.
    pub(super) fn packed_places(&mut self) {
        for (place, bytes) in self.matrix.places.clone().into_iter().enumerate() {
            self.text.line(format!("%packed{place} = alloca [{bytes} x i8], align 32"));
        }
    }

    pub(super) fn matrix(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        self.together()?;
        match mnemonic.op {
            _ if is_product(mnemonic) => self.multiply(mnemonic, operands),
            Op::Ldmatrix => self.load_matrices(mnemonic, operands),
            Op::Stmatrix => self.store_matrices(mnemonic, operands),
            Op::Movmatrix => {
                self.used.note("matrix transposed");
                let source = self.source(&operands[1], 32, true)?;
                let name = self.matrix_transposed(&source);
                self.assign(&operands[0], Kind::Varying, name, 32)
            }
            _ => Err("a fragment between memory and registers".into()),
        }
    }

    /// Assumes that all lanes execute. From then on that is known.
    fn together(&mut self) -> Lowered<()> {
        if self.guard.is_some() {
            return Err("a matrix instruction under a guard".into());
        }
        if self.world != World::First
            && let Some(mask) = self.mask.clone()
        {
            let all = self.text.value(format!("icmp eq i32 {mask}, -1"));
            self.assume(&all);
            self.next_segment(self.at);
            // The new segment has this instruction's load or store: what would change what it finds ends it.
            self.split_segment(self.at);
            self.mask = None;
        }
        Ok(())
    }

    /// `mma` and `wmma.mma`.
    fn multiply(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        if mnemonic.has(Modifier::Sp) || mnemonic.has(Modifier::SpOrdered) {
            return Err("a product of a thinned factor".into());
        }
        let parts = Parts::of(&interpreter::product(mnemonic)?).ok_or("a product of this kind")?;
        let [d, a, b, c, ..] = operands else { return Err("a product of fewer operands".into()) };
        let [a, b, c, d] = [registers(a)?, registers(b)?, registers(c)?, registers(d)?];
        let (rows, columns) = parts.blocks;
        let [in_a, in_b, in_c, in_d] = parts.registers();
        let enough = a.len() >= rows * in_a
            && b.len() >= columns * in_b
            && c.len() >= rows * columns * in_c
            && d.len() == rows * columns * in_d;
        if !enough || !d.iter().all(|register| self.is_resident(*register)) {
            return Err("a product of other registers".into());
        }
        let mixed = |(place, register): (usize, &RegisterId)| {
            c.iter().enumerate().any(|(other, addend)| addend == register && other != place)
        };
        if d.iter().enumerate().any(mixed) || in_c != in_d && d.iter().any(|register| c.contains(register)) {
            return Err("a product whose sums change their places".into());
        }
        for register in &c {
            self.file(*register);
        }
        self.used.note(if parts.summing.floats { "product of floats" } else { "product of integers" });
        let exact = self.plan.flushes && parts.summing.floats;
        let name = format!("vgpu_{}_{}", if exact { "exact" } else { "sum" }, parts.summing.name);
        let (base, word) = (format!("%file{}", self.region), parts.sums.word().to_string());
        for row in 0..rows {
            let left = self.packed(&a[row * in_a..][..in_a], &parts.packing[0], true);
            for column in 0..columns {
                let right = self.packed(&b[column * in_b..][..in_b], &parts.packing[1], false);
                let tile = row * columns + column;
                let sums = c[tile * in_c..][..in_c].iter().chain(&d[tile * in_d..][..in_d]);
                let list = self.places(sums);
                let arguments =
                    [("ptr", base.as_str()), ("ptr", &list), ("ptr", &left), ("ptr", &right), ("i32", &word)];
                self.text.perform(&name, &arguments);
            }
        }
        for register in d {
            self.written.remove(&register);
            self.forget(register);
        }
        // It may not be done twice.
        self.next_segment(self.at + 1);
        Ok(())
    }

    /// A factor, packed.
    fn packed(&mut self, registers: &[RegisterId], packing: &Packing, left: bool) -> String {
        let same = |packed: &&Packed| {
            packed.left == left && packed.packing == packing.name && packed.registers == registers
        };
        if let Some(number) = self.matrix.packed.iter().position(|packed| same(&packed)) {
            self.used.note("factor packed before");
            let packed = self.matrix.packed.remove(number);
            let name = format!("%packed{}", packed.place);
            self.matrix.packed.push(packed);
            return name;
        }
        for register in registers {
            self.file(*register);
        }
        let place = self.matrix.place(packing.bytes(registers.len()));
        self.matrix.packed.push(Packed { registers: registers.to_vec(), left, packing: packing.name, place });
        let (base, list) = (format!("%file{}", self.region), self.places(registers.iter()));
        let (name, count) = (format!("%packed{place}"), registers.len().to_string());
        let function = format!("vgpu_{}_{}", if left { "left" } else { "right" }, packing.name);
        let arguments = [("ptr", base.as_str()), ("ptr", &list), ("i32", &count), ("ptr", &name)];
        self.text.perform(&function, &arguments);
        name
    }

    /// The table of registers' places in the file.
    fn places<'r>(&mut self, registers: impl Iterator<Item = &'r RegisterId>) -> String {
        let places = registers.map(|register| self.plan.registers[*register as usize]).collect();
        self.matrix.list(places)
    }

    /// `ldmatrix`: one, two or four matrices, a row of each at the address of a lane.
    fn load_matrices(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        self.used.note(if mnemonic.has(Modifier::Trans) {
            "matrices loaded transposed"
        } else {
            "matrices loaded"
        });
        let targets = matrices(mnemonic, &operands[0])?;
        let rows = self.rows(mnemonic, &operands[1], 8 * targets.len())?;
        let ty = "<4 x i32>";
        for (target, rows) in targets.iter().zip(rows.chunks(8)) {
            let mut loaded = Vec::new();
            for row in rows {
                loaded.push(self.text.value(format!("load {ty}, ptr {row}, align {}", ROW.total())));
            }
            let mut name = self.text.joined(loaded, ROW.count, 32);
            if mnemonic.has(Modifier::Trans) {
                name = self.matrix_transposed(&name);
            }
            self.assign(target, Kind::Varying, name, 32)?;
        }
        Ok(())
    }

    /// `stmatrix`: the other way round.
    fn store_matrices(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        self.used.note("matrices stored");
        let sources = matrices(mnemonic, &operands[1])?;
        let rows = self.rows(mnemonic, &operands[0], 8 * sources.len())?;
        for (source, rows) in sources.iter().zip(rows.chunks(8)) {
            let mut name = self.source(source, 32, true)?;
            if mnemonic.has(Modifier::Trans) {
                name = self.matrix_transposed(&name);
            }
            for (number, row) in rows.iter().enumerate() {
                let lanes = (4 * number..4 * number + 4).map(Some);
                let part = self.text.shuffle(&self.text.integer(32, true), &name, "poison", lanes);
                self.text.line(format!("store <4 x i32> {part}, ptr {row}, align {}", ROW.total()));
            }
        }
        Ok(())
    }

    /// Pointers to rows, of which the first lanes have the addresses.
    fn rows(&mut self, mnemonic: &Mnemonic, operand: &Operand, count: usize) -> Lowered<Vec<String>> {
        let mut address = self.address(operand, room(mnemonic)?, ROW)?;
        let lane = |lane: usize| lane % count;
        address.value = match self.facts().pattern(address.value.kind) {
            Some(pattern) => {
                let pattern: Pattern = std::array::from_fn(|place| pattern[lane(place)]);
                Value { kind: self.facts().patterns.kind(&pattern), ..address.value }
            }
            None if count == LANES => address.value,
            None => {
                let lanes = (0..LANES).map(|place| Some(lane(place)));
                if let Some(narrow) = &address.narrow {
                    let name =
                        self.text.shuffle(&self.text.integer(32, true), narrow, "poison", lanes.clone());
                    address.narrow = Some(name);
                }
                let name =
                    self.text.shuffle(&self.text.integer(64, true), &address.value.name, "poison", lanes);
                Value { kind: Kind::Varying, name }
            }
        };
        let place = self.checked(&address, ROW, None)?;
        let mut pointers = self.lane_pointers(&place, None);
        pointers.truncate(count);
        Ok(pointers)
    }

    /// An 8 × 8 matrix of 16-bit elements, a row in four lanes, with rows and columns exchanged.
    fn matrix_transposed(&mut self, lanes: &str) -> String {
        let ty = "<8 x i16>";
        let all = self.text.value(format!("bitcast {} {lanes} to <64 x i16>", self.text.integer(32, true)));
        let mut rows = Vec::new();
        for row in 0..8 {
            rows.push(self.text.shuffle("<64 x i16>", &all, "poison", (8 * row..8 * row + 8).map(Some)));
        }
        // Each of three times, rows n and n + 4 become neighbours, element by element.
        for _ in 0..3 {
            rows = (0..8)
                .map(|row| {
                    let first = row % 2 * 4;
                    let places = (0..8).map(|place| Some(first + place / 2 + place % 2 * 8));
                    self.text.shuffle(ty, &rows[row / 2], &rows[row / 2 + 4], places)
                })
                .collect::<Vec<String>>();
        }
        let joined = self.text.joined(rows, 8, 16);
        self.text.value(format!("bitcast <64 x i16> {joined} to {}", self.text.integer(32, true)))
    }
}

/// Whether an instruction is a product.
fn is_product(mnemonic: &Mnemonic) -> bool {
    let moves = mnemonic.has(Modifier::Load) || mnemonic.has(Modifier::Store);
    mnemonic.op == Op::Mma || mnemonic.op == Op::Wmma && !moves
}

/// The registers of a fragment.
fn registers(operand: &Operand) -> Lowered<Vec<RegisterId>> {
    let register = |part: &Operand| match part {
        Operand::Register(register) => Ok(*register),
        _ => Err("a fragment that is not all registers".to_string()),
    };
    match operand {
        Operand::Vector(parts) => parts.iter().map(register).collect(),
        other => Ok(vec![register(other)?]),
    }
}

/// The operands of matrices that lie in memory as 8 rows of 16 bytes.
fn matrices(mnemonic: &Mnemonic, operand: &Operand) -> Lowered<Vec<Operand>> {
    let parts = match operand {
        Operand::Vector(parts) => parts.clone(),
        other => vec![other.clone()],
    };
    let plain = mnemonic.ty() == Some(Type::B16) && mnemonic.shape.is_some_and(|shape| shape.m == 8);
    if !plain || !matches!(parts.len(), 1 | 2 | 4) {
        return Err("matrices of this form".into());
    }
    Ok(parts)
}
