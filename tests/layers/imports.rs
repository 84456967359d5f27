//! Which file uses what of which other: `use` items, paths in code, and paths in the tokens of macros.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    UseTree,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::tree::{Source, Tree};

/// A file uses what another one defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// Path of the file that uses it.
    pub from: String,
    /// Path of the file that has it.
    pub to: String,
    /// Line of the use.
    pub line: usize,
    /// What is used, from the root of the crate: `["engine", "facts", "Facts"]`.
    pub target: Vec<String>,
}

/// All uses between files of the crate, tests left out.
pub fn imports(tree: &Tree) -> Vec<Import> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let names = Names::of(source);
        for name in &names.used {
            let Some(target) = names.absolute(tree, &name.module, &name.segments, 0) else {
                continue;
            };
            if let Some(file) = tree.file_of(&target)
                && file.path != source.path
            {
                found.push(Import {
                    from: source.path.clone(),
                    to: file.path.clone(),
                    line: name.line,
                    target,
                });
            }
        }
    }
    found.sort_by(|a, b| (&a.from, a.line, &a.to).cmp(&(&b.from, b.line, &b.to)));
    found
}

/// The first use of each file by each other one.
pub fn first_of_each(imports: &[Import]) -> Vec<&Import> {
    let mut pairs = BTreeSet::new();
    imports
        .iter()
        .filter(|import| pairs.insert((&import.from, &import.to)))
        .collect()
}

/// A path as it was written.
struct Name {
    /// The module it was written in, which may be an inline one.
    module: Vec<String>,
    segments: Vec<String>,
    line: usize,
}

/// All paths of a file.
struct Names {
    module: Vec<String>,
    used: Vec<Name>,
    /// What `use` items bring in, by module and name.
    brought: BTreeMap<(Vec<String>, String), Vec<String>>,
    /// What is before the star of `use …::*`, with its module.
    globs: Vec<(Vec<String>, Vec<String>)>,
}

impl Names {
    fn of(source: &Source) -> Self {
        let mut names = Self {
            module: source.module.clone(),
            used: Vec::new(),
            brought: BTreeMap::new(),
            globs: Vec::new(),
        };
        names.visit_file(&source.code);
        names
    }

