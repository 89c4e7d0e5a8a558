//! Plain text, after the kernel's wording, so that what people know to look for is there.
//!
//! A report answers, in this order: who wants what and holds what; how the lock that is held came to depend on the one
//! that is wanted, latest dependency first, each with both stacks; how two threads would meet; what the thread holds.

use std::fmt::{self, Write};

use lockdep_core::{Acquisition, Code, Dependency, Frame, Grade, Mode, Report, WaitType};

/// Returns the report as text, every line ended by a line feed.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    write(&mut out, report).expect("a string takes everything");
    out
}

/// Returns the one line that says what sort of finding a report is.
pub const fn title(code: Code) -> &'static str {
    match code {
        Code::CircularDependency => "possible circular locking dependency detected",
        Code::Recursion => "possible recursive locking detected",
        Code::InstanceOrder => "possible circular locking dependency detected within one class",
        Code::ReleaseUnheld => "bad unlock balance detected!",
        Code::InconsistentUsage => "inconsistent lock state",
        Code::ContextDependency => "context-safe -> context-unsafe lock order detected",
        Code::ContextInversion => "possible irq lock inversion dependency detected",
        Code::WaitContext => "Invalid wait context",
        Code::NestNotHeld => "Nested lock was not taken",
        Code::DeclaredOrder => "possible recursive locking detected against the declared order",
        Code::PinnedRelease => "releasing a pinned lock",
        Code::HeldFreed => "held lock freed!",
        Code::HeldAtExit => "thread still has locks held!",
        Code::NotHeld => "lock is not held as it must be",
        _ => "locking rule broken",
    }
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let title = format!("WARNING: {}", title(report.code));
    writeln!(out, "{}\n{title}\n{}", "=".repeat(title.len()), "-".repeat(title.len()))?;
    match report.code {
        Code::ReleaseUnheld => balance(out, report)?,
        Code::Recursion | Code::DeclaredOrder => recursion(out, report)?,
        Code::InconsistentUsage | Code::ContextDependency | Code::ContextInversion => usage(out, report)?,
        Code::WaitContext => wait_context(out, report)?,
        Code::NestNotHeld => nest(out, report)?,
        Code::PinnedRelease | Code::HeldFreed | Code::HeldAtExit | Code::NotHeld => state(out, report)?,
        _ => circle(out, report)?,
    }
    grade(out, report)?;
    held(out, report)?;
    writeln!(out, "\n[{} {}]", report.code, report.fingerprint)
}

fn circle(out: &mut String, report: &Report) -> fmt::Result {
    let Some(closing) = report.cycle.first() else { return wanted(out, report) };
    wanted(out, report)?;
    writeln!(out, "\nbut thread is already holding lock:\n {}", Lock(&closing.outer))?;
    writeln!(out, "\nwhich lock already depends on the new lock.\n")?;
    writeln!(out, "the existing dependency chain (in reverse order) is:")?;
    for (number, dependency) in report.cycle.iter().enumerate().rev() {
        link(out, number, dependency)?;
    }
    writeln!(out, "\nother info that might help us debug this:\n")?;
    // From the wanted lock to the held one: what was known before.
    let names: Vec<String> = report.cycle.iter().map(|dependency| Named(&dependency.inner).to_string()).collect();
    writeln!(out, "Chain exists of:\n  {}\n", names.join(" --> "))?;
    let other = report.cycle.last().unwrap_or(closing);
    scenario(out, closing, other)
}

fn wanted(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "{}{} is trying to acquire lock:", report.thread, InSpan(report.span.as_deref()))?;
    writeln!(out, " {}", Lock(&report.wanted))
}

fn link(out: &mut String, number: usize, dependency: &Dependency) -> fmt::Result {
    let Dependency { outer, inner, thread, span, kind } = dependency;
    writeln!(out, "\n-> #{number} {}", Lock(inner))?;
    writeln!(
        out,
        "   acquired by {thread}{} while holding ({}), dependency {kind}:",
        InSpan(span.as_deref()),
        Named(outer)
    )?;
    stack(out, &inner.stack)?;
    writeln!(out, "   ({}) had been acquired{}:", Named(outer), At(outer))?;
    stack(out, &outer.stack)
}

