//! Numbers as sentences: what, how much of how many, the limit, the other version in the same time, and what happens next.

use super::{
    judgement::Evidence,
    told::{RunTime, StepTime},
};

/// A share in percent, with as many decimals as it needs: `4.8%`, `0.25%`, `20.3%`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let text = if value.abs() >= 0.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}%")
}

/// A share in whole percent.
pub fn whole_percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A count with its thousands set apart: `11,250`.
pub fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len().saturating_add(4));
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(index);
        if index > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time: `60s`, `9m30s`, `37m`, `1h27m`.
pub fn duration(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    if !seconds.is_finite() {
        return "a very long time".to_owned();
    }
    if seconds < 2.0 * MINUTE {
        return format!("{seconds:.0}s");
    }
    let halves = (seconds / 30.0).round();
    if halves < 20.0 {
        let minutes = (halves / 2.0).floor();
        let rest = if halves % 2.0 > 0.5 { "30s" } else { "" };
        return format!("{minutes:.0}m{rest}");
    }
    let minutes = (seconds / MINUTE).round();
    if minutes < MINUTE {
        return format!("{minutes:.0}m");
    }
    let hours = (minutes / MINUTE).floor();
    match minutes - hours * MINUTE {
        rest if rest < 0.5 => format!("{hours:.0}h"),
        rest => format!("{hours:.0}h{rest:.0}m"),
    }
}

/// `144 of 3,000 requests to the new version failed in 60s (4.8%, limit 1%); the old version: 0.2%`.
pub fn counted(what: &What, evidence: &Evidence, seconds: f64) -> String {
    let share = percent(evidence.bad / evidence.total.max(1e-9));
    let old = if evidence.baseline_total > 0.0 {
        format!(
            "; the old version: {}",
            percent(evidence.baseline_bad / evidence.baseline_total)
        )
    } else {
        String::new()
    };
    format!(
        "{} of {} {} {} in {} ({share}, limit {}){old}",
        count(evidence.bad),
        count(evidence.total),
        what.things,
        what.bad,
        duration(seconds),
        percent(evidence.limit),
    )
}

/// What a check counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct What {
    /// `requests to the new version`.
    pub things: &'static str,
    /// `failed`.
    pub bad: String,
}

/// `hit ratio stopped rising at 5.1% after 11,250 lookups (a healthy cold cache shows 52% here): …`.
pub fn broken_cache(ratio: f64, lookups: f64, floor: f64) -> String {
    format!(
        "hit ratio stopped rising at {} after {} lookups (a healthy cold cache shows {} here): it is not cold, it does not work",
        percent(ratio),
        count(lookups),
        whole_percent(floor)
    )
}

/// `hit ratio 31%, +5 points with each doubling of lookups; 80% expected in about 37m`.
pub fn warming(ratio: f64, gain: f64, target: f64, seconds: Option<f64>) -> String {
    let when = match seconds {
        Some(seconds) => format!("{} expected in about {}", whole_percent(target), duration(seconds)),
        None => format!("{} not at this weight", whole_percent(target)),
    };
    format!(
        "hit ratio {}, {:+.0} points with each doubling of lookups; {when}",
        whole_percent(ratio),
        gain * 100.0
    )
}

/// `12 of 27 requests needed before 10%; about 5m more`.
pub fn few(seen: f64, needed: f64, next: f64, seconds: f64) -> String {
    format!(
        "{} of {} requests needed before {}; about {} more",
        count(seen.floor()),
        count(needed.ceil()),
        percent(next),
        duration(seconds)
    )
}

/// `1.1% of 4,100 failed (limit 1%): too close to call; Promote accepts it`.
pub fn close(what: &What, evidence: &Evidence) -> String {
    format!(
        "{} of {} {} (limit {}): too close to call; Promote accepts it",
        percent(evidence.bad / evidence.total.max(1e-9)),
        count(evidence.total),
        what.bad,
        percent(evidence.limit)
    )
}

/// `as its cache is cold the limit is 4.1% of requests to the new version that took longer than 300ms; 1% once the cache is warm`.
pub fn allowed_while_cold(what: &What, now: f64, limit: f64) -> String {
    format!(
        "as its cache is cold the limit is {} of {} that {}; {}",
        percent(now),
        what.things,
        what.bad,
        limit_when_warm(limit)
    )
}

