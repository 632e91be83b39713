//! Blocks whose warps all go the same straight way to their end, in a loop without tests.
//!
//! Many kernels do the same to each element: they compare a place with a bound, compute some addresses, load, compute and store.
//! All that they test on the way is linear in the warp's number, so the block's first and last warp tell of all between
//! (`proof`). Where that fails, as in a grid's last block, warps go the usual way.
//!
//! Most of it is linear in the block's number as well. Then a row of blocks is proven at once, but for its last block, which may be
//! the grid's last and have less to do:
//!
//! ```text
//!   row ── holds for all but the last ──▶ sweep, block after block ─┐
//!    └── fails ──▶ proof of a block ── holds ──▶ sweep              ├──▶ proof of the next block
//!                    └── fails ──▶ the usual way ───────────────────┘
//! ```

use std::collections::{HashMap, HashSet};
use std::mem::offset_of;
use std::ops::Range;

use interpreter::compiled::Frame;
use ptx::Operand;

use super::proof::{Assumptions, Proof};
use super::{Lowered, Lowering, World};
use crate::graph::End;
use crate::kind::LANES;

/// Longer ways have enough to do beside their tests.
const LONGEST: usize = 96;

/// Instructions on the longest way from a block to the lanes' end, and the next block on it; none if a way does not come to the end.
type Known = HashMap<usize, Option<(usize, Option<usize>)>>;

