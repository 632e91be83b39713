//! Our three runtimes against the real ones' headers and symbol tables (PyPI's packages of CUDA 11.8, 12.9 and 13.5).
//!
//! `program.c` is compiled with each version's own header and linked against our library of that version, in both kinds of
//! default stream; the lists of names are compared with what the headers declare and with what the packaged libraries export.
//! `bundled.c` needs its libraries by names with hashes in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use goblin::elf::Elf;

/// The build directory: the one above this program that holds `vgpu-run`.
fn build_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the test's own path");
    let found = program.ancestors().find(|parent| parent.join("vgpu-run").is_file());
    found.unwrap_or_else(|| panic!("vgpu-run is not built; hint: run `make build`")).to_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// NVIDIA's package of one major version.
struct Real {
    major: &'static str,
    soname: &'static str,
    headers: PathBuf,
    compiler_headers: PathBuf,
    library: PathBuf,
}

fn real(major: &'static str, soname: &'static str) -> Real {
    let script = root().join("scripts/fetch-cudart");
    let output =
        Command::new(&script).arg(major).output().unwrap_or_else(|error| panic!("{script:?}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("paths");
    let mut lines = text.lines().map(PathBuf::from);
    let mut next = || lines.next().expect("three paths");
    Real { major, soname, headers: next(), compiler_headers: next(), library: next() }
}

fn all() -> [Real; 3] {
    [real("11", "libcudart.so.11.0"), real("12", "libcudart.so.12"), real("13", "libcudart.so.13")]
}

/// Names of our list that have this version.
fn listed(major: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("payload/libcudart/symbols.txt")).expect("symbols.txt");
    let of_version = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(matches!(words[1], "implemented" | "refused"), "`{line}` does not classify");
        words[2..].contains(&major).then(|| words[0].to_owned())
    };
    text.lines().filter_map(of_version).collect()
}

/// A header without its comments.
fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    for (index, piece) in text.split("/*").enumerate() {
        kept += if index == 0 { piece } else { piece.split_once("*/").map_or("", |(_, rest)| rest) };
    }
    kept.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Functions that a header declares: names behind the calling convention's mark.
fn declared(header: &Path) -> BTreeSet<String> {
    let text =
        std::fs::read_to_string(header).unwrap_or_else(|error| panic!("{}: {error}", header.display()));
    let text = without_comments(&text);
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let after = text.split("CUDARTAPI").skip(1).map(|rest| rest.trim_start_matches("_CDECL").trim_start());
    let names = after.map(|rest| rest.split(|letter| !is_name(letter)).next().unwrap_or("").to_owned());
    names.filter(|name| name.starts_with("cuda")).collect()
}

#[test]
fn every_declared_function_is_classified() {
    for real in all() {
        let declared = declared(&real.headers.join("cuda_runtime_api.h"));
        assert!(declared.len() > 250, "{} functions in the header of CUDA {}", declared.len(), real.major);
        let listed = listed(real.major);
        // Only device code has these.
        let device_only =
            ["cudaGetParameterBuffer", "cudaGetParameterBufferV2", "cudaLaunchDevice", "cudaLaunchDeviceV2"];
        let missing: Vec<_> = declared
            .iter()
            .filter(|name| !listed.contains(*name) && !device_only.contains(&name.as_str()))
            .collect();
        assert!(missing.is_empty(), "CUDA {}: not in symbols.txt: {missing:?}", real.major);
    }
}

#[test]
fn exported_names_and_versions_are_the_real_ones() {
    for real in all() {
        let ours = build_directory().join("payload").join(real.soname);
        assert_eq!(exports(&ours), exports(&real.library), "CUDA {}", real.major);
    }
}

