//! What lanes of a warp do together.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::float::{NAN, maximum, minimum};
use super::operands::{Decoded, Decoder};
use crate::registers::{FULL, LANES, Reg, Slot};
use crate::warp::{Warp, lanes_of};

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn warp_wide(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        match mnemonic.op {
            Op::Shfl => self.shuffle(mnemonic, operands),
            Op::Vote => self.vote(mnemonic, operands),
            Op::Redux => self.redux(mnemonic, operands),
            Op::Match => self.find_same(mnemonic, operands),
            Op::Elect => self.elect(operands),
            _ => {
                let d = self.target::<u32>(&operands[0])?;
                self.push(move |w| {
                    let mask = w.mask;
                    w.fill(d, mask);
                });
                Ok(())
            }
        }
    }

    /// An operation of the active lanes that a mask names. Lanes with different masks (the tiles of a warp, say) form groups,
    /// one after the other.
    fn together(&mut self, members: Reg<u32>, operation: impl Fn(&mut Warp, u32) + Send + Sync + 'static) {
        self.push(move |w| {
            let all = w.mask;
            let mut rest = all;
            while rest != 0 {
                let (lanes, members) = w.alike(rest, members);
                if lanes == all {
                    return operation(w, lanes & members);
                }
                w.set_mask(lanes);
                operation(w, lanes & members);
                rest &= !lanes;
            }
            w.set_mask(all);
        });
    }

    /// `d|p`, either of which may be missing.
    fn pair(&mut self, operand: &Operand) -> Decoded<(Option<Slot>, Option<crate::registers::Predicate>)> {
        let (d, p) = match operand {
            Operand::Pair(d, p) => (*d, *p),
            Operand::Register(register) => (Some(*register), None),
            _ => (None, None),
        };
        let p = p.map(|register| self.target_predicate(&Operand::Register(register))).transpose()?;
        Ok((d.map(|register| self.slot(register)), p))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn shuffle(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let (d, p) = self.pair(&operands[0])?;
        let d = match d {
            None => self.temporary::<u32>(),
            Some(Slot::Narrow(d)) => d,
            Some(_) => return Err("a destination of another width".into()),
        };
        let a = self.source_as::<u32>(&operands[1], Type::B32)?;
        let mode = mnemonic
            .modifiers
            .first_of(&[Modifier::Up, Modifier::Down, Modifier::Bfly, Modifier::Idx])
            .ok_or("a shuffle without a mode")?;
        // As a rule every lane's partner is known now.
        let known = |operand| self.known(operand, Type::U32).map(|value| value as u32);
        if let (Some(distance), Some(limit)) = (known(&operands[2]), known(&operands[3])) {
            let (sources, inside) = partners(mode, |_| (distance, limit));
            self.push(move |w| {
                let values = w.values(a);
                w.write(d, |_, lane| values[sources[lane] as usize & 31]);
                if let Some(p) = p {
                    w.set_predicate(p, inside);
                }
            });
            return Ok(());
        }
        let b = self.source::<u32>(&operands[2])?;
        let c = self.source::<u32>(&operands[3])?;
        self.push(move |w| {
            let values = w.values(a);
            let (sources, inside) = partners(mode, |lane| (w.value(b, lane), w.value(c, lane)));
            w.write(d, |_, lane| values[sources[lane] as usize & 31]);
            if let Some(p) = p {
                w.set_predicate(p, inside);
            }
        });
        Ok(())
    }

    fn vote(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let a = self.condition(&operands[1])?;
        let mode = mnemonic
            .modifiers
            .first_of(&[Modifier::Ballot, Modifier::All, Modifier::Any, Modifier::Uni])
            .ok_or("a vote without a mode")?;
        let d = self.target_slot(&operands[0])?;
        let members = match operands.get(2) {
            Some(operand) => self.source::<u32>(operand)?,
            None => self.constant(FULL),
        };
        self.together(members, move |w, here| {
            let yes = w.holds(a) & here;
            let held = match mode {
                Modifier::All => yes == here,
                Modifier::Any => yes != 0,
                _ => yes == here || yes == 0,
            };
            match d {
                Slot::Predicate(d) => w.set_predicate(d, if held { FULL } else { 0 }),
                Slot::Narrow(d) => w.fill(d, yes),
                Slot::Wide(_) => {}
            }
        });
        Ok(())
    }

    fn redux(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Modifier::*;
        let d = self.target::<u32>(&operands[0])?;
        let ty = mnemonic.ty().unwrap_or(Type::B32);
        let a = self.source_as::<u32>(&operands[1], ty)?;
        let members = self.source::<u32>(&operands[2])?;
        let mode = mnemonic
            .modifiers
            .first_of(&[Add, Min, Max, And, Or, Xor])
            .ok_or("a reduction without an operation")?;
        let signed = ty.is_signed();
        if ty.is_float() {
            return self.redux_of_floats(mnemonic, d, (a, members));
        }
        self.together(members, move |w, here| {
            let total = lanes_of(here).map(|lane| w.value(a, lane)).reduce(|x, y| match mode {
                Add => x.wrapping_add(y),
                Min if signed => (x as i32).min(y as i32) as u32,
                Max if signed => (x as i32).max(y as i32) as u32,
                Min => x.min(y),
                Max => x.max(y),
                And => x & y,
                Or => x | y,
                _ => x ^ y,
            });
            w.fill(d, total.unwrap_or(0));
        });
        Ok(())
    }

    /// `redux` of floats: the least or greatest. A NaN does not count, unless `.NaN` says that one is enough.
    fn redux_of_floats(
        &mut self,
        mnemonic: &Mnemonic,
        d: Reg<u32>,
        (a, members): (Reg<u32>, Reg<u32>),
    ) -> Decoded<()> {
        let greatest = mnemonic.has(Modifier::Max);
        let (absolute, nan_wins) = (mnemonic.has(Modifier::AbsModifier), mnemonic.has(Modifier::NaN));
        let choose = move |x: f32, y: f32| match greatest {
            _ if nan_wins && (x.is_nan() || y.is_nan()) => NAN,
            true => maximum(x, y),
            false => minimum(x, y),
        };
        self.together(members, move |w, here| {
            let value = |lane| {
                let value = f32::from_bits(w.value(a, lane));
                if absolute { value.abs() } else { value }
            };
            let total = lanes_of(here).map(value).reduce(choose).unwrap_or(0.0);
            w.fill(d, if total.is_nan() { NAN.to_bits() } else { total.to_bits() });
        });
        Ok(())
    }

    /// `match.any`: lanes with the same value; `match.all`: all of them, or none.
    fn find_same(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let (d, p) = self.pair(&operands[0])?;
        let Some(Slot::Narrow(d)) = d else { return Err("a destination of another width".into()) };
        let ty = mnemonic.ty().unwrap_or(Type::B32);
        let a = self.source_slot(&operands[1], ty)?;
        let members = self.source::<u32>(&operands[2])?;
        let all = mnemonic.has(Modifier::All);
        self.together(members, move |w, here| {
            let values = w.slot_values(a);
            let same = |lane: usize| {
                lanes_of(here)
                    .filter(|other| values[*other] == values[lane])
                    .fold(0, |bits, other| bits | 1 << other)
            };
            if all {
                let agree = here == 0 || same(here.trailing_zeros() as usize) == here;
                w.fill(d, if agree { here } else { 0 });
                if let Some(p) = p {
                    w.set_predicate(p, if agree { FULL } else { 0 });
                }
            } else {
                let sets: [u32; LANES] = std::array::from_fn(same);
                w.write(d, |_, lane| sets[lane]);
            }
        });
        Ok(())
    }

    /// `elect.sync d|p, members`: the lowest lane leads.
    fn elect(&mut self, operands: &[Operand]) -> Decoded<()> {
        let (d, p) = self.pair(&operands[0])?;
        let members = self.source::<u32>(&operands[1])?;
        self.together(members, move |w, here| {
            let leader = here.trailing_zeros() & 31;
            if let Some(Slot::Narrow(d)) = d {
                w.fill(d, leader);
            }
            if let Some(p) = p {
                w.set_predicate(p, here & 1 << leader);
            }
        });
        Ok(())
    }
}

