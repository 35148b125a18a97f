//! Small seeded random numbers: the same seed gives the same run, everywhere.

use std::time::Duration;

/// A generator of random numbers that are good enough to spread waits, and nothing more (`SplitMix64`, Steele et al., 2014).
///
/// Never for secrets: who sees one number knows all that follow.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `n`, all equally likely to within 2^-64; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A duration from `least` to `most`, both included, in whole microseconds; `least` when they are the wrong way round.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let width = micros(most).saturating_sub(micros(least));
        least + Duration::from_micros(self.below(width.saturating_add(1)))
    }

    /// `wait`, up to `percent` per cent shorter or longer; more than 100 per cent counts as 100.
    pub fn jitter(&mut self, wait: Duration, percent: u32) -> Duration {
        let spread = wait / 100 * percent.min(100);
        self.between(wait.saturating_sub(spread), wait.saturating_add(spread))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_others_do_not() {
        let (mut one, mut same, mut other) = (Rng::new(7), Rng::new(7), Rng::new(8));
        let numbers: Vec<u64> = (0..100).map(|_| one.next_u64()).collect();
        assert_eq!(numbers, (0..100).map(|_| same.next_u64()).collect::<Vec<_>>());
        assert_ne!(numbers, (0..100).map(|_| other.next_u64()).collect::<Vec<_>>());
    }

    #[test]
    fn numbers_are_those_of_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn below_stays_below_and_reaches_every_number() {
        let mut rng = Rng::new(1);
        let mut seen = [0_u32; 6];
        for _ in 0..6000 {
            seen[rng.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|&times| (850..1150).contains(&times)), "{seen:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }

    #[test]
    fn waits_stay_within_their_bounds_at_the_edges_too() {
        let mut rng = Rng::new(2);
        let (least, most) = (Duration::from_micros(3), Duration::from_micros(5));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            seen.insert(rng.between(least, most).as_micros());
            let wait = rng.jitter(Duration::from_millis(100), 25);
            assert!((Duration::from_millis(75)..=Duration::from_millis(125)).contains(&wait));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(rng.between(most, least), most);
        assert_eq!(rng.jitter(Duration::ZERO, 300), Duration::ZERO);
        assert!(rng.jitter(Duration::MAX, 100) <= Duration::MAX);
    }
}
