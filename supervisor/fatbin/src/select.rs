//! Which code of a container a device of a given capability runs.

use std::fmt;

use crate::container::{Container, Entry, Kind};
use crate::error::FatbinError;

/// A container without PTX that the device could run, and what it has instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoCode {
    /// The capability asked for.
    pub capability: u32,
    /// Architectures with PTX, ascending.
    pub ptx: Vec<u32>,
    /// Architectures with machine code, ascending.
    pub sass: Vec<u32>,
    /// PTX that would have fitted but is damaged.
    pub damaged: Vec<FatbinError>,
}

impl<'a> Container<'a> {
    /// Architectures with PTX, ascending, each once.
    pub fn ptx_archs(&self) -> Vec<u32> {
        self.archs(Kind::Ptx)
    }

    /// Architectures with machine code, ascending, each once.
    pub fn sass_archs(&self) -> Vec<u32> {
        self.archs(Kind::Cubin)
    }

    /// The text of the highest PTX at or below `capability`.
    ///
    /// Code for one architecture only (`.target sm_90a`) is taken for exactly that one, code for a family
    /// (`sm_100f`) for its major version: the container's header shows neither, the text does.
    pub fn best_ptx(&self, capability: u32) -> Result<String, NoCode> {
        let mut damaged = Vec::new();
        for entry in self.candidates(capability) {
            match entry.text() {
                Ok(text) if runs_on(&text, entry.arch, capability) => return Ok(text),
                Ok(_) => {}
                Err(error) => damaged.push(error),
            }
        }
        Err(NoCode { capability, ptx: self.ptx_archs(), sass: self.sass_archs(), damaged })
    }

    /// PTX entries at or below `capability`: highest architecture first, then highest ISA version.
    fn candidates(&self, capability: u32) -> Vec<&Entry<'a>> {
        let fits = |entry: &&Entry| entry.kind == Kind::Ptx && entry.arch <= capability;
        let mut entries: Vec<_> = self.entries().iter().filter(fits).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.arch, entry.version)));
        entries
    }

    fn archs(&self, kind: Kind) -> Vec<u32> {
        let mut archs: Vec<u32> =
            self.entries().iter().filter(|entry| entry.kind == kind).map(|entry| entry.arch).collect();
        archs.sort_unstable();
        archs.dedup();
        archs
    }
}

fn runs_on(text: &str, arch: u32, capability: u32) -> bool {
    match target_suffix(text) {
        Some('a') => arch == capability,
        Some('f') => arch / 10 == capability / 10,
        _ => true,
    }
}

/// The letter after the number in `.target sm_90a`.
fn target_suffix(text: &str) -> Option<char> {
    let target = text.lines().map(str::trim_start).find_map(|line| line.strip_prefix(".target"))?;
    let digits = target.trim_start().strip_prefix("sm_")?;
    digits.chars().find(|letter| !letter.is_ascii_digit())
}

impl std::error::Error for NoCode {}

impl fmt::Display for NoCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no PTX for capability {}", dotted(self.capability))?;
        write!(f, ": PTX for {}, machine code for {}", list(&self.ptx), list(&self.sass))?;
        self.damaged.iter().try_for_each(|error| write!(f, "; {error}"))
    }
}

fn list(archs: &[u32]) -> String {
    if archs.is_empty() {
        return "none".to_owned();
    }
    archs.iter().map(|arch| dotted(*arch)).collect::<Vec<_>>().join(" ")
}

fn dotted(arch: u32) -> String {
    format!("{}.{}", arch / 10, arch % 10)
}
