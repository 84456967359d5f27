//! A new phase, or a new reason for a pause, is a compile error wherever it matters: no arm stands for "all others".

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Pat, UseTree,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::tree::{Complaint, Tree, arguments};

/// The enums of which every variant is named in every `match`.
const ENUMS: [&str; 2] = ["Phase", "PauseReason"];
/// Where questions such as "is it moving?" are answered, by methods that name every variant.
const HOME: &str = "src/api/status/";

/// No arm over them catches what it does not name, and no `matches!` asks for some of them.
pub fn arms(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let mut arms = Arms {
            home: source.path.starts_with(HOME),
            within: None,
            found: Vec::new(),
        };
        arms.visit_file(&source.code);
        found.extend(arms.found.into_iter().map(|(line, what, instead)| Complaint {
            rule: "every variant by name",
            file: source.path.clone(),
            line,
            what,
            instead,
        }));
    }
    found
}

struct Arms {
    home: bool,
    /// The enum that the code is an `impl` of.
    within: Option<String>,
    found: Vec<(usize, String, String)>,
}

impl Arms {
    /// The enum that a path names a variant of.
    fn names(&self, path: &syn::Path) -> Option<String> {
        let mut last = path.segments.iter().rev().map(|segment| segment.ident.to_string());
        let (_, before) = (last.next()?, last.next()?);
        if before == "Self" {
            self.within.clone()
        } else {
            ENUMS.contains(&before.as_str()).then_some(before)
        }
    }

    /// Where in a pattern variants are named: the way there, and of which enum.
    fn places(&self, pat: &Pat, way: &[String], found: &mut Vec<(Vec<String>, String)>) {
        let mut named = |path: &syn::Path| {
            if let Some(name) = self.names(path) {
                found.push((way.to_vec(), name));
            }
        };
        match pat {
            Pat::Path(path) => named(&path.path),
            Pat::TupleStruct(pat) => named(&pat.path),
            Pat::Struct(pat) => named(&pat.path),
            _ => {}
        }
        for (step, inner) in parts(pat) {
            self.places(inner, &[way, step.as_slice()].concat(), found);
        }
    }

    /// `matches!(x, Phase::A | Phase::B)`, also within the arguments of other macros.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                let is_matches = at >= 2
                    && matches!(&tokens[at - 2], TokenTree::Ident(name) if name == "matches")
                    && matches!(&tokens[at - 1], TokenTree::Punct(mark) if mark.as_char() == '!');
                if is_matches {
                    self.matches(group.span_open().start().line, group.stream());
                }
                self.tokens(group.stream());
            }
        }
    }

    fn matches(&mut self, line: usize, tokens: TokenStream) {
        let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
        let pattern: TokenStream = tokens.into_iter().skip_while(|token| !is_comma(token)).collect();
        if let Some(name) = variant_in(pattern).filter(|_| !self.home) {
            self.found.push((
                line,
                format!("`matches!` asks for some variants of {name}"),
                format!("ask a method of {name} in {HOME} that names every variant, or compare with `==`"),
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Arms {
    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        let before = self.within.take();
        if let syn::Type::Path(of) = &*block.self_ty {
            let name = of.path.segments.last().map(|segment| segment.ident.to_string());
            self.within = name.filter(|name| ENUMS.contains(&name.as_str()));
        }
        visit::visit_item_impl(self, block);
        self.within = before;
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let mut places = Vec::new();
        for arm in &expr.arms {
            self.places(&arm.pat, &[], &mut places);
        }
        for arm in &expr.arms {
            if let Some((_, name)) = places.iter().find(|(way, _)| catches_all(&arm.pat, way)) {
                self.found.push((
                    arm.pat.span().start().line,
                    format!("this arm catches every {name} that no other arm names"),
                    format!("name the variants, or match on what does not depend on {name} first"),
                ));
            }
        }
        visit::visit_expr_match(self, expr);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if call
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == "matches")
        {
            self.matches(call.span().start().line, call.tokens.clone());
        }
        self.tokens(call.tokens.clone());
        for expr in arguments(call) {
            // Macros within it are among the tokens already.
            Matches(self).visit_expr(&expr);
        }
    }

    fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
        if ENUMS.contains(&path.ident.to_string().as_str())
            && !matches!(*path.tree, UseTree::Name(ref name) if name.ident == "self")
        {
            self.found.push((
                path.ident.span().start().line,
                format!("variants of {0} are brought in without its name", path.ident),
                format!("write `{}::…`, which this test can see", path.ident),
            ));
        }
        visit::visit_use_path(self, path);
    }
}

/// Of a macro's arguments only `match` expressions.
struct Matches<'a>(&'a mut Arms);

