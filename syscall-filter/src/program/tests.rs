//! What the compiled program says to calls.

use super::*;
use crate::judge::judge_of;
use crate::policy::{MEDIATED, ROOTS};
use libc::{AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_NOCTTY, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};

const X86_64: u32 = 0xC000_003E;
const I386: u32 = 0x4000_0003;
const REQUEST: u32 = 0xC040_7601;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const TRACE: u32 = libc::SECCOMP_RET_TRACE | MARK as u32;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

struct Call {
    architecture: u32,
    number: i64,
    arguments: [u64; 6],
}

fn call(number: i64, arguments: &[i64]) -> Call {
    let mut all = [0; 6];
    for (slot, argument) in all.iter_mut().zip(arguments) {
        *slot = *argument as u64;
    }
    Call { architecture: X86_64, number, arguments: all }
}

fn run(program: &Program, call: &Call) -> u32 {
    let verdict = judge_of(program.instructions(), call.architecture, call.number, call.arguments);
    verdict.expect("a program of what the kernel takes")
}

fn check(coverage: Coverage, call: &Call, expected: u32) {
    let program = compile(coverage, &[REQUEST], Action::Notify).expect("the policy compiles");
    assert_eq!(run(&program, call), expected, "call {} {:x?}", call.number, call.arguments);
    let program = compile(coverage, &[REQUEST], Action::Trace).expect("the policy compiles");
    let traced = if expected == NOTIFY { TRACE } else { expected };
    assert_eq!(run(&program, call), traced, "traced call {} {:x?}", call.number, call.arguments);
    // A tracer that sees every call decides by the rows themselves.
    let mut rows = rows(coverage, Action::Notify);
    let named = rows.any(|row| row.names(call.number, &call.arguments, &[REQUEST]));
    assert_eq!(named && call.architecture == X86_64, expected == NOTIFY, "row for call {}", call.number);
}

fn check_openat(flags: i32, expected: u32) {
    let openat = call(libc::SYS_openat, &[AT_FDCWD.into(), 0x1000, flags.into()]);
    check(Coverage::Lean, &openat, expected);
}

#[test]
fn a_loaders_open_is_notified() {
    check_openat(O_RDONLY | O_CLOEXEC, NOTIFY);
}

#[test]
fn a_device_open_is_notified_with_and_without_blocking() {
    check_openat(O_RDWR | O_CLOEXEC, NOTIFY);
    check_openat(O_RDWR | O_NONBLOCK, NOTIFY);
}

#[test]
fn a_compilers_open_is_not_notified() {
    check_openat(O_RDONLY | O_NOCTTY, ALLOW);
    check_openat(O_RDONLY | O_NONBLOCK, ALLOW);
    check_openat(O_RDONLY | O_DIRECTORY | O_CLOEXEC, ALLOW);
    check_openat(O_WRONLY, ALLOW);
}

#[test]
fn an_open_relative_to_a_directory_is_notified_with_full_coverage_only() {
    let openat = call(libc::SYS_openat, &[5, 0x1000, O_CLOEXEC.into()]);
    check(Coverage::Lean, &openat, ALLOW);
    check(Coverage::Full, &openat, NOTIFY);
}

#[test]
fn our_ioctl_is_notified_and_a_terminals_is_not() {
    check(Coverage::Lean, &call(libc::SYS_ioctl, &[3, REQUEST.into(), 0]), NOTIFY);
    check(Coverage::Lean, &call(libc::SYS_ioctl, &[0, libc::TCGETS as i64, 0]), ALLOW);
    check(Coverage::Lean, &call(libc::SYS_ioctl, &[0, libc::FIOCLEX as i64, 0]), ALLOW);
}

#[test]
fn requests_of_the_driver_are_notified() {
    // NV_ESC_RM_CONTROL with its 32 bytes, UVM_REGISTER_GPU, UVM_INITIALIZE.
    for request in [0xc020_462a, 37, 0x3000_0001] {
        check(Coverage::Lean, &call(libc::SYS_ioctl, &[3, request, 0]), NOTIFY);
    }
    // FIOCLEX, BLKGETSIZE64, a frame buffer's.
    for request in [0x5451, 0x8008_1272, 0x4600] {
        check(Coverage::Lean, &call(libc::SYS_ioctl, &[3, request, 0]), ALLOW);
    }
}

