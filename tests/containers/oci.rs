//! vgpu-run as the entrypoint of a container.

use std::io::{BufRead, BufReader};

use tests::workshop;

use crate::bundle::{Container, can_contain, said};

/// A target program's name inside a container.
fn inside(name: &str) -> String {
    workshop::target(name).expect("a C compiler");
    format!("/build/{name}")
}

#[test]
fn the_least_of_containers_sees_the_gpu() {
    if !can_contain() {
        return;
    }
    let output = Container::new(&["--", &inside("device"), "computed"]).run();
    assert!(output.status.success(), "{}", said(&output));
    let output = Container::new(&["nvidia-list-nothing"]).run();
    assert_eq!(output.status.code(), Some(127), "{}", said(&output));
}

#[test]
fn root_of_a_container_whose_files_can_be_written_sees_the_gpu() {
    if !can_contain() {
        return;
    }
    let container = Container::new(&["--", &inside("device"), "computed"]).with(|config| {
        config["process"]["user"] = serde_json::json!({ "uid": 0, "gid": 0 });
        config["root"]["readonly"] = false.into();
        config["process"]["noNewPrivileges"] = false.into();
    });
    let output = container.run();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_entrypoint_has_the_duties_of_process_1() {
    if !can_contain() {
        return;
    }
    // The orphan outlives its parent and is reaped: no zombie of it is left when we look.
    let script = "(sleep 0.1 &) ; sleep 0.4; grep -l 'State:.Z' /proc/[0-9]*/status; exit 7";
    let output = Container::new(&["--", "/bin/sh", "-c", script]).run();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b""[..]), "{}", said(&output));
}

#[test]
fn a_containers_end_by_sigterm_reaches_the_program() {
    if !can_contain() {
        return;
    }
    let script = "trap 'echo leaving; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let container = Container::new(&["--", "/bin/sh", "-c", script]);
    let mut child = container.start();
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    container.signal("TERM");
    assert_eq!(lines.next().as_deref(), Some("leaving"));
    assert_eq!(child.wait().expect("its end").code(), Some(9));
}

#[test]
fn doctor_in_a_container_names_what_the_profile_refuses() {
    if !can_contain() {
        return;
    }
    let output = Container::new(&["doctor"]).run();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("pidfd_getfd"), "{}", said(&output));
}
