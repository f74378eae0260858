//! Lays an agent's tree over the defaults.
//!
//! Every node keeps its own place, so a problem with a merged value is told
//! where the value was written.

use crate::yaml::{Entry, Node, Value};

/// `over` where it says something, `base` elsewhere. Maps are merged key by
/// key; everything else is replaced.
pub(crate) fn merge(base: &Node, over: &Node) -> Node {
    merge_at("", base, over)
}

fn merge_at(path: &str, base: &Node, over: &Node) -> Node {
    match (&base.value, &over.value) {
        (Value::Map(below), Value::Map(above)) => {
            // Another behavior is another thing: the default's keys mean nothing to it.
            let own = path == "behavior" && !above.is_empty();
            let below: Vec<Entry> = match own {
                true => below.iter().filter(|entry| names(above, &entry.key)).cloned().collect(),
                false => below.clone(),
            };
            let entries = merge_entries(path, &below, above);
            Node { place: over.place.clone(), value: Value::Map(entries) }
        }
        // A section without content says nothing.
        (Value::Map(below), Value::Null) => {
            Node { place: over.place.clone(), value: Value::Map(below.clone()) }
        }
        _ => over.clone(),
    }
}

/// An agent has one account: a default one on another network means nothing to it.
const NETWORKS: [&str; 2] = ["matrix", "messager"];

fn merge_entries(path: &str, below: &[Entry], above: &[Entry]) -> Vec<Entry> {
    let mut merged = above.to_vec();
    let has_account = path.is_empty() && NETWORKS.iter().any(|network| names(above, network));
    for entry in below {
        let is_account = NETWORKS.contains(&entry.key.as_str());
        if has_account && is_account && !names(above, &entry.key) {
            continue;
        }
        match merged.iter_mut().find(|own| own.key == entry.key) {
            Some(own) => {
                let path = crate::shape::join(path, &entry.key);
                own.value = merge_at(&path, &entry.value, &own.value);
            }
            None => merged.push(entry.clone()),
        }
    }
    merged
}

fn names(entries: &[Entry], key: &str) -> bool {
    entries.iter().any(|entry| entry.key == key)
}
