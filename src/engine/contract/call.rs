//! Requests to other systems: what is sent, what came back, and when an unanswered one is tried again.
//!
//! They run outside of passes, so none of them makes a decision wait. A call is known by its key, which stays
//! the same however often it is sent, and by the number of the attempt: a late answer to an earlier one means nothing.

use crate::api::moment::Moment as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::api::plan::PlannedWebhook;

/// One POST request.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The same for every attempt, also of another process; sent as header `Idempotency-Key`.
    pub key: String,
    /// Number of the attempt, from 0.
    pub attempt: i32,
    /// Where to, and how.
    pub webhook: PlannedWebhook,
    /// What is sent.
    pub body: Value,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Number of the attempt.
    pub attempt: i32,
    /// The HTTP status, or why there is none.
    pub answer: Result<u16, String>,
}

impl Reply {
    /// 2xx.
    pub fn is_yes(&self) -> bool {
        matches!(self.answer, Ok(200..=299))
    }

    /// 4xx, but for those that only mean "not now".
    pub fn is_no(&self) -> bool {
        matches!(self.answer, Ok(code @ 400..=499) if !matches!(code, 408 | 425 | 429))
    }

    /// In a few words, without anything of the answer's body.
    pub fn words(&self) -> String {
        match &self.answer {
            Ok(code) => format!("HTTP {code}"),
            Err(why) => why.clone(),
        }
    }
}

/// `once`, or `3 times`.
pub fn times(attempts: i32) -> String {
    if attempts == 1 {
        "once".to_owned()
    } else {
        format!("{attempts} times")
    }
}

/// Delay after the first answer that decided nothing; each further one doubles it.
const FIRST_DELAY: SignedDuration = SignedDuration::from_secs(2);

/// Longest delay.
const LONGEST_DELAY: SignedDuration = SignedDuration::from_secs(30);

/// When a call is tried again after this many attempts.
pub fn again_at(attempts: i32, now: Timestamp) -> Timestamp {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default().min(10);
    let factor = 1_i32.checked_shl(doublings).unwrap_or(i32::MAX);
    now.plus(FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute() {
        let now = Timestamp::UNIX_EPOCH;
        let delays: Vec<i64> = [0, 1, 2, 3, 4, 5, 6, 7, i32::MAX]
            .map(|attempts| again_at(attempts, now).duration_since(now).as_secs())
            .to_vec();
        assert_eq!(delays, vec![2, 2, 4, 8, 16, 30, 30, 30, 30]);
    }

    #[test]
    fn only_some_4xx_say_no() {
        let of = |answer: Result<u16, &str>| Reply {
            attempt: 0,
            answer: answer.map_err(str::to_owned),
        };
        let kinds = |answer| (of(answer).is_yes(), of(answer).is_no());
        for yes in [200, 204, 299] {
            assert_eq!(kinds(Ok(yes)), (true, false), "{yes}");
        }
        for no in [400, 403, 404, 409, 422, 499] {
            assert_eq!(kinds(Ok(no)), (false, true), "{no}");
        }
        for again in [
            Ok(302),
            Ok(408),
            Ok(425),
            Ok(429),
            Ok(500),
            Ok(503),
            Err("no answer within 10s"),
        ] {
            assert_eq!(kinds(again), (false, false), "{again:?}");
        }
    }
}
