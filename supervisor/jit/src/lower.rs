//! From a kernel's graph to LLVM IR.
//!
//! Code is made for every region (what lies between barriers) that the kernel has: a loop over the warps of the block around
//! the blocks of the region, in two worlds. In the *first* no lanes have parted: no masks, vectors of all 32 lanes, and a branch
//! whose lanes disagree leads to the *second*, where each block has a mask of lanes that wait for it, the lowest one runs, and
//! what others still need is blended. When all lanes are together again, and no register is kept in another way in the second
//! world, code goes back to the first.
//!
//! A register's value is one word if its [`Kind`] allows, else a vector; a predicate that varies is a word with a bit per lane.
//! Within a block values have names; at a block's end those that are needed later are stored to a variable each, which LLVM's
//! `mem2reg` makes values again.
//!
//! **Stops.** What code does not do, and what it has assumed and finds false (an address that is not device memory, an index
//! that wraps within a warp), leads to a stop: values go to the interpreter's registers, and it goes on. Stops stand before the
//! instruction, or, for assumptions, at the beginning of the *segment* in which they were made: loads, or stores, in
//! a row, which may be done twice.

mod abreast;
mod ahead;
mod arithmetic;
mod aside;
mod atomic;
mod bound;
mod control;
mod convert;
mod copy;
mod dot;
mod emit;
mod fetch;
mod float;
mod groups;
mod halves;
mod loops;
mod matrix;
mod memory;
mod moves;
mod narrow;
mod ones;
mod parted;
mod passes;
mod pieces;
mod places;
mod proof;
mod quads;
mod raw;
mod reach;
mod recomputed;
mod regions;
mod rolled;
mod rounds;
mod rows;
mod step;
mod stop;
mod sums;
mod sweep;
mod tiles;
mod turns;
mod warp_wide;

use std::collections::{BTreeSet, HashMap, HashSet};

use interpreter::Plan;
use interpreter::compiled::{MOST_FRAGMENTS, Region, Spread, Stop, Width};
use ptx::{Body, Instruction, Op, RegisterId, Type};

use crate::forced::Forced;
use crate::graph::{End, Graph, Set};
use crate::kind::{Facts, Kind, LANES};
use crate::text::Text;
use crate::used::Used;

/// Why an instruction, or a kernel, has no code.
pub(crate) type Refused = String;
/// What lowering answers.
pub(crate) type Lowered<T> = Result<T, Refused>;

/// Which world a block's code is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum World {
    /// All lanes are together.
    First,
    /// They may not be.
    Second,
    /// They may not be, and only the first few are in the running loop.
    Narrow,
}

/// A value as code has it.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub kind: Kind,
    /// The base, or the vector; of predicates an `i1`, or a word with a bit per lane.
    pub name: String,
}

/// One world's facts.
pub(crate) struct Knowledge<'a> {
    pub facts: Facts<'a>,
    pub frontiers: Vec<Set>,
}

/// What the outermost lanes say of a comparison.
struct Ends {
    /// Whether it holds for any lane.
    any: String,
    /// Whether it holds for all.
    all: String,
    /// For which it holds if neither, where that is known.
    parted: Option<u32>,
}

/// Regions of a kernel: each has a bit of a word.
const MOST_REGIONS: usize = 60;

/// Where an assumption that fails leads.
#[derive(Clone, Default)]
struct Segment {
    /// Its first instruction.
    start: usize,
    /// Values that registers had there, where the block had written them.
    written: HashMap<RegisterId, Value>,
    loads: bool,
    stores: bool,
    /// Its stop's label, once an assumption was made.
    label: Option<String>,
}

/// All that was made of a kernel, for the tables beside the code.
pub(crate) struct Output {
    pub ir: String,
    pub stops: Vec<Stop>,
    pub regions: Vec<Region>,
    /// Instructions at which the interpreter must be able to begin.
    pub instructions: Vec<u32>,
    pub symbols: Vec<String>,
    pub words: usize,
    pub pending: usize,
    /// See [`interpreter::Frame::tiles`].
    pub tiles: usize,
    pub last_lanes: u32,
    /// Instructions that code does not do, with the reason.
    pub refused: Vec<(u32, Refused)>,
    pub used: Used,
}

