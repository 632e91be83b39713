//! Damaged text: truncated, with bytes changed, pieces taken out, doubled or moved. It gives an error with a place in the text or
//! a module, never a panic; and what parses is the same after printing.

use ptx::isa::{Op, examples};
use ptx::{Module, Space, Variable};

/// Where the stream of mutations begins; a failure names the round.
const SEED: u64 = 0x5eed_0b5c_0417_1e5d;
const ROUNDS: usize = 6000;

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Pieces that are likely to lead somewhere.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ";",
    ":",
    ".",
    "@",
    "!",
    "|",
    "%",
    "_",
    "<",
    ">",
    "=",
    "\"",
    "/*",
    "//",
    "-",
    "+",
    "0x",
    "0f",
    ".reg .b32 x;",
    ".param",
    ".v4",
    ".align 3",
    "4294967296",
    "18446744073709551616",
    "é",
    "\0",
    "%r1",
    ".u32",
    "$L",
    "_|",
    ".b0",
    ".loc",
    ".callprototype",
    ".branchtargets",
    ".pragma \"x\";",
    ".extern",
    "ret;",
    "bra $L;",
    "a: a:",
];

fn mutate(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..1 + random.below(6) {
        let at = random.below(bytes.len());
        let span = random.below(40).min(bytes.len() - at);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes[at] = random.below(256) as u8,
            2 => drop(bytes.drain(at..at + span)),
            3 => {
                let piece = bytes[at..at + span].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                drop(bytes.splice(at..at + span.min(3), piece));
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                drop(bytes.splice(at..at, piece));
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything that can be asked of a text; whether all of it was right.
fn exercise(text: &str) -> bool {
    let module = match Module::parse(text) {
        Ok(module) => module,
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1 && !error.what.is_empty(), "{error:?}");
            return false;
        }
    };
    let mut sound = true;
    for variable in module.variables() {
        sound &= module.initial_elements(variable).is_ok();
        let _ = variable.size();
    }
    for function in module.functions() {
        let _ = function.parameter_bytes();
        let Ok(body) = module.body(function) else {
            sound = false;
            continue;
        };
        sound &= body.verify().is_ok();
        for space in [Space::Local, Space::Shared, Space::Param] {
            let _ = body.layout(space);
        }
        // Initialisers inside may be damaged; everything else that is parsed can be printed.
        let known =
            |variable: &Variable| variable.ty.is_opaque() || module.initial_elements(variable).is_ok();
        let initialised = body.variables.iter().all(known);
        if initialised {
            module.round_trip(function, &body).unwrap_or_else(|difference| panic!("{difference}\n{text}"));
        }
    }
    sound
}

#[test]
fn damaged_text_gives_an_error_or_a_module() {
    let sources = [
        include_str!("every_directive.ptx").to_owned(),
        include_str!("../../../tests/ptx/votes.ptx").to_owned(),
        include_str!("../../../tests/ptx/divergence.ptx").to_owned(),
        examples::module(Op::Ldmatrix).0,
        examples::module(Op::Mbarrier).0,
    ];
    sources.iter().skip(1).for_each(|text| assert!(exercise(text)));
    let mut random = Random(SEED);
    let mut sound = 0;
    for round in 0..ROUNDS {
        let text = mutate(&sources[round % sources.len()], &mut random);
        // A panic shows which text it was.
        let outcome = std::panic::catch_unwind(|| exercise(&text));
        match outcome {
            Ok(right) => sound += usize::from(right),
            Err(_) => panic!("seed {SEED:#x}, round {round}:\n{text}"),
        }
    }
    // Both happen, or the mutations are too weak or too strong to say anything.
    assert!((ROUNDS / 50..ROUNDS).contains(&sound), "{sound} of {ROUNDS} texts are sound");
}

#[test]
fn every_truncation_gives_an_error_or_a_module() {
    let text = include_str!("every_directive.ptx");
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        exercise(&text[..end]);
    }
}