/// Exported names with the names of their version nodes.
fn exports(library: &Path) -> BTreeSet<(String, Option<String>)> {
    let bytes = std::fs::read(library).unwrap_or_else(|error| panic!("{}: {error}", library.display()));
    let elf = Elf::parse(&bytes).expect("an ELF library");
    let node = |number: u16| {
        let node = elf.verdef.as_ref()?.iter().find(|node| node.vd_ndx == number)?;
        elf.dynstrtab.get_at(node.iter().next()?.vda_name).map(str::to_owned)
    };
    let symbols = elf.dynsyms.iter().enumerate().filter(|(_, symbol)| symbol.st_shndx != 0);
    let named = symbols.filter_map(|(index, symbol)| {
        let version = elf.versym.as_ref()?.get_at(index)?.version();
        Some((elf.dynstrtab.get_at(symbol.st_name)?.to_owned(), node(version)))
    });
    let found: BTreeSet<_> = named.filter(|(name, _)| name.contains("cuda")).collect();
    assert!(found.len() > 300, "{} has {} names", library.display(), found.len());
    found
}

fn compile(real: &Real, per_thread: bool) -> PathBuf {
    let build = build_directory();
    let kind = if per_thread { "per-thread" } else { "legacy" };
    let target = build.join(format!("runtime-abi-{}-{kind}", real.major));
    let mut command = Command::new("cc");
    command.args(["-O1", "-Wall", "-Wno-deprecated-declarations", "-o"]).arg(&target);
    command.arg("-I").arg(&real.headers).arg("-I").arg(&real.compiler_headers);
    if per_thread {
        command.arg("-DCUDA_API_PER_THREAD_DEFAULT_STREAM");
    }
    command.arg(root().join("tests/runtime-abis/program.c")).arg(build.join("payload").join(real.soname));
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    target
}

#[test]
fn programs_of_every_version_get_right_results() {
    for real in all() {
        for per_thread in [false, true] {
            let program = compile(&real, per_thread);
            let mut command = Command::new(build_directory().join("vgpu-run"));
            command.args(["--gpu", "gtx1080", "--"]).arg(&program);
            // Cargo sets it for tests; programs do not have it.
            command.env_remove("LD_LIBRARY_PATH");
            let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let said = String::from_utf8_lossy(&output.stdout);
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert_eq!(said.lines().last(), Some("ok end"), "{}:\n{said}{complaints}", program.display());
        }
    }
}

/// Runs the C compiler.
fn cc(arguments: &[&str], files: &[&Path]) {
    let mut command = Command::new("cc");
    command.args(arguments).args(files);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn libraries_needed_by_hashed_names_are_ours_and_loaded_once() {
    const LIBRARIES: [&str; 4] = [
        "libcudart-16e8815a.so.12",
        "libcublas-b1e7aa6b.so.12.4.5.8",
        "libcublasLt-87d8d8c7.so.12",
        "libnccl-0a1b2c3d.so.2",
    ];
    let folder = build_directory().join("runtime-abi-bundled");
    std::fs::create_dir_all(&folder).expect("a folder");
    let source = root().join("tests/runtime-abis/bundled.c");
    let files = LIBRARIES.map(|name| folder.join(name));
    for (name, file) in LIBRARIES.iter().zip(&files) {
        // The version node is that of the real library, whatever the file is called.
        let plain = name.split_once('-').expect("a hash").0;
        let node = match plain {
            "libnccl" => "{ global: nccl*; local: *; };",
            "libcudart" => "libcudart.so.12 { global: cuda*; local: *; };",
            "libcublas" => "libcublas.so.12 { global: cublasCreate*; cublasGet*; local: *; };",
            _ => "libcublasLt.so.12 { global: cublasLt*; local: *; };",
        };
        let script = folder.join("node");
        std::fs::write(&script, node).expect("a version script");
        let soname = format!("-Wl,-soname,{name}");
        let version = format!("-Wl,--version-script={}", script.display());
        cc(&["-shared", "-fPIC", "-DSTAND_IN", &soname, &version, "-o"], &[file, &source]);
    }
    let program = folder.join("program");
    let mut inputs: Vec<&Path> = vec![&program, &source];
    inputs.extend(files.iter().map(PathBuf::as_path));
    cc(&["-O1", "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", "-o"], &inputs);

    let alone = Command::new(&program).output().expect("the program");
    assert!(
        String::from_utf8_lossy(&alone.stdout).contains("FAILED runtime"),
        "the stand-ins are not used at all"
    );
    let mut command = Command::new(build_directory().join("vgpu-run"));
    command.args(["--gpu", "gtx1080", "--"]).arg(&program).env_remove("LD_LIBRARY_PATH");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.lines().last(), Some("ok end"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