impl<'ast> Visit<'ast> for Matches<'_> {
    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let before = self.0.found.len();
        self.0.visit_expr_match(expr);
        // Its macros were searched as tokens.
        let mut kept = self.0.found.split_off(before);
        kept.retain(|(_, what, _)| !what.starts_with("`matches!`"));
        self.0.found.extend(kept);
    }
}

/// Patterns within a pattern, each with its step on the way: an element, a field, or none for another name of the same.
fn parts(pat: &Pat) -> Vec<(Vec<String>, &Pat)> {
    let numbered = |of: &str, elements: &'_ syn::punctuated::Punctuated<Pat, syn::Token![,]>| -> Vec<Vec<String>> {
        (0..elements.len()).map(|index| vec![format!("{of}.{index}")]).collect()
    };
    match pat {
        Pat::Tuple(tuple) => numbered("", &tuple.elems).into_iter().zip(&tuple.elems).collect(),
        Pat::TupleStruct(pat) => numbered(&last(&pat.path), &pat.elems)
            .into_iter()
            .zip(&pat.elems)
            .collect(),
        Pat::Slice(slice) => numbered("[]", &slice.elems).into_iter().zip(&slice.elems).collect(),
        Pat::Struct(pat) => {
            let of = last(&pat.path);
            pat.fields
                .iter()
                .map(|field| (vec![format!("{of}.{}", member(&field.member))], &*field.pat))
                .collect()
        }
        Pat::Or(or) => or.cases.iter().map(|case| (Vec::new(), case)).collect(),
        Pat::Paren(inner) => vec![(Vec::new(), &*inner.pat)],
        Pat::Reference(inner) => vec![(Vec::new(), &*inner.pat)],
        Pat::Type(inner) => vec![(Vec::new(), &*inner.pat)],
        Pat::Guard(inner) => vec![(Vec::new(), &*inner.pat)],
        Pat::Ident(inner) => inner.subpat.iter().map(|(_, pat)| (Vec::new(), &**pat)).collect(),
        _ => Vec::new(),
    }
}

/// Whether a pattern takes whatever stands at the end of the way. One with a guard does not:
/// the compiler still asks for the variants that it meets.
fn catches_all(pat: &Pat, way: &[String]) -> bool {
    match pat {
        Pat::Wild(_) | Pat::Rest(_) => true,
        Pat::Ident(name) if name.subpat.is_none() => {
            // `None` looks like a name that is bound.
            name.ident
                .to_string()
                .chars()
                .next()
                .is_some_and(|first| !first.is_uppercase())
        }
        Pat::Or(_) | Pat::Paren(_) | Pat::Reference(_) | Pat::Type(_) | Pat::Ident(_) => {
            parts(pat).into_iter().any(|(_, inner)| catches_all(inner, way))
        }
        Pat::Tuple(_) | Pat::TupleStruct(_) | Pat::Struct(_) | Pat::Slice(_) => {
            let Some((step, further)) = way.split_first() else {
                return false;
            };
            let all = parts(pat);
            if let Some((_, inner)) = all.iter().find(|(label, _)| label.first() == Some(step)) {
                return catches_all(inner, further);
            }
            // `..` stands for the elements and fields that the pattern leaves out.
            let of = step.rsplit_once('.').map_or("", |(of, _)| of);
            match pat {
                Pat::Struct(pat) => pat.rest.is_some() && last(&pat.path) == of,
                Pat::TupleStruct(pat) => last(&pat.path) == of && ends_open(&pat.elems),
                Pat::Tuple(pat) => of.is_empty() && ends_open(&pat.elems),
                _ => false,
            }
        }
        // A guard, a value, a range.
        _ => false,
    }
}

fn ends_open(elements: &syn::punctuated::Punctuated<Pat, syn::Token![,]>) -> bool {
    elements.iter().any(|pat| matches!(pat, Pat::Rest(_)))
}

fn last(path: &syn::Path) -> String {
    path.segments
        .last()
        .map(|segment| segment.ident.to_string())
        .unwrap_or_default()
}

fn member(member: &syn::Member) -> String {
    match member {
        syn::Member::Named(name) => name.to_string(),
        syn::Member::Unnamed(index) => index.index.to_string(),
    }
}

