//! Every fixture on the interpreter. What it does not do yet is listed in `known.txt`, kernel by kernel; a kernel
//! that is listed and works is an error too, so the list cannot grow stale.

use std::collections::{BTreeMap, BTreeSet};

use filetests::executor::Loaded;
use filetests::{Fixture, check, fixtures};
use interpreter::Pool;

#[test]
fn every_fixture_gives_what_it_promises() {
    let known = known();
    let mut outcomes = BTreeMap::new();
    for path in fixtures(&format!("{}/../ptx", env!("CARGO_MANIFEST_DIR"))) {
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("readable");
        let fixture = Fixture::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let loaded = Loaded::new(&text);
        for (index, run) in fixture.runs.iter().enumerate() {
            let outcome = loaded.as_ref().map_err(Clone::clone).and_then(|loaded| {
                check(&fixture, run, &mut |name, shape, parameters| {
                    loaded.run(&Pool::new(1), name, shape, parameters)
                })
            });
            outcomes.insert(format!("{file}/{}/{index}", run.kernel), outcome);
        }
    }
    let failed = |outcome: &Result<(), String>| outcome.is_err();
    let failing: BTreeSet<&String> =
        outcomes.iter().filter(|(_, it)| failed(it)).map(|(name, _)| name).collect();
    let unexpected: Vec<String> = failing
        .iter()
        .filter(|name| !known.contains(**name))
        .map(|name| format!("{name}: {}", outcomes[*name].as_ref().expect_err("it failed")))
        .collect();
    let repaired: Vec<&String> = known.iter().filter(|name| !failing.contains(name)).collect();
    println!(
        "{} runs, {} as promised, {} known not to be",
        outcomes.len(),
        outcomes.len() - failing.len(),
        known.len()
    );
    assert!(outcomes.len() > 300, "the fixtures are there");
    assert!(unexpected.is_empty(), "{} runs differ:\n{}", unexpected.len(), unexpected.join("\n"));
    assert!(repaired.is_empty(), "these work now, take them out of known.txt: {repaired:?}");
}

fn known() -> BTreeSet<String> {
    let lines = include_str!("known.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split(':').next().unwrap_or(line).to_owned()).collect()
}