/// The same behind a sentence that names the limit of now.
pub fn limit_when_warm(limit: f64) -> String {
    format!("{} once the cache is warm", percent(limit))
}

/// Whether another step back is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It would end the release.
    Ends,
    /// It would be one more.
    StepsBack,
}

/// `both versions fail since the raise to 25% (new 20.3%, old 20.1%): back to 10%; once more ends the release`.
pub fn both_fail(weight: f64, evidence: &Evidence, to: f64, again: Again) -> String {
    let old = if evidence.baseline_total > 0.0 {
        format!(", old {}", percent(evidence.baseline_bad / evidence.baseline_total))
    } else {
        String::new()
    };
    let who = if old.is_empty() {
        "requests fail"
    } else {
        "both versions fail"
    };
    let end = match again {
        Again::Ends => "; once more ends the release",
        Again::StepsBack => "",
    };
    format!(
        "{who} since the raise to {} (new {}{old}): back to {}{end}",
        percent(weight),
        percent(evidence.bad / evidence.total.max(1e-9)),
        percent(to)
    )
}

/// `next 25% would add 130 queries/s (210 of 300 allowed): waiting at 17%`.
pub fn no_room(planned: f64, adds: f64, allowed: f64, capacity: f64, weight: f64) -> String {
    format!(
        "next {} would add {} queries/s ({} of {} allowed): waiting at {}",
        percent(planned),
        count(adds),
        count(allowed),
        count(capacity),
        percent(weight)
    )
}

/// The same where no capacity is stated.
pub fn no_room_without_capacity(planned: f64, weight: f64) -> String {
    format!(
        "the cold cache would miss too often at {}: waiting at {} while it warms; cache.origin.capacity says what the database can carry",
        percent(planned),
        percent(weight)
    )
}

/// `the cold cache slowed the database at 22%: back to 10%, growing no further; …`.
pub fn slowed(weight: f64, to: f64) -> String {
    format!(
        "the cold cache slowed the database at {}: back to {}, growing no further; warm it up first or state cache.origin.capacity",
        percent(weight),
        percent(to)
    )
}

/// `the database carries 285 of 300 at 25%: back to 10%`.
pub fn overloaded(load: f64, capacity: f64, weight: f64, to: f64) -> String {
    format!(
        "the database carries {} of {} at {}: back to {}",
        count(load),
        count(capacity),
        percent(weight),
        percent(to)
    )
}

/// `3,000 of 117,000 …`: the requests are not there.
pub fn mismatch(got: f64, expected: f64, weight: f64) -> String {
    format!(
        "{} requests were counted for the new version, about {} are expected at {}: do they hang, or does the route not act?",
        count(got),
        count(expected),
        percent(weight)
    )
}

/// What is told at the start: how long it takes at this traffic, and how soon a fault is seen.
pub fn started(told: &RunTime) -> String {
    let longer: Vec<String> = told
        .steps
        .iter()
        .filter(|step| step.seconds > step.hold + 1.0 && duration(step.seconds) != duration(step.hold))
        .enumerate()
        .map(|(index, step)| longer(index, step))
        .collect();
    let longer = if longer.is_empty() {
        String::new()
    } else {
        format!(" ({})", longer.join("; "))
    };
    let mut faults: Vec<String> = told
        .faults
        .iter()
        .map(|(share, seconds)| format!("{} after {}", percent(*share), duration((seconds / 60.0).ceil() * 60.0)))
        .collect();
    let seen = if faults.is_empty() {
        String::new()
    } else {
        let first = faults.remove(0).replacen(" after", " is seen after", 1);
        let first_weight = told.steps.first().map_or(1.0, |step| step.weight);
        let all = std::iter::once(first).chain(faults).collect::<Vec<_>>().join(", ");
        format!("; at {} a fault of {all}", percent(first_weight))
    };
    let all = told.to_all();
    format!(
        "at {:.1} requests/s: 100% after about {}, promoted after {}{longer}{seen}",
        told.rate,
        duration(all),
        duration(all + told.bake)
    )
}

fn longer(index: usize, step: &StepTime) -> String {
    let (weight, takes) = (percent(step.weight), duration(step.seconds));
    if index == 0 {
        let hold = duration(step.hold);
        format!(
            "{weight} takes {takes} instead of {hold}: {} requests",
            count(step.needed.ceil())
        )
    } else {
        format!("{weight} {takes}")
    }
}

#[cfg(test)]
mod tests;
