//! What can be read from a program or library without running it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::hint::black_box;
use std::path::Path;

use fatbin::Kind;
use goblin::container::Ctx;
use goblin::elf::dynamic::{DF_1_PIE, Dynamic};
use goblin::elf::sym::{STB_LOCAL, STB_WEAK, STT_TLS};
use goblin::elf::{Elf, SectionHeader, Sym};

/// Facts of one ELF file.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its own name, if it is a library that has one.
    pub soname: Option<String>,
    /// Libraries that it names as needed.
    pub needed: Vec<String>,
    /// Its loader, if it is a dynamic program.
    pub interpreter: Option<String>,
    /// Whether it is a program that needs no loader.
    pub is_static: bool,
    /// Whether it is a 32-bit file.
    pub bits32: bool,
    /// Symbols that others must define.
    pub imports: Vec<Import>,
    /// Symbols that it defines, each with its version nodes.
    pub exports: HashMap<String, Vec<Option<String>>>,
    /// Version nodes that it defines.
    pub nodes: Vec<String>,
    /// Whether NVIDIA's runtime is linked into it.
    pub static_runtime: bool,
    /// Device code that it carries.
    pub code: Code,
}

/// An undefined symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// The library and version node that it is expected from.
    pub version: Option<(String, String)>,
    /// Whether it may stay undefined.
    pub weak: bool,
}

/// Device code by capability (61 for 6.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Capabilities with PTX.
    pub ptx: BTreeSet<u32>,
    /// Capabilities with machine code.
    pub sass: BTreeSet<u32>,
    /// Number of containers.
    pub containers: usize,
    /// How many containers have the same entries.
    pub pieces: BTreeMap<Piece, usize>,
}

/// The entries of one container, by capability.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    /// With PTX.
    pub ptx: BTreeSet<u32>,
    /// With machine code.
    pub sass: BTreeSet<u32>,
}

impl Code {
    /// Number of containers with PTX that a device of this capability can run.
    pub fn usable(&self, capability: u32) -> usize {
        let runs = |piece: &Piece| piece.ptx.first().is_some_and(|lowest| *lowest <= capability);
        self.pieces.iter().filter(|(piece, _)| runs(piece)).map(|(_, count)| count).sum()
    }

    /// Adds the containers of a file.
    fn add(&mut self, container: &fatbin::Container) {
        self.containers += 1;
        let of_kind =
            |kind| container.entries().iter().filter(move |entry| entry.kind == kind).map(|entry| entry.arch);
        let piece = Piece { ptx: of_kind(Kind::Ptx).collect(), sass: of_kind(Kind::Cubin).collect() };
        self.sass.extend(&piece.sass);
        self.ptx.extend(&piece.ptx);
        *self.pieces.entry(piece).or_default() += 1;
    }
}

/// Reads a file's facts; `None` if it is not there or no ELF file.
pub fn inspect(path: &Path) -> Option<Facts> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|facts| facts.is_file()))?;
    // SAFETY: the bytes are only read, as numbers and text whose every offset is checked. Somebody who shortens the file
    // meanwhile ends us by SIGBUS; that is why files are inspected when the tree has ended or nothing runs in it.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.ok()?;
    read(&bytes)
}

/// Reads only the device code of a file; much cheaper than everything.
pub fn device_code(path: &Path) -> Option<Code> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|facts| facts.is_file()))?;
    // SAFETY: as in `inspect`.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.ok()?;
    let header = Elf::parse_header(&bytes).ok()?;
    let context = Ctx::new(header.container().ok()?, header.endianness().ok()?);
    let count = usize::from(header.e_shnum);
    let sections = SectionHeader::parse(&bytes, header.e_shoff as usize, count, context).ok()?;
    let names = sections.get(usize::from(header.e_shstrndx))?.file_range()?;
    let names = bytes.get(names)?;
    let has_code = sections
        .iter()
        .any(|header| names.get(header.sh_name..).is_some_and(|name| name.starts_with(b".nv_fatbin\0")));
    has_code.then(|| code(&bytes))
}

