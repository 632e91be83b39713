//! Few lanes: loops of the second world once more, for when only the first lanes of a warp are in them.
//!
//! Where rows are shorter than a block is wide, some warp has work for a few of its lanes, as a rule the first ones. In the
//! *narrow* world vectors have [`FEW`] lanes. All else is as in the second world, of which it is a part: a warp comes here at a
//! loop's head and goes back to the second world where it leaves the loops that have code here, or comes to a block where other
//! lanes wait as well. Registers that vary have variables of their own here, which are put in place in the second world's there.

use std::collections::{BTreeSet, HashMap, HashSet};

use ptx::{Body, Mnemonic, Op, RegisterId};

use super::{Lowering, Queue, World};
use crate::graph::{End, Graph, Set};
use crate::kind::{Kind, LANES};

/// Lanes of a vector there: of words, a register of 256 bits.
pub(super) const FEW: usize = 8;
/// Longer loops have no code of this kind.
const LONGEST: usize = 2000;
/// Blocks that have it, of all loops: LLVM's time grows with the square of them.
const MOST_BLOCKS: usize = 24;

/// Loops that have code for few lanes.
#[derive(Default)]
pub(super) struct Narrow {
    /// By their first block, their last one.
    heads: HashMap<usize, usize>,
    blocks: HashSet<usize>,
    /// Registers that they write.
    written: HashSet<RegisterId>,
    /// Blocks for which the running region leaves the narrow world.
    left: BTreeSet<usize>,
}

impl Narrow {
    pub fn new(body: &Body, graph: &Graph) -> Narrow {
        let mut narrow = Narrow::default();
        for (last, block) in graph.blocks.iter().enumerate() {
            for head in block.successors().filter(|head| *head <= last) {
                let blocks = narrow.blocks.len() + last + 1 - head;
                if blocks <= MOST_BLOCKS && is_narrow(body, graph, head, last) {
                    let end = narrow.heads.entry(head).or_insert(last);
                    *end = last.max(*end);
                    narrow.blocks.extend(head..=last);
                }
            }
        }
        for block in &narrow.blocks {
            let range = graph.blocks[*block].instructions.clone();
            narrow.written.extend(range.flat_map(|index| graph.roles[index].writes.iter().copied()));
        }
        narrow
    }
}

/// Whether all that happens in some blocks happens to each lane by itself.
fn is_narrow(body: &Body, graph: &Graph, head: usize, last: usize) -> bool {
    let blocks = &graph.blocks[head..=last];
    let goes_on = |end| matches!(end, End::Jump(_) | End::Branch { taken: Some(_), .. });
    let length: usize = blocks.iter().map(|block| block.instructions.len()).sum();
    let mut all = blocks.iter().flat_map(|block| block.instructions.clone());
    length <= LONGEST
        && blocks.iter().all(|block| goes_on(block.end))
        && all.all(|index| is_lane_wise(body.mnemonic(&body.instructions[index])))
}

/// Whether an instruction happens to each lane by itself.
pub(super) fn is_lane_wise(mnemonic: &Mnemonic) -> bool {
    matches!(mnemonic.op, Op::Ld | Op::Ldu | Op::St | Op::Mov | Op::Cvta) || mnemonic.is_pure()
}

