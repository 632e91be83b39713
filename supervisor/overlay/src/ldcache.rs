//! The loader's cache, `/etc/ld.so.cache`, with our libraries added.
//!
//! Format "1.1" of glibc (`sysdeps/generic/dl-cache.h`, the only one that ldconfig writes since 2.32); numbers are
//! little-endian, offsets count from the start of the header:
//!
//! ```text
//!   0   magic "glibc-ld.so.cache1.1"
//!   20  number of entries    24  length of strings    28  flags    32  offset of extensions    48  entries
//!   entry: flags u32, name u32, path u32, os version u32, hardware u64; sorted by name, downwards
//!   strings; extensions: magic, count, then (tag, flags, offset, size) each
//! ```
//!
//! Strings stay as they are, so each offset moves by the same distance: the growth of the entries before them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use installation::{Store, Use, memory_file};

use crate::Roots;
use crate::target::{self, FileIdentity};

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
/// What older ldconfigs put in front of the format above.
const OLD_MAGIC: &[u8; 11] = b"ld.so-1.7.0";
const HEADER: usize = 48;
const ENTRY: usize = 24;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
/// Tag of the section that holds offsets of strings: names of hardware directories.
const EXTENSION_HWCAPS: u32 = 1;
/// `FLAG_ELF_LIBC6 | FLAG_X8664_LIB64`
const X86_64: u32 = 0x0303;
/// `cache_file_new_flags_endian_little`
const LITTLE_ENDIAN: u8 = 2;
/// More roots than this in one run mean that someone makes them by the thousand: start again.
const MOST_CACHES: usize = 64;

/// Why a cache could not be extended.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LoaderCacheError {
    /// It is not in the format that glibc has written since 2.32.
    #[error("the loader cache is not in glibc's format 1.1")]
    Format,
    /// An offset leads out of the file.
    #[error("the loader cache is damaged")]
    Damaged,
}

/// The extended caches of this run, one for each version of each root's own.
#[derive(Debug, Default)]
pub struct LoaderCaches {
    made: HashMap<Option<FileIdentity>, File>,
}

impl LoaderCaches {
    /// A fresh open description of the extended cache for the root of a process.
    pub fn for_root_of(&mut self, pid: i32, roots: Roots, store: &Store) -> std::io::Result<OwnedFd> {
        const PATH: &str = "/etc/ld.so.cache";
        let identity = match roots {
            Roots::Ours => FileIdentity::here(PATH).ok(),
            Roots::Any => FileIdentity::in_root(pid, PATH).ok(),
        };
        if let Some(file) = self.made.get(&identity)
            && let Ok(again) = procfs::reopen(file.as_raw_fd())
        {
            return Ok(again);
        }
        let own = identity.and_then(|_| target::read_in_root(pid, PATH).ok()).map(|(bytes, _)| bytes);
        let extended =
            extend(own.as_deref(), store.directory(), &store.listed()).map_err(std::io::Error::other)?;
        let answer = memory_file("ld.so.cache", &extended, Use::Read)?;
        // Without /proc it can't be opened again; the next one is made anew.
        let Ok(file) = procfs::reopen(answer.as_raw_fd()).map(File::from) else { return Ok(answer) };
        if self.made.len() >= MOST_CACHES {
            self.made.clear();
        }
        self.made.insert(identity, file);
        Ok(answer)
    }
}

/// Adds libraries of one directory to a cache, or makes one. Entries of the same name for x86-64 give way.
pub fn extend(cache: Option<&[u8]>, directory: &Path, names: &[&str]) -> Result<Vec<u8>, LoaderCacheError> {
    let mut cache = cache.map(Cache::parse).transpose()?.unwrap_or_default();
    let mut strings = Strings { bytes: cache.strings.to_vec(), start: cache.strings_start };
    for name in names {
        let path = strings.end();
        strings.bytes.extend_from_slice(target::bytes_of(directory));
        strings.bytes.push(b'/');
        let name_at = strings.end();
        strings.bytes.extend_from_slice(name.as_bytes());
        strings.bytes.push(0);
        let ours = Entry { flags: X86_64, name: name_at, path, version: 0, hardware: 0 };
        insert(&mut cache.entries, ours, &strings);
    }
    Ok(write(&cache, &strings.bytes))
}

