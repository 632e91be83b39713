//! What checks find in kernels, and what they do not find in kernels that are right.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use checks::{Checker, Kind};
use interpreter::{Environment, Image, Launch, Pool};

/// A kernel's text and how it is launched.
struct Case<'a> {
    target: &'a str,
    /// In front of the kernel.
    variables: &'a str,
    body: &'a str,
    grid: [u32; 3],
    block: [u32; 3],
    dynamic_shared: u32,
}

/// A body for a block of 64 threads of capability 6.1.
fn case(body: &str) -> Case<'_> {
    Case { target: "sm_61", variables: "", body, grid: [1; 3], block: [64, 1, 1], dynamic_shared: 0 }
}

/// Address of 256 bytes of memory in %rd1, of this thread's word in %rd2, its number in %r1, four times that in %r2.
const PROLOGUE: &str = "
    .reg .b32 %r<20>; .reg .b64 %rd<10>; .reg .pred %p<5>; .reg .b16 %h<3>;
    ld.param.u64 %rd1, [memory];
    mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; cvt.u64.u32 %rd3, %r2; add.u64 %rd2, %rd1, %rd3;
";

/// Bytes behind the kernel's memory where variables and the heap lie.
const BEHIND: u64 = 16 << 20;

impl Case<'_> {
    /// What the checks say, finding by finding, and how often.
    fn findings(&self) -> Vec<(String, u64)> {
        let Case { target, variables, body, .. } = self;
        let text = format!(
            ".version 8.0\n.target {target}\n.address_size 64\n{variables}\n.visible .entry k(.param .u64 memory) {{ {PROLOGUE} {body} ret; }}"
        );
        let module = Arc::new(ptx::Module::parse(text).expect("PTX of this test"));
        let mut memory = vec![0u128; 16 + BEHIND as usize / 16];
        let start = memory.as_mut_ptr().expose_provenance() as u64;
        let window = start..start + 256 + BEHIND;
        let told: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
        let listener = told.clone();
        let tell = move |text: &str, times| {
            let mut told = listener.lock().expect("no panic");
            told.retain(|(known, _)| known != text);
            told.push((text.to_owned(), times));
        };
        let mapped = window.clone();
        let is_mapped =
            move |address, size| mapped.contains(&address) && mapped.contains(&(address + size - 1));
        let all = "memory,race,init".parse().expect("names of checks");
        let checker = Checker::new(all, Box::new(is_mapped), Box::new(tell));
        checker.allocated(start, 256, Kind::Device);
        let (mut next, mut places) = (start + 4096, Vec::new());
        let image = Image::load(module, &mut |size, align| {
            let place = next.next_multiple_of(align.max(64));
            next = place + size + 64;
            places.push(place);
            Some(place)
        });
        let image = image.expect("variables fit").watched();
        let variables = image.module().variables().iter().filter_map(|variable| {
            let (start, length) = image.global(&variable.name)?;
            Some((variable.name.to_string(), start, length))
        });
        checker.placed(start + 4096, variables);
        let kernel = image.kernel("k").unwrap_or_else(|refusal| panic!("{refusal}"));
        let environment =
            Environment { window, print: &|_| {}, cancel: &AtomicBool::new(false), watch: Some(&checker) };
        let launch = Launch {
            grid: self.grid,
            block: self.block,
            dynamic_shared: self.dynamic_shared,
            parameters: &start.to_le_bytes(),
            cooperative: false,
        };
        // A fault is what some of these kernels deserve.
        let _ = Pool::new(1).run(&kernel, &launch, &environment);
        checker.settle();
        let told = told.lock().expect("no panic").clone();
        let at = format!("{start:#x}");
        told.into_iter().map(|(text, times)| (text.replace(&at, "MEMORY"), times)).collect()
    }

    /// There must be one finding that says all of this.
    fn finds(&self, times: u64, parts: &[&str]) {
        let findings = self.findings();
        let [(text, seen)] = &findings[..] else { panic!("not one finding: {findings:#?}") };
        parts.iter().for_each(|part| assert!(text.contains(part), "no `{part}` in: {text}"));
        assert_eq!(*seen, times, "{text}");
    }

    fn is_clean(&self) {
        let findings = self.findings();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

const WORDS: &str = ".shared .align 4 .b32 words[64];";

// ----- memory

#[test]
fn every_coordinate_of_a_wild_store_is_told() {
    let body = "mov.u32 %r3, %ctaid.y; setp.eq.u32 %p1, %r3, 2; mov.u32 %r4, %tid.y; setp.eq.u32 %p2, %r4, 1;
        and.pred %p1, %p1, %p2; @%p1 st.global.u16 [%rd2+254], %h1;";
    let case = Case { grid: [1, 3, 1], block: [1, 2, 1], ..case(body) };
    case.is_clean();
    let body = body.replace("+254", "+255");
    let case = Case { body: &body, ..case };
    let findings = case.findings();
    let [(outside, 1), (misaligned, 1)] = &findings[..] else { panic!("{findings:#?}") };
    let (outside, misaligned) =
        if outside.contains("multiple") { (misaligned, outside) } else { (outside, misaligned) };
    for part in [
        "write of 2 bytes",
        "kernel `k`, block (0, 2, 0), thread (0, 1, 0)",
        "just past the end of an allocation",
        "`@%p1 st.global.u16 [%rd2+255], %h1;` (PTX line 10)",
        "256 bytes of device memory at MEMORY",
    ] {
        assert!(outside.contains(part), "no `{part}` in {outside}");
    }
    assert!(misaligned.contains("which is no multiple of 2"), "{misaligned}");
}

#[test]
fn a_variable_ends_where_it_ends() {
    let variables = ".global .align 4 .b32 table[4] = {1, 2, 3, 4}; .const .align 4 .b32 fixed[2];";
    let body = "and.b32 %r3, %r1, 3; shl.b32 %r3, %r3, 2; cvt.u64.u32 %rd4, %r3; mov.u64 %rd5, table;
        add.u64 %rd5, %rd5, %rd4; ld.global.u32 %r4, [%rd5]; ld.const.u32 %r5, [fixed+4];";
    Case { variables, ..case(body) }.is_clean();
    let body = body.replace("[%rd5]", "[%rd5+4]");
    Case { variables, ..case(&body) }
        .finds(16, &["just past the end", "16 bytes of variable `table`", "thread (3, 0, 0)"]);
}

#[test]
fn shared_memory_ends_with_its_last_byte() {
    let dynamic = ".extern .shared .align 16 .b8 more[];";
    let body = "mov.u32 %r3, words; add.u32 %r3, %r3, %r2; st.shared.u32 [%r3], %r1; mov.u32 %r4, more; mov.u32 %r5, 7; st.shared.u8 [%r4+9], %r5;";
    let both = [WORDS, dynamic].concat();
    Case { variables: &both, dynamic_shared: 10, ..case(body) }.is_clean();
    Case { variables: &both, dynamic_shared: 9, ..case(body) }.finds(
        32,
        &[
            "write of 1 byte at byte 265 of shared memory",
            "256 bytes of static shared memory, and 9 of dynamic",
        ],
    );
    let beyond = "mov.u32 %r3, words; add.u32 %r3, %r3, %r2; setp.eq.u32 %p1, %r1, 63; @%p1 ld.shared.u32 %r4, [%r3+4];";
    Case { variables: WORDS, ..case(beyond) }
        .finds(1, &["read of 4 bytes at byte 256 of shared memory", "thread (63, 0, 0)"]);
}

#[test]
fn local_memory_ends_with_the_frame() {
    let body = "{ .local .align 4 .b8 own[16]; mov.u64 %rd4, own; cvta.local.u64 %rd4, %rd4; st.u32 [%rd4+12], %r1; }";
    case(body).is_clean();
    let body = body.replace("+12", "+16");
    case(&body).finds(
        64,
        &[
            "write of 4 bytes",
            "0 bytes past the end of the thread's local memory, of which 16 bytes are in use",
        ],
    );
}

#[test]
fn blocks_of_malloc_are_allocations() {
    let variables = ".extern .func (.param .b64 r) malloc(.param .b64 n); .extern .func free(.param .b64 p);";
    let taken = "{ .param .b64 n; .param .b64 r; st.param.b64 [n], 12; call (r), malloc, (n); ld.param.b64 %rd4, [r]; }
        st.u32 [%rd4+8], %r1; ld.u32 %r3, [%rd4+8];";
    let given = "{ .param .b64 p; st.param.b64 [p], %rd4; call free, (p); }";
    Case { variables, ..case(&[taken, given].concat()) }.is_clean();
    let beyond = "ld.u32 %r3, [%rd4+12];";
    Case { variables, block: [1; 3], ..case(&[taken, beyond].concat()) }
        .finds(1, &["just past the end of an allocation", "12 bytes of device memory of `malloc`"]);
    let after = "ld.u32 %r3, [%rd4];";
    Case { variables, block: [1; 3], ..case(&[taken, given, after].concat()) }
        .finds(1, &["in freed memory", "12 bytes of device memory of `malloc`"]);
}

// ----- race

/// A reversal through shared memory.
fn reversal(between: &str) -> String {
    format!(
        "mov.u32 %r3, words; add.u32 %r4, %r3, %r2; st.shared.u32 [%r4], %r1; {between}
        sub.u32 %r5, 63, %r1; shl.b32 %r5, %r5, 2; add.u32 %r5, %r3, %r5; ld.shared.u32 %r6, [%r5];"
    )
}

#[test]
fn what_a_barrier_orders_is_no_race_and_what_none_orders_is() {
    let body = reversal("bar.sync 0;");
    Case { variables: WORDS, ..case(&body) }.is_clean();
    // The second warp runs behind the first one, which finds nothing in its words; the check is init's.
    let body = reversal("");
    let findings = Case { variables: WORDS, ..case(&body) }.findings();
    let race = findings.iter().find(|(text, _)| text.starts_with("race"));
    let (text, _) = race.unwrap_or_else(|| panic!("{findings:#?}"));
    assert!(text.contains("which another thread has"), "{text}");
    assert!(
        findings
            .iter()
            .any(|(text, _)| text.starts_with("init: read of 4 bytes at byte 252 of shared memory"))
    );
}

#[test]
fn a_write_in_the_next_round_of_a_loop_races_with_reads_of_the_last() {
    let round = |end: &str| {
        format!(
            "mov.u32 %r7, 0; AGAIN: {} {end} add.u32 %r7, %r7, 1; setp.lt.u32 %p1, %r7, 3; @%p1 bra AGAIN;",
            reversal("add.u32 %r1, %r1, 1; bar.sync 0; sub.u32 %r1, %r1, 1; add.u32 %r8, %r7, %r8;")
        )
        .replace("st.shared.u32 [%r4], %r1", "add.u32 %r9, %r1, %r7; st.shared.u32 [%r4], %r9")
    };
    let body = round("bar.sync 0;");
    Case { variables: WORDS, ..case(&body) }.is_clean();
    let body = round("");
    let findings = Case { variables: WORDS, ..case(&body) }.findings();
    let is_behind_read = |(text, times): &(String, u64)| {
        let parts =
            ["race: write of 4 bytes", "which another thread has read", "at `ld.shared.u32 %r6, [%r5];`"];
        parts.iter().all(|part| text.contains(part)) && *times == 64
    };
    assert!(findings.iter().any(is_behind_read), "{findings:#?}");
}

#[test]
fn named_barriers_order_those_that_take_part() {
    let body = "setp.lt.u32 %p1, %r1, 32; mov.u32 %r3, words; @%p1 bra PRODUCE;
        bar.sync 1, 64; ld.shared.u32 %r6, [%r3+4]; ret;
        PRODUCE: add.u32 %r4, %r3, %r2; st.shared.u32 [%r4], %r1; bar.arrive 1, 64;";
    Case { variables: WORDS, ..case(body) }.is_clean();
    // The producer goes on writing behind its arrival.
    let body =
        body.replace("bar.arrive 1, 64;", "bar.arrive 1, 64; add.u32 %r1, %r1, 7; st.shared.u32 [%r4], %r1;");
    Case { variables: WORDS, ..case(&body) }
        .finds(1, &["race: read of 4 bytes at byte 4", "which another thread has written"]);
}

#[test]
fn threads_that_have_ended_count_as_arrived() {
    // The combination at the end of ggml's flash attention: the second warp leaves its part and ends.
    let body = "setp.lt.u32 %p1, %r1, 32; mov.u32 %r3, words; add.u32 %r4, %r3, %r2; @%p1 bra FIRST;
        st.shared.u32 [%r4], %r1; ret;
        FIRST: bar.sync 0; ld.shared.u32 %r6, [%r4+128];";
    Case { variables: WORDS, ..case(body) }.is_clean();
}

#[test]
fn threads_that_write_the_same_do_not_race() {
    let body = "mov.u32 %r3, words; mov.u32 %r4, 1; st.shared.u32 [%r3], %r4; ld.shared.u32 %r5, [%r3];";
    Case { variables: WORDS, ..case(body) }.finds(1, &["race"]);
    // All of one warp, or with a barrier before the reads.
    Case { variables: WORDS, block: [32, 1, 1], ..case(body) }.is_clean();
    let body = body.replace("ld.shared", "bar.sync 0; ld.shared");
    Case { variables: WORDS, ..case(&body) }.is_clean();
}

#[test]
fn lanes_of_one_instruction_that_write_different_values_race() {
    let body = "mov.u32 %r3, words; st.shared.u32 [%r3], %r1;";
    Case { variables: WORDS, block: [32, 1, 1], ..case(body) }
        .finds(31, &["another lane of the warp writes something else to at once"]);
}

#[test]
fn atomics_and_volatile_accesses_do_not_race_with_each_other() {
    let zero = "mov.u32 %r3, words; mov.u32 %r4, 0; st.shared.u32 [%r3], %r4; bar.sync 0;";
    let add = "atom.shared.add.u32 %r5, [%r3], 1;";
    Case { variables: WORDS, ..case(&[zero, add].concat()) }.is_clean();
    let plain = "ld.shared.u32 %r6, [%r3];";
    Case { variables: WORDS, ..case(&[zero, add, plain].concat()) }
        .finds(1, &["race: atomic operation", "which another thread has read"]);
    let body = "mov.u32 %r3, words; st.volatile.shared.u32 [%r3], %r1; ld.volatile.shared.u32 %r6, [%r3];";
    Case { variables: WORDS, ..case(body) }.is_clean();
}

#[test]
fn a_flag_orders_what_lies_before_it() {
    let body = "setp.lt.u32 %p1, %r1, 32; mov.u32 %r3, words; mov.u32 %r9, 0; atom.shared.exch.b32 %r8, [%r3+252], %r9; bar.sync 0; @%p1 bra PRODUCE;
        WAIT: ld.acquire.cta.shared.u32 %r5, [%r3+252]; setp.eq.u32 %p2, %r5, 0; @%p2 bra WAIT;
        ld.shared.u32 %r6, [%r3+4]; ret;
        PRODUCE: add.u32 %r4, %r3, %r2; st.shared.u32 [%r4], %r1; bar.warp.sync -1; mov.u32 %r7, 1; st.release.cta.shared.u32 [%r3+252], %r7;";
    let findings = Case { target: "sm_70", variables: WORDS, ..case(body) }.findings();
    let races: Vec<_> = findings.iter().filter(|(text, _)| text.starts_with("race")).collect();
    assert!(races.is_empty(), "{races:#?}");
}

#[test]
fn lanes_need_to_wait_for_each_other_from_capability_7_on() {
    let exchange = |between: &str| {
        format!(
            "mov.u32 %r3, words; add.u32 %r4, %r3, %r2; st.shared.u32 [%r4], %r1; {between}
            xor.b32 %r5, %r2, 4; add.u32 %r5, %r3, %r5; ld.shared.u32 %r6, [%r5];"
        )
    };
    let run = |target: &'static str, between: &str| {
        let body = exchange(between);
        Case { target, variables: WORDS, ..case(&body) }.findings()
    };
    assert_eq!(run("sm_61", ""), []);
    assert_eq!(run("sm_70", "bar.warp.sync -1;"), []);
    assert_eq!(run("sm_70", "shfl.sync.idx.b32 %r9, %r1, 0, 31, -1;"), []);
    let findings = run("sm_70", "");
    let [(text, 64)] = &findings[..] else { panic!("{findings:#?}") };
    assert!(
        text.starts_with("race: read of 4 bytes at byte 4 of shared memory")
            && text.contains("other: thread (1, 0, 0)"),
        "{text}"
    );
    // A barrier of some lanes orders those.
    let pairs = "mov.u32 %r10, 3; and.b32 %r11, %r1, 30; shl.b32 %r10, %r10, %r11; bar.warp.sync %r10;";
    assert_eq!(run("sm_70", pairs), []);
}

