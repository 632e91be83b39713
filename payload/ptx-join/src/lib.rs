//! Several PTX modules as one text: what a linker does.
//!
//! PTX allows a declaration before its definition in the same text, so `.extern` in one module meets the definition of another
//! by standing beside it. What is left to do:
//!
//! - a name that is a module's own (neither `.visible` nor `.weak`) and that another module knows too gets a name of its own;
//! - of several `.weak` or `.common` definitions one stays, a strong one if there is one;
//! - two strong definitions of one name are an error.
//!
//! The driver's linker (`cuLink…`) has PTX as text; the engine, which takes text out of fat binaries, joins what programs compiled
//! separately (`nvcc -rdc=true`) bring.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// How a module defines a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linkage {
    /// It only declares it.
    Extern,
    /// For this module alone.
    Local,
    /// One of several is as good as the other.
    Weak,
    Visible,
}

/// A name at a module's own level.
#[derive(Debug)]
struct Symbol<'a> {
    name: &'a str,
    linkage: Linkage,
    /// The whole statement, its end included.
    place: Range<usize>,
}

/// The text of all modules, NUL-terminated; the error is a name that two of them define.
pub fn join(modules: &[&str]) -> Result<Vec<u8>, String> {
    let symbols: Vec<Vec<Symbol<'_>>> = modules.iter().map(|module| symbols(module)).collect();
    let kept = kept(&symbols)?;
    let mut text = String::new();
    for (index, module) in modules.iter().enumerate() {
        let others =
            || symbols.iter().enumerate().filter(|(other, _)| *other != index).flat_map(|(_, known)| known);
        let elsewhere: HashSet<&str> = others().map(|symbol| symbol.name).collect();
        let own = symbols[index].iter().filter(|symbol| symbol.linkage == Linkage::Local);
        let renamed: HashSet<&str> =
            own.map(|symbol| symbol.name).filter(|name| elsewhere.contains(name)).collect();
        let loses = |symbol: &&Symbol<'_>| {
            symbol.linkage == Linkage::Weak && kept.get(symbol.name).is_some_and(|keeper| *keeper != index)
        };
        let mut at = 0;
        for symbol in symbols[index].iter().filter(loses) {
            rename(&module[at..symbol.place.start], &renamed, index, &mut text);
            at = symbol.place.end;
        }
        rename(&module[at..], &renamed, index, &mut text);
        text.push('\n');
    }
    text.push('\0');
    Ok(text.into_bytes())
}

/// Which module's definition of a name stays.
fn kept<'a>(symbols: &[Vec<Symbol<'a>>]) -> Result<HashMap<&'a str, usize>, String> {
    let mut kept: HashMap<&str, (usize, Linkage)> = HashMap::new();
    for (index, module) in symbols.iter().enumerate() {
        for symbol in
            module.iter().filter(|symbol| matches!(symbol.linkage, Linkage::Weak | Linkage::Visible))
        {
            match kept.get(symbol.name) {
                Some((_, Linkage::Visible)) if symbol.linkage == Linkage::Visible => {
                    return Err(symbol.name.to_owned());
                }
                Some((_, before)) if *before == Linkage::Visible || symbol.linkage == Linkage::Weak => {}
                _ => {
                    kept.insert(symbol.name, (index, symbol.linkage));
                }
            }
        }
    }
    Ok(kept.into_iter().map(|(name, (index, _))| (name, index)).collect())
}

/// Names that a text declares and defines nowhere.
pub fn undefined(text: &str) -> Vec<&str> {
    let symbols = symbols(text);
    let defined: HashSet<&str> =
        symbols.iter().filter(|symbol| symbol.linkage != Linkage::Extern).map(|symbol| symbol.name).collect();
    symbols.iter().map(|symbol| symbol.name).filter(|name| !defined.contains(name)).collect()
}

/// Every `.entry` gets a bound on its registers, as `CU_JIT_MAX_REGISTERS` asks for.
pub fn limit_registers(text: &str, most: u32) -> String {
    let mut limited = String::with_capacity(text.len());
    let mut at = 0;
    let mut in_entry = false;
    for (place, token) in tokens(text) {
        match token {
            ".entry" => in_entry = true,
            "{" if in_entry => {
                limited += &text[at..place];
                limited += &format!(" .maxnreg {most} ");
                at = place;
                in_entry = false;
            }
            _ => {}
        }
    }
    limited + &text[at..]
}

