//! ftrace text and `perf script` output of the `lock:*` events.
//!
//! ```text
//!   init-1   [002] ...1.   273.209740: lock_acquire: 00000000da5cb3f4 try read &vma->vm_lock->lock
//!   init     1 [002]   273.209740: lock:lock_release: 0xffff888100c4ec70 &vma->vm_lock->lock
//! ```
//!
//! The first has a column of flags, of which the third letter tells the interrupt context; an interrupt's locks are
//! not nested in those of the thread below it. In the second the stacks tell, if they were recorded. Names have neither number nor subclass; `read`
//! stands for both sorts of reader. Lines of other events are skipped.

use lockdep_core::Mode;

use super::{
    Observation, Source,
    replay::{Acquire, Flow, Replay},
};
use crate::InputError;

/// A `lock:*` event that matters.
struct Event<'a> {
    thread: &'a str,
    flow: Flow,
    cpu: u32,
    is_acquire: bool,
    rest: &'a str,
}

/// Whether a line has a lock event.
pub(super) fn is_event(line: &str) -> bool {
    line.contains(": lock_acquire: ") || line.contains(": lock_release: ") || is_perf(line)
}

/// Whether a line has a lock event as perf prints it.
pub(super) fn is_perf(line: &str) -> bool {
    line.contains(" lock:lock_acquire: ") || line.contains(" lock:lock_release: ")
}

/// Reads the file.
pub(super) fn parse(file: &str, text: &str, source: Source) -> Result<Observation, InputError> {
    let mut replay = Replay::new(file, source);
    let (mut last, mut events, mut has_stacks) = (0, 0u64, source != Source::Perf);
    let lines: Vec<&str> = text.lines().collect();
    for (index, &line) in lines.iter().enumerate() {
        last = index + 1;
        if line.contains("LOST") && line.contains("EVENTS") {
            replay.lose(last, line);
            continue;
        }
        let Some(mut event) = event(line) else { continue };
        if source == Source::Perf {
            let stack = lines[last..].iter().take_while(|line| is_frame(line));
            has_stacks |= lines.get(last).is_some_and(|line| is_frame(line));
            event.flow = stack.fold(event.flow, |flow, line| interrupt(line, event.cpu).unwrap_or(flow));
        }
        let fields =
            Fields::read(event.rest).ok_or_else(|| InputError::at(file, last, "a lock event without its lock: cut?"));
        let fields = match fields {
            // A recording that was cut loses its last line.
            Err(_) if !text.ends_with('\n') && lines.len() == last => {
                replay.note(last, "the last line was cut and is left out".to_owned());
                break;
            }
            fields => fields?,
        };
        events += 1;
        if event.is_acquire {
            let Fields { instance, trylock, read, name } = fields;
            let (mode, thread) = (mode(read, name), event.thread);
            replay.acquire(event.flow, &Acquire { name, instance, mode, trylock, thread, line: last });
        } else {
            replay.release(event.flow, fields.instance);
        }
    }
    if events == 0 {
        return Err(InputError::at(file, last.max(1), "no lock event: record with `-e lock:*`"));
    }
    if !has_stacks {
        replay.lacks_contexts(last);
    }
    Ok(replay.finish(last))
}

/// Whether a line is a function of a stack that perf prints: `ffffffff81 lock_acquire+0x1 ([kernel])`.
fn is_frame(line: &str) -> bool {
    let address = line.trim_start().split(' ').next().unwrap_or("");
    line.starts_with([' ', '\t']) && address.len() > 3 && address.chars().all(|c| c.is_ascii_hexdigit())
}

