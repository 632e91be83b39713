//! Libraries that load beside an old C library, linked on a machine with a newer one.
//!
//! A linker binds each function to the newest version that this machine's C library has: `pthread_create` to 2.34, where it
//! moved from one file to another, and then older systems refuse the whole library. So we link against stand-ins for the C
//! library's files, which have every function in its newest version of [`OLDEST`] or before. What came later as a function is
//! in `compatibility.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use goblin::elf::Elf;
use goblin::elf::sym::{STT_OBJECT, STT_TLS};

/// The oldest C library that the payload loads with: Debian 10, Ubuntu 20.04 and RHEL 8 have it or a newer one.
pub const OLDEST: Version = Version(2, 28, 0);

/// Files of the C library. The second group is named as needed by every library of ours, because functions have moved from
/// there to `libc.so.6`.
const FILES: &[&str] = &["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"];
const FORMER_HOMES: &[&str] = &["libpthread.so.0", "libdl.so.2"];

/// `GLIBC_2.28` and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl Version {
    /// `None` for `GLIBC_PRIVATE` and for versions of other libraries.
    pub fn parse(node: &str) -> Option<Self> {
        let mut numbers = node.strip_prefix("GLIBC_")?.split('.').map(str::parse);
        let mut next = || numbers.next().unwrap_or(Ok(0)).ok();
        Some(Self(next()?, next()?, next()?))
    }
}

/// The stand-ins, in a directory that goes when this does.
#[derive(Debug)]
pub struct Floor {
    directory: PathBuf,
}

impl Drop for Floor {
    fn drop(&mut self) {
        // What is left lies in the build directory and is overwritten by the next run.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Floor {
    /// Makes them from this machine's own libraries.
    pub fn new(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(&directory).with_context(|| format!("cannot create `{}`", directory.display()))?;
        let floor = Self { directory };
        for name in FILES.iter().chain(FORMER_HOMES) {
            floor.stand_in(name).with_context(|| format!("cannot make a stand-in for `{name}`"))?;
        }
        let source = floor.path("compatibility.c");
        fs::write(&source, include_str!("compatibility.c"))?;
        run(Command::new("cc")
            .args(["-c", "-O2", "-fPIC", "-fvisibility=hidden", "-o"])
            .args([floor.path("compatibility.o"), source]))?;
        Ok(floor)
    }

    /// What a link ends with, in place of the libraries that the compiler would name itself.
    pub fn link_with(&self, command: &mut Command) {
        command.arg("-nodefaultlibs").arg(self.path("compatibility.o")).args(["-lgcc_eh", "-lgcc"]);
        command.arg("-Wl,--as-needed").args(FILES.iter().map(|name| self.path(name)));
        command.arg("-Wl,--no-as-needed").args(FORMER_HOMES.iter().map(|name| self.path(name)));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn stand_in(&self, name: &str) -> Result<()> {
        let real = file_of(name)?;
        let bytes = fs::read(&real).with_context(|| format!("cannot read `{}`", real.display()))?;
        let symbols = symbols(&Elf::parse(&bytes)?);
        let (source, script) = (self.path(&format!("{name}.s")), self.path(&format!("{name}.versions")));
        fs::write(&source, assembly(&symbols))?;
        fs::write(&script, versions(&symbols))?;
        let mut command = Command::new("cc");
        command.args(["-shared", "-nostdlib", "-o"]).arg(self.path(name)).arg(source);
        command.arg(format!("-Wl,-soname,{name}")).arg(format!("-Wl,--version-script,{}", script.display()));
        run(&mut command)
    }
}

/// A symbol of the C library, in its newest version that is old enough.
#[derive(Debug, PartialEq, Eq)]
struct Symbol {
    node: String,
    version: Version,
    /// Bytes, of a variable.
    variable: Option<u64>,
}

fn symbols(elf: &Elf) -> BTreeMap<String, Symbol> {
    let nodes: BTreeMap<u16, &str> = elf.verdef.iter().flat_map(|definitions| definitions.iter()).fold(
        BTreeMap::new(),
        |mut nodes, definition| {
            let name = definition.iter().next().and_then(|entry| elf.dynstrtab.get_at(entry.vda_name));
            nodes.extend(name.map(|name| (definition.vd_ndx, name)));
            nodes
        },
    );
    let mut found: BTreeMap<String, Symbol> = BTreeMap::new();
    for (index, symbol) in elf.dynsyms.iter().enumerate().filter(|(_, symbol)| symbol.st_shndx != 0) {
        let number = elf.versym.as_ref().and_then(|versions| versions.get_at(index)).map(|it| it.version());
        let (Some(node), Some(name)) =
            (number.and_then(|number| nodes.get(&number)), elf.dynstrtab.get_at(symbol.st_name))
        else {
            continue;
        };
        let Some(version) = Version::parse(node).filter(|version| *version <= OLDEST) else { continue };
        let older = found.get(name).is_none_or(|known| known.version < version);
        if older && symbol.st_type() != STT_TLS && name != *node {
            let variable = (symbol.st_type() == STT_OBJECT).then_some(symbol.st_size);
            found.insert(name.to_owned(), Symbol { node: (*node).to_owned(), version, variable });
        }
    }
    found
}

fn assembly(symbols: &BTreeMap<String, Symbol>) -> String {
    let mut text = ".section .note.GNU-stack,\"\",@progbits\n.text\n".to_owned();
    for (name, symbol) in symbols {
        let _ = match symbol.variable {
            None => writeln!(text, ".globl {name}\n.type {name},@function\n{name}:"),
            Some(size) => writeln!(
                text,
                ".bss\n.globl {name}\n.type {name},@object\n.size {name},{size}\n{name}: .skip {size}\n.text"
            ),
        };
    }
    text
}

fn versions(symbols: &BTreeMap<String, Symbol>) -> String {
    let nodes: BTreeSet<&str> = symbols.values().map(|symbol| symbol.node.as_str()).collect();
    let mut text = String::new();
    for node in nodes {
        let of_node = symbols.iter().filter(|(_, symbol)| symbol.node == node);
        let names: String = of_node.map(|(name, _)| format!("  {name};\n")).collect();
        let _ = writeln!(text, "{node} {{\nglobal:\n{names}}};");
    }
    text
}

fn file_of(name: &str) -> Result<PathBuf> {
    let output = Command::new("cc").arg(format!("-print-file-name={name}")).output();
    let output = output.context("cannot run `cc`; hint: install gcc or clang")?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    ensure!(path.is_absolute(), "the compiler does not know where `{name}` is");
    Ok(path)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("cannot run `cc`; hint: install gcc or clang")?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} says:\n{}", complaint.lines().take(12).collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

/// Versions of the C library that a linked library asks for and that are too new.
pub fn too_new<'a>(elf: &Elf<'a>) -> Vec<&'a str> {
    let needs = elf.verneed.iter().flat_map(|needs| needs.iter());
    let nodes = needs.flat_map(|need| need.iter().collect::<Vec<_>>());
    let names = nodes.filter_map(|node| elf.dynstrtab.get_at(node.vna_name));
    names.filter(|name| Version::parse(name).is_some_and(|version| version > OLDEST)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn version(text: &str) -> Option<Version> {
        Version::parse(text)
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("GLIBC_2.4") < version("GLIBC_2.28"));
        assert!(version("GLIBC_2.2.5") < version("GLIBC_2.3"));
        assert_eq!(version("GLIBC_2.28"), Some(OLDEST));
        assert_eq!(version("GLIBC_PRIVATE"), None);
        assert_eq!(version("GCC_3.0"), None);
    }

