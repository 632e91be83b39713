//! Pieces of kernels as compilers write them, with registers of their own: each register has one meaning, so that a compiler sees
//! what a thread's place makes of it. Statements on the program's own registers, which all have been anything, never show that.

use std::fmt::Write;

use crate::random::Random;
use crate::statements::{Manner, Place, fill, statement};
use crate::text::DATA_BYTES;

/// A piece of a kernel.
pub fn idiom(random: &mut Random, place: Place, manner: Manner) -> String {
    let text = match random.below(13) {
        0..=1 => chain(random),
        2..=3 => strides(random),
        4 => halves(random),
        5 => edge(random),
        6 if place.block && random.one_in(4) => apart(random),
        6 if place.block => tile(random, manner.threads),
        6 | 7 => branch(random, manner),
        9 => rows(random),
        10 => blocks(random),
        11 => quads(random),
        12 => dots(random),
        _ if random.one_in(2) => sums(random),
        _ => turns(random, manner),
    };
    fill(random, manner, &text)
}

/// What a thread's place, or a block's, or what all threads share makes a number of.
const BASES: &[&str] = &[
    "mov.u32 %a, %tid.x;",
    "mov.u32 %a, %laneid;",
    "mov.b32 %a, %me;",
    "mov.b32 %a, %gid;",
    "mov.b32 %a, %lane;",
    "mov.u32 %a, %tid.y;",
    "mov.u32 %a, %ctaid.x;",
    "mov.u32 %a, %ntid.x;",
    "ld.const.b32 %a, [table+{own4}];",
    "mov.f32 %c, 0f41C80000; cvt.rzi.s32.f32 %a, %c;",
    "ld.global.u32 %a, [%data+{own4}];",
    "ld.global.u8 %a, [%data+{own1}];",
    "ld.global.f32 %c, [%data+{own4}]; cvt.rni.s32.f32 %a, %c;",
    "mov.u32 %b, %ctaid.x; mad.lo.u32 %a, %b, {threads}, %me;",
];

/// What is made of it.
const STEPS: &[&str] = &[
    "add.u32 %a, %a, {number};",
    "sub.u32 %a, {number}, %a;",
    "mul.lo.u32 %a, %a, {number};",
    "mad.lo.s32 %a, %a, {number}, {number};",
    "mad.lo.u32 %a, %a, {number}, %b;",
    "shl.b32 %a, %a, {five};",
    "shr.{int32} %a, %a, {five};",
    "and.b32 %a, %a, {number};",
    "or.b32 %a, %a, {number};",
    "xor.b32 %a, %a, {number};",
    "not.b32 %a, %a;",
    "neg.s32 %a, %a;",
    "cvt.s32.s8 %a, %a;",
    "cvt.u32.u8 %a, %a;",
    "cvt.s32.s16 %a, %a;",
    "cvt.u32.u16 %a, %a;",
    "cvt.sat.u8.s32 %a, %a;",
    "{extreme}.{int32} %a, %a, {number};",
    "bfe.{int32} %a, %a, {five}, {five};",
    "rem.u32 %a, %a, 7;",
    "div.u32 %a, %a, 6;",
    "mul24.lo.u32 %a, %a, {number};",
    "add.sat.s32 %a, %a, {number};",
    "setp.{compare}.{int32} %g, %a, {number}; selp.b32 %a, %a, {number}, %g;",
    "setp.{compare}.{int32} %g, {number}, %a; @%g add.u32 %a, %a, 3;",
    "add.u32 %a, %a, %b;",
    "sub.u32 %a, %a, %b;",
];

