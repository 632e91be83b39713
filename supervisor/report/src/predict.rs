//! Which libraries of a process will not load or not work, and why.
//!
//! A failed `dlopen` is the quietest of failures: release builds of GGML print nothing at all. So the imports of every
//! CUDA-related file are resolved here as the process's loader would have resolved them.

use std::collections::BTreeSet;

use crate::Session;
use crate::finding::{Finding, Severity};
use crate::inspect::{Code, Import};
use crate::objects::{Object, Objects, defines};
use crate::process::Process;

/// First parts of the names of NVIDIA's libraries.
const LIBRARIES: &[&str] = &[
    "libcuda",
    "libnvidia-ml",
    "libcublas",
    "libcudnn",
    "libcufft",
    "libcurand",
    "libcusparse",
    "libcusolver",
    "libnvrtc",
    "libnvJitLink",
    "libnccl",
    "libcufile",
    "libcupti",
];

/// First parts of their functions' names, and the library that defines them.
const FUNCTIONS: &[(&str, &str)] = &[
    ("cublasLt", "libcublasLt"),
    ("cublas", "libcublas"),
    ("cudnn", "libcudnn"),
    ("cufft", "libcufft"),
    ("curand", "libcurand"),
    ("cusparse", "libcusparse"),
    ("cusolver", "libcusolver"),
    ("__cuda", "libcudart"),
    ("cuda", "libcudart"),
    ("nvmlDevice", "libnvidia-ml"),
    ("nvmlInit", "libnvidia-ml"),
    ("nccl", "libnccl"),
];

/// A library of this family with fewer functions is no real one.
const FEWEST_FUNCTIONS: usize = 20;

/// Findings about the files of a process.
pub fn findings(process: &Process, objects: &Objects, session: &Session) -> Vec<Finding> {
    let uses_driver = process.was_given("libcuda.so.1");
    let mut findings = Vec::new();
    for object in objects.all.iter().filter(|object| !object.ours && is_related(object)) {
        findings.extend(will_not_load(process, object, objects));
        if misses_a_library(object, objects) {
            // What it carries does not matter.
            continue;
        }
        if object.facts.static_runtime {
            findings.push(static_runtime(process, object));
        } else if let Some(capability) = session.capability {
            findings.extend(no_code(process, object, capability, uses_driver));
        }
    }
    // Of ours only what they need can be missing: what they import was checked when they were linked.
    for object in objects.all.iter().filter(|object| object.ours) {
        findings.extend(missing_libraries(process, object, objects));
    }
    findings
}

/// Whether a file has to do with CUDA.
pub fn is_related(object: &Object) -> bool {
    let facts = &object.facts;
    may_be_related(object.name.as_bytes())
        || facts.static_runtime
        || facts.code.containers > 0
        || facts.needed.iter().any(|needed| is_nvidia_library(needed))
        || facts.imports.iter().any(|import| family(import).is_some())
        || facts.exports.keys().any(|name| family_of(name).is_some())
}

/// What the report says of a program's own file that has to do with CUDA.
pub fn own_file_text(object: &Object) -> Option<String> {
    if object.ours || !is_related(object) {
        return None;
    }
    let code = &object.facts.code;
    let text = if code.containers == 0 { String::new() } else { format!("; {}", code_text(code)) };
    Some(format!("the program's own{text}"))
}

/// Whether the loader looked in vain for something that the object needs.
fn misses_a_library(object: &Object, objects: &Objects) -> bool {
    objects.scope(object).missing.iter().any(|name| objects.was_probed(name))
}

/// Programs try builds of one library in several directories until one loads.
fn other_build<'a>(object: &Object, objects: &'a Objects) -> Option<&'a Object> {
    let is_other = |other: &&Object| other.name == object.name && other.path != object.path && !other.ours;
    objects.all.iter().filter(is_other).find(|other| !misses_a_library(other, objects))
}

fn missing_libraries<'a>(
    process: &'a Process,
    object: &'a Object,
    objects: &'a Objects,
) -> impl Iterator<Item = Finding> + 'a {
    let missing = objects.scope(object).missing.into_iter().filter(|name| objects.was_probed(name));
    missing.map(|missing| missing_library(process, object, objects, missing))
}

