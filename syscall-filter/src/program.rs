//! From the policy to a program for the kernel.
//!
//! seccompiler writes the comparisons. It knows no user notification, so we let it write `RET TRACE|MARK`
//! and replace that by `RET USER_NOTIF` where calls are to be notified and not traced. It also kills a process that makes a call of another architecture
//! (every i386 program, and `int $0x80` in a 64-bit one); that becomes `RET ALLOW`: such programs are
//! followed, get no payload and are told so, and nobody's program ends silently. Of their calls a listener only hears those that change
//! what a path means: a block of our own before seccompiler's. A call in x32 numbering (bit 30 set) matches no row, so it is allowed as well.

use std::collections::BTreeMap;
use std::mem::offset_of;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use crate::policy::{Action, Argument, Coverage, MEDIATED, ROOTS_OF_32_BITS, Row, Test, rows};

/// One instruction of the program, laid out as the kernel's `struct sock_filter`.
pub type Instruction = libc::sock_filter;

/// A program, ready to be installed.
#[derive(Clone)]
pub struct Program(Vec<Instruction>);

/// Why a policy could not be compiled: always a mistake in the table.
#[derive(Debug)]
pub struct CompileError(seccompiler::BackendError);

impl std::fmt::Display for CompileError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "cannot compile the system call filter: {}", self.0)
    }
}

impl std::error::Error for CompileError {}

impl Program {
    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

/// What we make seccompiler return where a row matches; any value that it has no use for itself.
const MARK: u16 = 77;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A mask, and what a request number is under it.
pub type Pattern = (u32, u32);

/// Request numbers that rows speak of.
struct Requests<'a> {
    ours: &'a [u32],
    drivers: &'a [Pattern],
}

/// Compiles the rows of `coverage`. `requests` are the ioctl numbers of the payload.
pub fn compile(coverage: Coverage, requests: &[u32], action: Action) -> Result<Program, CompileError> {
    compile_rows(rows(coverage, action), &Requests { ours: requests, drivers: &[] }, action)
}

/// The same, to be notified, with requests of this machine's driver: those that match one of `drivers`.
pub fn compile_for_observer(
    coverage: Coverage,
    requests: &[u32],
    drivers: &[Pattern],
) -> Result<Program, CompileError> {
    let rows = rows(coverage, Action::Notify);
    compile_rows(rows, &Requests { ours: requests, drivers }, Action::Notify)
}

/// The same, where this machine's driver is mediated: its requests and mappings in a numbering that no row speaks of (32-bit, x32) fail
/// with EPERM.
pub fn compile_for_driver(
    coverage: Coverage,
    requests: &[u32],
    drivers: &[Pattern],
) -> Result<Program, CompileError> {
    let rows = rows(coverage, Action::Notify).chain(MEDIATED);
    let Program(rest) = compile_rows(rows, &Requests { ours: requests, drivers }, Action::Notify)?;
    Ok(Program(other_numberings::refuse(drivers).into_iter().chain(rest).collect()))
}

fn compile_rows<'a>(
    rows: impl Iterator<Item = &'a Row>,
    requests: &Requests,
    action: Action,
) -> Result<Program, CompileError> {
    let rules = rules(rows, requests).map_err(CompileError)?;
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Trace(MARK.into()),
        TargetArch::x86_64,
    );
    let compiled: BpfProgram = filter.and_then(TryInto::try_into).map_err(CompileError)?;
    let of_64_bits = compiled.into_iter().map(|instruction| rewrite(instruction, action));
    let of_32_bits = match action {
        Action::Notify => of_32_bits(),
        Action::Trace => vec![],
    };
    Ok(Program(of_32_bits.into_iter().chain(of_64_bits).collect()))
}

/// What goes before the rows, which are of 64-bit calls: 32-bit ones end here.
fn of_32_bits() -> Vec<Instruction> {
    /// From linux/audit.h.
    const AUDIT_ARCH_I386: u32 = 0x4000_0003;
    let instruction = |code: u32, jt, jf, k| Instruction { code: code as u16, jt, jf, k };
    let load = |offset: usize| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset as u32);
    let if_equal = |k, jt, jf| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, k);
    let answer = |k| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, k);
    let count = ROOTS_OF_32_BITS.len() as u8;
    // Beyond the load of the number, its comparisons and two answers.
    let mut program =
        vec![load(offset_of!(libc::seccomp_data, arch)), if_equal(AUDIT_ARCH_I386, 0, 1 + count + 2)];
    program.push(load(offset_of!(libc::seccomp_data, nr)));
    program
        .extend(ROOTS_OF_32_BITS.iter().zip(0..).map(|(&number, index)| if_equal(number, count - index, 0)));
    program.extend([answer(libc::SECCOMP_RET_ALLOW), answer(libc::SECCOMP_RET_USER_NOTIF)]);
    program
}

fn rewrite(instruction: seccompiler::sock_filter, action: Action) -> Instruction {
    let seccompiler::sock_filter { code, jt, jf, k } = instruction;
    let k = match k {
        _ if code != RETURN => k,
        _ if k == libc::SECCOMP_RET_TRACE | u32::from(MARK) && action == Action::Notify => {
            libc::SECCOMP_RET_USER_NOTIF
        }
        libc::SECCOMP_RET_KILL_PROCESS | libc::SECCOMP_RET_KILL_THREAD => libc::SECCOMP_RET_ALLOW,
        _ => k,
    };
    Instruction { code, jt, jf, k }
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules<'a>(
    rows: impl Iterator<Item = &'a Row>,
    requests: &Requests,
) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = Rules::new();
    for row in rows {
        let alternatives = rules.entry(row.number).or_default();
        for conditions in conditions(row.when, requests)? {
            // An empty list is seccompiler's way of saying "always".
            if !conditions.is_empty() {
                alternatives.push(SeccompRule::new(conditions)?);
            }
        }
    }
    Ok(rules)
}

/// The conjunctions that a row stands for: one, or one for each of our requests.
fn conditions(
    arguments: &[Argument],
    requests: &Requests,
) -> Result<Vec<Vec<SeccompCondition>>, seccompiler::BackendError> {
    let mut conjunctions = vec![vec![]];
    for Argument { index, test } in arguments {
        let equals = |value: u32| (SeccompCmpOp::Eq, value);
        let masked = |(bits, value): Pattern| (SeccompCmpOp::MaskedEq(u64::from(bits)), value);
        let alternatives: Vec<_> = match test {
            Test::Equals(value) => vec![equals(*value)],
            Test::NoneOf(bits) => vec![masked((*bits, 0))],
            Test::Masked(bits, value) => vec![masked((*bits, *value))],
            Test::NotZero => vec![(SeccompCmpOp::Ne, 0)],
            Test::OurRequest => requests.ours.iter().copied().map(equals).collect(),
            Test::DriversRequest => requests.drivers.iter().copied().map(masked).collect(),
        };
        let length = || match test {
            Test::NotZero => SeccompCmpArgLen::Qword,
            _ => SeccompCmpArgLen::Dword,
        };
        let mut extended = Vec::new();
        for conjunction in &conjunctions {
            for (operator, value) in &alternatives {
                let condition = SeccompCondition::new(*index, length(), operator.clone(), u64::from(*value))?;
                let mut conjunction: Vec<SeccompCondition> = conjunction.clone();
                conjunction.push(condition);
                extended.push(conjunction);
            }
        }
        conjunctions = extended;
    }
    Ok(conjunctions)
}

mod other_numberings;

#[cfg(test)]
mod tests;
