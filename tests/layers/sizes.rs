//! What fits a screen and a head: functions, files, and what a call says.

use syn::{
    FnArg, Signature, Type,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::tree::{Complaint, Tree};

/// Lines from `fn` to the closing brace.
const LONGEST_FUNCTION: usize = 60;
/// Lines.
const LONGEST_FILE: usize = 400;

/// Functions and files that may be longer, by path and name (a file's is empty), with the reason.
const LONGER: [(&str, &str, &str); 0] = [];

/// No function of the engine takes a `bool`: where it is called, nobody sees what `true` means.
pub fn flags(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for source in tree
        .sources
        .iter()
        .filter(|source| source.path.starts_with("src/engine/"))
    {
        let mut functions = Functions::default();
        functions.visit_file(&source.code);
        found.extend(
            functions
                .flags
                .into_iter()
                .map(|(line, function, parameter)| Complaint {
                    rule: "no bool parameters",
                    file: source.path.clone(),
                    line,
                    what: format!("`{parameter}` of `{function}` is a bool"),
                    instead: "take an enum whose variants say what they mean, or make it two functions".to_owned(),
                }),
        );
    }
    found
}

/// No function and no file is too long; tests are read as well, so they count.
pub fn lengths(tree: &Tree) -> Vec<Complaint> {
    let may_be_longer = |path: &str, name: &str| LONGER.iter().any(|(file, of, _)| *file == path && *of == name);
    let mut found = Vec::new();
    for source in &tree.sources {
        let mut functions = Functions::default();
        functions.visit_file(&source.all);
        let long = functions
            .lengths
            .into_iter()
            .filter(|(_, _, lines)| *lines > LONGEST_FUNCTION);
        found.extend(
            long.filter(|(_, name, _)| !may_be_longer(&source.path, name))
                .map(|(line, name, lines)| Complaint {
                    rule: "functions of 60 lines",
                    file: source.path.clone(),
                    line,
                    what: format!("`{name}` is {lines} lines long"),
                    instead: "give a part of it a name of its own".to_owned(),
                }),
        );
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE && !may_be_longer(&source.path, "") {
            found.push(Complaint {
                rule: "files of 400 lines",
                file: source.path.clone(),
                line: LONGEST_FILE + 1,
                what: format!("the file is {lines} lines long"),
                instead: "move one of its topics into a file of its own".to_owned(),
            });
        }
    }
    found
}

/// Every file says first what it is for.
pub fn headings<'a>(files: impl IntoIterator<Item = &'a (String, String)>) -> Vec<Complaint> {
    let says = |text: &str| {
        text.lines()
            .next()
            .and_then(|line| line.strip_prefix("//! "))
            .is_some_and(|said| !said.trim().is_empty())
    };
    let silent = files.into_iter().filter(|(_, text)| !says(text));
    silent
        .map(|(path, _)| Complaint {
            rule: "a heading",
            file: path.clone(),
            line: 1,
            what: "the file does not say what it is for".to_owned(),
            instead: "begin it with one sentence after `//!`".to_owned(),
        })
        .collect()
}

#[derive(Default)]
struct Functions {
    /// Line, function, parameter.
    flags: Vec<(usize, String, String)>,
    /// Line, function, its length.
    lengths: Vec<(usize, String, usize)>,
}

impl Functions {
    fn measure(&mut self, signature: &Signature, block: &syn::Block) {
        let first = signature.fn_token.span.start().line;
        let last = block.brace_token.span.close().end().line;
        self.lengths
            .push((first, signature.ident.to_string(), last - first + 1));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        for input in &signature.inputs {
            if let FnArg::Typed(input) = input
                && is_bool(&input.ty)
            {
                let name = match &*input.pat {
                    syn::Pat::Ident(name) => name.ident.to_string(),
                    _ => "_".to_owned(),
                };
                self.flags
                    .push((input.span().start().line, signature.ident.to_string(), name));
            }
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// `bool` or `&mut bool`; serde's `skip_serializing_if` asks for a `&bool`.
fn is_bool(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.is_ident("bool"),
        Type::Reference(reference) => reference.mutability.is_some() && is_bool(&reference.elem),
        Type::Paren(inner) => is_bool(&inner.elem),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bools_are_seen_in_every_kind_of_function() {
        let text = "fn a(x: u8,\n y: bool) {}
            impl S { fn b(&self, flag: bool) {} }
            trait T { fn c(&self, _: bool); }
            fn d() { fn inner(z: &mut bool) {} let f = |w: bool| w; }
            fn e(test: impl Fn(bool) -> bool, serde: &bool) -> bool { true }
            #[cfg(test)] mod tests { fn f(x: bool) {} }";
        let found = flags(&Tree::of(&[("src/engine/x.rs", text), ("src/api/x.rs", text)]));
        let told: Vec<&str> = found.iter().map(|complaint| complaint.what.as_str()).collect();
        assert_eq!(
            told,
            [
                "`y` of `a` is a bool",
                "`flag` of `b` is a bool",
                "`_` of `c` is a bool",
                "`z` of `inner` is a bool",
            ]
        );
        assert_eq!(found[0].line, 2);
    }

    #[test]
    fn long_functions_and_files_are_seen() {
        let function = |lines: usize| format!("/// What it does.\nfn f() {{{}}}\n", "\n".repeat(lines - 1));
        let found = |text: &str| {
            let all = lengths(&Tree::of(&[("src/a.rs", text)]));
            all.iter()
                .map(|complaint| format!("{}: {}", complaint.line, complaint.what))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&function(60)), [""; 0]);
        assert_eq!(found(&function(61)), ["2: `f` is 61 lines long"]);
        let method = format!("trait T {{ {} }} impl S {{ {} }}", function(61), function(62));
        assert_eq!(found(&method).len(), 2);
        assert_eq!(found(&"\n".repeat(400)), [""; 0]);
        assert_eq!(found(&"\n".repeat(401)), ["401: the file is 401 lines long"]);
        let tests = format!("#[cfg(test)] mod tests {{ {} }}", function(61));
        assert_eq!(found(&tests).len(), 1);
    }

    #[test]
    fn a_file_begins_with_what_it_is_for() {
        let file = |text: &str| ("src/a.rs".to_owned(), text.to_owned());
        assert_eq!(headings(&[file("//! Why.\nfn f() {}")]), []);
        for silent in ["", "//!\n", "// Why.", "use x;\n//! Late."] {
            assert_eq!(headings(&[file(silent)]).len(), 1, "{silent}");
        }
    }
}