fn missing_library(process: &Process, object: &Object, objects: &Objects, missing: &str) -> Finding {
    let cause = format!("it needs `{missing}`, directly or through another library, and that was not found");
    let message = format!("{}: `{}` does not load", process.title(), object.path);
    if let Some(other) = other_build(object, objects) {
        return Finding::new(Severity::Remark, message).cause(cause).hint(format!(
            "nothing to do: the program opened `{}` as well, which has all it needs",
            other.path
        ));
    }
    let finding = Finding::new(Severity::Error, message).cause(cause);
    // Where it is one of those that we should have, that has a finding of its own.
    if process.was_denied(missing) {
        return finding;
    }
    finding.hint(format!(
        "install the package that brings `{missing}`, or name its directory in LD_LIBRARY_PATH"
    ))
}

fn will_not_load(process: &Process, object: &Object, objects: &Objects) -> Vec<Finding> {
    let scope = objects.scope(object);
    let title = |what: &str| format!("{}: `{}` {what}", process.title(), object.path);
    let mut findings: Vec<Finding> = missing_libraries(process, object, objects).collect();
    // With a library out of sight nothing can be said of symbols in general, but still of those with a known home.
    let complete = scope.missing.is_empty();
    let undefined: Vec<&Import> = object
        .facts
        .imports
        .iter()
        .filter(|import| !import.weak && (complete || family(import).is_some()) && !scope.defines(import))
        .collect();
    if undefined.is_empty() || !scope.missing.is_empty() && !has_served_family(&undefined, objects) {
        return findings;
    }
    for (home, imports) in by_home(&undefined, objects) {
        findings.push(undefined_symbols(&title, home, &imports, objects));
    }
    findings
}

/// Groups imports by the object that should have defined them.
fn by_home<'a>(imports: &[&'a Import], objects: &'a Objects) -> Vec<(Option<&'a Object>, Vec<&'a Import>)> {
    let mut groups: Vec<(Option<&Object>, Vec<&Import>)> = Vec::new();
    for import in imports {
        let home = home(import, objects);
        let same = |group: &&mut (Option<&Object>, Vec<&Import>)| {
            group.0.map(|it| &it.path) == home.map(|it| &it.path)
        };
        match groups.iter_mut().find(same) {
            Some((_, group)) => group.push(import),
            None => groups.push((home, vec![import])),
        }
    }
    groups
}

fn home<'a>(import: &Import, objects: &'a Objects) -> Option<&'a Object> {
    if let Some((library, _)) = &import.version {
        return objects.serving(library);
    }
    let family = family(import)?;
    objects.all.iter().find(|object| {
        object.name.strip_prefix(family).is_some_and(|rest| rest.starts_with(".so") || rest.starts_with('-'))
    })
}

fn has_served_family(imports: &[&Import], objects: &Objects) -> bool {
    imports.iter().any(|import| home(import, objects).is_some())
}

fn undefined_symbols(
    title: &dyn Fn(&str) -> String,
    home: Option<&Object>,
    imports: &[&Import],
    objects: &Objects,
) -> Finding {
    let names = enumerate(imports.iter().map(|import| import.name.as_str()));
    let finding = Finding::new(Severity::Error, title(&format!("does not load: {names} undefined")));
    match home {
        Some(home) if imports.iter().all(|import| defines(home, import)) => not_named(finding, home),
        Some(home) => blame_home(finding, home, imports),
        None => blame_others(finding, imports, objects),
    }
}

/// Loads if the program opened the home with RTLD_GLOBAL before, which cannot be seen from outside.
fn not_named(mut finding: Finding, home: &Object) -> Finding {
    finding.severity = Severity::Warning;
    let soname = home.facts.soname.as_deref().unwrap_or(&home.name);
    finding.cause(format!("`{}` defines that, and the library does not name it as needed", home.path)).hint(
        format!(
            "it does load where the program has opened `{soname}` with RTLD_GLOBAL; else link it with that"
        ),
    )
}

fn blame_others(finding: Finding, imports: &[&Import], objects: &Objects) -> Finding {
    let elsewhere = objects.all.iter().find(|object| imports.iter().all(|import| defines(object, import)));
    match elsewhere {
        Some(other) => finding
            .cause(format!("only `{}` defines that, and the library does not name it as needed", other.path))
            .hint(format!(
                "link the library with `{}`; or open that one first, with RTLD_GLOBAL",
                other.name
            )),
        None => finding
            .cause("no library that it needs defines that")
            .hint("link it with the library that does (`-Wl,-z,defs` finds this when linking)"),
    }
}

