//! From the tree to PTX.

use std::collections::HashSet;
use std::fmt::Write;

use crate::program::{Count, Exit, Node, Program, REGISTERS, counts_lanes};
use crate::random::{Random, mix};

/// Bytes of the read-only data.
pub const DATA_BYTES: usize = 16 << 10;
/// Bytes of a thread's own memory, in a row; and how many words of it lie apart.
pub const OWN_BYTES: u32 = 64;
/// Words of a thread's own memory that lie beside those of other threads.
pub const APART_WORDS: u32 = 8;
/// Words that threads share, by kind of operation eight each.
pub const SUM_WORDS: u32 = 64;

/// Deepest nesting.
pub const DEPTH: usize = 6;

impl Program {
    /// The module; its kernel is `random`.
    pub fn text(&self) -> String {
        self.head() + &self.statements() + &self.epilogue()
    }

    /// What stands between the first values and the results.
    fn statements(&self) -> String {
        let (apart, rows) = (self.all_threads() * 4, self.rows() as u32);
        let mut writer = Writer {
            text: String::new(),
            labels: 0,
            depth: 0,
            loops: Vec::new(),
            apart,
            rows,
            keeps_apart: !self.seed.is_multiple_of(4),
        };
        writer.nodes(&self.body);
        writer.text
    }

    /// Everything before the first statement.
    fn head(&self) -> String {
        let mut out = String::from(".version 8.3\n.target sm_90\n.address_size 64\n");
        out += FUNCTIONS;
        let table = (0..64)
            .map(|index| format!("{:#x}", mix(self.seed ^ index) as u32))
            .collect::<Vec<_>>()
            .join(", ");
        let _ = writeln!(out, ".const .align 4 .b32 table[64] = {{{table}}};");
        out += ".visible .entry random(.param .u64 data, .param .u64 out, .param .u64 own, .param .u64 apart, .param .u64 sums)\n{\n";
        for (name, class, count) in REGISTERS {
            let _ = writeln!(out, ".reg .{class} %{name}<{count}>;");
        }
        out += FRAME_REGISTERS;
        let (masks, threads) = (DEPTH + 2, self.threads());
        let _ = writeln!(out, ".reg .b32 %m<{masks}>;");
        let _ = writeln!(out, ".shared .align 16 .b8 tile[{}];", threads * 8);
        let _ = writeln!(out, ".shared .align 16 .b8 counts[{}];", SUM_WORDS * 4);
        let _ = writeln!(out, ".shared .align 16 .b8 seats[{}];", threads * 16);
        out += ".local .align 16 .b8 stack[64];\n";
        out += POSITION;
        let _ = writeln!(out, "{}", own_memory(threads));
        out += &first_values(self);
        out
    }
}

/// Called with two words: one branches, one loops.
const FUNCTIONS: &str = "
.func (.param .b32 res) collatz(.param .b32 a, .param .b32 b)
{
.reg .b32 %a, %b; .reg .pred %p;
ld.param.b32 %a, [a]; ld.param.b32 %b, [b];
and.b32 %b, %b, 1; setp.eq.u32 %p, %b, 0; @%p bra $even;
mad.lo.u32 %a, %a, 3, 1; bra $done;
$even: shr.u32 %a, %a, 1;
$done: st.param.b32 [res], %a; ret;
}
.func (.param .b32 res) power(.param .b32 a, .param .b32 b)
{
.reg .b32 %a, %b, %y; .reg .pred %p;
ld.param.b32 %a, [a]; ld.param.b32 %b, [b];
and.b32 %b, %b, 7; mov.u32 %y, 1;
$again: setp.eq.u32 %p, %b, 0; @%p bra $done;
mul.lo.u32 %y, %y, %a; sub.u32 %b, %b, 1; bra $again;
$done: st.param.b32 [res], %y; ret;
}
";

/// What the frame and single statements use between their instructions.
const FRAME_REGISTERS: &str = ".reg .b32 %t<6>, %me, %gid, %lane, %mine, %seat, %bench, %fuel;
.reg .b64 %u<4>, %data, %out, %out2, %out4, %out16, %own, %apart, %sums, %stack, %sum;
.reg .pred %pt, %pu; .reg .f32 %ft; .reg .f64 %dt; .reg .b16 %ht, %hu;
.reg .b32 %tidx, %tidy, %tidz, %sizex, %sizey, %row, %blockx, %blocky, %blockz, %gridx, %gridy, %line, %block, %before, %tiles, %zero;
.reg .b32 %bound, %lacks, %word, %counter; .reg .b64 %by<8>; .reg .pred %cleared;
";

