//! `mov` as it packs and unpacks: the table says only that anything may stand there.

use ptx::{Mnemonic, Type};

use crate::case::{Case, Cell, Domain, Input, Output};

/// Copies of every type, words from parts, and parts of words.
pub(crate) fn cases() -> Vec<Case> {
    use Type::*;
    let plain = [B16, B32, B64, U16, U32, U64, S16, S32, S64, F32, F64, Pred];
    let mut out: Vec<Case> = plain.iter().map(|ty| copy(*ty)).collect();
    for (whole, part, count) in
        [(B32, B16, 2), (B64, B32, 2), (B64, B16, 4), (B16, B8, 2), (B32, B8, 4), (B64, F32, 2)]
    {
        out.push(case(whole, &vec![part; count], &[whole], &format!("{}, %o", braces("%i", count))));
        out.push(case(whole, &[whole], &vec![part; count], &format!("%i, {}", braces("%o", count))));
    }
    out
}

fn copy(ty: Type) -> Case {
    case(ty, &[ty], &[ty], "%i, %o")
}

fn braces(prefix: &str, count: usize) -> String {
    let list: Vec<String> = (0..count).map(|index| format!("{prefix}{index}")).collect();
    format!("{{{}}}", list.join(", "))
}

/// `operands` has the source first.
fn case(whole: Type, inputs: &[Type], outputs: &[Type], operands: &str) -> Case {
    let (source, target) = operands.split_at(operands.rfind(", ").expect("two operands"));
    let (source, target) = match operands.strip_prefix("%i, ") {
        Some(target) => ("%i", target),
        None => (source, &target[2..]),
    };
    let one = |text: &str| if text.starts_with('{') { text.to_owned() } else { format!("{text}0") };
    let mnemonic = Mnemonic::parse(&format!("mov.{whole}")).expect("a form of the table");
    Case {
        text: format!("mov.{whole} {}, {}", one(target), one(source)),
        mnemonic,
        inputs: inputs.iter().map(|ty| Input { ty: *ty, domain: Domain::Any, wide: false }).collect(),
        outputs: outputs.iter().map(|ty| Output { ty: *ty, wide: false }).collect(),
        cell: Cell::None,
        cell_values: 0,
    }
}
