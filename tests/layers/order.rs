//! Who may use whom: layers of `src/`, and layers of `src/engine/`.

use std::collections::BTreeMap;

use crate::{
    imports::{Import, first_of_each},
    tree::{Complaint, Tree},
};

/// Folders of `src/` from the ground up, each with all that it may use.
const LAYERS: [(&str, &str); 16] = [
    // What users write and read: it knows no store, no route and no object of Kubernetes.
    ("api", ""),
    // Tells what happens; whoever is pure has nothing to log.
    ("log", ""),
    // Permits that namespaces share.
    ("fair", ""),
    // Plain JSON of Kubernetes: owners of fields, patches, names of pods.
    ("kubernetes", "api"),
    // The plugin: what it shows stands in the objects.
    ("cli", "api"),
    ("workload", "api kubernetes"),
    ("router", "api kubernetes"),
    ("provider", "api log fair kubernetes"),
    ("webhook", "api log fair kubernetes"),
    // Pure: of the provider only its types; see SHELLS.
    ("engine", "api kubernetes workload router provider"),
    ("look", "api kubernetes workload router provider engine"),
    // The engine without a cluster.
    ("simulate", "api kubernetes workload router provider engine look"),
    // The same with what a metrics store has kept.
    ("backtest", "api kubernetes provider engine simulate"),
    (
        "controller",
        "api log fair kubernetes workload router provider webhook engine look",
    ),
    (
        "runtime",
        "api log fair kubernetes workload router provider webhook engine look controller simulate backtest",
    ),
    (
        ROOT,
        "api log fair kubernetes workload router provider webhook engine look controller simulate backtest runtime cli",
    ),
];
const ROOT: &str = "lib.rs and the binaries";

/// Who may use modules named `shell`, in which all requests are made, beside the folder that has them.
const SHELLS: [&str; 4] = ["backtest", "controller", "runtime", ROOT];

/// Folders of `src/engine/`, from the ground up; `engine/mod.rs` puts them together.
const ENGINE: [&str; 8] = [
    "contract", "facts", "judge", "draft", "guards", "modes", "phases", "result",
];

/// No import runs upward in `src/`.
pub fn layers(tree: &Tree, imports: &[Import]) -> Vec<Complaint> {
    let known = BTreeMap::from(LAYERS);
    let mut found: Vec<Complaint> = unknown(tree, layer, |name| known.contains_key(name), "layers").collect();
    for import in first_of_each(imports) {
        let (from, to) = (layer(&import.from), layer(&import.to));
        if let Some(below) = known
            .get(from)
            .filter(|below| from != to && !below.split(' ').any(|name| name == to))
        {
            let below = if below.is_empty() { "nothing" } else { below };
            found.push(complaint(
                "layers",
                import,
                format!("{from} uses {}", import.target.join("::")),
                format!("{from} may use only: {below}; move what it needs there, or let the caller pass it in"),
            ));
        }
    }
    for import in imports {
        let (from, to) = (layer(&import.from), layer(&import.to));
        if from != to && !SHELLS.contains(&from) && import.to.split(['/', '.']).any(|part| part == "shell") {
            found.push(complaint(
                "layers",
                import,
                format!("{from} uses {}, which makes requests", import.target.join("::")),
                "use the pure types beside the shell, and let the controller make the request".to_owned(),
            ));
        }
    }
    found
}

/// No import runs upward in `src/engine/`.
pub fn engine_layers(tree: &Tree, imports: &[Import]) -> Vec<Complaint> {
    let rank = |path: &str| match engine_layer(path) {
        "" | "mod.rs" => Some(ENGINE.len()),
        folder => ENGINE.iter().position(|name| *name == folder),
    };
    let known = |name: &str| matches!(name, "" | "mod.rs") || ENGINE.contains(&name);
    let mut found: Vec<Complaint> = unknown(tree, engine_layer, known, "layers of the engine").collect();
    for import in first_of_each(imports) {
        if engine_layer(&import.from).is_empty() || engine_layer(&import.to).is_empty() {
            continue;
        }
        if let (Some(from), Some(to)) = (rank(&import.from), rank(&import.to))
            && from < to
        {
            found.push(complaint(
                "layers of the engine",
                import,
                format!("{} uses {}", ENGINE[from], import.target.join("::")),
                format!(
                    "the order is {} < mod.rs; move what is needed down, or what needs it up",
                    ENGINE.join(" < ")
                ),
            ));
        }
    }
    found
}

/// Files whose folder has no place in the order.
fn unknown<'a>(
    tree: &'a Tree,
    layer: fn(&str) -> &str,
    known: impl Fn(&str) -> bool + 'a,
    rule: &'static str,
) -> impl Iterator<Item = Complaint> + 'a {
    let code = tree.sources.iter().filter(|source| !source.code.items.is_empty());
    code.filter(move |source| !known(layer(&source.path)))
        .map(move |source| Complaint {
            rule,
            file: source.path.clone(),
            line: 1,
            what: format!("`{}` has no place in the order of layers", layer(&source.path)),
            instead: "move the file into a folder that has one, or give its folder a line in tests/layers/order.rs"
                .to_owned(),
        })
}

