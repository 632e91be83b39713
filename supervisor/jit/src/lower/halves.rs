//! Words of two halves that are taken apart, converted, and stored side by side again: done as they lie, without a shuffle.

use std::collections::HashMap;

use super::Lowering;

/// Where values come from, by their names; in a block.
#[derive(Default)]
pub(super) struct Halves {
    /// Halves of words: the word, and which half.
    parts: HashMap<String, (String, usize)>,
    /// The same of what halves were converted to, from `f16` to `f32`.
    converted: HashMap<String, (String, usize)>,
}

impl Halves {
    pub fn clear(&mut self) {
        self.parts.clear();
        self.converted.clear();
    }

    /// A value is a half of a word.
    pub fn note_part(&mut self, part: &str, word: &str, place: usize) {
        self.parts.insert(part.into(), (word.into(), place));
    }

    /// A value is another one, converted.
    pub fn note_converted(&mut self, name: &str, part: &str) {
        if let Some(origin) = self.parts.get(part) {
            self.converted.insert(name.into(), origin.clone());
        }
    }

    /// The word of which two values are the lower and the upper half.
    pub fn whole(&self, values: &[String]) -> Option<&str> {
        word_of(&self.parts, values)
    }
}

/// The word of which two values come from the lower and the upper half.
fn word_of<'a>(origins: &'a HashMap<String, (String, usize)>, values: &[String]) -> Option<&'a str> {
    let [low, high] = values else { return None };
    match (origins.get(low)?, origins.get(high)?) {
        ((first, 0), (second, 1)) if first == second => Some(first),
        _ => None,
    }
}

impl Lowering<'_> {
    /// Both halves of each lane's word as `f32`, lane after lane, if that is what two vectors are: a vector of so many words.
    pub(super) fn converted_halves(&mut self, values: &[String]) -> Option<(String, usize)> {
        let word = word_of(&self.halves.converted, values)?.to_string();
        let length = 2 * self.text.lanes;
        let (words, halves) = (self.text.integer(32, true), format!("<{length} x half>"));
        let halves_name = self.text.value(format!("bitcast {words} {word} to {halves}"));
        let numbers = self.text.value(format!("fpext {halves} {halves_name} to <{length} x float>"));
        let name = self.text.value(format!("bitcast <{length} x float> {numbers} to <{length} x i32>"));
        Some((name, length))
    }
}