/// What the number is for.
const ENDS: &[&str] = &[
    "xor.b32 {r}, {r}, %a;",
    "add.u32 {r}, {r}, %a;",
    "setp.{compare}.{int32} {p}, %a, {number};",
    "cvt.u64.u32 {w}, %a;",
    "mul.wide.s32 {w}, %a, {number};",
    "and.b32 %a, %a, 0xffc; cvt.u64.u32 %u0, %a; add.u64 %u0, %u0, %data; ld.global.b32 {r}, [%u0+{own4}];",
    "cvt.u64.u32 %u0, %a; and.b64 %u0, %u0, 0x1ffc; add.u64 %u0, %u0, %data; ld.global.b32 {r}, [%u0];",
    "mul.wide.u32 %u0, %a, 4; and.b64 %u0, %u0, 0x3ffc; add.u64 %u0, %u0, %data; ld.global.b32 {r}, [%u0];",
    "cvt.s64.s32 %u0, %a; shl.b64 %u0, %u0, 3; and.b64 %u0, %u0, 0x1ff8; add.u64 %u0, %data, %u0; ld.global.v2.b32 {{r1}, {r2}}, [%u0];",
    "and.b32 %a, %a, 0x3c; mov.u32 %b, counts; add.u32 %b, %b, %a; red.shared.add.u32 [%b+96], 0; mov.b32 {r}, %a;",
    "mul.wide.u32 %u0, %a, 2; and.b64 %u0, %u0, 0xffe; add.u64 %u0, %data, %u0; ld.global.nc.u16 {h}, [%u0];",
];

/// Every assignment gets a register of its own: `%a` becomes the next one where it is written.
fn once(steps: &[String]) -> String {
    let mut out = String::new();
    let mut current = 0;
    for instruction in steps.iter().flat_map(|step| step.split_inclusive(';')) {
        let (head, rest) = instruction.split_once("%a").unwrap_or((instruction, ""));
        let writes = !rest.is_empty() && !head.contains(',') && !instruction.trim_start().starts_with('@');
        let old = format!("%a{current}");
        if writes && !instruction.contains("st.") && !instruction.contains("setp") {
            let rest = rest.replace("%a", &old);
            current += 1;
            let _ = write!(out, "{head}%a{current}{rest}");
        } else {
            out += &instruction.replace("%a", &old);
        }
    }
    out
}

fn number(random: &mut Random) -> String {
    match random.below(6) {
        0 => format!("{:#x}", random.word() as u32),
        1 => format!("{:#x}", (random.word() as u32) << random.below(32)),
        2 => (1u32 << random.below(32)).to_string(),
        3 => ((1u64 << random.below(32)) - 1).to_string(),
        4 => format!("-{}", 1 + random.below(64)),
        _ => random.below(64).to_string(),
    }
}

/// Marks that mean a number of this module's.
fn numbers(random: &mut Random, template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{number}") {
        out += before;
        out += &number(random);
        rest = behind;
    }
    out + rest
}

/// A number in a few steps from a place.
fn steps(random: &mut Random) -> Vec<String> {
    let mut list = vec!["mov.u32 %b, 12;".to_owned(), random.choose(BASES).to_owned()];
    if random.one_in(2) {
        list[0] = "ld.const.b32 %b, [table+{own4}];".into();
    }
    for _ in 0..1 + random.below(5) {
        let step = random.choose(STEPS);
        list.push(numbers(random, step));
    }
    list
}

fn chain(random: &mut Random) -> String {
    let mut list = steps(random);
    let end = random.choose(ENDS);
    list.push(numbers(random, end));
    format!("{{ .reg .b32 %a<12>, %b; .reg .f32 %c; .reg .pred %g; {} }}", once(&list))
}

