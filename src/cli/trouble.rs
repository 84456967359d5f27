//! Errors of the API server in words: what was tried, why it failed, what to do.

use anyhow::anyhow;
use kube::runtime::watcher;

/// Why a request to this server failed, and what to do. `tried` is what was tried, such as `reading CanaryRollout shop/catalog`.
pub fn explain(server: &str, tried: &str, error: &kube::Error) -> anyhow::Error {
    let why = match error {
        kube::Error::Api(status) => {
            let advice = match status.code {
                401 => "the credentials are not accepted: log in again, or name another context with --context".to_owned(),
                403 => format!(
                    "ask whoever runs the cluster for that right: kubectl canary needs get, list and watch on canaryrollouts, and get and \
                     create on rolloutactions of the group {}; undo and restart change the Deployment besides",
                    crate::api::GROUP
                ),
                404 if kind_is_missing(status) => {
                    "this cluster does not know that kind: is Warmfront installed in it, and is it the right one (--context)?".to_owned()
                }
                409 => "somebody else changed it at the same moment: try again".to_owned(),
                422 | 400 => "correct what it names, and try again".to_owned(),
                429 | 500.. => "the API server is overloaded or starting: try again".to_owned(),
                _ => String::new(),
            };
            let said = status.message.trim().trim_end_matches('.');
            if advice.is_empty() {
                said.to_owned()
            } else {
                format!("{said}; {advice}")
            }
        }
        kube::Error::Auth(error) => format!(
            "the kubeconfig's credentials cannot be had: {}; run what its user names (`kubectl config view --minify`) by hand",
            chain(error)
        ),
        kube::Error::HyperError(_) | kube::Error::Service(_) => format!(
            "the API server at {server} cannot be reached: {}; is it up, and is the context right (--context)?",
            chain(error)
        ),
        other => chain(other),
    };
    anyhow!("{tried} failed: {why}")
}

/// Whether a watch that failed like this fails again however often it is tried.
pub fn is_final(error: &watcher::Error) -> bool {
    matches!(cause(error), Some(kube::Error::Api(status)) if matches!(status.code, 401 | 403 | 404))
        || matches!(cause(error), Some(kube::Error::Auth(_)))
}

/// What a watch failed with, if it was a request.
pub fn cause(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}

/// A kind that is not served answers 404 without the details that an absent object has.
fn kind_is_missing(status: &kube::core::Status) -> bool {
    let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    !named
}

/// An error with its sources; what repeats its source is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = source.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests;
