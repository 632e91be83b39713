//! From a static library to a shared one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use goblin::archive::Archive;

use crate::check;
use crate::floor::Floor;
use crate::table::Library;

/// What was made.
#[derive(Debug)]
pub struct Linked {
    /// Bytes of the file.
    pub size: usize,
    /// Exported symbols.
    pub exports: usize,
}

/// Symbols of one library: exported names, and the versioned definitions behind some of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Symbols {
    exported: BTreeSet<String>,
    aliases: BTreeSet<(String, String)>,
}

/// Links one library, checks it and puts it into its place.
pub fn link(library: &Library, input: &Path, output: &Path, floor: &Floor) -> Result<Linked> {
    let archive = input.join(library.archive);
    let bytes = fs::read(&archive).with_context(|| format!("cannot read `{}`", archive.display()))?;
    let archived =
        Archive::parse(&bytes).with_context(|| format!("`{}` is no archive", archive.display()))?;
    let symbols = choose(library, archived.summarize().into_iter().flat_map(|(_, _, names)| names))?;

    let script = output.join(format!(".{}.version", library.soname));
    let made = output.join(format!(".{}", library.soname));
    fs::write(&script, version_script(library, &symbols.exported))?;
    let linked = call_linker(library, &archive, &script, &symbols, &made, floor);
    fs::remove_file(&script)?;
    linked?;

    let bytes = fs::read(&made)?;
    check::library(&bytes, library, &symbols.exported)?;
    fs::rename(&made, output.join(library.soname))?;
    Ok(Linked { size: bytes.len(), exports: symbols.exported.len() })
}

fn choose<'a>(library: &Library, names: impl Iterator<Item = &'a str>) -> Result<Symbols> {
    let mut symbols = Symbols::default();
    let mut newest: BTreeMap<&str, (u32, &str)> = BTreeMap::new();
    for name in names {
        if let Some((major, plain)) = library.versioned(name) {
            let form = newest.entry(plain).or_insert((major, name));
            *form = (*form).max((major, name));
        } else if library.exports(name) {
            symbols.exported.insert(name.to_owned());
        }
    }
    for (plain, (_, versioned)) in newest {
        symbols.aliases.insert((plain.to_owned(), versioned.to_owned()));
        if library.exports(plain) {
            symbols.exported.insert(plain.to_owned());
        }
    }
    ensure!(!symbols.exported.is_empty(), "`{}` defines none of its symbols", library.archive);
    let listed = library.listed().unwrap_or_default();
    let missing: Vec<_> = listed.into_iter().filter(|name| !symbols.exported.contains(*name)).collect();
    ensure!(missing.is_empty(), "`{}` does not define {missing:?}", library.archive);
    Ok(symbols)
}

fn version_script(library: &Library, exported: &BTreeSet<String>) -> String {
    let mut script = format!("{} {{\nglobal:\n", library.node.unwrap_or_default());
    for name in exported {
        script += &format!("  {name};\n");
    }
    script + "local: *;\n};\n"
}

fn call_linker(
    library: &Library,
    archive: &Path,
    script: &Path,
    symbols: &Symbols,
    made: &Path,
    floor: &Floor,
) -> Result<()> {
    let mut command = Command::new("cc");
    command.args(["-shared", "-static-libgcc", "-o"]).arg(made);
    command.args(["-Wl,--whole-archive"]).arg(archive).arg("-Wl,--no-whole-archive");
    command.arg(format!("-Wl,-soname,{}", library.soname));
    command.arg(format!("-Wl,--version-script,{}", script.display()));
    // Calls within the library stay within it, whoever else exports the same names.
    command.args([
        "-Wl,-Bsymbolic",
        "-Wl,-z,now",
        "-Wl,-z,relro",
        "-Wl,-z,defs",
        "-Wl,-z,noexecstack",
        "-Wl,-z,text",
    ]);
    command.args(["-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,--build-id=sha1", "-Wl,--hash-style=gnu"]);
    for (plain, versioned) in &symbols.aliases {
        command.arg(format!("-Wl,--defsym,{plain}={versioned}"));
    }
    floor.link_with(&mut command);
    let output = command.output().context("cannot run `cc`; hint: install gcc or clang")?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let first: Vec<&str> = complaint.lines().take(12).collect();
        bail!("the linker says:\n{}", first.join("\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::LIBRARIES;

    fn cudart(major: u32) -> &'static Library {
        LIBRARIES
            .iter()
            .find(|library| library.archive == "liblibcudart.a" && library.major == major)
            .unwrap()
    }

    /// A library whose list is this text.
    fn listing(major: u32, list: &'static str) -> Library {
        Library { list: Some(list), ..*cudart(major) }
    }

    #[test]
    fn newest_form_that_is_not_too_new_is_taken() {
        let names = ["cudaFree", "abi11_cudaInfo", "abi13_cudaInfo", "abi12_version", "memcpy"];
        for (major, info) in [(11, "abi11_cudaInfo"), (12, "abi11_cudaInfo"), (13, "abi13_cudaInfo")] {
            let library = listing(major, "cudaFree 11 12 13\ncudaInfo 11 12 13\n");
            let symbols = choose(&library, names.into_iter()).unwrap();
            assert_eq!(symbols.exported, BTreeSet::from(["cudaFree".into(), "cudaInfo".into()]));
            assert!(symbols.aliases.contains(&("cudaInfo".into(), info.into())), "{symbols:?}");
            assert_eq!(symbols.aliases.len(), if major == 11 { 1 } else { 2 });
        }
    }

    #[test]
    fn what_a_version_does_not_list_it_does_not_export_and_what_it_lists_it_must_define() {
        let library = listing(13, "cudaFree 11 12 13\ncudaOld 11 12\n");
        let symbols = choose(&library, ["cudaFree", "cudaOld"].into_iter()).unwrap();
        assert_eq!(symbols.exported, BTreeSet::from(["cudaFree".into()]));
        let error = choose(&listing(12, "cudaFree 12\ncudaOld 12\n"), ["cudaFree"].into_iter());
        assert!(error.unwrap_err().to_string().contains("cudaOld"));
    }

    #[test]
    fn a_library_without_symbols_is_an_error() {
        let error = choose(cudart(12), ["memcpy"].into_iter()).unwrap_err().to_string();
        assert!(error.contains("defines none"), "{error}");
    }

    #[test]
    fn toolkit_libraries_get_their_version_node() {
        let script = version_script(cudart(12), &BTreeSet::from(["cudaMalloc".into()]));
        assert!(script.starts_with("libcudart.so.12 {\n") && script.contains("  cudaMalloc;\n"), "{script}");
        let script = version_script(&LIBRARIES[0], &BTreeSet::new());
        assert!(script.trim_start().starts_with('{'), "{script}");
    }
}