/// Registers of statements' own, where those are told apart from other statements': by a part of the name.
const OWN: &[(&str, &str)] = &[
    ("%t", ".reg .b32 %t<6>;"),
    ("%u", ".reg .b64 %u<4>;"),
    ("%pt", ".reg .pred %pt;"),
    ("%pu", ".reg .pred %pu;"),
    ("%ft", ".reg .f32 %ft;"),
    ("%dt", ".reg .f64 %dt;"),
    ("%ht", ".reg .b16 %ht, %hu;"),
];

/// A statement with the registers between its instructions declared around it: there each has one meaning, of which a compiler
/// makes more.
fn alone(text: &str) -> String {
    let named = |name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let next = text[at + name.len()..].chars().next();
            if name.len() == 2 {
                next.is_some_and(|it| it.is_ascii_digit())
            } else {
                !next.is_some_and(|it| it.is_alphanumeric())
            }
        })
    };
    let own: Vec<&str> =
        OWN.iter().filter(|(name, _)| named(name)).map(|(_, declaration)| *declaration).collect();
    if own.is_empty() { text.to_owned() } else { format!("{{ {} {text} }}", own.join(" ")) }
}

/// Number of the thread in its block and in the grid, its lane, and the lanes of its warp.
const POSITION: &str = "mov.u32 %tidz, %tid.z; mov.u32 %sizey, %ntid.y; mov.u32 %tidy, %tid.y; mad.lo.u32 %row, %tidz, %sizey, %tidy;
mov.u32 %sizex, %ntid.x; mov.u32 %tidx, %tid.x; mad.lo.u32 %me, %row, %sizex, %tidx;
mov.u32 %blockz, %ctaid.z; mov.u32 %gridy, %nctaid.y; mov.u32 %blocky, %ctaid.y; mad.lo.u32 %line, %blockz, %gridy, %blocky;
mov.u32 %gridx, %nctaid.x; mov.u32 %blockx, %ctaid.x; mad.lo.u32 %block, %line, %gridx, %blockx;
and.b32 %lane, %me, 31;
ld.param.u64 %data, [data]; ld.param.u64 %by4, [out]; ld.param.u64 %by5, [own]; ld.param.u64 %by6, [apart]; ld.param.u64 %sums, [sums];
";

/// Addresses, shared words at zero, and the warp's mask.
fn own_memory(threads: u32) -> String {
    let mut out = format!("mad.lo.u32 %gid, %block, {threads}, %me;\n");
    out += "mul.wide.u32 %by0, %gid, 16; add.u64 %out16, %by4, %by0; mul.wide.u32 %by1, %gid, 4; add.u64 %out4, %by4, %by1; mul.wide.u32 %by2, %gid, 2; add.u64 %out2, %by4, %by2;
mul.wide.u32 %by3, %gid, 8; add.u64 %out, %by4, %by3; mul.wide.u32 %by7, %gid, 64; add.u64 %own, %by5, %by7;
add.u64 %apart, %by6, %by1; mov.u64 %stack, stack;
mov.u32 %tiles, tile; mad.lo.u32 %mine, %me, 8, %tiles; st.shared.v2.b32 [%mine], {%me, %gid};
sub.u32 %before, %me, %lane; mov.u32 %zero, seats; mad.lo.u32 %bench, %before, 16, %zero; mad.lo.u32 %seat, %me, 16, %zero;
st.shared.v4.b32 [%seat], {%me, %gid, %lane, %me};
st.local.v4.b32 [%stack], {%me, %gid, %lane, %me}; st.local.v4.b32 [%stack+16], {%me, %gid, %lane, %me};
st.local.v4.b32 [%stack+32], {%me, %gid, %lane, %me}; st.local.v4.b32 [%stack+48], {%me, %gid, %lane, %me};
";
    let _ = writeln!(
        out,
        "mov.u32 %counter, %me;\n$clear: setp.ge.u32 %cleared, %counter, {SUM_WORDS}; @%cleared bra $cleared; mov.u32 %word, counts; \
         mad.lo.u32 %word, %counter, 4, %word; st.shared.b32 [%word], 0; add.u32 %counter, %counter, {threads}; bra $clear;\n\
         $cleared: bar.sync 0;"
    );
    // Of the last warp only so many lanes exist.
    let _ = write!(
        out,
        "sub.u32 %t0, {threads}, %before; min.u32 %bound, %t0, 32; sub.u32 %lacks, 32, %bound; shr.u32 %m0, 0xffffffff, %lacks;"
    );
    out
}

