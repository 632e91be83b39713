//! What a session may not ask, and what programs ask.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use recording::Event;

use super::given::{given, noted};
use super::*;
use crate::policy::key;

/// `NV0000_CTRL_CMD_SYSTEM_GET_BUILD_VERSION` and `NV2080_CTRL_CMD_GPU_GET_PIDS`.
const BUILD_VERSION: u32 = 0x101;
const PIDS: u32 = 0x2080_018d;

fn control(mediator: &mut Mediator, command: u32) -> u32 {
    let mut words = [1, 1, command, 0, 0, 0, 0, 0];
    assert!(matches!(ask(mediator, RM_CONTROL, &mut words), Answer::Return(0)));
    words[7]
}

#[test]
fn what_is_denied_is_refused_and_named_once_with_its_set() {
    alone("policy::what_is_denied_is_refused_and_named_once_with_its_set", || {
        let mut mediator = noted(None);
        mediator.policy.deny(&[Set::Utility, Set::Compute]);
        for _ in 0..2 {
            assert_eq!(control(&mut mediator, PIDS), NOT_SUPPORTED);
            let mut words = [1, 2, 3, 0x40, 0, 0, 0, 0, 0, 0, 0, 0];
            assert!(matches!(ask(&mut mediator, ALLOC, &mut words), Answer::Return(0)));
            assert_eq!(words[10], INVALID_CLASS);
        }
        assert_eq!(given().calls.load(Relaxed), 0, "the driver heard of it");
        let denied = mediator.take_denied();
        let said: Vec<_> = denied.iter().map(|denied| (&*denied.what, denied.set)).collect();
        let expected =
            [("NV2080_CTRL_CMD_GPU_GET_PIDS", Set::Utility), ("NV01_MEMORY_LOCAL_USER", Set::Compute)];
        assert_eq!(said, expected);
        assert!(mediator.take_unknown().is_empty());
        assert_eq!(control(&mut mediator, BUILD_VERSION), 0);
        assert_eq!(given().calls.load(Relaxed), 1);
    });
}

#[test]
fn an_escape_without_a_status_that_is_denied_is_an_error() {
    alone("policy::an_escape_without_a_status_that_is_denied_is_an_error", || {
        let mut mediator = noted(None);
        mediator.policy.allow_rows([]);
        let answer = ask(&mut mediator, 0xc008_46d6, &mut [0; 2]);
        assert!(matches!(answer, Answer::Errno(libc::EINVAL)), "{answer:?}");
        assert_eq!(mediator.take_denied().len(), 1);
    });
}

#[test]
fn what_was_asked_is_learned_and_is_enough() {
    alone("policy::what_was_asked_is_learned_and_is_enough", || {
        let mut mediator = noted(None);
        mediator.learn();
        assert_eq!(control(&mut mediator, BUILD_VERSION), 0);
        let asked = mediator.asked();
        let names: Vec<_> = asked.iter().map(|asked| (asked.kind, &*asked.name)).collect();
        let build_version = "NV0000_CTRL_CMD_SYSTEM_GET_BUILD_VERSION";
        assert_eq!(names, [(Kind::Escape, "NV_ESC_RM_CONTROL"), (Kind::Control, build_version)]);
        let rows = names.iter().map(|(kind, name)| crate::policy::named(&mediator.abi, *kind, name));
        let rows: Vec<Key> = rows.collect::<Result<_, _>>().expect("names of rows");
        mediator.policy.allow_rows(rows);
        assert_eq!(control(&mut mediator, BUILD_VERSION), 0);
        assert_eq!(control(&mut mediator, PIDS), NOT_SUPPORTED);
    });
}

/// Rows that recorded programs asked and the tables have.
fn asked(file: &Path) -> BTreeSet<(Set, String)> {
    let abi = Abi::of(VERSION).expect("known");
    let events = recording::open(file).expect("a recording");
    let ioctls = events.into_iter().filter_map(|event| match event {
        Event::Ioctl(ioctl) => Some(ioctl),
        Event::Other(_) => None,
    });
    let rows = |ioctl: Ioctl| {
        let word = |at| calls::word(&ioctl.outer_before, at);
        let request = u32::from_str_radix(&ioctl.cmd, 16).unwrap_or(0);
        match &*ioctl.dev {
            "/dev/nvidia-uvm" => vec![abi.uvm(request)],
            _ if ioctl.nr == CONTROL => vec![abi.escape(ioctl.nr), abi.control(word(8))],
            _ if ioctl.nr == ALLOCATE => vec![abi.escape(ioctl.nr), abi.class(word(12))],
            _ => vec![abi.escape(ioctl.nr)],
        }
    };
    let rows = ioctls.flat_map(rows).flatten();
    rows.map(|row| (Set::of(row), format!("{:x?} {}", key(row), calls::name(row)))).collect()
}

fn check(is_one: impl Fn(&str) -> bool, sets: &[Set]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings");
    let files = ["h100", "h100-2"].into_iter().flat_map(|name| {
        std::fs::read_dir(directory.join(name)).expect("there").map(|entry| entry.expect("read").path())
    });
    let name = |file: &Path| file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let files: Vec<PathBuf> =
        files.filter(|file| name(file).ends_with(".xz") && is_one(&name(file))).collect();
    assert!(files.len() > 2);
    let mut others = BTreeSet::new();
    for file in files {
        others.extend(asked(&file).into_iter().filter(|(set, _)| !sets.contains(set)));
    }
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn monitoring_needs_two_sets() {
    check(|name| name.starts_with("smi") || name.starts_with("pynvml"), &[Set::Basic, Set::Utility]);
}

#[test]
fn computing_needs_two_sets() {
    let programs = ["ctx", "cuinit", "cuda-start", "torch"];
    check(|name| programs.iter().any(|program| name.starts_with(program)), &[Set::Basic, Set::Compute]);
}
