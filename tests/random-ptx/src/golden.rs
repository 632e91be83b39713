//! Checksums that a GPU gave: `seed text result`, hexadecimal, a line each.

use crate::program::Program;

/// A line of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// The program.
    pub seed: u64,
    /// A hash of its text and shape, so that a generator that has changed is told from a wrong result.
    pub text: u64,
    /// What the GPU gave.
    pub result: u64,
}

impl Line {
    /// What was found for a program.
    pub fn new(program: &Program, result: u64) -> Line {
        Line { seed: program.seed, text: text_hash(program), result }
    }

    /// Every line of a file but comments.
    pub fn all(file: &str) -> Result<Vec<Line>, String> {
        file.lines().filter(|line| !line.starts_with('#')).map(Line::parse).collect()
    }

    fn parse(line: &str) -> Result<Line, String> {
        let numbers: Result<Vec<u64>, _> =
            line.split(' ').map(|word| u64::from_str_radix(word, 16)).collect();
        match numbers.as_deref() {
            Ok(&[seed, text, result]) => Ok(Line { seed, text, result }),
            _ => Err(format!("`{line}` is no line of checksums")),
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x} {:016x} {:016x}", self.seed, self.text, self.result)
    }
}

/// A hash of a program's text and shape.
pub fn text_hash(program: &Program) -> u64 {
    let shape = program.grid.iter().chain(&program.block).map(|size| u64::from(*size));
    crate::random::checksum(program.text().bytes().map(u64::from).chain(shape))
}
