//! `cargo lockdep explain`: what a code or a grade means.

use lockdep_audit::InputError;
use lockdep_report::explain;

use crate::{input, outcome::Outcome};

/// Say what a code or a grade of a report means, and what to do about it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code or the grade, such as circular-dependency; without it, all of them are listed
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, InputError> {
    let text = match &args.name {
        None => explain::list(),
        Some(name) => explain::named(name).ok_or_else(|| {
            InputError::whole(name, "is no code and no grade of a report (`cargo lockdep explain` lists them)")
        })?,
    };
    input::print(&text)?;
    Ok(Outcome::Clean)
}
