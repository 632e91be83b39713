//! Atomics in compiled code beside the interpreter: what is in memory behind them, and what each lane found.

mod tiers;

use tiers::{both, both_whole};

/// Operations with their types.
const ALL: &[(&str, &str)] = &[
    ("add", "u32"),
    ("add", "s32"),
    ("min", "u32"),
    ("min", "s32"),
    ("max", "u32"),
    ("max", "s32"),
    ("inc", "u32"),
    ("dec", "u32"),
    ("and", "b32"),
    ("or", "b32"),
    ("xor", "b32"),
    ("exch", "b32"),
    ("cas", "b32"),
    ("add", "u64"),
    ("min", "u64"),
    ("min", "s64"),
    ("max", "u64"),
    ("max", "s64"),
    ("and", "b64"),
    ("or", "b64"),
    ("xor", "b64"),
    ("exch", "b64"),
    ("cas", "b64"),
    ("add", "f32"),
    ("add", "f64"),
];

/// Operations that have no result.
fn has_reduction(operation: &str) -> bool {
    !matches!(operation, "exch" | "cas")
}

/// Which of a table's eight entries: of each lane, or of all.
const PLACES: [&str; 2] = ["and.b32 %r6, %r4, 5;", "mov.u32 %r6, 3;"];
/// What lanes bring, where each its own or all the same.
const VALUES: [&str; 2] = [
    "mad.lo.u32 %r5, %r4, 0x9e3779b1, 0x80000000; shr.u32 %r7, %r5, 27; mul.wide.u32 %rd7, %r5, %r5;",
    "mov.u32 %r5, 0x17; mov.u32 %r7, 8195; mov.u64 %rd7, 0x900000007;",
];
/// Which lanes: all, by a branch, by a guard; of the last some warps have none.
const LANES: [(&str, &str); 4] = [
    ("", ""),
    ("and.b32 %r8, %r4, 3; setp.ne.u32 %p1, %r8, 1; @!%p1 bra LESS;", ""),
    ("and.b32 %r8, %r4, 6; setp.eq.u32 %p1, %r8, 2;", "@%p1"),
    ("setp.eq.u32 %p1, %r3, 3;", "@%p1"),
];

/// A table in shared memory, filled and written out again.
const TABLE: &str = ".shared .align 8 .b8 table[72]; mov.u32 %r10, table; mad.lo.u32 %r11, %r3, 4, %r10; mad.lo.u32 %r9, %r3, 7, 8190;
     setp.lt.u32 %p2, %r3, 16; @%p2 st.shared.u32 [%r11], %r9; bar.sync 0;";
const WRITTEN: &str =
    "bar.sync 0; mov.u32 %r12, 0; @%p2 ld.shared.u32 %r12, [%r11]; @%p2 st.global.u32 [%rd2+4096], %r12;";

/// A body with one atomic.
fn body(
    operation: &str,
    ty: &str,
    result: bool,
    place: &str,
    value: &str,
    lanes: (&str, &str),
    space: &str,
) -> String {
    let wide = ty.ends_with("64");
    let (old, first, second) = match (wide, ty == "f64") {
        (true, _) => ("%rd9", "%rd7", "%rd8"),
        (false, _) => ("%r20", "%r5", "%r7"),
    };
    // What is compared has to be there now and then.
    let compared = if operation == "cas" {
        format!("{}, {second}", if wide { "%rd10" } else { "%r7" })
    } else {
        first.into()
    };
    let address = match space {
        "shared" => "%r13",
        _ => "%rd6",
    };
    let dot = if space.is_empty() { "" } else { "." };
    let (guard, head) = (lanes.1, lanes.0);
    let name = if result { "atom" } else { "red" };
    let target = if result { format!("{old}, ") } else { String::new() };
    format!(
        "{TABLE} {place} {value} mov.u64 %rd8, 77; mov.u64 %rd10, 0x200900002008; mov.u64 %rd9, 5; mov.u32 %r20, 5;
         mul.wide.u32 %rd5, %r6, 8; add.s64 %rd6, %rd1, %rd5; add.s64 %rd6, %rd6, 8192; mad.lo.u32 %r13, %r6, 8, %r10;
         {head}
         {guard} {name}{dot}{space}.{operation}.{ty} {target}[{address}], {compared};
         LESS: {WRITTEN}
         cvt.u32.u64 %r14, %rd9; shr.u64 %rd11, %rd9, 32; cvt.u32.u64 %r15, %rd11; mad.lo.u32 %r14, %r15, 3, %r14;
         add.u32 %r14, %r14, %r20; st.global.u32 [%rd2], %r14;"
    )
}

/// Runs all ways to write an operation in a space.
fn in_space(space: &str) {
    for (number, (operation, ty)) in ALL.iter().enumerate() {
        // Each operation with one of the ways for the rest; all of them come up with each part of an atomic.
        for way in 0..4 {
            let way = way * 5 + number;
            let result = !has_reduction(operation) || way % 2 == 0;
            let (place, value, lanes) = (PLACES[way / 2 % 2], VALUES[way / 4 % 2], LANES[way / 8 % 4]);
            both_whole(&body(operation, ty, result, place, value, lanes, space), 2, 64);
        }
    }
}

#[test]
fn atomics_of_global_memory_are_the_interpreters() {
    in_space("global");
}

#[test]
fn atomics_of_shared_memory_are_the_interpreters() {
    in_space("shared");
}

#[test]
fn atomics_of_any_memory_are_the_interpreters() {
    in_space("");
}