/// About a use.
pub fn complaint(rule: &'static str, import: &Import, what: String, instead: String) -> Complaint {
    Complaint {
        rule,
        file: import.from.clone(),
        line: import.line,
        what,
        instead,
    }
}

/// The folder of `src/` that a file belongs to.
fn layer(path: &str) -> &str {
    match path.strip_prefix("src/").unwrap_or(path) {
        "lib.rs" | "main.rs" => ROOT,
        binary if binary.starts_with("bin/") => ROOT,
        inner => inner.split(['/', '.']).next().unwrap_or(inner),
    }
}

/// The folder, or file, of `src/engine/` that a file belongs to; empty outside.
pub fn engine_layer(path: &str) -> &str {
    let inner = path.strip_prefix("src/engine/").unwrap_or_default();
    inner.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::imports;

    fn tree(files: &[(&str, &str)]) -> (Tree, Vec<Import>) {
        let tree = Tree::of(files);
        let found = imports(&tree);
        (tree, found)
    }

    fn places(found: &[Complaint]) -> Vec<String> {
        found
            .iter()
            .map(|complaint| format!("{}:{}", complaint.file, complaint.line))
            .collect()
    }

    #[test]
    fn nothing_uses_what_is_above_it() {
        let (tree, imports) = tree(&[
            ("src/lib.rs", "pub mod api;"),
            ("src/main.rs", "fn main() { warmfront::runtime::run() }"),
            ("src/api/mod.rs", "\nfn f() { crate::provider::check() }"),
            (
                "src/provider/mod.rs",
                "use crate::api::Percent; use crate::workload::pod;",
            ),
            ("src/workload/mod.rs", "use crate::router::X;"),
            ("src/workload/pod.rs", ""),
            ("src/router/mod.rs", "use crate::kubernetes::patch;"),
            ("src/kubernetes/mod.rs", "pub fn patch() {}"),
            ("src/engine/mod.rs", "use crate::{router::Want, workload::pod};"),
            ("src/look/mod.rs", "use crate::{engine::Observed, controller::caches};"),
            ("src/controller/mod.rs", "use crate::look; use crate::Thing;"),
            ("src/runtime/mod.rs", "use crate::controller;"),
        ]);
        assert_eq!(
            places(&layers(&tree, &imports)),
            [
                "src/api/mod.rs:2",
                "src/controller/mod.rs:1",
                "src/look/mod.rs:1",
                "src/provider/mod.rs:1",
                "src/workload/mod.rs:1",
            ]
        );
    }

    #[test]
    fn requests_are_made_by_the_controller_only() {
        let files = |layer: &str, text: &str| {
            let user = format!("src/{layer}/mod.rs");
            let (tree, imports) = tree(&[
                ("src/provider/mod.rs", "use shell::Shell;"),
                ("src/provider/shell.rs", "pub struct Shell; use super::X;"),
                (&user, text),
            ]);
            layers(&tree, &imports).len()
        };
        assert_eq!(files("engine", "use crate::provider::shell::Shell;"), 1);
        assert_eq!(
            files("engine", "use crate::provider;\nfn f() { provider::shell::ask() }"),
            1
        );
        assert_eq!(files("engine", "use crate::provider::Question;"), 0);
        assert_eq!(files("look", "use crate::provider::shell;"), 1);
        assert_eq!(files("controller", "use crate::provider::shell;"), 0);
    }

    #[test]
    fn a_new_folder_is_given_a_place() {
        let (tree, imports) = tree(&[("src/helpers/mod.rs", "fn f() {}"), ("src/engine/mod.rs", "fn f() {}")]);
        assert_eq!(places(&layers(&tree, &imports)), ["src/helpers/mod.rs:1"]);
        assert_eq!(
            layers(&tree, &imports)[0].what,
            "`helpers` has no place in the order of layers"
        );
    }

    #[test]
    fn folders_of_the_engine_use_those_before_them() {
        let (tree, imports) = tree(&[
            ("src/engine/mod.rs", "use phases::rest; use result::wake;"),
            ("src/engine/contract/mod.rs", "use super::Decision;"),
            ("src/engine/facts/mod.rs", "use crate::engine::contract::Identity;"),
            (
                "src/engine/guards/gates.rs",
                "use crate::engine::{draft::Draft, phases};",
            ),
            (
                "src/engine/draft/mod.rs",
                "\nuse super::result;\nfn f() { result::wake::at() }",
            ),
            ("src/engine/phases/mod.rs", ""),
            (
                "src/engine/phases/rest.rs",
                "use crate::engine::modes::Workflow; use super::shifting;",
            ),
            ("src/engine/phases/shifting.rs", ""),
            ("src/engine/modes/mod.rs", ""),
            ("src/engine/result/mod.rs", ""),
            ("src/engine/result/wake.rs", "fn f() {}"),
            ("src/engine/flat.rs", "fn f() {}"),
            ("src/controller/mod.rs", "use crate::engine::decide;"),
        ]);
        assert_eq!(
            places(&engine_layers(&tree, &imports)),
            [
                "src/engine/flat.rs:1",
                "src/engine/contract/mod.rs:1",
                "src/engine/draft/mod.rs:2",
                "src/engine/draft/mod.rs:3",
                "src/engine/guards/gates.rs:1",
            ]
        );
    }
}
