//! The driver's linker, by a program that links PTX modules, runs the result and checks it (`tests/targets/link.c`).

#[test]
fn kernel_calls_what_other_modules_define() {
    let run = tests::launch("link").options(["--report"]).real_payload().run();
    run.assert_exit(0).assert_stdout("right results; the same name twice: refused\n");
    run.assert_stderr_has("two of them define `more`");
}
