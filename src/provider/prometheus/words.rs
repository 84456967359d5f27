//! What the labels of a series say of what it counts. A word that is not known says nothing: it is never taken for good.

use std::collections::BTreeSet;

use super::Series;

/// Labels in which the status of an HTTP request may stand.
const STATUS_LABELS: [&str; 10] = [
    "status",
    "code",
    "status_code",
    "http_response_status_code",
    "http_status_code",
    "http_status",
    "response_code",
    "status_class",
    "outcome",
    "envoy_response_code",
];

/// Labels in which the status of a gRPC call may stand.
const GRPC_LABELS: [&str; 7] = [
    "grpc_code",
    "rpc_grpc_status_code",
    "rpc_response_status_code",
    "grpc_status",
    "code",
    "status_code",
    "status",
];

/// Labels in which the result of a lookup may stand.
const RESULT_LABELS: [&str; 6] = ["result", "hit", "outcome", "cache_status", "status", "type"];

/// Longest label value that is shown, in characters: it comes from whoever calls the app, or wrote it.
const LONGEST_SHOWN: usize = 24;
/// Most label values that are shown.
const MOST_SHOWN: usize = 4;

/// What the labels of a series say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A request that did not fail; a hit.
    Good,
    /// A request that failed; a miss.
    Bad,
    /// Nothing that is counted: no lookup was made.
    Aside,
    /// A label is there, but its word is not known: `label="word"`.
    Unknown(String),
    /// None of the labels is there.
    Nothing,
}

/// Letters and digits of a word, in lower case: `DEADLINE_EXCEEDED` is `DeadlineExceeded`.
fn plain(word: &str) -> String {
    let letters = word.chars().filter(|letter| !matches!(letter, '_' | '-' | ' '));
    letters.flat_map(char::to_lowercase).collect()
}

/// What one of `labels` says by `read`. Bad outweighs good: of two labels that contradict each other one tells of a failure.
fn by_label(series: &Series, labels: &[&str], read: impl Fn(&str, &str) -> Option<Told>) -> Told {
    let mut unknown = Told::Nothing;
    let mut told = None;
    for label in labels {
        let value = series.label(label);
        match read(label, value) {
            _ if value.is_empty() => {}
            Some(Told::Bad) => return Told::Bad,
            Some(known) => told = told.or(Some(known)),
            None if unknown == Told::Nothing => unknown = Told::Unknown(format!("{label}=\"{}\"", clean(value))),
            None => {}
        }
    }
    told.unwrap_or(unknown)
}

/// Whether the request of an HTTP counter failed.
pub(super) fn status(series: &Series) -> Told {
    match by_label(series, &STATUS_LABELS, http) {
        // OpenTelemetry names the exception of a request that was not answered.
        Told::Nothing if !series.label("error_type").is_empty() => Told::Bad,
        told => told,
    }
}

/// A status code, its class (`5xx`), or one of the words for classes that Micrometer writes.
fn http(label: &str, value: &str) -> Option<Told> {
    let by_class = |class: u8| match class {
        b'1'..=b'4' => Some(Told::Good),
        b'5' => Some(Told::Bad),
        _ => None,
    };
    match value.as_bytes() {
        [class, rest @ ..] if rest.eq_ignore_ascii_case(b"xx") => by_class(*class),
        // Go writes `500 Internal Server Error`.
        [class, tens, ones, rest @ ..]
            if tens.is_ascii_digit() && ones.is_ascii_digit() && matches!(rest, [] | [b' ', ..]) =>
        {
            by_class(*class)
        }
        _ => match plain(value).as_str() {
            "informational" | "redirection" | "clienterror" => Some(Told::Good),
            "servererror" => Some(Told::Bad),
            // Of Spring `UNKNOWN` means that the client left before it was answered, as with 499.
            "success" | "unknown" if label == "outcome" => Some(Told::Good),
            _ => None,
        },
    }
}

/// Whether the metric is OpenTelemetry's, which leaves the status out where a request was not answered.
pub(super) fn leaves_out_unanswered(series: &Series) -> bool {
    ["http_request_method", "http_method"]
        .iter()
        .any(|label| !series.label(label).is_empty())
}

/// Whether the call of a gRPC counter failed.
pub(super) fn grpc_status(series: &Series) -> Told {
    by_label(series, &GRPC_LABELS, |_, value| grpc(value))
}

/// A gRPC status, as number or name. The server is to blame for `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS`.
pub(super) fn grpc(value: &str) -> Option<Told> {
    match plain(value).as_str() {
        "2" | "unknown" | "4" | "deadlineexceeded" | "13" | "internal" | "14" | "unavailable" | "15" | "dataloss" => {
            Some(Told::Bad)
        }
        "0" | "ok" | "1" | "cancelled" | "canceled" | "3" | "invalidargument" | "5" | "notfound" | "6"
        | "alreadyexists" | "7" | "permissiondenied" | "8" | "resourceexhausted" | "9" | "failedprecondition"
        | "10" | "aborted" | "11" | "outofrange" | "12" | "unimplemented" | "16" | "unauthenticated" => {
            Some(Told::Good)
        }
        _ => None,
    }
}

/// Whether a lookup missed. The first label whose word is known tells.
pub(super) fn lookup(series: &Series) -> Told {
    let known = |label: &&str| cache(label, series.label(label));
    RESULT_LABELS
        .iter()
        .find_map(known)
        .unwrap_or_else(|| by_label(series, &RESULT_LABELS, cache))
}

/// The result of a lookup. `stale` was served from the cache on purpose; after `error` and `expired` the origin was asked.
fn cache(label: &str, value: &str) -> Option<Told> {
    match (label, plain(value).as_str()) {
        (_, "hit" | "hits" | "stale" | "updating" | "revalidated") | ("hit", "true" | "1" | "yes") => Some(Told::Good),
        (_, "miss" | "misses" | "missed" | "expired")
        | ("hit", "false" | "0" | "no")
        | ("result" | "outcome", "error") => Some(Told::Bad),
        (_, "bypass" | "bypassed") => Some(Told::Aside),
        _ => None,
    }
}

/// A label's value as it may stand in a message: short, and without anything that a terminal or a page would act on.
fn clean(value: &str) -> String {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || "_-./: ".contains(letter);
    let mut shown: String = value
        .chars()
        .take(LONGEST_SHOWN)
        .map(|letter| if harmless(letter) { letter } else { '?' })
        .collect();
    if value.chars().nth(LONGEST_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// What was seen, for a message: the first few.
pub(super) fn list(seen: &BTreeSet<String>) -> String {
    let first: Vec<&str> = seen.iter().take(MOST_SHOWN).map(String::as_str).collect();
    match seen.len().saturating_sub(MOST_SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// For messages: in which labels a status is looked for.
pub(super) fn status_labels() -> String {
    STATUS_LABELS[..4].join(", ")
}

/// For messages: in which labels a gRPC status is looked for.
pub(super) fn grpc_labels() -> String {
    GRPC_LABELS[..4].join(", ")
}

/// For messages: in which labels a lookup's result is looked for.
pub(super) fn result_labels() -> String {
    RESULT_LABELS.join(", ")
}