/// Pointers into the data that a loop steps, a constant apart or not quite, with loads between.
fn strides(random: &mut Random) -> String {
    let lane = random.choose(&["%me", "%lane", "%me", "%b"]);
    let width: usize = random.choose(&[4, 4, 8, 16, 2, 12, 34, 36, 0]);
    let most = [8, 4, 2].into_iter().find(|size| width.is_multiple_of(*size)).unwrap_or(1);
    let size = random.choose(&[4, 4, 4, 2, 1, 8]).min(most);
    let turns = 1 + random.below(5);
    let step = random.choose(&[size, 4 * size, 64, 128, 36 & !(size - 1)]);
    let other = if random.one_in(3) { random.choose(&[size, 32]) } else { step };
    let (from, apart) = (1024 + size * random.below(64), size * random.below(24));
    let down = random.choose(&["add", "sub"]);
    let mut out = format!(
        "{{ .reg .b64 %o<6>; .reg .b32 %n, %s, %b, %v<8>; .reg .b64 %y<4>; .reg .pred %g, %q; mov.u32 %b, %ctaid.x; and.b32 %b, %b, 7; \
         mul.wide.u32 %o0, {lane}, {width}; add.s64 %o1, %data, %o0; add.s64 %o2, %o1, {from}; {down}.s64 %o3, %o1, {apart}; \
         add.s64 %o3, %o3, {from}; mov.u32 %n, 0; mov.u32 %s, 0; "
    );
    // Another pointer is made in each turn, of one that steps, and may be read in the next.
    let late = random.one_in(3);
    if late {
        out += "mov.b64 %o4, %o2; ";
    }
    let bound = if random.one_in(4) { "and.b32 %b, {r}, 3;" } else { "" };
    let _ = write!(out, "{bound} turn: ");
    let mut parts: Vec<String> = Vec::new();
    for (place, pointer) in ["%o2", "%o3", "%o2", "%o3"].into_iter().enumerate().take(2 + random.below(3)) {
        let offset = size * random.below(8);
        let kind = random.choose(&["", ".nc"]);
        let load = match size {
            8 => format!("ld.global{kind}.b64 %y0, [{pointer}+{offset}]; cvt.u32.u64 %v{place}, %y0;"),
            _ => format!(
                "ld.global{kind}.{}{} %v{place}, [{pointer}+{offset}];",
                random.choose(&["u", "s"]),
                8 * size
            ),
        };
        parts.push(format!("{load} mad.lo.u32 %s, %s, 5, %v{place};"));
    }
    parts.push(format!("add.s64 %o2, %o2, {step};"));
    parts.push(format!("add.s64 %o3, %o3, {other};"));
    if late {
        parts.push(format!("add.s64 %o4, {}, {};", random.choose(&["%o2", "%o3"]), size));
        let load = if size == 8 { "b64 %y1" } else { "u8 %v7" };
        let of = if size == 8 { "cvt.u32.u64 %v7, %y1; " } else { "" };
        parts.push(format!("ld.global.{load}, [%o4]; {of}mad.lo.u32 %s, %s, 3, %v7;"));
    }
    if random.one_in(3) {
        parts.push("st.global.b32 [%own+{own4}], %s;".into());
    }
    for place in (1..parts.len()).rev() {
        parts.swap(place, random.below(place + 1));
    }
    out += &parts.join(" ");
    let end = if bound.is_empty() { turns.to_string() } else { "%b".to_owned() };
    let _ = write!(
        out,
        " add.u32 %n, %n, 1; setp.lt.u32 %g, %n, {end}; @%g bra turn; xor.b32 {{r}}, {{r}}, %s; }}"
    );
    out
}

/// Blocks of weights: 16-bit halves of words, at addresses that are even and no more.
fn halves(random: &mut Random) -> String {
    let stride = random.choose(&[2, 4, 18, 34, 36, 20, 0]);
    let (first, second) = (2 * random.below(200), 2 * random.below(200));
    let behind = if random.one_in(4) { 2 * random.below(3) } else { 2 };
    format!(
        "{{ .reg .b64 %o<3>; .reg .b16 %k<4>; .reg .b32 %v<4>; mul.wide.u32 %o0, {}, {stride}; add.s64 %o1, %data, %o0; \
         ld.global.u16 %k0, [%o1+{first}]; ld.global.u16 %k1, [%o1+{}]; mov.b32 %v0, {{%k0, %k1}}; \
         ld.global.nc.u16 %k2, [%o1+{second}]; {} ld.global.nc.u16 %k3, [%o1+{}]; mov.b32 %v1, {{%k2, %k3}}; \
         and.b32 %v2, %v0, 0x0f0f0f0f; dp4a.s32.s32 %v3, %v2, %v1, {{r}}; xor.b32 {{r}}, %v3, %v1; mov.b16 {{h}}, %k3; }}",
        random.choose(&["%me", "%lane", "%me"]),
        first + behind,
        random.choose(&["", "add.u32 {r}, {r}, %v0;", "st.global.b32 [%own+{own4}], %v0;"]),
        second + 2,
    )
}

