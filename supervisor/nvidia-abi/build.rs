//! Writes a constant for each number of the tables that is the same in every release that has its name.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// Kind of row, and the module of its constants.
const MODULES: [(&str, &str); 5] =
    [("escape", "escape"), ("uvm", "uvm"), ("class", "class"), ("control", "control"), ("status", "status")];

fn main() {
    println!("cargo::rerun-if-changed=tables");
    let mut numbers: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for file in fs::read_dir("tables").expect("tables exist") {
        let text = fs::read_to_string(file.expect("tables can be listed").path()).expect("a table is text");
        for line in text.lines() {
            let mut words = line.split(' ');
            if let (Some(kind), Some(number), Some(name)) = (words.next(), words.next(), words.next())
                && name.starts_with(|c: char| c.is_ascii_uppercase())
            {
                let known = numbers.entry((kind.into(), name.into())).or_default();
                if !known.iter().any(|other| other == number) {
                    known.push(number.into());
                }
            }
        }
    }
    let mut out = String::new();
    for (kind, module) in MODULES {
        writeln!(
            out,
            "/// Numbers of the tables' `{kind}` rows.\n#[allow(missing_docs)]\npub mod {module} {{"
        )
        .unwrap();
        for ((of, name), values) in &numbers {
            if let [number] = values.as_slice()
                && of == kind
            {
                writeln!(out, "    pub const {name}: u32 = {number};").unwrap();
            }
        }
        writeln!(out, "}}").unwrap();
    }
    // The files of the tables, for `include_str!`.
    let mut files: Vec<String> = fs::read_dir("tables")
        .expect("tables exist")
        .map(|file| {
            file.expect("tables can be listed")
                .path()
                .canonicalize()
                .expect("it exists")
                .display()
                .to_string()
        })
        .collect();
    files.sort();
    writeln!(out, "const TABLES: [&str; {}] = [", files.len()).unwrap();
    for file in files {
        writeln!(out, "    include_str!({file:?}),").unwrap();
    }
    writeln!(out, "];").unwrap();
    fs::write(Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("tables.rs"), out)
        .expect("it is writable");
}