/// Every register that is named has a value: some the same in all threads, some by the thread's number, some from the data.
fn first_values(program: &Program) -> String {
    let mut random = Random(program.seed ^ 0x5eed);
    let mut out = String::from(
        "{ .reg .b64 %far<3>, %from<3>; mul.wide.u32 %far0, %me, 8; add.u64 %from0, %data, %far0; mul.wide.u32 %far1, %me, 4; \
         add.u64 %from1, %data, %far1; mul.wide.u32 %far2, %me, 2; add.u64 %from2, %data, %far2;\n",
    );
    for (class, index) in &program.registers {
        let (at, constant) = (random.below(DATA_BYTES / 8 - 300) * 8, random.word());
        let register = format!("%{class}{index}");
        let few = constant as u32;
        let line = match (*class, random.below(4)) {
            ("r" | "x" | "y", 0) => format!("mov.b32 {register}, {few:#x};"),
            ("r" | "x" | "y", 1) => format!("mov.b32 {register}, %gid;"),
            ("r" | "x" | "y", 2) => format!("mad.lo.u32 {register}, %gid, {few:#x}, {:#x};", constant >> 32),
            ("r" | "x" | "y", _) => format!("ld.global.b32 {register}, [%from1+{at}];"),
            ("w", 0) => format!("mov.b64 {register}, {constant:#x};"),
            ("w", 1) => format!("cvt.u64.u32 {register}, %me;"),
            ("w", 2) => format!("mul.wide.u32 {register}, %gid, {few:#x};"),
            ("w", _) => format!("ld.global.b64 {register}, [%from0+{at}];"),
            ("h" | "e", _) => format!("ld.global.b16 {register}, [%from2+{at}];"),
            ("f", 0) => format!("cvt.rn.f32.u32 {register}, %me;"),
            ("f", _) => format!("ld.global.f32 {register}, [%from1+{at}];"),
            ("d", 0) => format!("cvt.rn.f64.u32 {register}, %gid;"),
            ("d", _) => format!("ld.global.f64 {register}, [%from0+{at}];"),
            (_, 0) => format!("and.b32 %t0, %gid, {}; setp.ne.u32 {register}, %t0, 0;", 1 << (few % 7)),
            _ => format!("ld.global.b32 %t0, [%from1+{at}]; setp.lt.s32 {register}, %t0, 0;"),
        };
        let _ = writeln!(out, "{line}");
    }
    out + "}\n"
}

/// Bytes of a class's registers; predicates are stored as words.
pub fn class_bytes(class: &str) -> usize {
    match class {
        "w" | "d" => 8,
        "h" | "e" => 2,
        _ => 4,
    }
}

impl Program {
    /// The registers that its statements name.
    pub fn named(&self) -> Vec<(&'static str, usize)> {
        let text = self.statements();
        let words: HashSet<&str> = text.split(|it: char| !(it.is_alphanumeric() || it == '%')).collect();
        let named = |class: &str, index: usize| words.contains(format!("%{class}{index}").as_str());
        REGISTERS
            .iter()
            .flat_map(|(class, _, count)| (0..*count).map(move |index| (*class, index)))
            // The first one is what a thread writes that ends early.
            .filter(|(class, index)| (*class, *index) == ("w", 0) || named(class, *index))
            .collect()
    }

    /// Bytes of the results: a row of eight bytes per thread for each register, one for the shared words, and two of sixteen bytes
    /// that statements write.
    pub fn result_bytes(&self) -> usize {
        self.rows() + 2 * 16 * self.all_threads() as usize
    }

    /// Where the rows of sixteen bytes begin.
    fn rows(&self) -> usize {
        ((self.registers.len() + 1) * 8 * self.all_threads() as usize).next_multiple_of(16)
    }

