//! Whatever a store answers is read within bounds, or refused.

use proptest::prelude::*;

use super::*;
use crate::provider::prometheus::{Value, parse};

const RECORDED: [&str; 3] = [
    include_str!("../fixtures/app-requests.json"),
    include_str!("../fixtures/app-up.json"),
    include_str!("../fixtures/gap-requests.json"),
];

fn reply(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

fn refused(body: &str) -> String {
    parse(200, body.as_bytes()).unwrap_err().message
}

#[test]
fn what_is_more_than_anybody_needs_is_refused() {
    let samples = |number: usize| format!("[{}]", vec![r#"[1,"2"]"#; number].join(","));
    let series = |labels: &str, number: usize| format!(r#"{{"metric":{labels},"values":{}}}"#, samples(number));
    let half = MAX_SAMPLES / 2;
    let two = |last: usize| reply("matrix", &format!("[{},{}]", series("{}", half), series("{}", last)));
    assert!(parse(200, two(half).as_bytes()).is_ok());
    assert_eq!(refused(&two(half + 1)), "the reply has more than 200000 samples");
    let labels: Vec<String> = (0..=MAX_LABELS).map(|number| format!(r#""l{number}":"x""#)).collect();
    let wide = reply(
        "matrix",
        &format!("[{}]", series(&format!("{{{}}}", labels.join(",")), 1)),
    );
    assert_eq!(refused(&wide), "the reply has more than 100 labels in a series");
    let vector = |number: usize| {
        reply(
            "vector",
            &format!("[{}]", vec![r#"{"value":[1,"2"]}"#; number].join(",")),
        )
    };
    assert!(parse(200, vector(MAX_SERIES).as_bytes()).is_ok());
    assert_eq!(refused(&vector(MAX_SERIES + 1)), "the reply has more than 10000 series");
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let body = r#"{"data":{"result":[{"values":[[2,"5"],[1,"4"]],"metric":{"a":"b"}}],"resultType":"matrix"},"status":"success"}"#;
    let Ok(Value::Matrix(series)) = parse(200, body.as_bytes()) else {
        panic!("it is a matrix");
    };
    assert_eq!(series[0].samples, [(1.0, 4.0), (2.0, 5.0)]);
    let warned = body.replacen('{', r#"{"warnings":["PromQL info: x","a store is down"],"#, 1);
    assert!(refused(&warned).contains("not complete"), "before anything else");
}

proptest! {
    #[test]
    fn a_reply_that_was_tampered_with_is_read_or_refused(
        which in 0..RECORDED.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let mut body = RECORDED[which].as_bytes().to_vec();
        for (at, byte, how) in cuts {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.truncate(at.max(1)),
                _ => body.insert(at, byte),
            }
        }
        let _ = parse(200, &body);
    }

    #[test]
    fn any_values_are_read_or_refused(at in any::<f64>(), text in "[-+]?(Inf|NaN|[0-9]{0,400}(\\.[0-9]{0,9})?(e[-+]?[0-9]{1,4})?)", kind in prop::sample::select(vec!["matrix", "vector", "scalar", "string", "x"])) {
        let sample = format!(r#"[{},"{text}"]"#, if at.is_finite() { at } else { 0.0 });
        for result in [format!(r#"[{{"metric":{{}},"values":[{sample}]}}]"#), format!(r#"[{{"value":{sample}}}]"#), sample] {
            let _ = parse(200, reply(kind, &result).as_bytes());
        }
    }
}
