//! The built payload seen as its clients' loaders see it: names, kinds, symbol versions, SONAME, needed libraries, size.
//!
//! `payload/*/symbols.txt` are the lists of what the real libraries export: driver 580.159.04, NCCL 2.32; the toolkit's with the major
//! versions that have each name. They are read here on their own, not through the code that links the payload.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use goblin::elf::Elf;
use goblin::elf::sym::{STB_LOCAL, STT_FUNC, STT_OBJECT, STV_DEFAULT};

/// A library and what its real counterpart is like.
struct Expected {
    soname: &'static str,
    /// The crate with its list.
    list: &'static str,
    /// The major version whose names the list marks; such libraries of NVIDIA's toolkit give each symbol the version that is
    /// named like the library. Others have neither.
    major: Option<&'static str>,
}

const fn unversioned(soname: &'static str, list: &'static str) -> Expected {
    Expected { soname, list, major: None }
}

const fn toolkit(soname: &'static str, list: &'static str, major: &'static str) -> Expected {
    Expected { soname, list, major: Some(major) }
}

const LIBRARIES: &[Expected] = &[
    unversioned("libcuda.so.1", "libcuda"),
    unversioned("libnvidia-ml.so.1", "libnvml"),
    toolkit("libcudart.so.11.0", "libcudart", "11"),
    toolkit("libcudart.so.12", "libcudart", "12"),
    toolkit("libcudart.so.13", "libcudart", "13"),
    toolkit("libcublas.so.11", "libcublas", "11"),
    toolkit("libcublas.so.12", "libcublas", "12"),
    toolkit("libcublas.so.13", "libcublas", "13"),
    toolkit("libcublasLt.so.11", "libcublaslt", "11"),
    toolkit("libcublasLt.so.12", "libcublaslt", "12"),
    toolkit("libcublasLt.so.13", "libcublaslt", "13"),
    unversioned("libnccl.so.2", "libnccl"),
];

/// Bytes.
const LARGEST: usize = 4 << 20;

fn payload() -> PathBuf {
    tests::vgpu_run().with_file_name("payload")
}

