//! Loads of lanes that lie in a pattern, several at once.
//!
//! Loads of a block that have the same base, and nothing between them that could change what they find, are a *group*: all
//! places that any lane of any of them reads are loaded once, in pieces as large as lie side by side, packed into vectors of a
//! register's size (*chunks*), and each load takes its lanes out of the chunks. Two halves of a word that are put together
//! afterwards are loaded as the word.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ptx::{AddressBase, Body, Instruction, Mnemonic, Modifier, Op, Operand, RegisterId};

use super::memory::{Access, Room, room};
use super::rows::part_of_rows;
use super::{Lowering, ahead};
use crate::graph::Graph;
use crate::kind::{Kind, LANES, Pattern};
use crate::linear::Classes;

/// Loads farther apart are not done together.
const FAR: u64 = 1 << 16;

/// Bytes of a chunk.
const CHUNK: i64 = 32;

/// What one or two loads of a group read.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The loads; two where they are halves of a word.
    pub loads: Vec<usize>,
    pub offset: i64,
    /// Bits of an element.
    bits: u32,
    /// Elements side by side.
    count: usize,
}

/// Loads that are done at once.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    base: RegisterId,
    /// Whether it lies elsewhere for each block.
    by_block: bool,
    room: Room,
    constant: bool,
    /// What each load must be aligned to, in bytes.
    align: i64,
    pub members: Vec<Member>,
}

/// The groups of a kernel.
#[derive(Default)]
pub(crate) struct Groups {
    pub list: Vec<Group>,
    /// The group of a load.
    pub of: HashMap<usize, usize>,
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
            groups.add_block(body, graph, &classes, block.instructions.clone());
        }
        groups.list.iter_mut().for_each(|group| group.by_block = by_block.contains(&group.base));
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
            self.list.push(Group { base, by_block: false, room, constant, align, members });
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

