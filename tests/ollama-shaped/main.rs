//! A tree of processes like Ollama's, which finds its GPUs not in the process that was started but in its children's.
//!
//! ```text
//!   vgpu-run ── serve (static Go) ─┬─ runner, no streams, environment rewritten ── dlopen libggml-cuda.so ── SIGKILL
//!                                  ├─ one such for each device that was found, at the same time
//!                                  └─ again, until the memory is back
//! ```
//!
//! `libggml-cuda.so` is the real one of node-llama-cpp, beside libraries that NVIDIA's runtime would be and that are empty
//! here: nobody but vgpu-run can make it load.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tests::{Launch, Mark, Run, kernel_is_at_least, launch_path, skipped, workshop};

/// Where an installation of Ollama has its files, below a directory of a test's own.
struct Installation {
    directory: PathBuf,
}

const PACKAGES: &str = "node_modules/@node-llama-cpp";
/// With PTX for capabilities 5.0 to 8.0.
const CUDA_12: &str = "linux-x64-cuda-ext/bins/linux-x64-cuda/fallback/libggml-cuda.so";
/// With PTX for capabilities from 7.5 on.
const CUDA_13: &str = "linux-x64-cuda/bins/linux-x64-cuda/libggml-cuda.so";
const BASE: &str = "linux-x64-cuda/bins/linux-x64-cuda/libggml-base.so";

