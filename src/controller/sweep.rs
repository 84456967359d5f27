//! Takes out of the caches what nobody seeks any more: rollouts go, and name other objects than before.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::yield_now, time::sleep};

use super::{
    kinds::{Caches, PICKS, Pick},
    sought::Sought,
};

/// Time between two looks, 5 min.
const EVERY: Duration = Duration::from_mins(5);

/// Sweeps for ever.
pub async fn run(caches: Arc<Caches>) {
    let mut seen = HashMap::new();
    loop {
        sleep(EVERY).await;
        once(&caches, &mut seen).await;
    }
}

/// Sweeps the namespaces whose rollouts seek other things than at the last look; `seen` has their stamps.
async fn once(caches: &Caches, seen: &mut HashMap<String, u64>) {
    let mut now = HashMap::new();
    for pick in PICKS {
        if matches!(pick(caches).row().sought, Sought::All(_)) {
            continue;
        }
        let seeking = caches.seeking(pick(caches).row());
        pick(caches).shelf().retain_sought(&seeking);
        let namespaces = pick(caches).shelf().namespaces();
        for namespace in namespaces {
            let stamp = caches.rollouts.shelf().stamp_of_specs(&namespace);
            if seen.get(&namespace) != Some(&stamp) {
                sweep(caches, pick, &namespace);
                yield_now().await;
            }
            now.insert(namespace, stamp);
        }
    }
    *seen = now;
}

fn sweep(caches: &Caches, pick: Pick, namespace: &str) {
    let (cache, sought) = (pick(caches), pick(caches).row().sought);
    let names = cache.shelf().names(namespace);
    for name in names {
        let kept = cache.get(Some(namespace), &name);
        if let Some(object) = kept.filter(|object| !sought.is_sought(caches, object)) {
            let keys = sought.sought_by(&object);
            cache.shelf().drop_foreign(&object, &keys);
        }
    }
}

#[cfg(test)]
mod tests;
