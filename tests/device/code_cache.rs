//! Code that was compiled in one run is there in the next, for the user whose it is.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use tests::{AS_NOBODY, Launch, can_be_nobody, launch, launch_path, vgpu_run, workshop};

use crate::alone;

/// The client's kernel, compiled at its first launch, with this cache.
fn compiled(way: Launch, cache: &Path) -> String {
    compiling(way, cache).run().assert_exit(0).stdout()
}

fn compiling(way: Launch, cache: &Path) -> Launch {
    let way = way.options(["--gpu", "gtx1080"]).real_payload();
    way.variable("XDG_CACHE_HOME", cache).variable("VGPU_RUN_TIER", "compiled")
}

/// What `vgpu-run cache` answers.
fn ask(cache: &Path, what: &str) -> String {
    let output =
        Command::new(vgpu_run()).args(["cache", what]).env("XDG_CACHE_HOME", cache).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Writes into all records that they were last used in 1970.
fn age(objects: &Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let bytes = fs::read(objects).unwrap();
    let file = OpenOptions::new().write(true).open(objects).unwrap();
    for (offset, word) in bytes.windows(8).enumerate() {
        if u64::from_le_bytes(word.try_into().unwrap()).abs_diff(now) < 600 {
            file.write_all_at(&1u64.to_le_bytes(), offset as u64).unwrap();
        }
    }
}

#[test]
fn the_next_run_uses_it() {
    let _alone = alone();
    let cache = tempfile::tempdir().unwrap();
    let computed = || launch("device").arguments(["computed"]);
    assert_eq!(compiled(computed(), cache.path()).trim(), "ok");
    let list = ask(cache.path(), "list");
    assert!(list.contains("0 h ago") && list.contains("triple 256x1x1"), "{list}");
    age(&cache.path().join("vgpu-run/code/objects"));
    assert!(!ask(cache.path(), "list").contains("0 h ago"));
    assert_eq!(compiled(computed(), cache.path()).trim(), "ok");
    assert_eq!(ask(cache.path(), "list"), list, "it was used again, and no other was made");
    ask(cache.path(), "clear");
    assert_eq!(ask(cache.path(), "list"), "");
    assert!(ask(cache.path(), "size").starts_with("1 KiB "), "{}", ask(cache.path(), "size"));
}

#[test]
fn what_was_compiled_ahead_is_used() {
    let _alone = alone();
    let cache = tempfile::tempdir().unwrap();
    let program = workshop::target("device").expect("a C compiler");
    // The program has its PTX as text: a file of it is what `warm` takes.
    let bytes = fs::read(program).unwrap();
    let start = bytes.windows(12).position(|word| word == b".version 6.0").expect("PTX");
    let length = bytes[start..].iter().position(|byte| *byte == 0).unwrap();
    let text = cache.path().join("kernels.ptx");
    fs::write(&text, &bytes[start..start + length]).unwrap();

    let mut warm = Command::new(vgpu_run());
    warm.args(["warm", "--kernel", "triple", "--block", "256"]).arg(&text);
    warm.env("VGPU_RUN_LIBEXEC", vgpu_run().parent().unwrap());
    let output = warm.env("XDG_CACHE_HOME", cache.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.ends_with("1 compiled, 0 left to the interpreter\n"),
        "{output:?}"
    );

    let list = ask(cache.path(), "list");
    age(&cache.path().join("vgpu-run/code/objects"));
    assert_eq!(compiled(launch("device").arguments(["computed"]), cache.path()).trim(), "ok");
    assert_eq!(ask(cache.path(), "list"), list, "it was used, and no other was made");
}

#[test]
fn another_users_program_leaves_nothing_in_it() {
    if !can_be_nobody() {
        return;
    }
    let _alone = alone();
    let cache = tempfile::tempdir().unwrap();
    let program = workshop::target("device").expect("a C compiler");
    let as_nobody =
        launch_path(AS_NOBODY[0]).arguments(&AS_NOBODY[1..]).arguments([program]).arguments(["computed"]);
    let run = compiling(as_nobody.options(["--report"]), cache.path()).run();
    assert_eq!(run.assert_exit(0).stdout().trim(), "ok");
    let told = "compiled code is not kept for other runs: its user has no cache directory";
    assert!(run.stderr().contains(told), "{}", run.stderr());
    assert_eq!(ask(cache.path(), "list"), "");
}