/// Each lane reads words of a row of its own, in any order, one by one or four at once.
fn rows(random: &mut Random) -> String {
    let stride: usize = random.choose(&[32, 36, 48, 64, 132, 144, 264, 272]);
    let count = random.choose(&[4, 8, 8, 16]);
    let from = 16 * random.below(64);
    let kind = random.choose(&["", ".nc"]);
    let mut loads: Vec<String> = match stride.is_multiple_of(16) && random.one_in(2) {
        true => (0..count / 4)
            .map(|part| {
                let [a, b, c, d] = [0, 1, 2, 3].map(|word| format!("%v{}", 4 * part + word));
                format!("ld.global{kind}.v4.b32 {{{a}, {b}, {c}, {d}}}, [%o1+{}];", from + 16 * part)
            })
            .collect(),
        false => (0..count)
            .map(|word| format!("ld.global{kind}.b32 %v{word}, [%o1+{}];", from + 4 * word))
            .collect(),
    };
    for place in (1..loads.len()).rev() {
        loads.swap(place, random.below(place + 1));
    }
    if random.one_in(4) {
        loads.pop();
    }
    let mut out = format!(
        "{{ .reg .b64 %o<2>; .reg .b32 %v<16>, %s; mul.wide.u32 %o0, %lane, {stride}; add.s64 %o1, %data, %o0; mov.u32 %s, 0; "
    );
    (0..16).for_each(|word| out += &format!("mov.u32 %v{word}, {word}; "));
    out += &loads.join(" ");
    (0..count).for_each(|word| out += &format!(" mad.lo.u32 %s, %s, 5, %v{word};"));
    out + " xor.b32 {r}, {r}, %s; }"
}

/// A block reads a stretch of memory of its own, in wide rows that lie apart.
fn blocks(random: &mut Random) -> String {
    let (stretch, apart) = (random.choose(&[256, 512, 1024]), random.choose(&[512, 1024, 640]));
    let count = 1 + random.below(3);
    let mut out = format!(
        "{{ .reg .b64 %o<4>; .reg .b32 %b, %v<16>, %s; mov.u32 %b, %ctaid.x; and.b32 %b, %b, 7; mul.wide.u32 %o0, %b, {stretch}; \
         mul.wide.u32 %o1, %lane, 16; add.s64 %o2, %data, %o0; add.s64 %o3, %o2, %o1; mov.u32 %s, 0;"
    );
    for part in 0..count {
        let _ = write!(
            out,
            " ld.global.v4.b32 {{%v{}, %v{}, %v{}, %v{}}}, [%o3+{}];",
            4 * part,
            4 * part + 1,
            4 * part + 2,
            4 * part + 3,
            part * apart
        );
    }
    (0..4 * count).for_each(|word| out += &format!(" mad.lo.u32 %s, %s, 3, %v{word};"));
    out + " add.u32 {r}, {r}, %s; }"
}

