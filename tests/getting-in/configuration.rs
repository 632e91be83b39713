//! Options by variables and files, and what vgpu-run prints of its own options.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tests::{launch_path, vgpu_run, workshop};

fn file(name: &str, text: &str) -> PathBuf {
    let path = workshop::directory().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn printed(words: &[&str], config: &str) -> String {
    let output = Command::new(vgpu_run()).args(words).env("VGPU_RUN_CONFIG", config).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_wrong_variable_is_125_and_the_program_does_not_run() {
    for (variable, option, known) in [
        ("VGPU_RUN_TIER", "tier", "auto, interpreter, compiled"),
        ("VGPU_RUN_ISA", "isa", "host, avx2"),
        ("VGPU_RUN_GPUS", "gpus", "neither a number"),
    ] {
        let run = launch_path("echo").arguments(["ran"]).variable(variable, "fast").run();
        run.assert_exit(125).assert_stdout("");
        run.assert_stderr_has(&format!("{variable}: `{option}` is wrong\n  caused by: invalid value 'fast'"));
        let typed = launch_path("echo").options([format!("--{option}=fast")]).run();
        typed.assert_exit(125).assert_stdout("").assert_stderr_has(known);
    }
}

#[test]
fn a_file_sets_options_and_typed_ones_go_before() {
    let config = file("config.toml", "report = 'json'\ngpus = 2\nlog = 'info'\n");
    let run = launch_path("true").variable("VGPU_RUN_CONFIG", &config).run();
    run.assert_exit(0).assert_stderr_has("{");
    let run = launch_path("true").variable("VGPU_RUN_CONFIG", &config).options(["--report=human"]).run();
    assert!(!run.assert_exit(0).stderr().contains('{'), "{}", run.stderr());

    let shown = printed(&["config"], &config.display().to_string());
    assert!(shown.contains("gpus = \"2\""), "{shown}");
    assert!(shown.contains("config.toml:2"), "{shown}");
    assert!(shown.contains("VGPU_RUN_MEMORY"), "{shown}");
}

#[test]
fn a_wrong_file_is_named_with_its_line_and_nothing_runs() {
    let config = file("wrong.toml", "gpus = 2\nengine = 'steam'\n");
    let run = launch_path("echo").arguments(["ran"]).variable("VGPU_RUN_CONFIG", &config).run();
    run.assert_exit(125).assert_stdout("").assert_stderr_has("wrong.toml:2: `engine` is wrong");
    let run = launch_path("echo").variable("VGPU_RUN_CONFIG", "/nowhere.toml").run();
    run.assert_exit(125).assert_stderr_has("cannot read the configuration `/nowhere.toml`");
}

#[test]
fn bash_completes_options_values_and_subcommands_from_the_printed_script() {
    let text = printed(&["completions", "bash"], "/dev/null");
    let function = text.split_once("()").expect("a function first").0;
    let script = file("completions.bash", &text);
    let complete = |line: &str| {
        let commands = format!(
            "source {}; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             {function} vgpu-run \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &commands]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(complete("vgpu-run --rep").contains("--report"));
    assert!(complete("vgpu-run --overlay fu").contains("full"));
    assert!(complete("vgpu-run doc").contains("doctor"));
}

#[test]
fn the_manual_page_is_one_that_groff_takes_without_a_word() {
    let page = printed(&["man"], "/dev/null");
    assert!(page.contains("Exit status"), "{page}");
    // Without `man` and `groff` the page's own form is all that can be looked at.
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-ww"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = groff.spawn() else {
        return assert!(page.starts_with(".ie") || page.contains(".TH"));
    };
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("--check"), "{text}");
    assert!(printed(&["man", "warm"], "/dev/null").contains("vgpu\\-run\\-warm"));
}

#[test]
fn the_log_says_what_is_answered_at_the_level_asked_for() {
    let opens = |level: &str| {
        let run =
            launch_path("cat").arguments(["/proc/driver/nvidia/version"]).options(["--log", level]).run();
        run.assert_exit(0);
        run.stderr()
    };
    assert_eq!(opens("warn"), "");
    assert!(opens("info").contains("opens /proc/driver/nvidia/version: given"));
    assert!(!opens("info").contains("vgpu-run: call "));
    assert!(opens("debug").contains("vgpu-run: call "));
}
