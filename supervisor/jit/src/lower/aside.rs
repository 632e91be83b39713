//! Short blocks that some lanes run while the others wait behind them, as in `if (lane < 4) sum += …`.
//!
//! Where lanes part for a few instructions and meet right behind them nothing has to be found out about who waits where: in the
//! first world code has such blocks once more, with a mask. Both sides of a branch are run one after the other.

use super::narrow::is_lane_wise;
use super::{Lowering, Queue, World};
use crate::graph::{End, Graph};
use crate::kind::Kind;

/// Longer blocks are the second world's.
const LONGEST: usize = 16;

/// Lanes that wait while others run a block aside.
#[derive(Clone)]
pub(super) struct Waiting {
    /// Where they do.
    pub block: usize,
    /// Which they are.
    pub lanes: String,
}

/// What follows a branch whose lanes meet again right behind it.
pub(super) struct Detour {
    /// The block of lanes for which the branch is taken, if they have one of their own.
    taken: Option<usize>,
    /// That of the others.
    next: Option<usize>,
    join: usize,
}

/// Behind blocks that only jump.
fn behind_jumps(graph: &Graph, block: usize) -> usize {
    let mut place = block;
    for _ in 0..4 {
        match graph.blocks[place].end {
            End::Jump(next) if graph.blocks[place].instructions.is_empty() => place = next,
            _ => break,
        }
    }
    place
}

impl Lowering<'_> {
    /// Whether lanes that part at a branch meet again behind a few instructions of one, or of each, of them.
    pub(super) fn detour(&self, taken: Option<usize>, next: usize) -> Option<Detour> {
        let (taken, next) = (behind_jumps(self.graph, taken?), behind_jumps(self.graph, next));
        let behind = |block: usize| match self.graph.blocks[block].end {
            End::Jump(join) => Some(behind_jumps(self.graph, join)),
            _ => None,
        };
        let detour = match (behind(taken), behind(next)) {
            (_, Some(join)) if join == taken => Detour { taken: None, next: Some(next), join },
            (Some(join), _) if join == next => Detour { taken: Some(taken), next: None, join },
            (Some(join), Some(other)) if join == other => {
                Detour { taken: Some(taken), next: Some(next), join }
            }
            _ => return None,
        };
        let sides: Vec<usize> = detour.taken.into_iter().chain(detour.next).collect();
        let is_aside = |side: &usize| {
            let others = sides.iter().copied().filter(|other| other != side);
            let waits: Vec<usize> = others.chain([detour.join]).collect();
            *side != detour.join && self.is_aside(*side, &waits)
        };
        sides.iter().all(is_aside).then_some(detour)
    }

    /// Whether a block can be run aside while others wait at some blocks: each lane by itself, and they find their registers as they left them.
    fn is_aside(&self, block: usize, waits: &[usize]) -> bool {
        let range = self.graph.blocks[block].instructions.clone();
        let is_kept = |index: usize| {
            self.graph.roles[index].writes.iter().all(|register| {
                let varies = self.first.facts.kinds[*register as usize] == Kind::Varying;
                let is_needed = waits.iter().any(|wait| self.graph.live_in[*wait].has(*register as usize));
                !is_needed || varies && !self.is_resident(*register)
            })
        };
        let is_plain = |index: usize| is_lane_wise(self.body.mnemonic(&self.body.instructions[index]));
        range.len() <= LONGEST
            && !self.manner.forced.leaves_first(block)
            && range.into_iter().all(|index| is_plain(index) && is_kept(index))
    }

    /// Runs what is aside of a branch that is taken for the lanes of a word, and goes on behind it.
    pub(super) fn take_detour(&mut self, detour: &Detour, word: &str, queue: &mut Queue) {
        self.used.note("aside");
        let rest = self.text.value(format!("xor i32 {word}, -1"));
        let (block, at, segment) = (self.block, self.at, std::mem::take(&mut self.segment));
        // Those whose turn comes second wait at their own block, if they have one.
        let (yes, no) = (word.to_string(), rest);
        let waiting = Waiting { block: detour.next.unwrap_or(detour.join), lanes: no.clone() };
        let first = detour.taken.is_none_or(|side| self.run_aside(side, &yes, waiting));
        let waiting = Waiting { block: detour.join, lanes: yes };
        let goes_on = first && detour.next.is_none_or(|side| self.run_aside(side, &no, waiting));
        if goes_on {
            self.go_first(detour.join, queue);
        }
        (self.block, self.at, self.segment) = (block, at, segment);
        (self.mask, self.waiting) = (None, None);
    }

    /// Runs a block with some lanes; whether code goes on behind it.
    fn run_aside(&mut self, block: usize, lanes: &str, waiting: Waiting) -> bool {
        self.begin_block(World::First, block);
        (self.mask, self.waiting) = (Some(lanes.into()), Some(waiting));
        let range = self.graph.blocks[block].instructions.clone();
        let goes_on = range.into_iter().all(|index| self.lower_instruction(index));
        let behind = self.text.label();
        if goes_on {
            self.write_back();
            self.text.line(format!("br label %{behind}"));
        }
        self.finish_segment();
        if goes_on {
            self.text.begin(&behind);
        }
        goes_on
    }
}