fn stack(out: &mut String, frames: &[Frame]) -> fmt::Result {
    if frames.is_empty() {
        writeln!(out, "       (no stack)")?;
    }
    for frame in frames {
        match &frame.site {
            Some(site) => writeln!(out, "       {} ({site})", frame.function)?,
            None => writeln!(out, "       {}", frame.function)?,
        }
    }
    Ok(())
}

/// Two threads that meet: one holds what the report's thread holds, the other is about to want it.
fn scenario(out: &mut String, closing: &Dependency, other: &Dependency) -> fmt::Result {
    let [first, second, third] =
        [Call(&other.outer), Call(&other.inner), Call(&closing.inner)].map(|call| call.to_string());
    writeln!(out, " Possible unsafe locking scenario:\n")?;
    let left = column_width(&[&Call(&closing.outer).to_string(), &third]);
    writeln!(out, "  {:left$}CPU1\n  {:left$}----", "CPU0", "----")?;
    writeln!(out, "  {}", Call(&closing.outer))?;
    writeln!(out, "  {:left$}{first}\n  {:left$}{second}", "", "")?;
    writeln!(out, "  {third}\n\n *** DEADLOCK ***")
}

fn column_width(calls: &[&str]) -> usize {
    calls.iter().map(|call| call.len()).max().unwrap_or(0).max(22) + 2
}

fn recursion(out: &mut String, report: &Report) -> fmt::Result {
    wanted(out, report)?;
    stack(out, &report.wanted.stack)?;
    let Some(conflict) = &report.conflict else { return Ok(()) };
    writeln!(out, "\nbut thread is already holding lock:\n {}", Lock(conflict))?;
    stack(out, &conflict.stack)?;
    writeln!(out, "\nother info that might help us debug this:\n\n Possible unsafe locking scenario:\n")?;
    writeln!(out, "  CPU0\n  ----\n  {}\n  {}\n\n *** DEADLOCK ***\n", Call(conflict), Call(&report.wanted))?;
    match (report.same_instance, conflict.mode) {
        (true, Mode::Shared | Mode::SharedRecursive) => {
            writeln!(out, " It is the same lock: a writer that waits in between blocks the second reader for good.")
        }
        (true, _) => writeln!(out, " It is the same lock: the thread waits for itself."),
        (false, _) => writeln!(out, " May be due to missing lock nesting notation"),
    }
}

/// A cycle through a context: how each lock on the way depends on the one before, then how it would happen.
fn usage(out: &mut String, report: &Report) -> fmt::Result {
    let context = report.context.as_deref().unwrap_or("context");
    wanted(out, report)?;
    writeln!(out, "\nthe dependencies, of which <{context}> stands for whatever interrupts the thread, are:")?;
    for (number, dependency) in report.cycle.iter().enumerate().rev() {
        link(out, number, dependency)?;
    }
    let interrupt = format!("<{context}>");
    let handler = report.cycle.iter().find(|dependency| dependency.outer.class == interrupt);
    let holder = report.cycle.iter().find(|dependency| dependency.inner.class == interrupt);
    let (Some(handler), Some(holder)) = (handler, holder) else { return Ok(()) };
    writeln!(out, "\n Possible unsafe locking scenario:\n\n  CPU0\n  ----\n  {}", Call(&holder.outer))?;
    writeln!(out, "  <Interrupt: {context}>\n    {}\n\n *** DEADLOCK ***", Call(&handler.inner))
}

fn wait_context(out: &mut String, report: &Report) -> fmt::Result {
    let Some((needs, limit)) = report.waits else { return wanted(out, report) };
    if let (Some(place), Some(held)) = (&report.context, &report.conflict) {
        let (thread, span, at) = (&report.thread, InSpan(report.span.as_deref()), At(&report.wanted));
        writeln!(out, "{thread}{span} leaves the task at an {place}{at}")?;
        writeln!(out, "while holding lock:\n {}", Lock(held))?;
        stack(out, &held.stack)?;
        return writeln!(
            out,
            "\nwhich {} ({needs:?} is needed here, {limit:?} is what it is): whoever wants it next on this thread keeps\n\
             the task that has it from going on. Let go of it before, or take a lock of an async runtime.",
            waits(limit)
        );
    }
    wanted(out, report)?;
    writeln!(
        out,
        "\nwhich {} ({needs:?}), where what {} ({limit:?}) is the most that is allowed",
        waits(needs),
        waits(limit)
    )?;
    match &report.conflict {
        Some(held) => writeln!(out, "while holding lock:\n {}", Lock(held)),
        None => writeln!(out, "by the context that the thread is inside of."),
    }
}