    /// A library linked on the floor, in this directory.
    fn linked(directory: &Path, source: &str) -> PathBuf {
        let floor = Floor::new(directory.join("floor")).unwrap();
        let (text, made) = (directory.join("source.c"), directory.join("made.so"));
        fs::write(&text, source).unwrap();
        let mut command = Command::new("cc");
        command.args(["-D_GNU_SOURCE", "-shared", "-fPIC", "-Wl,-z,defs", "-o"]).arg(&made).arg(&text);
        floor.link_with(&mut command);
        run(&mut command).unwrap();
        made
    }

    #[test]
    fn functions_are_bound_to_versions_that_are_old_enough() {
        let directory = tempfile::tempdir().unwrap();
        // Functions that have moved since, and one that was none.
        let source = "#include <dlfcn.h>\n#include <pthread.h>\n#include <sys/stat.h>\n
            void *find(void) { return dlsym(0, \"x\"); }
            int key(pthread_key_t *k) { return pthread_key_create(k, 0); }
            int state(struct stat64 *s) { return fstat64(0, s); }";
        let bytes = fs::read(linked(directory.path(), source)).unwrap();
        let elf = Elf::parse(&bytes).unwrap();
        assert_eq!(too_new(&elf), Vec::<&str>::new());
        assert!(elf.libraries.contains(&"libpthread.so.0") && elf.libraries.contains(&"libdl.so.2"));
    }

    /// Else a panic in a library of ours would end the program that loaded it.
    #[test]
    fn unwinder_finds_its_tables_and_status_calls_work() {
        let directory = tempfile::tempdir().unwrap();
        let source = "#include <sys/stat.h>\n
            struct bases { void *text, *data, *function; };
            const void *_Unwind_Find_FDE(void *, struct bases *);
            int right(void) {
                struct bases bases;
                struct stat64 by_path, by_descriptor;
                if (!_Unwind_Find_FDE((char *)right + 1, &bases) || bases.function != (void *)right) return 2;
                if (_Unwind_Find_FDE((void *)16, &bases)) return 3;
                if (stat64(\"/dev/null\", &by_path) || !S_ISCHR(by_path.st_mode)) return 4;
                if (fstat64(0, &by_descriptor) || by_descriptor.st_ino != by_path.st_ino) return 5;
                return stat64(\"/no such file\", &by_path) == -1 ? 0 : 6;
            }";
        let library = linked(directory.path(), source);
        let (text, program) = (directory.path().join("main.c"), directory.path().join("program"));
        let source = "#include <dlfcn.h>\n
            int main(int count, char **names) {
                void *library = dlopen(names[1], RTLD_NOW);
                return library ? ((int (*)(void))dlsym(library, \"right\"))() : 1;
            }";
        fs::write(&text, source).unwrap();
        run(Command::new("cc").args(["-w", "-o"]).arg(&program).arg(&text).arg("-ldl")).unwrap();
        let status = Command::new(program).arg(library).stdin(std::process::Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(0));
    }
}
