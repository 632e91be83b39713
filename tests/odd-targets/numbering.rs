//! System calls that are not x86-64's: nothing of ours is there, everything works as without us, and the report says why.

use std::fs;

use tests::{launch, skipped, workshop};

/// Whether this kernel runs 32-bit programs.
fn has_32_bit_calls() -> bool {
    let native =
        std::process::Command::new(workshop::target("bits32").unwrap()).arg("/etc/hostname").status();
    let runs = native.is_ok_and(|status| status.success());
    if !runs {
        skipped("a kernel without 32-bit programs");
    }
    runs
}

#[test]
fn calls_in_other_numberings_are_the_kernels() {
    if fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| !symbols.contains("ia32")) {
        return skipped("a kernel without 32-bit calls");
    }
    for path in ["/etc/hostname", "/dev/nvidiactl"] {
        launch("numbering").arguments([path]).both().assert_works().assert_same();
    }
}

#[test]
fn a_32_bit_program_runs_as_ever_and_is_told_that_it_gets_nothing() {
    if !has_32_bit_calls() {
        return;
    }
    for path in ["/etc/hostname", "/dev/nvidiactl"] {
        launch("bits32").arguments([path]).both().assert_works().assert_same();
    }
    launch("bits32")
        .arguments(["/dev/nvidiactl"])
        .options(["--report"])
        .run_in_time()
        .assert_stderr_has("32-bit");
}

#[test]
fn a_64_bit_program_that_a_32_bit_one_became_sees_the_gpu() {
    if !has_32_bit_calls() {
        return;
    }
    let run = launch("bits32")
        .arguments(["/dev/nvidiactl".into(), workshop::target("sees").unwrap()])
        .run_in_time();
    run.assert_exit(0).assert_stdout("ENOENT\nno control call\npayload device\n");
}
