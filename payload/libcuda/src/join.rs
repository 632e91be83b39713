//! Several PTX modules as one text: what a linker does where each name is defined once.
//!
//! PTX allows a declaration before its definition in the same text, so `.extern` in one module meets the definition of another
//! by standing behind it. What is left to find are names that two modules define.

use std::collections::HashMap;

/// How a module defines a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Definition {
    /// One of several is as good as the other.
    Weak,
    Strong,
}

/// The text of all modules, NUL-terminated; the error is a name that two of them define.
pub fn join(modules: &[&str]) -> Result<Vec<u8>, String> {
    let mut defined: HashMap<&str, Definition> = HashMap::new();
    for module in modules {
        for (name, definition) in definitions(module) {
            if let Some(other) = defined.insert(name, definition)
                && (other, definition) != (Definition::Weak, Definition::Weak)
            {
                return Err(name.to_owned());
            }
        }
    }
    let mut text = modules.join("\n").into_bytes();
    text.push(0);
    Ok(text)
}

/// Names that a module defines at its own level.
fn definitions(module: &str) -> Vec<(&str, Definition)> {
    let mut found: Vec<(&str, Definition)> = Vec::new();
    let mut statement: Vec<&str> = Vec::new();
    let mut depth = 0;
    for token in tokens(module) {
        match token {
            "{" => {
                if depth == 0 {
                    found.extend(definition(&statement, true));
                    statement.clear();
                }
                depth += 1;
            }
            "}" => depth -= 1,
            _ if depth > 0 => {}
            ";" => {
                found.extend(definition(&statement, false));
                statement.clear();
            }
            _ => statement.push(token),
        }
    }
    found
}

/// The name of a statement that defines one. A body follows a function's head, or the values of a variable.
fn definition<'a>(statement: &[&'a str], body: bool) -> Option<(&'a str, Definition)> {
    // Directives with neither `;` nor braces stand in front of the next statement.
    let start = statement.iter().rposition(|word| matches!(*word, ".address_size" | ".target"));
    let statement = start.map_or(statement, |start| &statement[(start + 2).min(statement.len())..]);
    let is = |wanted: &[&str]| statement.iter().position(|word| wanted.contains(word));
    if is(&[".extern"]).is_some() {
        return None;
    }
    let strength = if is(&[".weak", ".common"]).is_some() { Definition::Weak } else { Definition::Strong };
    if let Some(at) = is(&[".func", ".entry"]) {
        let mut rest = statement[at + 1..].iter();
        let mut name = rest.next()?;
        if *name == "(" {
            name = rest.skip_while(|word| **word != ")").nth(1)?;
        }
        return body.then_some((*name, strength));
    }
    is(&[".global", ".const", ".shared"])?;
    // `.global .align 4 .b8 name [ 16 ] = …`: the name is the last word in front of the brackets or the values.
    let end = is(&["[", "="]).unwrap_or(statement.len());
    Some((*statement[..end].last()?, strength))
}

/// Words, and the marks between them; comments are left out.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\0');
            if let Some(comment) = rest.strip_prefix("//") {
                rest = comment.find('\n').map_or("", |end| &comment[end..]);
            } else if let Some(comment) = rest.strip_prefix("/*") {
                rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            } else if let Some(string) = rest.strip_prefix('"') {
                rest = string.find('"').map_or("", |end| &string[end + 1..]);
            } else {
                break;
            }
        }
        let mark = |letter: char| "{}()[];,=\"".contains(letter);
        let first = rest.chars().next()?;
        let end = match mark(first) {
            true => first.len_utf8(),
            false => rest
                .char_indices()
                .find(|(at, letter)| {
                    letter.is_whitespace()
                        || *letter == '\0'
                        || mark(*letter)
                        || rest[*at..].starts_with("//")
                })
                .map_or(rest.len(), |(at, _)| at),
        };
        let (token, behind) = rest.split_at(end);
        rest = behind;
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = ".version 6.0\n.target sm_50, debug\n.address_size 64\n
        .extern .func (.param .b32 result) twice (.param .b32 x);
        .extern .global .align 4 .u32 offset;
        .global .align 1 .b8 name[4] = {65, 66, 67, 0}; // .global .b8 not_this;
        .visible .entry run(.param .u64 out) .maxntid 64, 1, 1 { .shared .b8 inner[4]; { ret; } }\n\0";
    const CALLEE: &str = ".version 6.0\n.target sm_50\n.address_size 64\n
        .file 1 \"a;b{.cu\"
        .visible .global .align 4 .u32 offset = 5;
        .weak .const .b32 shared_by_all;
        .visible .func (.param .b32 result) twice (.param .b32 x) { ret; }";

    fn names(module: &str) -> Vec<&str> {
        definitions(module).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn definitions_are_told_from_declarations() {
        assert_eq!(names(CALLER), ["name", "run"]);
        assert_eq!(names(CALLEE), ["offset", "shared_by_all", "twice"]);
    }

    #[test]
    fn modules_that_complete_each_other_are_joined() {
        let text = join(&[CALLER.trim_end_matches('\0'), CALLEE]).unwrap();
        assert!(text.ends_with(b"}\0") && text.iter().filter(|byte| **byte == 0).count() == 1);
    }

    #[test]
    fn a_name_that_two_modules_define_is_told() {
        let other = ".version 6.0\n.target sm_50\n.func twice () { ret; }";
        assert_eq!(join(&[CALLEE, other]), Err("twice".to_owned()));
        let weak = ".version 6.0\n.target sm_50\n.weak .const .b32 shared_by_all;";
        assert!(join(&[CALLEE, weak]).is_ok());
    }
}
