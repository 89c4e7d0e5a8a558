//! [`Event`]: what a thread did, one JSON object a line; the format that traces and replays share.
//!
//! The first line is a header. Every other line names its `event`; `thread` may be left out (`main`), as may `site`.
//! Threads, classes, contexts and regions have names, locks have numbers; whatever is not declared is as usual.
//!
//! ```text
//! {"event":"trace","version":1,"program":"bank"}
//! {"event":"declare","class":"runqueue","inner":"spin"}
//! {"thread":"one","event":"acquire","class":"account","instance":7,"site":{"file":"src/bank.rs","line":3}}
//! {"thread":"one","event":"acquire","class":"ledger","instance":9,"mode":"shared","trylock":true}
//! {"thread":"one","event":"release","instance":9}
//! ```
//!
//! * `declare`: what a `class` is like, before its first lock: `inner` and `outer`, what may be waited for while it is held and
//!   what it needs (`free`, `spin`, `config`, `sleep`, `await`, `any`); `same_class`, how its locks nest (`forbidden`,
//!   `learnt`, `by-rank`); `checking` (`full`, `stack-only`); `per_cpu`.
//! * `acquire`, `might-acquire` (a path that only sometimes locks), `sync` (waits for the holders): `class`, `instance`,
//!   `mode` (`exclusive`, `shared`, `shared-recursive`, `upgradable`), `trylock`, `subclass`, `nest` (the lock that must be held), `rank` (in the order of its class).
//! * `release`, `free`, `downgrade`, `upgrade`, `change-mode` (`mode`, without a wait), `assert-held` (`hold`), `pin` and
//!   `unpin` (`cookie`): `instance`.
//! * `watch`, `enter`, `exit`, `disable`, `enable`: a `context` that interrupts; `await`: a task may be suspended.
//! * `enter-region`, `exit-region`, `may-enter`, `bar`, `unbar`: a `region` that an allocation, say, may have to wait
//!   for, and that cannot be entered while it is barred.
//! * `spawn`, `join` (`child`), `end` of the thread; `span`: the span it is in from now on.

use serde::{Deserialize, Serialize};

use crate::{
    class::{Site, Subclass},
    context::WaitType,
    mode::{HoldKind, Mode},
    traits::ClassTraits,
};

/// The version of the format.
pub const VERSION: u32 = 1;

/// What a thread did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The thread.
    #[serde(default = "main_thread")]
    pub thread: String,
    /// What.
    #[serde(flatten)]
    pub action: Action,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
}

fn main_thread() -> String {
    "main".to_owned()
}

impl Event {
    /// An event of `thread` at no known place.
    pub fn new(thread: &str, action: Action) -> Self {
        Self { thread: thread.to_owned(), action, site: None }
    }

    /// Returns the line, with its line feed.
    pub fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("an event has string keys only, so it is JSON");
        line.push('\n');
        line
    }
}

/// What an event is. The fields are those of the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the module's head describes every event with its fields")]
pub enum Action {
    Trace { version: u32, program: String },
    Declare(Declared),
    Acquire(Acquire),
    MightAcquire(Acquire),
    Sync(Acquire),
    Release(Lock),
    Free(Lock),
    Downgrade(Lock),
    Upgrade(Lock),
    ChangeMode { instance: u64, mode: Mode },
    AssertHeld(Assertion),
    Pin { instance: u64, cookie: u32 },
    Unpin { instance: u64, cookie: u32 },
    Watch { contexts: Vec<String> },
    Enter(Enter),
    Exit { context: String },
    Disable { context: String },
    Enable { context: String },
    Await,
    EnterRegion { region: String },
    ExitRegion { region: String },
    MayEnter { region: String },
    Bar { region: String },
    Unbar { region: String },
    Spawn { child: String },
    Join { child: String },
    End,
    Span { span: String },
}

/// What a class is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The class.
    pub class: String,
    /// Its traits.
    #[serde(flatten)]
    pub traits: ClassTraits,
}

/// A lock that is named by its number, and by its class where that may be the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The lock.
    pub instance: u64,
}

/// An assertion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The lock.
    #[serde(flatten)]
    pub lock: Lock,
    /// In which way it must be held, if that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldKind>,
}

/// An acquisition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquire {
    /// The class.
    pub class: String,
    /// The lock.
    pub instance: u64,
    /// The mode.
    #[serde(default = "exclusive")]
    pub mode: Mode,
    /// Whether it could not block.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trylock: bool,
    /// The nesting level.
    #[serde(default)]
    pub subclass: Subclass,
    /// The nest lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nest: Option<u64>,
    /// The rank in the order of the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u64>,
}

const fn exclusive() -> Mode {
    Mode::Exclusive
}

impl Acquire {
    /// A plain acquisition.
    pub fn new(class: &str, instance: u64, mode: Mode) -> Self {
        let class = class.to_owned();
        Self { class, instance, mode, trylock: false, subclass: Subclass::DEFAULT, nest: None, rank: None }
    }
}

/// The beginning of a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enter {
    /// The context.
    pub context: String,
    /// What it keeps disabled while it lasts; itself, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disables: Option<Vec<String>>,
    /// What may be waited for inside; as usual for the context, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<WaitType>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let lock = Lock { class: None, instance: 3 };
        let events = [
            Event::new("main", Action::Trace { version: VERSION, program: "p".to_owned() }),
            Event::new("a", Action::Acquire(Acquire { rank: Some(9), ..Acquire::new("c", 1, Mode::Shared) })),
            Event::new("a", Action::AssertHeld(Assertion { lock, hold: Some(HoldKind::Exclusive) })),
            Event::new("a", Action::Await),
            Event::new("a", Action::Enter(Enter { context: "poll".to_owned(), disables: None, limit: None })),
            Event::new("a", Action::Declare(Declared { class: "c".to_owned(), traits: ClassTraits::default() })),
        ];
        for event in events {
            assert_eq!(serde_json::from_str::<Event>(&event.to_line()).unwrap(), event, "{}", event.to_line());
        }
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        let event: Event = serde_json::from_str(r#"{"event":"acquire","class":"a","instance":7}"#).unwrap();
        assert_eq!(event, Event::new("main", Action::Acquire(Acquire::new("a", 7, Mode::Exclusive))));
        let declared = r#"{"event":"declare","class":"a","inner":"spin","same_class":"by-rank"}"#;
        let Action::Declare(declared) = serde_json::from_str::<Event>(declared).unwrap().action else { panic!() };
        assert_eq!(declared.traits.wait.inner, Some(WaitType::Spin));
        assert_eq!(declared.traits.same_class, crate::SameClass::ByRank);
    }
}
