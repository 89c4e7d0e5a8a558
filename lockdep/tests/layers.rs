//! The files of a crate stand in layers: no circle of files that import each other.
//!
//! A `pub use` of a folder's face hands names on and ties nothing to anything: an import through it is one of the file that
//! has the name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};
use syn::{
    Attribute, File, Ident, Item, ItemMod, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

/// Roots of modules. `lockdep/src` itself is not among them: the public types and the hooks know each other.
const ROOTS: &[&str] = &[
    "lockdep/src/runtime",
    "lockdep/core/src",
    "lockdep/report/src",
    "lockdep/audit/src",
    "lockdep/cli/src",
    "mm-sim/src",
];

/// Files that may: structures point at each other as the kernel's do, processes at their mappings, mappings at files.
const KNIT: &str = "mem";

/// The path of a module below its root, or of something in it.
type Names = Vec<String>;

/// The files of a root, and the names that they hand on: which is whose.
struct Crate {
    files: BTreeMap<Names, File>,
    faces: BTreeMap<Names, Names>,
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        read_folder(root, root, &mut files);
        if !files.contains_key(&Names::new()) && !files.contains_key(&["main".to_owned()][..]) {
            panic!("{}: no module begins here", root.display());
        }
        let mut faces = BTreeMap::new();
        for (module, file) in &files {
            for item in &file.items {
                if let Item::Use(ItemUse { vis: Visibility::Public(_) | Visibility::Restricted(_), tree, .. }) = item {
                    for (path, name) in leaves(tree) {
                        let path = absolute(module, &path, &files);
                        faces.insert(module.iter().cloned().chain([name]).collect(), path);
                    }
                }
            }
        }
        Self { files, faces }
    }

    /// Returns the file that has what a path leads to.
    fn file_of(&self, path: &[String]) -> Option<&Names> {
        let mut path = path.to_vec();
        for _ in 0..self.faces.len() {
            let handed_on = (1..=path.len()).rev().find_map(|len| Some((len, self.faces.get(&path[..len])?)));
            let Some((len, to)) = handed_on else { break };
            path = to.iter().cloned().chain(path[len..].iter().cloned()).collect();
        }
        (1..=path.len()).rev().find_map(|len| self.files.get_key_value(&path[..len]).map(|(module, _)| module))
    }

    /// Returns which files import which.
    fn arrows(&self) -> BTreeSet<(&Names, &Names)> {
        let mut arrows = BTreeSet::new();
        for (module, file) in &self.files {
            let mut paths = Paths::default();
            paths.visit_file(file);
            for path in paths.0 {
                let Some(other) = self.file_of(&absolute(module, &path, &self.files)) else { continue };
                // Whoever is in a folder may name the folder; it is the names in it that count.
                if other != module && !module.starts_with(other) {
                    arrows.insert((module, other));
                }
            }
        }
        arrows
    }

    /// Returns the circles, each with its arrows.
    fn circles(&self) -> Vec<String> {
        let arrows = self.arrows();
        let is_knit = |module: &Names| module.first().is_some_and(|folder| folder == KNIT);
        let ties = arrows.iter().filter(|(from, to)| !(is_knit(from) && is_knit(to)));
        let graph: DiGraphMap<&Names, ()> = ties.map(|(from, to)| (*from, *to)).collect();
        let circles = tarjan_scc(&graph).into_iter().filter(|circle| circle.len() > 1);
        let told = circles.map(|circle| {
            let within = arrows.iter().filter(|(from, to)| circle.contains(from) && circle.contains(to));
            within.map(|(from, to)| format!("{} -> {}\n", from.join("::"), to.join("::"))).collect::<String>()
        });
        told.collect()
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<Names, File>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            read_folder(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root).expect("it is below").with_extension("");
            let mut module: Names = below.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            module.pop_if(|last| last == "mod" || last == "lib");
            let text = fs::read_to_string(&path).expect("a readable file");
            files.insert(module, syn::parse_file(&text).unwrap_or_else(|err| panic!("{}: {err}", path.display())));
        }
    }
}