/// Puts an entry where the loader's binary search finds it, in place of others for the same machine.
fn insert(entries: &mut Vec<Entry>, ours: Entry, strings: &Strings) {
    let name = strings.at(ours.name);
    let order = |entry: &Entry| compare(strings.at(entry.name), name);
    let begin = entries.partition_point(|entry| order(entry).is_gt());
    let end = begin + entries[begin..].partition_point(|entry| order(entry).is_eq());
    let is_other = |entry: &&Entry| entry.flags != ours.flags || strings.at(entry.name) != name;
    let others = entries[begin..end].iter().filter(is_other).copied();
    let all: Vec<Entry> = others.chain([ours]).collect();
    entries.splice(begin..end, all);
}

/// Strings, and where in the file they begin.
struct Strings {
    bytes: Vec<u8>,
    start: usize,
}

impl Strings {
    fn at(&self, offset: u32) -> &[u8] {
        string_at(&self.bytes, (offset as usize).wrapping_sub(self.start))
    }

    fn end(&self) -> u32 {
        (self.start + self.bytes.len()) as u32
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    flags: u32,
    name: u32,
    path: u32,
    version: u32,
    hardware: u64,
}

impl Entry {
    /// As it lies in a file whose strings have moved so far.
    fn bytes(&self, distance: u32) -> [u8; ENTRY] {
        let Self { flags, name, path, version, hardware } = *self;
        let moved = [name.wrapping_add(distance), path.wrapping_add(distance)];
        let numbers = [flags, moved[0], moved[1], version, hardware as u32, (hardware >> 32) as u32];
        let mut bytes = [0; ENTRY];
        for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        bytes
    }
}

/// A cache taken apart.
#[derive(Debug)]
struct Cache<'a> {
    entries: Vec<Entry>,
    strings: &'a [u8],
    strings_start: usize,
    extensions: Vec<Extension<'a>>,
}

#[derive(Debug)]
struct Extension<'a> {
    tag: u32,
    flags: u32,
    data: &'a [u8],
}

impl Default for Cache<'_> {
    fn default() -> Self {
        Self { entries: Vec::new(), strings: &[], strings_start: HEADER, extensions: Vec::new() }
    }
}

impl<'a> Cache<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, LoaderCacheError> {
        let bytes =
            skip_old_format(file).filter(|bytes| bytes.starts_with(MAGIC)).ok_or(LoaderCacheError::Format)?;
        // Zero in caches of glibcs before 2.33, which did not write it.
        if bytes.len() < HEADER || !matches!(bytes[28], 0 | LITTLE_ENDIAN) {
            return Err(LoaderCacheError::Format);
        }
        let count = number(bytes, 20)? as usize;
        let strings_start = HEADER + count.checked_mul(ENTRY).ok_or(LoaderCacheError::Damaged)?;
        let strings_end = strings_start + number(bytes, 24)? as usize;
        let strings = bytes.get(strings_start..strings_end).ok_or(LoaderCacheError::Damaged)?;
        let (rows, _) = bytes[HEADER..strings_start].as_chunks::<ENTRY>();
        let entries = rows.iter().map(parse_entry).collect();
        Ok(Self { entries, strings, strings_start, extensions: parse_extensions(bytes)? })
    }
}

fn parse_entry(row: &[u8; ENTRY]) -> Entry {
    let number = |index: usize| u32::from_le_bytes(row.as_chunks().0[index]);
    let hardware = u64::from(number(4)) | u64::from(number(5)) << 32;
    Entry { flags: number(0), name: number(1), path: number(2), version: number(3), hardware }
}

fn parse_extensions(bytes: &[u8]) -> Result<Vec<Extension<'_>>, LoaderCacheError> {
    let start = number(bytes, 32)? as usize;
    if start == 0 || number(bytes, start)? != EXTENSION_MAGIC {
        return Ok(Vec::new());
    }
    let count = number(bytes, start + 4)? as usize;
    (0..count)
        .map(|index| {
            let at = start + 8 + index * 16;
            let (offset, size) = (number(bytes, at + 8)? as usize, number(bytes, at + 12)? as usize);
            let data = bytes.get(offset..offset.saturating_add(size)).ok_or(LoaderCacheError::Damaged)?;
            Ok(Extension { tag: number(bytes, at)?, flags: number(bytes, at + 4)?, data })
        })
        .collect()
}

