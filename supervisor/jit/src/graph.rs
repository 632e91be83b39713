//! A kernel's basic blocks, which registers are alive where, and where lanes can wait.
//!
//! Blocks are numbered in the order of the text, which is the order of priority in which lanes that have parted run (thread
//! frontiers): while a block runs, lanes can only wait at those in its *frontier*.

use std::ops::Range;

use ptx::{Body, Instruction, Modifier, Op, Operand, RegisterId, Roles};

/// A set of small numbers.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Set(Vec<u64>);

impl Set {
    pub fn new(size: usize) -> Set {
        Set(vec![0; size.div_ceil(64)])
    }

    pub fn has(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 != 0
    }

    /// Whether it was not there.
    pub fn insert(&mut self, number: usize) -> bool {
        let word = &mut self.0[number / 64];
        let fresh = *word >> (number % 64) & 1 == 0;
        *word |= 1 << (number % 64);
        fresh
    }

    pub fn remove(&mut self, number: usize) {
        self.0[number / 64] &= !(1 << (number % 64));
    }

    pub fn add_all(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| 64 * index + bit)
        })
    }
}

/// How a block ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// In another block.
    Jump(usize),
    /// In `taken` for lanes for which the predicate holds (or does not, if negated), else in `next`. `None`: those lanes end.
    Branch { predicate: RegisterId, negated: bool, taken: Option<usize>, next: usize },
    /// All lanes end.
    Exit,
    /// Lanes of the whole block meet, and go on in the next one.
    Barrier { next: usize },
    /// With an instruction that code does not do.
    Stop,
}

/// Straight code: instructions, the one that ends it apart.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Where the interpreter goes on behind a stop.
    behind: Vec<usize>,
    pub instructions: Range<usize>,
    /// The instruction that ends it; behind its last one if none does.
    pub end_at: usize,
    pub end: End,
}