#[test]
fn asynchronous_copies_are_writes_of_those_that_ask_for_them() {
    let copy = "mov.u32 %r3, words; add.u32 %r4, %r3, %r2; cp.async.ca.shared.global [%r4], [%rd2], 4; cp.async.wait_all;";
    let read = "xor.b32 %r5, %r2, 128; add.u32 %r5, %r3, %r5; ld.shared.u32 %r6, [%r5];";
    let written = "st.global.u32 [%rd2], %r1;";
    let run = |parts: &[&str]| Case { target: "sm_80", variables: WORDS, ..case(&parts.concat()) }.findings();
    assert_eq!(run(&[written, copy, "bar.sync 0;", read]), []);
    let findings = run(&[written, copy, read]);
    assert!(findings.iter().any(|(text, _)| text.starts_with("race")), "{findings:#?}");
    let findings = run(&[copy, "bar.sync 0;", read]);
    let [(text, 64)] = &findings[..] else { panic!("{findings:#?}") };
    assert!(text.starts_with("init: read of 4 bytes at MEMORY, whose byte 0"), "{text}");
}

#[test]
fn blocks_do_not_race_with_each_other_in_their_shared_memory() {
    let body = "mov.u32 %r3, words; mov.u32 %r5, %ctaid.x; add.u32 %r5, %r5, %r1; add.u32 %r4, %r3, %r2; st.shared.u32 [%r4], %r5; ld.shared.u32 %r6, [%r4];";
    Case { variables: WORDS, grid: [5, 1, 1], ..case(body) }.is_clean();
}

