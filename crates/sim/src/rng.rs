//! The simulator's only source of chance: xoshiro256++ seeded by splitmix64.
//!
//! Each part of the world draws from a stream of its own (`fork`), so that switching one fault off while a
//! failure is shrunk does not shift what every other part draws.

/// A probability in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u32);

impl Rate {
    /// Never.
    pub const NEVER: Self = Self(0);

    /// So many percent.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self(percent * 10_000)
    }
}

/// A deterministic stream of numbers.
#[derive(Debug, Clone)]
pub struct Rng {
    origin: u64,
    state: [u64; 4],
}

/// One step of splitmix64: a well mixed function of its input.
#[must_use]
pub fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A digest of bytes that depends on nothing but them (FNV-1a, mixed).
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(hash)
}

impl Rng {
    /// A stream from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut state = [0; 4];
        let mut next = seed;
        for word in &mut state {
            next = mix(next);
            *word = next;
        }
        Self {
            origin: seed,
            state,
        }
    }

    /// An independent stream that depends on the seed and the label, not on what was drawn so far.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        Self::new(mix(self.origin) ^ digest(label.as_bytes()))
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        let mut s = [a, b, c ^ a, d ^ b];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        self.state = s;
        result
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // The bias of the multiplication is below 2^-32 for every bound that the simulator uses.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True at this rate.
    pub fn chance(&mut self, rate: Rate) -> bool {
        self.below(1_000_000) < u64::from(rate.0)
    }

    /// One of the choices.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_and_forks_do_not_depend_on_draws() {
        let mut one = Rng::new(7);
        let mut two = Rng::new(7);
        let early = one.fork("network").next_u64();
        for _ in 0..100 {
            assert_eq!(one.next_u64(), two.next_u64());
        }
        assert_eq!(one.fork("network").next_u64(), early);
        assert_ne!(one.fork("disk").next_u64(), early);
    }

    #[test]
    fn rates_are_about_right() {
        let mut rng = Rng::new(1);
        let hits = (0..100_000)
            .filter(|_| rng.chance(Rate::percent(10)))
            .count();
        assert!((9_500..10_500).contains(&hits), "{hits}");
        assert!(!(0..1000).any(|_| rng.chance(Rate::NEVER)));
    }
}