    /// The path from the root of the crate; nothing for what another crate has, and for local names.
    fn absolute(&self, tree: &Tree, module: &[String], segments: &[String], depth: usize) -> Option<Vec<String>> {
        let (first, rest) = segments.split_first()?;
        let from_here = |start: &[String]| Some([start, rest].concat());
        match first.as_str() {
            // Names that are brought in by way of one another, in a circle.
            _ if depth > 8 => None,
            "crate" => Some(rest.to_vec()),
            "self" => from_here(module),
            "super" => {
                let parent = module.split_last()?.1;
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(tree, parent, rest, depth),
                    _ => from_here(parent),
                }
            }
            name => {
                let child = [module, &[name.to_owned()]].concat();
                if tree.is_module(&child) {
                    return from_here(&child);
                }
                if let Some(brought) = self.brought.get(&(module.to_vec(), name.to_owned())) {
                    let brought = self.absolute(tree, module, brought, depth + 1)?;
                    return from_here(&brought);
                }
                self.globs
                    .iter()
                    .filter(|(within, _)| within == module)
                    .find_map(|(_, before)| {
                        let before = self.absolute(tree, module, before, depth + 1)?;
                        let child = [before, vec![name.to_owned()]].concat();
                        if tree.is_module(&child) {
                            from_here(&child)
                        } else {
                            None
                        }
                    })
            }
        }
    }

    fn note(&mut self, segments: Vec<String>, line: usize) {
        self.used.push(Name {
            module: self.module.clone(),
            segments,
            line,
        });
    }

    fn bring(&mut self, name: String, path: Vec<String>, line: usize) {
        self.brought.insert((self.module.clone(), name), path.clone());
        self.note(path, line);
    }

    fn use_tree(&mut self, before: &[String], tree: &UseTree) {
        let line = tree.span().start().line;
        let with = |name: &syn::Ident| match name.to_string().as_str() {
            "self" if !before.is_empty() => before.to_vec(),
            name => [before, &[name.to_owned()]].concat(),
        };
        match tree {
            UseTree::Path(path) => self.use_tree(&[before, &[path.ident.to_string()]].concat(), &path.tree),
            UseTree::Name(name) => {
                let path = with(&name.ident);
                self.bring(path.last().cloned().unwrap_or_default(), path, line);
            }
            UseTree::Rename(renamed) => self.bring(renamed.rename.to_string(), with(&renamed.ident), line),
            UseTree::Glob(_) => {
                self.globs.push((self.module.clone(), before.to_vec()));
                self.note(before.to_vec(), line);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(before, tree)),
        }
    }

    /// Every `a::b::c` among the tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let colons = |at: usize| {
            let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(c)) if c.as_char() == ':');
            is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))
        };
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let follows_colons = at >= 3 && colons(at - 3);
                    let mut segments = vec![first.to_string()];
                    while colons(at)
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 2)
                    {
                        segments.push(next.to_string());
                        at += 3;
                    }
                    if segments.len() > 1 && !follows_colons {
                        self.note(segments, first.span().start().line);
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.use_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A single name is a local one, or a `use` item has brought it in.
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.note(segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    /// `pub(in crate::router)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `src/a/b.rs` uses, as `line target`.
    fn used(text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("src/lib.rs", ""),
            ("src/a/mod.rs", ""),
            ("src/a/b.rs", text),
            ("src/a/b/inner.rs", ""),
            ("src/a/c.rs", ""),
            ("src/d/mod.rs", ""),
            ("src/d/e.rs", ""),
        ]);
        let found = imports(&tree).into_iter().filter(|import| import.from == "src/a/b.rs");
        found
            .map(|import| format!("{} {} {}", import.line, import.to, import.target.join("::")))
            .collect()
    }

    #[test]
    fn use_items_are_followed_to_the_file() {
        assert_eq!(
            used("use super::{c, c::X};"),
            ["1 src/a/c.rs a::c", "1 src/a/c.rs a::c::X"]
        );
        assert_eq!(used("use super::super::d::e as other;"), ["1 src/d/e.rs d::e"]);
        assert_eq!(used("\npub(crate) use crate::d::*;"), ["2 src/d/mod.rs d"]);
        assert_eq!(used("use crate::{d::{self, e::{f, g}}};").len(), 3);
        assert_eq!(used("use super::Thing;"), ["1 src/a/mod.rs a::Thing"]);
        assert_eq!(used("pub use inner::X;"), ["1 src/a/b/inner.rs a::b::inner::X"]);
        assert_eq!(used("fn f() { use crate::d::e; }"), ["1 src/d/e.rs d::e"]);
        assert_eq!(
            used("mod inner; use std::fmt; use ::d::e; pub(in crate::d) struct S;"),
            [""; 0]
        );
        assert_eq!(used("use crate::thing;"), ["1 src/lib.rs thing"]);
    }

    #[test]
    fn paths_in_code_are_followed_too() {
        assert_eq!(used("fn f() -> crate::d::Y { todo() }"), ["1 src/d/mod.rs d::Y"]);
        assert_eq!(used("fn f() { super::c::g::<super::super::d::Z>() }").len(), 2);
        assert_eq!(
            used("fn f() { let x: Vec<super::c::X> = Vec::new(); }"),
            ["1 src/a/c.rs a::c::X"]
        );
        assert_eq!(
            used("fn f(c: u8) { inner::g(); c.f() }"),
            ["1 src/a/b/inner.rs a::b::inner::g"]
        );
        assert_eq!(used("impl super::c::T for S {}"), ["1 src/a/c.rs a::c::T"]);
    }

    #[test]
    fn a_module_that_was_brought_in_is_followed_into_its_files() {
        assert_eq!(
            used("use crate::d;\nfn f() { d::e::g() }"),
            ["1 src/d/mod.rs d", "2 src/d/e.rs d::e::g"]
        );
        assert_eq!(
            used("use crate::d as x;\nfn f() { x::e::g() }")[1],
            "2 src/d/e.rs d::e::g"
        );
        assert_eq!(used("use super::*;\nfn f() { c::g() }")[1], "2 src/a/c.rs a::c::g");
        // Names that bring each other in end nowhere.
        assert_eq!(used("use x::y; use y::x;"), [""; 0]);
    }

    #[test]
    fn inline_modules_have_a_super_of_their_own() {
        assert_eq!(used("mod m { use super::super::c; }"), ["1 src/a/c.rs a::c"]);
        assert_eq!(used("mod m { use super::inner; }"), ["1 src/a/b/inner.rs a::b::inner"]);
        assert_eq!(used("mod m { use super::X; } use m::Y;"), [""; 0]);
    }

    #[test]
    fn tokens_of_macros_are_searched() {
        assert_eq!(used("fn f() { vec![1, super::c::g(2)]; }"), ["1 src/a/c.rs a::c::g"]);
        assert_eq!(
            used("macro_rules! m { () => { $crate::d::e::f() } }"),
            ["1 src/d/e.rs d::e::f"]
        );
        assert_eq!(
            used("use super::c;\nfn f() { assert!(matches!(x, c::X::Y)); }")[1],
            "2 src/a/c.rs a::c::X::Y"
        );
        assert_eq!(used("fn f() { m!(other::super_::c, x.c, std::c::d) }"), [""; 0]);
    }

    #[test]
    fn tests_use_what_they_like() {
        assert_eq!(used("#[cfg(test)] mod tests { use crate::d; }"), [""; 0]);
    }

    #[test]
    fn the_first_use_stands_for_all() {
        let tree = Tree::of(&[
            ("src/a.rs", "use crate::b;\nfn f() { b::x(); b::y() }"),
            ("src/b.rs", ""),
        ]);
        let all = imports(&tree);
        assert_eq!(all.len(), 3);
        assert_eq!(
            first_of_each(&all).iter().map(|import| import.line).collect::<Vec<_>>(),
            [1]
        );
    }
}