/// What a lock of this wait type does to who waits for it.
const fn waits(wait: WaitType) -> &'static str {
    match wait {
        WaitType::Free => "never waits",
        WaitType::Spin => "spins",
        WaitType::Config => "spins or sleeps",
        WaitType::Sleep => "blocks the thread",
        WaitType::Await => "suspends the task",
        WaitType::Any => "waits in any way",
    }
}

fn nest(out: &mut String, report: &Report) -> fmt::Result {
    wanted(out, report)?;
    writeln!(out, "\nunder a nest lock that it does not hold.")
}

/// What a thread does with a lock that it holds, or should hold.
fn state(out: &mut String, report: &Report) -> fmt::Result {
    let did = match report.code {
        Code::PinnedRelease => "is releasing a lock that was pinned",
        Code::HeldFreed => "is destroying a lock that it holds",
        Code::HeldAtExit => "ends with a lock held",
        _ => "does not hold, in the way it must, lock",
    };
    writeln!(out, "{} {did}:\n {}", report.thread, Lock(report.conflict.as_ref().unwrap_or(&report.wanted)))
}

/// What speaks against a cycle, if anything does.
fn grade(out: &mut String, report: &Report) -> fmt::Result {
    let (needed, seen) = (report.cycle.len(), "fewer threads took part in this run than the deadlock takes");
    match report.grade {
        _ if needed == 0 => Ok(()),
        Grade::Concurrent => Ok(()),
        Grade::FewThreads => writeln!(out, "\ngrade few-threads: {seen}; the order is just as broken."),
        Grade::Ordered => {
            writeln!(out, "\ngrade ordered: by spawn and join, one part was always over before the next.")
        }
        Grade::Gated => {
            let gate = report.gate.as_deref().unwrap_or("one lock");
            writeln!(out, "\ngrade gated: ({gate}) was held around all parts.")
        }
    }
}

fn balance(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "{} is trying to release lock ({}){}", report.thread, report.wanted.class, At(&report.wanted))?;
    writeln!(out, "but it does not hold it.")
}

fn held(out: &mut String, report: &Report) -> fmt::Result {
    match report.held.len() {
        0 => writeln!(out, "\nno locks held by {}.", report.thread),
        1 => writeln!(out, "\n1 lock held by {}:", report.thread),
        n => writeln!(out, "\n{n} locks held by {}:", report.thread),
    }?;
    report.held.iter().enumerate().try_for_each(|(number, lock)| writeln!(out, " #{number}: {}", Lock(lock)))
}

/// `(class){mode}, at file:line:column`
pub(crate) struct Lock<'a>(pub(crate) &'a Acquisition);

impl fmt::Display for Lock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.0.mode {
            Mode::Exclusive => "exclusive",
            Mode::Shared => "shared",
            Mode::SharedRecursive => "shared, recursive",
            Mode::Upgradable => "upgradable",
        };
        let trylock = if self.0.trylock { ", trylock" } else { "" };
        write!(f, "({}){{{mode}{trylock}}}", Named(self.0))?;
        self.0.site.iter().try_for_each(|site| write!(f, ", at {site}"))
    }
}

/// `class`, or `class[2]` where several locks of one class are told apart.
struct Named<'a>(&'a Acquisition);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.class)?;
        self.0.lock.iter().try_for_each(|number| write!(f, "[{number}]"))
    }
}

/// ` at file:line:column`
struct At<'a>(&'a Acquisition);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.site.iter().try_for_each(|site| write!(f, " at {site}"))
    }
}

/// ` (in span{field=value})`
struct InSpan<'a>(Option<&'a str>);

impl fmt::Display for InSpan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|span| write!(f, " (in {span})"))
    }
}

/// `lock(class);`, or `rlock` for a reader, `ulock` for the upgradable one.
struct Call<'a>(&'a Acquisition);

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.0.mode {
            Mode::Exclusive => "lock",
            Mode::Shared | Mode::SharedRecursive => "rlock",
            Mode::Upgradable => "ulock",
        };
        write!(f, "{verb}({});", Named(self.0))
    }
}

#[cfg(test)]
mod tests;
