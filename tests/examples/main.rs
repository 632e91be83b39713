//! The programs in `examples/` do what its README says, and are listed there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Launch, has_program, launch_path, workshop};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("examples")
}

/// Compiles an example with all warnings as errors; `options` as its first lines tell.
fn compile(source: &str, output: &str, options: &[&str]) -> PathBuf {
    let output = workshop::directory().join(output);
    let mut command = Command::new("cc");
    command
        .args(["-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&output)
        .arg(examples().join(source))
        .args(options);
    let result = command.output().expect("a C compiler");
    assert!(result.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&result.stderr));
    output
}

/// A Python example, on this card.
fn python(name: &str, options: &[&str]) -> Launch {
    launch_path("python3").options(options).arguments([examples().join(name)]).real_payload()
}

/// What Python prints without a card: the example must say so, and not pretend.
fn fails_without_a_card(name: &str) {
    if Path::new("/dev/nvidiactl").exists() {
        return tests::skipped("this machine has a real card");
    }
    let output = Command::new("python3").arg(examples().join(name)).output().expect("python3");
    assert!(!output.status.success(), "{name} succeeds without a card");
}

#[test]
fn every_example_is_listed() {
    let list = fs::read_to_string(examples().join("README.md")).expect("the list");
    let mut count = 0;
    for entry in fs::read_dir(examples()).expect("the examples").flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        assert!(name == "README.md" || list.contains(&format!("| `{name}` |")), "`{name}` is not listed");
        count += 1;
    }
    assert!(count > 3, "{count} files");
}

#[test]
fn device_is_the_same_for_driver_and_nvml() {
    if !has_program("python3") {
        return;
    }
    let run = python("query_device.py", &["--gpu", "a100", "--gpus", "2", "--memory", "2G"]).run();
    let card = "NVIDIA A100-SXM4-40GB";
    let mut expected = "driver for CUDA 13.0\n".to_owned();
    for index in 0..2 {
        expected += &format!("{index}: {card}, capability 8.0, 108 multiprocessors, 2048 MiB\n");
        expected += &format!("   NVML calls it {card}\n");
    }
    run.assert_exit(0).assert_stdout(&expected);
    fails_without_a_card("query_device.py");
}

#[test]
fn kernel_gives_the_right_results() {
    let program = compile("launch_kernel.c", "example-launch-kernel", &["-ldl"]);
    let run = launch_path(program).real_payload().run();
    run.assert_exit(0).assert_stdout("1000000 of 1000000 results are right\n");
}

#[test]
fn driver_answers_without_a_library() {
    let program = compile("ask_the_driver.c", "example-ask-the-driver", &[]);
    let run = launch_path(&program).options(["--gpu", "h100", "--gpus", "2", "--memory", "2G"]).run();
    let card = "NVIDIA H100 80GB HBM3, 2048 of 2528 MiB free";
    let mut expected = "driver 580.159.04\n".to_owned();
    for index in 0..2 {
        // A handle of an object that went with its parent: NV_ERR_OBJECT_NOT_FOUND.
        expected += &format!("{index}: {card}\n   without a device: error 0x57\n");
    }
    run.assert_exit(0).assert_stdout(&expected);

    // Nobody has recorded a GTX 1080's driver: its node is refused, and the report tells why.
    let run = launch_path(program).options(["--gpu", "gtx1080", "--report"]).run();
    run.assert_exit(1);
    let report = run.stderr();
    assert!(report.contains("told that there is none") && report.contains("`--gpu gtx1080`"), "{report}");
}

#[test]
fn grandchild_with_an_empty_environment_sees_the_card() {
    if !has_program("python3") {
        return;
    }
    let run = python("from_a_child.py", &["--gpu", "t4"]).run();
    run.assert_exit(0).assert_stdout("the grandchild sees Tesla T4\n");
    fails_without_a_card("from_a_child.py");
}

/// A file system in which systemd finds its targets, Ollama's service, the drop-in and the two programs.
fn services(drop_in: &str) -> PathBuf {
    let root = workshop::directory().join(format!("services-{}", std::process::id()));
    let units = root.join("etc/systemd/system");
    let own = root.join("usr/lib/systemd/system");
    for directory in [&units.join("ollama.service.d"), &own, &root.join("usr/local/bin")] {
        fs::create_dir_all(directory).expect("a directory");
    }
    for entry in fs::read_dir("/usr/lib/systemd/system").expect("systemd's units").flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "target") {
            fs::copy(entry.path(), own.join(entry.file_name())).expect("a copy");
        }
    }
    let service = "[Service]\nExecStart=/usr/local/bin/ollama serve\nUser=root\nRestart=always\n";
    fs::write(units.join("ollama.service"), service).expect("a service");
    fs::write(units.join("ollama.service.d/vgpu-run.conf"), drop_in).expect("the drop-in");
    for program in ["vgpu-run", "ollama"] {
        fs::copy("/bin/true", root.join("usr/local/bin").join(program)).expect("a program");
    }
    root
}

/// What systemd complains about when it reads the service with this drop-in; `None`: nothing.
fn complaint(drop_in: &str) -> Option<String> {
    let root = services(drop_in);
    let root_option = format!("--root={}", root.display());
    let mut command = Command::new("systemd-analyze");
    let output =
        command.args(["verify", "--man=no", &root_option, "ollama.service"]).output().expect("systemd");
    fs::remove_dir_all(root).expect("removed");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success() || !text.is_empty()).then_some(text)
}

#[test]
fn systemd_reads_the_drop_in_without_complaint() {
    if !has_program("systemd-analyze") {
        return;
    }
    let drop_in = fs::read_to_string(examples().join("ollama-vgpu-run.conf")).expect("the drop-in");
    assert_eq!(complaint(&drop_in), None);
    let wrong = drop_in.replace("KillMode=mixed", "KillMode=some");
    assert!(complaint(&wrong).is_some_and(|text| text.contains("kill mode")), "systemd checks nothing");
}

#[test]
fn silent_fallback_is_explained() {
    let plugin = compile("explain_failure.c", "libbackend-cuda.so", &["-DPLUGIN", "-shared", "-fPIC"]);
    let program = compile("explain_failure.c", "example-explain-failure", &["-ldl"]);
    let run = launch_path(program).arguments([plugin]).real_payload().run();
    run.assert_exit(0).assert_stdout("found a driver\nusing the CPU\n");
    run.assert_stderr_has("libbackend-cuda.so` does not load: `backend_log` undefined");
    run.assert_stderr_has("hint: link it with the library that does");
}