/// Four words of each lane, from anywhere to another place, as they are or with one changed.
fn quads(random: &mut Random) -> String {
    let from = random.choose(&[
        "and.b32 %k, {r}, 0x3ff0; cvt.u64.u32 %o0, %k; add.s64 %o0, %data, %o0; ld.global.v4.b32 {%v0, %v1, %v2, %v3}, [%o0];",
        "mad.lo.u32 %k, %me, 48, 32; cvt.u64.u32 %o0, %k; and.b64 %o0, %o0, 0x3ff0; add.s64 %o0, %data, %o0; \
         ld.global.nc.v4.u32 {%v0, %v1, %v2, %v3}, [%o0];",
        "mul.wide.u32 %o0, %lane, 32; add.s64 %o0, %data, %o0; ld.global.v4.b32 {%v0, %v1, %v2, %v3}, [%o0+{own16}];",
    ]);
    let change = random.choose(&["", "", "add.u32 %v2, %v2, 1;", "@{p} mov.b32 %v0, {r};"]);
    let to = random.choose(&[
        "st.shared.v4.b32 [%seat], {%v0, %v1, %v2, %v3};",
        "st.global.v4.b32 [%own+{own16}], {%v0, %v1, %v2, %v3};",
        "st.global.v4.b32 [%out16+ROW{bit}], {%v0, %v1, %v2, %v3};",
        "and.b32 %k, {r}, 0x30; cvt.u64.u32 %o0, %k; add.s64 %o0, %own, %o0; st.global.v4.b32 [%o0], {%v0, %v1, %v2, %v3};",
        "@{p} st.global.v4.b32 [%own+{own16}], {%v0, %v1, %v2, %v3};",
    ]);
    format!(
        "{{ .reg .b64 %o0; .reg .b32 %k, %v<4>; {from} {change} {to} ld.shared.b32 {{r}}, [%seat+{}]; }}",
        4 * random.below(4)
    )
}

/// Products of bytes in a loop, of signs of either kind, one factor's high bits known to be clear or not, of words that lie side by
/// side or not.
fn dots(random: &mut Random) -> String {
    let (first, second) = (random.choose(&["s32", "s32", "u32"]), random.choose(&["s32", "s32", "u32"]));
    let factor = random.choose(&[
        "and.b32 %x, %x, 0x0f0f0f0f;",
        "and.b32 %x, %x, 0x7f7f7f7f;",
        "xor.b32 %x, %x, 0x01010101;",
    ]);
    let (from, to) = (16 * random.below(32), 8 * random.below(64));
    let place = random.choose(&["%me", "%lane", "%b"]);
    let turned = random.choose(&["%w, %v", "%v, %w"]);
    let apart = [4, 4, 8, 4][from / 16 % 4];
    format!(
        "{{ .reg .b64 %o<3>; .reg .b32 %b, %n, %s, %v, %w, %x; .reg .pred %g; mov.u32 %b, %ctaid.x; and.b32 %b, %b, 7; \
         mul.wide.u32 %o0, {place}, {apart}; add.s64 %o1, %data, %o0; add.s64 %o2, %data, {to}; mov.u32 %n, 0; mov.u32 %s, 0; \
         turn: ld.global.b32 %x, [%o1+{from}]; {} ld.global.b32 %w, [%o2]; dp4a.{first}.{second} %s, {turned}, %s; \
         add.s64 %o1, %o1, 64; add.s64 %o2, %o2, 4; add.u32 %n, %n, 1; setp.lt.u32 %g, %n, {}; @%g bra turn; add.u32 {{r}}, {{r}}, %s; }}",
        factor.replacen("%x,", "%v,", 1),
        1 + random.below(6),
    )
}

/// Accesses under a guard that keeps them inside, by the last threads.
fn edge(random: &mut Random) -> String {
    let per = random.choose(&[1, 4, 37, 64, 150]);
    let (size, load) = random.choose(&[
        (4, "@%g ld.global.b32 {r1}, [%o0]; @!%g mov.b32 {r2}, 7;"),
        (8, "@%g ld.global.v2.b32 {{r1}, {r2}}, [%o0];"),
        (2, "@%g ld.global.u16 {h}, [%o0];"),
        (8, "@%g ld.global.b64 {w}, [%o0];"),
        (4, "@%g ld.global.b32 %x, [%o0]; @%g add.u32 {r}, {r}, %x;"),
        (16, "@%g ld.global.nc.v4.b32 {{r1}, {r2}, {r3}, {r4}}, [%o0];"),
    ]);
    let end = DATA_BYTES / size;
    let from = end.saturating_sub(random.below(32 * per + 1));
    format!(
        "{{ .reg .b64 %o0; .reg .b32 %k, %x; .reg .pred %g; mad.lo.s32 %k, {}, {per}, {from}; setp.lt.s32 %g, %k, {end}; \
         mad.wide.s32 %o0, %k, {size}, %data; {load} }}",
        random.choose(&["%me", "%lane"]),
    )
}

