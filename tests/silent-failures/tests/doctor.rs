//! `vgpu-run doctor FILE` says before a run what the report says after it, and its exit status says whether that is good.

use std::path::Path;

use overlay_tests::{Stage, both};

/// Explains a file, which has to end with this status and these words.
fn check(stage: &Stage, file: &Path, status: i32, parts: &[&str]) {
    let output = stage.doctor(file).output().expect("vgpu-run starts");
    let text = both(&output);
    assert_eq!(output.status.code(), Some(status), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

const CLIENT: &str =
    "int cudaFree(void *), cuInit(unsigned); int use(void) { return cudaFree(0) + cuInit(0); }";

#[test]
fn a_sound_library_works_and_nothing_of_it_is_run() {
    let stage = Stage::new();
    let trace = stage.path("was-run");
    let constructor = format!(
        r#"{CLIENT}
        #include <fcntl.h>
        __attribute__((constructor)) void start(void) {{ open("{}", O_CREAT | O_WRONLY, 0600); }}"#,
        trace.display()
    );
    let needs = ["payload/libcudart.so.12", "payload/libcuda.so.1"];
    let client = stage.library("libggml-cuda.so", None, &constructor, &needs);
    let parts = [
        "needs libcudart.so.12: gets our libcudart.so.12, which has all 1 functions",
        "needs libcuda.so.1: gets our libcuda.so.1",
        "needs libc.so.6: /",
        "imports 1 functions of libcuda.so.1: ours has them all",
        "dlopen(RTLD_NOW) under vgpu-run: all is found and defined",
        "verdict: works",
    ];
    check(&stage, &client, 0, &parts);
    assert!(!trace.exists(), "a constructor was run");
    let program = stage.compile("client", &format!("{CLIENT} int main(void) {{ return use(); }}"), &needs);
    check(&stage, &program, 0, &["verdict: works"]);
}

#[test]
fn a_function_that_we_lack_is_named_with_its_library() {
    let stage = Stage::new();
    let source =
        "int cuInit(unsigned), cuNewerThanWe(void); int use(void) { return cuInit(0) + cuNewerThanWe(); }";
    let client = stage.library("libggml-cuda.so", None, source, &["payload/libcuda.so.1"]);
    let parts = [
        "imports 2 functions of libcuda.so.1: ours lacks `cuNewerThanWe`",
        "dlopen(RTLD_NOW) under vgpu-run: 1 symbols are not defined",
        "error: it does not load: `cuNewerThanWe` undefined",
        "verdict: does not work: 1 error",
    ];
    check(&stage, &client, 1, &parts);
}

#[test]
fn a_version_that_ours_has_not_is_told_in_the_loaders_words() {
    let stage = Stage::new();
    stage.library("libcudart.so.12", Some("libcudart.so.99"), "int cudaFree(void *p) { return 0; }", &[]);
    let source = "int cudaFree(void *); int use(void) { return cudaFree(0); }";
    let client = stage.library("libggml-cuda.so", None, source, &["libcudart.so.12"]);
    check(&stage, &client, 1, &["caused by: ", "version `libcudart.so.99' not found (required by "]);
}

#[test]
fn a_library_that_is_not_there_is_named_also_where_another_needs_it() {
    let stage = Stage::new();
    stage.library("libcufft.so.11", None, "int cufftGetVersion(int *v) { return 0; }", &[]);
    let source = "int cufftGetVersion(int *); int use(void) { return cufftGetVersion(0); }";
    let direct = stage.library("libmiddle.so", None, source, &["libcufft.so.11", "-Wl,-rpath,$ORIGIN"]);
    let outer = "int use(void); int outer(void) { return use(); }";
    let outer = stage.library("libouter.so", None, outer, &["libmiddle.so", "-Wl,-rpath,$ORIGIN"]);
    std::fs::remove_file(stage.path("libcufft.so.11")).unwrap();
    let parts =
        ["needs libcufft.so.11: not found", "error: it does not load: `libcufft.so.11` was not found"];
    check(&stage, &direct, 1, &parts);
    let parts = ["needs libmiddle.so: /", "needs libcufft.so.11, through another library: not found"];
    check(&stage, &outer, 1, &parts);
}

#[test]
fn extensions_may_leave_symbols_to_the_program_that_loads_them() {
    let stage = Stage::new();
    let source = "long PyLong_FromLong(long); long use(void) { return PyLong_FromLong(1); }";
    let extension = stage.compile("client.so", source, &["-shared", "-fPIC"]);
    check(&stage, &extension, 0, &["remark: `PyLong_FromLong` come from Python", "verdict: works"]);
    let source = "int shim_log(void); int use(void) { return shim_log(); }";
    let shim = stage.compile("shim.so", source, &["-shared", "-fPIC"]);
    check(&stage, &shim, 1, &["error: it does not load: `shim_log` undefined", "shim.so` wants that"]);
}

#[test]
fn other_files_are_our_failure() {
    let stage = Stage::new();
    check(&stage, Path::new("/etc/passwd"), 125, &["cannot explain `/etc/passwd`", "no ELF file"]);
}
