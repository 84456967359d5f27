//! When ticks of many rollouts end.

use std::collections::BTreeMap;

use super::*;

#[test]
fn ticks_of_many_rollouts_come_in_groups_that_are_spread_over_the_interval() {
    let now: Timestamp = "2026-01-01T00:00:07.5Z".parse().unwrap();
    for interval in [Duration::from_secs(10), Duration::from_secs(1)] {
        let ends = (0..400).map(|n| grid_end(&format!("{n:08}-uid"), interval, now));
        let mut groups = BTreeMap::<_, usize>::new();
        ends.for_each(|end| *groups.entry(now.duration_since(end)).or_default() += 1);
        let apart = interval.signed() / 20;
        assert!(
            groups
                .keys()
                .all(|since| *since < interval.signed() && since.as_millis() % apart.as_millis() == 0),
            "{groups:?}"
        );
        assert!(
            groups.len() == 20 && groups.values().all(|members| *members < 60),
            "{groups:?}"
        );
    }
}
