//! Every form of the table, written as an example: it parses, obeys the verifier, and is the same after printing.

use ptx::Module;
use ptx::isa::{INSTRUCTIONS, Mnemonic, examples, forms};

#[test]
fn every_form_parses_verifies_and_survives_printing() {
    let mut examples_in_all = 0;
    for row in INSTRUCTIONS {
        let (text, mnemonics) = examples::module(row.op);
        let module = Module::parse(text).expect("examples are PTX");
        assert_eq!(module.entries().count(), mnemonics.len());
        for (function, mnemonic) in module.entries().zip(&mnemonics) {
            let body = module.body(function).unwrap_or_else(|error| panic!("{mnemonic}: {error}"));
            body.verify().unwrap_or_else(|(_, rule)| panic!("{rule}"));
            module
                .round_trip(function, &body)
                .unwrap_or_else(|difference| panic!("{mnemonic}: {difference}"));
        }
        examples_in_all += mnemonics.len();
    }
    assert!(examples_in_all > 5000, "{examples_in_all} examples");
}

#[test]
fn every_form_is_found_by_its_own_spelling() {
    for form in INSTRUCTIONS.iter().flat_map(|row| forms(row.op)) {
        for text in examples::spellings(form) {
            let mnemonic = Mnemonic::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(
                mnemonic.forms.iter().any(|found| std::ptr::eq(*found, form)),
                "{text} is not {}",
                form.text
            );
        }
    }
}

#[test]
fn every_instruction_has_a_form_and_a_name_of_its_own() {
    for (index, row) in INSTRUCTIONS.iter().enumerate() {
        assert!(!row.forms.is_empty() && !row.about.is_empty(), "{}", row.mnemonic);
        assert_eq!(row.op as usize, index, "{}", row.mnemonic);
        assert!(
            !INSTRUCTIONS[..index].iter().any(|other| other.mnemonic == row.mnemonic),
            "{}",
            row.mnemonic
        );
    }
}

/// What ptxas takes in another order than the manual has, as libraries write it.
#[test]
fn words_may_stand_in_another_order_where_that_says_nothing() {
    for (written, manual) in [
        ("ld.global.acquire.gpu.b32", "ld.acquire.gpu.global.b32"),
        ("vote.ballot.sync.b32", "vote.sync.ballot.b32"),
        ("atom.add.release.gpu.u32", "atom.release.gpu.add.u32"),
        ("fence.sys.acq_rel", "fence.acq_rel.sys"),
    ] {
        let [written, manual] =
            [written, manual].map(|text| Mnemonic::parse(text).unwrap_or_else(|error| panic!("{error}")));
        assert_eq!(written.forms[0].text, manual.forms[0].text);
        assert_eq!(written.modifiers, manual.modifiers);
    }
}

/// Combinations that no form has, though each word is known.
#[test]
fn combinations_without_a_form_are_refused() {
    for text in [
        "add.rn.u32",
        "add.sat.u32",
        "mul.u32",
        "mul.wide.u64",
        "mad.wide.f32",
        "fma.f32",
        "fma.rn.sat.f64",
        "min.ftz.s32",
        "cvt.f32",
        "cvt.rs.f32.f64",
        "ld.global.f16",
        "ld.relaxed.u32",
        "st.nc.global.u32",
        "atom.global.u32",
        "atom.add.b32",
        "atom.cas.f32",
        "red.global.exch.b32",
        "bar.warp",
        "vote.sync.popc.b32",
        "shfl.sync.idx.b64",
        "match.sync.b32",
        "mma.sync.aligned.m16n8k16.col.row.f32.f16.f16.f32",
        "mma.sync.aligned.m16n8k16.row.row.f32.f16.f16.f32",
        "mma.sync.aligned.m8n8k16.row.col.f32.f16.f16.f32",
        "mma.sync.aligned.m16n8k32.row.col.f64.f64.f64.f64",
        "wmma.load.d.sync.aligned.row.m16n16k16.f32",
        "ldmatrix.sync.aligned.m8n8.x8.shared.b16",
        "wgmma.mma_async.sync.aligned.m64n12k16.f32.f16.f16",
        "setp.f32",
        "set.eq.u32",
        "tex.2d.v2.f32.f32",
        "cp.async.ca.global.shared",
        "bra.aligned",
        "lop3.b64",
        "prmt.b32.f4e.b4e",
        "redux.sync.add.b32",
        "add.u32.u32",
        "add",
        "ret.sync",
        "mbarrier.init.b32",
        "createpolicy.fractional.b64",
        "fence.acquire",
        "vadd.u32.u32",
    ] {
        assert!(Mnemonic::parse(text).is_err(), "{text}");
    }
}