fn blame_home(finding: Finding, home: &Object, imports: &[&Import]) -> Finding {
    let version = imports.iter().find_map(|import| {
        let (_, node) = import.version.as_ref()?;
        (!home.facts.nodes.is_empty() && !home.facts.nodes.contains(node)).then_some(node)
    });
    if let Some(node) = version {
        return finding
            .cause(format!(
                "it wants version `{node}`, and `{}` has only {}",
                home.path,
                enumerate(&home.facts.nodes)
            ))
            .hint("this is a library of another CUDA release under the expected name");
    }
    if home.ours {
        return finding
            .cause(format!(
                "our `{}` has no such function",
                home.facts.soname.as_deref().unwrap_or(&home.name)
            ))
            .hint("please report the name: this version of vgpu-run lacks it");
    }
    let finding = finding.cause(format!("`{}` does not define that", home.path));
    if home.facts.exports.len() < FEWEST_FUNCTIONS {
        finding
            .cause(format!(
                "that file defines {} symbols only: a stub shadows the real library",
                home.facts.exports.len()
            ))
            .hint(format!("remove `{}`, or put the real library's directory before its own", home.path))
    } else {
        finding.hint("this is a library of another CUDA release under the expected name")
    }
}

/// Many programs carry a runtime that they never call, such as Python's CUDA packages.
fn static_runtime(process: &Process, object: &Object) -> Finding {
    let message = format!("{}: `{}` carries NVIDIA's runtime statically", process.title(), object.path);
    let used = crate::finding::runtime_was_used(process);
    let finding = Finding::new(if used { Severity::Error } else { Severity::Remark }, message)
        .cause("that runtime demands a proof of validity from the driver, which only NVIDIA's driver gives");
    match used {
        true => finding.hint("link the program with `nvcc -cudart shared`: then our runtime takes its place"),
        false => finding.cause("this process has not used it"),
    }
}

fn no_code(process: &Process, object: &Object, capability: (u32, u32), uses_driver: bool) -> Option<Finding> {
    let code = &object.facts.code;
    let usable = code.usable(capability.0 * 10 + capability.1);
    if code.containers == 0 || usable == code.containers {
        return None;
    }
    let announced = format!("{}.{}", capability.0, capability.1);
    let which = if usable == 0 {
        "no device code".to_owned()
    } else {
        format!("{usable} of {} pieces", code.containers)
    };
    let severity = match usable {
        0 if uses_driver => Severity::Error,
        0 => Severity::Warning,
        _ => Severity::Remark,
    };
    let message = format!(
        "{}: `{}` has {which} for the announced capability {announced}",
        process.title(),
        object.path
    );
    Some(Finding::new(severity, message).cause(code_text(code)).hint(code_hint(code)))
}

/// The capabilities of device code, in words.
pub fn code_text(code: &Code) -> String {
    match (code.ptx.is_empty(), code.sass.is_empty()) {
        (false, false) => {
            format!("it has PTX for {} and machine code for {}", dotted(&code.ptx), dotted(&code.sass))
        }
        (false, true) => format!("it has PTX for {}", dotted(&code.ptx)),
        (true, false) => format!("it has machine code only, for {}", dotted(&code.sass)),
        (true, true) => "its containers are empty".to_owned(),
    }
}

fn code_hint(code: &Code) -> String {
    match code.ptx.first() {
        Some(lowest) => format!(
            "choose a device of capability {}.{} or higher with `--gpu` (`vgpu-run profiles` lists them)",
            lowest / 10,
            lowest % 10
        ),
        None => "machine code runs on a real GPU only; a build with PTX (`-gencode arch=compute_XX,code=compute_XX`) \
                 runs here"
            .to_owned(),
    }
}

/// Capabilities as NVIDIA writes them: 6.1 for 61.
pub fn dotted(capabilities: &BTreeSet<u32>) -> String {
    let parts: Vec<String> =
        capabilities.iter().map(|number| format!("{}.{}", number / 10, number % 10)).collect();
    parts.join(", ")
}

/// Whether a file name is that of a library of NVIDIA's.
pub fn is_nvidia_library(name: &str) -> bool {
    LIBRARIES.iter().any(|prefix| name.starts_with(prefix)) && name.contains(".so")
}