#[test]
fn the_upper_half_of_an_int_argument_does_not_matter() {
    let request = i64::from(REQUEST) | 0x7fff_0000_0000_0000;
    check(Coverage::Lean, &call(libc::SYS_ioctl, &[3, request, 0]), NOTIFY);
}

#[test]
fn stat_of_an_open_descriptor_is_never_notified() {
    let fstat = call(libc::SYS_newfstatat, &[3, 0x1000, 0x2000, libc::AT_EMPTY_PATH.into()]);
    check(Coverage::Full, &fstat, ALLOW);
    let stat = call(libc::SYS_newfstatat, &[AT_FDCWD.into(), 0x1000, 0x2000, 0]);
    check(Coverage::Lean, &stat, ALLOW);
    check(Coverage::Full, &stat, NOTIFY);
}

#[test]
fn programs_of_another_architecture_are_let_through_not_killed() {
    for number in (0..500).filter(|number| !ROOTS_OF_32_BITS.contains(&(*number as u32))) {
        let foreign = Call { architecture: I386, number, arguments: [0; 6] };
        check(Coverage::Full, &foreign, ALLOW);
    }
}

#[test]
fn changes_of_the_root_are_notified_and_not_traced() {
    let run = |action, call: Call| {
        run(&compile(Coverage::Lean, &[REQUEST], action).expect("the policy compiles"), &call)
    };
    let of_64_bits = ROOTS.iter().map(|row| (X86_64, row.number));
    let of_32_bits = ROOTS_OF_32_BITS.iter().map(|number| (I386, i64::from(*number)));
    for (architecture, number) in of_64_bits.chain(of_32_bits) {
        let call = || Call { architecture, number, arguments: [0; 6] };
        assert_eq!(run(Action::Notify, call()), NOTIFY, "{architecture:x} {number}");
        assert_eq!(run(Action::Trace, call()), ALLOW, "{architecture:x} {number}");
    }
}

#[test]
fn x32_calls_are_let_through() {
    check(Coverage::Lean, &call(libc::SYS_open | 0x4000_0000, &[0x1000, 0]), ALLOW);
}

#[test]
fn the_program_can_only_allow_or_notify() {
    let program = compile(Coverage::Full, &[REQUEST], Action::Notify).expect("the policy compiles");
    let returns = program.instructions().iter().filter(|instruction| instruction.code == RETURN);
    assert!(returns.clone().count() > 2);
    assert!(returns.clone().all(|instruction| [NOTIFY, ALLOW].contains(&instruction.k)));
}

#[test]
fn a_tracer_also_sees_calls_by_which_a_process_would_leave_it() {
    let run = |action, call: Call| {
        run(&compile(Coverage::Lean, &[REQUEST], action).expect("the policy compiles"), &call)
    };
    let untraced = i64::from(libc::CLONE_UNTRACED | libc::CLONE_VM);
    for (traced, expected) in [(untraced, TRACE), (libc::CLONE_VM.into(), ALLOW)] {
        assert_eq!(run(Action::Trace, call(libc::SYS_clone, &[traced])), expected);
        assert_eq!(run(Action::Notify, call(libc::SYS_clone, &[traced])), ALLOW);
    }
    for number in [libc::SYS_clone3, libc::SYS_ptrace] {
        assert_eq!(run(Action::Trace, call(number, &[])), TRACE);
        assert_eq!(run(Action::Notify, call(number, &[])), ALLOW);
    }
}

#[test]
fn every_row_says_why_and_at_what_cost() {
    for row in rows(Coverage::Full, Action::Trace).chain(ROOTS).chain(MEDIATED) {
        assert!(!row.reason.is_empty(), "{} has no reason", row.name);
        assert!(!row.cost.is_empty(), "{} has no measured cost", row.name);
    }
}

