//! What textures and surfaces give at coordinates.
//!
//! ```text
//!   coordinates ──(normalised? × extent)──▶ texel space ──nearest: floor──────────────▶ address mode ──▶ texel ──▶ value
//!                                                       └─linear: floor(x − ½), weights of 8 bits ─▶ 2, 4 or 8 texels ─┘
//! ```
//!
//! Source: CUDA C++ Programming Guide, "Texture Fetching"; PTX ISA, "Texture Instructions" and "Surface Instructions".

use half::f16;
use wire::texture::{Descriptor, MAGIC, address, flag, format};

use crate::memory::Memory;

/// Where a lane looks.
#[derive(Clone, Copy)]
pub(crate) enum Coordinates {
    /// Texels; never filtered.
    Whole([i32; 3]),
    /// Numbers, in texels or from 0 to 1.
    Real([f32; 3]),
}

/// What the instruction wants.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    Float,
    Integer,
}

/// An address that may not be read.
pub(crate) struct Outside(pub u64);

/// A texture or surface as seen by a block.
pub(crate) struct Texture<'m, 'a> {
    pub descriptor: Descriptor,
    memory: &'m Memory<'a>,
}

impl<'m, 'a> Texture<'m, 'a> {
    /// What a handle means.
    pub fn open(memory: &'m Memory<'a>, handle: u64) -> Result<Texture<'m, 'a>, Outside> {
        if !handle.is_multiple_of(8) || !memory.allows(handle, size_of::<Descriptor>() as u64) {
            return Err(Outside(handle));
        }
        // SAFETY: the kernel may read these bytes, as was just checked, and any bytes are a descriptor.
        let descriptor = unsafe { (handle as *const Descriptor).read() };
        if descriptor.magic != MAGIC || format::bytes(descriptor.format).is_none() {
            return Err(Outside(handle));
        }
        Ok(Texture { descriptor, memory })
    }

    /// `tex`: the four channels, as bits.
    pub fn lookup(
        &self,
        at: Coordinates,
        dimensions: usize,
        layer: u32,
        wanted: Wanted,
    ) -> Result<[u32; 4], Outside> {
        let layer = self.layer(layer);
        match at {
            Coordinates::Whole(at) => self.texel(at.map(i64::from), dimensions, layer, wanted),
            Coordinates::Real(at) => {
                let at = self.in_texels(at, dimensions);
                if self.descriptor.filter == 1 && wanted == Wanted::Float {
                    self.interpolated(at, dimensions, layer)
                } else {
                    self.texel(at.map(|x| x.floor() as i64), dimensions, layer, wanted)
                }
            }
        }
    }

    /// `tld4`: one channel of the four texels that bilinear filtering would use.
    pub fn gather(
        &self,
        at: [f32; 3],
        layer: u32,
        channel: usize,
        wanted: Wanted,
    ) -> Result<[u32; 4], Outside> {
        let [x, y, _] = self.in_texels(at, 2).map(|x| (x - 0.5).floor() as i64);
        let mut out = [0; 4];
        for (place, (dx, dy)) in out.iter_mut().zip([(0, 1), (1, 1), (1, 0), (0, 0)]) {
            *place = self.texel([x + dx, y + dy, 0], 2, self.layer(layer), wanted)?[channel];
        }
        Ok(out)
    }

    fn layer(&self, layer: u32) -> u64 {
        (layer as i32).clamp(0, self.descriptor.layers.max(1) as i32 - 1) as u64
    }

    fn is_normalized(&self) -> bool {
        self.descriptor.flags & flag::NORMALIZED != 0
    }

    fn in_texels(&self, at: [f32; 3], dimensions: usize) -> [f32; 3] {
        let extent = self.descriptor.extent;
        std::array::from_fn(|axis| match (axis < dimensions, self.is_normalized()) {
            (false, _) => 0.5,
            (true, false) => at[axis],
            (true, true) => at[axis] * extent[axis] as f32,
        })
    }

    /// The weighted mean of the texels around a place. Weights have eight bits behind the point, as on a GPU.
    fn interpolated(&self, at: [f32; 3], dimensions: usize, layer: u64) -> Result<[u32; 4], Outside> {
        let base = at.map(|x| (x - 0.5).floor());
        let weight: [f32; 3] =
            std::array::from_fn(|axis| ((at[axis] - 0.5 - base[axis]) * 256.0).round() / 256.0);
        let mut sum = [0f64; 4];
        for corner in 0..1usize << dimensions {
            let far = |axis: usize| corner >> axis & 1 == 1;
            let share: f32 = (0..dimensions)
                .map(|axis| if far(axis) { weight[axis] } else { 1.0 - weight[axis] })
                .product();
            if share == 0.0 {
                continue;
            }
            let place =
                std::array::from_fn(|axis| base[axis] as i64 + i64::from(axis < dimensions && far(axis)));
            let texel = self.texel(place, dimensions, layer, Wanted::Float)?;
            for (sum, bits) in sum.iter_mut().zip(texel) {
                *sum += f64::from(share) * f64::from(f32::from_bits(bits));
            }
        }
        Ok(sum.map(|value| (value as f32).to_bits()))
    }

