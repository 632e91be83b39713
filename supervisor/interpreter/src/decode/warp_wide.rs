//! Exchange and votes across the warp. Lanes run in lock step; a lane that the member mask names and that is elsewhere is not
//! waited for: its register is read as it is.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::{Decoded, Decoder, Slot};

impl Decoder<'_> {
    pub(super) fn warp_wide(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        match mnemonic.op {
            Op::Shfl => self.shuffle(mnemonic, operands),
            Op::Vote => self.vote(mnemonic, operands),
            Op::Activemask => {
                let d = self.target32(&operands[0])?;
                self.push(move |w| w.set32(d, &[w.mask; 32]));
                Ok(())
            }
            Op::Redux => self.redux(mnemonic, operands),
            Op::Match => self.match_any(mnemonic, operands),
            _ => Err("not implemented".into()),
        }
    }

    fn shuffle(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let (d, p) = match &operands[0] {
            Operand::Pair(d, p) => (*d, *p),
            Operand::Register(register) => (Some(*register), None),
            _ => (None, None),
        };
        let d = match d.map(|register| self.slot(register)) {
            Some(Slot::Narrow(register)) => Some(register),
            None => None,
            _ => return Err("a destination of another width".into()),
        };
        let p = match p.map(|register| self.slot(register)) {
            Some(Slot::Predicate(predicate)) => Some(predicate),
            _ => None,
        };
        let a = self.source32(&operands[1], Type::B32)?;
        let b = self.source32(&operands[2], Type::U32)?;
        let c = self.source32(&operands[3], Type::U32)?;
        let mode = mnemonic
            .modifiers
            .first_of(&[Modifier::Up, Modifier::Down, Modifier::Bfly, Modifier::Idx])
            .ok_or("a shuffle without a mode")?;
        self.push(move |w| {
            let (values, distances, limits) = (w.narrow[a], w.narrow[b], w.narrow[c]);
            let mut moved = values;
            let mut inside = 0u32;
            for lane in 0..32u32 {
                let (distance, limit) = (distances[lane as usize] & 31, limits[lane as usize]);
                let (clamp, segment) = (limit & 31, limit >> 8 & 31);
                let most = lane & segment | clamp & !segment;
                let least = lane & segment;
                let (source, valid) = match mode {
                    Modifier::Up => {
                        (lane.wrapping_sub(distance), lane as i32 - distance as i32 >= most as i32)
                    }
                    Modifier::Down => (lane + distance, lane + distance <= most),
                    Modifier::Bfly => (lane ^ distance, lane ^ distance <= most),
                    _ => (least | distance & !segment, (least | distance & !segment) <= most),
                };
                if valid {
                    moved[lane as usize] = values[(source & 31) as usize];
                    inside |= 1 << lane;
                }
            }
            if let Some(d) = d {
                w.set32(d, &moved);
            }
            if let Some(p) = p {
                w.set_predicate(p, inside);
            }
        });
        Ok(())
    }

    fn vote(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let (a, negated) = self.source_predicate(&operands[1])?;
        let mode = mnemonic
            .modifiers
            .first_of(&[Modifier::Ballot, Modifier::All, Modifier::Any, Modifier::Uni])
            .ok_or("a vote without a mode")?;
        let Operand::Register(register) = &operands[0] else { return Ok(()) };
        let place = self.slot(*register);
        let members = match operands.get(2) {
            Some(operand) => Some(self.source32(operand, Type::U32)?),
            None => None,
        };
        self.push(move |w| {
            let first = w.mask.trailing_zeros() as usize & 31;
            let here = w.mask & members.map_or(u32::MAX, |register| w.narrow[register][first]);
            let bits = w.predicates[a] ^ if negated { u32::MAX } else { 0 };
            let yes = bits & here;
            let value = match mode {
                Modifier::Ballot => yes,
                Modifier::All => {
                    if yes == here {
                        u32::MAX
                    } else {
                        0
                    }
                }
                Modifier::Any => {
                    if yes != 0 {
                        u32::MAX
                    } else {
                        0
                    }
                }
                _ => {
                    if yes == here || yes == 0 {
                        u32::MAX
                    } else {
                        0
                    }
                }
            };
            match place {
                Slot::Predicate(predicate) => w.set_predicate(predicate, value),
                Slot::Narrow(register) => w.set32(register, &[value; 32]),
                Slot::Wide(_) => {}
            }
        });
        Ok(())
    }

    fn redux(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let d = self.target32(&operands[0])?;
        let ty = mnemonic.ty().unwrap_or(Type::B32);
        let a = self.source32(&operands[1], ty)?;
        let mode = mnemonic
            .modifiers
            .first_of(&[
                Modifier::Add,
                Modifier::Min,
                Modifier::Max,
                Modifier::And,
                Modifier::Or,
                Modifier::Xor,
            ])
            .ok_or("a reduction without an operation")?;
        let signed = ty.is_signed();
        if ty.is_float() {
            return Err("reductions of floats are not implemented".into());
        }
        self.push(move |w| {
            let values = w.narrow[a];
            let lanes = (0..32).filter(|lane| w.mask >> lane & 1 != 0).map(|lane| values[lane]);
            let total = lanes.reduce(|x, y| match mode {
                Modifier::Add => x.wrapping_add(y),
                Modifier::Min if signed => (x as i32).min(y as i32) as u32,
                Modifier::Max if signed => (x as i32).max(y as i32) as u32,
                Modifier::Min => x.min(y),
                Modifier::Max => x.max(y),
                Modifier::And => x & y,
                Modifier::Or => x | y,
                _ => x ^ y,
            });
            w.set32(d, &[total.unwrap_or(0); 32]);
        });
        Ok(())
    }

    fn match_any(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        if !mnemonic.has(Modifier::Any) || mnemonic.ty().is_none_or(|ty| ty.size() != 4) {
            return Err("this form of match is not implemented".into());
        }
        let d = self.target32(&operands[0])?;
        let a = self.source32(&operands[1], Type::B32)?;
        self.push(move |w| {
            let values = w.narrow[a];
            let mask = w.mask;
            let same = std::array::from_fn(|lane| {
                (0..32)
                    .filter(|other| mask >> other & 1 != 0 && values[*other] == values[lane])
                    .fold(0, |bits, other| bits | 1 << other)
            });
            w.set32(d, &same);
        });
        Ok(())
    }
}
