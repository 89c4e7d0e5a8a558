//! `cargo lockdep audit`: documented lock orders held against observed ones.

use std::path::PathBuf;

use clap::ValueEnum;
use lockdep_audit::{Aliases, Audit, InputError, Observation, audit, history, observe, patch, render};

use crate::{
    input,
    outcome::Outcome,
    source::{self, SourceFile},
};

/// Hold documented lock orders against observed ones
///
/// Every documented rule `before -> after` is confirmed, contradicted, unobserved, invisible to validators, or ambiguous;
/// every observed dependency follows from the document or does not. Locks that a document lacks are named with the
/// place where they belong.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("documents").required(true).multiple(true).args(["order", "kernel_tree"])))]
pub(crate) struct Args {
    /// A file with a lock order: mm/rmap.c, its bare comment, lockdep.order, a source with `// Lock order: a -> b`; or a
    /// project's directory
    #[arg(long, value_name = "PATH")]
    order: Vec<PathBuf>,
    /// A kernel tree, or its tarball (.tar, .tar.gz, .tar.xz)
    #[arg(long, value_name = "PATH")]
    kernel_tree: Vec<PathBuf>,
    /// A lockdep journal or trace, /proc/lockdep, /proc/lockdep_chains, ftrace or perf script text of lock events, a kernel log
    #[arg(long, value_name = "FILE")]
    observed: Vec<PathBuf>,
    /// An older version of the document of the same style: what came, went, and was turned round since
    #[arg(long, value_name = "PATH")]
    history: Vec<PathBuf>,
    /// More names for locks, added to the built-in table
    #[arg(long, value_name = "FILE")]
    aliases: Vec<PathBuf>,
    /// The version of the kernel that the documents are of
    #[arg(long, value_name = "VERSION", value_parser = source::parse_version)]
    kernel: Option<(u32, u32)>,
    /// Print a unified diff that mends the documents, instead of the audit
    #[arg(long)]
    patch: bool,
    /// How to print the audit
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "patch")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
    Html,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, InputError> {
    let sources = sources(args)?;
    let mut observations = Vec::new();
    for path in &args.observed {
        observations.push(Observation::parse(&input::name(path), &input::read(path)?)?);
    }
    let observations = observe::combine(observations)?;
    let mut aliases = Aliases::builtin();
    for path in &args.aliases {
        let name = input::name(path);
        let text = String::from_utf8(input::read(path)?).map_err(|_| InputError::whole(&name, "not UTF-8"))?;
        aliases.extend(&name, &text)?;
    }
    if args.patch {
        return print_patch(&sources, &observations, &aliases);
    }
    let documents: Vec<_> = sources.into_iter().map(|source| source.document).collect();
    let mut audit = audit(&documents, &observations, &aliases);
    for path in &args.history {
        for older in SourceFile::of_path(path)? {
            let newer = documents.iter().find(|document| document.style == older.document.style);
            audit.histories.extend(newer.map(|newer| history(&older.document, newer, &observations, &aliases)));
        }
    }
    input::print(&rendered(&audit, args.format))?;
    Ok(Outcome::of(audit.has_findings()))
}

fn sources(args: &Args) -> Result<Vec<SourceFile>, InputError> {
    let mut sources = Vec::new();
    for path in &args.order {
        sources.extend(SourceFile::of_path(path)?);
    }
    for path in &args.kernel_tree {
        sources.extend(SourceFile::of_kernel(path)?);
    }
    for source in &mut sources {
        source.document.version = args.kernel.or(source.document.version);
    }
    Ok(sources)
}

/// Prints the patches to standard output; what was done, and what could not be, to standard error.
fn print_patch(sources: &[SourceFile], observations: &[Observation], aliases: &Aliases) -> Result<Outcome, InputError> {
    let mut is_changed = false;
    for source in sources {
        let patch = patch::propose(&source.document.name, &source.text, observations, aliases)?;
        for step in &patch.steps {
            anstream::eprintln!("{}: {step}", source.document.name);
        }
        for left in &patch.left {
            anstream::eprintln!("{}: not mended: {left}", source.document.name);
        }
        is_changed |= !patch.steps.is_empty() || !patch.left.is_empty();
        input::print(&patch.diff(&source.path))?;
    }
    Ok(Outcome::of(is_changed))
}

fn rendered(audit: &Audit, format: Format) -> String {
    match format {
        Format::Text => render::text(audit),
        Format::Json => render::json(audit),
        Format::Markdown => render::markdown(audit),
        Format::Html => render::html(audit),
    }
}
