//! CUDA C++ kernels under checks (`vgpu-run --check`): `cuda/mistakes.cu` has mistakes, each found at its line and nowhere else;
//! those of the suite have none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use executors::checked::Checked;
use executors::{Buffer, Parameter, Shape};
use filetests::{Fixture, check};
use interpreter::Pool;
use kernels::{Compiler, SUITE, kernels_with_lines};

/// Line, check, and what is said of the first occurrence.
type Expected = BTreeSet<(u32, String, Vec<String>)>;

/// What the comments of `mistakes.cu` ask for, by kernel.
fn expected() -> BTreeMap<String, Expected> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cuda/mistakes.cu");
    let text = std::fs::read_to_string(source).expect("the file of this test");
    let (mut all, mut kernel) = (BTreeMap::new(), String::new());
    for (line, number) in text.lines().zip(1..) {
        if let Some(rest) = line.strip_prefix("KERNEL ") {
            kernel = rest.split('(').next().unwrap_or_default().into();
        }
        let Some((_, comment)) = line.split_once("// ").filter(|(code, _)| !code.trim().is_empty()) else {
            continue;
        };
        let (check, what) = comment.split_once(": ").expect("a check and what it says");
        let (deed, places) = what.split_once(", ").expect("a deed and its place");
        let finding = (number, check.to_owned(), vec![deed.to_owned(), places.to_owned()]);
        all.entry(kernel.clone()).or_insert_with(Expected::new).insert(finding);
    }
    all
}

#[test]
fn each_mistake_is_found_at_its_line_by_its_first_thread() {
    let expected = expected();
    assert_eq!(expected.len(), 7, "{expected:#?}");
    for compiler in [Compiler::Clang, Compiler::Nvrtc] {
        let text = kernels_with_lines("mistakes", compiler).expect("the file compiles");
        let checked = Checked::new(&text).expect("the module loads");
        for (kernel, wanted) in &expected {
            let mut out = Buffer::zeroed(256);
            let shape = Shape { grid: [2, 1, 1], block: [64, 1, 1], shared: 0, cooperative: false };
            // The fault that a mistake may end with is the kernel's own.
            let _ = checked.run(&Pool::new(1), kernel, shape, &mut [Parameter::Memory(&mut out)], 128);
            let found = checked.take_findings();
            let lines: BTreeSet<u32> = found.iter().map(|(text, _)| line_of(text)).collect();
            let wanted_lines: BTreeSet<u32> = wanted.iter().map(|(line, ..)| *line).collect();
            assert_eq!(lines, wanted_lines, "{compiler:?}, {kernel}: {found:#?}");
            for (line, check, parts) in wanted {
                let is_it = |(text, _): &(String, u64)| {
                    line_of(text) == *line
                        && text.starts_with(check)
                        && parts.iter().all(|part| text.contains(part))
                };
                assert!(
                    found.iter().any(is_it),
                    "{compiler:?}, {kernel}: no {check} {parts:?} in {found:#?}"
                );
            }
        }
    }
}

/// The line of `mistakes.cu` that a finding names.
fn line_of(finding: &str) -> u32 {
    let at = finding.lines().find(|line| line.starts_with("  at ")).unwrap_or_default();
    let (_, place) = at.rsplit_once("mistakes.cu:").unwrap_or_else(|| panic!("no line in {finding}"));
    place.trim_end_matches(')').parse().expect("a number")
}

/// Files of the suite whose kernels do more with memory than to read and write words of their own. (All of it was run under
/// `vgpu-run --check` by hand, without a finding but for the faults that it makes on purpose.)
const SHARING: &[&str] = &["memory", "warps", "atomics", "asynchronous", "matrices"];

/// What [`check`] does to buffers is copies to the device, so all of them are written.
#[test]
fn kernels_of_the_suite_that_share_memory_have_no_findings() {
    let (pool, mut runs, mut wrong) = (Pool::new(2), 0, Vec::new());
    let folder = std::env::temp_dir().join(format!("checked-suite-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for source in SUITE.iter().filter(|source| SHARING.contains(&source.name)) {
        let expectations = source.expectations(&folder.join(source.name)).expect("the host's program runs");
        // One compiler each: what the other one's kernels do is the same.
        let compiler = source.compilers[0];
        let text = expectations + &source.compile(compiler).expect("the file compiles");
        let fixture = Fixture::parse(&text).expect("a fixture");
        let checked = Checked::new(&text).expect("the module loads");
        let plain = |run: &&filetests::Run| {
            run.checks.iter().all(|check| matches!(check, filetests::Check::Memory { .. }))
        };
        for run in fixture.runs.iter().filter(plain) {
            let outcome = check(&fixture, run, &mut |name, shape, parameters| {
                checked.run(&pool, name, shape, parameters, u64::MAX)
            });
            runs += 1;
            wrong.extend(outcome.err().map(|error| format!("{}/{}: {error}", source.name, run.kernel)));
            let found = checked.take_findings();
            wrong.extend(
                found
                    .iter()
                    .map(|(text, times)| format!("{}/{}: {times} times {text}", source.name, run.kernel)),
            );
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    println!("{runs} kernels without findings, and as the host expects");
    assert!(wrong.is_empty(), "{} of {runs}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(runs > 150, "{runs}");
}