impl Block {
    /// Blocks that lanes go to.
    pub fn successors(&self) -> impl Iterator<Item = usize> {
        let (first, second) = match self.end {
            End::Jump(next) | End::Barrier { next } => (Some(next), None),
            End::Branch { taken, next, .. } => (taken, Some(next)),
            End::Exit | End::Stop => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// A kernel's control flow.
pub(crate) struct Graph {
    pub blocks: Vec<Block>,
    /// What each instruction does to its registers.
    pub roles: Vec<Roles>,
    /// Registers whose value a block needs from before it.
    pub live_in: Vec<Set>,
    /// Of registers that a single instruction writes, whatever its guard, which never are read before: that instruction.
    pub only_write: Vec<Option<usize>>,
}

impl Graph {
    pub fn new(body: &Body) -> Graph {
        let blocks = blocks(body);
        let roles = body.instructions.iter().map(|instruction| body.roles(instruction)).collect();
        let live_in = vec![Set::new(body.register_count as usize); blocks.len()];
        let mut graph = Graph { blocks, roles, live_in, only_write: Vec::new() };
        while graph.spread_liveness(body) {}
        graph.only_write = graph.only_writes(body.register_count as usize);
        graph
    }

    fn only_writes(&self, registers: usize) -> Vec<Option<usize>> {
        let mut only = vec![None; registers];
        let mut several = self.live_in.first().cloned().unwrap_or_default();
        for (index, roles) in self.roles.iter().enumerate() {
            for register in roles.writes.iter().map(|register| *register as usize) {
                if only[register].replace(index).is_some() {
                    several.insert(register);
                }
            }
        }
        several.iter().filter(|register| *register < registers).for_each(|register| only[register] = None);
        only
    }

    /// Whether a register has one value from its only write on: that is in no loop.
    pub fn is_settled(&self, register: RegisterId) -> bool {
        let Some(write) = self.only_write[register as usize] else { return false };
        let Some(home) = self.blocks.iter().position(|block| block.instructions.contains(&write)) else {
            return false;
        };
        // Whatever lies in a loop lies between the ends of one of its ways back.
        let goes_back = |(number, block): (usize, &Block)| {
            let mut next = block.successors().chain(block.behind.iter().copied());
            number >= home && next.any(|next| next <= home)
        };
        !self.blocks.iter().enumerate().any(goes_back)
    }

    /// Takes liveness one step further back; whether that changed anything.
    fn spread_liveness(&mut self, body: &Body) -> bool {
        let mut changed = false;
        for number in (0..self.blocks.len()).rev() {
            let live = self.live_before(body, number, self.blocks[number].instructions.start);
            changed |= live != self.live_in[number];
            self.live_in[number] = live;
        }
        changed
    }

    /// Registers that are needed behind a block.
    pub fn live_out(&self, body: &Body, block: usize) -> Set {
        let mut live = Set::new(body.register_count as usize);
        let block = &self.blocks[block];
        for next in block.successors().chain(block.behind.iter().copied()) {
            live.add_all(&self.live_in[next]);
        }
        if let End::Branch { predicate, .. } = block.end {
            live.insert(predicate as usize);
        }
        if block.end == End::Stop {
            self.step_back(body, block.end_at, &mut live);
        }
        live
    }

    /// Registers that are needed before an instruction of a block.
    pub fn live_before(&self, body: &Body, block: usize, instruction: usize) -> Set {
        let mut live = self.live_out(body, block);
        let range = &self.blocks[block].instructions;
        for index in (instruction..range.end).rev() {
            self.step_back(body, index, &mut live);
        }
        live
    }

    /// Liveness before an instruction from that behind it.
    pub fn step_back(&self, body: &Body, index: usize, live: &mut Set) {
        let (roles, guard) = (&self.roles[index], body.instructions[index].guard);
        // A guarded instruction leaves the old value to some lanes.
        if guard.is_none() {
            roles.writes.iter().for_each(|register| live.remove(*register as usize));
        }
        for register in roles.reads.iter().chain(guard.iter().map(|(predicate, _)| predicate)) {
            live.insert(*register as usize);
        }
    }

    /// For each block the blocks at which lanes can wait while it runs, if the branches for which `parts` says so part lanes, and
    /// lanes wait for others at the beginning of the blocks for which `splits` says so.
    pub fn frontiers(&self, parts: impl Fn(usize) -> bool, splits: impl Fn(usize) -> bool) -> Vec<Set> {
        let count = self.blocks.len();
        let mut frontiers = vec![Set::new(count); count];
        for block in (0..count).filter(|block| splits(*block)) {
            frontiers[block].insert(block);
        }
        let mut reached = Set::new(count);
        reached.insert(0);
        loop {
            let mut changed = false;
            for block in 0..count {
                if !reached.has(block) {
                    continue;
                }
                for (pool, sure) in self.pools(block, &frontiers[block], &parts) {
                    changed |= visit(&pool, sure, &mut frontiers, &mut reached);
                }
            }
            if !changed {
                return frontiers;
            }
        }
    }

    /// The sets of blocks at which lanes can be once a block has run, ascending, and one of each that surely has lanes.
    fn pools(
        &self,
        block: usize,
        frontier: &Set,
        parts: &impl Fn(usize) -> bool,
    ) -> Vec<(Vec<usize>, Option<usize>)> {
        let with = |more: &[usize]| {
            let mut pool: Vec<usize> = frontier.iter().chain(more.iter().copied()).collect();
            pool.sort_unstable();
            pool.dedup();
            pool
        };
        match self.blocks[block].end {
            End::Jump(next) | End::Barrier { next } => vec![(with(&[next]), Some(next))],
            End::Exit | End::Stop => vec![(with(&[]), None)],
            End::Branch { taken: None, next, .. } => vec![(with(&[next]), None)],
            End::Branch { taken: Some(taken), next, .. } if parts(block) => {
                vec![(with(&[taken, next]), Some(taken.max(next)))]
            }
            End::Branch { taken: Some(taken), next, .. } => {
                vec![(with(&[taken]), Some(taken)), (with(&[next]), Some(next))]
            }
        }
    }
}

/// The lowest block of a pool that has lanes runs while they wait at those behind it.
fn visit(pool: &[usize], sure: Option<usize>, frontiers: &mut [Set], reached: &mut Set) -> bool {
    let mut changed = false;
    for (place, block) in pool.iter().enumerate() {
        changed |= reached.insert(*block);
        for waiting in &pool[place + 1..] {
            changed |= frontiers[*block].insert(*waiting);
        }
        if Some(*block) == sure {
            break;
        }
    }
    changed
}

/// Whether an instruction ends a block.
fn is_end(body: &Body, instruction: &Instruction) -> bool {
    let mnemonic = body.mnemonic(instruction);
    match mnemonic.op {
        Op::Bra | Op::Ret | Op::Exit | Op::Brx | Op::Call => true,
        Op::Bar | Op::Barrier => !mnemonic.has(Modifier::Warp),
        _ => false,
    }
}

fn blocks(body: &Body) -> Vec<Block> {
    let count = body.instructions.len();
    let mut starts = vec![false; count + 1];
    (starts[0], starts[count]) = (true, true);
    for label in &body.labels {
        starts[label.target.unwrap_or(0) as usize] = true;
    }
    for (index, instruction) in body.instructions.iter().enumerate() {
        if is_end(body, instruction) {
            starts[index + 1] = true;
        }
    }
    let mut number = 0;
    let numbers: Vec<usize> = starts
        .iter()
        .map(|start| {
            number += usize::from(*start);
            number - 1
        })
        .collect();
    let bounds: Vec<usize> = (0..=count).filter(|index| starts[*index]).collect();
    let mut blocks: Vec<Block> =
        bounds.windows(2).map(|bound| block(body, bound[0], bound[1], &numbers)).collect();
    // Running past the end is a return.
    blocks.push(Block { behind: Vec::new(), instructions: count..count, end_at: count, end: End::Exit });
    blocks
}

fn block(body: &Body, first: usize, behind: usize, numbers: &[usize]) -> Block {
    let last = &body.instructions[behind - 1];
    if !is_end(body, last) {
        let end = End::Jump(numbers[behind]);
        return Block { behind: Vec::new(), instructions: first..behind, end_at: behind, end };
    }
    let next = numbers[behind];
    let end = match (body.mnemonic(last).op, last.guard) {
        (Op::Bra, guard) => match last.operands.first() {
            Some(Operand::Label(label)) => {
                let target = numbers[body.labels[*label as usize].target.unwrap_or(0) as usize];
                match guard {
                    None => End::Jump(target),
                    Some(_) if target == next => End::Jump(next),
                    Some((predicate, negated)) => {
                        End::Branch { predicate, negated, taken: Some(target), next }
                    }
                }
            }
            _ => End::Stop,
        },
        (Op::Ret | Op::Exit, None) => End::Exit,
        (Op::Ret | Op::Exit, Some((predicate, negated))) => {
            End::Branch { predicate, negated, taken: None, next }
        }
        (Op::Bar | Op::Barrier, None) if is_plain_barrier(body, last) => End::Barrier { next },
        _ => End::Stop,
    };
    let behind_stop = if end == End::Stop { behind_stop(body, last, next, numbers) } else { Vec::new() };
    Block { behind: behind_stop, instructions: first..behind - 1, end_at: behind - 1, end }
}

/// Where lanes go from an instruction that code does not do.
fn behind_stop(body: &Body, instruction: &Instruction, next: usize, numbers: &[usize]) -> Vec<usize> {
    let mut behind = vec![next];
    let target = |label: &u32| numbers[body.labels[*label as usize].target.unwrap_or(0) as usize];
    match (body.mnemonic(instruction).op, instruction.operands.get(1)) {
        (Op::Brx, Some(Operand::Symbol(table, _))) => {
            let table = body.branch_targets.iter().find(|(name, _)| name == table);
            behind.extend(table.iter().flat_map(|(_, labels)| labels.iter().map(target)));
        }
        (Op::Bra, _) => {
            behind.extend(body.labels.iter().map(|label| numbers[label.target.unwrap_or(0) as usize]))
        }
        _ => {}
    }
    behind
}

/// `bar.sync 0`, in any spelling, for all threads.
fn is_plain_barrier(body: &Body, instruction: &Instruction) -> bool {
    let mnemonic = body.mnemonic(instruction);
    let other = [Modifier::Arrive, Modifier::Red, Modifier::Cluster, Modifier::Wait];
    let zero = matches!(&instruction.operands[..], [Operand::Constant(ptx::Constant::Integer(0))]);
    zero && !other.iter().any(|modifier| mnemonic.has(*modifier))
}