/// Appends a part of module number `index`, with other names for what is its own.
fn rename(part: &str, renamed: &HashSet<&str>, index: usize, out: &mut String) {
    if renamed.is_empty() {
        out.push_str(part);
        return;
    }
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || "_$%".contains(letter);
    let mut rest = part;
    while !rest.is_empty() {
        let skipped = not_code(rest);
        if skipped > 0 {
            let (text, behind) = rest.split_at(skipped);
            out.push_str(text);
            rest = behind;
            continue;
        }
        let end = rest.find(|letter| !in_name(letter)).unwrap_or(rest.len());
        let length = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
        let (word, behind) = rest.split_at(length);
        out.push_str(word);
        // `add.s32` is an instruction, also where a function is called `add`; so is the first word of a statement.
        let before = out[..out.len() - word.len()].trim_end();
        let is_reference = !out[..out.len() - word.len()].ends_with('.')
            && !behind.starts_with('.')
            && !before.ends_with([';', '{', '}', ':']);
        if renamed.contains(word) && is_reference {
            out.push_str(&format!("__module{index}"));
        }
        rest = behind;
    }
}

/// How many bytes at the start are a comment or a string.
fn not_code(text: &str) -> usize {
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if let Some(comment) = text.strip_prefix("/*") {
        comment.find("*/").map_or(text.len(), |end| end + 4)
    } else if let Some(string) = text.strip_prefix('"') {
        string.find('"').map_or(text.len(), |end| end + 2)
    } else {
        0
    }
}

/// What a module says at its own level.
fn symbols(module: &str) -> Vec<Symbol<'_>> {
    let mut found = Vec::new();
    let mut statement: Vec<&str> = Vec::new();
    let (mut start, mut depth) = (0, 0);
    for (place, token) in tokens(module) {
        if depth == 0 {
            if statement.is_empty() {
                start = place;
            }
            // Directives with neither `;` nor braces stand in front of the next statement.
            if matches!(
                token,
                ".visible" | ".extern" | ".weak" | ".common" | ".func" | ".entry" | ".global" | ".const"
            ) && !statement.iter().any(|word| LINKING.contains(word))
            {
                statement.clear();
                start = place;
            }
        }
        let is_code = statement.iter().any(|word| matches!(*word, ".func" | ".entry"));
        match token {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth > 0 || token == ";" => {}
            _ => statement.push(token),
        }
        let ends = depth == 0 && (token == ";" || token == "}" && !is_variable(&statement));
        if ends {
            let place = start..place + token.len();
            found.extend(symbol(&statement, is_code && token == "}").map(|(name, linkage)| Symbol {
                name,
                linkage,
                place,
            }));
            statement.clear();
        }
    }
    found
}

/// What a statement that links begins with.
const LINKING: [&str; 4] = [".visible", ".extern", ".weak", ".common"];

fn is_variable(statement: &[&str]) -> bool {
    statement.iter().any(|word| matches!(*word, ".global" | ".const" | ".shared"))
        && !statement.iter().any(|word| matches!(*word, ".func" | ".entry"))
}

/// The name of a statement. A body follows a function's head, or the values of a variable.
fn symbol<'a>(statement: &[&'a str], body: bool) -> Option<(&'a str, Linkage)> {
    let is = |wanted: &[&str]| statement.iter().position(|word| wanted.contains(word));
    let linkage = if is(&[".extern"]).is_some() {
        Linkage::Extern
    } else if is(&[".weak", ".common"]).is_some() {
        Linkage::Weak
    } else if is(&[".visible"]).is_some() {
        Linkage::Visible
    } else {
        Linkage::Local
    };
    if let Some(at) = is(&[".func", ".entry"]) {
        let mut rest = statement[at + 1..].iter();
        let mut name = rest.next()?;
        if *name == "(" {
            name = rest.skip_while(|word| **word != ")").nth(1)?;
        }
        return Some((*name, if body { linkage } else { Linkage::Extern }));
    }
    if !is_variable(statement) {
        return None;
    }
    // `.global .align 4 .b8 name [ 16 ] = …`: the name is the last word in front of the brackets or the values.
    let end = is(&["[", "="]).unwrap_or(statement.len());
    Some((*statement[..end].last()?, linkage))
}

