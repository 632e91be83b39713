//! Files behind the end of an executable, which neither the kernel nor a loader looks at.
//!
//! ```text
//!   ELF file │ member, member, … (LZ4 blocks) │ index: one line per member │ length of the index │ magic
//!                                                HASH  NAME OFFSET STORED LENGTH
//! ```
//!
//! Finding a member costs two reads. A member is as large as an LZ4 block, or stored as it is where that is smaller.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::manifest::hash;

const MAGIC: &[u8; 16] = b"vgpu-run archive";
const FOOTER: usize = 8 + MAGIC.len();
/// An index is read with the footer if it is no longer than this.
const TAIL: u64 = 4096;
/// No member, unpacked, is larger than this; a damaged index must not ask for all memory.
const LARGEST: usize = 1 << 30;

/// A file in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// File name.
    pub name: String,
    /// SHA-256 of its bytes, unpacked.
    pub hash: String,
    offset: u64,
    stored: usize,
    length: usize,
}

/// The archive in an open executable.
#[derive(Debug)]
pub struct Archive {
    file: File,
    index: String,
    members: Vec<Member>,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The executable could not be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The index is not as it was written.
    #[error("the index of the archive is damaged")]
    Index,
    /// A member does not unpack to what the index says.
    #[error("`{0}` in the archive is damaged")]
    Member(String),
}

impl Archive {
    /// The archive of an executable; `None` if it has none.
    pub fn of(file: File) -> Result<Option<Self>, ArchiveError> {
        let size = file.metadata()?.len();
        let mut tail = vec![0; size.min(TAIL) as usize];
        let start = size - tail.len() as u64;
        file.read_exact_at(&mut tail, start)?;
        let Some(rest) = tail.strip_suffix(MAGIC) else { return Ok(None) };
        let (rest, length) = rest.split_last_chunk().ok_or(ArchiveError::Index)?;
        let length = u64::from_le_bytes(*length);
        let index = if length <= rest.len() as u64 {
            rest[rest.len() - length as usize..].to_vec()
        } else {
            let start = size.checked_sub(FOOTER as u64).and_then(|end| end.checked_sub(length));
            let start = start.ok_or(ArchiveError::Index)?;
            let mut index = vec![0; length as usize];
            file.read_exact_at(&mut index, start)?;
            index
        };
        let index = String::from_utf8(index).map_err(|_| ArchiveError::Index)?;
        let members = index.lines().map(parse_line).collect::<Option<_>>().ok_or(ArchiveError::Index)?;
        Ok(Some(Self { file, index, members }))
    }

    /// The executable.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The index as text, which names this version.
    pub fn index(&self) -> &str {
        &self.index
    }

    /// All members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Bytes that the members take up.
    pub fn stored(&self) -> usize {
        self.members.iter().map(|member| member.stored).sum()
    }

    /// The bytes of a member, unpacked.
    pub fn read(&self, member: &Member) -> Result<Vec<u8>, ArchiveError> {
        let mut stored = vec![0; member.stored];
        self.file.read_exact_at(&mut stored, member.offset)?;
        if member.stored == member.length {
            return Ok(stored);
        }
        lz4_flex::block::decompress(&stored, member.length)
            .ok()
            .filter(|bytes| bytes.len() == member.length)
            .ok_or_else(|| ArchiveError::Member(member.name.clone()))
    }
}

fn parse_line(line: &str) -> Option<Member> {
    let (hash, rest) = line.split_once("  ")?;
    let mut words = rest.split(' ');
    let name = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (offset, stored, length) = (number()?, number()? as usize, number()? as usize);
    let sound = hash.len() == 64 && !name.contains('/') && stored <= length && length <= LARGEST;
    sound.then(|| Member { name, hash: hash.to_owned(), offset, stored, length })
}

/// A file on its way into an archive.
pub struct Packed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// An executable with these files behind its end.
pub fn append(executable: &[u8], files: &[Packed]) -> Vec<u8> {
    let mut made = executable.to_vec();
    let mut index = String::new();
    for file in files {
        let packed = lz4_flex::block::compress(file.bytes);
        let stored = if packed.len() < file.bytes.len() { &packed[..] } else { file.bytes };
        let (offset, length) = (made.len(), file.bytes.len());
        index += &format!("{}  {} {offset} {} {length}\n", hash(file.bytes), file.name, stored.len());
        made.extend_from_slice(stored);
    }
    made.extend_from_slice(index.as_bytes());
    made.extend_from_slice(&(index.len() as u64).to_le_bytes());
    made.extend_from_slice(MAGIC);
    made
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    /// A file with these bytes.
    pub fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn long() -> Vec<u8> {
        b"abc".repeat(5000)
    }

    fn sample() -> Vec<u8> {
        let files = [Packed { name: "long", bytes: &long() }, Packed { name: "short", bytes: b"x" }];
        append(b"\x7fELF and so on", &files)
    }

    fn member<'a>(archive: &'a Archive, name: &str) -> &'a Member {
        archive.members().iter().find(|member| member.name == name).unwrap()
    }

    #[test]
    fn members_come_out_as_they_went_in() {
        let archive = Archive::of(file_of(&sample())).unwrap().unwrap();
        let (first, second) = (member(&archive, "long"), member(&archive, "short"));
        assert_eq!(archive.read(first).unwrap(), long());
        assert_eq!(archive.read(second).unwrap(), b"x");
        assert_eq!(first.hash, hash(&long()));
        assert!(first.stored < 1000 && second.stored == 1);
    }

    #[test]
    fn an_index_longer_than_the_first_read_is_found() {
        let names: Vec<String> = (0..100).map(|number| format!("member-{number}")).collect();
        let files: Vec<_> = names.iter().map(|name| Packed { name, bytes: name.as_bytes() }).collect();
        let archive = Archive::of(file_of(&append(b"", &files))).unwrap().unwrap();
        assert!(archive.index().len() > TAIL as usize);
        assert_eq!(archive.read(&archive.members()[99]).unwrap(), b"member-99");
    }

    #[test]
    fn a_plain_executable_has_none() {
        assert!(Archive::of(file_of(b"\x7fELF")).unwrap().is_none());
        assert!(Archive::of(file_of(b"")).unwrap().is_none());
    }

    #[test]
    fn damage_is_an_error() {
        let whole = sample();
        let at = whole.len() - FOOTER - 2;
        let mut index = whole.clone();
        index[at] = b'x';
        assert!(matches!(Archive::of(file_of(&index)), Err(ArchiveError::Index)));
        let cut = &whole[1..];
        let archive = Archive::of(file_of(cut)).unwrap().unwrap();
        assert!(archive.read(member(&archive, "long")).is_err());
        let only_footer = [&u64::MAX.to_le_bytes()[..], MAGIC].concat();
        assert!(matches!(Archive::of(file_of(&only_footer)), Err(ArchiveError::Index)));
    }
}
