//! Compares `symbols.txt` (every name that the real library exports) with what the sources implement, and writes:
//! an answer `CUDA_ERROR_NOT_SUPPORTED` for each name that is left, and the table that `cuGetProcAddress` searches.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=symbols.txt");
    println!("cargo::rerun-if-changed=src");
    let symbols: BTreeSet<String> =
        fs::read_to_string("symbols.txt").expect("symbols.txt").lines().map(str::to_owned).collect();
    let implemented = implemented();
    let mut code = String::new();
    for name in symbols.difference(&implemented) {
        writeln!(code, "unsupported!({name});").expect("a String");
    }
    code += "/// Every exported function by name, sorted.\npub static SYMBOLS: &[(&str, Function)] = &[\n";
    for name in symbols.union(&implemented) {
        writeln!(code, "    (\"{name}\", Function({name} as *const ())),").expect("a String");
    }
    code += "];\n";
    let target = Path::new(&env::var_os("OUT_DIR").expect("set by cargo")).join("symbols.rs");
    fs::write(target, code).expect("the build directory is writable");
}

/// Names that a source defines: `fn cuName` and, beside it, `|cuName_ptsz`.
fn implemented() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir("src").expect("src") {
        let path = entry.expect("an entry").path();
        // The macro's own file has names only as examples.
        if path.ends_with("door.rs") {
            continue;
        }
        let text = fs::read_to_string(path).expect("source text");
        for mark in ["fn cu", "|cu"] {
            for (position, _) in text.match_indices(mark) {
                let rest = &text[position + mark.len() - 2..];
                let end = rest
                    .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
                    .unwrap_or(rest.len());
                names.insert(rest[..end].to_owned());
            }
        }
    }
    names
}
