//! Loads of lanes that lie in a pattern.
//!
//! All places that any lane reads are loaded once, in *pieces* as large as lie side by side, packed into vectors of a register's
//! size (*chunks*), out of which the lanes are taken. Where only some lanes execute, only what is theirs is touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Lowering;
use super::memory::Access;
use super::raw::{Raw, WORDS};
use crate::text::constants;

/// Bytes of a chunk.
const CHUNK: i64 = 32;

/// Whose each place is, where not all lanes execute.
struct Owners<'a> {
    /// The lanes that do: a word with a bit per lane.
    lanes: &'a str,
    /// Bits of the lanes that read an element.
    of: HashMap<i64, u32>,
}

impl Owners<'_> {
    /// Bits of the lanes that read an element; of what lies between, none.
    fn of(&self, place: i64) -> u32 {
        self.of.get(&place).copied().unwrap_or(0)
    }

    /// Pieces of which each is a vector, or the same lanes' in all of it.
    fn apart(&self, pieces: Vec<(i64, i64)>, size: i64) -> Vec<(i64, i64)> {
        let elements =
            |(start, length): (i64, i64)| (0..length / size).map(move |index| start + index * size);
        let is_vector = |length: i64| size >= 4 && length >= CHUNK / 2;
        let parts = |piece: (i64, i64)| -> Vec<(i64, i64)> {
            let alike = elements(piece).all(|place| self.of(place) == self.of(piece.0));
            if is_vector(piece.1) || alike && piece.1 < CHUNK / 2 {
                return vec![piece];
            }
            elements(piece).map(|place| (place, size)).collect()
        };
        pieces.into_iter().flat_map(parts).collect()
    }
}

