//! Each test makes one silent failure happen under `vgpu-run` and reads its cause from the report.
//!
//! The programs succeed (exit status 0) wherever the real one did: nothing but the report tells that the GPU is not used.

use std::path::Path;

use overlay_tests::{Stage, both};
use report::document::Document;
use report::{Finding, Severity};

/// Opens each argument as GGML does in its release builds: a failure is nobody's business.
const QUIET_LOADER: &str = r#"
    #include <dlfcn.h>
    int main(int count, char **names) {
        for (int i = 1; i < count; i++) dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        return 0;
    }"#;

/// What a run prints on standard error; it must have succeeded without a word of its own.
fn report(stage: &Stage, options: &[&str], names: &[&Path]) -> String {
    let loader = stage.compile("quiet-loader", QUIET_LOADER, &[]);
    let run = |options: &[&str]| {
        let output = stage.run(options, &loader).args(names).output().expect("vgpu-run starts");
        assert!(output.status.success() && output.stdout.is_empty(), "{}", both(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let words = run(options);
    if options.is_empty() {
        assert_same_errors(&words, &run(&["--report=json"]));
    }
    words
}

/// The report for programs has its schema's fields, and the errors that the one in words has.
fn assert_same_errors(words: &str, json: &str) {
    let document = Document::last_in(json).unwrap_or_else(|why| panic!("{why}:\n{json}"));
    let is_error = |finding: &&Finding| finding.severity == Severity::Error;
    let mut told: Vec<&str> =
        document.findings.iter().filter(is_error).map(|finding| finding.message.as_str()).collect();
    let mut said: Vec<&str> = words.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    // Of two runs; what differs is the process.
    for messages in [&mut told, &mut said] {
        messages
            .iter_mut()
            .for_each(|message| *message = message.split_once("): ").unwrap_or(("", message)).1);
        messages.sort_unstable();
    }
    assert_eq!(told, said, "{json}");
}

fn assert_says(report: &str, parts: &[&str]) {
    for part in parts {
        assert!(report.contains(part), "{part:?} is not in the report:\n{report}");
    }
}

#[test]
fn sound_library_needs_no_word() {
    let stage = Stage::new();
    let source = "int cudaFree(void *); int use(void) { return cudaFree(0); }";
    let client = stage.library("libggml-cuda.so", None, source, &["payload/libcudart.so.12"]);
    assert_eq!(report(&stage, &[], &[&client]), "");
}

#[test]
fn undefined_symbol_in_a_shim() {
    let stage = Stage::new();
    let cuda = "int shim_log(void) { return 0; } int cuInit(unsigned f) { return shim_log(); }";
    let cuda = stage.library("libvgpu-cuda.so", None, cuda, &[]);
    let nvml = "int shim_log(void); int nvmlInit_v2(void) { return shim_log(); }";
    let nvml = stage.library("libvgpu-nvidia-ml.so", None, nvml, &[]);
    let parts = ["error: `quiet-loader`", "libvgpu-nvidia-ml.so` does not load: `shim_log` undefined"];
    assert_says(&report(&stage, &[], &[&nvml]), &parts);
    let parts = ["`shim_log` undefined", "only `", "libvgpu-cuda.so` defines", "hint: link the library with"];
    assert_says(&report(&stage, &[], &[&cuda, &nvml]), &parts);
}

#[test]
fn symbol_that_our_library_lacks() {
    let stage = Stage::new();
    let source = "int cudaFree(void *), cudaNewerThanWe(void); int use(void) { return cudaFree(0) + cudaNewerThanWe(); }";
    let newer = "int cudaFree(void *p) { return 0; } int cudaNewerThanWe(void) { return 0; }";
    stage.library("libcudart.so.12", Some("libcudart.so.12"), newer, &[]);
    let client = stage.library("libggml-cuda.so", None, source, &["libcudart.so.12", "-Wl,-rpath,$ORIGIN"]);
    let parts = [
        "libggml-cuda.so` does not load: `cudaNewerThanWe` undefined",
        "our `libcudart.so.12` has no such function",
    ];
    assert_says(&report(&stage, &[], &[&client]), &parts);
}

#[test]
fn stub_that_shadows_the_real_library() {
    let stage = Stage::new();
    let real = "int cufftPlan1d(void) { return 0; }";
    stage.library("libcufft.so.11", None, real, &[]);
    let source = "int cufftPlan1d(void); int use(void) { return cufftPlan1d(); }";
    let client = stage.library("libclient-cuda.so", None, source, &["libcufft.so.11", "-Wl,-rpath,$ORIGIN"]);
    stage.library("libcufft.so.11", None, "int stub(void) { return 0; }", &[]);
    let parts = [
        "`cufftPlan1d` undefined",
        "libcufft.so.11` does not define that",
        "a stub shadows the real library",
    ];
    assert_says(&report(&stage, &[], &[&client]), &parts);
}

#[test]
fn stub_of_a_library_that_we_replace_does_no_harm() {
    let stage = Stage::new();
    let real = "int cublasCreate_v2(void *p) { return 0; }";
    stage.library("libcublas.so.12", Some("libcublas.so.12"), real, &[]);
    let source = "int cublasCreate_v2(void *); int use(void) { return cublasCreate_v2(0); }";
    let client = stage.library("libggml-cuda.so", None, source, &["libcublas.so.12", "-Wl,-rpath,$ORIGIN"]);
    stage.library("libcublas.so.12", None, "int stub(void) { return 0; }", &[]);
    assert_eq!(report(&stage, &[], &[&client]), "");
    assert_says(&report(&stage, &["--report"], &[&client]), &["our libcublas.so.12 in its place"]);
}

#[test]
fn missing_symbol_version() {
    let stage = Stage::new();
    let other = "int cudaFree(void *p) { return 0; }";
    let source = "int cudaFree(void *); int use(void) { return cudaFree(0); }";
    stage.library("libcudart.so.12", Some("libcudart.so.99"), other, &[]);
    let client = stage.library("libggml-cuda.so", None, source, &["libcudart.so.12", "-Wl,-rpath,$ORIGIN"]);
    let parts = ["`cudaFree` undefined", "it wants version `libcudart.so.99`", "has only `libcudart.so.12`"];
    assert_says(&report(&stage, &[], &[&client]), &parts);
}

#[test]
fn missing_library() {
    let stage = Stage::new();
    stage.library("libcufft.so.11", None, "int cufftGetVersion(int *v) { return 0; }", &[]);
    let source = "int cufftGetVersion(int *); int use(void) { return cufftGetVersion(0); }";
    let client = stage.library("libggml-cuda.so", None, source, &["libcufft.so.11", "-Wl,-rpath,$ORIGIN"]);
    std::fs::remove_file(stage.path("libcufft.so.11")).unwrap();
    let parts = [
        "libggml-cuda.so` does not load",
        "it needs `libcufft.so.11`",
        "not found",
        "hint: install the package",
    ];
    assert_says(&report(&stage, &[], &[&client]), &parts);
}

/// A program that carries NVIDIA's runtime, which shows by the driver's name and the first bytes of the tables that it asks
/// for; given an argument it asks, as the runtime does at its first call. With the real driver's report, if it is built.
fn static_runtime_report(arguments: &[&str]) -> Option<String> {
    let stage = Stage::new();
    let built = overlay_tests::vgpu_run().with_file_name("payload").join("libcuda.so.1");
    if !built.exists() {
        eprintln!("skipped: `{}` is not built; hint: run `make build`", built.display());
        return None;
    }
    stage.add_to_payload(&built);
    let source = r#"
        #include <dlfcn.h>
        const unsigned char a[16] = {0x6b, 0xd5, 0xfb, 0x6c}, b[16] = {0xa0, 0x94, 0x79, 0x8c}, c[16] = {0xd4, 8, 0x20, 0x55};
        int main(int count, char **arguments) {
            const void *table = 0, *driver = dlopen("libcuda.so.1", RTLD_NOW);
            int (*ask)() = driver ? dlsym((void *)driver, "cuGetExportTable") : 0;
            if (!ask) return 1;
            return count > 1 && (ask(&table, a) != 500 || table);
        }"#;
    let program = stage.compile("static-runtime", source, &[]);
    let output = stage.run(&[], program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn static_runtime() {
    let Some(report) = static_runtime_report(&["use"]) else { return };
    let parts = [
        "error: `static-runtime`",
        "carries NVIDIA's runtime statically",
        "proof of validity",
        "hint: link the program with `nvcc -cudart shared`",
    ];
    assert_says(&report, &parts);
}

#[test]
fn static_runtime_that_is_not_used_needs_no_word() {
    let Some(report) = static_runtime_report(&[]) else { return };
    assert_eq!(report, "");
}

/// C source of device code: containers of (kind, capability) entries with no payload. Kind 1 is PTX, 2 machine code.
fn device_code(entries: &[(u16, u32)]) -> String {
    let mut body = Vec::new();
    for (kind, capability) in entries {
        let mut header = [0u8; 72];
        header[0..2].copy_from_slice(&kind.to_le_bytes());
        header[2..4].copy_from_slice(&0x101u16.to_le_bytes());
        header[4..8].copy_from_slice(&64u32.to_le_bytes());
        header[8..16].copy_from_slice(&8u64.to_le_bytes());
        header[28..32].copy_from_slice(&capability.to_le_bytes());
        body.extend_from_slice(&header);
    }
    let mut bytes = vec![0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0];
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&body);
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!(
        "__attribute__((section(\".nv_fatbin\"), aligned(8), used)) static const unsigned char code[] = {{{}}};
         int cudaFree(void *); int use(void) {{ return cudaFree(0); }}",
        numbers.join(",")
    )
}

/// The announced capability is known only where a program asks for the device, so the real driver has to be there.
fn real_payload_report(source: &str, gpu: &str) -> Option<String> {
    let stage = Stage::new();
    let built = overlay_tests::vgpu_run().with_file_name("payload").join("libcuda.so.1");
    if !built.exists() {
        eprintln!("skipped: `{}` is not built; hint: run `make build`", built.display());
        return None;
    }
    stage.add_to_payload(&built);
    let client = stage.library("libggml-cuda.so", None, source, &["payload/libcudart.so.12"]);
    let loader = r#"
        #include <dlfcn.h>
        int main(int count, char **names) {
            void *driver = dlopen("libcuda.so.1", RTLD_NOW);
            ((int (*)(unsigned))dlsym(driver, "cuInit"))(0);
            dlopen(names[1], RTLD_NOW);
            return 0;
        }"#;
    let loader = stage.compile("quiet-loader", loader, &[]);
    let output = stage.run(&["--gpu", gpu], loader).arg(client).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn no_code_for_the_announced_capability() {
    let Some(report) = real_payload_report(&device_code(&[(1, 80), (2, 86)]), "gtx1080") else { return };
    let parts = [
        "libggml-cuda.so` has no device code for the announced capability 6.1",
        "PTX for 8.0 and machine code for 8.6",
        "capability 8.0 or higher with `--gpu`",
    ];
    assert_says(&report, &parts);
}

#[test]
fn machine_code_only() {
    let Some(report) = real_payload_report(&device_code(&[(2, 61)]), "gtx1080") else { return };
    assert_says(&report, &["it has machine code only, for 6.1", "machine code runs on a real GPU only"]);
}

#[test]
fn code_that_fits_needs_no_word() {
    let Some(report) = real_payload_report(&device_code(&[(1, 61)]), "gtx1080") else { return };
    assert_eq!(report, "");
}

/// A kernel that wants this much dynamic shared memory, asked for as tile pickers do.
const SHARED_MEMORY: &str = r#"
    #include <dlfcn.h>
    static const char ptx[] =
        ".version 6.4\n.target sm_61\n.address_size 64\n"
        ".visible .entry tile() { ret; }\n";
    #define FIND(name) int (*name)() = dlsym(driver, #name)
    int main(void) {
        void *driver = dlopen("libcuda.so.1", RTLD_NOW), *context, *module, *function;
        FIND(cuInit); FIND(cuCtxCreate_v2); FIND(cuModuleLoadData); FIND(cuModuleGetFunction);
        FIND(cuFuncSetAttribute); FIND(cuDeviceGetAttribute);
        int optin;
        if (cuInit(0) || cuDeviceGetAttribute(&optin, 97, 0) || cuCtxCreate_v2(&context, 0, 0)) return 1;
        if (cuModuleLoadData(&module, ptx) || cuModuleGetFunction(&function, module, "tile")) return 2;
        if (cuFuncSetAttribute(function, 8, optin)) return 3;
        return cuFuncSetAttribute(function, 8, 65536) == 1 ? 0 : 4;
    }"#;

#[test]
fn wrong_shared_memory_limit() {
    let stage = Stage::new();
    let build = overlay_tests::vgpu_run();
    let (driver, engine) =
        (build.with_file_name("payload").join("libcuda.so.1"), build.with_file_name("vgpu-engine"));
    if !driver.exists() || !engine.exists() {
        eprintln!("skipped: driver or engine is not built; hint: run `make build`");
        return;
    }
    stage.add_to_payload(&driver);
    let program = stage.compile("tile-picker", SHARED_MEMORY, &[]);
    let output = stage.run(&["--gpu=gtx1080"], program).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let parts = ["kernel `tile` asks for 65536 bytes of dynamic shared memory", "its limit here is 49152"];
    assert_says(&String::from_utf8_lossy(&output.stderr), &parts);
}

/// What a run that can't be says; nothing of the program has been started.
fn refusal(options: &[&str]) -> String {
    let stage = Stage::new();
    let program =
        stage.compile("says", "#include <stdio.h>\nint main(void) { return puts(\"begun\") < 0; }", &[]);
    let output = stage.run(options, &program).output().expect("vgpu-run starts");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{}", both(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn engines_that_can_not_be_had() {
    if Path::new("/sys/module/nvidia").exists() {
        println!("skipped: this machine has NVIDIA's driver");
    } else {
        let text = refusal(&["--engine", "host"]);
        assert_says(
            &text,
            &["cannot use this machine's GPU", "no NVIDIA driver", "hint: leave out `--engine host`"],
        );
    }
    let text = refusal(&["--engine", "nodes"]);
    assert_says(&text, &["needs a card", "`--gpu h100`"]);
}

#[test]
fn policies_of_what_is_no_driver() {
    for options in [["--allow", "compute"], ["--deny", "ipc"], ["--policy", "/dev/null"]] {
        let text = refusal(&options);
        assert_says(&text, &["what is asked of this machine's driver", "hint: add `--engine host`"]);
    }
    let text = refusal(&["--engine", "host", "--allow", "luck"]);
    assert_says(&text, &["invalid value 'luck' for '--allow <SETS>'", "compute, utility, managed"]);
}
