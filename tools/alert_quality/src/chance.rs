//! What chance draws.

use fastrand::Rng;

/// Chance that is the same for the same seed.
pub(crate) struct Chance(Rng);

impl Chance {
    /// Chance of its own for what has this name, so that a change of one thing leaves the others.
    pub(crate) fn named(seed: u64, name: &str) -> Self {
        // FNV-1a, which spreads names over all bits
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(Rng::with_seed(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash,
        ))
    }

    /// Any number between two, each as likely.
    pub(crate) fn between(&mut self, (low, high): (f64, f64)) -> f64 {
        low + (high - low) * self.0.f64()
    }

    /// Any minute from the first to before the second.
    pub(crate) fn minute(&mut self, (from, before): (i64, i64)) -> i64 {
        self.0.i64(from..before)
    }

    /// Any number between two, as likely to lie between 100 and 200 as between 1,000 and 2,000.
    pub(crate) fn log_between(&mut self, (low, high): (f64, f64)) -> f64 {
        self.between((low.ln(), high.ln())).exp()
    }

    /// Of a normal distribution.
    pub(crate) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        // twelve even draws have a variance of one
        let sum: f64 = (0..12).map(|_| self.0.f64()).sum();
        mean + deviation * (sum - 6.0)
    }

    /// Whether something happens that has this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// How many of `trials` come out that have this probability each.
    pub(crate) fn successes(&mut self, trials: u64, probability: f64) -> u64 {
        /// Up to here each is drawn; above, the normal distribution is as good.
        const DRAWN: u64 = 400;
        let probability = probability.clamp(0.0, 1.0);
        if trials <= DRAWN {
            let successes = (0..trials).filter(|_| self.happens(probability));
            return successes.count() as u64;
        }
        let mean = trials as f64 * probability;
        whole(self.normal(mean, (mean * (1.0 - probability)).sqrt())).min(trials)
    }

    /// One of some.
    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        self.0.choice(choices)
    }

    /// Brings some into an order of chance.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}

/// The nearest count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is cut to the range of a count"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number.round().max(0.0) as u64
}

/// The nearest minute.
#[expect(clippy::cast_possible_truncation, reason = "minutes of a month")]
pub(crate) fn minutes(number: f64) -> i64 {
    number.round() as i64
}
