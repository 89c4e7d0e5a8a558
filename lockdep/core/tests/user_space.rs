//! Contexts, wait types, grades and blind spots as a program of user space meets them, as traces.

use lockdep_core::{Code, Grade, Replay, Report};

/// Replays a trace whose lines are `thread event key=value ...`. Values are numbers, words, or lists between brackets.
fn replay(lines: &str) -> Vec<Report> {
    let mut trace = String::from("{\"event\":\"trace\",\"version\":1,\"program\":\"test\"}\n");
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (thread, event) = (words.next().unwrap(), words.next().unwrap());
        let mut object = format!("{{\"thread\":\"{thread}\",\"event\":\"{event}\"");
        for (key, value) in words.map(|word| word.split_once('=').unwrap()) {
            let plain = value.parse::<u64>().is_ok() || value == "true" || value.starts_with('[');
            let value = if plain { value.replace(['\''], "\"") } else { format!("\"{value}\"") };
            object.push_str(&format!(",\"{key}\":{value}"));
        }
        trace.push_str(&format!("{object}}}\n"));
    }
    let replay = Replay::parse("test", trace.as_bytes()).unwrap_or_else(|err| panic!("{err}\n{trace}"));
    replay.validator().check_invariants();
    replay.reports().to_vec()
}

fn codes(lines: &str) -> Vec<Code> {
    replay(lines).iter().map(|report| report.code).collect()
}

/// The events of a thread that nests `a` and `b`, one way or the other.
const FORTH: &str = "acquire class=a instance=1;acquire class=b instance=2;release instance=2;release instance=1";
const BACK: &str = "acquire class=b instance=2;acquire class=a instance=1;release instance=1;release instance=2";

fn by(thread: &str, events: &str) -> String {
    events.split(';').map(|event| format!("{thread} {event}\n")).collect()
}

#[test]
fn a_signal_handler_must_not_wait_for_what_it_interrupts() {
    let body = "main watch contexts=['signal']
        main acquire class=log instance=1
        main release instance=1
        main enter context=signal
        main acquire class=log instance=1";
    let reports = replay(body);
    assert_eq!(reports[0].code, Code::InconsistentUsage);
    assert_eq!(reports[0].context.as_deref(), Some("signal"));
    let blocked = body
        .replace(
            "acquire class=log instance=1\n        main release",
            "disable context=signal
        main acquire class=log instance=1
        main release",
        )
        .replace("main enter", "main enable context=signal\nmain enter");
    assert_eq!(codes(&blocked), [], "never held while the signal may come");
}

#[test]
fn a_blocking_lock_in_a_poll_and_a_guard_across_an_await_point() {
    let declare = "main declare class=std inner=sleep
        main declare class=async outer=free inner=await
        main declare class=spin inner=spin\n";
    let poll = |body: &str| codes(&format!("{declare} main enter context=poll\n{body}"));
    assert_eq!(poll("main acquire class=std instance=1"), [Code::WaitContext]);
    assert_eq!(poll("main acquire class=async instance=1\n main await"), []);
    assert_eq!(poll("main acquire class=spin instance=1"), []);
    assert_eq!(poll("main acquire class=spin instance=1\n main await"), [Code::WaitContext]);
    assert_eq!(poll("main acquire class=std instance=1 trylock=true\n main await"), [Code::WaitContext]);
    assert_eq!(
        codes(&format!("{declare} main acquire class=spin instance=1\n main acquire class=std instance=2")),
        [Code::WaitContext]
    );
}

#[test]
fn a_declared_context_may_lead_into_another() {
    // Holding a, the first callback may come and wants b; whoever holds b may be interrupted by the second, which
    // wants a. No single context sees it.
    let body = "main watch contexts=['first','second']
        main disable context=second
        main acquire class=a instance=1
        main release instance=1
        main enable context=second
        main enter context=first disables=['first','second']
        main acquire class=b instance=2
        main release instance=2
        main exit context=first
        main disable context=first
        main acquire class=b instance=2
        main release instance=2
        main enable context=first
        main enter context=second disables=['first','second']
        main acquire class=a instance=1";
    let reports = replay(body);
    assert_eq!(reports.iter().map(|report| report.code).collect::<Vec<_>>(), [Code::ContextInversion]);
    assert_eq!(reports[0].cycle.len(), 4);
}

#[test]
fn an_allocation_under_a_lock_that_reclaim_takes() {
    let reclaim = "main enter-region region=reclaim
        main acquire class=cache instance=1
        main release instance=1
        main exit-region region=reclaim\n";
    let allocate = "main acquire class=cache instance=1
        main may-enter region=reclaim
        main release instance=1";
    assert_eq!(codes(&format!("{reclaim}{allocate}")), [Code::CircularDependency]);
    let barred = allocate.replace("main may-enter", "main bar region=reclaim\n main may-enter");
    assert_eq!(codes(&format!("{reclaim}{barred}")), []);
}

#[test]
fn the_four_grades() {
    let grade = |lines: String| {
        let reports = replay(&lines);
        assert_eq!(reports.len(), 1, "{lines}");
        reports[0].grade
    };
    assert_eq!(grade(by("one", FORTH) + &by("two", BACK)), Grade::Concurrent);
    assert_eq!(grade(by("one", FORTH) + &by("one", BACK)), Grade::FewThreads);
    let joined = by("one", "spawn child=two") + &by("two", FORTH) + &by("one", "join child=two") + &by("one", BACK);
    assert_eq!(grade(joined.clone()), Grade::Ordered);
    assert_eq!(grade(joined.replace("one join child=two\n", "")), Grade::Concurrent);
    let gated = |thread, events| by(thread, &format!("acquire class=g instance=9;{events};release instance=9"));
    assert_eq!(grade(gated("one", FORTH) + &gated("two", BACK)), Grade::Gated);
    assert_eq!(grade(gated("one", FORTH) + &by("one", FORTH) + &gated("two", BACK)), Grade::Concurrent);
}

#[test]
fn two_gates_of_one_class_are_no_gate() {
    let gated = |thread, gate: u32, events| {
        by(thread, &format!("acquire class=g instance={gate};{events};release instance={gate}"))
    };
    let reports = replay(&(gated("one", 8, FORTH) + &gated("two", 9, BACK)));
    assert_eq!(reports[0].grade, Grade::Concurrent);
    let reports = replay(&(gated("one", 9, FORTH) + &gated("two", 9, BACK)));
    assert_eq!(reports[0].gate.as_deref(), Some("g"));
}

#[test]
fn an_excused_acquisition_still_depends_on_everything_else() {
    // The kernel records nothing for the second lock of class x.
    let nest = "one acquire class=g instance=9
        one acquire class=x instance=1
        one acquire class=y instance=5
        one acquire class=x instance=2 nest=9
        one release instance=2
        one release instance=5
        one release instance=1
        one release instance=9
        two acquire class=x instance=3
        two acquire class=y instance=5";
    assert_eq!(codes(nest), [Code::CircularDependency]);
    assert_eq!(codes(&nest.replace("one acquire class=g instance=9\n", ""))[0], Code::NestNotHeld);
}

#[test]
fn a_class_declares_its_order() {
    let two = |first: u32, second: u32| {
        codes(&format!(
            "main declare class=account same_class=by-rank
             main acquire class=account instance=1 rank={first}
             main acquire class=account instance=2 rank={second}"
        ))
    };
    assert_eq!(two(1, 2), []);
    assert_eq!(two(2, 1), [Code::DeclaredOrder]);
    assert_eq!(two(2, 2), [Code::DeclaredOrder]);
}
