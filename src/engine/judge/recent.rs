//! Counts of the last ticks, two to a block, so that little is stored.

use serde::{Deserialize, Serialize};

use super::tick::Count;

/// The blocks, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(Vec<Count>);

impl Recent {
    /// Adds the tick with this number in the run; only the newest blocks are kept.
    pub fn add(&mut self, count: Count, tick: u64, blocks: usize) {
        match self.0.last_mut() {
            Some(last) if tick.is_multiple_of(2) => *last = last.plus(count),
            _ => self.0.push(count),
        }
        let surplus = self.0.len().saturating_sub(blocks);
        self.0.drain(..surplus);
    }

    /// All of it.
    pub fn sum(&self) -> Count {
        Count::sum(&self.0)
    }

    /// The newest blocks.
    pub fn newest(&self, blocks: usize) -> Count {
        Count::sum(self.0.iter().rev().take(blocks))
    }

    /// The newest blocks without the one that has the most: what a single strange count cannot be.
    pub fn without_the_greatest(&self, blocks: usize) -> Count {
        let newest = || self.0.iter().rev().take(blocks);
        let greatest = newest().max_by(|one, other| one.total.total_cmp(&other.total));
        let rest = newest().filter(|count| !greatest.is_some_and(|greatest| std::ptr::eq(*count, greatest)));
        Count::sum(rest)
    }

    /// Nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ticks_make_a_block() {
        let mut recent = Recent::default();
        for (tick, total) in [(1, 10.0), (2, 20.0), (3, 1e9), (4, 5.0), (5, 7.0)] {
            recent.add(Count { bad: 1.0, total }, tick, 3);
        }
        assert_eq!(recent.0.len(), 3);
        assert!((recent.newest(1).total - 7.0).abs() < 1e-9);
        assert!((recent.without_the_greatest(3).total - 37.0).abs() < 1e-9);
        recent.add(Count::default(), 7, 3);
        assert!((recent.sum().total - (1e9 + 12.0)).abs() < 1e-9);
    }
}