/// Whether a file's name says that it has to do with CUDA.
pub fn may_be_related(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    is_nvidia_library(&name) || name.contains("cuda") || name.contains("nvidia")
}

/// The library family that a function's name belongs to.
pub fn family(import: &Import) -> Option<&'static str> {
    family_of(&import.name)
}

/// The same for a name alone.
pub fn family_of(name: &str) -> Option<&'static str> {
    let known = FUNCTIONS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, library)| *library);
    // The driver's functions are `cu` and a capital.
    let driver = || {
        name.strip_prefix("cu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
    };
    known.or_else(|| driver().then_some("libcuda"))
}

/// A few names, and how many more there are.
pub fn enumerate(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    const SHOWN: usize = 4;
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::tests::{compile, library_with_code, payload_of};
    use crate::objects::Files;
    use crate::process::Opened;
    use overlay::{Seen, Storage};
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    const SHARED: [&str; 2] = ["-shared", "-fPIC"];

    /// A process that opened these files, and a payload of one library.
    struct Scene {
        place: tempfile::TempDir,
        process: Process,
    }

    impl Scene {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            std::fs::create_dir(place.path().join("payload")).unwrap();
            let program = compile(place.path(), "program", "int main(void) { return 0; }", &[]);
            Self { place, process: Process::new(1, &program) }
        }

        fn library(&self, name: &str, source: &str, arguments: &[&str]) -> PathBuf {
            compile(self.place.path(), name, source, &[&SHARED[..], arguments].concat())
        }

        /// A library with the version node of its name.
        fn versioned(&self, name: &str, node: &str, source: &str) -> PathBuf {
            let script = format!("{node} {{ global: *; }};");
            std::fs::write(self.place.path().join("node"), script).unwrap();
            self.library(name, source, &["-Wl,--version-script,node", &format!("-Wl,-soname,{name}")])
        }

        fn payload(&self, name: &str) {
            std::fs::rename(self.place.path().join(name), self.place.path().join("payload").join(name))
                .unwrap();
        }

        fn opened(&mut self, path: &Path, seen: Option<Seen>) {
            self.process.opened.push(Opened { path: path.as_os_str().as_bytes().to_vec(), seen });
        }

        fn given(&mut self, library: &'static str) {
            let path = self.place.path().join(library);
            self.opened(&path, Some(Seen::Given { library, replaced: false, storage: Storage::Cache }));
        }

        /// What the loader opens for every program.
        fn system_libraries(&mut self) {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let path = maps
                .lines()
                .filter_map(|line| line.split_whitespace().last())
                .find(|it| it.contains("/libc.so"));
            self.opened(&PathBuf::from(path.unwrap()), None);
        }

        fn findings(&self, capability: Option<(u32, u32)>) -> Vec<Finding> {
            let payload = payload_of(&self.place.path().join("payload"));
            let objects = Objects::of(&self.process, Some(&payload), &mut Files::default());
            findings(&self.process, &objects, &Session { capability, ..Session::default() })
        }

        fn text(&self, capability: Option<(u32, u32)>) -> String {
            crate::render::short(&self.findings(capability))
        }
    }

    fn assert_has(text: &str, parts: &[&str]) {
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn sound_library_causes_no_finding() {
        let mut scene = Scene::new();
        scene.versioned("libcudart.so.12", "libcudart.so.12", "int cudaFree(void *p) { return 0; }");
        let client = "int cudaFree(void *); int use(void) { return cudaFree(0); }";
        let client = scene.library("libggml-cuda.so", client, &["libcudart.so.12"]);
        scene.payload("libcudart.so.12");
        scene.system_libraries();
        scene.opened(&client, None);
        scene.given("libcudart.so.12");
        assert_eq!(scene.findings(None), []);
    }

    #[test]
    fn symbol_that_our_library_lacks_is_named() {
        let mut scene = Scene::new();
        scene.versioned(
            "libcudart.so.12",
            "libcudart.so.12",
            "int cudaFree(void *p) { return 0; } int cudaNew(void) { return 0; }",
        );
        let client = "int cudaNew(void); int use(void) { return cudaNew(); }";
        let client = scene.library("libggml-cuda.so", client, &["libcudart.so.12"]);
        scene.versioned("libcudart.so.12", "libcudart.so.12", "int cudaFree(void *p) { return 0; }");
        scene.payload("libcudart.so.12");
        scene.system_libraries();
        scene.opened(&client, None);
        scene.given("libcudart.so.12");
        assert_has(
            &scene.text(None),
            &["libggml-cuda.so", "`cudaNew` undefined", "our `libcudart.so.12` has no such function"],
        );
    }

    #[test]
    fn library_that_ours_needs_is_named_if_it_was_looked_for_in_vain() {
        let mut scene = Scene::new();
        scene.library("libdl.so.2", "int dlnothing(void) { return 0; }", &["-Wl,-soname,libdl.so.2"]);
        let source = "int dlnothing(void); int cuInit(int f) { return dlnothing(); }";
        scene.library("libcuda.so.1", source, &["-Wl,-soname,libcuda.so.1", "libdl.so.2"]);
        scene.payload("libcuda.so.1");
        scene.system_libraries();
        scene.given("libcuda.so.1");
        assert_eq!(scene.findings(None), []);
        scene.opened(Path::new("/lib/libdl.so.2"), None);
        assert_has(&scene.text(None), &["error: ", "libcuda.so.1` does not load", "needs `libdl.so.2`"]);
    }

    #[test]
    fn driver_that_a_library_does_not_name_as_needed_is_not_blamed() {
        let mut scene = Scene::new();
        scene.library("libcuda.so.1", "int cuInit(int f) { return 0; }", &["-Wl,-soname,libcuda.so.1"]);
        scene.payload("libcuda.so.1");
        let client = "int cuInit(int); int use(void) { return cuInit(0); }";
        let client = scene.library("libbackend-cuda.so", client, &[]);
        scene.system_libraries();
        scene.given("libcuda.so.1");
        scene.opened(&client, None);
        let text = scene.text(None);
        assert_has(&text, &["warning: ", "`cuInit` undefined", "does not name it as needed", "RTLD_GLOBAL"]);
        assert!(!text.contains("no such function"), "{text}");
    }

    #[test]
    fn symbol_that_only_another_shim_defines_is_explained() {
        let mut scene = Scene::new();
        let cuda = scene.library(
            "libvgpu-cuda.so",
            "int shim_log(void) { return 0; } int cuInit(int f) { return 0; }",
            &[],
        );
        let nvml = "int shim_log(void); int nvmlInit_v2(void) { return shim_log(); }";
        let nvml = scene.library("libnvidia-ml-shim.so", nvml, &[]);
        scene.system_libraries();
        scene.opened(&cuda, None);
        scene.opened(&nvml, None);
        assert_has(
            &scene.text(None),
            &["libnvidia-ml-shim.so", "`shim_log` undefined", "only `", "libvgpu-cuda.so` defines"],
        );
    }

    #[test]
    fn symbol_that_nobody_defines_is_explained() {
        let mut scene = Scene::new();
        let nvml = "int shim_log(void); int nvmlInit_v2(void) { return shim_log(); }";
        let nvml = scene.library("libnvidia-ml-shim.so", nvml, &[]);
        scene.system_libraries();
        scene.opened(&nvml, None);
        assert_has(&scene.text(None), &["`shim_log` undefined", "no library that it needs defines that"]);
    }

    #[test]
    fn stub_that_shadows_a_real_library_is_named() {
        let mut scene = Scene::new();
        scene.library(
            "libcufft.so.11",
            "int cufftPlan1d(void) { return 0; }",
            &["-Wl,-soname,libcufft.so.11"],
        );
        let client = "int cufftPlan1d(void); int use(void) { return cufftPlan1d(); }";
        let client = scene.library("libclient.so", client, &["libcufft.so.11"]);
        let stub =
            scene.library("libcufft.so.11", "int stub(void) { return 0; }", &["-Wl,-soname,libcufft.so.11"]);
        scene.system_libraries();
        scene.opened(&client, None);
        scene.opened(&stub, None);
        assert_has(
            &scene.text(None),
            &["`cufftPlan1d` undefined", "libcufft.so.11` does not define", "a stub shadows the real"],
        );
    }

    #[test]
    fn missing_symbol_version_is_named() {
        let mut scene = Scene::new();
        scene.versioned("libcudart.so.12", "libcudart.so.12", "int cudaFree(void *p) { return 0; }");
        let client = "int cudaFree(void *); int use(void) { return cudaFree(0); }";
        let client = scene.library("libclient.so", client, &["libcudart.so.12"]);
        let other =
            scene.versioned("libcudart.so.12", "libcudart.so.11.0", "int cudaFree(void *p) { return 0; }");
        scene.system_libraries();
        scene.opened(&client, None);
        scene.opened(&other, None);
        assert_has(
            &scene.text(None),
            &["`cudaFree` undefined", "it wants version `libcudart.so.12`", "only `libcudart.so.11.0`"],
        );
    }

    #[test]
    fn missing_library_is_named_once_it_was_looked_for() {
        let mut scene = Scene::new();
        scene.library("libnccl.so.2", "int ncclInit(void) { return 0; }", &["-Wl,-soname,libnccl.so.2"]);
        let client = "int ncclInit(void); int use(void) { return ncclInit(); }";
        let client = scene.library("libggml-cuda.so", client, &["libnccl.so.2"]);
        std::fs::remove_file(scene.place.path().join("libnccl.so.2")).unwrap();
        scene.system_libraries();
        scene.opened(&client, None);
        assert_eq!(scene.findings(None), [], "the file may only have been read");
        scene.opened(Path::new("/usr/lib/libnccl.so.2"), None);
        assert_has(
            &scene.text(None),
            &["libggml-cuda.so` does not load", "it needs `libnccl.so.2`", "hint: install"],
        );
    }

    #[test]
    fn library_that_does_not_load_is_no_matter_when_another_build_of_it_does() {
        let mut scene = Scene::new();
        let second = scene.place.path().join("second");
        std::fs::create_dir(&second).unwrap();
        scene.library(
            "libcudart.so.13",
            "int cudaFree(void *p) { return 0; }",
            &["-Wl,-soname,libcudart.so.13"],
        );
        let needs = ["-Wl,--no-as-needed", "libcudart.so.13"];
        let first = library_with_code(scene.place.path(), "libggml-cuda.so", &[&[(1, 75)]], &needs);
        std::fs::remove_file(scene.place.path().join("libcudart.so.13")).unwrap();
        scene.system_libraries();
        scene.opened(&first, None);
        let left = Seen::Left { library: "libcudart.so.13", reason: overlay::Reason::NotInPayload };
        scene.opened(Path::new("/usr/lib/libcudart.so.13"), Some(left));
        let alone = scene.findings(Some((6, 1)));
        assert_eq!(alone.len(), 1, "nothing of its device code: {alone:?}");
        assert_eq!(
            (alone[0].severity, alone[0].hints.len()),
            (Severity::Error, 0),
            "there is nothing to install"
        );
        let other = library_with_code(&second, "libggml-cuda.so", &[&[(1, 61)]], &[]);
        scene.opened(&other, None);
        let with_other = scene.findings(Some((6, 1)));
        assert_eq!(with_other.len(), 1);
        assert_eq!(with_other[0].severity, Severity::Remark);
        assert!(with_other[0].hints[0].contains("second/libggml-cuda.so"), "{with_other:?}");
    }

    #[test]
    fn code_for_other_capabilities_only_is_an_error_of_who_uses_the_driver() {
        let mut scene = Scene::new();
        let kernels =
            library_with_code(scene.place.path(), "libggml-cuda.so", &[&[(1, 80), (2, 86)], &[(1, 75)]], &[]);
        scene.opened(&kernels, None);
        assert_eq!(scene.findings(Some((6, 1)))[0].severity, Severity::Warning);
        scene.given("libcuda.so.1");
        assert_eq!(scene.findings(Some((6, 1)))[0].severity, Severity::Error);
        let expected = [
            "no device code for the announced capability 6.1",
            "PTX for 7.5, 8.0 and machine code for 8.6",
            "7.5 or higher",
        ];
        assert_has(&scene.text(Some((6, 1))), &expected);
        assert_eq!(scene.findings(Some((7, 5)))[0].severity, Severity::Remark);
        assert_eq!(scene.findings(Some((9, 0))), []);
    }

    #[test]
    fn machine_code_only_is_said() {
        let mut scene = Scene::new();
        let kernels = library_with_code(scene.place.path(), "libtorch_cuda.so", &[&[(2, 80), (2, 90)]], &[]);
        scene.opened(&kernels, None);
        scene.given("libcuda.so.1");
        assert_has(&scene.text(Some((9, 0))), &["it has machine code only, for 8.0, 9.0", "real GPU only"]);
    }
}
