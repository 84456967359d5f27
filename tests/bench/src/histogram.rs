//! Quantiles of a histogram that a process exports, between two readings of it.

/// Counts by upper edge, not added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// Reads one without labels from OpenMetrics text.
    pub fn read(text: &str, name: &str) -> Self {
        let prefix = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (edge, rest) = line.strip_prefix(&prefix)?.split_once('"')?;
            let count = rest.split_whitespace().nth(1)?.parse().ok()?;
            Some((edge.replace("+Inf", "inf").parse().ok()?, count))
        };
        let mut below = 0.0;
        let mut buckets: Vec<(f64, f64)> = text.lines().filter_map(bucket).collect();
        for (_, count) in &mut buckets {
            let up_to_here = *count;
            *count -= below;
            below = up_to_here;
        }
        Self(buckets)
    }

    /// What came since an earlier reading of the same process.
    pub fn since(&self, earlier: &Self) -> Self {
        // The edges are the same texts each time.
        let before = |edge: f64| {
            earlier
                .0
                .iter()
                .find(|(other, _)| other.total_cmp(&edge).is_eq())
                .map_or(0.0, |(_, count)| *count)
        };
        Self(
            self.0
                .iter()
                .map(|(edge, count)| (*edge, count - before(*edge)))
                .collect(),
        )
    }

    /// How many were observed.
    pub fn count(&self) -> f64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// A quantile, with values spread evenly within a bucket; nothing if none was observed.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut rank = share * self.count();
        let mut lower = 0.0;
        for (edge, count) in self.0.iter().filter(|(_, count)| *count > 0.0) {
            if rank <= *count {
                let upper = if edge.is_finite() { *edge } else { lower };
                return Some(lower.max(self.below(*edge)) + (upper - lower.max(self.below(*edge))) * rank / count);
            }
            rank -= count;
            lower = *edge;
        }
        None
    }

    fn below(&self, edge: f64) -> f64 {
        self.0
            .iter()
            .map(|(other, _)| *other)
            .filter(|other| *other < edge)
            .fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "h_bucket{le=\"0.001\"} 10\nh_bucket{le=\"0.002\"} 10\nh_bucket{le=\"+Inf\"} 10\n";
    const AFTER: &str = "h_bucket{le=\"0.001\"} 60\nh_bucket{le=\"0.002\"} 110\nh_bucket{le=\"+Inf\"} 110\nother_bucket{le=\"0.001\"} 5\n";

    #[test]
    fn quantiles_are_of_what_came_between_two_readings() {
        let came = Histogram::read(AFTER, "h").since(&Histogram::read(BEFORE, "h"));
        assert!((came.count() - 100.0).abs() < f64::EPSILON);
        assert_eq!(came.quantile(0.5), Some(0.001));
        assert_eq!(came.quantile(0.75), Some(0.0015));
        assert_eq!(came.quantile(1.0), Some(0.002));
    }

    #[test]
    fn nothing_observed_has_no_quantile() {
        let reading = Histogram::read(BEFORE, "h");
        assert_eq!(reading.since(&reading).quantile(0.5), None);
    }
}