/// How code is made.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Whether the processor has an instruction for `dp4a`.
    pub has_dots: bool,
    /// Bits of each lane that the processor's registers hold, some left for what is computed on the way.
    pub room: u32,
    /// Lanes of a pass: words that a register of the processor has.
    pub pass: usize,
    /// What a test forces.
    pub forced: Forced,
}

/// A kernel on its way to IR.
pub(crate) struct Lowering<'a> {
    body: &'a Body,
    plan: &'a Plan,
    graph: &'a Graph,
    block_shape: [u32; 3],
    first: Knowledge<'a>,
    second: Knowledge<'a>,
    manner: Manner,
    /// Bits that words can have.
    ones: ones::Ones,
    text: Text,
    /// What has been written of the function.
    done: String,
    stops: Vec<Stop>,
    instructions: Vec<u32>,
    symbols: Vec<String>,
    refused: Vec<(u32, Refused)>,
    groups: groups::Groups,
    /// Memory to ask for ahead of its use, at the block's end.
    ahead: ahead::Ahead,
    /// Values of loads that were done with others of their group.
    fetched: HashMap<usize, Vec<String>>,
    pass: Option<passes::Pass>,
    shared: passes::Shared,
    rolled: Option<rolled::Rolled>,
    /// Registers that stay in the register file because passes take lanes of them.
    taken: HashSet<RegisterId>,
    /// Registers that have a variable for a pass of so many lanes, where a loop is done in passes.
    pass_variables: BTreeSet<(RegisterId, usize)>,
    /// The first lane that vectors have.
    first_lane: usize,
    /// Real bases of groups that have been tested, and of which not all has been loaded yet.
    tested: HashMap<usize, String>,
    /// First block of each region.
    regions: Vec<usize>,
    /// Regions that are loops in which warps take turns, by their block: how often a warp goes round.
    turns: HashMap<usize, u32>,
    ways: regions::Ways,
    recomputed: recomputed::Recomputed,
    region: usize,
    narrow: narrow::Narrow,
    /// Registers that the running region may write.
    changed: Set,
    /// Words of uniform registers and patterns.
    words: HashMap<RegisterId, u32>,
    world: World,
    block: usize,
    /// The instruction that is being lowered.
    at: usize,
    /// Lanes that execute, in the second world.
    mask: Option<String>,
    /// Those that wait for them, in a block that is run aside.
    waiting: Option<aside::Waiting>,
    /// Lanes for which the instruction's guard holds as well, if it has one.
    guard: Option<Value>,
    written: HashMap<RegisterId, Value>,
    segment: Segment,
    matrix: matrix::Matrix,
    quads: quads::Known,
    halves: halves::Halves,
    raw: raw::Known,
    /// Of the comparison that the block's branch is for, where its ends tell.
    ends: Option<Ends>,
    atomics: atomic::Needs,
    proof: proof::Proof,
    /// Whether there is a sweep.
    is_swept: bool,
    used: Used,
}

/// Blocks of code still to be made in a region.
#[derive(Default)]
struct Queue {
    known: HashSet<(World, usize)>,
    waiting: Vec<(World, usize)>,
}

impl Queue {
    fn want(&mut self, world: World, block: usize) {
        if self.known.insert((world, block)) {
            self.waiting.push((world, block));
        }
    }
}

