//! Takes the tables apart into releases, and writes a constant for each number that is the same in every release that has
//! its name.

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
    let text: String = files.iter().map(|file| fs::read_to_string(file).expect("a table is text")).collect();
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim_end());
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();

    let mut numbers = Numbers::new();
    lines.iter().for_each(|line| collect(&mut numbers, line));
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("tables.rs"), constants(&numbers) + &releases(&lines))
        .expect("it is writable");
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

/// Every release with its lines.
fn releases(lines: &[&str]) -> String {
    let is_head = |line: &&str| line.starts_with("version ");
    assert!(lines.first().is_some_and(is_head), "a table begins with a version");
    let mut text = String::from("static RELEASES: &[Release] = &[\n");
    for release in lines.chunk_by(|_, next| !is_head(next)) {
        let mut words = release[0].split(' ').skip(1);
        let (version, parent) = (words.next().expect("a version"), words.next());
        writeln!(
            text,
            "    Release {{ version: {version:?}, parent: {parent:?}, lines: &{:?} }},",
            &release[1..]
        )
        .unwrap();
    }
    text + "];\n"
}
