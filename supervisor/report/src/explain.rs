//! What one program or library needs of the virtual GPU, and whether it gets it: `vgpu-run doctor FILE`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use installation::Files;

use crate::inspect::{Facts, Import, inspect, read};
use crate::predict::{code_text, enumerate};

/// A device that can be announced.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of its profile.
    pub name: String,
    /// Its compute capability.
    pub capability: (u32, u32),
}

/// Explains a file as text; the error says that it is no program.
pub fn explain(file: &Path, payload: Option<&Files>, candidates: &[Candidate]) -> Result<String, String> {
    let facts =
        inspect(file).ok_or_else(|| format!("`{}` cannot be read or is no ELF file", file.display()))?;
    let mut text = format!("{}\n", file.display());
    let mut say = |line: String| {
        let _ = writeln!(text, "  {line}");
    };
    if let Some(line) = loader_line(&facts) {
        say(line);
    }
    for needed in facts.needed.iter().filter(|needed| crate::predict::is_nvidia_library(needed)) {
        say(needed_line(needed, &facts, payload));
    }
    if let Some(payload) = payload {
        for line in loose_import_lines(&facts, payload) {
            say(line);
        }
    }
    if let Some(line) = definitions_line(&facts) {
        say(line);
    }
    if facts.static_runtime {
        say("carries NVIDIA's runtime statically: it demands a proof of validity that only NVIDIA's driver gives".into());
        say("hint: link it with `nvcc -cudart shared`: then our runtime takes its place".into());
    }
    for line in code_lines(&facts, candidates) {
        say(line);
    }
    if text.lines().count() == 1 {
        text +=
            "  nothing in it has to do with CUDA; what it opens at run time shows in `vgpu-run --report`\n";
    }
    Ok(text)
}

fn loader_line(facts: &Facts) -> Option<String> {
    if facts.bits32 {
        return Some("32-bit: such programs are followed, but get no library of ours".to_owned());
    }
    let loader = facts.interpreter.as_deref().filter(|path| !path.contains("/ld-linux-x86-64.so"))?;
    Some(format!("loader {loader}: such programs are followed, but our libraries need glibc's"))
}

/// Of a library that stands in for one of NVIDIA's, or is one: which functions it has.
fn definitions_line(facts: &Facts) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for family in facts.exports.keys().filter_map(|name| crate::predict::family_of(name)) {
        *counts.entry(family).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|(family, count)| format!("{count} functions of {family}")).collect();
    (!parts.is_empty()).then(|| format!("defines {}", parts.join(", ")))
}

fn needed_line(needed: &str, facts: &Facts, payload: Option<&Files>) -> String {
    let named = overlay::names::lookup(needed.as_bytes()).and_then(|named| named.library(|| None));
    let ours = named.and_then(|soname| Some((soname, read(&payload?.read(soname).ok()?)?)));
    let Some((soname, ours)) = ours else {
        return format!("needs {needed}: not one of ours, must be installed");
    };
    let is_for = |import: &&Import| import.version.as_ref().is_some_and(|(library, _)| library == needed);
    let wanted: Vec<&Import> = facts.imports.iter().filter(is_for).collect();
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|import| !ours.exports.contains_key(&import.name))
        .map(|import| import.name.as_str())
        .collect();
    match (wanted.len(), missing.len()) {
        (0, _) => format!("needs {needed}: gets our {soname}"),
        (count, 0) => {
            format!("needs {needed}: gets our {soname}, which has all {count} functions that it imports")
        }
        (count, _) => {
            format!("needs {needed}: our {soname} lacks {} of {count} imports", enumerate(&missing))
        }
    }
}

/// Imports without a version, as from the driver: looked for in the libraries that their names belong to.
fn loose_import_lines(facts: &Facts, payload: &Files) -> Vec<String> {
    let mut lines = Vec::new();
    for (family, soname) in [("libcuda", "libcuda.so.1"), ("libnvidia-ml", "libnvidia-ml.so.1")] {
        let of_family =
            |import: &&Import| import.version.is_none() && crate::predict::family(import) == Some(family);
        let wanted: Vec<&str> =
            facts.imports.iter().filter(of_family).map(|import| import.name.as_str()).collect();
        let Some(ours) = payload.read(soname).ok().filter(|_| !wanted.is_empty()) else { continue };
        let Some(ours) = read(&ours) else { continue };
        let missing: Vec<&str> =
            wanted.iter().copied().filter(|name| !ours.exports.contains_key(*name)).collect();
        lines.push(match missing.len() {
            0 => format!("imports {} functions of {soname}: ours has them all", wanted.len()),
            _ => {
                format!("imports {} functions of {soname}: ours lacks {}", wanted.len(), enumerate(&missing))
            }
        });
    }
    lines
}