/// Threads work on a tile of shared memory together, turn by turn.
fn tile(random: &mut Random, threads: u32) -> String {
    let turns = 1 + random.below(4);
    let far = random.choose(&[1, 2, 3, 16, 31]);
    let load =
        random.choose(&["ld.shared.b32 %v, [%k];", "ld.shared.v2.b32 {%v, %x}, [%k]; xor.b32 %v, %v, %x;"]);
    format!(
        "{{ .reg .b32 %n, %k, %v, %x, %s; .reg .pred %g; mov.u32 %n, 0; mov.b32 %s, {{r}}; turn: st.shared.b32 [%mine], %s; bar.sync 0; \
         mad.lo.u32 %k, %n, {far}, %me; add.u32 %k, %k, 1; rem.u32 %k, %k, {threads}; mov.u32 %x, tile; mad.lo.u32 %k, %k, 8, %x; \
         {load} mad.lo.u32 %s, %s, 3, %v; bar.sync 0; add.u32 %n, %n, 1; setp.lt.u32 %g, %n, {turns}; @%g bra turn; mov.b32 {{r}}, %s; }}"
    )
}

/// Lanes of a warp come to the block's barrier at two places.
fn apart(random: &mut Random) -> String {
    let far = 1 + random.below(40);
    format!(
        "{{ .reg .b32 %k, %x; st.shared.b32 [%mine], {{r}}; @{{not}}{{p}} bra other; barrier.sync 0; add.u32 {{r}}, {{r}}, 5; bra both; \
         other: barrier.sync 0; xor.b32 {{r}}, {{r}}, {{r}}; both: add.u32 %k, %me, {far}; rem.u32 %k, %k, {{threads}}; mov.u32 %x, tile; \
         mad.lo.u32 %k, %k, 8, %x; ld.shared.b32 {{r}}, [%k]; bar.sync 0; }}"
    )
}

/// A few statements that lanes do alone.
fn inside(random: &mut Random, manner: Manner) -> String {
    let alone = Place { warp: false, block: false, whole: false, calls: false };
    (0..1 + random.below(3)).map(|_| plain(random, alone, manner) + " ").collect()
}

/// A statement without registers of its own: their names would be these.
fn plain(random: &mut Random, place: Place, manner: Manner) -> String {
    loop {
        let text = statement(random, place, manner);
        if !text.contains(".reg") {
            return text;
        }
    }
}

/// A branch on what is known of a thread's place, or of all threads, and a predicate that only some write.
fn branch(random: &mut Random, manner: Manner) -> String {
    let list = once(&steps(random));
    let last = (0..12).rev().find(|index| list.contains(&format!("%a{index}"))).unwrap_or(0);
    let (test, bound) = (random.choose(&["lt", "ge", "eq", "ne"]), number(random));
    let unset = random.choose(&["", "@%g setp.lt.s32 %q, {r}, {r}; @%g selp.b32 {r}, {r}, {r}, %q;"]);
    let (first, second) = (inside(random, manner), inside(random, manner));
    format!(
        "{{ .reg .b32 %a<12>, %b; .reg .f32 %c; .reg .pred %g, %q; {list} setp.{test}.u32 %g, %a{last}, {bound}; {unset} \
         @%g bra other; {first} bra both; other: {second} both: mov.b32 %b, 0; }}"
    )
}

