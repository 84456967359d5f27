//! No two files of `src/engine/` use each other, be it by way of others: each can be read by itself, from the ground up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    imports::{Import, first_of_each},
    order::{complaint, engine_layer},
    tree::Complaint,
};

/// What is read of a look and the mode it is read by are one thing in two files.
const ONE: [&str; 2] = ["src/engine/facts/mod.rs", "src/engine/facts/mode.rs"];

/// No files of `src/engine/` use each other, be it by way of others.
pub fn circles(imports: &[Import]) -> Vec<Complaint> {
    let node = |path: &'_ str| {
        if ONE.contains(&path) {
            ONE[0].to_owned()
        } else {
            path.to_owned()
        }
    };
    let mut uses: BTreeMap<String, BTreeMap<String, &Import>> = BTreeMap::new();
    for import in first_of_each(imports) {
        let (from, to) = (node(&import.from), node(&import.to));
        if !engine_layer(&import.from).is_empty() && !engine_layer(&import.to).is_empty() && from != to {
            uses.entry(from).or_default().entry(to).or_insert(import);
        }
    }
    let mut circles: Vec<Vec<&Import>> = Vec::new();
    for to_all in uses.values() {
        for (to, import) in to_all {
            if let Some(back) = shortest(&uses, to, &node(&import.from)) {
                circles.push([vec![*import], back].concat());
            }
        }
    }
    circles.sort_by_key(Vec::len);
    let mut told = BTreeSet::new();
    // Two files that use each other are all told; of longer circles those of which no part was told.
    circles.retain(|circle| {
        let parts: Vec<(&String, &String)> = circle.iter().map(|import| (&import.from, &import.to)).collect();
        let is_new = !parts.iter().any(|part| told.contains(part));
        if is_new {
            told.extend(parts);
        }
        is_new
    });
    let describe = |circle: Vec<&Import>| {
        let way: Vec<String> = circle[1..]
            .iter()
            .map(|import| format!("{}:{} uses {}", import.from, import.line, import.target.join("::")))
            .collect();
        complaint(
            "no circles",
            circle[0],
            format!("uses {}, and {}", circle[0].target.join("::"), way.join(", and ")),
            "move what both need into a file below them; a `pub use` in the parent counts as a use".to_owned(),
        )
    };
    circles.into_iter().map(describe).collect()
}

/// The shortest way by uses.
fn shortest<'a>(
    uses: &BTreeMap<String, BTreeMap<String, &'a Import>>,
    from: &str,
    to: &str,
) -> Option<Vec<&'a Import>> {
    let mut ways = VecDeque::from([(from.to_owned(), Vec::new())]);
    let mut seen = BTreeSet::from([from.to_owned()]);
    while let Some((at, way)) = ways.pop_front() {
        if at == to {
            return Some(way);
        }
        for (next, import) in uses.get(&at).into_iter().flatten() {
            if seen.insert(next.clone()) {
                ways.push_back((next.clone(), [way.clone(), vec![*import]].concat()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{imports::imports, tree::Tree};

    fn found(files: &[(&str, &str)]) -> Vec<Complaint> {
        circles(&imports(&Tree::of(files)))
    }

    #[test]
    fn files_of_the_engine_stand_in_no_circle() {
        let two = found(&[
            ("src/engine/guards/a.rs", "use super::b::f;"),
            ("src/engine/guards/b.rs", "\nfn f() { super::a::g() }"),
        ]);
        assert_eq!(
            (two.len(), two[0].file.as_str(), two[0].line),
            (1, "src/engine/guards/a.rs", 1)
        );
        assert_eq!(
            two[0].what,
            "uses engine::guards::b::f, and src/engine/guards/b.rs:2 uses engine::guards::a::g"
        );
        let three = found(&[
            ("src/engine/a.rs", "use super::b;"),
            ("src/engine/b.rs", "use super::c;"),
            ("src/engine/c.rs", "use super::a; use super::d;"),
            ("src/engine/d.rs", ""),
        ]);
        assert_eq!((three.len(), three[0].file.as_str()), (1, "src/engine/a.rs"));
        let exported = found(&[
            ("src/engine/draft/mod.rs", "pub use cursor::X;"),
            ("src/engine/draft/cursor.rs", "use super::Draft;"),
        ]);
        assert_eq!(exported.len(), 1);
        let declared = found(&[
            ("src/engine/draft/mod.rs", "mod cursor;"),
            ("src/engine/draft/cursor.rs", "use super::Draft;"),
        ]);
        assert_eq!(declared, []);
        let outside = found(&[("src/api/a.rs", "use super::b;"), ("src/api/b.rs", "use super::a;")]);
        assert_eq!(outside, []);
    }

    #[test]
    fn facts_and_their_mode_are_one() {
        let facts = ("src/engine/facts/mod.rs", "use mode::Mode;");
        let mode = ("src/engine/facts/mode.rs", "use super::Facts;");
        assert_eq!(found(&[facts, mode]), []);
        let mode = ("src/engine/facts/mode.rs", "use super::{Facts, text::x};");
        let text = ("src/engine/facts/text.rs", "use super::Facts;");
        assert_eq!(found(&[facts, mode, text]).len(), 1);
    }
}
