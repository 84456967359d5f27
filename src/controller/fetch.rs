//! Fetches what a rollout seeks and is not known to be here: a pass must not take for absent what nobody has kept.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Context,
    caches::Cache,
    decode,
    error::Error,
    intake,
    list::{self, Items},
    shelf::complete::Whole,
    split::Item,
};

/// Longest time of one fetch, 10 s: a namespace may have many objects of a kind.
const LONGEST: Duration = Duration::from_secs(10);

/// Fetches all that a rollout of the namespace with these keys seeks and is missing.
pub async fn missing(context: &Context, namespace: &str, keys: &[String]) -> Result<(), Error> {
    let caches = &context.caches;
    // Whose ReplicaSets are sought the Deployment's selector tells.
    let (first, rest): (Vec<_>, Vec<_>) = caches
        .missing(namespace, keys)
        .into_iter()
        .partition(|(cache, _)| cache.row().kind == caches.deployments.row().kind);
    for missing in [first, rest] {
        let fetches = missing
            .iter()
            .map(|(cache, key)| in_time(context, cache, namespace, key));
        futures::future::try_join_all(fetches).await?;
    }
    Ok(())
}

async fn in_time(context: &Context, cache: &Cache, namespace: &str, key: &str) -> Result<(), Error> {
    let what = || {
        format!(
            "reading the {} of {namespace} that are sought by {key}",
            cache.row().plural
        )
    };
    match timeout(LONGEST, fetch(context, cache, namespace, key)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::Apply {
            action: what(),
            source: error.into(),
        }),
        Err(_) => Err(Error::NoAnswer {
            action: what(),
            after: LONGEST,
        }),
    }
}

async fn fetch(context: &Context, cache: &Cache, namespace: &str, key: &str) -> Result<(), list::Error> {
    let row = cache.row();
    let query = context.caches.query(row, namespace, key);
    let mut fetch = Fetch::begin(cache, namespace, key);
    let mut items = Items::new(context.client.clone(), query);
    while let Some(item) = items.next().await? {
        let text = match item {
            Item::Text(text) => text,
            Item::TooLarge => Vec::new(),
        };
        if let Some(told) = intake::read(&context.caches, row, &text, decode::object) {
            cache.fetched(told);
        }
        items.give_back(text);
    }
    fetch.whole = Whole::Yes;
    Ok(())
}

/// A fetch under way. One that ends early has brought nothing for certain.
struct Fetch<'a> {
    cache: &'a Cache,
    namespace: &'a str,
    key: &'a str,
    whole: Whole,
}

impl<'a> Fetch<'a> {
    fn begin(cache: &'a Cache, namespace: &'a str, key: &'a str) -> Self {
        cache.shelf().begin_fetch(namespace, key);
        Self {
            cache,
            namespace,
            key,
            whole: Whole::No,
        }
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        self.cache.shelf().end_fetch(self.namespace, self.key, self.whole);
    }
}

#[cfg(test)]
mod tests;
