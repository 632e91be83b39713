//! Builds target programs and the payload of stand-ins, each once, below the build directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use sha2::{Digest, Sha256};

/// What `cuInit` of the stand-in returns.
pub const STAND_IN: i32 = 42;

/// Where things are built: beside the test programs, readable for every user.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let program = std::env::current_exe().expect("the test's own path");
        let build = program.ancestors().find(|parent| parent.join("vgpu-run").is_file());
        let build = build.unwrap_or_else(|| panic!("vgpu-run is not built; hint: run `make build`"));
        let directory = build.join("getting-in");
        fs::create_dir_all(&directory).expect("a directory to build in");
        directory
    })
}

/// The target program of this name: `tests/targets/NAME.c` or `NAME.go`. `None` if its compiler is missing.
pub fn target(name: &str) -> Option<PathBuf> {
    target_with(name, &[])
}

/// The same, a C program compiled with more options: a sanitizer's, for example.
pub fn target_with(name: &str, more: &[&str]) -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    let (c, go) = (sources.join(format!("{name}.c")), sources.join(format!("{name}.go")));
    if c.is_file() {
        let text = fs::read_to_string(&c).expect("a source file");
        // The first line of a source may carry options for the compiler.
        let first_line = text.lines().next().unwrap_or_default();
        let options: Vec<_> = first_line.strip_prefix("// cc: ").unwrap_or_default().split(' ').collect();
        return Some(build(&format!("{name}{}", more.concat()), &c, |output| {
            let mut command = Command::new("cc");
            command.args(["-O1", "-Wall", "-o"]).arg(output).arg(&c);
            command.args(options.iter().filter(|option| !option.is_empty())).args(more);
            if !options.contains(&"-nostdlib") {
                command.args(["-lpthread", "-ldl"]);
            }
            command
        }));
    }
    assert!(go.is_file(), "there is no target program `{name}`");
    let compiler = ["/usr/local/go/bin/go", "/usr/bin/go", "/usr/lib/go/bin/go"];
    let compiler = compiler.into_iter().find(|path| Path::new(path).is_file())?;
    Some(build(name, &go, |output| {
        let mut command = Command::new(compiler);
        command.env("CGO_ENABLED", "0").env("GOCACHE", directory().join("go-cache"));
        command.args(["build", "-o"]).arg(output).arg(&go);
        command
    }))
}

/// A library that defines nothing, under this name.
pub fn empty_library(path: &Path, soname: &str) {
    let soname = format!("-Wl,-soname,{soname}");
    let mut command = Command::new("cc");
    command.args(["-shared", "-nostdlib", "-x", "c", "/dev/null", &soname, "-o"]).arg(path);
    let result = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(result.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&result.stderr));
}

/// A directory for VGPU_RUN_LIBEXEC with stand-ins.
pub fn stand_ins() -> PathBuf {
    let libexec = directory().join("libexec");
    let payload = libexec.join("payload");
    static ONCE: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ONCE.lock();
    fs::create_dir_all(&payload).expect("a directory for the payload");
    let mut sums = String::new();
    for (name, source) in [
        ("libcuda.so.1", format!("int cuInit(unsigned flags) {{ return {STAND_IN}; }}\n")),
        ("libnvidia-ml.so.1", format!("int nvmlInit_v2(void) {{ return {STAND_IN}; }}\n")),
    ] {
        let file = directory().join(format!("{name}.c"));
        if fs::read_to_string(&file).ok().as_deref() != Some(&source) {
            fs::write(&file, source).expect("a source file");
        }
        let library = build(&format!("libexec/payload/{name}"), &file, |output| {
            let mut command = Command::new("cc");
            let soname = format!("-Wl,-soname,{name}");
            command.args(["-shared", "-fPIC", "-nostdlib", &soname, "-o"]).arg(output).arg(&file);
            command
        });
        let sum = Sha256::digest(fs::read(library).expect("a library"));
        let digits: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        sums += &format!("{digits}  {name}\n");
    }
    let list = payload.join("SHA256SUMS");
    if fs::read_to_string(&list).ok().as_deref() != Some(&sums) {
        replace(&list, |path| fs::write(path, &sums).expect("the list of libraries"));
    }
    libexec
}

/// Builds unless it is there and newer than its source. Several test programs may do so at once.
fn build(name: &str, source: &Path, compiler: impl FnOnce(&Path) -> Command) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let output = directory().join(name);
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if time(&output) > time(source) {
        return output;
    }
    replace(&output, |path| {
        let mut command = compiler(path);
        let result = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let errors = String::from_utf8_lossy(&result.stderr);
        assert!(result.status.success(), "{command:?}\n{errors}");
    });
    output
}

fn replace(path: &Path, write: impl FnOnce(&Path)) {
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    write(&aside);
    fs::rename(aside, path).expect("puts the file in place");
}
