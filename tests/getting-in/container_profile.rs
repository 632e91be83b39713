//! Where a container's seccomp profile refuses calls that we like best, others do.

use tests::{Launch, launch, launch_path, workshop};

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
