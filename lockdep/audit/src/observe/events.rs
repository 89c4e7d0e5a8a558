//! A trace of events as an observation: the validator's findings, and every dependency that the events show.
//!
//! What the validator keeps is the dependencies that its checks need; a document is held against all that were seen, so
//! they are taken from the events: whoever waits for a lock depends on each lock that its thread holds in the same
//! context. A trylock waits for nothing. A region is a class of its name.

use std::collections::HashMap;

use lockdep_core::{
    DependencyKind, Event, Mode, Replay, Site, Subclass, WaitKind,
    event::{Acquire, Action},
};

use super::{Observation, Source, Witness};
use crate::{InputError, document::Note};

/// What a line of a trace begins with.
const HEADER: &str = "\"event\":\"trace\"";

/// Whether a text is a trace of events.
pub(super) fn is_trace(bytes: &[u8]) -> bool {
    let first = bytes.trim_ascii_start().split(|&byte| byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(first).replace(' ', "").contains(HEADER)
}

/// Reads a trace.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Observation, InputError> {
    let replay = Replay::parse(name, bytes)?;
    let mut trace = Trace { observation: Observation::new(name, Source::Journal), threads: HashMap::new() };
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if let Ok(event) = serde_json::from_slice::<Event>(line) {
            let at = site(name, index + 1);
            trace.step(&event, at);
        }
    }
    let mut observation = trace.observation;
    for report in replay.reports() {
        observation.add_report(report);
    }
    if let Some(line) = replay.cut_line() {
        let text = "the last line was cut and is left out".to_owned();
        observation.notes.push(Note { site: site(name, line), text });
    }
    Ok(observation)
}

fn site(file: &str, line: usize) -> Site {
    Site { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 }
}

/// A lock that is held.
struct Held {
    class: usize,
    instance: u64,
    mode: Mode,
    site: Option<Site>,
}

/// A thread: the held locks of each context that it is in, its own first.
struct Thread(Vec<Vec<Held>>);

impl Default for Thread {
    fn default() -> Self {
        Self(vec![Vec::new()])
    }
}

impl Thread {
    fn held(&mut self) -> impl DoubleEndedIterator<Item = &mut Held> {
        self.0.iter_mut().flatten()
    }
}

struct Trace {
    observation: Observation,
    threads: HashMap<String, Thread>,
}

impl Trace {
    fn step(&mut self, event: &Event, at: Site) {
        match &event.action {
            Action::Acquire(acquire) => self.acquire(event, acquire, true, at),
            Action::MightAcquire(acquire) | Action::Sync(acquire) => self.acquire(event, acquire, false, at),
            Action::EnterRegion { region } => self.acquire(event, &region_lock(region), true, at),
            Action::MayEnter { region } => self.acquire(event, &region_lock(region), false, at),
            Action::ExitRegion { region } => self.release(event, region_number(region)),
            Action::Release(lock) => self.release(event, lock.instance),
            Action::Upgrade(lock) => self.upgrade(event, lock.instance, at),
            Action::Downgrade(lock) => self.set_mode(event, lock.instance, Mode::Shared),
            Action::Enter(_) => self.thread(event).0.push(Vec::new()),
            Action::Exit { .. } => drop(self.thread(event).0.pop()),
            _ => {}
        }
    }

    fn thread(&mut self, event: &Event) -> &mut Thread {
        self.threads.entry(event.thread.clone()).or_default()
    }

    fn acquire(&mut self, event: &Event, acquire: &Acquire, stays: bool, at: Site) {
        let class = self.observation.add_class(&label(&acquire.class, acquire.subclass));
        if !acquire.trylock {
            self.wait(event, class, acquire.mode.wait(), &at);
        }
        if stays {
            let held = Held { class, instance: acquire.instance, mode: acquire.mode, site: event.site.clone() };
            self.thread(event).0.last_mut().expect("a thread is in a context").push(held);
        }
    }

    /// Records that the thread waits for a lock of a class.
    fn wait(&mut self, event: &Event, class: usize, wait: WaitKind, at: &Site) {
        let thread = self.threads.entry(event.thread.clone()).or_default();
        for lock in thread.0.last().into_iter().flatten().filter(|lock| lock.class != class) {
            let witness = Witness {
                at: Some(at.clone()),
                kinds: vec![DependencyKind { hold: lock.mode.hold(), wait }],
                thread: Some(event.thread.clone()),
                outer_site: lock.site.clone(),
                inner_site: event.site.clone(),
                ..Witness::default()
            };
            self.observation.add_dependency(lock.class, class, witness);
        }
    }

    fn upgrade(&mut self, event: &Event, instance: u64, at: Site) {
        let class = self.thread(event).held().find(|lock| lock.instance == instance).map(|lock| lock.class);
        if let Some(class) = class {
            self.wait(event, class, WaitKind::Upgrade, &at);
            self.set_mode(event, instance, Mode::Exclusive);
        }
    }

