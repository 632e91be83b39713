//! Says what of LLVM 19 to link: the archives of the components that we use, in the order in which a linker wants them.
//!
//! What llvm-config calls system libraries is not asked for: it names libz3, of which Debian has no archive, and which nothing that is
//! linked from these components uses.

use std::env;
use std::path::Path;
use std::process::Command;

/// A reader of textual IR, the new pass manager, and one code generator without assembler or disassembler of its own.
const COMPONENTS: &[&str] = &["irreader", "passes", "x86codegen", "x86desc", "x86info"];

/// What the archives need besides: the C++ runtime, and compression for sections of object files.
const STATIC: &[&str] = &["stdc++", "z", "zstd"];

fn main() {
    println!("cargo:rerun-if-env-changed=LLVM_CONFIG");
    println!("cargo:rerun-if-changed=build.rs");
    let program = env::var("LLVM_CONFIG").unwrap_or_else(|_| "llvm-config-19".to_owned());
    let version = ask(&program, &["--version"]);
    assert!(version.starts_with("19."), "`{program}` is of LLVM {version}, and this needs LLVM 19");

    println!("cargo:rustc-link-search=native={}", ask(&program, &["--link-static", "--libdir"]));
    let mut words = vec!["--link-static", "--libnames"];
    words.extend(COMPONENTS);
    for archive in ask(&program, &words).split_whitespace() {
        let name = archive.strip_prefix("lib").and_then(|name| name.strip_suffix(".a"));
        link(name.unwrap_or_else(|| panic!("`{program}` names {archive}, which is no archive")));
    }
    for name in STATIC {
        let path = ask(&cxx(), &[&format!("-print-file-name=lib{name}.a")]);
        let folder = Path::new(&path).parent().filter(|folder| folder.is_absolute());
        let folder = folder.unwrap_or_else(|| panic!("there is no lib{name}.a here: {HINT}"));
        println!("cargo:rustc-link-search=native={}", folder.display());
        link(name);
    }
}

/// Without `-bundle` each copy of our library would hold a hundred megabytes of archives; so the linker takes them from
/// where they lie.
fn link(name: &str) {
    println!("cargo:rustc-link-lib=static:-bundle={name}");
}

const HINT: &str =
    "install Debian's llvm-19-dev, g++, zlib1g-dev and libzstd-dev (`scripts/setup build` does)";

fn cxx() -> String {
    println!("cargo:rerun-if-env-changed=CXX");
    env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

fn ask(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("`{program}` can't be run ({error}): {HINT}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "`{program} {}` failed: {}", words.join(" "), text(&output.stderr));
    text(&output.stdout)
}