impl Installation {
    /// `None`, and the reason said, where there is no Go.
    fn new(name: &str) -> Option<Self> {
        let Some(serve) = workshop::target("ollama_serve") else {
            skipped("no Go for the static parent");
            return None;
        };
        let runner = workshop::target("ollama_runner").expect("a C compiler");
        let directory = workshop::directory().join(format!("ollama-{name}-{}", std::process::id()));
        let created = Self { directory };
        // Copies: a program finds its libraries beside its real path.
        for (program, name) in [(serve, "serve"), (runner, "runner")] {
            fs::copy(program, created.folder("bin").join(name)).expect("a copy");
        }
        created.add_backend("cuda_v12", CUDA_12);
        for library in ["libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12"] {
            workshop::empty_library(&created.folder("lib/ollama/cuda_v12").join(library), library);
        }
        Some(created)
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.directory.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// A directory with a backend, and ggml's base library beside it.
    fn add_backend(&self, directory: &str, library: &str) {
        let packages = corpus::fetch("fetch-llama").expect("the package is fetched").join(PACKAGES);
        let folder = self.folder("lib/ollama").join(directory);
        fs::create_dir_all(&folder).expect("a folder");
        link(&packages.join(library), &folder.join("libggml-cuda.so"));
        link(&packages.join(BASE), &folder.join("libggml-base.so"));
    }

    fn serve(&self, mode: &str) -> Launch {
        launch_path(self.directory.join("bin/serve")).arguments([mode]).real_payload().options(["--report"])
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn link(file: &Path, place: &Path) {
    assert!(file.is_file(), "no {}", file.display());
    symlink(file, place).expect("a link");
}

/// The words behind `name=` in a line of what was printed.
fn values(run: &Run, name: &str) -> Vec<String> {
    let wanted = format!(" {name}=");
    let lines = run.stdout();
    let rest = lines.lines().filter_map(|line| line.split_once(&wanted));
    rest.map(|(_, rest)| rest.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// The report's paragraphs about processes of this name.
fn paragraphs(run: &Run, name: &str) -> Vec<String> {
    let report = run.stderr();
    let wanted = format!("`{name}` (pid ");
    report.split("\n\n").filter(|text| text.starts_with(&wanted)).map(str::to_owned).collect()
}

/// Two devices were found, each could be used alone while the other was, and what the killed runners held is back.
fn check_two_devices(run: &Run) {
    check_two_devices_of(run, 2);
}

/// The same, where all builds together had found `count` at first.
fn check_two_devices_of(run: &Run, count: usize) {
    run.assert_exit(0);
    let said = run.stdout();
    assert!(
        said.contains(&format!("initial_count={count}\n")) && !said.contains("library=cpu"),
        "{said}{}",
        run.stderr()
    );
    assert_eq!(values(run, "compute"), ["6.1", "6.1"], "{said}");
    let mut ids = values(run, "id");
    ids.dedup();
    assert!(ids.len() == 2 && ids.iter().all(|id| id.starts_with("GPU-")), "{said}");
    let figure = |line: &str| -> Vec<u64> {
        line.split(|letter: char| !letter.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
    };
    let held: Vec<_> = said.lines().filter(|line| line.starts_with("held ")).map(figure).collect();
    assert_eq!(held.len(), 2, "{said}");
    for figures in held {
        let [held, _total, left, before] = figures[..] else { panic!("{said}") };
        assert!(before - left >= held && held > 0, "{said}");
    }
    assert!(said.contains("memory is back: true"), "{said}");
}

/// The report says of each runner what it opened, from where, and what it was given; and that the parent was followed.
fn check_report(run: &Run) {
    run.assert_stderr_has("static programs, which load no libraries: `serve`");
    let runners = paragraphs(run, "runner");
    // Two passes, and at least one more for the memory.
    assert!(runners.len() >= 4, "{}", run.stderr());
    for runner in runners {
        for opened in ["libcuda.so.1: our libcuda.so.1", "our libcudart.so.12", "the virtual device"] {
            assert!(runner.contains(opened), "no `{opened}` in {runner}");
        }
        assert!(runner.contains("cuInit: success"), "{runner}");
        // Before Linux 6.15 only the parent hears of that for certain.
        assert!(runner.contains(", killed by signal 9") || !kernel_is_at_least(6, 15), "{runner}");
    }
}

#[test]
fn runners_of_a_static_parent_find_both_devices_and_leave_no_memory() {
    let Some(ollama) = Installation::new("clean") else { return };
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let run = ollama
        .serve("info")
        .options(["--gpus", "2"])
        .variable(name, value)
        .variable("VGPU_RUN_LIBEXEC", mark.libexec())
        .run();
    check_two_devices(&run);
    check_report(&run);
    mark.assert_nobody_left();
}

/// What the user has set for other programs neither helps nor hinders.
#[test]
fn inherited_library_paths_change_nothing() {
    let Some(ollama) = Installation::new("inherited") else { return };
    let other = ollama.folder("other");
    workshop::empty_library(&other.join("libcuda.so.1"), "libcuda.so.1");
    let run = ollama
        .serve("info")
        .options(["--gpus", "2"])
        .variable("LD_LIBRARY_PATH", &other)
        .variable("OLLAMA_LIBRARY_PATH", "/nowhere")
        .run();
    check_two_devices(&run);
    check_report(&run);
}

/// Ollama's newer way: no environment at all, the answer through a pipe, and the driver's libraries asked as well.
#[test]
fn discovery_without_environment_agrees_with_the_driver() {
    let Some(ollama) = Installation::new("discover") else { return };
    let run = ollama.serve("discover").options(["--gpus", "2"]).run();
    run.assert_exit(0);
    let said = run.stdout();
    assert!(said.contains("discover cuda_v12: 2 devices, error: <nil>"), "{said}{}", run.stderr());
    assert_eq!(said.matches("both libraries agree: true").count(), 2, "{said}");
    // A runtime of CUDA 12.8 on a card below capability 7.0 wants a driver of 570 or newer.
    let drivers = values(&run, "driver");
    let major = |driver: &String| driver.split('.').next().and_then(|part| part.parse().ok());
    assert!(drivers.iter().all(|driver| major(driver).is_some_and(|major: u32| major >= 570)), "{said}");
    check_names_of_libraries(&run);
}

fn check_names_of_libraries(run: &Run) {
    let [runner] = &paragraphs(run, "runner")[..] else { panic!("not one runner in {}", run.stderr()) };
    for library in ["libcuda.so.1", "libcudart.so.12", "libcublas.so.12", "libnvidia-ml.so.1"] {
        assert!(runner.contains(&format!("our {library}")), "no `{library}` in {runner}");
    }
}

/// The newer build is tried first, has devices, and no kernels for them: it is the older one that the card is chosen for.
#[test]
fn of_two_builds_the_one_for_the_simpler_card_is_used() {
    let Some(ollama) = Installation::new("two-builds") else { return };
    ollama.add_backend("cuda_v13", CUDA_13);
    let run = ollama.serve("info").options(["--gpus", "2"]).run();
    assert!(run.stdout().starts_with("bootstrap cuda_v13: 2 devices, error: <nil>\n"), "{}", run.stdout());
    check_two_devices_of(&run, 4);
    assert_eq!(
        run.stdout().matches("filtering device which didn't fully initialize").count(),
        2,
        "{}",
        run.stdout()
    );
    run.assert_stderr_has("code refused: no PTX for capability 6.1");
}

/// A build that cannot load must not choose a card which the other has no kernels for; and the report says why it did not
/// load, of which the program says nothing.
#[test]
fn build_that_does_not_load_has_no_say_in_the_choice_of_the_card() {
    let Some(ollama) = Installation::new("unloadable") else { return };
    ollama.add_backend("cuda_v13", CUDA_13);
    let newer = ollama.folder("lib/ollama/cuda_v13").join("libggml-cuda.so");
    let mut bytes = fs::read(&newer).expect("the build");
    replace(&mut bytes, b"libcudart.so.13\0", b"libcudart.so.99\0");
    fs::remove_file(&newer).expect("a link");
    fs::write(&newer, bytes).expect("a copy");
    let run = ollama.serve("info").options(["--gpus", "2"]).run();
    assert!(run.stdout().starts_with("bootstrap cuda_v13: 0 devices, error: <nil>\n"), "{}", run.stdout());
    check_two_devices(&run);
    run.assert_stderr_has("`libcudart.so.99`");
}

/// Every place where `old` stands gets `new`, of the same length.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let places: Vec<usize> =
        (0..bytes.len() - old.len()).filter(|&at| bytes[at..].starts_with(old)).collect();
    assert!(!places.is_empty() && old.len() == new.len());
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
}

/// The failure that all this is about: a backend that does not load is passed over without a word.
#[test]
fn without_vgpu_run_the_same_tree_silently_finds_nothing() {
    let Some(ollama) = Installation::new("alone") else { return };
    let mut command = std::process::Command::new(ollama.directory.join("bin/serve"));
    let output = command.arg("info").env_remove("LD_LIBRARY_PATH").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("bootstrap cuda_v12: 0 devices, error: <nil>\ninitial_count=0"), "{said}");
    assert!(said.contains("id=cpu library=cpu"), "{said}");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