    fn set_mode(&mut self, event: &Event, instance: u64, mode: Mode) {
        if let Some(lock) = self.thread(event).held().find(|lock| lock.instance == instance) {
            lock.mode = mode;
        }
    }

    /// Releases a lock, whoever holds it: what one thread locks another may unlock.
    fn release(&mut self, event: &Event, instance: u64) {
        let own = self.thread(event);
        if !remove(own, instance) {
            let _ = self.threads.values_mut().any(|thread| remove(thread, instance));
        }
    }
}

fn remove(thread: &mut Thread, instance: u64) -> bool {
    thread.0.iter_mut().rev().any(|held| match held.iter().rposition(|lock| lock.instance == instance) {
        Some(at) => {
            held.remove(at);
            true
        }
        None => false,
    })
}

fn region_lock(region: &str) -> Acquire {
    Acquire::new(region, region_number(region), Mode::Exclusive)
}

/// A number that no lock has: locks are numbered from below or by address.
fn region_number(region: &str) -> u64 {
    region.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))) | 1 << 63
}

fn label(class: &str, subclass: Subclass) -> String {
    match subclass.level() {
        0 => class.to_owned(),
        level => format!("{class}/{level}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(events: &str) -> Vec<String> {
        let text = format!("{{\"event\":\"trace\",\"version\":1,\"program\":\"p\"}}\n{events}");
        let trace = Observation::parse("t.jsonl", text.as_bytes()).unwrap();
        let name = |class: usize| trace.classes()[class].name.to_string();
        let mut all: Vec<_> = trace.dependencies().map(|(o, i, _)| format!("{} -> {}", name(o), name(i))).collect();
        all.extend(trace.findings.iter().map(|finding| finding.title.clone()));
        all.sort_unstable();
        all
    }

    fn event(what: &str, class: &str, instance: u64, more: &str) -> String {
        format!("{{\"event\":\"{what}\",\"class\":\"{class}\",\"instance\":{instance}{more}}}\n")
    }

    #[test]
    fn waiting_makes_a_dependency_on_everything_that_is_held() {
        let (a, b, c) = (event("acquire", "a", 1, ""), event("acquire", "b", 2, ""), event("acquire", "c", 3, ""));
        assert_eq!(seen(&format!("{a}{b}{c}")), ["a -> b", "a -> c", "b -> c"]);
        let released = event("release", "a", 1, "");
        assert_eq!(seen(&format!("{a}{released}{b}")), Vec::<String>::new());
        let tried = event("acquire", "b", 2, ",\"trylock\":true");
        assert_eq!(seen(&format!("{a}{tried}{c}")), ["a -> c", "b -> c"]);
        let other = event("acquire", "b", 2, ",\"thread\":\"two\"");
        assert_eq!(seen(&format!("{a}{other}")), Vec::<String>::new());
        let child = event("acquire", "a", 2, ",\"subclass\":1");
        assert_eq!(seen(&format!("{a}{child}")), ["a -> a/1"]);
    }

    #[test]
    fn a_path_that_may_wait_holds_nothing_and_a_context_starts_anew() {
        let (a, b, c) =
            (event("acquire", "a", 1, ""), event("might-acquire", "b", 2, ""), event("acquire", "c", 3, ""));
        assert_eq!(seen(&format!("{a}{b}{c}")), ["a -> b", "a -> c"]);
        let enter = "{\"event\":\"enter\",\"context\":\"hardirq\"}\n";
        assert_eq!(seen(&format!("{a}{enter}{c}")), Vec::<String>::new());
        let region = "{\"event\":\"may-enter\",\"region\":\"fs_reclaim\"}\n";
        assert_eq!(seen(&format!("{a}{region}")), ["a -> fs_reclaim"]);
    }

    #[test]
    fn the_validators_findings_are_there() {
        let nest = |x: &str, i, y: &str, j| {
            let take = event("acquire", x, i, "") + &event("acquire", y, j, "");
            take + &event("release", y, j, "") + &event("release", x, i, "")
        };
        let circle = nest("a", 1, "b", 2) + &nest("b", 2, "a", 1);
        assert_eq!(seen(&circle), ["a -> b", "b -> a", "circular-dependency"]);
    }

    #[test]
    fn a_cut_line_is_a_note() {
        let text = "{\"event\":\"trace\",\"version\":1,\"program\":\"p\"}\n{\"event\":\"acq";
        assert_eq!(Observation::parse("t", text.as_bytes()).unwrap().notes[0].site.line, 2);
        let wrong = "{\"event\":\"trace\",\"version\":1,\"program\":\"p\"}\n{\"event\":\"acq\"}\n";
        assert!(Observation::parse("t", wrong.as_bytes()).unwrap_err().to_string().starts_with("t:2: not an event"));
    }
}
