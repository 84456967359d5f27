//! Chance: samples of the distributions that the world is made of, the same from the same seed.

use rand::{RngExt, SeedableRng};
use rand_distr::{Beta, Binomial, Distribution, Poisson};
use rand_pcg::Pcg64Mcg;

/// Draws samples.
pub struct Chance(Pcg64Mcg);

impl Chance {
    /// What is drawn for one purpose of one run, whatever else was drawn before.
    pub fn new(seed: u64, purpose: u64) -> Self {
        // The odd constant (of Fibonacci hashing) keeps seeds and purposes that lie near each other apart.
        let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ purpose.wrapping_mul(0xD1B5_4A32_D192_ED03);
        Self(Pcg64Mcg::seed_from_u64(mixed))
    }

    /// Between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Any number from `from` to `to`, both included.
    pub fn between(&mut self, from: u32, to: u32) -> u32 {
        self.0.random_range(from..=to.max(from))
    }

    /// Between `from` and `to`.
    pub fn uniform(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// Between `from` and `to`, each factor as likely.
    pub fn log_uniform(&mut self, from: f64, to: f64) -> f64 {
        self.uniform(from.ln(), to.ln()).exp()
    }

    /// How many of what happens `mean` times on average.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        Poisson::new(mean).map_or(0, |poisson| poisson.sample(&mut self.0) as u64)
    }

    /// How many of `n`, each with this probability.
    pub fn binomial(&mut self, n: u64, probability: f64) -> u64 {
        let probability = probability.clamp(0.0, 1.0);
        Binomial::new(n, probability).map_or(0, |binomial| binomial.sample(&mut self.0))
    }

    /// A share around `mean`, the nearer the greater `concentration` is.
    pub fn beta(&mut self, mean: f64, concentration: f64) -> f64 {
        Beta::new(mean * concentration, (1.0 - mean) * concentration).map_or(mean, |beta| beta.sample(&mut self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_variance(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let drawn: Vec<f64> = (0..20_000).map(|_| draw()).collect();
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        (mean, variance)
    }

    fn near(is: f64, should: f64, within: f64) {
        assert!((is / should - 1.0).abs() < within, "{is} is not {should}");
    }

    #[test]
    fn samples_have_the_mean_and_the_variance_of_their_distribution() {
        let mut chance = Chance::new(1, 1);
        for rate in [0.3, 75.0, 14_250.0] {
            let (mean, variance) = mean_and_variance(|| chance.poisson(rate) as f64);
            near(mean, rate, 0.03);
            near(variance, rate, 0.05);
        }
        for (n, p) in [(40, 0.02), (750, 0.05), (15_000, 0.002), (15_000, 0.95)] {
            let (mean, variance) = mean_and_variance(|| chance.binomial(n, p) as f64);
            near(mean, n as f64 * p, 0.03);
            near(variance, n as f64 * p * (1.0 - p), 0.05);
        }
        for (share, concentration) in [(0.003, 1000.0), (0.002, 200.0), (0.25, 20_000.0)] {
            let (mean, variance) = mean_and_variance(|| chance.beta(share, concentration));
            near(mean, share, 0.03);
            near(variance, share * (1.0 - share) / (concentration + 1.0), 0.1);
        }
    }

    #[test]
    fn what_cannot_be_drawn_from_is_its_mean() {
        let mut chance = Chance::new(1, 1);
        assert_eq!(
            (chance.poisson(0.0), chance.binomial(0, 0.5), chance.binomial(9, 7.0)),
            (0, 0, 9)
        );
        near(chance.beta(1.0, 100.0), 1.0, 1e-12);
    }

    #[test]
    fn runs_and_purposes_differ_and_come_again() {
        let first = |seed, purpose| Chance::new(seed, purpose).unit().to_bits();
        assert_eq!(first(7, 3), first(7, 3));
        let mut all: Vec<u64> = (0..100).flat_map(|s| (0..100).map(move |p| first(s, p))).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 10_000);
    }
}
