//! How far a PromQL expression looks back.

/// Seconds that the longest range of an expression looks back on, such as `[5m]`; 0 without one.
pub fn longest(promql: &str) -> f64 {
    let bare = without_strings(promql);
    let ranges = bare.split('[').skip(1);
    let inside = ranges.filter_map(|rest| rest.split([']', ':']).next());
    inside.filter_map(seconds).fold(0.0, f64::max)
}

/// The expression without what stands in quotes: a pattern such as `[0-9]` is no range.
fn without_strings(promql: &str) -> String {
    let mut bare = String::with_capacity(promql.len());
    let (mut quote, mut escaped) = (None, false);
    for c in promql.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            // Between backticks nothing is escaped.
            Some(open) if c == '\\' && open != '`' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None => bare.push(c),
        }
    }
    bare
}

/// A length of time as Prometheus writes it: `1h30m`, `500ms`, `1d`; newer ones also take plain seconds.
fn seconds(text: &str) -> Option<f64> {
    let (mut rest, mut sum) = (text.trim(), 0.0);
    if let Some(plain) = rest.parse().ok().filter(|plain: &f64| plain.is_finite()) {
        return Some(plain);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let length = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * length;
        rest = after;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_an_expression() {
        for (promql, range) in [
            ("max(queue)", 0.0),
            ("rate(a[5m]) / rate(b[1h30m])", 5_400.0),
            ("max_over_time(rate(a[30s])[10m:15s])", 600.0),
            ("rate(a[300])", 300.0),
            ("rate(a[ 1.5 ])", 1.5),
            ("a{b=\"[x]\"}", 0.0),
            ("rate(a{path=~\"/[0123456789]\", b='\\'[7d]'}[1m])", 60.0),
            ("rate(a{path=~`\\`}[1m])", 60.0),
            ("a[inf]", 0.0),
        ] {
            assert!((longest(promql) - range).abs() < 1e-9, "{promql}");
        }
    }
}
