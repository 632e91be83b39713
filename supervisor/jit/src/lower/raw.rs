//! Words as they lie in memory.
//!
//! A load of lanes in a pattern takes them out of chunks by shuffles (`pieces`). Where words are only masked, shifted, and
//! multiplied with others that lie in the same way (`sums`), this can be done to the chunks, and the sums shuffled: what lanes
//! take from the same chunks is done once, not for each of their words.

use std::collections::HashMap;

use super::Lowering;
use super::sums::Sum;
use crate::text::constant;

/// Words of a vector.
pub(super) const WORDS: usize = 8;

/// The words of eight lanes.
#[derive(Clone)]
pub(super) struct Raw {
    /// Vectors of eight words.
    pub chunks: Vec<String>,
    /// Where each lane's word is: in which vector, and where in it.
    pub places: Vec<(usize, usize)>,
}

impl Raw {
    /// One vector, whose words are the lanes'.
    pub fn sorted(vector: String) -> Raw {
        Raw { chunks: vec![vector], places: (0..WORDS).map(|lane| (0, lane)).collect() }
    }

    /// The same vector in place of each chunk.
    pub fn filled(&self, vector: &str) -> Raw {
        Raw { chunks: vec![vector.into(); self.chunks.len()], ..self.clone() }
    }

    pub fn lies_like(&self, other: &Raw) -> bool {
        self.places == other.places && self.chunks.len() == other.chunks.len()
    }

    fn is_sorted(&self) -> bool {
        self.chunks.len() == 1 && self.places.iter().enumerate().all(|(lane, place)| *place == (0, lane))
    }
}

/// What is known of a block's values, by their names.
#[derive(Default)]
pub(super) struct Known {
    words: HashMap<String, Vec<Raw>>,
    /// What words are sums of.
    pub sums: HashMap<String, Sum>,
    /// What has been computed of chunks, by its text.
    done: HashMap<String, String>,
}

impl Known {
    pub fn clear(&mut self) {
        self.words.clear();
        self.sums.clear();
        self.done.clear();
    }

    /// A value's lanes are words of chunks.
    pub fn note(&mut self, name: &str, parts: Vec<Raw>) {
        if !parts.iter().all(Raw::is_sorted) {
            self.words.insert(name.into(), parts);
        }
    }

    pub fn words(&self, name: &str) -> Option<&Vec<Raw>> {
        self.words.get(name)
    }
}

impl Lowering<'_> {
    /// Takes away what has been written since a mark, and what is known of it.
    pub(super) fn back_to(&mut self, mark: usize) {
        self.text.back_to(mark);
        self.raw.clear();
    }

    /// The result of what is computed of chunks, which others may have asked for before.
    pub(super) fn compute_once(&mut self, text: String) -> String {
        if let Some(name) = self.raw.done.get(&text) {
            return name.clone();
        }
        let name = self.text.value(&text);
        self.raw.done.insert(text, name.clone());
        name
    }

    /// [`Lowering::compute_once`] of an intrinsic whose sources are of one type.
    pub(super) fn call_once(&mut self, name: &str, result: &str, ty: &str, sources: &[&str]) -> String {
        let text = format!("{name} {}", sources.join(" "));
        if let Some(name) = self.raw.done.get(&text) {
            return name.clone();
        }
        let sources: Vec<(&str, &str)> = sources.iter().map(|source| (ty, *source)).collect();
        let called = self.text.call(name, result, &sources);
        self.raw.done.insert(text, called.clone());
        called
    }

    /// An instruction with a constant has been done to a value: so it is to its chunks.
    pub(super) fn follow(&mut self, result: &str, how: &str, source: &str, number: u64) {
        let Some(mut parts) = self.raw.words(source).cloned() else { return };
        let number = constant(32, true, number);
        for chunk in parts.iter_mut().flat_map(|part| &mut part.chunks) {
            *chunk = self.compute_once(format!("{how} <{WORDS} x i32> {chunk}, {number}"));
        }
        self.raw.note(result, parts);
    }

    /// Lanes' words from chunks.
    pub(super) fn sorted(&mut self, raw: &Raw) -> String {
        if raw.is_sorted() {
            return raw.chunks[0].clone();
        }
        let ty = format!("<{WORDS} x i32>");
        let second = raw.chunks.get(1).map_or("poison", String::as_str);
        let places = raw.places.iter().map(|(chunk, place)| (*chunk < 2).then_some(chunk * WORDS + place));
        let mut result = self.text.shuffle(&ty, &raw.chunks[0], second, places);
        for (number, chunk) in raw.chunks.iter().enumerate().skip(2) {
            let places = raw.places.iter().enumerate().map(|(lane, (from, place))| {
                if *from == number { Some(WORDS + place) } else { (*from < number).then_some(lane) }
            });
            result = self.text.shuffle(&ty, &result, chunk, places);
        }
        result
    }
}
