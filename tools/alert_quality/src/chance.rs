//! Random draws.

use fastrand::Rng;

/// A deterministic random generator.
pub(crate) struct Chance(Rng);

impl Chance {
    /// Derives an independent generator by name, so that changing one part does not affect others.
    pub(crate) fn named(seed: u64, name: &str) -> Self {
        // FNV-1a
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash))
    }

    /// Draws from a uniform distribution.
    pub(crate) fn between(&mut self, (low, high): (f64, f64)) -> f64 {
        low + (high - low) * self.0.f64()
    }

    /// Draws a minute from the first to before the second.
    pub(crate) fn minute(&mut self, (from, before): (i64, i64)) -> i64 {
        self.0.i64(from..before)
    }

    /// Draws from a log-uniform distribution.
    pub(crate) fn log_between(&mut self, (low, high): (f64, f64)) -> f64 {
        self.between((low.ln(), high.ln())).exp()
    }

    /// Draws from a normal distribution.
    pub(crate) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        // the sum of twelve uniform draws has a variance of one
        let sum: f64 = (0..12).map(|_| self.0.f64()).sum();
        mean + deviation * (sum - 6.0)
    }

    /// Returns true with this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// Draws from a binomial distribution.
    pub(crate) fn successes(&mut self, trials: u64, probability: f64) -> u64 {
        /// Maximum number of individual draws; above, the normal distribution is accurate enough.
        const DRAWN: u64 = 400;
        let probability = probability.clamp(0.0, 1.0);
        if trials <= DRAWN {
            let successes = (0..trials).filter(|_| self.happens(probability));
            return successes.count() as u64;
        }
        let mean = trials as f64 * probability;
        whole(self.normal(mean, (mean * (1.0 - probability)).sqrt())).min(trials)
    }

    /// Picks a random element.
    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        self.0.choice(choices)
    }

    /// Shuffles the elements.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}

/// Rounds to a count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is cut to the range of a count"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number.round().max(0.0) as u64
}

/// Rounds to a minute.
#[expect(clippy::cast_possible_truncation, reason = "minutes of a month")]
pub(crate) fn minutes(number: f64) -> i64 {
    number.round() as i64
}
