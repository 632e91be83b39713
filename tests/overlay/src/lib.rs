//! A stage for tests of loading: a payload of small C libraries, programs that load them, and `vgpu-run`.
//!
//! The libraries are stand-ins whose functions return telling numbers, so that these tests ask only one thing: which file
//! did the loader get?

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

/// What `cuInit` of the staged driver returns.
pub const STAGED: i32 = 42;

/// Libraries of the staged payload: name, version node, source.
const PAYLOAD: &[(&str, Option<&str>, &str)] = &[
    (
        "libcuda.so.1",
        None,
        "static int calls; int cuInit(unsigned f) { return 42; } int cuCount(void) { return ++calls; }",
    ),
    ("libnvidia-ml.so.1", None, "int nvmlInit_v2(void) { return 42; }"),
    ("libcudart.so.12", Some("libcudart.so.12"), "int cudaFree(void *p) { return 42; }"),
    ("libcublas.so.12", Some("libcublas.so.12"), "int cublasCreate_v2(void *p) { return 42; }"),
];

/// A directory of its own for one test.
pub struct Stage {
    place: tempfile::TempDir,
}

impl Stage {
    /// A stage with the payload of stand-ins.
    pub fn new() -> Self {
        let stage = Self { place: tempfile::tempdir().expect("a temporary directory") };
        fs::create_dir(stage.path("payload")).expect("a directory for the payload");
        for (name, node, source) in PAYLOAD {
            stage.payload_library(name, *node, source);
        }
        // The real engine, in case that a program makes a context.
        let engine = vgpu_run().with_file_name("vgpu-engine");
        symlink(engine, stage.path("vgpu-engine")).expect("a link to the engine");
        stage
    }

    /// Adds or replaces a library of the payload.
    pub fn payload_library(&self, name: &str, node: Option<&str>, source: &str) {
        let made = self.library(name, node, source, &[]);
        fs::rename(made, self.path("payload").join(name)).expect("a library in the payload");
        self.seal();
    }

    /// Adds or replaces a library of the payload by a file.
    pub fn add_to_payload(&self, file: &Path) {
        let name = file.file_name().expect("a file's path");
        fs::copy(file, self.path("payload").join(name)).expect("a copy in the payload");
        self.seal();
    }

    /// A path on the stage.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Compiles a library with this SONAME and version node.
    pub fn library(&self, name: &str, node: Option<&str>, source: &str, arguments: &[&str]) -> PathBuf {
        let soname = format!("-Wl,-soname,{name}");
        let script = self.path("node");
        fs::write(&script, format!("{} {{ global: *; }};", node.unwrap_or_default()))
            .expect("a version script");
        let versions = format!("-Wl,--version-script,{}", script.display());
        self.compile(name, source, &[&["-shared", "-fPIC", &soname, &versions], arguments].concat())
    }

    /// Compiles C source, in the stage's directory.
    pub fn compile(&self, name: &str, source: &str, arguments: &[&str]) -> PathBuf {
        let input = self.path(&format!("{name}.source.c"));
        fs::write(&input, source).expect("a source file");
        let mut command = Command::new("cc");
        command.current_dir(self.place.path()).args(["-w", "-o", name]).arg(&input).args(arguments);
        let output = command.output().expect("a C compiler");
        assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(input).expect("removes the source");
        self.path(name)
    }

    /// `vgpu-run OPTIONS -- PROGRAM`, with the staged payload.
    pub fn run(&self, options: &[&str], program: impl AsRef<Path>) -> Command {
        let mut command = self.vgpu_run();
        command.args(options).arg("--").arg(program.as_ref());
        command
    }

    /// `vgpu-run doctor FILE`, with the staged payload.
    pub fn doctor(&self, file: impl AsRef<Path>) -> Command {
        let mut command = self.vgpu_run();
        command.arg("doctor").arg(file.as_ref());
        command
    }

    fn vgpu_run(&self) -> Command {
        let mut command = Command::new(vgpu_run());
        // Cargo sets it, and a library found through it has another path than the cache says.
        command.env_remove("LD_LIBRARY_PATH");
        command.env("VGPU_RUN_LIBEXEC", self.place.path()).env("XDG_CACHE_HOME", self.path("cache"));
        command.current_dir(self.place.path());
        command
    }

    fn seal(&self) {
        let mut sums = String::new();
        for entry in fs::read_dir(self.path("payload")).expect("the payload").flatten() {
            let name = entry.file_name().into_string().expect("a plain name");
            if name.starts_with("lib") {
                let sum = Sha256::digest(fs::read(entry.path()).expect("a library"));
                let digits: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
                sums += &format!("{digits}  {name}\n");
            }
        }
        fs::write(self.path("payload/SHA256SUMS"), sums).expect("the list of libraries");
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

/// The program under test, which the build puts beside the tests' directory.
pub fn vgpu_run() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let built = test.ancestors().nth(2).expect("tests lie two directories deep").join("vgpu-run");
    assert!(built.exists(), "`{}` is not built; hint: run `make build`", built.display());
    built
}

/// Runs a command to its end and returns its output, which must tell of success.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}\n{}", both(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard output and error, for messages.
pub fn both(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Whether a program can be started here; says what is skipped if not.
pub fn has_program(name: &str) -> bool {
    let has = Command::new(name).arg("--version").output().is_ok();
    if !has {
        eprintln!("skipped: no {name}");
    }
    has
}
