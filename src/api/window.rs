//! Windows: days and hours, in a time zone, at which weights may rise.

use jiff::{
    Timestamp, ToSpan,
    civil::Time,
    tz::{TimeZone, TimeZoneDatabase},
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time of the week at which weights may rise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Days on which the window opens, such as `Mon-Thu` or `Sat`, at most 7. Default: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Days>,
    /// When the window opens, `00:00` to `23:59`.
    pub from: TimeOfDay,
    /// When the window closes, `00:00` to `24:00`; on the next day, unless this is after `from`.
    pub to: TimeOfDay,
    /// Time zone of `days`, `from` and `to`, as the IANA database names it, such as `Europe/Berlin`. Default `UTC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9_+/-]+$')", "a time zone is named as in the IANA database, such as Europe/Berlin"))]
    pub time_zone: Option<String>,
}

/// A day, `Mon` to `Sun`, or a range of days such as `Sat-Mon`, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Days(
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-validations" = [{
            "rule": "self.matches('^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?$')",
            "message": "a day is Mon, Tue, Wed, Thu, Fri, Sat or Sun, or a range such as Mon-Thu",
        }])
    )]
    String,
);

/// A time of day, `00:00` to `24:00`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TimeOfDay(
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-validations" = [{
            "rule": "self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')",
            "message": "a time of day is 00:00 to 24:00, with two digits each, such as 09:30",
        }])
    )]
    String,
);

/// A valid window, its times in minutes and its time zone looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedWindow {
    /// Whether it opens on this day; the first is Monday.
    days: [bool; 7],
    /// When it opens, in minutes after midnight, 0 to 1439.
    from: i16,
    /// When it closes, in minutes after midnight of the day on which it opens: more than `from`, at most 2880.
    to: i16,
    zone: TimeZone,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY: i16 = 24 * 60;

fn day(name: &str) -> Result<usize, String> {
    DAYS.iter().position(|day| *day == name).ok_or_else(|| {
        format!("`{name}` is not a day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun, or a range such as Mon-Thu")
    })
}

fn minutes(time: &TimeOfDay) -> Result<i16, String> {
    let parse = || {
        let (hours, minutes) = time.0.split_once(':')?;
        let (hours, minutes): (i16, i16) = (hours.parse().ok()?, minutes.parse().ok()?);
        let total = hours.checked_mul(60)?.checked_add(minutes)?;
        ((0..60).contains(&minutes) && (0..=DAY).contains(&total)).then_some(total)
    };
    parse().ok_or_else(|| format!("`{}` is not a time of day: write 00:00 to 24:00", time.0))
}

impl TryFrom<&Window> for PlannedWindow {
    type Error = String;

    fn try_from(window: &Window) -> Result<Self, String> {
        let mut days = [window.days.is_empty(); 7];
        for range in &window.days {
            let (first, last) = range.0.split_once('-').unwrap_or((&range.0, &range.0));
            let (mut at, last) = (day(first)?, day(last)?);
            loop {
                days[at] = true;
                if at == last {
                    break;
                }
                at = (at + 1) % 7;
            }
        }
        let (from, mut to) = (minutes(&window.from)?, minutes(&window.to)?);
        if from == DAY {
            return Err("`from` must be before 24:00".to_owned());
        }
        if to <= from {
            to = to.saturating_add(DAY);
        }
        let name = window.time_zone.as_deref().unwrap_or("UTC");
        // The database in the binary: the machine's may be missing or old.
        let zone = TimeZoneDatabase::bundled()
            .get(name)
            .map_err(|_| format!("`{name}` is not a time zone: write a name such as Europe/Berlin"))?;
        Ok(Self { days, from, to, zone })
    }
}

impl PlannedWindow {
    /// When it opened, if it is open at `now`; otherwise when it opens next, if it does within a week.
    fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        // One that opened yesterday may be open until today.
        (-1..=8).find_map(|offset| {
            let date = today.checked_add(i64::from(offset).days()).ok()?;
            let begins = self.days[usize::try_from(date.weekday().to_monday_zero_offset()).ok()?];
            let at = |minutes: i16| {
                let midnight = date.checked_add(i64::from(minutes / DAY).days()).ok()?;
                let time = Time::new(
                    i8::try_from(minutes % DAY / 60).ok()?,
                    i8::try_from(minutes % 60).ok()?,
                    0,
                    0,
                )
                .ok()?;
                // If clocks change: a time that occurs twice means the first one, and one that is left out is moved on by the gap.
                midnight
                    .to_datetime(time)
                    .to_zoned(self.zone.clone())
                    .ok()
                    .map(|zoned| zoned.timestamp())
            };
            let (start, end) = (at(self.from)?, at(self.to)?);
            (begins && now < end).then_some(start)
        })
    }
}