impl Lowering<'_> {
    /// The values of a load that is part of a group, if all lanes execute and lie in a pattern.
    pub(super) fn fetched(&mut self, at: usize) -> Option<Vec<String>> {
        if let Some(values) = self.fetched.get(&at) {
            return Some(values.clone());
        }
        let number = *self.groups.of.get(&at)?;
        let group = self.groups.list[number].clone();
        if self.mask.is_some() || self.guard.is_some() {
            return None;
        }
        let Kind::Pattern(kind) = self.kind(group.base) else { return None };
        let pattern = *self.facts().patterns.get(kind);
        let start = group.members[0].offset + pattern[0];
        let mut places = places_of(&group.members, &pattern);
        let all = || places.iter().flatten().copied();
        if !all().all(|place| (place - start) % group.align == 0) {
            return None;
        }
        let (least, most) = (all().min()?, all().max()?);
        let access = Access { bits: group.members[0].bits, count: 1, constant: group.constant };
        let real = match self.tested.get(&number) {
            Some(real) => real.clone(),
            None => {
                let real = self.checked_group(&group, least, most, start, access)?;
                if group.by_block && group.room == Room::Window {
                    self.want_ahead(&real, &all().collect::<Vec<i64>>());
                }
                real
            }
        };
        let mut members = group.members;
        if let Some(part) = part_of_rows(&places, access, at, &members, pattern[0]) {
            // The others when they are needed: registers would not hold them all.
            members.retain(|member| part.contains(&(member.offset + pattern[0])));
            places = places_of(&members, &pattern);
            self.tested.insert(number, real.clone());
        }
        let values = self.fetch(&real, &places, access, group.align);
        let mut values = values.into_iter();
        for member in &members {
            let mine: Vec<String> = values.by_ref().take(member.count).collect();
            match member.loads[..] {
                [load] => {
                    self.fetched.insert(load, mine);
                }
                [low, high] => {
                    let (word, half) = (format!("<{LANES} x i32>"), format!("<{LANES} x i16>"));
                    let above = self.text.value(format!("lshr {word} {}, splat (i32 16)", mine[0]));
                    let first = self.text.value(format!("trunc {word} {} to {half}", mine[0]));
                    let second = self.text.value(format!("trunc {word} {above} to {half}"));
                    self.fetched.insert(low, vec![first]);
                    self.fetched.insert(high, vec![second]);
                }
                _ => return None,
            }
        }
        self.fetched.get(&at).cloned()
    }

    /// Tests all accesses of a group, and answers its real base.
    fn checked_group(
        &mut self,
        group: &Group,
        least: i64,
        most: i64,
        start: i64,
        access: Access,
    ) -> Option<String> {
        let bits = self.bits(group.base);
        if bits != 64 && group.room != Room::Shared {
            return None;
        }
        let value = self.register(group.base);
        let base = self.in_width(value, bits, 64).name;
        let zeros = self.facts().register(group.base).zeros;
        let aligned = zeros >= group.align.trailing_zeros() && start % group.align == 0;
        let even = (!aligned).then_some((start, group.align));
        Some(self.reachable(group.room, &base, least..=most, access, even, None))
    }

    /// Loads what lies at some lists of places, one list of all lanes for each result.
    pub(super) fn fetch(
        &mut self,
        base: &str,
        lists: &[Vec<i64>],
        access: Access,
        align: i64,
    ) -> Vec<String> {
        if let Some(values) = self.fetch_rows(base, lists, access, align) {
            return values;
        }
        let pieces = pieces(lists, access.size());
        let (chunks, at) = self.load_chunks(base, &pieces, lists, access, align);
        lists.iter().map(|places| self.take(places, &chunks, &at, access.bits)).collect()
    }

    /// Loads pieces and packs them into chunks; tells where each element is.
    fn load_chunks(
        &mut self,
        base: &str,
        pieces: &[(i64, i64)],
        lists: &[Vec<i64>],
        access: Access,
        align: i64,
    ) -> (Vec<String>, HashMap<i64, (usize, usize)>) {
        let (size, bits) = (access.size(), access.bits);
        let (mut chunks, mut at) = (Vec::new(), HashMap::new());
        let mut by_size: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        pieces.iter().for_each(|(start, length)| by_size.entry(*length).or_default().push(*start));
        for (length, starts) in by_size {
            let (length, starts) = paired(length, starts, lists, size);
            for part in starts.chunks((CHUNK / length) as usize) {
                for (index, start) in part.iter().enumerate() {
                    for element in 0..length / size {
                        let place = index as i64 * (length / size) + element;
                        at.insert(start + element * size, (chunks.len(), place as usize));
                    }
                }
                let chunk = self.load_chunk(base, part, length, access, align);
                let lanes = CHUNK / size;
                let (from, ty) = (CHUNK / length, format!("<{lanes} x i{bits}>"));
                chunks.push(if length >= CHUNK / 2 {
                    chunk
                } else {
                    let whole = format!("<{from} x i{}>", 8 * length);
                    self.text.value(format!("bitcast {whole} {chunk} to {ty}"))
                });
            }
        }
        (chunks, at)
    }

    fn load_chunk(&mut self, base: &str, starts: &[i64], length: i64, access: Access, align: i64) -> String {
        let note = access.note();
        if length == CHUNK {
            let place = self.plus(base, starts[0], false);
            let pointer = self.pointer(&place);
            let ty = format!("<{} x i{}>", CHUNK / access.size(), access.bits);
            return self.text.value(format!("load {ty}, ptr {pointer}, align {align}{note}"));
        }
        if length == CHUNK / 2 {
            return self.load_halves(base, starts, access, align);
        }
        let (count, bits) = (CHUNK / length, 8 * length);
        let ty = format!("<{count} x i{bits}>");
        let mut chunk = String::from("poison");
        for (index, start) in starts.iter().enumerate() {
            let place = self.plus(base, *start, false);
            let pointer = self.pointer(&place);
            let piece = self.text.value(format!("load i{bits}, ptr {pointer}, align {align}{note}"));
            chunk = self.text.value(format!("insertelement {ty} {chunk}, i{bits} {piece}, i32 {index}"));
        }
        chunk
    }

    /// A chunk of two halves, each a vector: LLVM would take an integer of their size apart.
    fn load_halves(&mut self, base: &str, starts: &[i64], access: Access, align: i64) -> String {
        let lanes = CHUNK / 2 / access.size();
        let ty = format!("<{lanes} x i{}>", access.bits);
        let mut halves = Vec::new();
        for start in starts {
            let place = self.plus(base, *start, false);
            let pointer = self.pointer(&place);
            halves.push(self.text.value(format!("load {ty}, ptr {pointer}, align {align}{}", access.note())));
        }
        let second = halves.get(1).map_or("poison", String::as_str);
        self.text.shuffle(&ty, &halves[0], second, (0..2 * lanes as usize).map(Some))
    }

    /// A vector of all lanes from chunks.
    fn take(
        &mut self,
        places: &[i64],
        chunks: &[String],
        at: &HashMap<i64, (usize, usize)>,
        bits: u32,
    ) -> String {
        let width = (8 * CHUNK / i64::from(bits)) as usize;
        let ty = format!("<{width} x i{bits}>");
        let mut parts: Vec<String> = Vec::new();
        for lanes in places.chunks(width) {
            let wanted: Vec<(usize, usize)> = lanes.iter().map(|place| at[place]).collect();
            parts.push(self.take_chunk(&wanted, chunks, &ty, width));
        }
        if width > LANES {
            return self.text.shuffle(&ty, &parts[0], "poison", (0..LANES).map(Some));
        }
        self.text.joined(parts, width, bits)
    }

    /// One register's lanes: from the first chunk, then more from each other.
    fn take_chunk(&mut self, wanted: &[(usize, usize)], chunks: &[String], ty: &str, width: usize) -> String {
        let mut sources: Vec<usize> = wanted.iter().map(|(chunk, _)| *chunk).collect();
        sources.sort_unstable();
        sources.dedup();
        let identity = wanted.iter().enumerate().all(|(lane, (_, place))| lane == *place);
        if sources.len() == 1 && identity && wanted.len() == width {
            return chunks[sources[0]].clone();
        }
        let second = sources.get(1).copied();
        let places = (0..width).map(|lane| match wanted.get(lane) {
            Some((chunk, place)) if *chunk == sources[0] => Some(*place),
            Some((chunk, place)) if Some(*chunk) == second => Some(width + place),
            _ => None,
        });
        let other = second.map_or("poison", |second| &chunks[second]);
        let mut result = self.text.shuffle(ty, &chunks[sources[0]], other, places);
        for (done, source) in sources.iter().enumerate().skip(2) {
            let places = (0..width).map(|lane| match wanted.get(lane) {
                Some((chunk, place)) if chunk == source => Some(width + place),
                Some((chunk, _)) if sources[..done].contains(chunk) => Some(lane),
                _ => None,
            });
            result = self.text.shuffle(ty, &result, &chunks[*source], places);
        }
        result
    }
}