/// The interrupt that a function of a stack belongs to; the outermost of a stack decides.
fn interrupt(frame: &str, cpu: u32) -> Option<Flow> {
    let is_hard =
        ["sysvec_", "common_interrupt", "handle_irq", "el1_interrupt"].iter().any(|part| frame.contains(part));
    let is_soft = frame.contains("do_softirq") || frame.contains("handle_softirqs");
    match (frame.contains("exc_nmi"), is_soft, is_hard) {
        (true, ..) => Some(Flow::Nmi(cpu)),
        (_, true, _) => Some(Flow::SoftIrq(cpu)),
        (_, _, true) => Some(Flow::HardIrq(cpu)),
        _ => None,
    }
}

/// What stands behind an event's name.
struct Fields<'a> {
    instance: u64,
    trylock: bool,
    read: bool,
    name: &'a str,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (address, mut name) = text.split_once(' ')?;
        let instance = u64::from_str_radix(address.trim_start_matches("0x"), 16).ok()?;
        let mut take = |word: &str| match name.strip_prefix(word) {
            Some(rest) if !rest.is_empty() => {
                name = rest;
                true
            }
            _ => false,
        };
        let (trylock, read) = (take("try "), take("read "));
        let name = name.trim_end();
        (!name.is_empty()).then_some(Self { instance, trylock, read, name })
    }
}

/// RCU sections and sequence counts may nest in themselves; the events do not tell them from other readers.
fn mode(read: bool, name: &str) -> Mode {
    match read {
        false => Mode::Exclusive,
        true if name.starts_with("rcu_") || name.ends_with("seqcount") => Mode::SharedRecursive,
        true => Mode::Shared,
    }
}

fn event(line: &str) -> Option<Event<'_>> {
    let (head, is_acquire, rest) = split(line)?;
    let open = head.rfind(" [")?;
    let close = open + head[open..].find(']')?;
    let cpu: u32 = head[open + 2..close].parse().ok()?;
    let thread = head[..open].trim();
    let pid: u32 = thread.rsplit(['-', ' ']).next()?.split('/').next_back()?.parse().ok()?;
    let flags = head[close + 1..].trim_start().split(' ').next()?;
    Some(Event { thread, flow: flow(flags, pid, cpu), cpu, is_acquire, rest })
}

/// Splits at the event's name.
fn split(line: &str) -> Option<(&str, bool, &str)> {
    let at =
        line.find("lock_acquire: ").map(|at| (at, true)).or_else(|| line.find("lock_release: ").map(|at| (at, false)));
    let (at, is_acquire) = at?;
    let rest = &line[at + "lock_acquire: ".len()..];
    let head = line[..at].strip_suffix("lock:").unwrap_or(&line[..at]);
    head.ends_with(": ").then_some((head, is_acquire, rest))
}

