//! `cargo lockdep audit`: documented lock orders held against observed ones.

use std::path::PathBuf;

use clap::ValueEnum;
use lockdep_audit::{Aliases, Audit, Document, InputError, Observation, audit, observe, render};

use crate::{input, outcome::Outcome};

/// Hold documented lock orders against observed ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file with a lock-ordering comment, such as mm/rmap.c or mm/filemap.c
    #[arg(long, value_name = "FILE")]
    order: Vec<PathBuf>,
    /// A kernel tree, of which mm/rmap.c and mm/filemap.c are read
    #[arg(long, value_name = "DIR")]
    kernel_tree: Vec<PathBuf>,
    /// A lockdep journal, or /proc/lockdep of a kernel
    #[arg(long, value_name = "FILE")]
    observed: Vec<PathBuf>,
    /// More names for locks, added to the built-in table
    #[arg(long, value_name = "FILE")]
    aliases: Vec<PathBuf>,
    /// How to print the audit
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, InputError> {
    let mut documents = Vec::new();
    for path in &args.order {
        documents.push(Document::parse(&input::name(path), &input::read(path)?)?);
    }
    for tree in &args.kernel_tree {
        for file in ["mm/rmap.c", "mm/filemap.c"] {
            let path = tree.join(file);
            documents.push(Document::parse(&input::name(&path), &input::read(&path)?)?);
        }
    }
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
    let audit = audit(&documents, &observations, &aliases);
    input::print(&rendered(&audit, args.format))?;
    Ok(Outcome::of(audit.has_findings()))
}

fn rendered(audit: &Audit, format: Format) -> String {
    match format {
        Format::Text => render::text(audit),
        Format::Json => {
            serde_json::to_string_pretty(audit).expect("an audit has string keys only, so it is JSON") + "\n"
        }
    }
}