/// When the next window opens; `None` if one is open at `now`, or if there are no windows, so that weights may rise.
pub fn opens_at(windows: &[PlannedWindow], now: Timestamp) -> Option<Timestamp> {
    windows
        .iter()
        .filter_map(|window| window.opens(now))
        .min()
        .filter(|opens| *opens > now)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn opens(windows: &Value, now: &str) -> Option<String> {
        let windows: Vec<Window> = serde_json::from_value(windows.clone()).unwrap();
        let planned: Vec<PlannedWindow> = windows
            .iter()
            .map(|window| PlannedWindow::try_from(window).unwrap())
            .collect();
        opens_at(&planned, now.parse().unwrap()).map(|at| at.to_string())
    }

    #[test]
    fn a_window_is_open_from_its_first_to_before_its_last_minute() {
        let office = json!([{"days": ["Mon-Thu"], "from": "09:00", "to": "16:00", "timeZone": "Europe/Berlin"}]);
        // Wednesday, 25 November 2026: Berlin is an hour ahead.
        assert_eq!(
            opens(&office, "2026-11-25T07:59:59Z").as_deref(),
            Some("2026-11-25T08:00:00Z")
        );
        assert_eq!(opens(&office, "2026-11-25T08:00:00Z"), None);
        assert_eq!(opens(&office, "2026-11-25T14:59:59Z"), None);
        assert_eq!(
            opens(&office, "2026-11-25T15:00:00Z").as_deref(),
            Some("2026-11-26T08:00:00Z")
        );
        assert_eq!(
            opens(&office, "2026-11-26T15:00:00Z").as_deref(),
            Some("2026-11-30T08:00:00Z"),
            "over the weekend"
        );
        assert_eq!(
            opens(&office, "2026-07-01T06:59:00Z").as_deref(),
            Some("2026-07-01T07:00:00Z"),
            "in summer two hours"
        );
    }

    #[test]
    fn windows_may_pass_midnight_and_stand_beside_each_other() {
        let night = json!([{"days": ["Fri"], "from": "22:00", "to": "06:00"}, {"days": ["Sun"], "from": "00:00", "to": "24:00"}]);
        assert_eq!(
            opens(&night, "2026-11-27T21:59:00Z").as_deref(),
            Some("2026-11-27T22:00:00Z")
        );
        assert_eq!(opens(&night, "2026-11-28T05:59:00Z"), None, "Friday's, on Saturday");
        assert_eq!(
            opens(&night, "2026-11-28T06:00:00Z").as_deref(),
            Some("2026-11-29T00:00:00Z")
        );
        assert_eq!(opens(&night, "2026-11-29T23:59:59Z"), None);
        assert_eq!(
            opens(&night, "2026-11-30T00:00:00Z").as_deref(),
            Some("2026-12-04T22:00:00Z")
        );
        assert_eq!(
            opens(&json!([{"from": "08:00", "to": "08:00"}]), "2026-11-30T03:00:00Z"),
            None,
            "always"
        );
        assert_eq!(opens(&json!([]), "2026-11-30T03:00:00Z"), None);
        assert_eq!(
            opens(
                &json!([{"days": ["Sat-Mon"], "from": "08:00", "to": "09:00"}]),
                "2026-11-25T00:00:00Z"
            )
            .as_deref(),
            Some("2026-11-28T08:00:00Z")
        );
    }

    #[test]
    fn a_change_of_clocks_neither_skips_a_window_nor_opens_it_early() {
        // In Berlin 02:30 does not exist on 29 March 2026, and comes twice on 25 October.
        let berlin = json!([{"from": "02:30", "to": "04:00", "timeZone": "Europe/Berlin"}]);
        assert_eq!(
            opens(&berlin, "2026-03-29T00:00:00Z").as_deref(),
            Some("2026-03-29T01:30:00Z")
        );
        assert_eq!(
            opens(&berlin, "2026-10-25T00:00:00Z").as_deref(),
            Some("2026-10-25T00:30:00Z")
        );
        assert_eq!(opens(&berlin, "2026-10-25T02:59:00Z"), None);
    }

    #[test]
    fn what_is_no_window_says_why() {
        for (window, why) in [
            (json!({"from": "9", "to": "16:00"}), "`9` is not a time of day"),
            (json!({"from": "24:00", "to": "16:00"}), "before 24:00"),
            (json!({"from": "09:00", "to": "24:01"}), "`24:01` is not a time of day"),
            (
                json!({"days": ["Monday"], "from": "09:00", "to": "16:00"}),
                "`Monday` is not a day",
            ),
            (
                json!({"from": "09:00", "to": "16:00", "timeZone": "Mars/Olympus"}),
                "`Mars/Olympus` is not a time zone",
            ),
        ] {
            let window: Window = serde_json::from_value(window).unwrap();
            let refused = PlannedWindow::try_from(&window).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
