//! `sudo`, with rules of our own: nobody may do everything.

use std::path::PathBuf;
use std::process::Command;

use tests::{AS_NOBODY, Launch, can_be_nobody, has_program, launch_path, workshop};

/// Runs the rest with our rules in place of the machine's, in a mount namespace.
const WITH_RULES: &str = r#"set -e
rules=$(mktemp)
printf 'root ALL=(ALL) NOPASSWD: ALL\nnobody ALL=(ALL) NOPASSWD: ALL\n' >"$rules"
chmod 440 "$rules"
mount --bind "$rules" /etc/sudoers
rm "$rules"
exec "$@""#;

const RULES: [&str; 6] = ["unshare", "--mount", "sh", "-c", WITH_RULES, "sh"];

fn can_sudo() -> bool {
    if !can_be_nobody() || !has_program("sudo") {
        return false;
    }
    let nobodys = RULES.iter().chain(&AS_NOBODY).copied().chain(["sudo", "-n", "id", "-u"]);
    let words: Vec<&str> = nobodys.collect();
    let output = Command::new(words[0]).args(&words[1..]).output().expect("unshare starts");
    // A machine where this test can't do what it is about: /etc/sudoers is there if sudo is.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{}", String::from_utf8_lossy(&output.stderr));
    true
}

fn sees() -> PathBuf {
    workshop::target("sees").expect("a C compiler")
}

fn nobody(launch: Launch) -> Launch {
    launch.through(RULES).through(AS_NOBODY)
}

#[test]
fn vgpu_run_below_sudo_gives_the_gpu() {
    if can_sudo() {
        let libexec = format!("VGPU_RUN_LIBEXEC={}", workshop::stand_ins().display());
        let run = nobody(launch_path(sees())).through(["sudo", "-n", &libexec]).run();
        run.assert_exit(0).assert_stdout("payload device\n");
    }
}

#[test]
fn roots_sudo_to_another_user_keeps_the_gpu() {
    if can_sudo() {
        let run =
            launch_path("sudo").arguments(["-n", "-u", "nobody"]).arguments([sees()]).through(RULES).run();
        run.assert_exit(0).assert_stdout("payload device\n");
    }
}

/// As below any no_new_privs; the report says what to do.
#[test]
fn an_ordinary_users_sudo_is_refused_its_privileges_and_the_report_says_so() {
    if can_sudo() {
        let run = nobody(launch_path("sudo").arguments(["-n", "true"]).options(["--report"])).run();
        run.assert_exit(1).assert_stderr_has("no new privileges");
        run.assert_stderr_has("/sudo` can't become root");
        run.assert_stderr_has("`sudo vgpu-run CMD…`");
    }
}

#[test]
fn with_allow_setuid_sudo_works_in_the_tree_and_keeps_the_gpu() {
    if can_sudo() {
        let words = AS_NOBODY.iter().skip(1).copied().chain(["sudo", "-n"]);
        let launch = launch_path(AS_NOBODY[0]).arguments(words).arguments([sees()]);
        let run = launch.options(["--allow-setuid", "--report"]).through(RULES).run();
        run.assert_exit(0).assert_stdout("payload device\n");
        assert!(!run.stderr().contains("can't become root"), "{}", run.text());
    }
}
