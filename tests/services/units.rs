//! What systemd starts.

use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use tests::{is_traced, skipped, vgpu_run, wait_until, workshop};

use crate::machine::{Daemon, Machine, build};

/// What a careful administrator adds to a unit. Our programs may lie where PrivateTmp= and ProtectHome= show nothing.
fn hardened(calls: &str) -> String {
    let build = build().display();
    format!(
        "User=nobody\nNoNewPrivileges=yes\nCapabilityBoundingSet=\nPrivateDevices=yes\nPrivateTmp=yes\nPrivateNetwork=yes\n\
         ProtectSystem=strict\nProtectHome=tmpfs\nProtectProc=invisible\nProcSubset=pid\nProtectKernelTunables=yes\n\
         ProtectControlGroups=yes\nRestrictNamespaces=yes\nRestrictAddressFamilies=AF_UNIX\nMemoryDenyWriteExecute=yes\n\
         LockPersonality=yes\nRestrictRealtime=yes\nRestrictSUIDSGID=yes\nSystemCallArchitectures=native\n\
         SystemCallFilter=@system-service {calls}\nBindReadOnlyPaths={build}\n"
    )
}

fn unit(more: &str) -> String {
    format!(
        "[Unit]\nDefaultDependencies=no\n[Service]\nStandardError=append:/run/daemon/said\n\
         ExecStart=/bin/sh -c '{}'\n{more}",
        Daemon::shell()
    )
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A machine with a service to attach to. That is by notification whatever the mechanism, so it is tested once.
fn to_attach_to(service: &str) -> Option<Machine> {
    if is_traced() {
        skipped("attaching has one mechanism");
        return None;
    }
    Machine::start(service)
}

/// vgpu-run attached to the service as its administrator would.
fn attach(machine: &Machine, process: i32) -> Child {
    let mut command = machine.command(vgpu_run());
    command.args(["attach", "--report", &process.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("vgpu-run starts")
}

/// The service's first child sees the GPU a moment after vgpu-run was started.
fn sees_the_gpu_in_time(daemon: &mut Daemon) -> bool {
    wait_until(Duration::from_secs(10), || daemon.ask("child") == "payload device")
}

#[test]
fn a_service_is_attached_to_and_goes_on_until_it_is_stopped() {
    for (kind, more) in [("plain", String::new()), ("hardened", hardened("seccomp"))] {
        let Some(machine) = to_attach_to(&unit(&more)) else { return };
        let mut daemon = machine.daemon();
        let attachment = attach(&machine, machine.main_pid());
        assert!(
            sees_the_gpu_in_time(&mut daemon),
            "{kind}: {}",
            text(&attachment.wait_with_output().unwrap())
        );
        assert_eq!(daemon.ask("waits"), "0 interrupted, spun", "{kind}");
        assert!(machine.systemctl(&["stop", "daemon.service"]).status.success());
        let output = attachment.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(0), "{kind}: {}", text(&output));
        assert!(text(&output).contains("attached"), "{kind}: {}", text(&output));
        assert_eq!(machine.property("Result"), "success", "{kind}");
    }
}

/// What systemd starts in a stopped one's place is another process.
#[test]
fn a_service_that_was_restarted_is_to_be_attached_to_again() {
    let Some(machine) = to_attach_to(&unit("Restart=always\nRestartSec=0\n")) else { return };
    let mut daemon = machine.daemon();
    for _ in 0..2 {
        let attachment = attach(&machine, machine.main_pid());
        assert!(sees_the_gpu_in_time(&mut daemon));
        assert!(machine.systemctl(&["kill", "--signal=KILL", "daemon.service"]).status.success());
        assert_eq!(attachment.wait_with_output().expect("its end").status.code(), Some(0));
        assert_eq!(daemon.line(), "ready", "systemd starts it again");
        assert_eq!(daemon.ask("child"), "no-payload no-device");
    }
}

#[test]
fn a_service_whose_filter_ends_it_for_seccomp_is_refused_with_the_line_that_it_needs() {
    let Some(machine) = to_attach_to(&unit(&hardened(""))) else { return };
    let mut daemon = machine.daemon();
    let output = attach(&machine, machine.main_pid()).wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(125), "{}", text(&output));
    assert!(text(&output).contains("SystemCallFilter=seccomp"), "{}", text(&output));
    assert_eq!(daemon.ask("child"), "no-payload no-device", "and it goes on");
    assert_eq!(daemon.ask("waits"), "0 interrupted, spun");
}

/// The drop-in of `examples/`, with another program in Ollama's place.
#[test]
fn a_service_with_the_examples_drop_in_has_the_gpu_and_stops_well() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("examples/ollama-vgpu-run.conf");
    let example = fs::read_to_string(example).expect("the drop-in");
    let drop_in = example
        .replace("/usr/local/bin/vgpu-run", &vgpu_run().display().to_string())
        .replace("/usr/local/bin/ollama serve", &format!("/bin/sh -c '{}'", Daemon::shell()));
    assert_ne!(drop_in, example);
    let stand_ins = format!("Environment=VGPU_RUN_LIBEXEC={}\n", workshop::stand_ins().display());
    let (mechanism, calls) = match is_traced() {
        false => ("notify", "seccomp"),
        true => ("ptrace", "seccomp ptrace pidfd_getfd"),
    };
    let service = unit("") + &drop_in + &stand_ins + &format!("Environment=VGPU_RUN_MECHANISM={mechanism}\n");
    for (kind, more) in [("plain", String::new()), ("hardened", hardened(calls))] {
        let Some(machine) = Machine::start(&(service.clone() + &more)) else { return };
        let mut daemon = machine.daemon();
        assert_eq!(daemon.ask("sees"), "payload device", "{kind}");
        assert_eq!(daemon.ask("child"), "payload device", "{kind}");
        assert!(machine.systemctl(&["stop", "daemon.service"]).status.success());
        assert_eq!(machine.property("Result"), "success", "{kind}: {}", machine.status());
    }
}

#[test]
fn a_service_that_is_ended_for_a_call_of_ours_says_which_line_it_needs() {
    if is_traced() {
        return skipped("this names its mechanism itself");
    }
    let command = format!("{} --mechanism ptrace -- /bin/true", vgpu_run().display());
    let stand_ins = format!("Environment=VGPU_RUN_LIBEXEC={}\n", workshop::stand_ins().display());
    let service =
        unit("ExecStart=\n") + &format!("ExecStart={command}\n") + &stand_ins + &hardened("seccomp ptrace");
    let Some(machine) = Machine::start(&service) else { return };
    assert!(wait_until(Duration::from_secs(10), || machine.property("ActiveState") == "failed"));
    assert_eq!(machine.property("ExecMainStatus"), "125", "{}", machine.status());
    assert!(machine.status().contains("`ptrace pidfd_getfd`"), "{}", machine.status());
}
