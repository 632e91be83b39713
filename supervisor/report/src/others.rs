//! Programs that did nothing which has to do with CUDA, and why that may be.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::finding::{Finding, Severity, of_foreign_program};
use crate::inspect::find;
use crate::predict::enumerate;

/// Names by which programs look for a driver.
const DRIVER_LIBRARIES: [&str; 2] = ["libcuda.so", "libnvidia-ml.so"];

/// Findings about these programs.
pub fn findings<'a>(programs: impl IntoIterator<Item = &'a PathBuf>, overlay_is_full: bool) -> Vec<Finding> {
    let programs: Vec<(&Path, Facts)> =
        programs.into_iter().filter_map(|program| Some((program.as_path(), Facts::of(program)?))).collect();
    let mut findings: Vec<Finding> =
        programs.iter().filter_map(|(program, _)| of_foreign_program(program)).collect();
    let statics = programs.iter().filter(|(_, facts)| facts.is_static).map(|(program, _)| name(program));
    findings.extend(of_static_programs(statics.collect()));
    if !overlay_is_full {
        let seekers = programs.iter().filter_map(|(program, facts)| Some((program, facts.seeks?)));
        findings.extend(seekers.map(|(program, library)| of_seeker(program, library)));
    }
    findings
}

fn of_static_programs(names: Vec<String>) -> Option<Finding> {
    let message = format!("static programs, which load no libraries: {}", enumerate(&names));
    let finding = Finding::new(Severity::Remark, message);
    (!names.is_empty())
        .then(|| finding.cause("they were followed: what they start gets the GPU like all else"))
}

fn of_seeker(program: &Path, library: &str) -> Finding {
    let message = format!("`{}` knows the name `{library}` and did not open such a file", program.display());
    Finding::new(Severity::Remark, message)
        .cause("if it lists directories or asks whether a file exists, it sees this machine as it is")
        .hint("try `--overlay=full`, which answers these calls too")
}

fn name(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// What a program's file says.
struct Facts {
    is_static: bool,
    /// The driver's library that it names in its text.
    seeks: Option<&'static str>,
}

impl Facts {
    /// `None` if it is not there or no ELF file.
    fn of(program: &Path) -> Option<Self> {
        let file = File::open(program).ok()?;
        // SAFETY: the bytes are only read, and every offset is checked. Somebody who shortens the file meanwhile ends us by
        // SIGBUS; that is why this is done when the tree has ended or nothing runs in it.
        let bytes = unsafe { memmap2::Mmap::map(&file) }.ok()?;
        let elf = goblin::elf::Elf::parse(&bytes).ok()?;
        let seeks = DRIVER_LIBRARIES.into_iter().find(|library| find(&bytes, library.as_bytes()));
        Some(Self { is_static: elf.interpreter.is_none() && elf.libraries.is_empty(), seeks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::tests::compile;

    #[test]
    fn program_that_may_look_for_the_driver_gets_a_hint_unless_the_overlay_is_full() {
        let directory = tempfile::tempdir().unwrap();
        let source = r#"const char *volatile place = "/usr/lib/libcuda.so*"; int main(void) { return 0; }"#;
        let program = compile(directory.path(), "seeker", source, &[]);
        let findings = |full| super::findings([&program], full);
        assert_eq!(findings(true), []);
        let [finding] = &findings(false)[..] else { panic!("{:?}", findings(false)) };
        assert!(finding.message.contains("seeker` knows the name `libcuda.so`"), "{finding:?}");
        assert!(finding.hints[0].contains("--overlay=full"));
    }

    #[test]
    fn static_programs_are_named_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let build =
            |name: &str| compile(directory.path(), name, "int main(void) { return 0; }", &["-static"]);
        let (one, two) = (build("one"), build("two"));
        let plain = compile(directory.path(), "plain", "int main(void) { return 0; }", &[]);
        let [finding] = &findings([&one, &two, &plain, &"/nowhere".into()], false)[..] else { panic!() };
        assert_eq!(finding.message, "static programs, which load no libraries: `one`, `two`");
    }
}
