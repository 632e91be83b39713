//! Forms of matrix instructions and reductions that compilers here do not write: loads of narrow numbers, floats across the warp.

mod machine;

use interpreter::FaultKind;
use machine::{kernel, run};

/// Runs a kernel of one warp over its words.
fn warp(body: &str, memory: &mut [u32]) {
    run(&kernel(body), 1, 32, memory, 1).0.expect("no fault");
}

/// Copies 512 bytes to shared memory first; %r10 is the address of lane's 16 bytes there.
const TO_SHARED: &str = "
    .shared .align 16 .b8 tile[512];
    mov.u32 %r9, tile; shl.b32 %r8, %r3, 2; add.u32 %r8, %r8, %r9; shl.b32 %r10, %r3, 4; add.u32 %r10, %r10, %r9;
    ld.global.u32 %r5, [%rd2]; st.shared.u32 [%r8], %r5;
    ld.global.u32 %r5, [%rd2+128]; st.shared.u32 [%r8+128], %r5;
    ld.global.u32 %r5, [%rd2+256]; st.shared.u32 [%r8+256], %r5;
    ld.global.u32 %r5, [%rd2+384]; st.shared.u32 [%r8+384], %r5;
    bar.warp.sync 0xffffffff;";

/// Memory whose `i`-th byte is `i` and something of its row.
fn bytes() -> Vec<u8> {
    (0..512).map(|place| (place * 7 + place / 16) as u8).collect()
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}

#[test]
fn bytes_are_loaded_by_columns() {
    let source = bytes();
    let mut memory = words(&source);
    let load = "ldmatrix.sync.aligned.m16n16.x2.trans.shared.b8 {%r20, %r21, %r22, %r23}, [%r10];";
    let store = "st.global.u32 [%rd2], %r20; st.global.u32 [%rd2+128], %r21; st.global.u32 [%rd2+256], %r22; st.global.u32 [%rd2+384], %r23;";
    warp(&format!("{TO_SHARED} {load} {store}"), &mut memory);
    for matrix in 0..2 {
        for half in 0..2 {
            for lane in 0..32 {
                // Four rows of a column, which is a row of what is loaded.
                let column = 8 * half + lane / 4;
                let byte = |row: usize| u32::from(source[256 * matrix + 16 * (lane % 4 * 4 + row) + column]);
                let expected = (0..4).fold(0, |word, row| word | byte(row) << (8 * row));
                assert_eq!(memory[32 * (2 * matrix + half) + lane], expected, "{matrix} {half} {lane}");
            }
        }
    }
}

#[test]
fn narrow_numbers_are_spread_to_bytes() {
    for (format, bits) in [("b6x16_p32", 6), ("b4x16_p64", 4)] {
        let source = bytes();
        let mut memory = words(&source);
        let load = format!("ldmatrix.sync.aligned.m8n16.x2.shared.b8x16.{format} {{%r20, %r21}}, [%r10];");
        warp(
            &format!("{TO_SHARED} {load} st.global.u32 [%rd2], %r20; st.global.u32 [%rd2+128], %r21;"),
            &mut memory,
        );
        for (place, word) in memory[..64].iter().enumerate() {
            let row = &source[16 * (place / 32 * 8 + place % 32 / 4)..][..16];
            let number = |index: usize| {
                let bit = index * bits;
                let both = u32::from(row[bit / 8]) | u32::from(row[bit / 8 + 1]) << 8;
                both >> (bit % 8) & ((1 << bits) - 1)
            };
            let expected = (0..4).fold(0, |word, byte| word | number(place % 4 * 4 + byte) << (8 * byte));
            assert_eq!(*word, expected, "{format}: {place}");
        }
    }
}

#[test]
fn least_and_greatest_floats_of_the_warp() {
    let values: Vec<f32> = (0..32).map(|lane| ((lane * 13 + 5) % 32) as f32 - 20.0).collect();
    let with_nan: Vec<f32> =
        values.iter().enumerate().map(|(lane, v)| if lane == 9 { f32::NAN } else { *v }).collect();
    let of = |form: &str, values: &[f32]| {
        let mut memory: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        let body = format!(
            "ld.global.f32 %f1, [%rd2]; redux.sync.{form}.f32 %f2, %f1, 0xffffffff; st.global.f32 [%rd2], %f2;"
        );
        warp(&body, &mut memory);
        assert!(memory.iter().all(|word| *word == memory[0]), "{form}: every lane has the result");
        f32::from_bits(memory[0])
    };
    assert_eq!(of("min", &values), -20.0);
    assert_eq!(of("max", &values), 11.0);
    assert_eq!(of("max.abs", &values), 20.0);
    assert_eq!(of("min.abs", &values), 0.0);
    let without: f32 = with_nan.iter().copied().filter(|value| !value.is_nan()).fold(f32::MIN, f32::max);
    assert_eq!(of("max", &with_nan), without);
    assert!(of("max.NaN", &with_nan).is_nan());
}

#[test]
fn shared_addresses_of_matrices_and_copies_do_not_reach_local_memory() {
    let distance = "
        .shared .align 16 .b8 tile[512]; .local .align 16 .b8 mine[1024];
        mov.u64 %rd5, mine; cvta.local.u64 %rd5, %rd5;
        mov.u64 %rd6, tile; cvta.shared.u64 %rd7, %rd6;
        sub.u64 %rd5, %rd5, %rd7; add.u64 %rd5, %rd5, %rd6;";
    for access in [
        "wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 {%r10, %r11, %r12, %r13, %r14, %r15, %r16, %r17}, [%rd5], 16;",
        "cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%rd5], 16;",
    ] {
        let of = |place: &str| {
            let text = kernel(&format!("{distance} {}", access.replace("%rd5", place)));
            run(&text, 1, 32, &mut [0; 32], 1).0
        };
        let fault = of("%rd5").expect_err("not shared memory");
        assert_eq!(fault.kind, FaultKind::IllegalAddress, "{access}");
        of("%rd6").expect("shared memory");
    }
}

/// Four bits of a kind have a byte to themselves, in its middle.
#[test]
fn products_of_four_bit_floats_in_bytes() {
    // 1.5 in A, -2 in B: 32 products of -3, and what was there.
    let body = "mov.b32 %r10, 0x0c0c0c0c; mov.b32 %r11, 0x30303030;
        ld.global.f32 %f1, [%rd2];
        mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e2m1.e2m1.f32
            {%f1, %f2, %f3, %f4}, {%r10, %r10, %r10, %r10}, {%r11, %r11}, {%f1, %f1, %f1, %f1};
        st.global.f32 [%rd2], %f3;";
    let mut memory: Vec<u32> = (0..32).map(|lane| (lane as f32).to_bits()).collect();
    warp(body, &mut memory);
    for (lane, word) in memory.iter().enumerate() {
        assert_eq!(f32::from_bits(*word), lane as f32 - 96.0, "{lane}");
    }
}