fn write(cache: &Cache, strings: &[u8]) -> Vec<u8> {
    let entries = &cache.entries;
    let strings_start = HEADER + entries.len() * ENTRY;
    let distance = (strings_start as u32).wrapping_sub(cache.strings_start as u32);
    let extensions_start = (strings_start + strings.len()).next_multiple_of(4);
    let mut file = Vec::with_capacity(extensions_start + 1024);
    file.extend_from_slice(MAGIC);
    put(&mut file, &[entries.len() as u32, strings.len() as u32]);
    file.extend_from_slice(&[LITTLE_ENDIAN, 0, 0, 0]);
    let has_extensions = !cache.extensions.is_empty();
    put(&mut file, &[if has_extensions { extensions_start as u32 } else { 0 }, 0, 0, 0]);
    for entry in entries {
        file.extend_from_slice(&entry.bytes(distance));
    }
    file.extend_from_slice(strings);
    if has_extensions {
        file.resize(extensions_start, 0);
        write_extensions(&mut file, &cache.extensions, distance);
    }
    file
}

fn write_extensions(file: &mut Vec<u8>, extensions: &[Extension], distance: u32) {
    let mut data_at = file.len() + 8 + extensions.len() * 16;
    put(file, &[EXTENSION_MAGIC, extensions.len() as u32]);
    for extension in extensions {
        put(file, &[extension.tag, extension.flags, data_at as u32, extension.data.len() as u32]);
        data_at += extension.data.len().next_multiple_of(4);
    }
    for extension in extensions {
        if extension.tag == EXTENSION_HWCAPS {
            for offset in extension.data.chunks_exact(4) {
                let offset = u32::from_le_bytes([offset[0], offset[1], offset[2], offset[3]]);
                put(file, &[offset.wrapping_add(distance)]);
            }
        } else {
            file.extend_from_slice(extension.data);
        }
        file.resize(file.len().next_multiple_of(4), 0);
    }
}

fn skip_old_format(file: &[u8]) -> Option<&[u8]> {
    if !file.starts_with(OLD_MAGIC) {
        return Some(file);
    }
    let count = number(file, 12).ok()? as usize;
    let end = count.checked_mul(12)?.checked_add(16)?;
    file.get(end.next_multiple_of(8)..)
}

fn number(bytes: &[u8], at: usize) -> Result<u32, LoaderCacheError> {
    let digits = bytes.get(at..at.saturating_add(4)).ok_or(LoaderCacheError::Damaged)?;
    Ok(u32::from_le_bytes([digits[0], digits[1], digits[2], digits[3]]))
}

fn put(file: &mut Vec<u8>, numbers: &[u32]) {
    for number in numbers {
        file.extend_from_slice(&number.to_le_bytes());
    }
}

