//! Which loads of a block are done at once.
//!
//! Loads that have the same base, and nothing between them that could change what they find, are a *group*. Two halves of a word
//! that are put together afterwards count as the word.

use std::collections::{BTreeMap, HashMap};

use ptx::{AddressBase, Body, Instruction, Mnemonic, Modifier, Op, Operand, RegisterId};

use super::memory::{Room, room};
use super::{ahead, tiles};
use crate::graph::Graph;
use crate::linear::Classes;

/// Loads farther apart are not done together.
const FAR: u64 = 1 << 16;

/// What one or two loads of a group read.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The loads; two where they are halves of a word.
    pub loads: Vec<usize>,
    pub offset: i64,
    /// Bits of an element.
    pub bits: u32,
    /// Elements side by side.
    pub count: usize,
}

/// Loads that are done at once.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub base: RegisterId,
    /// Whether it lies elsewhere for each block.
    pub by_block: bool,
    /// The tile that it is a row of.
    pub tile: Option<usize>,
    pub room: Room,
    pub constant: bool,
    /// What each load must be aligned to, in bytes.
    pub align: i64,
    pub members: Vec<Member>,
}

/// The groups of a kernel.
#[derive(Default)]
pub(crate) struct Groups {
    pub list: Vec<Group>,
    /// The group of a load.
    pub of: HashMap<usize, usize>,
    /// How many tiles there are.
    pub tiles: usize,
}

/// A load that may be part of a group.
struct Candidate {
    at: usize,
    base: RegisterId,
    /// The base's class; a number of its own if it is alone.
    class: u32,
    /// What the base has more than its class had at the block's beginning.
    ahead: i64,
    /// How often the block had written the base before, but for steps.
    version: usize,
    room: Room,
    constant: bool,
    /// How many stores and meetings the block had before; of no interest to what never changes.
    epoch: usize,
    offset: i64,
    bits: u32,
    count: usize,
}

impl Groups {
    pub fn new(body: &Body, graph: &Graph) -> Groups {
        let mut groups = Groups::default();
        let classes = Classes::new(body, graph);
        let by_block = ahead::by_block(body, graph);
        for block in &graph.blocks {
            let before = groups.list.len();
            groups.add_block(body, graph, &classes, block.instructions.clone());
            let own = &mut groups.list[before..];
            own.iter_mut().for_each(|group| group.by_block = by_block.contains(&group.base));
            groups.tiles += tiles::find(body, block.instructions.clone(), own, groups.tiles);
        }
        groups
    }

    fn add_block(&mut self, body: &Body, graph: &Graph, classes: &Classes, range: std::ops::Range<usize>) {
        let candidates = candidates(body, graph, classes, range.clone());
        let words = words(body, range, &candidates);
        let mut members: BTreeMap<_, Vec<Member>> = BTreeMap::new();
        for candidate in &candidates {
            let Candidate { at, class, ahead, version, room, constant, epoch, offset, bits, count, .. } =
                *candidate;
            let offset = offset.wrapping_add(ahead);
            let (loads, bits) = match words.get(&at) {
                Some(Some(second)) => (vec![at, *second], 2 * bits),
                // The second half comes with the first.
                Some(None) => continue,
                None => (vec![at], bits),
            };
            let key = (class, version, room as u8, constant, if constant { 0 } else { epoch }, bits);
            members.entry(key).or_default().push(Member { loads, offset, bits, count });
        }
        for ((_, _, _, constant, _, bits), mut members) in members {
            let first = candidates.iter().find(|candidate| candidate.at == members[0].loads[0]);
            let Some(first) = first else { continue };
            // Offsets count from the base of the load that comes first.
            members.iter_mut().for_each(|member| member.offset = member.offset.wrapping_sub(first.ahead));
            if members.iter().any(|member| member.offset.unsigned_abs() > FAR) {
                continue;
            }
            let halves = members.iter().any(|member| member.loads.len() > 1);
            let align = i64::from(bits) / if halves { 16 } else { 8 };
            let number = self.list.len();
            for load in members.iter().flat_map(|member| &member.loads) {
                self.of.insert(*load, number);
            }
            let Candidate { base, room, .. } = *first;
            self.list.push(Group { base, by_block: false, tile: None, room, constant, align, members });
        }
    }
}

