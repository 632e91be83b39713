//! What a GPU answered: the file, and what it says of a case.
//!
//! ```text
//!   header line, then for each case:  text \n  status  [hash of all results, 8 bytes]  [results of a few threads]
//! ```
//!
//! A case that its compiler refused has the status 0 and nothing behind it. Approximate results have no hash, and more threads.

use std::collections::HashMap;
use std::io::Read;

use executors::Failure;

use crate::bound::approximation;
use crate::case::{Case, cases};
use crate::judge::normal;
use crate::values::hash_text;

/// Threads whose results are kept in full.
const KEPT: usize = 40;
/// The same, where there is no hash.
const KEPT_APPROXIMATE: usize = 1024;

/// What is known of one case.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The GPU's compiler does not take it for this card.
    Refused,
    /// It ran.
    Results {
        /// Of all results, normalised.
        hash: u64,
        /// Of the threads of [`kept_threads`], output after output.
        kept: Vec<u64>,
    },
}

/// Answers by the text of their case.
pub struct Golden {
    /// Who answered.
    pub header: String,
    /// What.
    pub answers: HashMap<String, Answer>,
}

/// The threads whose results are kept.
pub fn kept_threads(case: &Case) -> Vec<usize> {
    let kept = if approximation(&case.mnemonic).is_some() { KEPT_APPROXIMATE } else { KEPT };
    let step = case.count() / kept;
    (0..kept).map(|index| index * step + (hash_text(&case.text) as usize + index * 7) % step).collect()
}

/// A hash of all results of a case; 0 where they are approximate.
pub fn hash(case: &Case, results: &[u64]) -> u64 {
    if approximation(&case.mnemonic).is_some() {
        return 0;
    }
    let count = case.count();
    results.iter().enumerate().fold(0, |hash: u64, (at, bits)| {
        let mixed = (hash ^ normal(case, at / count, *bits)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    })
}

/// The results of the kept threads among all.
pub fn kept(case: &Case, results: &[u64]) -> Vec<u64> {
    let threads = kept_threads(case);
    results.chunks(case.count()).flat_map(|output| threads.iter().map(|thread| output[*thread])).collect()
}

/// Appends what an executor answered to one case.
pub fn write(out: &mut Vec<u8>, case: &Case, results: &Result<Vec<u64>, Failure>) {
    out.extend(case.text.as_bytes());
    out.push(b'\n');
    let Ok(results) = results else { return out.push(0) };
    out.push(1);
    if approximation(&case.mnemonic).is_none() {
        out.extend(hash(case, results).to_le_bytes());
    }
    let threads = kept_threads(case).len();
    for (at, bits) in kept(case, results).iter().enumerate() {
        out.extend(&bits.to_le_bytes()[..width(case, at / threads)]);
    }
}

/// Bytes of a result in the file.
fn width(case: &Case, output: usize) -> usize {
    let output = case.outputs[output];
    match output.ty.size() {
        _ if output.wide => 8,
        1 if output.ty != ptx::Type::Pred => 4,
        size => size as usize,
    }
}

impl Golden {
    /// Reads a compressed file.
    pub fn read(compressed: &[u8]) -> Result<Golden, String> {
        let mut decoder =
            ruzstd::decoding::StreamingDecoder::new(compressed).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        decoder.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let by_text: HashMap<String, Case> =
            cases().into_iter().map(|case| (case.text.clone(), case)).collect();
        let mut rest = Rest(&bytes);
        let header = rest.line()?;
        let mut answers = HashMap::new();
        while !rest.0.is_empty() {
            let text = rest.line()?;
            let case = by_text.get(&text).ok_or_else(|| {
                format!("`{text}` is no case of the table any more: record anew (scripts/record-vectors)")
            })?;
            let answer = rest.answer(case)?;
            answers.insert(text, answer);
        }
        Ok(Golden { header, answers })
    }
}

/// What has not been read yet.
struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn line(&mut self) -> Result<String, String> {
        let end = self.0.iter().position(|byte| *byte == b'\n').ok_or("the file ends within a line")?;
        let line = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        Ok(line)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        if self.0.len() < bytes {
            return Err("the file ends within a number".into());
        }
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(&self.0[..bytes]);
        self.0 = &self.0[bytes..];
        Ok(u64::from_le_bytes(word))
    }

    fn answer(&mut self, case: &Case) -> Result<Answer, String> {
        if self.number(1)? == 0 {
            return Ok(Answer::Refused);
        }
        let hash = if approximation(&case.mnemonic).is_none() { self.number(8)? } else { 0 };
        let threads = kept_threads(case).len();
        let kept: Result<Vec<u64>, String> =
            (0..threads * case.outputs.len()).map(|at| self.number(width(case, at / threads))).collect();
        Ok(Answer::Results { hash, kept: kept? })
    }
}
