//! What one program or library needs of the virtual GPU, and whether it gets it: `vgpu-run doctor FILE`.
//!
//! ```text
//!   FILE ──▶ Facts ──▶ Lacks (imports that our libraries have not) ──┐
//!   FILE ──▶ the system's loader under vgpu-run ──▶ Loading ─────────┴──▶ Explanation: lines, findings, verdict
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use installation::Files;

use crate::finding::{Finding, Severity};
use crate::inspect::{Facts, Import, Piece, inspect, read};
use crate::loading::Loading;
use crate::predict::{code_text, dotted, enumerate, family, family_of, is_nvidia_library};
use crate::render::write_finding;
use crate::verdict::{self, lacked};

/// A device that can be announced.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of its profile.
    pub name: String,
    /// Its compute capability.
    pub capability: (u32, u32),
}

impl Candidate {
    /// Its capability as one number, 61 for 6.1.
    pub fn number(&self) -> u32 {
        self.capability.0 * 10 + self.capability.1
    }
}

/// Imports that should come from a library of ours and are not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacks {
    /// Our library.
    pub library: &'static str,
    /// The functions.
    pub names: Vec<String>,
}

/// What is to be said of a file.
#[derive(Clone, Debug)]
pub struct Explanation {
    file: String,
    lines: Vec<String>,
    findings: Vec<Finding>,
}

impl Explanation {
    /// Whether nothing is known that would keep the file from working.
    pub fn works(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// As text, with the verdict in its last line.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.file);
        for line in &self.lines {
            let _ = writeln!(text, "  {line}");
        }
        for finding in &self.findings {
            write_finding(&mut text, finding);
        }
        let problems = self.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let _ = match problems {
            0 => writeln!(text, "verdict: works"),
            1 => writeln!(text, "verdict: does not work: 1 error"),
            _ => writeln!(text, "verdict: does not work: {problems} errors"),
        };
        text
    }
}

/// Explains a file; the error says that it is no program. `load` asks the loader about it, as [`crate::loading`] tells, and fails
/// with the reason why that was not possible; it is called for files that have a loader only.
pub fn explain(
    file: &Path,
    payload: Option<&Files>,
    candidates: &[Candidate],
    load: impl FnOnce(&Path, &Facts) -> Result<Loading, String>,
) -> Result<Explanation, String> {
    let facts =
        inspect(file).ok_or_else(|| format!("`{}` cannot be read or is no ELF file", file.display()))?;
    let loading = (can_load_payload(&facts) && !facts.is_static).then(|| load(file, &facts));
    let mut lines: Vec<String> = loader_line(&facts).into_iter().collect();
    if facts.is_static {
        lines.push("static: it loads no libraries; what it starts gets the GPU like all else".to_owned());
    }
    let mut lacks = Vec::new();
    let found = loading.as_ref().and_then(|loading| loading.as_ref().ok());
    lines.extend(facts.needed.iter().map(|needed| needed_line(needed, &facts, payload, found, &mut lacks)));
    lines.extend(found.into_iter().flat_map(|loading| indirect_lines(&facts, loading)));
    if let Some(payload) = payload {
        lines.extend(loose_import_lines(&facts, payload, &mut lacks));
    }
    lines.extend(definitions_line(&facts));
    lines.extend(code_lines(&facts, candidates));
    lines.extend(loading.as_ref().map(loading_line));
    if !verdict::is_related(&facts) {
        lines.push(
            "nothing in it has to do with CUDA; what it opens at run time shows in `vgpu-run --report`"
                .into(),
        );
    }
    let findings = verdict::findings(&facts, &lacks, found, candidates);
    Ok(Explanation { file: file.display().to_string(), lines, findings })
}

/// Whether our libraries can be loaded by this file, or beside it.
pub fn can_load_payload(facts: &Facts) -> bool {
    !facts.bits32 && crate::loading::loader(facts.interpreter.as_deref()).is_some()
}

fn loader_line(facts: &Facts) -> Option<String> {
    if facts.bits32 {
        return Some("32-bit: such programs are followed, but get no library of ours".to_owned());
    }
    let loader = facts.interpreter.as_deref().filter(|_| !can_load_payload(facts))?;
    Some(format!("loader {loader}: such programs are followed, but our libraries need glibc's"))
}

fn loading_line(loading: &Result<Loading, String>) -> String {
    match loading {
        Err(why) => format!("dlopen(RTLD_NOW) under vgpu-run: not tried: {why}"),
        Ok(loading) => {
            let undefined = loading.undefined.len();
            let wrong = loading.missing().count() + loading.errors.len();
            match (wrong, undefined) {
                (0, 0) => "dlopen(RTLD_NOW) under vgpu-run: all is found and defined".to_owned(),
                (0, _) => format!("dlopen(RTLD_NOW) under vgpu-run: {undefined} symbols are not defined"),
                _ => "dlopen(RTLD_NOW) under vgpu-run: fails".to_owned(),
            }
        }
    }
}