#[test]
fn the_drivers_requests_are_seen_in_every_disguise_and_refused_in_other_numberings() {
    // An escape of 32 bytes, and one of any size.
    let drivers = [(0x3fff_00ff, 0x0020_002a), (0xff, 0xc8)];
    let program = compile_for_driver(Coverage::Lean, &[REQUEST], &drivers).expect("the policy compiles");
    let says = |architecture, number, request: u32| {
        let arguments = [3, i64::from(request)];
        run(&program, &Call { architecture, ..call(number, &arguments) })
    };
    const IOCTL_OF_32_BITS: i64 = 54;
    const X32: i64 = 0x4000_0000;
    // TIOCGWINSZ, the escape as its header has it, without direction, of another size; the one of any size; UVM's.
    let requests = [0x5413, 0xc020_462a, 0x0020_002a, 0xc018_332a, 0x4444_12c8, 0x25, 0x3000_0001];
    for (request, is_drivers) in requests.into_iter().zip([false, true, true, false, true, true, true]) {
        let seen = if is_drivers { NOTIFY } else { ALLOW };
        assert_eq!(says(X86_64, libc::SYS_ioctl, request), seen, "{request:#x}");
        let refused = if is_drivers { REFUSED } else { ALLOW };
        assert_eq!(says(I386, IOCTL_OF_32_BITS, request), refused, "{request:#x}");
        assert_eq!(says(X86_64, X32 | 514, request), REFUSED, "{request:#x}");
    }
    assert_eq!(says(I386, 4, 0x25), ALLOW);
    assert_eq!(says(I386, 61, 0), NOTIFY, "chroot");
    check_openat(O_RDONLY | O_CLOEXEC, NOTIFY);
}

#[test]
fn mappings_that_may_be_managed_memory_are_seen_where_the_driver_is_mediated_and_nowhere_else() {
    use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE};
    const MAP: i64 = 192;
    const OLD_MAP: i64 = 90;
    let mediated =
        compile_for_driver(Coverage::Lean, &[REQUEST], &[(0xff, 0xc8)]).expect("the policy compiles");
    let observed = compile_for_observer(Coverage::Lean, &[REQUEST], &[]).expect("the policy compiles");
    // libcuda's, with a hint only, with the newer flag, at a multiple of 4 GiB; the driver's other nodes, a loader's, memory.
    for (flags, offset, is_seen) in [
        (MAP_SHARED | MAP_FIXED, 0x7f5d_bc00_0000, true),
        (MAP_SHARED, 0x2_04a0_0000, true),
        (MAP_SHARED_VALIDATE, 0x1000, true),
        (MAP_SHARED, 0x1_0000_0000, true),
        (MAP_SHARED | MAP_FIXED, 0, false),
        (MAP_PRIVATE | MAP_FIXED, 0x1000, false),
        (MAP_SHARED | MAP_ANONYMOUS, 0x1000, false),
    ] {
        let arguments = [0x1000, 0x2000, 3, flags.into(), 9, offset];
        let of_64_bits = call(libc::SYS_mmap, &arguments);
        let expected = if is_seen { NOTIFY } else { ALLOW };
        assert_eq!(run(&mediated, &of_64_bits), expected, "{flags:#x} {offset:#x}");
        assert_eq!(run(&observed, &of_64_bits), ALLOW);
        check(Coverage::Lean, &of_64_bits, ALLOW);
        // In pages, of which there are fewer.
        let of_32_bits =
            Call { architecture: I386, ..call(MAP, &[0x1000, 0x2000, 3, flags.into(), 9, offset >> 12]) };
        let expected = if is_seen { REFUSED } else { ALLOW };
        assert_eq!(run(&mediated, &of_32_bits), expected, "{flags:#x} {offset:#x}");
        assert_eq!(run(&observed, &of_32_bits), ALLOW);
    }
    let old = Call { architecture: I386, ..call(OLD_MAP, &[0x1000]) };
    assert_eq!((run(&mediated, &old), run(&observed, &old)), (REFUSED, ALLOW));
}