/// The lane that each lane reads in a shuffle, and for which lanes it lies in their segment, a bit for each; the others read their
/// own (PTX ISA 9.7.9, `shfl`). `mode`: `.up`, `.down`, `.bfly` or `.idx`; `of` gives a lane's distance (or lane) and its word of
/// segment mask and clamp.
pub fn partners(mode: Modifier, of: impl Fn(usize) -> (u32, u32)) -> ([u32; LANES], u32) {
    let (mut sources, mut inside) = ([0u32; LANES], 0u32);
    for lane in 0..LANES as u32 {
        let (distance, limit) = of(lane as usize);
        let distance = distance & 31;
        let (clamp, segment) = (limit & 31, limit >> 8 & 31);
        let least = lane & segment;
        let most = least | clamp & !segment;
        let (source, valid) = match mode {
            Modifier::Up => (lane.wrapping_sub(distance), lane as i32 - distance as i32 >= most as i32),
            Modifier::Down => (lane + distance, lane + distance <= most),
            Modifier::Bfly => (lane ^ distance, lane ^ distance <= most),
            _ => (least | distance & !segment, least | distance & !segment <= most),
        };
        sources[lane as usize] = if valid { source & 31 } else { lane };
        inside |= u32::from(valid) << lane;
    }
    (sources, inside)
}
