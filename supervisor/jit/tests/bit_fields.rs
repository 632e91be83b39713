//! Bits of two registers that constant masks put together, in some lanes: LLVM 19 got a table wrong (see `bit_fields` of crate `llvm`).

mod tiers;

use tiers::both_whole;

/// What two registers begin with.
const FIRST: &str =
    "mad.lo.u32 %r5, %r4, 0x9e3779b1, 0x7f4a7c15; mad.lo.u32 %r6, %r4, 0x85ebca6b, 0xb640e8cb;
    and.b32 %r7, %r3, 5; setp.eq.u32 %p1, %r7, 1;";

fn first(thread: u32) -> [u32; 2] {
    [
        thread.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15),
        thread.wrapping_mul(0x85eb_ca6b).wrapping_add(0xb640_e8cb),
    ]
}

/// Runs statements that change `%r5` where `%p1` is set; `expect` says to what.
fn in_some_lanes(statements: &str, expect: impl Fn(u32, u32) -> u32) {
    for block in [64, 7] {
        let memory = both_whole(&format!("{FIRST} {statements} st.global.u32 [%rd2], %r5;"), 1, block);
        for thread in 0..block {
            let [own, other] = first(thread);
            let expected = if thread & 5 == 1 { expect(own, other) } else { own };
            assert_eq!(memory[thread as usize], expected, "{statements}: {thread} of {block}");
        }
    }
}

#[test]
fn a_field_is_inserted_in_some_lanes() {
    let inserted = |own: u32, other: u32| own & !0x03ff_ff80 | (other << 7) & 0x03ff_ff80;
    in_some_lanes("@%p1 bfi.b32 %r5, %r6, %r5, 7, 19;", inserted);
    in_some_lanes("@!%p1 bra OTHERS; bfi.b32 %r5, %r6, %r5, 7, 19; OTHERS:", inserted);
    in_some_lanes("@%p1 bfi.b32 %r5, %r5, %r6, 7, 19;", |own, other| inserted(other, own));
}

#[test]
fn masks_may_stand_on_either_side() {
    let masked = "and.b32 %r8, %r5, 0xff0000ff; and.b32 %r9, %r6, 0x00ffff00;";
    let expect = |own: u32, other: u32| own & 0xff00_00ff | other & 0x00ff_ff00;
    for how in ["or.b32", "xor.b32", "add.u32"] {
        in_some_lanes(&format!("{masked} @%p1 {how} %r5, %r8, %r9;"), expect);
        in_some_lanes(&format!("{masked} @%p1 {how} %r5, %r9, %r8;"), expect);
        in_some_lanes(&format!("{masked} {how} %r10, %r8, %r9; selp.b32 %r5, %r10, %r5, %p1;"), expect);
    }
    in_some_lanes("@%p1 lop3.b32 %r5, 0xff0000ff, %r5, %r6, 0xca;", expect);
    in_some_lanes("@%p1 lop3.b32 %r5, 0x00ffff00, %r6, %r5, 0xca;", expect);
}

#[test]
fn a_sign_is_copied_in_some_lanes() {
    let signed = |size: u32, sign: u32| size & 0x7fff_ffff | sign & 0x8000_0000;
    let floats = "mov.b32 %f1, %r5; mov.b32 %f2, %r6;";
    in_some_lanes(&format!("{floats} @%p1 copysign.f32 %f1, %f2, %f1; mov.b32 %r5, %f1;"), signed);
    in_some_lanes(&format!("{floats} @%p1 copysign.f32 %f1, %f1, %f2; mov.b32 %r5, %f1;"), |own, other| {
        signed(other, own)
    });
}