// ----- init

#[test]
fn shared_memory_is_unwritten_at_the_beginning_of_each_block() {
    let body =
        "mov.u32 %r3, words; add.u32 %r4, %r3, %r2; ld.shared.u32 %r6, [%r4]; st.shared.u32 [%r4], %r6;";
    Case { variables: WORDS, grid: [3, 1, 1], ..case(body) }.finds(
        192,
        &[
            "init: read of 4 bytes at byte 0 of shared memory, whose byte 0 nothing has written",
            "block (0, 0, 0), thread (0, 0, 0)",
        ],
    );
}

#[test]
fn each_byte_counts() {
    let body = "st.global.u16 [%rd2], %h1; st.global.u8 [%rd2+2], %r1; ld.global.u16 %h2, [%rd2];";
    case(body).is_clean();
    let body = [body, "ld.global.u32 %r5, [%rd2];"].concat();
    case(&body).finds(
        64,
        &[
            "init: read of 4 bytes at MEMORY, whose byte 3 nothing has written",
            "`ld.global.u32 %r5, [%rd2];`",
        ],
    );
}

#[test]
fn atomics_read_what_they_change() {
    case("red.global.add.u32 [%rd1], 1;").finds(1, &["init: atomic operation of 4 bytes at MEMORY"]);
}
