//! Where a container's seccomp profile refuses calls that we like best, others do.

use tests::{AS_NOBODY, Launch, can_be_nobody, launch, launch_path, workshop};

/// The same below Docker's profile.
fn confined(launch: Launch) -> Launch {
    launch.through([workshop::target("container_profile").expect("a C compiler")])
}

#[test]
fn program_below_dockers_profile_sees_the_gpu() {
    confined(launch("sees")).run().assert_exit(0).assert_stdout("payload device\n");
}

#[test]
fn answers_are_put_into_memory_below_dockers_profile() {
    let shell = launch_path("/bin/sh").options(["--overlay", "full"]);
    let run = confined(shell.arguments(["-c", "test -c /dev/nvidia0 && echo there || echo none"])).run();
    run.assert_stdout("there\n");
}

#[test]
fn listings_that_cannot_be_answered_are_told() {
    let run =
        confined(launch_path("ls").options(["--overlay", "full", "--report"]).arguments(["/dev"])).run();
    run.assert_exit(0).assert_stderr_has("listings show no driver").assert_stderr_has("pidfd_getfd");
}

/// Neither the calls nor the file lead to the memory of a process that has made itself undumpable, unless we are root.
#[test]
fn a_process_whose_memory_cannot_be_read_is_told() {
    if !can_be_nobody() {
        return;
    }
    const PR_SET_DUMPABLE: i32 = 4;
    let script = format!("import ctypes; ctypes.CDLL(None).prctl({PR_SET_DUMPABLE}, 0); open('/dev/null')");
    let run =
        launch_path("python3").arguments(["-c", &script]).options(["--report"]).through(AS_NOBODY).run();
    run.assert_exit(0)
        .assert_stderr_has("cannot be read: the files that it opens are not answered by vgpu-run");
}
