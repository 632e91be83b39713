//! Every form of the instruction table: the interpreter decodes its example, or refuses it by name.

use std::sync::Arc;

use interpreter::{Image, Unsupported};
use ptx::Module;
use ptx::isa::{INSTRUCTIONS, examples};

/// What becomes of each example of the table: the mnemonic, and why it is refused, if it is.
fn outcomes() -> Vec<(String, Option<Unsupported>)> {
    let mut out = Vec::new();
    for row in INSTRUCTIONS {
        let (text, mnemonics) = examples::module(row.op);
        let module = Arc::new(Module::parse(text).expect("examples are PTX"));
        let image = Image::load(module, &mut |_, _| None).expect("examples have no variables");
        for (index, mnemonic) in mnemonics.into_iter().enumerate() {
            out.push((mnemonic, image.kernel(&format!("example{index}")).err()));
        }
    }
    out
}

#[test]
fn what_is_not_decoded_is_refused_by_name() {
    let (mut decoded, mut refused) = (0, 0);
    for (mnemonic, reason) in outcomes() {
        match reason {
            None => decoded += 1,
            Some(Unsupported::Instruction { instruction, what, .. }) => {
                assert!(instruction.starts_with(&mnemonic), "{mnemonic}: `{instruction}` is named");
                assert!(!what.is_empty(), "{mnemonic}");
                refused += 1;
            }
            Some(other) => panic!("{mnemonic}: {other}"),
        }
    }
    // Both, or this test would say nothing.
    assert!(decoded > 1000 && refused > 1000, "{decoded} decoded, {refused} refused");
}

/// Words that an interpreter which does not know them would drop, with another result.
#[test]
fn words_that_change_the_result_are_not_dropped() {
    let must_refuse = [
        "fma.rn.oob.f16",
        "add.f32.f16",
        "fma.rn.f32.bf16",
        "min.abs.f32",
        "st.async.b32",
        "red.async.relaxed.cluster.mbarrier::complete_tx::bytes.add.u32",
        "cvt.pack.sat.u16.s32",
        "cvt.rn.satfinite.e2m1x2.f16x2",
        "cvt.rn.bf16x2.ue8m0x2",
    ];
    let outcomes = outcomes();
    for mnemonic in must_refuse {
        let (_, reason) =
            outcomes.iter().find(|(text, _)| text == mnemonic).expect("an example of the table");
        assert!(
            reason.is_some(),
            "{mnemonic} is decoded; a test of its results takes the place of this line"
        );
    }
}
