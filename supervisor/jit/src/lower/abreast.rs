//! Passes abreast: a run is cut into *parts*, and each part is done for the first lanes, then for the next, before the next part.
//!
//! ```text
//!   one after the other:  abcd abcd abcd abcd        abreast:  ab ab ab ab  cd cd cd cd
//! ```
//!
//! That is for runs in which each lane's instructions wait for each other in a chain, as in a sum, or of which many read what all
//! lanes share. The chains of the passes are worked on side by side, a part spreads what is shared once, and registers hold what
//! a part needs: between parts little is alive. LLVM would mix the passes again, load what all of a part need and spill it: what a
//! pass carries to its next part is *settled* where it comes from, so that the next pass begins behind.

use std::ops::Range;

use ptx::RegisterId;

use super::runs::SHORTEST;
use super::{Lowering, Value};

/// Of what the processor's registers hold, one in so many may be alive between parts.
const CARRIED: u32 = 2;

/// A part of a run.
#[derive(Clone)]
pub(super) struct Part {
    pub range: Range<usize>,
    /// Words that are alive behind it, if others follow.
    carried: Vec<RegisterId>,
}

impl Part {
    /// All of a run.
    pub fn whole(run: Range<usize>) -> Part {
        Part { range: run, carried: Vec::new() }
    }
}

impl Lowering<'_> {
    /// The parts of a run, if it has several: by the bits that are alive behind each of its instructions.
    pub(super) fn parts(&self, run: Range<usize>, alive: &[u32]) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        let mut start = run.start;
        for (end, alive) in (run.start + 1..).zip(alive) {
            let is_long = |length: usize| length >= SHORTEST;
            if is_long(end - start) && is_long(run.end - end) && alive * CARRIED <= self.manner.room {
                parts.push(Part::whole(start..end));
                start = end;
            }
        }
        parts.push(Part::whole(start..run.end));
        self.find_carried(&run, &mut parts);
        (parts.len() > 1).then_some(parts)
    }

    fn find_carried(&self, run: &Range<usize>, parts: &mut [Part]) {
        let mut live = self.graph.live_before(self.body, self.block, run.end);
        for number in (1..parts.len()).rev() {
            for index in parts[number].range.clone().rev() {
                self.graph.step_back(self.body, index, &mut live);
            }
            let registers = live.iter().map(|register| register as RegisterId);
            parts[number - 1].carried = registers.filter(|register| self.bits(*register) == 32).collect();
        }
    }

    /// What the pass has written and carries to its next part is there, and its loads are done, before what follows.
    pub(super) fn settle(&mut self, part: &Part) {
        let ty = self.text.integer(32, true);
        for register in &part.carried {
            let Some(value) = self.pass.as_ref().and_then(|pass| pass.written(*register)) else { continue };
            let asm = format!("call {ty} asm sideeffect \"\", \"=v,0\"({ty} {}) memory(none)", value.name);
            let value = Value { name: self.text.value(asm), ..value };
            self.keep(*register, value);
        }
    }
}
