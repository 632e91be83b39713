//! The workloads: what people run all day, and what traps much.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::{has_program, skipped, workshop};

/// How much is measured.
#[derive(Clone, Copy)]
pub enum Size {
    /// What the design's figures are of.
    Full,
    /// For `make bench`.
    Quick,
}

impl Size {
    /// A number for each.
    pub fn of(self, full: usize, quick: usize) -> usize {
        match self {
            Size::Full => full,
            Size::Quick => quick,
        }
    }
}

/// The mechanisms without a listener.
pub const TRACED: [(&str, &str); 2] = [("traced", "ptrace"), ("every call traced", "ptrace-syscalls")];

/// A command to be timed.
pub struct Workload {
    pub name: String,
    pub words: Vec<String>,
    pub rounds: usize,
    pub way: Way,
}

/// What a command is run by.
#[derive(Clone, Copy)]
pub enum Way {
    /// `vgpu-run` as it was built, with stand-ins.
    Build,
    /// The same, with this mechanism.
    By(&'static str),
    /// The one file.
    OneFile,
    /// The one file without a cache directory.
    Memory,
}

type Words = Vec<String>;

fn shell(script: String) -> Words {
    vec!["/bin/sh".into(), "-c".into(), script]
}

/// Those that are wanted by their names. What they need is made only for these.
pub fn all(size: Size, wanted: impl Fn(&str) -> bool) -> Vec<Workload> {
    let mut workloads = Vec::new();
    for (name, way) in [("", Way::Build), (", one file", Way::OneFile), (", one file, no cache", Way::Memory)]
    {
        let (name, words) = (format!("start-up: true{name}"), vec!["/bin/true".into()]);
        workloads.push(Workload { name, words, rounds: size.of(101, 31), way });
    }
    for (by, mechanism) in TRACED {
        let (name, words) = (format!("start-up: true, {by}"), vec!["/bin/true".into()]);
        workloads.push(Workload { name, words, rounds: 31, way: Way::By(mechanism) });
        // Short, as nobody is to wait for every call of ten thousand processes.
        let words = shell("i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done".to_owned());
        let name = format!("500 x /bin/true, {by}");
        workloads.push(Workload { name, words, rounds: 3, way: Way::By(mechanism) });
    }
    let files = size.of(20_000, 4_000);
    let sources = size.of(200, 10);
    let processes = size.of(10_000, 1_000);
    let opens = size.of(20_000, 4_000);
    let made: [(String, &dyn Fn() -> Option<Words>); 8] = [
        ("python, many imports".into(), &|| python(IMPORTS)),
        ("python, numpy".into(), &|| python("numpy")),
        ("node, start-up".into(), &node),
        (format!("git status, {files} files"), &|| git(files)),
        (format!("C build, {sources} files"), &|| Some(c_build(sources))),
        (format!("{processes} x /bin/true"), &|| Some(true_again_and_again(processes))),
        (format!("{opens} x open and close"), &|| Some(open_and_close(opens))),
        ("Go, preempted".into(), &go),
    ];
    let rounds = size.of(7, 3);
    for (name, words) in made {
        if let Some(words) = Some(()).filter(|()| wanted(&name)).and_then(|()| words()) {
            workloads.push(Workload { name, words, rounds, way: Way::Build });
        }
    }
    workloads.retain(|workload| wanted(&workload.name));
    workloads
}

const IMPORTS: &str =
    "json,email.message,http.client,xml.dom.minidom,unittest,asyncio,sqlite3,decimal,ctypes,logging.config";

/// The system's interpreter: the first of that name may be a script of a version manager, which starts dozens of processes.
fn python(modules: &str) -> Option<Words> {
    let words = vec!["/usr/bin/python3".to_owned(), "-c".into(), format!("import {modules}")];
    let works = Command::new(&words[0]).args(&words[1..]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        skipped(&format!("{} can't import {modules}", words[0]));
        return None;
    }
    Some(words)
}

fn node() -> Option<Words> {
    has_program("node").then(|| ["node", "-e", "0"].map(str::to_owned).into())
}

fn git(files: usize) -> Option<Words> {
    let status = |tree: &Path| shell(format!("git -C {} status >/dev/null", tree.display()));
    has_program("git").then(|| status(&git_tree(files)))
}

fn c_build(files: usize) -> Words {
    let directory = c_sources(files);
    shell(format!("cd {}; for f in *.c; do cc -O1 -c $f; done", directory.display()))
}

fn true_again_and_again(count: usize) -> Words {
    shell(format!("i=0; while [ $i -lt {count} ]; do /bin/true; i=$((i+1)); done"))
}

fn open_and_close(count: usize) -> Words {
    let program = workshop::target("opens_loop").expect("a C compiler");
    vec![program.display().to_string(), count.to_string()]
}

fn go() -> Option<Words> {
    let program = workshop::target("go_storm");
    if program.is_none() {
        skipped("no Go compiler");
    }
    program.map(|program| vec![program.display().to_string()])
}

fn git_tree(count: usize) -> PathBuf {
    let tree = workshop::directory().join(format!("git-{count}"));
    if !tree.join("done").exists() {
        for index in 0..count {
            let directory = tree.join(format!("d{}", index % 100));
            fs::create_dir_all(&directory).expect("a directory");
            fs::write(directory.join(format!("f{index}")), format!("{index}\n")).expect("a file");
        }
        let script = "git init -q . && git add . && git -c user.name=x -c user.email=x@x commit -q -m all && touch done";
        let status = Command::new("sh").args(["-c", script]).current_dir(&tree).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot make a git tree");
    }
    tree
}

fn c_sources(count: usize) -> PathBuf {
    let directory = workshop::directory().join(format!("sources-{count}"));
    fs::create_dir_all(&directory).expect("a directory");
    for index in 0..count {
        let text = format!(
            "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\nint f{index}(int x) {{ return printf(\"%d\", x); }}\n"
        );
        fs::write(directory.join(format!("s{index}.c")), text).expect("a source file");
    }
    directory
}