/// Pieces in such an order that a register's lanes come from its chunks without crossing from one half to the other. Where a
/// register takes its lanes from several chunks, the halves of a chunk are pieces for the register's lower and upper lanes.
fn paired(length: i64, starts: Vec<i64>, lists: &[Vec<i64>], size: i64) -> (i64, Vec<i64>) {
    let half = CHUNK / 2;
    if length < half {
        return (length, starts);
    }
    let all = starts.iter().flat_map(|start| (0..length / half).map(move |part| start + part * half));
    let mut left: BTreeSet<i64> = all.collect();
    let mut order = Vec::new();
    for lanes in lists.iter().flat_map(|places| places.chunks((CHUNK / size) as usize)) {
        let (lower, upper) = lanes.split_at(lanes.len() / 2);
        let pieces_of = |places: &[i64]| -> BTreeSet<i64> {
            places.iter().filter_map(|place| left.range(..=place).next_back().copied()).collect()
        };
        let (lower, upper) = (pieces_of(lower), pieces_of(upper));
        if lower.len() < 2 || lower.len() != upper.len() || !lower.is_disjoint(&upper) {
            continue;
        }
        order.extend(lower.iter().zip(&upper).flat_map(|(lower, upper)| [*lower, *upper]));
        left.retain(|piece| !lower.contains(piece) && !upper.contains(piece));
    }
    if order.is_empty() {
        return (length, starts);
    }
    order.extend(left);
    (half, order)
}

/// Where lanes find each element of some loads.
fn places_of(members: &[Member], pattern: &Pattern) -> Vec<Vec<i64>> {
    let mut places = Vec::new();
    for member in members {
        for element in 0..member.count as i64 {
            let more = member.offset + element * i64::from(member.bits / 8);
            places.push(pattern.iter().map(|lane| lane + more).collect());
        }
    }
    places
}

/// What to load so that all places are there: starts and lengths in bytes, powers of two up to a chunk.
fn pieces(lists: &[Vec<i64>], size: i64) -> Vec<(i64, i64)> {
    let mut places: Vec<i64> = lists.iter().flatten().copied().collect();
    places.sort_unstable();
    places.dedup();
    let (least, most) = (places[0], places[places.len() - 1]);
    let even = places.iter().all(|place| (place - least) % size == 0);
    let span = most - least + size;
    let count = places.len() as i64;
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for place in places {
        match runs.last_mut() {
            Some((start, length)) if *start + *length == place => *length += size,
            // Places that overlap in parts have pieces of their own.
            _ => runs.push((place, size)),
        }
    }
    let is_regular =
        runs.iter().all(|(_, length)| *length == runs[0].1 && [CHUNK / 2, CHUNK].contains(length));
    if even && !is_regular && span <= 2 * count * size {
        // What lies between is read too: it is within the warp's own span.
        runs = vec![(least, span)];
    }
    let mut pieces = Vec::new();
    for (mut start, mut length) in runs {
        while length > 0 {
            let piece = CHUNK.min(1 << length.ilog2());
            pieces.push((start, piece));
            start += piece;
            length -= piece;
        }
    }
    pieces
}
