//! [`SourceFile`]: a document's text, from a file, a kernel tree, a source tarball, or a Rust project.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use lockdep_audit::{Document, InputError};

use crate::input;

/// The documents of a kernel tree; the first must be there.
const KERNEL_FILES: [&str; 3] = ["mm/rmap.c", "mm/filemap.c", "Documentation/mm/process_addrs.rst"];
/// What the version is read from.
const MAKEFILE: &str = "Makefile";
/// The directories of a project that have no sources of its own.
const SKIPPED: [&str; 3] = ["target", "node_modules", ".git"];

/// A text with a documented lock order.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) document: Document,
    pub(crate) text: String,
    /// The path that a patch names: within the tree, or as given.
    pub(crate) path: String,
}

impl SourceFile {
    fn new(name: &str, path: &str, bytes: Vec<u8>) -> Result<Self, InputError> {
        let document = Document::parse(name, &bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| InputError::whole(name, "not UTF-8"))?;
        Ok(Self { document, text, path: path.to_owned() })
    }

    /// The document in a file, or those in a directory of Rust sources.
    pub(crate) fn of_path(path: &Path) -> Result<Vec<Self>, InputError> {
        if path.is_dir() {
            return Self::of_project(path);
        }
        let name = input::name(path);
        Ok(vec![Self::new(&name, &name, input::read(path)?)?])
    }

    /// The `lockdep.order` of a project and the declarations in its sources.
    fn of_project(root: &Path) -> Result<Vec<Self>, InputError> {
        let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
        while let Some(directory) = todo.pop() {
            for path in entries(&directory)? {
                let is_skipped = path.file_name().is_some_and(|name| SKIPPED.iter().any(|skipped| name == *skipped));
                if path.is_dir() && !is_skipped {
                    todo.push(path);
                } else if path.is_file() && is_source(&path) {
                    found.push(path);
                }
            }
        }
        found.sort_unstable();
        let mut documents = Vec::new();
        for path in found {
            let (name, bytes) = (input::name(&path), input::read(&path)?);
            let is_order = path.extension().is_some_and(|extension| extension == "order");
            if is_order || has_declaration(&bytes) {
                documents.push(Self::new(&name, &name, bytes)?);
            }
        }
        match documents.is_empty() {
            true => {
                Err(InputError::whole(&input::name(root), "no lockdep.order and no source with a lock order below it"))
            }
            false => Ok(documents),
        }
    }

    /// The documents of a kernel tree, which is a directory or a tarball.
    pub(crate) fn of_kernel(path: &Path) -> Result<Vec<Self>, InputError> {
        let name = input::name(path);
        let files = if path.is_dir() { of_directory(path)? } else { of_tarball(path)? };
        let file = |wanted: &str| files.iter().find(|(path, _)| path == wanted);
        if file(KERNEL_FILES[0]).is_none() {
            return Err(InputError::whole(&name, format!("no {}: not a kernel tree", KERNEL_FILES[0])));
        }
        let version = file(MAKEFILE).and_then(|(_, bytes)| version(&String::from_utf8_lossy(bytes)));
        let mut documents = Vec::new();
        for wanted in KERNEL_FILES {
            let Some((_, bytes)) = file(wanted) else { continue };
            match Self::new(&format!("{name}/{wanted}"), wanted, bytes.clone()) {
                // The document on process addresses is a stub in some versions.
                Err(error) if wanted == KERNEL_FILES[2] && error.line == 0 => {}
                source => documents.push(source?),
            }
        }
        documents.iter_mut().for_each(|source| source.document.version = version);
        Ok(documents)
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, InputError> {
    let failed = |error: std::io::Error| InputError::whole(&input::name(directory), input::reason(&error));
    std::fs::read_dir(directory).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["rs", "c", "h", "order"].iter().any(|known| extension == *known))
}

fn has_declaration(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let is_declaration = |line: &str| {
        let text = line.trim_start();
        text.starts_with("//") && text.to_ascii_lowercase().contains("lock order: ") && text.contains(" -> ")
    };
    text.lines().any(is_declaration)
}

fn of_directory(tree: &Path) -> Result<Vec<(String, Vec<u8>)>, InputError> {
    let wanted = KERNEL_FILES.iter().chain(std::iter::once(&MAKEFILE));
    let present = wanted.filter(|file| tree.join(file).is_file());
    present.map(|file| Ok(((*file).to_owned(), input::read(&tree.join(file))?))).collect()
}

/// The wanted files of `linux-x.y/...` in a tarball, which ends to be read when all are there.
fn of_tarball(path: &Path) -> Result<Vec<(String, Vec<u8>)>, InputError> {
    let name = input::name(path);
    let failed = |error: std::io::Error| InputError::whole(&name, input::reason(&error));
    let mut file = std::io::BufReader::new(std::fs::File::open(path).map_err(failed)?);
    let magic: Vec<u8> = std::io::BufRead::fill_buf(&mut file).map_err(failed)?.iter().take(6).copied().collect();
    let reader: Box<dyn Read> = match magic.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(liblzma::read::XzDecoder::new_multi_decoder(file)),
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let not_tar = |error: std::io::Error| {
        InputError::whole(&name, format!("not a tree, and not a tarball that can be read: {}", input::reason(&error)))
    };
    let mut files = Vec::new();
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(not_tar)? {
        let mut entry = entry.map_err(not_tar)?;
        let member = entry.path().map_err(not_tar)?.to_string_lossy().into_owned();
        let Some((_, inside)) = member.trim_start_matches("./").split_once('/') else { continue };
        if KERNEL_FILES.contains(&inside) || inside == MAKEFILE {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(not_tar)?;
            files.push((inside.to_owned(), bytes));
        }
        if files.len() == KERNEL_FILES.len() + 1 {
            break;
        }
    }
    Ok(files)
}

/// The version in a kernel's Makefile.
fn version(makefile: &str) -> Option<(u32, u32)> {
    let number = |key: &str| {
        let line = makefile.lines().find(|line| line.split('=').next().is_some_and(|name| name.trim() == key))?;
        line.split('=').nth(1)?.trim().parse().ok()
    };
    Some((number("VERSION")?, number("PATCHLEVEL")?))
}

/// Reads `6.12`.
pub(crate) fn parse_version(text: &str) -> Result<(u32, u32), String> {
    let parse = || {
        let (major, minor) = text.split_once('.')?;
        let minor = minor.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    parse().ok_or_else(|| "not a kernel version such as 6.12".to_owned())
}
