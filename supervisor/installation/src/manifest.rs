//! The list of payload files that the packaging step writes beside them: `sha256sum`'s format, one line a file.
//!
//! Reading it is enough to name the cache directory, so starting costs no hashing of megabytes.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// File name of the manifest.
pub const FILE_NAME: &str = "SHA256SUMS";

/// One payload file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// File name, which is the SONAME.
    pub name: String,
    /// SHA-256 of its bytes, as 64 hexadecimal digits.
    pub hash: String,
}

/// The payload's files and their hashes.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// One entry per file.
    pub entries: Vec<Entry>,
    identity: String,
}

/// Why there is no usable manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It could not be read.
    #[error("cannot read the list of payload libraries `{}`: {source}", path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not `HASH  NAME`.
    #[error("line {line} of `{}` is not a SHA-256 sum and a file name", path.display())]
    Malformed {
        /// The manifest.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
}

impl Manifest {
    /// Reads the manifest of a payload directory.
    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        let path = directory.join(FILE_NAME);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ManifestError::Read { path: path.clone(), source })?;
        Self::parse(&text).map_err(|line| ManifestError::Malformed { path, line })
    }

    /// Parses a manifest; the error is the number of the line that is none.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let entries = text
            .lines()
            .enumerate()
            .map(|(index, line)| parse_line(line).ok_or(index + 1))
            .collect::<Result<_, _>>()?;
        Ok(Self::of(entries, text))
    }

    /// These files, of a version that `text` describes.
    pub(crate) fn of(entries: Vec<Entry>, text: &str) -> Self {
        Self { entries, identity: hash(text.as_bytes()) }
    }

    /// Names this version: the hash of the list, shortened to 16 digits.
    pub fn identity(&self) -> &str {
        self.identity.get(..16).unwrap_or("empty")
    }
}

/// SHA-256 as hexadecimal digits.
pub fn hash(bytes: &[u8]) -> String {
    digits(&Sha256::digest(bytes))
}

/// SHA-256 of a file's bytes, without a place for all of them: touching fresh memory costs as much as hashing it.
pub fn hash_of(file: &mut impl Read) -> std::io::Result<String> {
    let mut piece = vec![0; 128 << 10];
    let mut hash = Sha256::new();
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(digits(&hash.finalize())),
            length => hash.update(&piece[..length]),
        }
    }
}

fn digits(sum: &[u8]) -> String {
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_line(line: &str) -> Option<Entry> {
    let (hash, name) = line.split_once("  ")?;
    let hash_is_one = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hash_is_one && !name.is_empty() && !name.contains('/'))
        .then(|| Entry { name: name.to_owned(), hash: hash.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_sha256sum_writes() {
        let sum = hash(b"");
        assert_eq!(sum, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let manifest = Manifest::parse(&format!("{sum}  libcuda.so.1\n")).unwrap();
        assert_eq!(manifest.entries, [Entry { name: "libcuda.so.1".into(), hash: sum }]);
        assert_eq!(manifest.identity().len(), 16);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let sum = hash(b"");
        assert_eq!(Manifest::parse(&format!("{sum}  a\nnonsense\n")).unwrap_err(), 2);
        assert_eq!(Manifest::parse(&format!("{sum}  ../a\n")).unwrap_err(), 1);
    }
}
