//! With `--overlay=full`, programs that look before they open see an installed driver.

use tests::launch_path;

fn check(script: &str, lean: &str, full: &str) {
    let shell = || launch_path("/bin/sh").arguments(["-c", script]);
    shell().run().assert_stdout(lean);
    shell().options(["--overlay", "full"]).run().assert_stdout(full);
}

#[test]
fn existence_tests_see_device_nodes() {
    check("test -c /dev/nvidia0 && echo there || echo none", "none\n", "there\n");
    check("test -r /dev/nvidiactl && echo there || echo none", "none\n", "there\n");
}

#[test]
fn listings_show_device_nodes_once() {
    check("ls /dev | grep '^nvidia'; true", "", "nvidia-caps\nnvidia-uvm\nnvidia0\nnvidiactl\n");
}

#[test]
fn glob_finds_the_driver_library() {
    check(
        "for f in /usr/lib/x86_64-linux-gnu/libcuda.so.1*; do test -e $f && echo $f; done; true",
        "",
        "/usr/lib/x86_64-linux-gnu/libcuda.so.1\n",
    );
}

#[test]
fn what_is_not_ours_looks_as_it_is() {
    check("test -e /no/such/file && echo there || echo none", "none\n", "none\n");
    let plain = std::process::Command::new("ls").args(["-la", "/etc"]).output().unwrap();
    let run = launch_path("ls").options(["--overlay", "full"]).arguments(["-la", "/etc"]).run();
    run.assert_stdout(&String::from_utf8_lossy(&plain.stdout));
}
