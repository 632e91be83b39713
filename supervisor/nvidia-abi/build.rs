//! Writes a constant for each number of the tables that is the same in every release that has its name.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Kinds of rows with names of numbers; each becomes a module.
const KINDS: [&str; 6] = ["escape", "uvm", "class", "control", "index", "status"];

/// Kind and name, with the numbers of that name.
type Numbers = BTreeMap<(String, String), Vec<String>>;

fn main() {
    println!("cargo::rerun-if-changed=tables");
    let mut files: Vec<PathBuf> = fs::read_dir("tables")
        .expect("tables exist")
        .map(|file| file.expect("tables can be listed").path())
        .collect();
    files.sort();
    let mut numbers = Numbers::new();
    for file in &files {
        for line in fs::read_to_string(file).expect("a table is text").lines() {
            collect(&mut numbers, line);
        }
    }
    let text = constants(&numbers) + &tables(&files);
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("tables.rs"), text).expect("it is writable");
}

fn collect(numbers: &mut Numbers, line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    let mut found = |kind: &str, name: String, number: &str| {
        let known = numbers.entry((kind.into(), name)).or_default();
        if !known.iter().any(|other| other == number) {
            known.push(number.into());
        }
    };
    match words[..] {
        // The row is a control's; its names begin with the third word, and the fourth is the field they are for.
        ["index", _, prefix, _, ref names @ ..] => {
            for (name, number) in names.iter().filter_map(|name| name.split_once('=')) {
                found("index", format!("{prefix}{name}"), number);
            }
        }
        // What headers do not name has a `?`, or a function's name.
        [kind, number, name, ..] if name.starts_with(|first: char| first.is_ascii_uppercase()) => {
            found(kind, name.into(), number);
        }
        _ => {}
    }
}

fn constants(numbers: &Numbers) -> String {
    let mut text = String::new();
    for kind in KINDS {
        writeln!(
            text,
            "/// Numbers of the tables' `{kind}` rows.\n#[allow(missing_docs)]\npub mod {kind} {{"
        )
        .unwrap();
        for ((of, name), values) in numbers {
            if let [number] = values.as_slice()
                && of == kind
            {
                writeln!(text, "    pub const {name}: u32 = {number};").unwrap();
            }
        }
        text += "}\n";
    }
    text
}

/// The files of the tables, as text in the program.
fn tables(files: &[PathBuf]) -> String {
    let mut text = format!("const TABLES: [&str; {}] = [\n", files.len());
    for file in files {
        writeln!(text, "    include_str!({:?}),", file.canonicalize().expect("it exists")).unwrap();
    }
    text + "];\n"
}