/// The enum of ENUMS that tokens name a variant of.
fn variant_in(tokens: TokenStream) -> Option<String> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    tokens.iter().enumerate().find_map(|(at, token)| match token {
        TokenTree::Group(group) => variant_in(group.stream()),
        TokenTree::Ident(name) => {
            let follows = matches!(tokens.get(at + 1), Some(TokenTree::Punct(colon)) if colon.as_char() == ':');
            let name = name.to_string();
            (follows && ENUMS.contains(&name.as_str())).then_some(name)
        }
        TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        arms(&Tree::of(&[("src/engine/x.rs", text)]))
            .iter()
            .map(|complaint| complaint.line)
            .collect()
    }

    /// Lines of arms complained about, the first being 2.
    fn of_match(arms: &str) -> Vec<usize> {
        found(&format!("fn f() {{ match x {{\n{arms}\n}} }}"))
    }

    #[test]
    fn an_arm_for_all_others_is_seen() {
        assert_eq!(of_match("Phase::Idle => 1,\n_ => 2"), [3]);
        assert_eq!(of_match("status::Phase::Idle => 1,\nother => 2"), [3]);
        assert_eq!(of_match("Some(PauseReason::User) => 1,\nSome(_) => 2,\nNone => 3"), [3]);
        assert_eq!(of_match("Some(PauseReason::User) => 1,\n_ => 2"), [3]);
        assert_eq!(of_match("(Phase::Idle, _) => 1,\n(_, Some(run)) => 2"), [3]);
        assert_eq!(of_match("(Phase::Idle, ..) => 1,\n(phase, None) => 2"), [3]);
        assert_eq!(
            of_match("(_, Some(PauseReason::User)) => 1,\n(false, ..) => 2,\n(true, None) => 3"),
            [3]
        );
        assert_eq!(of_match("Phase::Idle\n| _ => 1"), [2]);
        assert_eq!(
            of_match("Run { phase: Phase::Idle, .. } => 1,\nRun { step: 1, .. } => 2"),
            [3]
        );
        assert_eq!(of_match("&Phase::Idle if a => 1,\n&_ => 2"), [3]);
        assert_eq!(of_match("it @ (Phase::Idle | Phase::Baking) => 1,\nit @ _ => 2"), [3]);
        assert_eq!(found("fn f() { vec![match x {\nPhase::Idle => 1,\n_ => 2 }] }"), [3]);
    }

    #[test]
    fn arms_that_name_what_they_take_are_not() {
        assert_eq!(of_match("Phase::Idle => 1, Phase::Baking | Phase::Shifting => 2"), []);
        assert_eq!(
            of_match("Some(PauseReason::User) => 1, Some(PauseReason::Gate) => 2, None => 3"),
            []
        );
        assert_eq!(of_match("(Phase::Idle, _) => 1, (Phase::Baking, run) => 2"), []);
        assert_eq!(of_match("(_, 1) => 1, _ => 2"), []);
        assert_eq!(of_match("ActionPhase::Applied => 1, _ => 2"), []);
        assert_eq!(of_match("Phase::Idle => 1, _ if guarded => 2, Phase::Baking => 3"), []);
        assert_eq!(
            of_match("Ok(Phase::Idle) => 1, Ok(Phase::Baking) => 2, Err(_) => 3"),
            []
        );
    }

    #[test]
    fn methods_of_the_enums_name_every_variant_too() {
        let method = |of: &str| {
            found(&format!(
                "impl {of} {{ fn f(self) {{ match self {{\nSelf::Idle => 1,\n_ => 2 }} }} }}"
            ))
        };
        assert_eq!(method("Phase"), [3]);
        assert_eq!(method("From<Phase> for PauseReason"), [3]);
        assert_eq!(method("Other"), []);
    }

    #[test]
    fn matches_is_for_methods_of_the_enums() {
        assert_eq!(
            found("fn f() {\nmatches!(x.phase, Phase::Idle | Phase::Baking)\n}"),
            [2]
        );
        assert_eq!(
            found("fn f() {\nassert!(!matches!(x, Some(status::PauseReason::User)))\n}"),
            [2]
        );
        assert_eq!(found("fn f() { matches!(Phase::of(x), Other::Idle) }"), []);
        assert_eq!(found("fn f() { matches!(x, ActionPhase::Applied) }"), []);
        assert_eq!(
            found("#[cfg(test)] mod tests { fn f() { matches!(x, Phase::Idle) } }"),
            []
        );
        let home = Tree::of(&[("src/api/status/mod.rs", "fn f() { matches!(x, Phase::Idle) }")]);
        assert_eq!(arms(&home), []);
    }

    #[test]
    fn variants_keep_the_name_of_their_enum() {
        assert_eq!(found("use crate::api::status::Phase::{Idle, Baking};"), [1]);
        assert_eq!(found("use crate::api::status::{Phase, PauseReason::*};"), [1]);
        assert_eq!(found("use crate::api::status::Phase;"), []);
    }
}
