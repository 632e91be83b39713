//! That random orders and forced turns are what they say: a kernel whose warps write down when they come by.

use executors::interpreter::Tier;
use executors::{Buffer, Executor, Interpreter, Parameter, Shape};
use jit::Forced;

const WARPS: usize = 8;
const BLOCKS: usize = 24;
const ROUNDS: usize = 4;

/// The first lane of each warp, on one thread: once before a barrier, once behind it, then in each round of a loop.
const KERNEL: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out)
{
.reg .b32 %thread, %block, %who, %lane, %at, %next, %n; .reg .b64 %out, %place; .reg .pred %first, %more;
ld.param.u64 %out, [out];
mov.u32 %thread, %tid.x; mov.u32 %block, %ctaid.x;
shr.u32 %who, %thread, 5; mad.lo.u32 %who, %block, 8, %who;
and.b32 %lane, %thread, 31; setp.eq.u32 %first, %lane, 0;
ld.global.u32 %at, [%out]; add.u32 %next, %at, 1; @%first st.global.u32 [%out], %next; mad.wide.u32 %place, %at, 4, %out; @%first st.global.u32 [%place+4], %who;
bar.sync 0;
ld.global.u32 %at, [%out]; add.u32 %next, %at, 1; @%first st.global.u32 [%out], %next; mad.wide.u32 %place, %at, 4, %out; @%first st.global.u32 [%place+4], %who;
bar.sync 0;
mov.u32 %n, 0;
again: ld.global.u32 %at, [%out]; add.u32 %next, %at, 1; @%first st.global.u32 [%out], %next; mad.wide.u32 %place, %at, 4, %out; @%first st.global.u32 [%place+4], %who;
add.u32 %n, %n, 1; setp.lt.u32 %more, %n, 4; @%more bra again;
ret;
}
";

/// Who came by, in which order: warps, counted through all blocks.
fn comings(executor: &Interpreter) -> Vec<usize> {
    let mut out = Buffer::zeroed(4 * (1 + BLOCKS * WARPS * (2 + ROUNDS)));
    let shape = Shape {
        grid: [BLOCKS as u32, 1, 1],
        block: [32 * WARPS as u32, 1, 1],
        shared: 0,
        cooperative: false,
    };
    executor.run(KERNEL, "k", shape, &mut [Parameter::Memory(&mut out)]).expect("the kernel runs");
    println!("{}", executor.tally);
    let bytes = out.bytes();
    let words =
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")) as usize);
    let list: Vec<usize> = words.skip(1).collect();
    let mut sorted = list.clone();
    sorted.sort_unstable();
    let whole: Vec<usize> = (0..BLOCKS * WARPS).flat_map(|warp| [warp; 2 + ROUNDS]).collect();
    assert_eq!(sorted, whole, "each warp comes by as often");
    list
}

fn forced(forced: Forced) -> Interpreter {
    Interpreter::on(Tier::Forced(forced), 1)
}

/// By block, the part of its comings before the first barrier, that between both, and the loop's.
fn parts(list: &[usize]) -> Vec<[&[usize]; 3]> {
    list.chunks(WARPS * (2 + ROUNDS))
        .map(|block| [&block[..WARPS], &block[WARPS..2 * WARPS], &block[2 * WARPS..]])
        .collect()
}

/// Warps in the order of their numbers, and in the loop each to its end.
#[test]
fn blocks_and_warps_come_in_order_where_nothing_is_forced() {
    for executor in [Interpreter::new(1), Interpreter::on(Tier::Compiled, 1), forced(Forced::default())] {
        let list = comings(&executor);
        for (block, [before, behind, rounds]) in parts(&list).into_iter().enumerate() {
            let warps: Vec<usize> = (block * WARPS..(block + 1) * WARPS).collect();
            assert_eq!((before, behind), (&warps[..], &warps[..]));
            assert_eq!(rounds, warps.iter().flat_map(|warp| [*warp; ROUNDS]).collect::<Vec<_>>());
        }
    }
}

#[test]
fn warps_and_blocks_come_in_random_orders_where_that_is_forced() {
    for executor in
        [Interpreter::in_random_order(1, 3), forced(Forced { order: Some(3), ..Forced::default() })]
    {
        let list = comings(&executor);
        let parts = parts(&list);
        let blocks: Vec<usize> = parts.iter().map(|[before, ..]| before[0] / WARPS).collect();
        assert!(!blocks.is_sorted(), "blocks: {blocks:?}");
        for [before, behind, _] in parts {
            assert!(!before.is_sorted() && !behind.is_sorted(), "{before:?} {behind:?}");
            assert_ne!(before, behind, "another order behind the barrier");
        }
    }
}

#[test]
fn warps_take_turns_in_any_loop_where_that_is_forced() {
    // The number of rounds in a turn is random: of some seeds one has less than all.
    let takes_turns = |seed| {
        let list = comings(&forced(Forced { turns: Some(seed), ..Forced::default() }));
        parts(&list).iter().all(|[_, _, rounds]| rounds[..ROUNDS].iter().any(|warp| *warp != rounds[0]))
    };
    assert!((0..4).any(takes_turns));
}
