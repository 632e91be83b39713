//! For the build scripts of payload libraries: compares `symbols.txt` (every name that the real library exports) with what the
//! sources implement, and writes `symbols.rs`: `unsupported!(name);` for each name that is left, and a table of all names.
//!
//! A line of `symbols.txt` is a name. In the lists that classify, `implemented` or `refused` follows, and the build fails where
//! the sources say otherwise. Where a library has several versions, the major versions that export the name end the line, and
//! `link-payload` makes each version export exactly these.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// Writes `symbols.rs` into the build directory. Names begin with one of `prefixes`. A source implements a name by `fn name` or,
/// beside it, `|name`; `abi12_name` implements `name`; `static name` is a variable, and not in the table; `refused fn name` is
/// there and refuses in a way of its own. The file `door.rs` holds macros and is not looked at.
pub fn write(prefixes: &[&str]) {
    write_beside(prefixes, "");
}

/// The same where the build has made more source text.
pub fn write_beside(prefixes: &[&str], generated: &str) {
    println!("cargo::rerun-if-changed=symbols.txt");
    println!("cargo::rerun-if-changed=src");
    let list = fs::read_to_string("symbols.txt").expect("symbols.txt");
    let symbols = listed(&list);
    let sources = sources() + generated;
    let implemented = names(&sources, &["fn ", "|"], prefixes);
    let symbols: BTreeSet<String> =
        symbols.difference(&names(&sources, &["static "], prefixes)).cloned().collect();
    let unversioned: BTreeSet<String> = implemented.iter().map(|name| base_name(name).to_owned()).collect();
    let refused = names(&sources, &["refused fn "], prefixes);
    let wrong = misclassified(&list, &unversioned.difference(&refused).cloned().collect());
    assert!(wrong.is_empty(), "symbols.txt and the sources disagree about {wrong:?}");
    let mut code = String::new();
    for name in symbols.difference(&unversioned) {
        let _ = writeln!(code, "unsupported!({name});");
    }
    code += "/// Every exported function by name, sorted.\n#[allow(dead_code)]\npub static SYMBOLS: &[(&str, Function)] = &[\n";
    let plain: BTreeSet<String> =
        implemented.iter().filter(|name| base_name(name) == name.as_str()).cloned().collect();
    for name in symbols.difference(&unversioned).chain(&plain).collect::<BTreeSet<_>>() {
        let _ = writeln!(code, "    (\"{name}\", Function({name} as *const ())),");
    }
    code += "];\n";
    let target = Path::new(&env::var_os("OUT_DIR").expect("set by cargo")).join("symbols.rs");
    fs::write(target, code).expect("the build directory is writable");
}

/// The names of a list, without their versions.
fn listed(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Names whose line says `implemented` and that are not, or `refused` and that are.
fn misclassified<'a>(list: &'a str, implemented: &BTreeSet<String>) -> Vec<&'a str> {
    let wrong = |line: &'a str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let claim = match words.next()? {
            "implemented" => true,
            "refused" => false,
            _ => return None,
        };
        (claim != implemented.contains(name)).then_some(name)
    };
    list.lines().filter_map(wrong).collect()
}

/// `abi12_name` is the form that `name` has from one major version on.
fn base_name(name: &str) -> &str {
    match name.strip_prefix("abi").and_then(|rest| rest.split_once('_')) {
        Some((major, base)) if major.bytes().all(|digit| digit.is_ascii_digit()) => base,
        _ => name,
    }
}

/// The text of every source file except for the macros.
fn sources() -> String {
    let paths = fs::read_dir("src").expect("src").map(|entry| entry.expect("an entry").path());
    let texts = paths.filter(|path| !path.ends_with("door.rs"));
    texts.map(|path| fs::read_to_string(path).expect("source text")).collect()
}

/// Exported names behind one of these marks.
fn names(text: &str, marks: &[&str], prefixes: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for mark in marks {
        for (position, _) in text.match_indices(mark) {
            let rest = &text[position + mark.len()..];
            let end = rest
                .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
                .unwrap_or(rest.len());
            let name = &rest[..end];
            let is_export = |prefix: &&str| {
                let tail = base_name(name).strip_prefix(*prefix);
                // `cudaMalloc`, not `cuda_malloc` and not `cuda`.
                tail.is_some_and(|tail| tail.starts_with(|letter: char| letter.is_ascii_uppercase()))
            };
            if prefixes.iter().any(is_export) {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_all_their_forms() {
        let text = "fn cudaMalloc(x) {} fn cudaLaunch |cudaLaunch_ptsz with s () {} fn abi12_cudaProps() {} fn cuda_helper() {}";
        let found = names(text, &["fn ", "|"], &["cuda"]);
        let expected = ["abi12_cudaProps", "cudaLaunch", "cudaLaunch_ptsz", "cudaMalloc"];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(
            names("static cudaFlag;", &["static "], &["cuda"]).into_iter().collect::<Vec<_>>(),
            ["cudaFlag"]
        );
        assert_eq!(base_name("abi12_cudaProps"), "cudaProps");
    }

    #[test]
    fn versions_behind_a_name_are_not_part_of_it() {
        let names = listed("cudaFree implemented 11 12 13\ncuInit\n");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["cuInit", "cudaFree"]);
    }

    #[test]
    fn wrong_claims_are_found() {
        let implemented = BTreeSet::from(["a".to_owned(), "c".to_owned()]);
        let list = "a implemented 11\nb implemented 12\nc refused 12\nd refused 13\ne";
        assert_eq!(misclassified(list, &implemented), ["b", "c"]);
    }
}