impl<'a> Lowering<'a> {
    pub fn new(
        body: &'a Body,
        plan: &'a Plan,
        graph: &'a Graph,
        block_shape: [u32; 3],
        first: Knowledge<'a>,
        second: Knowledge<'a>,
        manner: Manner,
    ) -> Lowering<'a> {
        let mut lowering = Lowering {
            ones: ones::Ones::new(body, plan, graph),
            body,
            plan,
            graph,
            block_shape,
            first,
            second,
            manner,
            text: Text::default(),
            done: String::new(),
            stops: Vec::new(),
            instructions: Vec::new(),
            symbols: Vec::new(),
            refused: Vec::new(),
            groups: groups::Groups::new(body, graph),
            ahead: ahead::Ahead::default(),
            fetched: HashMap::new(),
            pass: None,
            shared: passes::Shared::default(),
            rolled: None,
            taken: HashSet::new(),
            pass_variables: BTreeSet::new(),
            first_lane: 0,
            tested: HashMap::new(),
            regions: vec![0],
            turns: HashMap::new(),
            ways: regions::Ways::default(),
            recomputed: recomputed::Recomputed::default(),
            narrow: narrow::Narrow::new(body, graph),
            region: 0,
            changed: Set::default(),
            words: HashMap::new(),
            world: World::First,
            block: 0,
            at: 0,
            mask: None,
            waiting: None,
            guard: None,
            written: HashMap::new(),
            segment: Segment::default(),
            matrix: matrix::Matrix::default(),
            quads: quads::Known::default(),
            halves: halves::Halves::default(),
            raw: raw::Known::default(),
            ends: None,
            atomics: atomic::Needs::default(),
            is_swept: false,
            proof: proof::Proof::default(),
            used: Used::default(),
        };
        lowering.find_resident();
        for block in &graph.blocks {
            if let End::Barrier { next } = block.end
                && !lowering.regions.contains(&next)
            {
                lowering.regions.push(next);
            }
        }
        let mut turns = turns::turns(body, graph, &lowering.first.facts, block_shape, manner.forced);
        turns.retain(|block, _| !lowering.regions.contains(block));
        if lowering.regions.len() + turns.len() <= MOST_REGIONS {
            let mut loops: Vec<usize> = turns.keys().copied().collect();
            loops.sort_unstable();
            lowering.regions.extend(loops);
            lowering.turns = turns;
            if !lowering.turns.is_empty() {
                lowering.used.note("turns");
            }
        }
        let is_turn = |block| lowering.turns.contains_key(&block);
        lowering.ways = regions::Ways::new(graph, &lowering.regions, is_turn, lowering.has_parts());
        lowering.find_taken();
        if lowering.regions.len() > 1 {
            lowering.find_recomputed();
        }
        lowering
    }

    /// Makes the whole function.
    pub fn run(mut self) -> Lowered<Output> {
        if self.regions.len() > MOST_REGIONS {
            return Err(format!("{} barriers are more than code is made for", self.regions.len() - 1));
        }
        if self.second.frontiers.iter().any(|frontier| frontier.iter().count() + 3 > MOST_FRAGMENTS) {
            return Err("lanes can wait at too many places at once".into());
        }
        let mut region = 0;
        while region < self.regions.len() {
            self.region = region;
            self.lower_region();
            region += 1;
        }
        let regions = (0..self.regions.len()).map(|region| self.describe_region(region)).collect();
        let last_lanes = self.last_lanes();
        Ok(Output {
            ir: self.function(),
            stops: self.stops,
            regions,
            instructions: self.instructions,
            symbols: self.symbols,
            words: self.words.len(),
            pending: self.graph.blocks.len(),
            tiles: self.groups.tiles,
            last_lanes,
            refused: self.refused,
            used: self.used,
        })
    }

    fn lower_region(&mut self) {
        let entry = self.regions[self.region];
        self.changed = regions::written_in_region(self.body, self.graph, entry);
        if self.region == 0 {
            self.lower_sweep();
        }
        self.region_head(entry);
        let mut queue = Queue::default();
        if let Some(rounds) = self.turns.get(&entry).copied() {
            self.lower_rounds(entry, rounds, &mut queue);
        }
        queue.want(World::First, entry);
        if self.has_parts() {
            queue.want(World::Second, entry);
        }
        while let Some((world, block)) = queue.waiting.pop() {
            self.lower_block(world, block, &mut queue);
        }
        self.text.lanes = LANES;
        self.ways_out();
        self.region_tail();
        self.done += &self.text.take();
    }

    fn lower_block(&mut self, world: World, block: usize, queue: &mut Queue) {
        self.begin_block(world, block);
        let range = self.graph.blocks[block].instructions.clone();
        let label = self.label(world, block);
        self.text.begin(&label);
        if world == World::First && self.turns.contains_key(&block) && self.regions[self.region] != block {
            return self.arrive(block);
        }
        if world == World::First && self.manner.forced.leaves_first(block) {
            return self.leave_first(block, queue);
        }
        match world {
            World::First => {}
            World::Second => {
                self.used.note("second world");
                self.enter_second(block, queue);
            }
            World::Narrow => {
                self.used.note("narrow world");
                self.enter_narrow(block);
            }
        }
        if self.loop_in_passes(queue) {
            return;
        }
        let runs = if world == World::Narrow { Vec::new() } else { self.runs() };
        let mut next = range.start;
        while next < range.end {
            let index = next;
            if let Some(run) = runs.iter().find(|run| run.range.start == index)
                && self.in_passes(run)
            {
                next = run.range.end;
                continue;
            }
            next += 1;
            if !self.lower_instruction(index) {
                self.finish_segment();
                return;
            }
        }
        self.fetch_ahead();
        self.at = self.graph.blocks[block].end_at;
        self.end(queue);
        self.finish_segment();
    }

    /// Nothing is known where a block begins.
    fn begin_block(&mut self, world: World, block: usize) {
        (self.world, self.block) = (world, block);
        self.text.lanes = if world == World::Narrow { narrow::FEW } else { LANES };
        self.written.clear();
        self.fetched.clear();
        self.matrix.begin_block();
        self.quads.clear();
        self.halves.clear();
        self.raw.clear();
        self.ahead = ahead::Ahead::default();
        self.tested.clear();
        (self.mask, self.ends) = (None, None);
        self.begin_segment(self.graph.blocks[block].instructions.start);
    }

    /// Code for an instruction that does not end a block, or for a stop: whether code goes on behind it.
    fn lower_instruction(&mut self, index: usize) -> bool {
        self.at = index;
        self.split_segment(index);
        self.doubt(index);
        let Err(reason) = self.instruction(index) else { return true };
        self.refused.push((index as u32, reason));
        if self.is_stepped(index) {
            self.used.note("step");
            self.step(index);
            return true;
        }
        self.write_stop(index);
        false
    }

    /// The knowledge of the world that is being lowered.
    fn here(&self) -> &Knowledge<'a> {
        match self.world {
            World::First => &self.first,
            World::Second | World::Narrow => &self.second,
        }
    }

    fn facts(&self) -> &Facts<'a> {
        &self.here().facts
    }

    fn label(&self, world: World, block: usize) -> String {
        let letter = match world {
            World::First => 'f',
            World::Second => 's',
            World::Narrow => 'n',
        };
        format!("r{}{letter}{block}", self.region)
    }

    /// The variable that holds a register between blocks. Worlds share it where they keep the register alike.
    fn variable(&self, world: World, register: RegisterId) -> String {
        if world == World::Narrow && self.is_narrow(register) {
            return format!("%n{register}");
        }
        if self.rolled.as_ref().is_some_and(|rolled| rolled.carries(register)) {
            return self.pass_variable(register, self.text.lanes);
        }
        self.variable_of_warp(world, register)
    }

    /// [`Lowering::variable`] of all lanes.
    fn variable_of_warp(&self, world: World, register: RegisterId) -> String {
        let place = register as usize;
        let same = self.first.facts.kinds[place] == self.second.facts.kinds[place];
        if same || world == World::First { format!("%r{register}") } else { format!("%s{register}") }
    }

    /// Bits of a register; 1 for predicates, 0 for what has no code.
    fn bits(&self, register: RegisterId) -> u32 {
        register_bits(self.body.register_type(register))
    }

    /// The type that a register of this kind has.
    fn type_of(&self, register: RegisterId, kind: Kind) -> String {
        match (self.bits(register), kind) {
            (1, Kind::Varying) => "i32".into(),
            (bits, kind) => self.text.integer(bits, kind == Kind::Varying),
        }
    }

    fn kind(&self, register: RegisterId) -> Kind {
        self.facts().kinds[register as usize]
    }

    /// One instruction that does not end a block.
    fn instruction(&mut self, index: usize) -> Lowered<()> {
        let instruction = &self.body.instructions[index];
        let roles = &self.graph.roles[index];
        if roles.reads.iter().chain(&roles.writes).any(|register| self.bits(*register) == 0) {
            return Err("a register of this type".into());
        }
        self.guard = instruction.guard.map(|(register, negated)| self.condition(register, negated));
        let done = self.plain(instruction);
        self.guard = None;
        done
    }

    fn plain(&mut self, instruction: &Instruction) -> Lowered<()> {
        use Op::*;
        let mnemonic = self.body.mnemonic(instruction);
        let operands = &instruction.operands;
        match mnemonic.op {
            Ld | Ldu => self.load(mnemonic, operands),
            St => self.store(mnemonic, operands),
            Atom | Red => self.atomic(mnemonic, operands),
            Prefetch | Prefetchu | Discard | Applypriority | Pmevent => Ok(()),
            Membar | Fence => {
                self.text.line("fence seq_cst");
                Ok(())
            }
            Mov => self.mov(mnemonic, operands),
            Cvta => self.cvta(mnemonic, operands),
            Cvt => self.convert(mnemonic, operands),
            Setp => self.setp(mnemonic, operands),
            Set => self.set(mnemonic, operands),
            Selp => self.selp(mnemonic, operands),
            Slct => self.slct(mnemonic, operands),
            Shfl => self.shuffle(mnemonic, operands),
            Vote => self.vote(mnemonic, operands),
            Activemask => {
                let all = self.mask.clone().unwrap_or("-1".into());
                self.assign(&operands[0], Kind::Uniform, all, 32)
            }
            Mma | Wmma | Ldmatrix | Stmatrix | Movmatrix => self.matrix(mnemonic, operands),
            Cp => self.copy(mnemonic, operands),
            Bar | Barrier => self.meet(&operands[operands.len().max(1) - 1..]),
            _ if mnemonic.ty() == Some(Type::Pred) => self.logic(mnemonic, operands),
            _ if mnemonic.ty().is_some_and(Type::is_float) => self.float_arithmetic(mnemonic, operands),
            _ => self.arithmetic(mnemonic, operands),
        }
    }

    /// Registers that code keeps as words at a place, for the interpreter; each gets its word if it has none. Some of them the interpreter
    /// computes itself.
    fn spread(&mut self, world: World, live: &Set, recomputed: &Set) -> Vec<Spread> {
        let registers: Vec<RegisterId> = live.iter().map(|register| register as RegisterId).collect();
        let mut list = Vec::new();
        for register in registers {
            let facts = if world == World::First { &self.first.facts } else { &self.second.facts };
            let kind = facts.kinds[register as usize];
            if kind == Kind::Varying || self.bits(register) == 0 {
                continue;
            }
            let pattern = match kind {
                Kind::Pattern(number) => Some(facts.patterns.get(number)),
                _ => None,
            };
            let width = match self.bits(register) {
                1 => Width::Predicate,
                64 => Width::Wide,
                _ => Width::Narrow,
            };
            let word = self.word(register);
            let offset = self.plan.registers[register as usize];
            let kept = self.plan.kept[register as usize] || recomputed.has(register as usize);
            list.push(Spread { offset, width, word, kept, pattern });
        }
        list
    }

    fn describe_region(&mut self, region: usize) -> Region {
        let entry = self.regions[region];
        let live = self.graph.live_in[entry].clone();
        let before = |block: &&crate::graph::Block| block.end == End::Barrier { next: entry };
        let barrier = self.graph.blocks.iter().find(before).map(|block| block.end_at as u32);
        let first = self.graph.blocks[entry].instructions.start as u32;
        self.instructions.push(first);
        self.instructions.extend(barrier);
        let barrier = barrier.filter(|_| region > 0);
        let (registers, instructions) = self.recomputing(entry);
        let recomputed: Vec<u32> = instructions.into_iter().map(|index| index as u32).collect();
        self.instructions.extend(recomputed.iter().flat_map(|index| [*index, index + 1]));
        let spread = self.spread(World::First, &live, &registers);
        let (leads, is_whole) = (self.ways.leads(region), self.ways.is_whole(region));
        Region { entry: first, barrier, spread, recomputed, leads, is_whole }
    }

    fn symbol(&mut self, name: &str) -> usize {
        if let Some(known) = self.symbols.iter().position(|known| known == name) {
            return known;
        }
        self.symbols.push(name.into());
        self.symbols.len() - 1
    }
}

/// Bits of a register as code keeps it; 1 for predicates, 0 for what has no code.
fn register_bits(ty: Type) -> u32 {
    match ty {
        Type::Pred => 1,
        ty if ty.is_opaque() => 0,
        ty => match ty.size() {
            size @ (2 | 4 | 8) => 8 * size,
            _ => 0,
        },
    }
}
