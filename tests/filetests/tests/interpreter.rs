//! Every fixture on the interpreter. What it does not do yet is listed in `known.txt`, kernel by kernel; a kernel
//! that is listed and works is an error too, so the list cannot grow stale.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use filetests::executor::{Buffer, Loaded, Parameter};
use filetests::{Argument, Check, Fixture, Run};
use interpreter::Pool;

#[test]
fn every_fixture_gives_what_it_promises() {
    let known = known();
    let mut outcomes = BTreeMap::new();
    for path in fixtures() {
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("readable");
        let fixture = Fixture::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let loaded = Loaded::new(&text);
        for (index, run) in fixture.runs.iter().enumerate() {
            let outcome =
                loaded.as_ref().map_err(Clone::clone).and_then(|loaded| check(loaded, &fixture, run));
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

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ptx");
    let list = |folder: PathBuf| {
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path())
    };
    let mut files: Vec<PathBuf> = list(root.join("generated")).chain(list(root)).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ptx"));
    files.sort();
    files
}

fn known() -> BTreeSet<String> {
    let lines = include_str!("known.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split(':').next().unwrap_or(line).to_owned()).collect()
}

fn check(loaded: &Loaded, fixture: &Fixture, run: &Run) -> Result<(), String> {
    let mut buffers = buffers(fixture, run);
    let result = {
        let mut views: HashMap<&String, &mut Buffer> = buffers.iter_mut().collect();
        let mut parameters: Vec<Parameter> = run
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Number(number) => Parameter::Value(number.to_le_bytes().to_vec()),
                Argument::Buffer(name) => {
                    Parameter::Memory(views.remove(name).expect("each buffer is passed once"))
                }
            })
            .collect();
        loaded.run(&Pool::new(1), &run.kernel, run.shape, &mut parameters)
    };
    run.checks.iter().try_for_each(|check| verdict(check, &result, &buffers))
}

/// The file's data, and outputs as long as what is expected of them.
fn buffers(fixture: &Fixture, run: &Run) -> HashMap<String, Buffer> {
    let mut buffers = HashMap::new();
    for argument in &run.arguments {
        let Argument::Buffer(name) = argument else { continue };
        let expected = run.checks.iter().find_map(|check| match check {
            Check::Memory { buffer, kind, elements, .. } if buffer == name => {
                Some(elements.len() * kind.size())
            }
            _ => None,
        });
        let buffer = match fixture.data.get(name) {
            Some(bytes) => Buffer::of(bytes),
            None => {
                Buffer::zeroed(expected.unwrap_or_else(|| panic!("`{name}` is neither data nor expected")))
            }
        };
        buffers.insert(name.clone(), buffer);
    }
    buffers
}

fn verdict(
    check: &Check,
    result: &Result<String, String>,
    buffers: &HashMap<String, Buffer>,
) -> Result<(), String> {
    match (check, result) {
        (Check::Fault(text), Err(fault)) if fault.contains(text) => Ok(()),
        (Check::Fault(text), other) => Err(format!("expected a fault `{text}`, got {other:?}")),
        (_, Err(fault)) => Err(fault.clone()),
        (Check::Printed(text), Ok(printed)) if text == printed => Ok(()),
        (Check::Printed(text), Ok(printed)) => Err(format!("printed {printed:?}, not {text:?}")),
        (Check::Memory { buffer, kind, elements, bound }, Ok(_)) => {
            let bytes = buffers[buffer].bytes();
            for (index, (element, chunk)) in elements.iter().zip(bytes.chunks(kind.size())).enumerate() {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                let bits = u64::from_le_bytes(word);
                if !element.accepts(bits, *kind, *bound) {
                    return Err(format!("{buffer}[{index}] is {bits:#x}, not {element:x?}"));
                }
            }
            Ok(())
        }
    }
}