    /// One texel; outside, what the address modes say.
    fn texel(
        &self,
        at: [i64; 3],
        dimensions: usize,
        layer: u64,
        wanted: Wanted,
    ) -> Result<[u32; 4], Outside> {
        let mut place = [0u64; 3];
        for axis in 0..dimensions {
            match self.inside(axis, at[axis]) {
                Some(inside) => place[axis] = inside,
                None => return Ok(self.border(wanted)),
            }
        }
        let d = &self.descriptor;
        let slice = if d.layers > 0 { layer } else { place[2] };
        let address = d.memory + slice * d.slice_pitch + place[1] * d.row_pitch + place[0] * d.texel_bytes();
        let width = u64::from(format::bytes(d.format).unwrap_or(1));
        // Channels that do not exist are 0, the last of them 1.
        let mut out = match wanted {
            Wanted::Float => [0, 0, 0, 1f32.to_bits()],
            Wanted::Integer => [0, 0, 0, 1],
        };
        for (channel, out) in out.iter_mut().enumerate().take(d.channels as usize) {
            let bits = self.read(address + channel as u64 * width, width as u32)?;
            *out = self.value(bits, channel, wanted);
        }
        Ok(out)
    }

    /// A coordinate within the extent; `None` is the border.
    fn inside(&self, axis: usize, at: i64) -> Option<u64> {
        let count = i64::from(self.descriptor.extent[axis].max(1));
        if (0..count).contains(&at) {
            return Some(at as u64);
        }
        if self.descriptor.linear != 0 {
            return None;
        }
        let mode = self.descriptor.address[axis];
        let place = match mode {
            address::BORDER => return None,
            // They need normalised coordinates, and are clamping without.
            address::WRAP if self.is_normalized() => at.rem_euclid(count),
            address::MIRROR if self.is_normalized() => {
                let twice = at.rem_euclid(2 * count);
                if twice < count { twice } else { 2 * count - 1 - twice }
            }
            _ => at.clamp(0, count - 1),
        };
        Some(place as u64)
    }

    fn border(&self, wanted: Wanted) -> [u32; 4] {
        if self.descriptor.linear != 0 {
            return [0; 4];
        }
        self.descriptor.border.map(|value| match wanted {
            Wanted::Float => value.to_bits(),
            Wanted::Integer => value as i32 as u32,
        })
    }

    fn read(&self, address: u64, bytes: u32) -> Result<u32, Outside> {
        if !self.memory.allows(address, bytes.into()) {
            return Err(Outside(address));
        }
        // SAFETY: the kernel may read these bytes, as was just checked.
        Ok(unsafe {
            match bytes {
                1 => (address as *const u8).read_volatile().into(),
                2 => (address as *const u16).read_unaligned().into(),
                _ => (address as *const u32).read_unaligned(),
            }
        })
    }

    /// A channel's bits as what the instruction wants.
    fn value(&self, bits: u32, channel: usize, wanted: Wanted) -> u32 {
        let d = &self.descriptor;
        let float = |value: f32| value.to_bits();
        let scaled = wanted == Wanted::Float && d.flags & flag::READ_AS_INTEGER == 0;
        match d.format {
            format::F16 => float(f16::from_bits(bits as u16).to_f32()),
            format::U8 if scaled => {
                let value = bits as f32 / 255.0;
                let linear = d.flags & flag::SRGB != 0 && channel < 3;
                float(if linear { from_srgb(value) } else { value })
            }
            format::U16 if scaled => float(bits as f32 / 65535.0),
            format::S8 if scaled => float((f32::from(bits as i8) / 127.0).max(-1.0)),
            format::S16 if scaled => float((f32::from(bits as i16) / 32767.0).max(-1.0)),
            format::S8 => bits as i8 as u32,
            format::S16 => bits as i16 as u32,
            _ => bits,
        }
    }

    /// Address of `bytes` bytes of a surface, whose first coordinate counts bytes; `None` is outside.
    pub fn surface_address(&self, at: [i32; 3], layer: u32, bytes: u32, clamps: bool) -> Option<u64> {
        let d = &self.descriptor;
        let row = i64::from(d.extent[0]) * d.texel_bytes() as i64;
        let limits = [row - i64::from(bytes), i64::from(d.extent[1]) - 1, i64::from(d.extent[2]) - 1];
        let mut place = at.map(i64::from);
        for (axis, place) in place.iter_mut().enumerate() {
            if !(0..=limits[axis]).contains(place) {
                if !clamps || limits[axis] < 0 {
                    return None;
                }
                *place = (*place).clamp(0, limits[axis]);
            }
        }
        if !clamps && layer >= d.layers.max(1) {
            return None;
        }
        let slice = if d.layers > 0 { self.layer(layer) } else { place[2] as u64 };
        Some(d.memory + slice * d.slice_pitch + place[1] as u64 * d.row_pitch + place[0] as u64)
    }
}

fn from_srgb(value: f32) -> f32 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}
