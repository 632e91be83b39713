//! Accesses of four words of each lane as one vector per lane (a *row*), where lanes have addresses of their own.
//!
//! Four words of a lane are one load of 16 bytes, and a transposition gives the registers their lanes. What is stored as it was
//! loaded needs none: the rows of such registers are remembered until one of them is written.

use std::collections::HashMap;

use ptx::{Operand, RegisterId};

use super::memory::Access;
use super::{Lowering, Value};

/// Rows that registers were loaded from, by the registers; in a block.
pub(super) type Known = HashMap<Vec<RegisterId>, Vec<String>>;

impl Access {
    /// Whether each lane's words are one vector that can be taken apart here.
    pub fn is_row(self) -> bool {
        self.bits == 32 && self.count == 4
    }
}

/// The registers of a row, if it is made of them.
fn registers(operands: &[Operand]) -> Option<Vec<RegisterId>> {
    let register = |operand: &Operand| match operand {
        Operand::Register(register) => Some(*register),
        _ => None,
    };
    operands.iter().map(register).collect()
}

impl Lowering<'_> {
    /// Remembers what registers were loaded from.
    pub(super) fn remember_rows(&mut self, targets: &[Operand], rows: Vec<String>) {
        let Some(registers) = registers(targets) else { return };
        let mut different = registers.clone();
        different.sort_unstable();
        different.dedup();
        if different.len() == registers.len() && registers.iter().all(|register| self.bits(*register) == 32) {
            self.pass.as_mut().map_or(&mut self.quads, |pass| &mut pass.rows).insert(registers, rows);
        }
    }

    /// The rows that registers were loaded from, and still have.
    pub(super) fn remembered_rows(&self, sources: &[Operand]) -> Option<Vec<String>> {
        self.quads.get(&registers(sources)?).cloned()
    }

    /// Rows of four words as four vectors of all lanes.
    pub(super) fn columns_of_rows(&mut self, rows: &[String]) -> Vec<String> {
        let mut columns = vec![Vec::new(); 4];
        for group in rows.chunks(8) {
            // Lanes n and n + 4 side by side.
            let mut pairs = Vec::new();
            for lane in 0..4 {
                let both = (0..8).map(Some);
                pairs.push(self.text.shuffle("<4 x i32>", &group[lane], &group[lane + 4], both));
            }
            for (column, part) in columns.iter_mut().zip(self.exchanged(&pairs)) {
                column.push(part);
            }
        }
        columns.into_iter().map(|parts| self.text.joined(parts, 8, 32)).collect()
    }

    /// The other way round.
    pub(super) fn rows_of_columns(&mut self, columns: &[String]) -> Vec<String> {
        let mut rows = Vec::new();
        for first in (0..self.text.lanes).step_by(8) {
            let mut parts = Vec::new();
            for column in columns {
                let lanes = (first..first + 8).map(Some);
                parts.push(self.text.shuffle(&self.text.integer(32, true), column, "poison", lanes));
            }
            let pairs = self.exchanged(&parts);
            for lane in 0..8 {
                let half = lane / 4 * 4;
                let words = (half..half + 4).map(Some);
                rows.push(self.text.shuffle("<8 x i32>", &pairs[lane % 4], "poison", words));
            }
        }
        rows
    }

    /// In either half of four vectors of eight words: rows and columns exchanged.
    fn exchanged(&mut self, vectors: &[String]) -> Vec<String> {
        let ty = "<8 x i32>";
        let mut weave = |first: &str, second: &str, places: [usize; 4]| {
            let places = places.map(|place| if place < 4 { place } else { place + 4 });
            let both = (0..8).map(|place| Some(places[place % 4] + place / 4 * 4));
            self.text.shuffle(ty, first, second, both)
        };
        let (low, high) = ([0, 4, 1, 5], [2, 6, 3, 7]);
        let low01 = weave(&vectors[0], &vectors[1], low);
        let low23 = weave(&vectors[2], &vectors[3], low);
        let high01 = weave(&vectors[0], &vectors[1], high);
        let high23 = weave(&vectors[2], &vectors[3], high);
        let (first, second) = ([0, 1, 4, 5], [2, 3, 6, 7]);
        vec![
            weave(&low01, &low23, first),
            weave(&low01, &low23, second),
            weave(&high01, &high23, first),
            weave(&high01, &high23, second),
        ]
    }

    /// The place of each lane; scratch memory's for lanes that do not execute.
    pub(super) fn lane_pointers(&mut self, place: &Value, lanes: Option<&str>) -> Vec<String> {
        let pattern = self.facts().pattern(place.kind).filter(|_| lanes.is_none());
        let first = self.first_lane;
        let all = if pattern.is_some() { place.name.clone() } else { self.each_address(place, lanes) };
        let mut pointers = Vec::new();
        for lane in 0..self.text.lanes {
            let address = match pattern {
                Some(pattern) => self.plus(&all, pattern[first + lane], false),
                None => self
                    .text
                    .value(format!("extractelement {} {all}, i32 {lane}", self.text.integer(64, true))),
            };
            pointers.push(self.pointer(&address));
        }
        pointers
    }

    /// The words of each lane.
    pub(super) fn load_rows(&mut self, place: &Value, access: Access, lanes: Option<&str>) -> Vec<String> {
        let ty = format!("<{} x i{}>", access.count, access.bits);
        let mut rows = Vec::new();
        for pointer in self.lane_pointers(place, lanes) {
            rows.push(self.text.value(format!(
                "load {ty}, ptr {pointer}, align {}{}",
                access.total(),
                access.note()
            )));
        }
        rows
    }

    /// Stores the words of each lane, the last lane's last.
    pub(super) fn store_rows(&mut self, place: &Value, rows: &[String], access: Access, lanes: Option<&str>) {
        let ty = format!("<{} x i{}>", access.count, access.bits);
        for (pointer, row) in self.lane_pointers(place, lanes).iter().zip(rows) {
            self.text.line(format!("store {ty} {row}, ptr {pointer}, align {}", access.total()));
        }
    }
}