/// Sums of products of what each lane reads and what all of them read, in a loop or one after the other: more of them than a
/// processor has registers for.
fn sums(random: &mut Random) -> String {
    let lane = random.choose(&["%me", "%lane", "%lane", "%b"]);
    let (width, count) = (random.choose(&[4, 4, 8, 16, 36, 68]), 3 + random.below(6));
    let (from, step) = (1024 + 4 * random.below(64), random.choose(&[4, 32, 128]));
    let mut out = format!(
        "{{ .reg .b64 %o<4>; .reg .b32 %n, %b, %v, %w, %s<9>; .reg .pred %g, %q; shr.u32 %b, %me, 3; \
         mul.wide.u32 %o0, {lane}, {width}; add.s64 %o1, %data, %o0; add.s64 %o2, %data, {from}; mov.u32 %n, 0; mov.b32 %s0, {{r}}; "
    );
    for sum in 1..count {
        let _ = write!(out, "add.u32 %s{sum}, %s0, {}; ", 3 * sum);
    }
    let is_loop = random.one_in(2);
    if is_loop {
        out += "turn: ";
    }
    for round in 0..2 + random.below(3) {
        let kind = random.choose(&["", ".nc"]);
        let _ = write!(out, "ld.global{kind}.b32 %v, [%o1+{}]; ", 4 * round);
        for sum in 0..count {
            let _ = write!(out, "ld.global.b32 %w, [%o2+{}]; ", 4 * (round + 8 * sum));
            out += &match random.below(8) {
                0 => format!("setp.gt.u32 %q, %v, %w; @%q add.u32 %s{sum}, %s{sum}, %w; "),
                1 => format!("xor.b32 %w, %w, %v; add.u32 %s{sum}, %s{sum}, %w; "),
                2 => format!("mad.lo.u32 %s{sum}, %v, %lane, %s{sum}; "),
                _ => format!("mad.lo.u32 %s{sum}, %v, %w, %s{sum}; "),
            };
        }
    }
    if is_loop {
        let turns = 1 + random.below(5);
        let _ = write!(
            out,
            "add.s64 %o1, %o1, {step}; add.s64 %o2, %o2, 4; add.u32 %n, %n, 1; setp.lt.u32 %g, %n, {turns}; @%g bra turn; "
        );
    }
    for sum in 0..count {
        let _ = write!(out, "mad.lo.u32 {{r}}, %s{sum}, {}, {{r}}; ", 2 * sum + 1);
    }
    out + "}"
}

/// A loop that all lanes, or all of a block, go round as often, over statements.
fn turns(random: &mut Random, manner: Manner) -> String {
    let count = random.choose(&[
        "mov.u32 %e, 3;",
        "mov.u32 %e, %ctaid.x; and.b32 %e, %e, 3;",
        "ld.const.b32 %e, [table+{own4}]; and.b32 %e, %e, 7;",
        "ld.global.u32 %e, [%data+{own4}]; and.b32 %e, %e, 3;",
        "and.b32 %e, %lane, 3;",
        "shr.u32 %e, %me, 5;",
    ]);
    let body = inside(random, manner);
    let use_of = random.choose(&[
        "xor.b32 {r}, {r}, %n;",
        "mad.lo.u32 %x, %n, 64, %me; and.b32 %x, %x, 0xfff; mad.wide.u32 %o0, %x, 4, %data; ld.global.b32 {r}, [%o0];",
        "mul.wide.u32 %o0, %n, 4; add.s64 %o0, %o0, %data; ld.global.b32 %x, [%o0+{at4}]; add.u32 {r}, {r}, %x;",
        "mad.wide.u32 %o0, %n, 4, %stack; st.local.b32 [%o0], {r};",
    ]);
    format!(
        "{{ .reg .b32 %n, %e, %x; .reg .b64 %o0; .reg .pred %g; {count} mov.u32 %n, 0; head: setp.ge.u32 %g, %n, %e; @%g bra done; \
         {body} {use_of} add.u32 %n, %n, 1; bra head; done: mov.u32 %x, 0; }}"
    )
}
