//! Loops in which the warps of a block take turns.
//!
//! Threads that lie side by side read memory side by side, warp after warp. If one warp ran its loop to the end before the next
//! one begins, a block would go over its memory once for each warp, in strides, which neither caches nor prefetchers like. So a
//! loop of one block that reads device memory is a region of its own, without a barrier before it: warps come to its head as to a
//! barrier, go round some times, and make room for the next one. Where others are does not matter: those that have come to a
//! real barrier wait.

use std::collections::HashMap;

use interpreter::compiled::ENDED;
use ptx::{Body, Op, RegisterId};

use super::memory::{Room, room};
use super::{Lowering, World};
use crate::forced::Forced;
use crate::graph::{End, Graph};
use crate::kind::{Facts, Kind, LANES};

/// Longer loops are not shared out: they do much in one round, often all there is to do.
const LONGEST: usize = 32;
/// A loop that would have to go round more often than this for its turns to pay is not shared out.
const MOST: usize = 16;
/// As many parts of a loop's work may be spent on turns as one in so many.
const SHARE: usize = 10;
/// A turn of more rounds than it needs has no more than this: each round goes over a place of its own in memory, mostly in another
/// page, and of many at a time a processor follows none (eight at a distance of 64 KiB: 67 GB/s, sixteen: 41).
const PLACES: usize = 8;

/// How often a warp goes round in one turn, by the loop's block.
pub(super) fn turns(
    body: &Body,
    graph: &Graph,
    facts: &Facts,
    block_shape: [u32; 3],
    forced: Forced,
) -> HashMap<usize, u32> {
    if block_shape.iter().product::<u32>() as usize <= LANES {
        return HashMap::new();
    }
    let blocks = 0..graph.blocks.len();
    let turn = |block| match forced.rounds(block) {
        Some(rounds) => is_loop(graph, block).then_some(rounds),
        None => turn(body, graph, facts, block),
    };
    blocks.filter_map(|block| Some((block, turn(block)?))).collect()
}

/// Whether a block can follow itself.
fn is_loop(graph: &Graph, block: usize) -> bool {
    matches!(graph.blocks[block].end, End::Branch { taken, next, .. } if taken == Some(block) || next == block)
}

fn turn(body: &Body, graph: &Graph, facts: &Facts, block: usize) -> Option<u32> {
    let range = graph.blocks[block].instructions.clone();
    if !is_loop(graph, block)
        || range.len() > LONGEST
        || !range.clone().any(|index| reads_device_memory(body, facts, index))
    {
        return None;
    }
    let is_written =
        |register: RegisterId| range.clone().any(|index| graph.roles[index].writes.contains(&register));
    let varying = graph.live_in[block].iter().filter(|register| facts.kinds[*register] == Kind::Varying);
    // What the loop changes is loaded and stored, what it only reads is loaded.
    let visit: usize = varying.map(|register| if is_written(register as RegisterId) { 2 } else { 1 }).sum();
    let least = (SHARE * visit).div_ceil(range.len()).next_power_of_two().max(2);
    (least <= MOST).then_some((2 * least).min(least.max(PLACES)) as u32)
}

/// Whether an instruction is a load from another place for each lane.
fn reads_device_memory(body: &Body, facts: &Facts, index: usize) -> bool {
    let instruction = &body.instructions[index];
    let mnemonic = body.mnemonic(instruction);
    mnemonic.op == Op::Ld
        && matches!(room(mnemonic), Ok(Room::Window | Room::Generic))
        && facts.operand(&instruction.operands[1]).kind != Kind::Uniform
}

impl Lowering<'_> {
    /// Warps that are at other regions are passed over, and remembered.
    pub(super) fn take_turn(&mut self) {
        let region = self.region;
        let next = self.text.value(format!("load i32, ptr %next{region}"));
        let here = self.text.value(format!("icmp eq i32 {next}, {region}"));
        self.text.line(format!("br i1 {here}, label %r{region}b, label %r{region}o"));
        self.text.begin(&format!("r{region}o"));
        let ended = self.text.value(format!("icmp eq i32 {next}, {}", ENDED as i32));
        let place = self.text.value(format!("select i1 {ended}, i32 0, i32 {next}"));
        let place = self.text.value(format!("zext i32 {place} to i64"));
        let bit = self.text.value(format!("shl i64 1, {place}"));
        let bit = self.text.value(format!("select i1 {ended}, i64 0, i64 {bit}"));
        self.see(&bit);
        self.text.line(format!("br label %r{region}n"));
    }

    /// Whether a block's branch to itself is one of the rounds in which warps take turns.
    fn is_round(&self, target: Option<usize>) -> bool {
        target == Some(self.block) && self.turns.contains_key(&self.block)
    }

    /// Where a branch leads that ends a round: not straight to the loop's head if others may have their turn.
    pub(super) fn round(&self, label: String, target: Option<usize>) -> String {
        match self.is_round(target) {
            true if self.is_proven() => format!("{label}p"),
            true => format!("{label}t"),
            false => label,
        }
    }

    /// Behind a round: another one, or the next warp's turn.
    pub(super) fn end_round(&mut self) {
        if !self.is_round(Some(self.block)) {
            return;
        }
        let head = self.label(World::First, self.block);
        self.text.begin(&self.round(head.clone(), Some(self.block)));
        if self.is_proven() {
            // It was the last one.
            return self.arrive(self.block);
        }
        let rounds = self.text.value("load i32, ptr %rounds");
        let left = self.text.value(format!("sub i32 {rounds}, 1"));
        self.text.line(format!("store i32 {left}, ptr %rounds"));
        let last = self.text.value(format!("icmp eq i32 {left}, 0"));
        let over = self.text.label();
        self.text.line(format!("br i1 {last}, label %{over}, label %{head}"));
        self.text.begin(&over);
        self.arrive(self.block);
    }
}