impl Lowering<'_> {
    /// The label at which the first block of a row begins.
    pub(super) fn begin_label(&self) -> &'static str {
        if self.is_swept { "row" } else { "r0h" }
    }

    /// Goes on to the row's next block: in a row that has been proven straight to its sweep.
    pub(super) fn begin_next(&mut self) {
        if !self.is_swept {
            return self.text.line("br label %r0h");
        }
        let proven = self.text.value("load i32, ptr %proven");
        let none = self.text.value(format!("icmp eq i32 {proven}, 0"));
        self.text.line(format!("br i1 {none}, label %proof, label %onward"));
        self.text.begin("onward");
        let less = self.text.value(format!("sub i32 {proven}, 1"));
        self.text.line(format!("store i32 {less}, ptr %proven"));
        self.text.line("br label %sweep");
    }

    /// Makes proof and sweep, if the kernel goes one way.
    pub(super) fn lower_sweep(&mut self) {
        let used = self.used.clone();
        self.is_swept = self.proof_and_sweep().is_ok() && !self.proof.in_doubt;
        if self.is_swept {
            self.used.note("sweep");
            self.done += &self.text.take();
            let needed = std::mem::take(&mut self.proof.proven);
            self.lower_row(&needed);
        } else {
            self.used = used;
            self.text.take();
        }
        self.proof = Proof::default();
    }

    fn warps(&self) -> u32 {
        self.block_shape.iter().product::<u32>() / LANES as u32
    }

    /// The proof of a row of blocks, if there can be one of all that the sweep needs.
    fn lower_row(&mut self, needed: &HashSet<usize>) {
        let used = self.used.clone();
        if self.prove_row().is_ok() && self.proof.proven.is_superset(needed) {
            self.used.note("row swept");
        } else {
            self.used = used;
            self.text.take();
            self.text.begin("row");
            self.text.line("br label %proof");
        }
        self.done += &self.text.take();
    }

    fn prove_row(&mut self) -> Lowered<()> {
        let way = self.way()?;
        self.text.begin("row");
        self.text.line("store i32 0, ptr %warp");
        let field = self.field(offset_of!(Frame, left));
        let left = self.text.value(format!("load i32, ptr {field}"));
        let alone = self.text.value(format!("icmp eq i32 {left}, 0"));
        self.text.line(format!("br i1 {alone}, label %proof, label %rows"));
        self.text.begin("rows");
        // All but the last one are as many as are left behind the first.
        let more = self.text.value(format!("sub i32 {left}, 1"));
        let wide = self.text.value(format!("zext i32 {more} to i64"));
        self.proof = Proof::of_row("proof", self.warps(), wide);
        self.prove_way(&way)?;
        self.text.line(format!("store i32 {more}, ptr %proven"));
        self.text.line("br label %sweep");
        Ok(())
    }

    fn proof_and_sweep(&mut self) -> Lowered<()> {
        let warps = self.warps();
        let forced = self.manner.forced;
        if warps < 2 || !forced.is_straight() || forced.order.is_some() {
            return Err("nothing to gain, or a test that wants the usual way".into());
        }
        if self.has_parts() {
            return Err("a warp that lacks lanes".into());
        }
        if self.graph.live_in[0].iter().next().is_some() {
            return Err("registers that have something before they are written".into());
        }
        let way = self.way()?;
        self.proof = Proof::new("r0h", warps, true);
        self.text.begin("proof");
        self.text.line("store i32 0, ptr %warp");
        self.text.line("store i32 0, ptr %proven");
        self.prove_way(&way)?;
        self.text.line("br label %sweep");
        self.text.begin("sweep");
        self.proof.assumptions = Assumptions::Proven;
        self.begin_block(World::First, way[0]);
        for block in way {
            self.next_of_way(block);
            self.lower_proven(self.graph.blocks[block].instructions.clone())?;
        }
        let warp = self.text.value("load i32, ptr %warp");
        let next = self.text.value(format!("add nuw nsw i32 {warp}, 1"));
        self.text.line(format!("store i32 {next}, ptr %warp"));
        let more = self.text.value(format!("icmp ult i32 {next}, {warps}"));
        self.text.line(format!("br i1 {more}, label %sweep, label %swept"));
        self.text.begin("swept");
        self.text.line("store i32 0, ptr %warp");
        self.text.line("br label %done");
        Ok(())
    }

    /// Tests all that the warps of a block assume on a way.
    fn prove_way(&mut self, way: &[usize]) -> Lowered<()> {
        self.begin_block(World::First, way[0]);
        for (place, block) in way.iter().enumerate() {
            self.next_of_way(*block);
            for index in self.graph.blocks[*block].instructions.clone() {
                self.at = index;
                self.prove(index)?;
            }
            if let End::Branch { predicate, negated, taken, .. } = self.graph.blocks[*block].end {
                let is_taken = way.get(place + 1).copied() == taken;
                self.prove_predicate(&Operand::Register(predicate), is_taken != negated)?;
            }
        }
        Ok(())
    }

    /// The next block of a way: what was written on it keeps its name.
    pub(super) fn next_of_way(&mut self, block: usize) {
        let written = std::mem::take(&mut self.written);
        self.begin_block(World::First, block);
        self.written = written;
    }

    /// Instructions of which all that they assume is proven.
    pub(super) fn lower_proven(&mut self, range: Range<usize>) -> Lowered<()> {
        let mut runs = self.runs();
        // Passes that are a loop take lanes from variables, and on a way nothing is put there.
        runs.retain(|run| !run.is_rolled());
        let mut next = range.start;
        while next < range.end {
            if let Some(run) = runs.iter().find(|run| run.range.start == next)
                && self.in_passes(run)
            {
                next = run.range.end;
                continue;
            }
            self.at = next;
            self.instruction(next)?;
            next += 1;
        }
        self.fetch_ahead();
        Ok(())
    }

    /// The blocks from the first one to the end of the lanes: where there are several ways, the longest.
    fn way(&self) -> Lowered<Vec<usize>> {
        let mut known = Known::new();
        self.length_from(0, &mut known).filter(|length| *length <= LONGEST).ok_or("no way that is short")?;
        let mut way = vec![0];
        while let Some((_, Some(next))) = way.last().and_then(|block| known[block]) {
            way.push(next);
        }
        Ok(way)
    }

    fn length_from(&self, block: usize, known: &mut Known) -> Option<usize> {
        if let Some(known) = known.get(&block) {
            return known.map(|(length, _)| length);
        }
        // Whoever comes back here goes in a circle.
        known.insert(block, None);
        let own = self.graph.blocks[block].instructions.len();
        let found = match self.graph.blocks[block].end {
            End::Exit => (own, None),
            End::Barrier { .. } | End::Stop => return None,
            End::Jump(next) => (own + self.length_from(next, known)?, Some(next)),
            End::Branch { taken, next, .. } => {
                let here = self.length_from(next, known)?;
                let there = taken.map_or(Some(0), |taken| self.length_from(taken, known))?;
                if there > here { (own + there, taken) } else { (own + here, Some(next)) }
            }
        };
        known.insert(block, Some(found));
        Some(found.0)
    }
}
