//! The verdicts of the Linux kernel's own locking self-test, and of cases of ours, cell by cell.
//!
//! `LOCKDEP_CONFORMANCE` may name another table of the same form. A cell is a list of operations of one task on locks of
//! known kinds; it becomes a trace, the trace is replayed, and the first report must be the right one at the right
//! operation. What an operation means is told in [`actions`] alone; no cell is treated apart. The misuse assertions of
//! wait-die mutexes are no matter of order and are left out, by the kind of their report.

use std::{collections::BTreeMap, env, fs};

use lockdep_core::{
    Checking, ClassTraits, Event, HoldKind, Mode, Replay, SameClass, Subclass, WaitType, WaitTypes,
    event::{Acquire, Action, Assertion, Declared, Enter, Lock},
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
    extra: Vec<Extra>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    family: String,
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Extra {
    id: String,
    family: String,
    #[serde(flatten)]
    cell: Cell,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(default)]
    kind: String,
    expect: String,
    report: Option<String>,
    at: Option<(usize, usize)>,
    grade: Option<String>,
    steps: Vec<Step>,
    locks: BTreeMap<String, Object>,
}

#[derive(Deserialize)]
struct Step {
    ops: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    class: String,
    #[serde(default)]
    novalidate: bool,
    #[serde(default)]
    cmp_order: bool,
}

/// What a class of this kind of lock is like.
fn traits(object: &Object) -> ClassTraits {
    let wait = match object.kind.as_str() {
        "raw_spinlock" => WaitTypes::both(WaitType::Spin),
        "spinlock" | "rwlock" | "local_lock" => WaitTypes::both(WaitType::Config),
        "mutex" | "rwsem" | "rtmutex" | "ww_mutex" => WaitTypes::both(WaitType::Sleep),
        "rcu" | "rcu_bh" => WaitTypes { outer: Some(WaitType::Free), inner: Some(WaitType::Config) },
        "rcu_sched" => WaitTypes { outer: Some(WaitType::Free), inner: Some(WaitType::Spin) },
        "map" | "ww_ctx" => WaitTypes::UNCHECKED,
        other => panic!("unknown kind of lock {other}"),
    };
    let stack_only = object.novalidate || object.kind.starts_with("rcu");
    ClassTraits {
        wait,
        checking: if stack_only { Checking::StackOnly } else { Checking::Full },
        same_class: if object.cmp_order { SameClass::ByRank } else { SameClass::Forbidden },
        per_cpu: object.kind == "local_lock",
    }
}

/// Returns the name of our report that a kind of the table stands for.
fn code(kind: &str) -> &str {
    match kind {
        "recursive" => "recursion",
        "circular" => "circular-dependency",
        "irq-dependency" => "context-dependency",
        "irq-inversion" => "context-inversion",
        "unlock-balance" => "release-unheld",
        "pinned-unlock" => "pinned-release",
        "assert-held" => "not-held",
        same => same,
    }
}

impl Cell {
    /// Numbers the locks in the order of their names, which also is the order that a class may declare.
    fn number(&self, name: &str) -> u64 {
        self.locks.keys().position(|other| other == name).map_or(u64::MAX, |index| index as u64 + 1)
    }

    fn acquire(&self, name: &Value, mode: Mode) -> Acquire {
        let name = name.as_str().expect("a lock");
        let object = &self.locks[name];
        let instance = self.number(name);
        Acquire { rank: object.cmp_order.then_some(instance), ..Acquire::new(&object.class, instance, mode) }
    }

    fn lock(&self, name: &Value) -> Lock {
        let name = name.as_str().expect("a lock");
        Lock { class: Some(self.locks[name].class.clone()), instance: self.number(name) }
    }

