//! Tiles: rows that a warp reads side by side, one load each, a step apart that the kernel knows only when it runs.
//!
//! A row is too short for the processor to foresee the next one, and what the next block, or the next turn of a loop, reads of
//! them lies behind all of these. How far, the code finds out as it goes: it remembers for each warp where the tile began the
//! last time, and asks for what lies as far ahead as this time is from that.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use ptx::{Body, Op, Operand, RegisterId};

use super::Lowering;
use super::groups::Group;
use super::memory::Room;
use crate::kind::LANES;

/// So many rows are worth it.
const ROWS: usize = 4;

/// Tells a block's groups which tile they are rows of; tiles count on from `first`. How many there are.
pub(super) fn find(body: &Body, block: Range<usize>, groups: &mut [Group], first: usize) -> usize {
    let is_row = |group: &&mut Group| group.by_block && group.room == Room::Window;
    let mut rows: Vec<&mut Group> = groups.iter_mut().filter(is_row).collect();
    if rows.len() < ROWS {
        return 0;
    }
    let bases: HashSet<RegisterId> = rows.iter().map(|row| row.base).collect();
    // The first row of each, by base: a row that is a step behind another is of its tile.
    let mut tile_of: HashMap<RegisterId, RegisterId> = bases.iter().map(|base| (*base, *base)).collect();
    for instruction in &body.instructions[block] {
        if body.mnemonic(instruction).op == Op::Add
            && let [Operand::Register(to), Operand::Register(from), Operand::Register(_)] =
                instruction.operands[..]
            && bases.contains(&to)
            && let Some(tile) = tile_of.get(&from).copied()
        {
            tile_of.insert(to, tile);
        }
    }
    rows.sort_by_key(|row| tile_of[&row.base]);
    let tiles =
        rows.chunk_by_mut(|a, b| tile_of[&a.base] == tile_of[&b.base]).filter(|rows| rows.len() >= ROWS);
    let mut count = 0;
    for tile in tiles {
        tile.iter_mut().for_each(|row| row.tile = Some(first + count));
        count += 1;
    }
    count
}

impl Lowering<'_> {
    /// How far the tile, a row of which is at `row`, is from where it was the last time. Of its rows the first that asks tells.
    pub(super) fn step_of_tile(&mut self, tile: usize, row: &str) -> String {
        if let Some(step) = self.ahead.steps.get(&tile) {
            return step.clone();
        }
        let warp = self.text.value("load i32, ptr %warp");
        let warps = (self.block_shape.iter().product::<u32>() as usize).div_ceil(LANES);
        let of_tile = self.text.value(format!("getelementptr i64, ptr %tiles, i32 {}", tile * warps));
        let place = self.text.value(format!("getelementptr i64, ptr {of_tile}, i32 {warp}"));
        let last = self.text.value(format!("load i64, ptr {place}"));
        self.text.line(format!("store i64 {row}, ptr {place}"));
        let step = self.text.value(format!("sub i64 {row}, {last}"));
        self.ahead.steps.insert(tile, step.clone());
        step
    }
}
