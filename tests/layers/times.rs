//! Nothing makes or changes a length of time in a way that panics when it is out of range: specs and statuses say what they like.

use syn::{
    ExprMethodCall, ExprPath, ItemConst, ItemStatic,
    visit::{self, Visit},
};

use crate::tree::{Complaint, Tree};

/// Of jiff and of the standard library. What `+` and `-` do, clippy sees (`clippy.toml`).
const PANICKING: [&str; 11] = [
    "from_hours",
    "from_mins",
    "from_secs_f32",
    "from_secs_f64",
    "from_millis_i128",
    "from_micros_i128",
    "from_nanos_i128",
    "mul_f32",
    "mul_f64",
    "div_f32",
    "div_f64",
];

/// Where their arguments are our own, with the reason.
const OWN: [(&str, &str); 2] = [
    ("src/controller/mod.rs", "a share of at most 2 s"),
    (
        "src/runtime/lease/mod.rs",
        "a fixed pause and a jitter of at most a quarter of it",
    ),
];

/// Constants are computed by the compiler, which then fails.
pub fn times(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for source in &tree.sources {
        if OWN.iter().any(|(path, _)| source.path == *path) || source.path == "src/api/duration.rs" {
            continue;
        }
        let mut calls = Calls(Vec::new());
        calls.visit_file(&source.code);
        found.extend(calls.0.into_iter().map(|(line, name)| Complaint {
            rule: "times that saturate",
            file: source.path.clone(),
            line,
            what: format!("`{name}` panics when the result is out of range"),
            instead: "use what is checked or saturates, such as src/api/moment.rs, or say in tests/layers/times.rs why it is in range"
                .to_owned(),
        }));
    }
    found
}

struct Calls(Vec<(usize, String)>);

impl Calls {
    fn see(&mut self, name: &syn::Ident) {
        let text = name.to_string();
        if PANICKING.contains(&text.as_str()) {
            self.0.push((name.span().start().line, text));
        }
    }
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_item_const(&mut self, _: &'ast ItemConst) {}

    fn visit_item_static(&mut self, _: &'ast ItemStatic) {}

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.see(&call.method);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        if let Some(last) = path.path.segments.last().filter(|_| path.path.segments.len() > 1) {
            self.see(&last.ident);
        }
        visit::visit_expr_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        times(&Tree::of(&[(path, text)]))
            .iter()
            .map(|complaint| complaint.line)
            .collect()
    }

    #[test]
    fn what_panics_on_overflow_is_seen() {
        let call =
            "fn f(n: i64) {\nSignedDuration::from_hours(n);\nwait.mul_f64(x);\nn.map(Duration::from_secs_f64)\n}";
        assert_eq!(found("src/engine/x.rs", call), [2, 3, 4]);
        assert_eq!(found("src/runtime/lease/mod.rs", call), []);
        assert_eq!(
            found(
                "src/engine/x.rs",
                "const X: D = D::from_hours(1);\nfn f() { wait.saturating_mul(2) }"
            ),
            []
        );
        assert_eq!(
            found(
                "src/engine/x.rs",
                "#[cfg(test)] mod tests { fn f() { D::from_hours(n) } }"
            ),
            []
        );
    }
}