/// All lanes at one place: each has what those before have left.
#[test]
fn lanes_that_count_at_one_place_have_ranks() {
    let memory = both_whole("atom.global.add.u32 %r5, [%rd1+8192], 3; st.global.u32 [%rd2], %r5;", 2, 64);
    assert!((0..128).all(|thread| memory[thread] == 2048 + 3 * thread as u32), "{:?}", &memory[..128]);
    let memory = both_whole(
        "and.b32 %r6, %r3, 3; setp.eq.u32 %p1, %r6, 1; mov.u32 %r5, 0; @%p1 atom.global.add.u32 %r5, [%rd1+8192], 3;
         st.global.u32 [%rd2], %r5;",
        1,
        32,
    );
    assert_eq!((memory[1], memory[5], memory[29], memory[2048]), (2048, 2051, 2048 + 21, 2048 + 24));
}

/// Subnormal sums are zero in device memory, and what they are in shared memory, also where that is only known at run time.
#[test]
fn sums_of_floats_flush_outside_of_shared_memory() {
    let small = "mov.b32 %f1, 0x00000007; mov.u32 %r5, 5; and.b32 %r6, %r3, 1; setp.eq.u32 %p1, %r6, 0;
         st.global.u32 [%rd2], %r5; .shared .align 4 .b8 sums[256]; mov.u32 %r7, sums; mad.lo.u32 %r7, %r3, 4, %r7; st.shared.u32 [%r7], %r5;
         cvt.u64.u32 %rd5, %r7; cvta.shared.u64 %rd5, %rd5;";
    let memory = both_whole(
        &format!(
            "{small} red.global.add.f32 [%rd2], %f1; red.shared.add.f32 [%r7], %f1; ld.shared.u32 %r8, [%r7]; st.global.u32 [%rd2+1024], %r8;"
        ),
        1,
        32,
    );
    assert_eq!((memory[0], memory[256]), (0, 12));
    // Which room a lane's address lies in only the interpreter looks at for each.
    let memory = both(
        &format!(
            "{small} selp.b64 %rd5, %rd5, %rd2, %p1; red.add.f32 [%rd5], %f1; ld.shared.u32 %r8, [%r7]; st.global.u32 [%rd2+1024], %r8;"
        ),
        1,
        32,
    );
    assert_eq!((memory[0], memory[1], memory[256], memory[257]), (5, 0, 12, 5));
}

/// Lanes that try until another has done something need the interpreter, which gives each its turn.
#[test]
fn lanes_that_wait_for_a_lock_get_it() {
    let memory = both(
        "mov.u32 %r9, 0;
         AGAIN: atom.global.cas.b32 %r5, [%rd1+8192], 2048, 1; setp.ne.u32 %p1, %r5, 2048; @%p1 bra AGAIN;
         ld.volatile.global.u32 %r6, [%rd1+8200]; add.u32 %r6, %r6, 1; st.volatile.global.u32 [%rd1+8200], %r6;
         atom.global.exch.b32 %r7, [%rd1+8192], 2048; st.global.u32 [%rd2], %r6;",
        2,
        64,
    );
    assert_eq!(memory[2050], 2050 + 128);
}

/// A block that waits for one behind it.
#[test]
fn a_block_that_polls_lets_others_run() {
    let memory = both(
        "setp.ne.u32 %p1, %r1, 0; @%p1 bra LATER;
         AGAIN: atom.global.or.b32 %r5, [%rd1+8192], 0; setp.eq.u32 %p2, %r5, 2048; @%p2 bra AGAIN;
         st.global.u32 [%rd2], %r5; bra END;
         LATER: atom.global.exch.b32 %r6, [%rd1+8192], 7; END:",
        2,
        32,
    );
    assert_eq!(memory[0], 7);
}

/// Lanes that lose try again, and that is done in code: nothing waits.
#[test]
fn sums_by_compare_and_exchange_stay_in_code() {
    let (memory, stops) = tiers::both_with_stops(
        "and.b32 %r9, %r4, 3; mul.wide.u32 %rd5, %r9, 4; add.s64 %rd6, %rd1, %rd5; ld.global.u32 %r5, [%rd6+8192];
         AGAIN: add.u32 %r6, %r5, %r4; atom.global.cas.b32 %r7, [%rd6+8192], %r5, %r6;
         setp.ne.u32 %p1, %r7, %r5; mov.u32 %r5, %r7; @%p1 bra AGAIN;",
        8,
        64,
    );
    assert_eq!((memory[2048], stops), (2048 + (0..128).map(|turn| 4 * turn).sum::<u32>(), 0));
}

/// Nothing is done twice, or not at all, where an address is none that code may touch: the interpreter finds out which.
#[test]
fn an_atomic_of_which_some_lanes_are_the_interpreters_is_done_once() {
    let memory = both(
        ".local .align 4 .b8 own[8]; mov.u64 %rd7, own; cvta.local.u64 %rd7, %rd7; mov.u32 %r9, 1000; st.u32 [%rd7], %r9;
         red.global.add.u32 [%rd1+8192], 1; red.global.add.u32 [%rd2+4096], 1;
         setp.eq.u32 %p1, %r3, 9; selp.b64 %rd8, %rd7, %rd2, %p1; atom.add.u32 %r5, [%rd8], 5; red.global.add.u32 [%rd2+2048], %r5;",
        1,
        64,
    );
    assert_eq!((memory[8], memory[9], memory[512 + 9], memory[2048]), (13, 9, 512 + 9 + 1000, 2048 + 64));
}