/// Libraries that a file names as needed; none if it is no ELF file.
pub fn needed(path: &Path) -> Vec<String> {
    let Ok(file) = File::open(path) else { return vec![] };
    // SAFETY: as in `inspect`.
    let Ok(bytes) = (unsafe { memmap2::Mmap::map(&file) }) else { return vec![] };
    let elf = Elf::parse(&bytes);
    elf.map_or_else(|_| vec![], |elf| elf.libraries.iter().map(|name| (*name).to_owned()).collect())
}

fn code(bytes: &[u8]) -> Code {
    let mut code = Code::default();
    for container in fatbin::scan(bytes).filter_map(|found| found.container.ok()) {
        code.add(&container);
    }
    code
}

/// Reads the facts of a file's bytes; `None` if it is no ELF file.
pub fn read(bytes: &[u8]) -> Option<Facts> {
    let elf = Elf::parse(bytes).ok()?;
    let mut facts = Facts {
        soname: elf.soname.map(str::to_owned),
        needed: elf.libraries.iter().map(|name| (*name).to_owned()).collect(),
        interpreter: elf.interpreter.map(str::to_owned),
        is_static: is_static(&elf),
        bits32: !elf.is_64,
        nodes: defined_nodes(&elf),
        static_runtime: has_static_runtime(&elf, bytes),
        ..Facts::default()
    };
    read_symbols(&elf, &mut facts);
    if elf.section_headers.iter().any(|header| section_name(&elf, header.sh_name) == ".nv_fatbin") {
        facts.code = code(bytes);
    }
    Some(facts)
}

/// A static program that can lie anywhere looks like a library, up to a flag.
fn is_static(elf: &Elf) -> bool {
    let is_program = |dynamic: &Dynamic| dynamic.info.flags_1 & DF_1_PIE != 0;
    elf.interpreter.is_none() && elf.dynamic.as_ref().is_none_or(is_program)
}

fn read_symbols(elf: &Elf, facts: &mut Facts) {
    let required = required_nodes(elf);
    let defined = numbered_nodes(elf);
    for (index, symbol) in elf.dynsyms.iter().enumerate().skip(1) {
        let Some(name) = elf.dynstrtab.get_at(symbol.st_name).filter(|name| !name.is_empty()) else {
            continue;
        };
        // The highest bit only says that a version is not the default one.
        let version =
            elf.versym.as_ref().and_then(|table| table.get_at(index)).map(|entry| entry.vs_val & 0x7fff);
        if is_undefined(&symbol) {
            let version = version.and_then(|number| required.get(&number).cloned());
            let weak = symbol.st_bind() == STB_WEAK;
            facts.imports.push(Import { name: name.to_owned(), version, weak });
        } else if symbol.st_bind() != STB_LOCAL {
            let node = version.and_then(|number| defined.get(&number).cloned());
            facts.exports.entry(name.to_owned()).or_default().push(node);
        }
    }
}

fn is_undefined(symbol: &Sym) -> bool {
    symbol.st_shndx == 0 && symbol.st_bind() != STB_LOCAL && symbol.st_type() != STT_TLS
}

/// Version number in the symbol table → (library, node) that is required of it.
fn required_nodes(elf: &Elf) -> HashMap<u16, (String, String)> {
    let text = |at| elf.dynstrtab.get_at(at).unwrap_or_default().to_owned();
    let mut nodes = HashMap::new();
    for library in elf.verneed.iter().flat_map(|section| section.iter()) {
        for node in library.iter() {
            nodes.insert(node.vna_other & 0x7fff, (text(library.vn_file), text(node.vna_name)));
        }
    }
    nodes
}