impl Lowering<'_> {
    /// Loads what lies at some lists of places, one list of all lanes for each result.
    pub(super) fn fetch(
        &mut self,
        base: &str,
        lists: &[Vec<i64>],
        access: Access,
        align: i64,
        lanes: Option<&str>,
    ) -> Vec<String> {
        if let Some(values) = self.fetch_rows(base, lists, access, align, lanes) {
            return values;
        }
        let mut pieces = pieces(lists, access.size());
        let owners = lanes.map(|lanes| {
            let mut of: HashMap<i64, u32> = HashMap::new();
            for (lane, place) in lists.iter().flat_map(|places| places.iter().enumerate()) {
                *of.entry(*place).or_default() |= 1 << (self.first_lane + lane);
            }
            Owners { lanes, of }
        });
        if let Some(owners) = &owners {
            pieces = owners.apart(pieces, access.size());
        }
        let (chunks, at) = self.load_chunks(base, &pieces, lists, access, align, owners.as_ref());
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
        owners: Option<&Owners>,
    ) -> (Vec<String>, HashMap<i64, (usize, usize)>) {
        let (size, bits) = (access.size(), access.bits);
        let (mut chunks, mut at) = (Vec::new(), HashMap::new());
        let mut by_size: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        pieces.iter().for_each(|(start, length)| by_size.entry(*length).or_default().push(*start));
        for (length, starts) in by_size {
            let before = length;
            let (length, starts) = paired(length, starts, lists, size);
            self.used.note(match length {
                CHUNK => "whole chunk",
                _ if before != length => "halves of chunks paired",
                16 => "half a chunk",
                _ => "packed pieces",
            });
            for part in starts.chunks((CHUNK / length) as usize) {
                for (index, start) in part.iter().enumerate() {
                    for element in 0..length / size {
                        let place = index as i64 * (length / size) + element;
                        at.insert(start + element * size, (chunks.len(), place as usize));
                    }
                }
                let chunk = self.load_chunk(base, part, length, access, align, owners);
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

    fn load_chunk(
        &mut self,
        base: &str,
        starts: &[i64],
        length: i64,
        access: Access,
        align: i64,
        owners: Option<&Owners>,
    ) -> String {
        let note = access.note();
        if length == CHUNK {
            return self.load_vector(base, starts[0], length, access, align, owners);
        }
        if length == CHUNK / 2 {
            return self.load_halves(base, starts, access, align, owners);
        }
        let (count, bits) = (CHUNK / length, 8 * length);
        let ty = format!("<{count} x i{bits}>");
        let mut chunk = String::from("poison");
        for (index, start) in starts.iter().enumerate() {
            let mut place = self.plus(base, *start, false);
            if let Some(owners) = owners {
                place = self.place_for(&place, owners.of(*start), Some(owners.lanes));
            }
            let pointer = self.pointer(&place);
            let piece = self.text.value(format!("load i{bits}, ptr {pointer}, align {align}{note}"));
            chunk = self.text.value(format!("insertelement {ty} {chunk}, i{bits} {piece}, i32 {index}"));
        }
        chunk
    }

    /// A chunk of two halves, each a vector: LLVM would take an integer of their size apart.
    fn load_halves(
        &mut self,
        base: &str,
        starts: &[i64],
        access: Access,
        align: i64,
        owners: Option<&Owners>,
    ) -> String {
        let lanes = CHUNK / 2 / access.size();
        let ty = format!("<{lanes} x i{}>", access.bits);
        let halves: Vec<String> = starts
            .iter()
            .map(|start| self.load_vector(base, *start, CHUNK / 2, access, align, owners))
            .collect();
        let second = halves.get(1).map_or("poison", String::as_str);
        self.text.shuffle(&ty, &halves[0], second, (0..2 * lanes as usize).map(Some))
    }

    /// A piece that is a vector; of what is nobody's that executes, nothing is read.
    fn load_vector(
        &mut self,
        base: &str,
        start: i64,
        length: i64,
        access: Access,
        align: i64,
        owners: Option<&Owners>,
    ) -> String {
        let place = self.plus(base, start, false);
        let pointer = self.pointer(&place);
        let count = length / access.size();
        let ty = format!("<{count} x i{}>", access.bits);
        let Some(owners) = owners else {
            return self.text.value(format!("load {ty}, ptr {pointer}, align {align}{}", access.note()));
        };
        self.used.note("masked load");
        let mine: Vec<u32> = (0..count).map(|index| owners.of(start + index * access.size())).collect();
        let mask = self.executing(&mine, owners.lanes);
        let name = format!("llvm.masked.load.v{count}i{}.p0", access.bits);
        let bits = format!("<{count} x i1>");
        let align = align.to_string();
        let arguments =
            [("ptr", pointer.as_str()), ("i32", &align), (&bits, &mask), (&ty, "zeroinitializer")];
        self.text.call(&name, &ty, &arguments)
    }

    /// For each element whether any of its lanes executes.
    fn executing(&mut self, owners: &[u32], lanes: &str) -> String {
        let count = owners.len();
        let ty = format!("<{count} x i32>");
        let list = |of: &dyn Fn(u32) -> u32| constants(32, owners.iter().map(|lanes| i64::from(of(*lanes))));
        let start = self.text.value(format!("insertelement {ty} poison, i32 {lanes}, i32 0"));
        let zeros = "zeroinitializer";
        let all = self.text.value(format!("shufflevector {ty} {start}, {ty} poison, {ty} {zeros}"));
        let some = self.text.value(format!("and {ty} {all}, {}", list(&|lanes| lanes)));
        if owners.iter().all(|lanes| lanes.count_ones() <= 1) {
            // Equal to what never is where there is no lane: one comparison less than with zero.
            let wanted = list(&|lanes| lanes.max(1));
            return self.text.value(format!("icmp eq {ty} {some}, {wanted}"));
        }
        self.text.value(format!("icmp ne {ty} {some}, {zeros}"))
    }

    /// Stores a vector side by side, for the lanes of a word, to shared memory. Nobody else writes there meanwhile, as a block's warps run one
    /// after the other: so what other lanes have there is stored as it is, if all of it is the block's. Processors are slow to store
    /// with a mask, and to load what was stored so.
    pub(super) fn store_shared_row(&mut self, address: &str, vector: &str, bits: u32, lanes: &str) {
        let offset = self.text.value(format!("sub i64 {address}, %shared"));
        let end = self.plus(&offset, self.text.lanes as i64 * i64::from(bits / 8), false);
        let low = self.text.value(format!("icmp sge i64 {offset}, 0"));
        let high = self.text.value(format!("icmp sle i64 {end}, %shared_bytes"));
        let inside = self.text.value(format!("and i1 {low}, {high}"));
        let (whole, part, behind) = (self.text.label(), self.text.label(), self.text.label());
        self.text.line(format!("br i1 {inside}, label %{whole}, label %{part}, !prof !1"));
        for (label, blends) in [(whole, true), (part, false)] {
            self.text.begin(&label);
            self.store_row(address, vector, bits, lanes, blends);
            self.text.line(format!("br label %{behind}"));
        }
        self.text.begin(&behind);
    }

    /// Stores a vector side by side, for the lanes of a word: by vectors of the processor's, each with its own mask, or blended into what is
    /// there.
    pub(super) fn store_row(&mut self, address: &str, vector: &str, bits: u32, lanes: &str, blends: bool) {
        self.used.note("part of a row stored");
        let count = (8 * CHUNK / i64::from(bits)) as usize;
        let (all, part) = (self.text.integer(bits, true), format!("<{count} x i{bits}>"));
        for first in (0..self.text.lanes).step_by(count) {
            let mine: Vec<u32> = (first..first + count).map(|lane| 1 << (self.first_lane + lane)).collect();
            let mask = self.executing(&mine, lanes);
            let value = self.text.shuffle(&all, vector, "poison", (first..first + count).map(Some));
            let place = self.plus(address, first as i64 * i64::from(bits / 8), false);
            let pointer = self.pointer(&place);
            let (align, mask_type) = (bits / 8, format!("<{count} x i1>"));
            if blends {
                let old = self.text.value(format!("load {part}, ptr {pointer}, align {align}"));
                let new = self.text.value(format!("select {mask_type} {mask}, {part} {value}, {part} {old}"));
                self.text.line(format!("store {part} {new}, ptr {pointer}, align {align}"));
                continue;
            }
            let align = align.to_string();
            let arguments =
                [(part.as_str(), value.as_str()), ("ptr", &pointer), ("i32", &align), (&mask_type, &mask)];
            self.text.perform(&format!("llvm.masked.store.v{count}i{bits}.p0"), &arguments);
        }
    }

    /// A place, or scratch memory if none of some lanes executes.
    pub(super) fn place_for(&mut self, place: &str, owners: u32, lanes: Option<&str>) -> String {
        let Some(lanes) = lanes else { return place.to_string() };
        let mine = self.text.value(format!("and i32 {lanes}, {}", owners as i32));
        let some = self.text.value(format!("icmp ne i32 {mine}, 0"));
        self.text.value(format!("select i1 {some}, i64 {place}, i64 %scratch_address"))
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
        let (mut parts, mut raw): (Vec<String>, Vec<Raw>) = (Vec::new(), Vec::new());
        for lanes in places.chunks(width) {
            let wanted: Vec<(usize, usize)> = lanes.iter().map(|place| at[place]).collect();
            parts.push(self.take_chunk(&wanted, chunks, &ty, width));
            raw.push(raw_of(&wanted, chunks));
        }
        if width > places.len() {
            return self.text.shuffle(&ty, &parts[0], "poison", (0..places.len()).map(Some));
        }
        let name = self.text.joined(parts, width, bits);
        if width == WORDS {
            self.raw.note(&name, raw);
        }
        name
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

/// Lanes' words as they lie in chunks.
fn raw_of(wanted: &[(usize, usize)], chunks: &[String]) -> Raw {
    let sources: BTreeSet<usize> = wanted.iter().map(|(chunk, _)| *chunk).collect();
    let number = |chunk: &usize| sources.range(..chunk).count();
    Raw {
        chunks: sources.iter().map(|chunk| chunks[*chunk].clone()).collect(),
        places: wanted.iter().map(|(chunk, place)| (number(chunk), *place)).collect(),
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