/// Of a library that stands in for one of NVIDIA's, or is one: which functions it has.
fn definitions_line(facts: &Facts) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for family in facts.exports.keys().filter_map(|name| family_of(name)) {
        *counts.entry(family).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|(family, count)| format!("{count} functions of {family}")).collect();
    (!parts.is_empty()).then(|| format!("defines {}", parts.join(", ")))
}

fn needed_line(
    needed: &str,
    facts: &Facts,
    payload: Option<&Files>,
    loading: Option<&Loading>,
    lacks: &mut Vec<Lacks>,
) -> String {
    let named = overlay::names::lookup(needed.as_bytes()).and_then(|named| named.library(|| None));
    let ours = named.and_then(|soname| Some((soname, read(&payload?.read(soname).ok()?)?)));
    let Some((soname, ours)) = ours else {
        return match loading.and_then(|loading| loading.place(needed)) {
            Some(Some(place)) => format!("needs {needed}: {place}"),
            Some(None) => format!("needs {needed}: not found"),
            None if is_nvidia_library(needed) => {
                format!("needs {needed}: not one of ours, must be installed")
            }
            None => format!("needs {needed}"),
        };
    };
    let is_for = |import: &&Import| import.version.as_ref().is_some_and(|(library, _)| library == needed);
    let names = lacked(facts.imports.iter().filter(is_for), &ours);
    let line = match (facts.imports.iter().filter(is_for).count(), names.len()) {
        (0, _) => format!("needs {needed}: gets our {soname}"),
        (count, 0) => {
            format!("needs {needed}: gets our {soname}, which has all {count} functions that it imports")
        }
        (count, _) => {
            format!("needs {needed}: our {soname} lacks {} of {count} imports", enumerate(&names))
        }
    };
    if !names.is_empty() {
        lacks.push(Lacks { library: soname, names });
    }
    line
}

/// Libraries that other libraries need: those of NVIDIA's, and those that were not found.
fn indirect_lines(facts: &Facts, loading: &Loading) -> Vec<String> {
    let is_direct = |name: &String| facts.needed.contains(name);
    let indirect = loading.libraries.iter().filter(|(name, _)| !is_direct(name));
    let line = |(name, place): &(String, Option<String>)| match place {
        None => Some(format!("needs {name}, through another library: not found")),
        Some(place) if is_nvidia_library(name) => {
            Some(format!("needs {name}, through another library: {place}"))
        }
        Some(_) => None,
    };
    indirect.filter_map(line).collect()
}

/// Imports without a version, as from the driver: looked for in the libraries that their names belong to.
fn loose_import_lines(facts: &Facts, payload: &Files, lacks: &mut Vec<Lacks>) -> Vec<String> {
    let loose = || facts.imports.iter().filter(|import| import.version.is_none());
    let families: BTreeSet<&str> = loose().filter_map(family).collect();
    let mut lines = Vec::new();
    for of in families {
        let Some(library) = library_of(of, facts, payload) else { continue };
        let Some(ours) = payload.read(library).ok().and_then(|bytes| read(&bytes)) else { continue };
        let wanted = || loose().filter(|import| family(import) == Some(of));
        let names = lacked(wanted(), &ours);
        let count = wanted().count();
        lines.push(match names.len() {
            0 => format!("imports {count} functions of {library}: ours has them all"),
            _ => format!("imports {count} functions of {library}: ours lacks {}", enumerate(&names)),
        });
        if !names.is_empty() {
            lacks.push(Lacks { library, names });
        }
    }
    lines
}

/// Our library of a family: the one that the file names as needed, or else the newest.
fn library_of(family: &str, facts: &Facts, payload: &Files) -> Option<&'static str> {
    let is_of = |name: &&str| name.strip_prefix(family).is_some_and(|rest| rest.starts_with(".so"));
    let entries = &payload.manifest().entries;
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).filter(is_of).collect();
    names.sort_unstable();
    let needed = names.iter().find(|name| facts.needed.iter().any(|needed| needed == *name));
    let name = needed.or(names.last())?;
    overlay::names::lookup(name.as_bytes())?.library(|| None)
}

/// Kinds of pieces that have a line of their own; a large library may have hundreds.
const MOST_PIECES: usize = 12;

