//! Whether a file would work under vgpu-run: [`crate::explain`]'s facts, judged.

use std::collections::BTreeMap;

use crate::explain::{Candidate, Lacks, can_load_payload};
use crate::finding::{Finding, Severity};
use crate::inspect::{Facts, Import};
use crate::loading::{Loading, Undefined, host};
use crate::predict::{code_text, enumerate, family, is_nvidia_library};

/// What keeps a file from using the virtual GPU, and what may.
pub fn findings(
    facts: &Facts,
    lacks: &[Lacks],
    loading: Option<&Loading>,
    candidates: &[Candidate],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if is_related(facts) && !can_load_payload(facts) {
        findings.push(
            Finding::new(Severity::Error, "it gets no library of ours")
                .cause("ours are for x86-64 programs of glibc's loader"),
        );
    }
    match loading {
        Some(loading) => findings.extend(of_loading(facts, loading)),
        None => findings.extend(lacks.iter().map(of_lacks)),
    }
    if facts.static_runtime {
        findings.push(
            Finding::new(Severity::Error, "it carries NVIDIA's runtime statically")
                .cause("that runtime demands a proof of validity from the driver, which only NVIDIA's driver gives")
                .hint("link it with `nvcc -cudart shared`: then our runtime takes its place; one that it never calls does no harm"),
        );
    }
    findings.extend(of_code(facts, candidates));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// Whether a file has to do with CUDA.
pub fn is_related(facts: &Facts) -> bool {
    facts.static_runtime
        || facts.code.containers > 0
        || facts.needed.iter().any(|needed| is_nvidia_library(needed))
        || facts.imports.iter().any(|import| family(import).is_some())
}

fn of_lacks(lacks: &Lacks) -> Finding {
    let message = format!("it does not load: {} undefined", enumerate(&lacks.names));
    lacks_hint(Finding::new(Severity::Error, message), lacks.library)
}

fn lacks_hint(finding: Finding, library: &str) -> Finding {
    finding
        .cause(format!("our `{library}` has no such function"))
        .hint("please report the name: this version of vgpu-run lacks it")
}

fn of_loading(facts: &Facts, loading: &Loading) -> Vec<Finding> {
    let missing = loading.missing().map(|library| {
        Finding::new(Severity::Error, format!("it does not load: `{library}` was not found")).hint(format!(
            "install the package that brings `{library}`, or name its directory in LD_LIBRARY_PATH"
        ))
    });
    let of_error =
        |error: &String| Finding::new(Severity::Error, "it does not load".to_owned()).cause(error.clone());
    let mut findings: Vec<Finding> = missing.chain(loading.errors.iter().map(of_error)).collect();
    // What is missing may have defined them.
    if findings.is_empty() {
        findings.extend(of_undefined(facts, &loading.undefined));
    }
    findings
}

fn of_undefined(facts: &Facts, undefined: &[Undefined]) -> Vec<Finding> {
    let is_program = facts.interpreter.is_some();
    let mut left: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut wrong: BTreeMap<(&str, Option<&str>), Vec<&str>> = BTreeMap::new();
    for symbol in undefined {
        let name = symbol.symbol.as_str();
        match host(name).filter(|_| !is_program) {
            Some(host) => left.entry(host).or_default().push(name),
            None => wrong.entry((&symbol.file, crate::predict::family_of(name))).or_default().push(name),
        }
    }
    let wrong = wrong.into_iter().map(|((file, family), names)| {
        let message = format!("it does not load: {} undefined", enumerate(names));
        let finding =
            Finding::new(Severity::Error, message).cause(format!("`{file}` wants that, and none defines it"));
        match family {
            Some(family) => finding.cause(format!("by its name it belongs to `{family}`, and ours lacks it, or is not named as needed"))
                .hint("open that library first with RTLD_GLOBAL where it has the name; else please report the name"),
            None => finding.hint("link it with the library that does (`-Wl,-z,defs` finds this when linking)"),
        }
    });
    let left = left.into_iter().map(|(host, names)| {
        Finding::new(Severity::Remark, format!("{} come from {host}, which has to load it", enumerate(names)))
    });
    wrong.chain(left).collect()
}

fn of_code(facts: &Facts, candidates: &[Candidate]) -> Option<Finding> {
    let code = &facts.code;
    let most = candidates.iter().map(|candidate| code.usable(candidate.number())).max()?;
    if code.containers == 0 || most == code.containers {
        return None;
    }
    let (severity, message) = match most {
        0 => (Severity::Error, "no device code in it runs here".to_owned()),
        _ => (Severity::Warning, format!("{most} of {} pieces of device code run here", code.containers)),
    };
    let finding = Finding::new(severity, message).cause(code_text(code));
    Some(if code.ptx.is_empty() || most > 0 {
        finding.hint("machine code runs on a real GPU only; a build with PTX (`-gencode arch=compute_XX,code=compute_XX`) runs here")
    } else {
        finding.hint("its PTX is for newer devices than any profile announces")
    })
}

/// Imports that a library of ours has to define and does not.
pub fn lacked<'a>(imports: impl Iterator<Item = &'a Import>, ours: &Facts) -> Vec<String> {
    let lacked = imports.filter(|import| !import.weak && !ours.exports.contains_key(&import.name));
    lacked.map(|import| import.name.clone()).collect()
}