fn code_lines(facts: &Facts, candidates: &[Candidate]) -> Vec<String> {
    let code = &facts.code;
    if code.containers == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("device code, {} pieces: {}", code.containers, code_text(code))];
    let usable = |candidate: &Candidate| code.usable(candidate.capability.0 * 10 + candidate.capability.1);
    let fitting: Vec<String> = candidates
        .iter()
        .filter(|candidate| usable(candidate) > 0)
        .map(|candidate| {
            let (major, minor) = candidate.capability;
            let part = match usable(candidate) {
                all if all == code.containers => String::new(),
                some => format!(", {some} of {} pieces", code.containers),
            };
            format!("{} ({major}.{minor}{part})", candidate.name)
        })
        .collect();
    lines.push(match fitting.is_empty() {
        false => format!("profiles that fit: {}", fitting.join(", ")),
        true if code.ptx.is_empty() => "no profile fits: machine code needs a real GPU".to_owned(),
        true => "no profile fits".to_owned(),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::tests::{compile, library_with_code, payload_of};

    fn candidates() -> Vec<Candidate> {
        let candidate = |name: &str, capability| Candidate { name: name.to_owned(), capability };
        vec![candidate("gtx-1080", (6, 1)), candidate("a100", (8, 0))]
    }

    #[test]
    fn imports_are_compared_with_ours() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        std::fs::write(place.join("node"), "libcudart.so.12 { global: *; };").unwrap();
        let arguments = ["-shared", "-fPIC", "-Wl,-soname,libcudart.so.12", "-Wl,--version-script,node"];
        let full = "int cudaFree(void) { return 0; } int cudaNew(void) { return 0; }";
        compile(place, "libcudart.so.12", full, &arguments);
        let source = "int cudaFree(void), cudaNew(void), cuInit(int);
            int main(void) { return cudaFree() + cudaNew() + cuInit(0); }";
        compile(place, "libcuda.so.1", "int cuInit(int f) { return 0; }", &arguments[..2]);
        let program = compile(place, "program", source, &["libcudart.so.12", "./libcuda.so.1"]);
        compile(place, "libcudart.so.12", "int cudaFree(void) { return 0; }", &arguments);
        let payload = payload_of(place);
        let text = explain(&program, Some(&payload), &[]).unwrap();
        assert!(
            text.contains("needs libcudart.so.12: our libcudart.so.12 lacks `cudaNew` of 2 imports"),
            "{text}"
        );
        assert!(text.contains("imports 1 functions of libcuda.so.1: ours has them all"), "{text}");
        let text = explain(&place.join("libcuda.so.1"), Some(&payload), &[]).unwrap();
        assert!(text.contains("defines 1 functions of libcuda"), "{text}");
    }

    #[test]
    fn profiles_that_fit_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let containers: [&[(u16, u32)]; 2] = [&[(1, 61), (2, 86)], &[(1, 80)]];
        let library = library_with_code(directory.path(), "libkernels.so", &containers, &[]);
        let text = explain(&library, None, &candidates()).unwrap();
        assert!(text.contains("PTX for 6.1, 8.0 and machine code for 8.6"), "{text}");
        assert!(text.contains("profiles that fit: gtx-1080 (6.1, 1 of 2 pieces), a100 (8.0)"), "{text}");
        let library = library_with_code(directory.path(), "libsass.so", &[&[(2, 80)]], &[]);
        let text = explain(&library, None, &candidates()).unwrap();
        assert!(text.contains("no profile fits: machine code needs a real GPU"), "{text}");
    }

    #[test]
    fn other_files_are_explained_too() {
        let text = explain(Path::new("/bin/true"), None, &[]).unwrap();
        assert!(text.contains("nothing in it has to do with CUDA"), "{text}");
        assert!(explain(Path::new("/etc/passwd"), None, &[]).unwrap_err().contains("no ELF file"));
    }
}
