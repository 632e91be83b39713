//! `--overlay=full`: programs that look before they open see the driver's files where its packages would have put them.

use std::fs;

use overlay_tests::{Stage, has_program, succeed};

/// A directory of libraries that exists here, as the overlay names it.
fn directory() -> &'static str {
    let known = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64"];
    known.into_iter().find(|path| fs::exists(path).is_ok_and(|is| is)).expect("a directory of libraries")
}

#[test]
fn glob_and_stat_agree_with_open() {
    if !has_program("python3") {
        return;
    }
    let stage = Stage::new();
    let script = format!(
        "import glob, os
d = '{}'
print(sorted(os.path.basename(p) for p in glob.glob(d + '/libcuda.so*')))
print(os.path.exists(d + '/libcuda.so.1'), os.stat(d + '/libcuda.so.1').st_ino == os.fstat(os.open(d + '/libcuda.so.1', os.O_RDONLY)).st_ino)
print(sorted(os.listdir('/dev')).count('nvidiactl'), os.access('/dev/nvidiactl', os.R_OK | os.W_OK))
print(os.path.exists(d + '/libcudart.so.12'), os.path.exists('/dev/nvidia7'))",
        directory()
    );
    let run = |options: &[&str]| succeed(stage.run(options, "python3").args(["-c", &script]));
    let expected = "['libcuda.so', 'libcuda.so.1']\nTrue True\n1 True\nFalse False\n";
    assert_eq!(run(&["--overlay=full", "--gpus=1"]), expected);
}

#[test]
fn without_it_nothing_is_seen_there() {
    let stage = Stage::new();
    let path = format!("{}/libcuda.so.1", directory());
    assert!(!stage.run(&[], "test").args(["-e", &path]).status().unwrap().success());
    succeed(stage.run(&["--overlay=full"], "test").args(["-e", &path]));
}

#[test]
fn ls_lists_each_file_once() {
    let stage = Stage::new();
    let listing = succeed(stage.run(&["--overlay=full", "--gpus=2"], "ls").arg("/dev"));
    let nodes: Vec<&str> = listing.lines().filter(|name| name.starts_with("nvidia")).collect();
    assert_eq!(nodes, ["nvidia-caps", "nvidia-uvm", "nvidia0", "nvidia1", "nvidiactl"]);
    assert_eq!(listing.lines().filter(|name| *name == "null").count(), 1);
    succeed(stage.run(&["--overlay=full"], "ls").args(["-l", "/dev/nvidiactl"]));
}

#[test]
fn the_card_has_its_place_in_sysfs() {
    if fs::metadata("/sys/bus/pci/devices").is_err() {
        return println!("skipped: a machine without PCI");
    }
    let stage = Stage::new();
    let script = "import os, stat
devices = '/sys/bus/pci/devices'
read = lambda path: open(path, 'rb').read()
slots = [devices + '/' + name for name in os.listdir(devices)]
card = [slot for slot in slots if read(slot + '/vendor') == b'0x10de\\n' and read(slot + '/device') == b'0x2330\\n'][-1]
print(read(card + '/config')[:4].hex(), read(card + '/class').decode().strip(), os.path.getsize(card + '/config'))
majors = {line.split()[1]: int(line.split()[0]) for line in open('/proc/devices') if ' nvidia' in line}
node = os.stat('/dev/nvidia-caps/nvidia-cap1').st_rdev
print(os.major(os.stat('/dev/nvidia-uvm').st_rdev) == majors['nvidia-uvm'], os.major(node) == majors['nvidia-caps'], os.minor(node))
print(open('/sys/module/nvidia/initstate').read().strip(), len(open('/dev/nvidia-caps/nvidia-cap2').read()))";
    let told = succeed(stage.run(&["--overlay=full", "--gpu=h100"], "python3").args(["-c", script]));
    assert_eq!(told, "de103023 0x030200 256\nTrue True 1\nlive 0\n");
}

#[test]
fn opens_relative_to_a_directory_are_answered() {
    let stage = Stage::new();
    let source = r#"
        #include <fcntl.h>
        #include <string.h>
        #include <unistd.h>
        int main(int count, char **arguments) {
            char header[4];
            int directory = open(arguments[1], O_RDONLY | O_DIRECTORY);
            int file = openat(directory, "libcuda.so.1", O_RDONLY | O_CLOEXEC);
            return directory >= 0 && read(file, header, 4) == 4 && !memcmp(header, "\177ELF", 4) ? 0 : 1;
        }"#;
    let program = stage.compile("program", source, &[]);
    succeed(stage.run(&["--overlay=full"], program).arg(directory()));
}

#[test]
fn real_files_are_left_alone() {
    let stage = Stage::new();
    let find = |options: &[&str]| succeed(stage.run(options, "find").args(["/usr/include", "-name", "std*"]));
    assert_eq!(find(&["--overlay=full"]), find(&[]));
    let size = |options: &[&str]| succeed(stage.run(options, "stat").args(["-c", "%s %i %f", "/etc/passwd"]));
    assert_eq!(size(&["--overlay=full"]), size(&[]));
}
