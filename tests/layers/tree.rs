//! The sources of the crate, parsed: which module each file is, and what of it is only there for tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use syn::{Attribute, Expr, ImplItem, Item, Token, punctuated::Punctuated};

/// One file below `src/`.
pub struct Source {
    /// From the root of the crate, with slashes: `src/engine/mod.rs`.
    pub path: String,
    /// Its module: `["engine"]`; empty for `src/lib.rs`.
    pub module: Vec<String>,
    /// What stands in it, to the letter.
    pub text: String,
    /// Everything in it.
    pub all: syn::File,
    /// The same without what is compiled for tests only; empty if the whole file is.
    pub code: syn::File,
}

/// All of them.
pub struct Tree {
    pub sources: Vec<Source>,
    modules: BTreeMap<Vec<String>, usize>,
}

/// What a rule has against a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    pub rule: &'static str,
    pub file: String,
    pub line: usize,
    pub what: String,
    pub instead: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            file,
            line,
            what,
            instead,
        } = self;
        write!(out, "{file}:{line}: {what}\n    {rule}: {instead}")
    }
}

impl Tree {
    /// Parses files, given by path and text.
    pub fn parse(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut sources: Vec<Source> = files
            .into_iter()
            .map(|(path, text)| {
                let all = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path} does not parse: {error}"));
                let mut code = all.clone();
                drop_tests(&mut code.items);
                Source {
                    module: module_of(&path),
                    path,
                    text,
                    all,
                    code,
                }
            })
            .collect();
        let tests: BTreeSet<Vec<String>> = sources.iter().flat_map(test_modules).collect();
        for source in &mut sources {
            let declared = (1..=source.module.len()).any(|length| tests.contains(&source.module[..length]));
            if declared || source.path.contains("/tests/") || source.path.ends_with("/tests.rs") {
                source.code.items.clear();
            }
        }
        let modules = sources
            .iter()
            .enumerate()
            .map(|(index, source)| (source.module.clone(), index))
            .collect();
        Self { sources, modules }
    }

    /// A tree for a test of a rule.
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self::parse(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned())),
        )
    }

    /// Whether a file is this very module.
    pub fn is_module(&self, path: &[String]) -> bool {
        self.modules.contains_key(path)
    }

    /// The file in which what this path names is found: that of the innermost module on it.
    pub fn file_of(&self, path: &[String]) -> Option<&Source> {
        (0..=path.len())
            .rev()
            .find_map(|length| self.modules.get(&path[..length]))
            .map(|index| &self.sources[*index])
    }
}

/// Paths and texts of all Rust files below a folder of the crate; what is built lies elsewhere.
pub fn read(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// What a macro is given, where that reads as a list of expressions.
pub fn arguments(call: &syn::Macro) -> Vec<Expr> {
    let list = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
    list.map(|list| list.into_iter().collect()).unwrap_or_default()
}

fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    // Each binary is a crate of its own, which names the library by its name.
    if inner == "main.rs" {
        return vec!["(main)".to_owned()];
    }
    if let Some(name) = inner.strip_prefix("bin/").and_then(|name| name.strip_suffix(".rs")) {
        return vec![format!("({name})")];
    }
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    module.pop_if(|last| last == "mod" || inner == "lib");
    module
}

/// Modules in files of their own that this one declares for tests only.
fn test_modules(source: &Source) -> Vec<Vec<String>> {
    let declared = source.all.items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() && is_for_tests(&module.attrs) => Some(module.ident.to_string()),
        _ => None,
    });
    declared
        .map(|name| source.module.iter().cloned().chain([name]).collect())
        .collect()
}

fn drop_tests(items: &mut Vec<Item>) {
    items.retain(|item| !is_for_tests(attributes(item)));
    for item in items {
        match item {
            Item::Mod(module) => {
                if let Some((_, items)) = &mut module.content {
                    drop_tests(items);
                }
            }
            Item::Impl(block) => block
                .items
                .retain(|item| !matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs))),
            _ => {}
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let words = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (words == "test" || words.starts_with("all (test ,") || words.starts_with("all(test,"))
    })
}

#[test]
fn files_are_the_modules_they_are() {
    let names = |path| module_of(path).join("::");
    assert_eq!(names("src/lib.rs"), "");
    assert_eq!(names("src/engine/mod.rs"), "engine");
    assert_eq!(names("src/engine/facts/mode.rs"), "engine::facts::mode");
    assert_eq!(names("src/main.rs"), "(main)");
    assert_eq!(names("src/bin/plugin.rs"), "(plugin)");
}

#[test]
fn what_is_for_tests_only_is_left_out() {
    let tree = Tree::of(&[
        (
            "src/a/mod.rs",
            "mod b; #[cfg(test)] mod recorded; #[cfg(test)] mod tests { fn t() {} } fn f() {}",
        ),
        (
            "src/a/b.rs",
            "struct S; impl S { #[cfg(all(test, unix))] fn t() {} fn f() {} }",
        ),
        ("src/a/recorded.rs", "fn f() {}"),
        ("src/a/tests/deep.rs", "fn f() {}"),
    ]);
    let left: Vec<usize> = tree.sources.iter().map(|source| source.code.items.len()).collect();
    assert_eq!(left, [2, 2, 0, 0]);
    let Item::Impl(block) = &tree.sources[1].code.items[1] else {
        panic!("not an impl")
    };
    assert_eq!(block.items.len(), 1);
}