    /// Stores all registers, each in a row of its own, and the shared words.
    fn epilogue(&self) -> String {
        let row = 8 * self.all_threads() as usize;
        let mut out = String::new();
        for (place, (class, index)) in self.registers.iter().enumerate() {
            let (at, register) = (place * row, format!("%{class}{index}"));
            let _ = match (class_bytes(class), *class) {
                (_, "p") => writeln!(out, "selp.b32 %t0, 1, 0, {register}; st.global.b32 [%out4+{at}], %t0;"),
                (8, _) => writeln!(out, "st.global.b64 [%out+{at}], {register};"),
                (4, _) => writeln!(out, "st.global.b32 [%out4+{at}], {register};"),
                _ => writeln!(out, "st.global.b16 [%out2+{at}], {register};"),
            };
        }
        let at = self.registers.len() * row;
        let _ = writeln!(
            out,
            "bar.sync 0; and.b32 %t0, %me, {}; mov.u32 %t1, counts; mad.lo.u32 %t1, %t0, 4, %t1; ld.shared.b32 %t0, [%t1]; \
             st.global.b32 [%out4+{at}], %t0;",
            SUM_WORDS - 1
        );
        out + "ret;\n}\n"
    }
}

/// In `%ft`, with one NaN for all.
pub fn plain_single(register: &str) -> String {
    format!("testp.notanumber.f32 %pt, {register}; selp.f32 %ft, 0f7FFFFFFF, {register}, %pt;")
}

/// In `%dt`.
pub fn plain_double(register: &str) -> String {
    format!("testp.notanumber.f64 %pt, {register}; selp.f64 %dt, 0d7FFFFFFFFFFFFFFF, {register}, %pt;")
}

/// In `%ht`.
pub fn plain_half(register: &str) -> String {
    format!("setp.nan.f16 %pt, {register}, {register}; selp.b16 %ht, 0x7fff, {register}, %pt;")
}

/// In `%t0`, of `bf16`.
pub fn plain_pair_of_brains(register: &str) -> String {
    plain_pair(register).replace("setp.nan.f16", "setp.nan.bf16")
}

/// In `%t0`.
pub fn plain_pair(register: &str) -> String {
    format!(
        "mov.b32 {{%ht, %hu}}, {register}; setp.nan.f16 %pt, %ht, %ht; setp.nan.f16 %pu, %hu, %hu; \
         selp.b16 %ht, 0x7fff, %ht, %pt; selp.b16 %hu, 0x7fff, %hu, %pu; mov.b32 %t0, {{%ht, %hu}};"
    )
}

/// Writes statements.
struct Writer {
    text: String,
    labels: usize,
    /// Which register holds the mask.
    depth: usize,
    /// Labels of the next round and of the end, of each loop around.
    loops: Vec<(usize, usize)>,
    /// Bytes between the words of a thread that lie apart.
    apart: u32,
    /// Where the rows of sixteen bytes begin.
    rows: u32,
    /// Whether statements have registers of their own between their instructions.
    keeps_apart: bool,
}

