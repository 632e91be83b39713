//! What a payload library must be like. The targets are other people's programs: each of these rules stands for a program
//! that failed silently with somebody's shim.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use goblin::elf::Elf;
use goblin::elf::dynamic::{DT_INIT_ARRAYSZ, DT_TEXTREL};
use goblin::elf::sym::{STB_WEAK, STV_DEFAULT};

use crate::table::Library;

/// A library larger than this would be noticed at each program's start.
const LARGEST: usize = 4 << 20;

/// Libraries that every glibc program has anyway. `libgcc_s` is not one of them.
const NEEDED: &[&str] = &["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"];

/// Bytes of initialisers: the C compiler's start files bring one that does nothing, Rust's standard library one that stores
/// the program's arguments. We may add none of our own.
const INITIALISERS: u64 = 16;

/// Checks a linked library.
pub fn library(bytes: &[u8], library: &Library, expected: &BTreeSet<String>) -> Result<()> {
    let elf = Elf::parse(bytes)?;
    ensure!(bytes.len() <= LARGEST, "it has {} bytes, more than {LARGEST}", bytes.len());
    ensure!(elf.soname == Some(library.soname), "its SONAME is {:?}", elf.soname);
    for needed in &elf.libraries {
        ensure!(NEEDED.contains(needed), "it needs `{needed}`, which a program may not have");
    }
    let too_new = crate::floor::too_new(&elf);
    ensure!(too_new.is_empty(), "it needs {too_new:?} of the C library, which many systems do not have yet");
    no_side_effect_on_loading(&elf)?;
    nothing_undefined(&elf)?;
    let exports = exports(&elf);
    let missing: Vec<_> = expected.difference(&exports).collect();
    let surplus: Vec<_> = exports.difference(expected).collect();
    ensure!(missing.is_empty() && surplus.is_empty(), "it lacks {missing:?} and exports {surplus:?} besides");
    ensure!(version_node(&elf).as_deref() == library.node, "its version node is {:?}", version_node(&elf));
    Ok(())
}

fn no_side_effect_on_loading(elf: &Elf) -> Result<()> {
    let dynamic = elf.dynamic.as_ref().map(|dynamic| dynamic.dyns.as_slice()).unwrap_or_default();
    let value = |tag| dynamic.iter().find(|entry| entry.d_tag == tag).map(|entry| entry.d_val);
    ensure!(value(DT_TEXTREL).is_none(), "its code needs relocation");
    let initialisers = value(DT_INIT_ARRAYSZ).unwrap_or(0);
    ensure!(initialisers <= INITIALISERS, "it has {} initialisers", initialisers / 8);
    Ok(())
}

fn nothing_undefined(elf: &Elf) -> Result<()> {
    let versions = elf.versym.as_ref();
    for (index, symbol) in elf.dynsyms.iter().enumerate().skip(1) {
        let undefined = symbol.st_shndx == 0 && symbol.st_bind() != STB_WEAK;
        // From 2 on the version belongs to a needed library; 0 and 1 mean that nobody has promised the symbol.
        let promised =
            versions.and_then(|versions| versions.get_at(index)).is_some_and(|version| version.version() > 1);
        let name = elf.dynstrtab.get_at(symbol.st_name).unwrap_or("?");
        ensure!(!undefined || promised, "`{name}` is undefined and not the C library's");
    }
    Ok(())
}

fn exports(elf: &Elf) -> BTreeSet<String> {
    let visible =
        elf.dynsyms.iter().filter(|symbol| symbol.st_shndx != 0 && symbol.st_visibility() == STV_DEFAULT);
    let named = visible.filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name));
    // The linker exports the version node's own name as well.
    named.filter(|name| !name.starts_with("lib")).map(str::to_owned).collect()
}

/// The version node other than the one that is named like the file itself and marked as base.
fn version_node(elf: &Elf) -> Option<String> {
    const BASE: u16 = 1;
    let definition = elf.verdef.as_ref()?.iter().find(|definition| definition.vd_flags & BASE == 0)?;
    let name = definition.iter().next()?.vda_name;
    elf.dynstrtab.get_at(name).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    use crate::table::LIBRARIES;

    fn cudart() -> &'static Library {
        LIBRARIES.iter().find(|library| library.soname == "libcudart.so.12").unwrap()
    }

    /// A library from C source, linked as told, checked against one expected symbol.
    fn verdict(source: &str, arguments: &[&str]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        file("source.c", source);
        file("node", "libcudart.so.12 { global: cuda*; local: *; };");
        file("no-node", "{ global: cuda*; local: *; };");
        let mut command = Command::new("cc");
        command.current_dir(&directory).args(["-shared", "-fPIC", "-o", "made", "source.c"]);
        assert!(command.args(arguments).status().unwrap().success());
        let bytes = std::fs::read(Path::new(directory.path()).join("made")).unwrap();
        let expected = BTreeSet::from(["cudaFree".to_owned()]);
        library(&bytes, cudart(), &expected).map_or_else(|error| error.to_string(), |()| "good".to_owned())
    }

    const SONAME: &str = "-Wl,-soname,libcudart.so.12";
    const NODE: &str = "-Wl,--version-script,node";
    const GOOD: &str = "int cudaFree(void *p) { return 0; }";

    #[test]
    fn a_good_library_passes() {
        assert_eq!(verdict(GOOD, &[SONAME, NODE]), "good");
    }

    #[test]
    fn what_would_fail_in_a_program_fails_here() {
        let undefined = "int helper(void); int cudaFree(void *p) { return helper(); }";
        let constructor = "__attribute__((constructor)) static void a(void) {}
            __attribute__((constructor)) static void b(void) {} int cudaFree(void *p) { return 0; }";
        let surplus = "int cudaFree(void *p) { return 0; } int cudaExtra(void) { return 0; }";
        for (source, arguments, complaint) in [
            (GOOD, &[NODE][..], "its SONAME is"),
            (GOOD, &[SONAME, "-Wl,--version-script,no-node"], "its version node is None"),
            (undefined, &[SONAME, NODE], "`helper` is undefined"),
            (constructor, &[SONAME, NODE], "3 initialisers"),
            (surplus, &[SONAME, NODE], "cudaExtra"),
            (GOOD, &[SONAME, NODE, "-Wl,--no-as-needed", "-l:libgcc_s.so.1"], "needs `libgcc_s.so.1`"),
        ] {
            let verdict = verdict(source, arguments);
            assert!(verdict.contains(complaint), "expected {complaint:?}, got {verdict:?}");
        }
    }
}
