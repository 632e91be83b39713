//! Which registers an instruction reads, and which it writes, as the table says.

use crate::body::{Body, Instruction, RegisterId};
use crate::isa::{Mnemonic, Modifier, Op};
use crate::operand::{AddressBase, Operand};

/// Registers of an instruction by what it does to them. Its guard is in neither.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roles {
    /// Read, those of addresses among them.
    pub reads: Vec<RegisterId>,
    /// Written; by a guarded instruction for some threads only.
    pub writes: Vec<RegisterId>,
}

impl Body {
    /// What an instruction does to its registers.
    pub fn roles(&self, instruction: &Instruction) -> Roles {
        let mut roles = Roles::default();
        let operands = &instruction.operands;
        let form = self.mnemonic(instruction).forms_with(operands.len()).next();
        let slots = form.map_or(&[][..], |form| &form.operands);
        for (place, operand) in operands.iter().enumerate() {
            let written = slots.get(place).is_some_and(|slot| slot.written);
            collect(operand, if written { &mut roles.writes } else { &mut roles.reads });
        }
        roles
    }

    /// How many instructions write each register.
    pub fn writes(&self) -> Vec<u32> {
        let mut writes = vec![0; self.register_count as usize];
        let written = self.instructions.iter().flat_map(|instruction| self.roles(instruction).writes);
        written.for_each(|register| writes[register as usize] += 1);
        writes
    }
}

fn collect(operand: &Operand, registers: &mut Vec<RegisterId>) {
    match operand {
        Operand::Register(register) | Operand::NotRegister(register) | Operand::Part(register, _) => {
            registers.push(*register);
        }
        Operand::Pair(first, second) => registers.extend(first.iter().chain(second)),
        Operand::Vector(parts) | Operand::List(parts) => {
            parts.iter().for_each(|part| collect(part, registers));
        }
        Operand::Texel(parts, predicate) => {
            parts.iter().for_each(|part| collect(part, registers));
            registers.extend(predicate);
        }
        Operand::Address { base, extra, .. } => {
            if let AddressBase::Register(register) = base {
                registers.push(*register);
            }
            extra.iter().for_each(|part| collect(part, registers));
        }
        _ => {}
    }
}

impl Mnemonic {
    /// Whether an instruction gives each thread what its own operands say, and does nothing else.
    pub fn is_pure(&self) -> bool {
        use Op::*;
        let pure = matches!(
            self.op,
            Add | Sub
                | Mul
                | Mad
                | Mul24
                | Mad24
                | Sad
                | Div
                | Rem
                | Abs
                | Neg
                | Min
                | Max
                | Popc
                | Clz
                | Bfind
                | Fns
                | Brev
                | Bfe
                | Bfi
                | Szext
                | Bmsk
                | Dp4a
                | Dp2a
                | Testp
                | Copysign
                | Fma
                | Rcp
                | Sqrt
                | Rsqrt
                | Sin
                | Cos
                | Lg2
                | Ex2
                | Tanh
                | Set
                | Setp
                | Selp
                | Slct
                | And
                | Or
                | Xor
                | Not
                | Cnot
                | Lop3
                | Shf
                | Shl
                | Shr
                | Mov
                | Prmt
                | Cvta
                | Cvt
                | Vadd
                | Vsub
                | Vabsdiff
                | Vmin
                | Vmax
                | Vshl
                | Vshr
                | Vmad
                | Vset
        );
        // The carry is a register that no operand names.
        pure && !self.has(Modifier::Cc)
    }
}

#[cfg(test)]
mod tests {
    use crate::Module;

    /// Reads and writes of the only instruction of a body, by name.
    fn roles(instruction: &str) -> (Vec<String>, Vec<String>) {
        let text = format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.entry k() {{
             .reg .b32 %r<9>; .reg .b64 %d<9>; .reg .pred %p<9>; .reg .b16 %h<9>; {instruction} }}"
        );
        let module = Module::parse(text).expect("a module");
        let body = module.body(module.entries().next().expect("a kernel")).expect("a body");
        let roles = body.roles(&body.instructions[0]);
        let names = |list: Vec<u32>| list.into_iter().map(|register| body.register_name(register)).collect();
        (names(roles.reads), names(roles.writes))
    }

    #[test]
    fn roles_are_those_of_the_table() {
        let of = |text, reads: &[&str], writes: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(roles(text), (owned(reads), owned(writes)), "{text}");
        };
        of("add.s32 %r1, %r2, %r3;", &["%r2", "%r3"], &["%r1"]);
        of("setp.lt.and.s32 %p1|%p2, %r1, 5, !%p3;", &["%r1", "%p3"], &["%p1", "%p2"]);
        of("ld.global.v2.b32 {%r1, %r2}, [%d1+8];", &["%d1"], &["%r1", "%r2"]);
        of("st.shared.b32 [%r1], %r2;", &["%r1", "%r2"], &[]);
        of("mov.b32 {%h1, %h2}, %r1;", &["%r1"], &["%h1", "%h2"]);
        of("red.global.add.u32 [%d1], %r1;", &["%d1", "%r1"], &[]);
        of("atom.global.add.u32 %r2, [%d1], %r1;", &["%d1", "%r1"], &["%r2"]);
        of("bar.red.popc.u32 %r1, 0, %p1;", &["%p1"], &["%r1"]);
        of("bar.sync %r1;", &["%r1"], &[]);
        of("nanosleep.u32 %r1;", &["%r1"], &[]);
        of("shfl.sync.down.b32 %r1|%p1, %r2, 1, 31, -1;", &["%r2"], &["%r1", "%p1"]);
    }
}