/// Runs a check on every library; the check returns what is wrong.
fn each(check: impl Fn(&Expected, &[u8], &Elf) -> Vec<String>) {
    let mut wrong = Vec::new();
    for expected in LIBRARIES {
        let path = payload().join(expected.soname);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let elf = Elf::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let complaints = check(expected, &bytes, &elf);
        wrong.extend(complaints.into_iter().map(|complaint| format!("{}: {complaint}", expected.soname)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Name and kind of every symbol that a program can link with, and its version.
fn exports(elf: &Elf) -> BTreeMap<String, (u8, Option<String>)> {
    let mut found = BTreeMap::new();
    for (index, symbol) in elf.dynsyms.iter().enumerate() {
        let visible = symbol.st_visibility() == STV_DEFAULT && symbol.st_bind() != STB_LOCAL;
        // The version node itself is a symbol as well, with an absolute value.
        if symbol.st_shndx == 0 || !visible || is_node(elf, symbol.st_name) {
            continue;
        }
        let name = elf.dynstrtab.get_at(symbol.st_name).expect("a name").to_owned();
        found.insert(name, (symbol.st_type(), version(elf, index)));
    }
    found
}

fn is_node(elf: &Elf, name: usize) -> bool {
    let nodes = || elf.verdef.iter().flat_map(|definitions| definitions.iter());
    nodes().any(|node| node.iter().next().is_some_and(|entry| entry.vda_name == name))
        || elf.dynstrtab.get_at(name).is_some_and(|name| Some(name) == elf.soname)
}

/// The version that the library gives to one of its own symbols; `None` for the base version.
fn version(elf: &Elf, index: usize) -> Option<String> {
    let number = elf.versym.as_ref()?.get_at(index)?.version();
    let node = elf.verdef.as_ref()?.iter().find(|node| node.vd_ndx == number && node.vd_flags & 1 == 0)?;
    elf.dynstrtab.get_at(node.iter().next()?.vda_name).map(str::to_owned)
}

fn listed(expected: &Expected) -> BTreeSet<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../payload/{}/symbols.txt", expected.list));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let of_version = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        expected.major.is_none_or(|major| words[1..].contains(&major)).then(|| words[0].to_owned())
    };
    let names: BTreeSet<String> = text.lines().filter_map(of_version).collect();
    assert!(names.len() > 10, "{} has {} names", path.display(), names.len());
    names
}

/// The driver's interface for debuggers has these functions; its other names are variables, and nothing else is one.
const FOR_DEBUGGERS: &[&str] = &[
    "cudbgApiAttach",
    "cudbgApiDetach",
    "cudbgApiInit",
    "cudbgGetAPI",
    "cudbgGetAPIVersion",
    "cudbgMain",
    "cudbgReportDriverApiError",
    "cudbgReportDriverInternalError",
];

fn is_variable(name: &str) -> bool {
    name.starts_with("cudbg") && !FOR_DEBUGGERS.contains(&name)
}

#[test]
fn every_library_of_the_payload_is_checked() {
    let built: BTreeSet<String> = fs::read_dir(payload())
        .expect("the payload; hint: run `make build`")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("lib"))
        .collect();
    let checked: BTreeSet<String> = LIBRARIES.iter().map(|library| library.soname.to_owned()).collect();
    assert_eq!(built, checked);
}

#[test]
fn names_are_those_of_the_real_library() {
    each(|expected, _, elf| {
        let (ours, real): (BTreeSet<_>, _) = (exports(elf).into_keys().collect(), listed(expected));
        let mut wrong: Vec<String> = real.difference(&ours).map(|name| format!("lacks `{name}`")).collect();
        wrong.extend(ours.difference(&real).map(|name| format!("`{name}` is not in the real library")));
        wrong
    });
}

#[test]
fn functions_are_functions_and_variables_are_variables() {
    each(|_, _, elf| {
        let expected_kind = |name: &str| if is_variable(name) { STT_OBJECT } else { STT_FUNC };
        let wrong = |(name, (kind, _)): (String, (u8, _))| {
            (kind != expected_kind(&name)).then(|| format!("`{name}` has kind {kind}"))
        };
        exports(elf).into_iter().filter_map(wrong).collect()
    });
}

#[test]
fn symbols_have_the_version_of_the_real_library() {
    each(|expected, _, elf| {
        let real = expected.major.map(|_| expected.soname.to_owned());
        let wrong = |(name, (_, version)): (String, (_, Option<String>))| {
            (version != real).then(|| format!("`{name}` has version {version:?}"))
        };
        exports(elf).into_iter().filter_map(wrong).collect()
    });
}

#[test]
fn soname_is_the_file_name() {
    each(|expected, _, elf| match elf.soname {
        Some(soname) if soname == expected.soname => vec![],
        other => vec![format!("its SONAME is {other:?}")],
    });
}

#[test]
fn only_the_c_library_is_needed() {
    const ALWAYS_THERE: &[&str] =
        &["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"];
    each(|_, _, elf| {
        let others = elf.libraries.iter().filter(|needed| !ALWAYS_THERE.contains(needed));
        others.map(|needed| format!("needs {needed}")).collect()
    });
}

/// Debian 10, Ubuntu 20.04 and RHEL 8 have glibc 2.28 or newer; a container may bring any of them.
#[test]
fn glibc_of_2018_is_enough() {
    let too_new = |version: &&str| {
        let numbers = version.strip_prefix("GLIBC_").map(|rest| rest.split('.').map(str::parse::<u32>));
        let numbers: Option<Vec<u32>> = numbers.and_then(|numbers| numbers.collect::<Result<_, _>>().ok());
        // Anything else, GLIBC_PRIVATE above all, is a promise to nobody.
        numbers.is_none_or(|numbers| numbers > vec![2, 28])
    };
    each(|_, _, elf| {
        let needs = elf.verneed.iter().flat_map(|needs| needs.iter());
        let nodes = needs.flat_map(|need| need.iter().collect::<Vec<_>>());
        let names: Vec<&str> = nodes.filter_map(|node| elf.dynstrtab.get_at(node.vna_name)).collect();
        assert!(!names.is_empty(), "no versions at all: this test looks in the wrong place");
        names.into_iter().filter(too_new).map(|name| format!("needs {name}")).collect()
    });
}

#[test]
fn libraries_are_small() {
    each(|_, bytes, _| match bytes.len() {
        size if size > LARGEST => vec![format!("it has {size} bytes")],
        _ => vec![],
    });
}