fn candidates(
    body: &Body,
    graph: &Graph,
    classes: &Classes,
    range: std::ops::Range<usize>,
) -> Vec<Candidate> {
    let mut versions: HashMap<RegisterId, usize> = HashMap::new();
    let mut steps: HashMap<RegisterId, i64> = HashMap::new();
    let (mut epoch, mut list) = (0, Vec::new());
    for at in range {
        let instruction = &body.instructions[at];
        let mnemonic = body.mnemonic(instruction);
        if let Some((base, offset)) = plain_load(mnemonic, instruction)
            && let (Ok(room), Some(ty)) = (room(mnemonic), mnemonic.ty())
        {
            let constant = [Modifier::Nc, Modifier::Const].iter().any(|modifier| mnemonic.has(*modifier));
            let count = mnemonic.vector();
            let version = versions.get(&base).copied().unwrap_or(0);
            let (class, more) = classes.of(base).unwrap_or((u32::MAX - base, 0));
            let ahead = more.wrapping_add(steps.get(&base).copied().unwrap_or(0));
            let bits = 8 * ty.size();
            list.push(Candidate {
                at,
                base,
                class,
                ahead,
                version,
                room,
                constant,
                epoch,
                offset,
                bits,
                count,
            });
        }
        let changes = !matches!(mnemonic.op, Op::Ld | Op::Ldu)
            && instruction.operands.iter().any(|operand| matches!(operand, Operand::Address { .. }));
        let meets = matches!(mnemonic.op, Op::Bar | Op::Barrier | Op::Membar | Op::Fence);
        epoch += usize::from(changes || meets);
        for register in graph.roles[at].writes.iter().copied() {
            match classes.steps.get(&at) {
                Some(step) => *steps.entry(register).or_default() += step,
                None => *versions.entry(register).or_default() += 1,
            }
        }
    }
    list
}

/// Base and offset of a load that may be done together with others.
fn plain_load(mnemonic: &Mnemonic, instruction: &Instruction) -> Option<(RegisterId, i64)> {
    use Modifier::*;
    let ordered = mnemonic.modifiers.first_of(&[Volatile, Relaxed, Acquire, Mmio]).is_some();
    let odd = ordered || instruction.guard.is_some() || mnemonic.ty().is_none_or(|ty| ty.size() > 8);
    match (mnemonic.op, instruction.operands.get(1)) {
        (Op::Ld | Op::Ldu, Some(Operand::Address { base: AddressBase::Register(base), offset, extra }))
            if !odd && extra.is_empty() =>
        {
            Some((*base, *offset))
        }
        _ => None,
    }
}

/// Pairs of 16-bit loads that are put together: the second load by the first, and nothing by the second.
fn words(
    body: &Body,
    range: std::ops::Range<usize>,
    candidates: &[Candidate],
) -> HashMap<usize, Option<usize>> {
    let target = |candidate: &Candidate| match body.instructions[candidate.at].operands.first() {
        Some(Operand::Register(register)) if candidate.bits == 16 => Some(*register),
        _ => None,
    };
    let mut pairs = HashMap::new();
    for instruction in &body.instructions[range] {
        let mnemonic = body.mnemonic(instruction);
        let [_, Operand::Vector(parts)] = &instruction.operands[..] else { continue };
        let [Operand::Register(low), Operand::Register(high)] = parts[..] else { continue };
        if mnemonic.op != Op::Mov {
            continue;
        }
        let loaded =
            |register| candidates.iter().rev().find(move |candidate| target(candidate) == Some(register));
        let (Some(low), Some(high)) = (loaded(low), loaded(high)) else { continue };
        let alike = (low.class, low.version, low.room, low.constant)
            == (high.class, high.version, high.room, high.constant);
        let still = low.constant || low.epoch == high.epoch;
        let first = low.at < high.at && high.offset + high.ahead == low.offset + low.ahead + 2;
        if alike && still && first && !pairs.contains_key(&low.at) && !pairs.contains_key(&high.at) {
            pairs.insert(low.at, Some(high.at));
            pairs.insert(high.at, None);
        }
    }
    pairs
}
