//! Draws products as the law of Zipf says.

/// Draws products: the n-th most wanted one with a probability in proportion to n^-exponent.
pub struct Zipf {
    cumulative: Vec<f64>,
    state: u64,
}

impl Zipf {
    pub fn new(products: u32, exponent: f64, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=products).map(|rank| f64::from(rank).powf(-exponent));
        let cumulative = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self {
            cumulative,
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).max(1),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "only 53 bits are used")]
    pub fn draw(&mut self) -> usize {
        // xorshift64: reproducible, and no test needs better.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let share = (self.state >> 11) as f64 / (1_u64 << 53) as f64;
        let wanted = share * self.cumulative.last().copied().unwrap_or_default();
        self.cumulative.partition_point(|sum| *sum < wanted) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_prefers_the_first_as_the_law_says() {
        let mut zipf = Zipf::new(1_000, 1.1, 1);
        let mut seen = vec![0_u32; 1_001];
        for _ in 0..200_000 {
            seen[zipf.draw()] += 1;
        }
        assert_eq!(seen[0], 0, "products are numbered from 1");
        let expected: f64 = 200_000.0 / (1..=1_000).map(|rank| f64::from(rank).powf(-1.1)).sum::<f64>();
        for rank in [1_u32, 2, 10] {
            let wanted = expected * f64::from(rank).powf(-1.1);
            let found = f64::from(seen[rank as usize]);
            assert!(
                (found - wanted).abs() < wanted * 0.05,
                "rank {rank}: {found} of {wanted}"
            );
        }
    }

    #[test]
    fn one_product_is_always_that_one() {
        assert_eq!(Zipf::new(1, 1.1, 0).draw(), 1);
    }
}