fn string_at(strings: &[u8], at: usize) -> &[u8] {
    strings.get(at..).unwrap_or_default().split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The order that the loader's binary search relies on (`_dl_cache_libcmp`): runs of digits count as numbers, and a digit
/// comes after any other character.
fn compare(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        let first = |text: &[u8]| text.first().copied().unwrap_or(0);
        let order = match (first(left), first(right)) {
            (0, 0) => return Ordering::Equal,
            (l, r) if l.is_ascii_digit() && r.is_ascii_digit() => {
                take_number(&mut left).cmp(&take_number(&mut right))
            }
            (l, _) if l.is_ascii_digit() => Ordering::Greater,
            (0, r) if r.is_ascii_digit() => Ordering::Less,
            (_, r) if r.is_ascii_digit() => Ordering::Less,
            (l, r) => {
                (left, right) = (left.get(1..).unwrap_or_default(), right.get(1..).unwrap_or_default());
                (l as i8).cmp(&(r as i8))
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn take_number(text: &mut &[u8]) -> i32 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    *text = rest;
    number.iter().fold(0i32, |value, digit| value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["libcuda.so.1", "libcuda.so", "libcudart.so.12"];

    fn directory() -> &'static Path {
        Path::new("/cache/0123")
    }

    fn pairs(file: &[u8]) -> Vec<(String, String)> {
        let cache = Cache::parse(file).unwrap();
        let text = |at: u32| {
            String::from_utf8(string_at(cache.strings, at as usize - cache.strings_start).to_vec()).unwrap()
        };
        cache.entries.iter().map(|entry| (text(entry.name), text(entry.path))).collect()
    }

    #[test]
    fn a_new_cache_names_our_files() {
        let file = extend(None, directory(), &NAMES).unwrap();
        let expected = ["libcudart.so.12", "libcuda.so.1", "libcuda.so"];
        let expected = expected.map(|name| (name.to_owned(), format!("/cache/0123/{name}")));
        assert_eq!(pairs(&file), expected);
    }

    #[test]
    fn the_systems_cache_keeps_its_entries_and_extensions() {
        let Ok(own) = std::fs::read("/etc/ld.so.cache") else {
            eprintln!("skipped: this system has no /etc/ld.so.cache");
            return;
        };
        let extended = extend(Some(&own), directory(), &NAMES).unwrap();
        let (before, after) = (pairs(&own), pairs(&extended));
        for pair in before.iter().filter(|(name, _)| !NAMES.contains(&name.as_str())) {
            assert!(after.contains(pair), "{pair:?} is gone");
        }
        assert!(after.contains(&("libcuda.so.1".into(), "/cache/0123/libcuda.so.1".into())));
        let sections = |file| {
            let cache = Cache::parse(file).unwrap();
            cache.extensions.iter().map(|extension| (extension.tag, extension.data.len())).collect::<Vec<_>>()
        };
        assert_eq!(sections(&own), sections(&extended));
    }

    #[test]
    fn entries_keep_the_order_that_ldconfig_gave_them() {
        let Ok(own) = std::fs::read("/etc/ld.so.cache") else {
            eprintln!("skipped: this system has no /etc/ld.so.cache");
            return;
        };
        assert_eq!(pairs(&extend(Some(&own), directory(), &[]).unwrap()), pairs(&own));
    }

    #[test]
    fn ldconfig_reads_what_we_write() {
        let own = std::fs::read("/etc/ld.so.cache").ok();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), extend(own.as_deref(), directory(), &NAMES).unwrap()).unwrap();
        let program =
            ["/usr/sbin/ldconfig", "/sbin/ldconfig"].into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            eprintln!("skipped: no ldconfig");
            return;
        };
        let output =
            std::process::Command::new(program).arg("-C").arg(file.path()).arg("-p").output().unwrap();
        let listing = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(listing.contains("libcuda.so.1 (libc6,x86-64) => /cache/0123/libcuda.so.1"), "{listing}");
        assert!(listing.contains("libc.so.6 (libc6,x86-64)"), "{listing}");
    }

    #[test]
    fn an_entry_of_the_same_name_gives_way() {
        let first = extend(None, Path::new("/usr/lib/nvidia"), &["libcuda.so.1", "libm.so.6"]).unwrap();
        let second = extend(Some(&first), directory(), &["libcuda.so.1"]).unwrap();
        let expected =
            [("libm.so.6", "/usr/lib/nvidia/libm.so.6"), ("libcuda.so.1", "/cache/0123/libcuda.so.1")];
        assert_eq!(pairs(&second), expected.map(|(name, path)| (name.to_owned(), path.to_owned())));
    }

    #[test]
    fn the_old_format_in_front_is_skipped() {
        let new = extend(None, directory(), &NAMES).unwrap();
        let mut file = OLD_MAGIC.to_vec();
        file.push(0);
        put(&mut file, &[1, 0, 0, 0]);
        file.resize(file.len().next_multiple_of(8), 0);
        file.extend_from_slice(&new);
        assert_eq!(pairs(&extend(Some(&file), directory(), &[]).unwrap()), pairs(&new));
    }

    #[test]
    fn damage_is_noticed() {
        assert_eq!(extend(Some(b"nonsense"), directory(), &NAMES), Err(LoaderCacheError::Format));
        let file = extend(None, directory(), &NAMES).unwrap();
        for length in [21, HEADER - 1, HEADER + 10, file.len() - 1] {
            assert!(extend(Some(&file[..length]), directory(), &NAMES).is_err(), "{length}");
        }
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        for (left, right) in
            [("lib10.so", "lib9.so"), ("liba1", "libab"), ("libab", "liba"), ("libb", "liba")]
        {
            assert_eq!(compare(left.as_bytes(), right.as_bytes()), Ordering::Greater, "{left} {right}");
            assert_eq!(compare(right.as_bytes(), left.as_bytes()), Ordering::Less, "{right} {left}");
        }
    }
}