impl Writer {
    fn line(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    fn label(&mut self) -> usize {
        self.labels += 1;
        self.labels
    }

    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Line(text) => {
                let text = text.replace("%mask", &format!("%m{}", self.depth));
                let text = (0..APART_WORDS).fold(text, |text, index| {
                    text.replace(&format!("APART{index}"), &(index * self.apart).to_string())
                });
                let text = (0..2).fold(text, |text, index| {
                    text.replace(&format!("ROW{index}"), &(self.rows + index * 4 * self.apart).to_string())
                });
                self.line(&if self.keeps_apart { alone(&text) } else { text });
            }
            Node::If { predicate, then, otherwise } => self.branch(*predicate, then, otherwise),
            Node::Loop { count, late, body } => self.round(*count, *late, body),
            Node::Leave { predicate, again } => {
                if let Some((next, end)) = self.loops.last() {
                    let target = if *again { next } else { end };
                    let text = format!("@%p{predicate} bra $l{target};");
                    self.line(&text);
                }
            }
            Node::Maze { fuel, blocks } => self.maze(*fuel, blocks),
            Node::End { predicate } => self.end(*predicate),
        }
    }

    fn branch(&mut self, predicate: usize, then: &[Node], otherwise: &[Node]) {
        let (other, end) = (self.label(), self.label());
        let (outer, inner) = (self.depth, self.depth + 1);
        let counts = counts_lanes(then) || counts_lanes(otherwise);
        if counts {
            self.line(&format!("vote.sync.ballot.b32 %m{inner}, %p{predicate}, %m{outer};"));
        }
        self.line(&format!("@!%p{predicate} bra $l{other};"));
        self.depth = inner;
        self.nodes(then);
        if !otherwise.is_empty() {
            self.line(&format!("bra $l{end};"));
        }
        self.line(&format!("$l{other}:"));
        if counts && !otherwise.is_empty() {
            self.line(&format!("not.b32 %m{inner}, %m{inner}; and.b32 %m{inner}, %m{inner}, %m{outer};"));
        }
        self.nodes(otherwise);
        self.depth = outer;
        if !otherwise.is_empty() {
            self.line(&format!("$l{end}:"));
        }
    }

    fn round(&mut self, count: Count, late: bool, body: &[Node]) {
        let (head, next, end) = (self.label(), self.label(), self.label());
        let (outer, inner) = (self.depth, self.depth + 1);
        let counts = counts_lanes(body);
        // A counter of its own: in loops that all lanes go round as often it is the same in all.
        self.line(&format!("{{ .reg .b32 %i{inner}; .reg .pred %pt;"));
        match count {
            Count::Fixed(rounds) => self.line(&format!("mov.u32 %i{inner}, {rounds};")),
            Count::Lane(register) => self.line(&format!("and.b32 %i{inner}, %r{register}, 7;")),
        }
        if counts {
            self.line(&format!("mov.b32 %m{inner}, %m{outer};"));
        }
        self.line(&format!("$l{head}:"));
        let test = |writer: &mut Writer| {
            writer.line(&format!("setp.ne.u32 %pt, %i{inner}, 0;"));
            if counts {
                writer.line(&format!("vote.sync.ballot.b32 %m{inner}, %pt, %m{inner};"));
            }
        };
        if !late {
            test(self);
            self.line(&format!("@!%pt bra $l{end};"));
        }
        self.depth = inner;
        self.loops.push((next, end));
        self.nodes(body);
        self.loops.pop();
        self.depth = outer;
        self.line(&format!("$l{next}:"));
        if late {
            test(self);
            self.line(&format!("sub.u32 %i{inner}, %i{inner}, 1; @%pt bra $l{head};"));
        } else {
            self.line(&format!("sub.u32 %i{inner}, %i{inner}, 1; bra $l{head};"));
        }
        self.line(&format!("}}\n$l{end}:"));
    }

    fn maze(&mut self, fuel: u32, blocks: &[(Vec<Node>, Exit)]) {
        let end = self.label();
        let first = self.labels + 1;
        self.labels += blocks.len();
        let place = |block: usize| first + block % blocks.len();
        self.line(&format!("mov.u32 %fuel, {fuel};"));
        for (index, (body, exit)) in blocks.iter().enumerate() {
            self.line(&format!("$l{}:", place(index)));
            self.nodes(body);
            self.line(&format!("sub.u32 %fuel, %fuel, 1; setp.eq.u32 %pt, %fuel, 0; @%pt bra $l{end};"));
            match exit {
                Exit::Branch(predicate, yes, no) => {
                    let (yes, no) = (place(*yes), place(*no));
                    self.line(&format!("@%p{predicate} bra $l{yes}; bra $l{no};"));
                }
                Exit::Table(register, targets) => {
                    let name = self.label();
                    let list: Vec<String> =
                        targets.iter().map(|target| format!("$l{}", place(*target))).collect();
                    self.line(&format!("$l{name}: .branchtargets {};", list.join(", ")));
                    self.line(&format!("and.b32 %t0, %r{register}, 3; brx.idx %t0, $l{name};"));
                }
            }
        }
        self.line(&format!("$l{end}:"));
    }

    fn end(&mut self, predicate: usize) {
        let on = self.label();
        let mask = self.depth;
        self.line(&format!(
            "not.pred %pt, %p{predicate}; vote.sync.ballot.b32 %m{mask}, %pt, %m{mask}; @%pt bra $l{on}; st.global.b64 [%out], %w0; exit; $l{on}:"
        ));
    }
}