/// Returns the names from the root on. What begins with no module of this crate is returned as it is, and found nowhere.
fn absolute(module: &[String], path: &[String], files: &BTreeMap<Names, File>) -> Names {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let (base, rest) = match path.first().map(String::as_str) {
        Some("crate") => (&[][..], &path[1..]),
        Some("self") => (module, &path[1..]),
        Some("super") => (&module[..module.len().saturating_sub(supers)], &path[supers..]),
        Some(first) => {
            let child: Names = module.iter().cloned().chain([first.to_owned()]).collect();
            if files.contains_key(&child) { (module, path) } else { return vec![String::new()] }
        }
        None => (module, path),
    };
    base.iter().chain(rest).cloned().collect()
}

/// Returns the paths of an import, each with the name that it gets.
fn leaves(tree: &UseTree) -> Vec<(Names, String)> {
    let below = |name: &Ident, tree: &UseTree| {
        let mut leaves = leaves(tree);
        leaves.iter_mut().for_each(|(path, _)| path.insert(0, name.to_string()));
        leaves
    };
    match tree {
        UseTree::Path(path) => below(&path.ident, &path.tree),
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        UseTree::Name(name) if name.ident == "self" => vec![(Vec::new(), String::new())],
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], rename.rename.to_string())],
        UseTree::Glob(_) => vec![(Vec::new(), String::new())],
    }
}

/// The paths that a file names, but for those that it hands on and those of its tests.
#[derive(Default)]
struct Paths(Vec<Names>);

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<Ident>().is_ok_and(|word| word == "test")
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if matches!(item.vis, Visibility::Inherited) && !is_test(&item.attrs) {
            self.0.extend(leaves(&item.tree).into_iter().map(|(path, _)| path));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if matches!(names[0].as_str(), "crate" | "super" | "self") {
            self.0.push(names);
        }
        visit::visit_path(self, path);
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut circles = String::new();
    for root in ROOTS {
        let files = Crate::read(&workspace.join(root));
        assert!(!files.arrows().is_empty(), "{root}: imports are read");
        files.circles().iter().for_each(|circle| circles += &format!("{root}:\n{circle}\n"));
    }
    assert!(circles.is_empty(), "circles in {circles}");
}

#[test]
fn a_circle_through_the_face_of_a_folder_is_found_and_the_face_is_none() {
    let parse = |text| syn::parse_file(text).expect("it is Rust");
    let names = |text: &str| text.split("::").map(str::to_owned).collect::<Names>();
    let read = |files: &[(&str, &str)]| {
        let folder = std::env::temp_dir().join(format!("layers-{}-{}", std::process::id(), files.len()));
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a place for files");
            fs::write(path, text).expect("a place for files");
        }
        let read = Crate::read(&folder);
        fs::remove_dir_all(folder).expect("its own folder");
        read
    };
    let tied = read(&[
        ("a/mod.rs", "mod one; mod two; pub(crate) use self::{one::One, two::Two};"),
        ("a/one.rs", "pub(crate) struct One;"),
        ("a/two.rs", "use crate::b; pub(crate) struct Two(b::B);"),
        ("b.rs", "use crate::a::Two; pub(crate) struct B; fn f() { let _: Option<Two> = None; }"),
        ("lib.rs", "mod a; mod b;"),
    ]);
    assert_eq!(tied.circles(), ["a::two -> b\nb -> a::two\n"]);
    let loose = read(&[
        ("a/mod.rs", "mod one; mod two; pub(crate) use self::{one::One, two::Two};"),
        ("a/one.rs", "pub(crate) struct One; #[cfg(test)] mod tests { use crate::b; }"),
        ("a/two.rs", "pub(crate) struct Two(crate::b::B);"),
        ("b.rs", "use crate::a::One; pub(crate) struct B(One);"),
        ("lib.rs", "mod a; mod b;"),
    ]);
    assert!(loose.circles().is_empty(), "{:?}", loose.circles());
    assert!(loose.arrows().contains(&(&names("a::two"), &names("b"))) && parse("").items.is_empty());
}
