//! However a program came to run, it has the same one device, and 32 threads of it compute there.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tests::{AS_NOBODY, Launch, can_be_nobody, launch, launch_path, vgpu_run, workshop};

use crate::alone;

fn client() -> [OsString; 2] {
    let program = workshop::target("device").expect("a C compiler");
    [program.into(), "identity".into()]
}

/// The UUID that the client prints in the plainest run.
fn expected() -> String {
    let text =
        launch("device").arguments(["identity"]).options(CARD).real_payload().run().assert_exit(0).stdout();
    assert_eq!(text.trim().len(), 32, "a UUID: {text}");
    text
}

const CARD: [&str; 2] = ["--gpu", "gtx1080"];

fn check(way: Launch) {
    let _alone = alone();
    let expected = expected();
    way.real_payload().run().assert_exit(0).assert_stdout(&expected);
}

#[test]
fn without_an_environment() {
    check(launch_path("env").options(CARD).arguments(["-i"]).arguments(client()));
}

#[test]
fn below_a_static_parent() {
    check(launch("static_spawn").options(CARD).arguments(["vfork"]).arguments(client()));
}

#[test]
fn below_the_seccomp_profile_of_a_container() {
    let profile = workshop::target("container_profile").expect("a C compiler");
    let [program, part] = client();
    check(launch_path(program).options(CARD).arguments([part]).through([profile]));
}

#[test]
fn as_another_user() {
    if !can_be_nobody() {
        return;
    }
    check(launch_path(AS_NOBODY[0]).options(CARD).arguments(&AS_NOBODY[1..]).arguments(client()));
}

#[test]
fn under_a_supervisor_of_an_ordinary_user() {
    if !can_be_nobody() {
        return;
    }
    let cache: PathBuf = workshop::directory().join(format!("cache-of-nobody-{}", std::process::id()));
    fs::create_dir_all(&cache).expect("a directory");
    fs::set_permissions(&cache, Permissions::from_mode(0o777)).expect("its permissions");
    let [program, part] = client();
    let way = launch_path(program).options(CARD).arguments([part]);
    check(way.through(AS_NOBODY).variable("XDG_CACHE_HOME", &cache));
    fs::remove_dir_all(cache).expect("removes the cache");
}

#[test]
fn in_a_nested_session() {
    check(launch_path(vgpu_run()).options(CARD).arguments(["--"]).arguments(client()));
}