/// Version number in the symbol table → node that the file defines.
fn numbered_nodes(elf: &Elf) -> HashMap<u16, String> {
    /// The entry that names the file itself.
    const BASE: u16 = 1;
    let definitions = elf.verdef.iter().flat_map(|section| section.iter());
    definitions
        .filter(|definition| definition.vd_flags & BASE == 0)
        .filter_map(|definition| {
            let name = elf.dynstrtab.get_at(definition.iter().next()?.vda_name)?;
            Some((definition.vd_ndx & 0x7fff, name.to_owned()))
        })
        .collect()
}

fn defined_nodes(elf: &Elf) -> Vec<String> {
    let mut nodes: Vec<_> = numbered_nodes(elf).into_values().collect();
    nodes.sort();
    nodes
}

/// NVIDIA's runtime, wherever it is linked in, holds the identifiers of the driver's private tables that it asks for, and the
/// driver's name. A file that uses the shared runtime has neither.
fn has_static_runtime(elf: &Elf, bytes: &[u8]) -> bool {
    /// First bytes of the identifiers that all runtimes since 11 ask for, inverted: we are no such file ourselves.
    const TABLES: [u32; 5] = [!0x6bd5_fb6c, !0xa094_798c, !0x42d8_5a81, !0xc693_336e, !0xd408_2055];
    if elf.soname.is_some_and(|soname| soname.starts_with("libcudart.so") || soname.starts_with("libcuda.so"))
    {
        return false;
    }
    let Some(data) = section(elf, bytes, ".rodata") else { return false };
    let has = |wanted: &[u8]| find(data, wanted);
    has(b"libcuda.so.1\0")
        && TABLES.iter().filter(|table| has(&(!black_box(**table)).to_be_bytes())).count() >= 3
}

fn section<'a>(elf: &Elf, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let header = elf.section_headers.iter().find(|header| section_name(elf, header.sh_name) == name)?;
    bytes.get(header.file_range()?)
}

fn section_name<'a>(elf: &Elf<'a>, at: usize) -> &'a str {
    elf.shdr_strtab.get_at(at).unwrap_or_default()
}