fn flow(flags: &str, pid: u32, cpu: u32) -> Flow {
    let is_flags = !flags.ends_with(':') && flags.len() >= 4;
    match flags.as_bytes().get(2).filter(|_| is_flags) {
        Some(b'h' | b'H') => Flow::HardIrq(cpu),
        Some(b's') => Flow::SoftIrq(cpu),
        Some(b'z' | b'Z') => Flow::Nmi(cpu),
        _ if pid == 0 => Flow::Idle(cpu),
        _ => Flow::Thread(pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependencies(text: &str) -> Vec<String> {
        let seen = parse("t", text, Source::Trace).unwrap();
        let name = |class: usize| seen.classes()[class].name.to_string();
        seen.dependencies().map(|(o, i, w)| format!("{} -> {} x{}", name(o), name(i), w.count.unwrap())).collect()
    }

    fn line(flags: &str, event: &str) -> String {
        format!("   a b-c-7   [001] {flags}   1.000001: {event}\n")
    }

    #[test]
    fn a_trylock_makes_no_dependency_and_is_held_all_the_same() {
        let text = [
            line(".....", "lock_acquire: 000000a1 a"),
            line(".....", "lock_acquire: 000000b2 try read b"),
            line(".....", "lock_acquired: 000000b2 b"),
            line(".....", "lock_acquire: 000000c3 read &c->x y"),
            line(".....", "lock_release: 000000b2 b"),
            line(".....", "lock_acquire: 000000d4 d"),
        ];
        let expected = ["a -> &c->x y x1", "a -> d x1", "b -> &c->x y x1", "&c->x y -> d x1"];
        assert_eq!(dependencies(&text.concat()), expected);
    }

    #[test]
    fn an_interrupt_is_not_nested_in_the_thread_below() {
        let text = [
            line("....1", "lock_acquire: 000000a1 a"),
            line("d.h.1", "lock_acquire: 000000b2 b"),
            line("d.h.1", "lock_acquire: 000000c3 c"),
            line("d.h.1", "lock_release: 000000c3 c"),
            line("d.h.1", "lock_release: 000000b2 b"),
        ];
        assert_eq!(dependencies(&text.concat()), ["b -> c x1"]);
    }

    #[test]
    fn perf_script_is_read_too() {
        let text = "  mmx   789/790 [002]   273.477565: lock:lock_acquire: 0x00a1 read a\n\
                    \tffffffff81 lock_acquire+0x1 ([kernel])\n\n\
                    mmx   789/790 [003]   273.477566: lock:lock_acquire: 0x00b2 b\n";
        assert!(is_perf(text.lines().next().unwrap()));
        assert_eq!(dependencies(text), ["a -> b x1"]);
    }

    #[test]
    fn an_interrupt_shows_in_the_stacks_of_perf() {
        let event = |at: &str, stack: &str| format!("mmx 789 [002] 273.4{at}\n{stack}\n");
        let recording = |stack: &str| {
            event("1: lock:lock_acquire: 0x00a1 a", "\tffffffff81 lock_acquire+0x1 ([kernel])\n")
                + &event("2: lock:lock_acquire: 0x00b2 b", stack)
        };
        let parse = |text: String| parse("t", &text, Source::Perf).unwrap();
        let thread = parse(recording("\tffffffff82 mutex_lock+0x1 ([kernel])\n"));
        assert_eq!((thread.dependencies().count(), thread.lacks_contexts), (1, false));
        let stack =
            "\tffffffff82 lock_acquire+0x1 ([kernel])\n\tffffffff83 sysvec_apic_timer_interrupt+0x6c ([kernel])\n";
        assert_eq!(parse(recording(stack)).dependencies().count(), 0);
        let bare = "mmx 789 [002] 273.1: lock:lock_acquire: 0x00a1 a\n";
        assert!(parse(bare.to_owned()).lacks_contexts);
    }

    #[test]
    fn an_inversion_in_a_trace_is_found_and_a_trylock_is_none() {
        let ab = [
            line(".....", "lock_acquire: a1 a"),
            line(".....", "lock_acquire: b2 b"),
            line(".....", "lock_release: b2 b"),
            line(".....", "lock_release: a1 a"),
        ];
        let ba =
            |word: &str| [line(".....", "lock_acquire: b2 b"), line(".....", &format!("lock_acquire: a1 {word}a"))];
        let findings = |text: String| parse("t", &text, Source::Trace).unwrap().findings.len();
        assert_eq!(findings(ab.concat() + &ba("").concat()), 1);
        assert_eq!(findings(ab.concat() + &ba("try ").concat()), 0);
    }

    #[test]
    fn lost_events_and_cuts_are_told() {
        let text =
            line(".....", "lock_acquire: a1 a") + "CPU:2 [LOST 17 EVENTS]\n" + &line(".....", "lock_acquire: b2 b");
        assert_eq!(dependencies(&text), Vec::<String>::new());
        let cut = line(".....", "lock_acquire: a1 a") + "   a-7   [001] .....   1.000001: lock_acquire: 000000";
        assert_eq!(parse("t", &cut, Source::Trace).unwrap().notes.len(), 1);
        let bad = format!("{cut}\n");
        assert_eq!(
            parse("t", &bad, Source::Trace).unwrap_err().to_string(),
            "t:2: a lock event without its lock: cut?"
        );
    }
}