impl Lowering<'_> {
    /// Whether any code is for few lanes.
    pub(super) fn has_narrow(&self) -> bool {
        !self.narrow.blocks.is_empty()
    }

    /// Whether a register has a variable of its own in the narrow world.
    pub(super) fn is_narrow(&self, register: RegisterId) -> bool {
        let varies = self.second.facts.kinds[register as usize] == Kind::Varying;
        varies && self.bits(register) > 1 && !self.is_resident(register)
    }

    /// Whether the way from the running block to another one leads into a loop that has code for few lanes.
    fn is_way_in(&self, block: usize) -> bool {
        let inside = |last: &usize| self.world == World::Second && (block..=*last).contains(&self.block);
        self.narrow.heads.get(&block).is_some_and(|last| !inside(last))
    }

    /// To a block where lanes (`mask`) wait, in the second world, or in the narrow one, if lanes are few.
    pub(super) fn go_second(&mut self, block: usize, mask: &str, queue: &mut Queue) {
        queue.want(World::Second, block);
        let second = self.label(World::Second, block);
        if !self.is_way_in(block) {
            return self.text.line(format!("br label %{second}"));
        }
        queue.want(World::Narrow, block);
        let few = self.text.value(format!("icmp ult i32 {mask}, {}", 1 << FEW));
        let enter = self.text.label();
        self.text.line(format!("br i1 {few}, label %{enter}, label %{second}"));
        self.text.begin(&enter);
        for register in self.narrow_registers(&self.needed_at(block)) {
            let (from, ty) = (self.variable(World::Second, register), self.type_of(register, Kind::Varying));
            let all = self.text.value(format!("load {ty}, ptr {from}"));
            let few = self.text.shuffle(&ty, &all, "poison", (0..FEW).map(Some));
            let to = self.variable(World::Narrow, register);
            self.text.line(format!("store <{FEW} x i{}> {few}, ptr {to}", self.bits(register)));
        }
        let label = self.label(World::Narrow, block);
        self.text.line(format!("br label %{label}"));
    }

    fn narrow_registers(&self, live: &Set) -> Vec<RegisterId> {
        live.iter()
            .map(|register| register as RegisterId)
            .filter(|register| self.is_narrow(*register))
            .collect()
    }

    /// In the narrow world: to a block where lanes (`mask`) wait, which may be in the second world.
    pub(super) fn leave_narrow(&mut self, block: usize, mask: &str, queue: &mut Queue) {
        queue.want(World::Second, block);
        // One way for all that leave: LLVM's time grows with the ways into a block.
        self.narrow.left.insert(block);
        let leave = self.leaving(block);
        if !self.narrow.blocks.contains(&block) {
            return self.text.line(format!("br label %{leave}"));
        }
        queue.want(World::Narrow, block);
        let few = self.text.value(format!("icmp ult i32 {mask}, {}", 1 << FEW));
        let label = self.label(World::Narrow, block);
        self.text.line(format!("br i1 {few}, label %{label}, label %{leave}"));
    }

    fn leaving(&self, block: usize) -> String {
        format!("r{}x{block}", self.region)
    }

    /// The ways out of the narrow world, at a region's end.
    pub(super) fn ways_out(&mut self) {
        for block in std::mem::take(&mut self.narrow.left) {
            self.text.begin(&self.leaving(block));
            for register in self.narrow_registers(&self.needed_at(block)) {
                if self.narrow.written.contains(&register) {
                    let bits = self.bits(register);
                    let variable = self.variable(World::Narrow, register);
                    let few = self.text.value(format!("load <{FEW} x i{bits}>, ptr {variable}"));
                    let all = self.widened(register, &few);
                    let variable = self.variable(World::Second, register);
                    self.text.line(format!("store <{LANES} x i{bits}> {all}, ptr {variable}"));
                }
            }
            let label = self.label(World::Second, block);
            self.text.line(format!("br label %{label}"));
        }
    }

    /// Registers that lanes need which come to a block of the second world, or wait meanwhile.
    fn needed_at(&self, block: usize) -> Set {
        let mut live = self.graph.live_in[block].clone();
        for waiting in self.second.frontiers[block].iter() {
            live.add_all(&self.graph.live_in[waiting]);
        }
        live
    }

    /// A register's lanes, the first few of them as given, the others as the second world has them.
    pub(super) fn widened(&mut self, register: RegisterId, few: &str) -> String {
        let bits = self.bits(register);
        let (narrow, wide) = (format!("<{FEW} x i{bits}>"), format!("<{LANES} x i{bits}>"));
        let variable = self.variable(World::Second, register);
        let others = self.text.value(format!("load {wide}, ptr {variable}"));
        let places = (0..LANES).map(|lane| (lane < FEW).then_some(lane));
        let first = self.text.shuffle(&narrow, few, "poison", places);
        let places = (0..LANES).map(|lane| Some(if lane < FEW { lane } else { LANES + lane }));
        self.text.shuffle(&wide, &first, &others, places)
    }
}
