//! The suite of CUDA C++ kernels by each compiler, on the interpreter and through the driver API, against the host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use filetests::executor::{Loaded, Tally, Tier};
use filetests::{Check, Fixture, check};
use interpreter::Pool;
use jit::Forced;
use kernels::{SUITE, Source};

/// A file by one compiler, as a fixture.
struct Compiled {
    name: String,
    card: &'static str,
    text: String,
}

static FIXTURES: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let folder = build_folder().join("kernel-suite");
    fs::create_dir_all(&folder).expect("a folder");
    std::thread::scope(|scope| {
        let halves: [Vec<&Source>; 2] = [0, 1].map(|half| SUITE.iter().skip(half).step_by(2).collect());
        let compile = |sources: Vec<&Source>| {
            sources.into_iter().flat_map(|source| compiled(source, &folder)).collect::<Vec<_>>()
        };
        let workers = halves.map(|half| scope.spawn(move || compile(half)));
        workers.into_iter().flat_map(|worker| worker.join().expect("every file compiles")).collect()
    })
});

fn compiled(source: &Source, folder: &Path) -> Vec<Compiled> {
    let explain = |error| panic!("{}: {error}", source.name);
    let expectations = source.expectations(&folder.join(source.name)).unwrap_or_else(explain);
    let by = |compiler: &kernels::Compiler| Compiled {
        name: format!("{}-{compiler:?}", source.name),
        card: compiler.card(),
        text: expectations.clone() + &source.compile(*compiler).unwrap_or_else(explain),
    };
    source.compilers.iter().map(by).collect()
}

fn build_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the test's own path");
    program.ancestors().nth(2).expect("a build directory").into()
}

fn parsed(compiled: &Compiled) -> Fixture {
    Fixture::parse(&compiled.text).unwrap_or_else(|error| panic!("{}: {error}", compiled.name))
}

#[test]
fn every_kernel_of_the_suite_does_on_the_interpreter_what_the_host_expects() {
    judge(Tier::Interpreter, 1);
}

/// Compiling takes longer than running, so this takes every fifth; all of them where `EVERY_KERNEL` is set.
#[test]
fn every_kernel_of_the_suite_does_in_compiled_code_what_the_host_expects() {
    let every = if std::env::var_os("EVERY_KERNEL").is_some() { 1 } else { 5 };
    judge(Tier::Compiled, every).require(1_250 / every);
}

/// Masked throughout, parting and giving up at random places, warps in random orders and turns: in CI a few, all of them where `EVERY_KERNEL` is set.
#[test]
fn every_kernel_of_the_suite_does_however_it_is_compiled_what_the_host_expects() {
    let every = if std::env::var_os("EVERY_KERNEL").is_some() { 1 } else { 45 };
    let none = Forced::default();
    let ways = [
        Forced { stops: Some(2), ..none },
        Forced { masked: true, splits: Some(3), stops: Some(4), ..none },
        Forced { masked: true, ..none },
        Forced { splits: Some(1), ..none },
        Forced { order: Some(5), turns: Some(6), ..none },
    ];
    let all = move || {
        for forced in ways {
            judge(Tier::Forced(forced), every).require(1_000 / every);
        }
    };
    // This code is made in a hurry: a large kernel's frame has megabytes.
    let thread = std::thread::Builder::new().stack_size(32 << 20).spawn(all).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn sorted_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Runs one of `every` kernels in a tier.
fn judge(tier: Tier, every: usize) -> Tally {
    let (pool, tally) = (Pool::new(2), Tally::default());
    let order = match tier {
        Tier::Forced(forced) => forced.order,
        _ => None,
    };
    let pool = match order {
        Some(seed) => pool.in_random_order(seed),
        None => pool,
    };
    // Warps print in the order in which they run.
    let lines = |text: String| match order {
        Some(_) => sorted_lines(&text),
        None => text,
    };
    let (mut seen, mut runs, mut wrong) = (0, 0, Vec::new());
    for compiled in FIXTURES.iter() {
        let mut fixture = parsed(compiled);
        for check in fixture.runs.iter_mut().flat_map(|run| &mut run.checks) {
            if let Check::Printed(text) = check {
                *text = lines(std::mem::take(text));
            }
        }
        let loaded = Loaded::on(tier, &compiled.text);
        for run in &fixture.runs {
            seen += 1;
            if seen % every != 0 {
                continue;
            }
            let outcome = loaded.as_ref().map_err(Clone::clone).and_then(|loaded| {
                check(&fixture, run, &mut |name, shape, parameters| {
                    if tier != Tier::Interpreter {
                        tally.add(&loaded.code(name, shape.block));
                    }
                    loaded.run(&pool, name, shape, parameters).map(lines)
                })
            });
            runs += 1;
            wrong.extend(outcome.err().map(|error| format!("{}/{}: {error}", compiled.name, run.kernel)));
        }
    }
    println!("{runs} kernels × compilers, {} as the host expects", runs - wrong.len());
    assert!(wrong.is_empty(), "{} of {runs} kernels differ:\n{}", wrong.len(), wrong.join("\n"));
    tally
}

#[test]
fn every_kernel_of_the_suite_does_through_the_driver_api_what_the_host_expects() {
    let [vgpu_run, executor] = ["vgpu-run", "filetests-driver"].map(|name| build_folder().join(name));
    for program in [&vgpu_run, &executor] {
        let hint = "hint: `make build` and `cargo build --release -p filetests`";
        assert!(program.exists(), "no {}; {hint}", program.display());
    }
    let cards: BTreeSet<&str> = FIXTURES.iter().map(|compiled| compiled.card).collect();
    for card in cards {
        let folder = build_folder().join("kernel-suite-as-fixtures").join(card);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("generated")).expect("a folder");
        let mut runs = 0;
        for compiled in FIXTURES.iter().filter(|compiled| compiled.card == card) {
            fs::write(folder.join(&compiled.name).with_extension("ptx"), &compiled.text).expect("a fixture");
            runs += parsed(compiled).runs.len();
        }
        let mut command = Command::new(&vgpu_run);
        let output = command.args(["--gpu", card, "--"]).arg(&executor).arg(&folder).output();
        let output = output.expect("vgpu-run starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(printed, format!("{runs} runs, {runs} as promised\n"), "{card}");
    }
}
