//! Files of what a session may ask of this machine's driver: `vgpu-run learn` writes them, `--policy` wants them kept.
//!
//! ```text
//!   driver = "580.159.04"                 which one was asked
//!   allow = ["basic", "compute"]          sets
//!   escapes = ["NV_ESC_RM_ALLOC", …]      rows, by name or number; also `classes`, `controls`, `uvm`
//! ```

use std::fs;

use mediation::{Asked, Driver, KINDS, Set};
use toml::de::{DeTable, DeValue};

use crate::cli::{Learn, Session};
use crate::failure::{Doing, Failure};

/// Lets a session ask what its options say, and no more.
pub fn apply(session: &Session, driver: &mut Driver) -> Result<(), Failure> {
    if let Some(file) = &session.policy {
        let doing = format!("keep to the policy `{}`", file.display());
        let text = fs::read_to_string(file).doing(&doing)?;
        take(&text, driver).map_err(|cause| Failure::new(format!("cannot {doing}")).cause(cause))?;
    }
    if !session.allow.is_empty() {
        driver.policy().allow(&session.allow);
    }
    driver.policy().deny(&session.deny);
    if let Some(learn) = &session.learn {
        fs::write(&learn.file, "").doing(&format!("write the policy `{}`", learn.file.display()))?;
        driver.learn();
    }
    Ok(())
}

fn take(text: &str, driver: &mut Driver) -> Result<(), String> {
    let table = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let mut rows = Vec::new();
    for (key, value) in table.get_ref() {
        let (key, value) = (key.get_ref().as_ref(), value.get_ref());
        let kind = KINDS.iter().find(|(_, name)| *name == key).map(|(kind, _)| *kind);
        match (key, kind) {
            ("driver", _) => {}
            ("allow", _) => driver.policy().allow(&sets(value)?),
            (_, Some(kind)) => {
                for name in words(key, value)? {
                    rows.push(driver.row(kind, &name).map_err(|unknown| unknown.to_string())?);
                }
            }
            _ => return Err(format!("`{key}` means nothing here")),
        }
    }
    // A policy without a word allows nothing.
    driver.policy().allow_rows(rows);
    Ok(())
}

fn sets(value: &DeValue) -> Result<Vec<Set>, String> {
    let set = |name: String| Set::named(&name).ok_or_else(|| format!("there is no set `{name}`"));
    words("allow", value)?.into_iter().map(set).collect()
}

fn words(key: &str, value: &DeValue) -> Result<Vec<String>, String> {
    let DeValue::Array(values) = value else { return Err(format!("`{key}` has to be a list")) };
    let word = |value: &DeValue| match value {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err(format!("`{key}` has to be a list of strings")),
    };
    values.iter().map(|value| word(value.get_ref())).collect()
}

/// Writes down what was asked.
pub fn write(learn: &Learn, version: &str, asked: &[Asked]) -> Result<(), Failure> {
    let text = text(version, asked, learn.sets);
    fs::write(&learn.file, text).doing(&format!("write the policy `{}`", learn.file.display()))
}

fn text(version: &str, asked: &[Asked], by_sets: bool) -> String {
    let mut text = String::from(
        "# What a program asked of the driver, by `vgpu-run learn`; `--policy` with this file refuses everything else.\n",
    );
    text += &format!("driver = \"{version}\"\n");
    if by_sets {
        let mut sets: Vec<Set> = asked.iter().map(|asked| asked.set).collect();
        sets.sort_unstable();
        sets.dedup();
        return text + &list("allow", sets.into_iter().map(Set::name));
    }
    for (kind, name) in KINDS {
        text += &list(name, asked.iter().filter(|asked| asked.kind == kind).map(|asked| &*asked.name));
    }
    text
}

/// One name a line.
fn list<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> String {
    let lines: String = names.map(|name| format!("    \"{name}\",\n")).collect();
    if lines.is_empty() { String::new() } else { format!("{key} = [\n{lines}]\n") }
}

#[cfg(test)]
mod tests {
    use nvidia_abi::Kind;

    use super::*;

    const VERSION: &str = "580.159.04";

    fn asked() -> Vec<Asked> {
        let asked = |kind, name: &str, set| Asked { kind, name: name.to_owned(), set };
        vec![
            asked(Kind::Escape, "NV_ESC_RM_ALLOC", Set::Basic),
            asked(Kind::Class, "HOPPER_COMPUTE_A", Set::Compute),
            asked(Kind::Control, "0x2080a026", Set::Compute),
        ]
    }

    #[test]
    fn what_was_asked_is_written_by_kinds_or_by_sets() {
        let rows = text(VERSION, &asked(), false);
        let expected = "driver = \"580.159.04\"\nescapes = [\n    \"NV_ESC_RM_ALLOC\",\n]\nclasses = [\n    \"HOPPER_COMPUTE_A\",\n]\n\
                        controls = [\n    \"0x2080a026\",\n]\n";
        assert_eq!(rows.split_once('\n').expect("a comment first").1, expected);
        let sets = text(VERSION, &asked(), true);
        assert!(sets.ends_with("allow = [\n    \"basic\",\n    \"compute\",\n]\n"), "{sets}");
    }

    #[test]
    fn mistakes_in_a_policy_are_named() {
        let mut driver = Driver::of_tables(VERSION).expect("known");
        for by_sets in [false, true] {
            assert_eq!(take(&text(VERSION, &asked(), by_sets), &mut driver), Ok(()));
        }
        for (text, mistake) in [
            ("luck = []", "`luck` means nothing here"),
            ("allow = 'compute'", "`allow` has to be a list"),
            ("allow = ['luck']", "there is no set `luck`"),
            ("classes = [7]", "`classes` has to be a list of strings"),
            ("classes = ['X']", "the driver 580.159.04 has no class `X`"),
        ] {
            assert_eq!(take(text, &mut driver), Err(mistake.to_owned()), "{text}");
        }
        assert!(take("allow", &mut driver).is_err());
    }
}