    /// Returns the events that an operation of the table stands for.
    fn actions(&self, op: &[Value]) -> Vec<Action> {
        let exclusive = || self.acquire(&op[1], Mode::Exclusive);
        let nest = || op.get(2).and_then(Value::as_str).map(|name| self.number(name));
        let irq = |disables: &[&str]| disables.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let enter = |context: &str, disables: &[&str], limit| {
            let disables = Some(irq(disables));
            Action::Enter(Enter { context: context.to_owned(), disables, limit: Some(limit) })
        };
        let context = |name: &str| name.to_owned();
        let region = || "fs_reclaim".to_owned();
        let returns = op.iter().find_map(|argument| argument.get("ret"));
        let action = match op[0].as_str().expect("an operation") {
            "lock" | "base_lock" | "ww_ctx_init" => Action::Acquire(exclusive()),
            "read" | "rcu_lock" => Action::Acquire(self.acquire(&op[1], Mode::SharedRecursive)),
            "sread" => Action::Acquire(self.acquire(&op[1], Mode::Shared)),
            "trylock" | "map_acquire_try" => Action::Acquire(Acquire { trylock: true, ..exclusive() }),
            "lock_nested" => {
                let level = op[2].as_u64().and_then(|level| u8::try_from(level).ok()).expect("a level");
                Action::Acquire(Acquire { subclass: Subclass::new(level), ..exclusive() })
            }
            "lock_nest" | "ww_lock_slow" => Action::Acquire(Acquire { nest: nest(), ..exclusive() }),
            // Refused instead of waiting: to back off is what such a lock is for.
            "ww_lock" if returns.is_some_and(Value::is_string) => return Vec::new(),
            "ww_lock" => Action::Acquire(Acquire { nest: nest(), ..exclusive() }),
            "ww_trylock" if returns.and_then(Value::as_u64) == Some(0) => return Vec::new(),
            "ww_trylock" => Action::Acquire(Acquire { trylock: true, ..exclusive() }),
            "might_lock" => Action::MightAcquire(exclusive()),
            "sync" => Action::Sync(exclusive()),
            "unlock" | "rcu_unlock" | "base_unlock" | "ww_unlock" | "map_release" | "ww_ctx_fini" => {
                Action::Release(self.lock(&op[1]))
            }
            "init" | "free" => Action::Free(self.lock(&op[1])),
            "downgrade" => Action::Downgrade(self.lock(&op[1])),
            "pin" => Action::Pin { instance: self.lock(&op[1]).instance, cookie: 1 },
            "assert_held_write" => {
                Action::AssertHeld(Assertion { lock: self.lock(&op[1]), hold: Some(HoldKind::Exclusive) })
            }
            "task_exit" => Action::End,
            "irq_disable" => Action::Disable { context: context("hardirq") },
            "irq_enable" => Action::Enable { context: context("hardirq") },
            "softirq_disable" => Action::Disable { context: context("softirq") },
            "softirq_enable" => Action::Enable { context: context("softirq") },
            "enter_hardirq" => enter("hardirq", &["hardirq"], WaitType::Config),
            "enter_hardirq_nothread" => enter("hardirq", &["hardirq"], WaitType::Spin),
            "enter_softirq" => enter("softirq", &["softirq", "hardirq"], WaitType::Config),
            "exit_hardirq" => Action::Exit { context: context("hardirq") },
            "exit_softirq" => Action::Exit { context: context("softirq") },
            "fs_reclaim_acquire" => Action::EnterRegion { region: region() },
            "fs_reclaim_release" => Action::ExitRegion { region: region() },
            "might_alloc" => Action::MayEnter { region: region() },
            "nofs_save" => Action::Bar { region: region() },
            "nofs_restore" => Action::Unbar { region: region() },
            // These tamper with the object, not with what the validator knows of it.
            "ww_ctx_copy" | "ww_ctx_stamp" | "ww_ctx_done" | "ww_set_owner_ctx" | "ww_clear_owner_ctx" => {
                return Vec::new();
            }
            other => panic!("unknown operation {other}"),
        };
        vec![action]
    }

    /// Replays the cell. Returns the name of the first report, where it was made, and its grade.
    fn replay(&self) -> Option<(String, (usize, usize), String)> {
        let mut replay = Replay::new();
        let mut step = |action| replay.step(&Event::new("main", action)).expect("a sound trace").into_iter().next();
        step(Action::Watch { contexts: vec!["hardirq".to_owned(), "softirq".to_owned()] });
        for object in self.locks.values() {
            step(Action::Declare(Declared { class: object.class.clone(), traits: traits(object) }));
        }
        for (number, ops) in self.steps.iter().enumerate() {
            for (index, op) in ops.ops.iter().enumerate() {
                let report = self.actions(op).into_iter().find_map(&mut step);
                if let Some(report) = report {
                    return Some((report.code.to_string(), (number, index), report.grade.to_string()));
                }
            }
        }
        None
    }

    /// Returns what is wrong with the verdict, or `None`.
    fn judge(&self) -> Option<String> {
        let found = self.replay();
        let wrong = match (&found, self.expect.as_str()) {
            (None, "ok") => return None,
            (Some((name, at, grade)), "report") => {
                Some(name.as_str()) != self.report.as_deref().map(code)
                    || self.at.is_some_and(|expected| expected != *at)
                    || self.grade.as_ref().is_some_and(|expected| expected != grade)
            }
            _ => true,
        };
        wrong.then(|| format!("{} {:?} at {:?}, but found {found:?}", self.expect, self.report, self.at))
    }

    fn is_left_out(&self) -> bool {
        self.report.as_deref() == Some("ww-misuse")
    }
}

#[test]
fn every_cell_has_its_verdict() {
    let path = env::var("LOCKDEP_CONFORMANCE")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/conformance.json").to_owned());
    let text = fs::read_to_string(&path).unwrap_or_else(|err| panic!("{path}: {err}"));
    let table: Table = serde_json::from_str(&text).unwrap_or_else(|err| panic!("{path}: {err}"));
    let cells = table.cases.iter().flat_map(|case| case.cells.iter().map(move |cell| (&case.id, &case.family, cell)));
    let extra = table.extra.iter().map(|case| (&case.id, &case.family, &case.cell));
    let mut families: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (id, family, cell) in cells.chain(extra) {
        let count = families.entry(family).or_default();
        if cell.is_left_out() {
            count[2] += 1;
        } else if let Some(wrong) = cell.judge() {
            println!("{id} {}: expected {wrong}", cell.kind);
            count[1] += 1;
        } else {
            count[0] += 1;
        }
    }
    for (family, [passed, failed, left_out]) in &families {
        println!("{family}: {passed} passed, {failed} failed, {left_out} left out");
    }
    let total = families.values().fold([0; 3], |sum, count| [0, 1, 2].map(|index| sum[index] + count[index]));
    println!(
        "conformance: {} passed, {} failed, {} left out (misuse of wait-die mutexes)",
        total[0], total[1], total[2]
    );
    assert_eq!(total[1], 0, "some cells have the wrong verdict");
    assert!(total[0] > 0, "the table is empty");
}
