//! Who moves the release: outside `engine/draft/` nobody writes to where it is.

use syn::{
    Expr, Member, Pat,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::tree::{Complaint, Tree, arguments};

/// What says where a release is, of the status or of its run.
const PLACE: [&str; 5] = ["phase", "weight", "step", "intent", "growing"];
/// Methods that change what they are called on, or hand it out to be changed.
const CHANGING: [&str; 12] = [
    "as_deref_mut",
    "as_mut",
    "clone_from",
    "get_mut",
    "get_or_insert",
    "get_or_insert_default",
    "get_or_insert_with",
    "insert",
    "iter_mut",
    "replace",
    "take",
    "take_if",
];
/// Types that have those fields: their patterns hand them out as well.
const OWNERS: [&str; 2] = ["Run", "CanaryRolloutStatus"];

/// The draft moves. The judge is handed its own memory alone, in which there is a step as well.
const ELSEWHERE: [&str; 2] = ["src/engine/draft", "src/engine/judge"];

/// Nobody in the engine but the draft writes to them.
pub fn moves(tree: &Tree) -> Vec<Complaint> {
    let elsewhere = |path: &str| ELSEWHERE.iter().any(|folder| path.starts_with(folder));
    let engine = tree
        .sources
        .iter()
        .filter(|source| source.path.starts_with("src/engine/") && !elsewhere(&source.path));
    let mut found = Vec::new();
    for source in engine {
        let mut writes = Writes(Vec::new());
        writes.visit_file(&source.code);
        found.extend(writes.0.into_iter().map(|(line, field)| Complaint {
            rule: "only the draft moves",
            file: source.path.clone(),
            line,
            what: format!("`{field}` of a status or run is changed here"),
            instead: "call the verb of engine/draft/cursor.rs that does it, or add one".to_owned(),
        }));
    }
    found
}

/// Lines, and names of the fields.
struct Writes(Vec<(usize, String)>);

impl Writes {
    fn note(&mut self, expr: &Expr) {
        if let Some(field) = place(expr) {
            self.0.push((expr.span().start().line, field));
        }
    }

    /// A pattern that takes a field by `ref mut`, or out of something that may be changed.
    fn pattern(&mut self, pat: &Pat, of: &Expr) {
        let mut borrows = Borrows {
            takes: is_changeable(of),
            fields: Vec::new(),
            by_ref: false,
        };
        borrows.visit_pat(pat);
        if borrows.by_ref {
            self.note(of);
        }
        self.0.extend(borrows.fields);
    }
}

impl<'ast> Visit<'ast> for Writes {
    fn visit_expr_assign(&mut self, expr: &'ast syn::ExprAssign) {
        self.note(&expr.left);
        // `(run.step, run.weight) = …`
        if let Expr::Tuple(tuple) = &*expr.left {
            tuple.elems.iter().for_each(|expr| self.note(expr));
        }
        visit::visit_expr_assign(self, expr);
    }

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        use syn::BinOp::{
            AddAssign, BitAndAssign, BitOrAssign, BitXorAssign, DivAssign, MulAssign, RemAssign, ShlAssign, ShrAssign,
            SubAssign,
        };
        if matches!(
            expr.op,
            AddAssign(_)
                | SubAssign(_)
                | MulAssign(_)
                | DivAssign(_)
                | RemAssign(_)
                | BitAndAssign(_)
                | BitOrAssign(_)
                | BitXorAssign(_)
                | ShlAssign(_)
                | ShrAssign(_)
        ) {
            self.note(&expr.left);
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_reference(&mut self, expr: &'ast syn::ExprReference) {
        if expr.mutability.is_some() {
            self.note(&expr.expr);
        }
        visit::visit_expr_reference(self, expr);
    }

    fn visit_expr_method_call(&mut self, expr: &'ast syn::ExprMethodCall) {
        if CHANGING.contains(&expr.method.to_string().as_str()) {
            self.note(&expr.receiver);
        }
        visit::visit_expr_method_call(self, expr);
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        self.pattern(&expr.pat, &expr.expr);
        visit::visit_expr_let(self, expr);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let Some(init) = &local.init {
            self.pattern(&local.pat, &init.expr);
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        for arm in &expr.arms {
            self.pattern(&arm.pat, &expr.expr);
        }
        visit::visit_expr_match(self, expr);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        for expr in arguments(call) {
            self.visit_expr(&expr);
        }
    }
}

/// What a pattern takes to be changed.
struct Borrows {
    /// What it is matched against may be changed.
    takes: bool,
    fields: Vec<(usize, String)>,
    by_ref: bool,
}

impl<'ast> Visit<'ast> for Borrows {
    fn visit_pat_struct(&mut self, pat: &'ast syn::PatStruct) {
        let owner = pat
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default();
        for field in pat.fields.iter().filter(|_| OWNERS.contains(&owner.as_str())) {
            let Member::Named(name) = &field.member else { continue };
            let mut inner = Borrows {
                takes: false,
                fields: Vec::new(),
                by_ref: false,
            };
            inner.visit_pat(&field.pat);
            let binds = self.takes && !matches!(*field.pat, Pat::Wild(_));
            if PLACE.contains(&name.to_string().as_str()) && (inner.by_ref || binds) {
                self.fields.push((name.span().start().line, name.to_string()));
            }
        }
        visit::visit_pat_struct(self, pat);
    }

    fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
        self.by_ref |= pat.by_ref.is_some() && pat.mutability.is_some();
        visit::visit_pat_ident(self, pat);
    }
}

/// `&mut x`, `x.as_mut()`.
fn is_changeable(expr: &Expr) -> bool {
    match expr {
        Expr::Reference(reference) => reference.mutability.is_some(),
        Expr::MethodCall(call) => call.method == "as_mut" || is_changeable(&call.receiver),
        Expr::Paren(inner) => is_changeable(&inner.expr),
        Expr::Try(inner) => is_changeable(&inner.expr),
        _ => false,
    }
}

/// The field of PLACE that an expression lies in: `intent` of `run.intent.generations`.
fn place(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Field(field) => {
            let Member::Named(name) = &field.member else {
                return place(&field.base);
            };
            let name = name.to_string();
            if PLACE.contains(&name.as_str()) && !is_columns(&field.base) {
                return Some(name);
            }
            place(&field.base)
        }
        Expr::Index(index) => place(&index.expr),
        Expr::Paren(inner) => place(&inner.expr),
        Expr::Unary(inner) => place(&inner.expr),
        _ => None,
    }
}

/// `status.figures` is what `kubectl get` prints: text, from which nothing follows.
fn is_columns(expr: &Expr) -> bool {
    matches!(expr, Expr::Field(field) if matches!(&field.member, Member::Named(name) if name == "figures"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> Vec<String> {
        let text = format!("fn f() {{\n{body}\n}}");
        let all = moves(&Tree::of(&[("src/engine/guards/x.rs", &text)]));
        all.iter()
            .map(|complaint| format!("{} {}", complaint.line, complaint.what))
            .collect()
    }

    #[test]
    fn writes_are_seen() {
        assert_eq!(
            found("next.status.phase = Phase::Idle;"),
            ["2 `phase` of a status or run is changed here"]
        );
        for write in [
            "run.step += 1;",
            "run.weight = w;",
            "(run.step, other) = (1, 2);",
            "run.intent.at = now;",
            "*run.growing = None;",
            "let old = run.intent.take();",
            "run.growing.get_or_insert_with(f).since = now;",
            "if let Some(growing) = &mut run.growing {}",
            "if let Some(growing) = run.growing.as_mut().filter(|_| true) {}",
            "std::mem::take(&mut run.intent);",
            "run.intent.replace(i);",
            "if let Some(ref mut intent) = run.intent {}",
            "match run.growing { Some(ref mut g) => {} None => {} }",
            "let Run { step, .. } = &mut run;",
            "if let Some(Run { intent: Some(i), .. }) = next.status.run.as_mut() {}",
            "let Run { growing: Some(ref mut g), .. } = run;",
            "vec![run.intent.take()];",
            "next.change(|run| run.step = 3);",
        ] {
            assert_eq!(found(write).len(), 1, "{write}");
        }
    }

    #[test]
    fn reads_are_not() {
        for read in [
            "let x = run.step + 1;",
            "if run.intent == None {}",
            "let Run { step, .. } = &run;",
            "let Run { step: _, number, .. } = &mut run;",
            "match status.phase { Phase::Idle => {} }",
            "run.gates[run.step] = 1;",
            "status.figures.step = text;",
            "other.as_mut();",
            "let Gate { step, .. } = &mut gate;",
            "run.intent.as_ref().map(|intent| intent.weight);",
        ] {
            assert_eq!(found(read), [""; 0], "{read}");
        }
    }

    #[test]
    fn the_draft_moves_and_tests_set_up() {
        let write = "fn f() { run.step = 1; }";
        let tests = format!("#[cfg(test)] mod tests {{ {write} }}");
        let tree = Tree::of(&[
            ("src/engine/draft/cursor.rs", write),
            ("src/engine/tests/world.rs", write),
            ("src/engine/phases/rest.rs", &tests),
            ("src/controller/gather.rs", write),
        ]);
        assert_eq!(moves(&tree), []);
    }
}