fn code_lines(facts: &Facts, candidates: &[Candidate]) -> Vec<String> {
    let code = &facts.code;
    if code.containers == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("device code, {} pieces: {}", code.containers, code_text(code))];
    if code.pieces.len() > 1 {
        lines.extend(code.pieces.iter().take(MOST_PIECES).map(piece_line));
        if code.pieces.len() > MOST_PIECES {
            lines.push(format!("  and {} other kinds of pieces", code.pieces.len() - MOST_PIECES));
        }
    }
    let fitting: Vec<String> = candidates
        .iter()
        .filter(|candidate| code.usable(candidate.number()) > 0)
        .map(|candidate| {
            let (major, minor) = candidate.capability;
            let part = match code.usable(candidate.number()) {
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

fn piece_line((piece, count): (&Piece, &usize)) -> String {
    let pieces = if *count == 1 { "piece" } else { "pieces" };
    let kinds = [("PTX", &piece.ptx), ("machine code", &piece.sass)].into_iter();
    let kinds = kinds.filter(|(_, of)| !of.is_empty()).map(|(kind, of)| format!("{kind} {}", dotted(of)));
    let kinds: Vec<String> = kinds.collect();
    format!("  {count} {pieces}: {}", if kinds.is_empty() { "empty".to_owned() } else { kinds.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::tests::{compile, library_with_code, payload_of};

    fn candidates() -> Vec<Candidate> {
        let candidate = |name: &str, capability| Candidate { name: name.to_owned(), capability };
        vec![candidate("gtx-1080", (6, 1)), candidate("a100", (8, 0))]
    }

    fn not_tried(_: &Path, _: &Facts) -> Result<Loading, String> {
        Err("no loader here".to_owned())
    }

    fn explained(file: &Path, payload: Option<&Files>) -> String {
        explain(file, payload, &candidates(), not_tried).unwrap().text()
    }

    fn loaded(file: &Path, output: &str, complaints: &str) -> Explanation {
        explain(file, None, &candidates(), |_, _| Ok(Loading::parse(output, complaints))).unwrap()
    }

    #[test]
    fn what_the_loader_says_decides() {
        let directory = tempfile::tempdir().unwrap();
        let source = "int puts(const char *); int use(void) { return puts(\"\"); }";
        let library = compile(directory.path(), "libclient.so", source, &["-shared", "-fPIC"]);
        let explanation = loaded(&library, "\tlibc.so.6 => /lib/libc.so.6 (0x1)\n", "");
        assert!(explanation.works(), "{explanation:?}");
        assert!(explanation.text().contains("needs libc.so.6: /lib/libc.so.6\n"), "{explanation:?}");
        assert!(explanation.text().contains("all is found and defined"), "{explanation:?}");

        let missing = loaded(&library, "\tlibcufft.so.11 => not found\n", "undefined symbol: x\t(/x.so)\n");
        assert!(!missing.works());
        let text = missing.text();
        assert!(text.contains("libcufft.so.11, through another library: not found"), "{text}");
        assert!(text.contains("error: it does not load: `libcufft.so.11` was not found"), "{text}");
        assert!(!text.contains("`x` undefined"), "it may be in what is missing: {text}");

        let undefined = loaded(&library, "", "undefined symbol: shim_log\t(/x.so)\n");
        assert!(undefined.text().contains("error: it does not load: `shim_log` undefined"), "{undefined:?}");
        let extension = loaded(&library, "", "undefined symbol: PyLong_FromLong\t(/x.so)\n");
        assert!(extension.works(), "{extension:?}");
        assert!(extension.text().contains("`PyLong_FromLong` come from Python"), "{extension:?}");
        let version = loaded(&library, "", "/x.so: /y.so: version `Y_2' not found (required by /x.so)\n");
        assert!(version.text().contains("caused by: /x.so: /y.so: version `Y_2' not found"), "{version:?}");
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
        let text = explained(&program, Some(&payload));
        assert!(
            text.contains("needs libcudart.so.12: our libcudart.so.12 lacks `cudaNew` of 2 imports"),
            "{text}"
        );
        assert!(text.contains("error: it does not load: `cudaNew` undefined"), "{text}");
        assert!(text.ends_with("verdict: does not work: 1 error\n"), "{text}");
        assert!(text.contains("imports 1 functions of libcuda.so.1: ours has them all"), "{text}");
        let text = explained(&place.join("libcuda.so.1"), Some(&payload));
        assert!(text.contains("defines 1 functions of libcuda"), "{text}");
    }

    #[test]
    fn profiles_that_fit_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let containers: [&[(u16, u32)]; 2] = [&[(1, 61), (2, 86)], &[(1, 80)]];
        let library = library_with_code(directory.path(), "libkernels.so", &containers, &[]);
        let text = explained(&library, None);
        assert!(text.contains("PTX for 6.1, 8.0 and machine code for 8.6"), "{text}");
        assert!(text.contains("  1 piece: PTX 6.1; machine code 8.6\n    1 piece: PTX 8.0\n"), "{text}");
        assert!(text.contains("profiles that fit: gtx-1080 (6.1, 1 of 2 pieces), a100 (8.0)"), "{text}");
        let library = library_with_code(directory.path(), "libsass.so", &[&[(2, 80)]], &[]);
        let text = explained(&library, None);
        assert!(text.contains("no profile fits: machine code needs a real GPU"), "{text}");
        assert!(text.contains("error: no device code in it runs here"), "{text}");
    }

    #[test]
    fn static_programs_are_not_taken_to_the_loader() {
        let directory = tempfile::tempdir().unwrap();
        for kind in ["-static", "-static-pie"] {
            let program = compile(directory.path(), "program", "int main(void) { return 0; }", &[kind]);
            let text = explained(&program, None);
            assert!(text.contains("static: it loads no libraries") && !text.contains("dlopen"), "{text}");
        }
    }

    #[test]
    fn other_files_are_explained_too() {
        let text = explained(Path::new("/bin/true"), None);
        assert!(text.contains("nothing in it has to do with CUDA"), "{text}");
        assert!(explain(Path::new("/etc/passwd"), None, &[], not_tried).unwrap_err().contains("no ELF file"));
    }
}