/// Words, and the marks between them, with their places; comments and strings are left out.
fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mark = |letter: char| "{}()[];,=\"".contains(letter);
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &text[at..];
            let blank = rest.len()
                - rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\0').len();
            let skipped = blank + not_code(&rest[blank..]);
            if skipped == 0 {
                break;
            }
            at += skipped;
        }
        let rest = &text[at..];
        let first = rest.chars().next()?;
        let ends = |(place, letter): &(usize, char)| {
            letter.is_whitespace() || *letter == '\0' || mark(*letter) || rest[*place..].starts_with("//")
        };
        let length = match mark(first) {
            true => first.len_utf8(),
            false => rest.char_indices().find(ends).map_or(rest.len(), |(place, _)| place),
        };
        let token = (at, &rest[..length]);
        at += length;
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
        .visible .entry run(.param .u64 out) .maxntid 64, 1, 1 { .shared .b8 inner[4]; { ret; } }\n";
    const CALLEE: &str = ".version 6.0\n.target sm_50\n.address_size 64\n
        .file 1 \"a;b{.cu\"
        .visible .global .align 4 .u32 offset = 5;
        .weak .const .b32 shared_by_all;
        .visible .func (.param .b32 result) twice (.param .b32 x) { ret; }";

    fn known(module: &str) -> Vec<(&str, Linkage)> {
        symbols(module).into_iter().map(|symbol| (symbol.name, symbol.linkage)).collect()
    }

    fn joined(modules: &[&str]) -> String {
        String::from_utf8(join(modules).expect("they fit")).expect("text")
    }

    #[test]
    fn definitions_are_told_from_declarations() {
        use Linkage::*;
        assert_eq!(known(CALLER), [("twice", Extern), ("offset", Extern), ("name", Local), ("run", Visible)]);
        assert_eq!(known(CALLEE), [("offset", Visible), ("shared_by_all", Weak), ("twice", Visible)]);
        assert_eq!(undefined(CALLER), ["twice", "offset"]);
    }

    #[test]
    fn modules_that_complete_each_other_are_joined() {
        let text = joined(&[CALLER, CALLEE]);
        assert!(text.contains(CALLER) && text.contains(CALLEE) && text.ends_with('\0'));
        assert!(undefined(&text).is_empty());
    }

    #[test]
    fn a_name_that_two_modules_define_is_told() {
        let other = ".version 6.0\n.target sm_50\n.visible .func twice () { ret; }";
        assert_eq!(join(&[CALLEE, other]), Err("twice".to_owned()));
    }

    #[test]
    fn of_weak_definitions_one_stays_and_a_strong_one_wins() {
        let weak = ".weak .const .b32 shared_by_all = 2;\n.weak .func (.param .b32 r) twice (.param .b32 x) { { exit; } }";
        let text = joined(&[weak, CALLEE]);
        assert!(text.contains("shared_by_all = 2") && text.matches("shared_by_all").count() == 1);
        assert!(text.matches(" twice ").count() == 1 && !text.contains("exit"));
    }

    #[test]
    fn a_module_s_own_names_stay_its_own() {
        let first = ".func add () { ret; }\n.global .u32 x;\n.entry a() { add.s32 %r1, %r2, %r3; call add, (); ld.u32 %r1, [x+4]; }";
        let second = ".global .u32 x;\n.visible .func add () { ret; }";
        let text = joined(&[first, second]);
        assert!(
            text.contains("add.s32 ")
                && text.contains("call add__module0, ()")
                && text.contains("[x__module0+4]")
        );
        assert!(text.contains(".visible .func add ()") && text.contains(".u32 x__module1;"));
    }

    #[test]
    fn registers_are_bounded_for_kernels_only() {
        let text = limit_registers(".entry a() .maxntid 1, 1, 1 { { ret; } } .func b() { ret; }", 38);
        assert_eq!(text, ".entry a() .maxntid 1, 1, 1  .maxnreg 38 { { ret; } } .func b() { ret; }");
    }
}
