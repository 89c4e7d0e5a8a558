//! Who waits for whom: what is left to say when every actor waits.

use std::sync::Arc;

use serde::Serialize;

use super::ActorId;

/// Somebody who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) actor: ActorId,
    pub(crate) mode: &'static str,
}

/// Anything that an actor can wait for.
pub(crate) trait Waitable: Send + Sync {
    /// Returns what it is, such as `mapping->i_mmap_rwsem of file 1`.
    fn label(&self) -> String;

    /// Returns who holds it now.
    fn holders(&self) -> Vec<Holder>;

    /// Returns whom `actor`, who queues for it, has to wait for: holders, and whoever is before it in the queue, as far as
    /// they exclude it. Nobody if it does not queue.
    fn blockers(&self, actor: ActorId) -> Vec<ActorId>;
}

/// What one actor waits for.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) what: Arc<dyn Waitable>,
    pub(super) mode: &'static str,
}

impl Waiting {
    /// Puts the wait of an actor in words; `name` gives the names of the others.
    pub(super) fn describe<'n>(&self, actor: &str, path: &[&'static str], name: impl Fn(ActorId) -> &'n str) -> Wait {
        let holders = self.what.holders();
        let holders = holders.iter().map(|holder| format!("{} ({})", name(holder.actor), holder.mode)).collect();
        Wait { actor: actor.to_owned(), lock: self.what.label(), mode: self.mode, holders, path: path.to_vec() }
    }
}

/// One line of a deadlock: who waits for what, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The name of the actor that waits.
    pub actor: String,
    /// The lock, with its owner.
    pub lock: String,
    /// The mode it is wanted in.
    pub mode: &'static str,
    /// Who holds it and how, such as `khugepaged (write)`; empty if it is free but somebody is first in the queue.
    pub holders: Vec<String>,
    /// The operations the actor is in, outermost first.
    pub path: Vec<&'static str>,
}

/// A real deadlock: every one of these actors waits, and for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deadlock {
    /// All waits, in the order of the actors.
    pub waits: Vec<Wait>,
    /// After how many steps of the run.
    pub steps: u64,
}

impl std::fmt::Display for Deadlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for wait in &self.waits {
            writeln!(f, "{} waits for {} ({})", wait.actor, wait.lock, wait.mode)?;
            writeln!(f, "    in {}", wait.path.join(" > "))?;
            writeln!(f, "    held by {}", wait.holders.join(", "))?;
        }
        Ok(())
    }
}