/// Whether `wanted` occurs in `data`. Jumps from one occurrence of its first byte to the next.
pub(crate) fn find(data: &[u8], wanted: &[u8]) -> bool {
    let mut rest = data;
    while let Some(at) = rest.iter().position(|byte| *byte == wanted[0]) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The libraries of a directory as a payload.
    pub fn payload_of(directory: &Path) -> installation::Files {
        let mut list = String::new();
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("lib") {
                list += &format!("{}  {name}\n", installation::hash(&std::fs::read(entry.path()).unwrap()));
            }
        }
        std::fs::write(directory.join(installation::FILE_NAME), list).unwrap();
        installation::Files::beside(directory.to_owned(), directory.join(installation::ENGINE)).unwrap()
    }

    use std::path::PathBuf;
    use std::process::Command;

    /// Compiles C to a library or program of this name in a directory.
    pub fn compile(directory: &Path, name: &str, source: &str, arguments: &[&str]) -> PathBuf {
        let input = directory.join(format!("{name}.c"));
        std::fs::write(&input, source).unwrap();
        let mut command = Command::new("cc");
        command.current_dir(directory).arg("-o").arg(name).arg(&input).args(arguments);
        assert!(command.status().unwrap().success(), "{command:?}");
        std::fs::remove_file(input).unwrap();
        directory.join(name)
    }

    #[test]
    fn imports_carry_the_version_that_they_want() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        std::fs::write(place.join("node"), "libcudart.so.12 { global: cuda*; local: *; };").unwrap();
        let node = ["-shared", "-fPIC", "-Wl,-soname,libcudart.so.12", "-Wl,--version-script,node"];
        let runtime = compile(place, "libcudart.so.12", "int cudaFree(void *p) { return 0; }", &node);
        let client = "int cudaFree(void *); int optional(void) __attribute__((weak));
            int use(void) { return cudaFree(0) + (optional ? optional() : 0); }";
        let client = compile(place, "libclient.so", client, &["-shared", "-fPIC", "libcudart.so.12"]);

        let runtime = inspect(&runtime).unwrap();
        assert_eq!(runtime.soname.as_deref(), Some("libcudart.so.12"));
        assert_eq!(runtime.nodes, ["libcudart.so.12"]);
        assert_eq!(runtime.exports["cudaFree"], [Some("libcudart.so.12".to_owned())]);
        let client = inspect(&client).unwrap();
        assert!(client.needed.contains(&"libcudart.so.12".to_owned()));
        assert_eq!(needed(&place.join("libclient.so")), client.needed);
        let import = |name: &str| client.imports.iter().find(|import| import.name == name).unwrap();
        let version = ("libcudart.so.12".to_owned(), "libcudart.so.12".to_owned());
        assert_eq!(import("cudaFree").version, Some(version));
        assert!(import("optional").weak && !import("cudaFree").weak);
    }

    #[test]
    fn a_static_runtime_shows_itself() {
        let directory = tempfile::tempdir().unwrap();
        let tables = r#"const char name[] = "libcuda.so.1";
            const unsigned char a[] = {0x6b, 0xd5, 0xfb, 0x6c}, b[] = {0xa0, 0x94, 0x79, 0x8c}, c[] = {0xd4, 8, 0x20, 0x55};
            int main(void) { return 0; }"#;
        let with = compile(directory.path(), "with", tables, &[]);
        let without = compile(directory.path(), "without", "int main(void) { return 0; }", &[]);
        assert!(inspect(&with).unwrap().static_runtime);
        assert!(!inspect(&without).unwrap().static_runtime);
        assert!(!inspect(Path::new("/proc/self/exe")).unwrap().static_runtime);
    }

    /// A container with one entry header per (kind, capability) and no payload.
    pub fn container(entries: &[(u16, u32)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, arch) in entries {
            let mut header = [0u8; 64];
            header[0..2].copy_from_slice(&kind.to_le_bytes());
            header[2..4].copy_from_slice(&0x101u16.to_le_bytes());
            header[4..8].copy_from_slice(&64u32.to_le_bytes());
            header[8..16].copy_from_slice(&8u64.to_le_bytes());
            header[28..32].copy_from_slice(&arch.to_le_bytes());
            body.extend_from_slice(&header);
            body.extend_from_slice(&[0; 8]);
        }
        let mut bytes = 0xBA55_ED50u32.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[1, 0, 16, 0]);
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// A library whose `.nv_fatbin` holds these containers.
    pub fn library_with_code(
        directory: &Path,
        name: &str,
        containers: &[&[(u16, u32)]],
        arguments: &[&str],
    ) -> PathBuf {
        let bytes: Vec<u8> = containers.iter().flat_map(|entries| container(entries)).collect();
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        let source = format!(
            "__attribute__((section(\".nv_fatbin\"), aligned(8), used)) const unsigned char code[] = {{{}}};",
            numbers.join(",")
        );
        compile(directory, name, &source, &[&["-shared", "-fPIC"], arguments].concat())
    }

    #[test]
    fn device_code_is_listed_by_capability() {
        let directory = tempfile::tempdir().unwrap();
        let containers: [&[(u16, u32)]; 3] = [&[(1, 61), (1, 75), (2, 86)], &[(1, 80)], &[(2, 90)]];
        let library = library_with_code(directory.path(), "libkernels.so", &containers, &[]);
        let code = inspect(&library).unwrap().code;
        assert_eq!(code.ptx, BTreeSet::from([61, 75, 80]));
        assert_eq!(device_code(&library), Some(code.clone()));
        assert_eq!(device_code(Path::new("/bin/true")), None);
        assert_eq!(code.sass, BTreeSet::from([86, 90]));
        assert_eq!(code.containers, 3);
        assert_eq!([50, 61, 80, 90].map(|capability| code.usable(capability)), [0, 1, 2, 2]);
    }

    #[test]
    fn other_files_have_no_facts() {
        assert!(inspect(Path::new("/etc/passwd")).is_none());
        assert!(inspect(Path::new("/dev/null")).is_none());
        assert!(inspect(Path::new("/does/not/exist")).is_none());
    }
}
