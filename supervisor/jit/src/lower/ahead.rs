//! Memory that is fetched before it is needed.
//!
//! Warps of a block share out what the block reads: each takes a part of a row, and comes back for another one behind what the
//! other warps read. Run one after the other they go over the row in jumps, which the processor does not foresee. But blocks
//! that follow each other read memory that does, as a rule: so what a block reads is asked for some way ahead as well. Only
//! wide reads are worth that, and only those whose place depends on the block.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use ptx::{Body, Operand, RegisterId, Special};

use super::Lowering;
use crate::graph::Graph;

/// Bytes of a line of the cache.
const LINE: i64 = 64;
/// How far ahead, in bytes: about a row of a large matrix, so that the block before asks for nearly all that a block reads; less is
/// asked for by the block itself, some of it by warps that come later. Found by trying: of rows of 18 KiB, with 8, 12, 16, 24 and
/// 32 KiB, `mat_vec_q4_0_memory` reached 90, 79, 113, 107 and 90 per cent of native.
const DISTANCE: i64 = 16384;
/// Reads of less are not fetched ahead; those of more reach ahead themselves.
const WORTH: Range<i64> = 4 * LINE..128 * LINE;

/// What is asked for at the block's end.
#[derive(Clone, Default)]
pub(super) struct Ahead {
    /// Places behind bases.
    places: Vec<(String, i64)>,
    /// How far tiles go.
    pub steps: HashMap<usize, String>,
}

/// Registers whose values depend on which block it is.
pub(super) fn by_block(body: &Body, graph: &Graph) -> HashSet<RegisterId> {
    let is_index = |operand: &Operand| {
        matches!(operand, Operand::Special(Special::CtaidX | Special::CtaidY | Special::CtaidZ))
    };
    let mut found = HashSet::new();
    loop {
        let before = found.len();
        for (instruction, roles) in body.instructions.iter().zip(&graph.roles) {
            if instruction.operands.iter().any(is_index) || roles.reads.iter().any(|it| found.contains(it)) {
                found.extend(roles.writes.iter().copied());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

impl Lowering<'_> {
    /// Has it asked for what lies ahead of some places behind a base.
    pub(super) fn want_ahead(&mut self, base: &str, places: &[i64], tile: Option<usize>) {
        let (Some(least), Some(most)) = (places.iter().min(), places.iter().max()) else { return };
        let (base, distance) = match tile {
            _ if WORTH.contains(&(most - least)) => (base.to_string(), DISTANCE),
            Some(tile) if most - least < WORTH.start => {
                self.used.note("tile ahead");
                let step = self.step_of_tile(tile, base);
                (self.text.value(format!("add i64 {base}, {step}")), 0)
            }
            _ => return,
        };
        self.used.note("ahead");
        let lines: BTreeSet<i64> = places.iter().map(|place| place.div_euclid(LINE)).collect();
        self.ahead.places.extend(lines.into_iter().map(|line| (base.clone(), line * LINE + distance)));
    }

    /// Asks for all that was wanted, at the block's end: among loads it would hinder LLVM in ordering them.
    pub(super) fn fetch_ahead(&mut self) {
        for (base, place) in std::mem::take(&mut self.ahead).places {
            let place = self.plus(&base, place, false);
            let pointer = self.pointer(&place);
            // To be read, into the second cache: the first one would lose what it holds (18 KiB ahead: 85 per cent, not 119).
            let how = [("ptr", pointer.as_str()), ("i32", "0"), ("i32", "2"), ("i32", "1")];
            self.text.perform("llvm.prefetch.p0", &how);
        }
    }
}
