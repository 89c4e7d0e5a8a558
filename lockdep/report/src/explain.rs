//! What a code or a grade means and what to do about it, at more length than a report has room for.

use std::fmt::Write;

use lockdep_core::{Code, Grade};

use crate::text::title;

/// Returns the explanation of a code: what was seen, how it goes wrong, and the ways out. Lines end with a line feed.
pub fn code(code: Code) -> String {
    let (meaning, remedy) = of_code(code);
    format!("{code}: {}\n\n{meaning}\n\nWays out:\n{remedy}\n", title(code))
}

/// Returns the explanation of a grade.
pub fn grade(grade: Grade) -> String {
    let (meaning, remedy) = of_grade(grade);
    format!("{grade} (a grade)\n\n{meaning}\n\n{remedy}\n")
}

/// Returns the explanation of a code or a grade by its name, or `None` if nothing has that name.
pub fn named(name: &str) -> Option<String> {
    let by_code = Code::ALL.into_iter().find(|code| code.as_str() == name).map(self::code);
    by_code.or_else(|| Grade::ALL.into_iter().find(|grade| grade.as_str() == name).map(self::grade))
}

/// Returns the list of everything that can be explained, one line each.
pub fn list() -> String {
    let mut out = String::from("codes, which say what was found:\n");
    for code in Code::ALL {
        writeln!(out, "  {:<21}{}", code.as_str(), title(code)).expect("a string takes everything");
    }
    out += "\ngrades, which say how near a circular dependency came to a deadlock:\n";
    for grade in Grade::ALL {
        let first = of_grade(grade).0.lines().next().unwrap_or_default();
        writeln!(out, "  {:<21}{first}", grade.as_str()).expect("a string takes everything");
    }
    out
}

const fn of_code(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::CircularDependency => (
            "Somewhere B was taken while A was held, and here A is wanted while B is held, maybe by way of further locks.\n\
             Threads that do this at the same time wait for each other for ever. The report has both stacks of each\n\
             dependency of the circle: where the outer lock was taken, and where the inner one was.",
            "- Take the locks in one order everywhere.\n\
             - Drop the outer lock before the inner one is taken, and look again at what it protects.\n\
             - Try one of the two (try_lock), and let go of what is held when that fails.\n\
             - If two locks only share a class because one line constructs them, give them classes of their own.",
        ),
        Code::Recursion => (
            "A thread wants a lock of a class of which it holds one already, in a way that may block: the same lock again, which\n\
             waits for itself; or another lock of the class, and somebody else may take the two the other way around. A second\n\
             plain read counts: a writer that waits in between lets no reader pass.",
            "- Take the lock once, and hand the guard (or what it protects) to the callee.\n\
             - A lock that is meant to be taken again: ReentrantMutex, or read_recursive.\n\
             - Two locks of one class in an order: a subclass, a rank, a comparison function, or a nest lock.",
        ),
        Code::InstanceOrder => (
            "Locks of one class were nested lock by lock in orders that form a circle: first X then Y here, first Y then X there.\n\
             The class alone says nothing of that, so the locks themselves are compared.",
            "- Nest them by something that all agree on: an address, a number, a place in a tree; declare it by a rank or a\n  \
               comparison function, so that a wrong pair is found the first time.\n\
             - Hold one lock around all nestings, and say so (lock_under).",
        ),
        Code::ReleaseUnheld => (
            "A thread releases a lock that it does not hold: released twice, taken by another thread, or taken before checking was on.",
            "- Pair each acquisition with one release; guards do that by themselves.\n\
             - A lock that is handed over: release it for its holder (Holder), which says who that is.",
        ),
        Code::InconsistentUsage => (
            "Locks of a class are taken in a context that interrupts others (a signal handler, an interrupt), and held elsewhere\n\
             while that context may come. If it comes right then, on the same thread, it waits for the one that it has interrupted.",
            "- Disable the context around the acquisitions outside it.\n\
             - Only try the lock inside it.",
        ),
        Code::ContextDependency => (
            "A lock that an interrupting context takes is held while another lock is taken that is held elsewhere with that context\n\
             enabled. Whoever holds the second one is interrupted, the context waits for the first, and its holder for the second.",
            "- Take the second lock with the context disabled everywhere.\n\
             - Do not take the second lock under the first.",
        ),
        Code::ContextInversion => (
            "As context-dependency, but the dependency was known first, and it is this use in a context, or with it enabled, that\n\
             makes it dangerous.",
            "- Take the lock with the context disabled everywhere, or not inside the context.",
        ),
        Code::WaitContext => (
            "An acquisition may wait in a way that is not allowed here: a lock that sleeps under one that spins, or a lock that blocks\n\
             its thread in code that an executor polls.",
            "- Take the one that waits longer first, or outside.\n\
             - In a poll: a lock that is awaited, or the work on a thread of its own.",
        ),
        Code::NestNotHeld => (
            "Locks of one class are nested in any order, which is right as long as whoever does so holds the nest lock that they were\n\
             said to be under. Here it is not held.",
            "- Take the nest lock first, and keep it until the last of them has been taken.",
        ),
        Code::DeclaredOrder => (
            "Two locks of one class were nested against the order that the class declares: by rank, by address, or by a comparison\n\
             function. Others follow the order, and would meet this thread half way.",
            "- Take them in the declared order; sort them first where they come in any.\n\
             - If both are the same by that order, it must tell them apart.",
        ),
        Code::PinnedRelease => (
            "Somebody relies on a lock to stay held and has pinned it; it was released all the same, often by a callback that drops\n\
             its caller's lock for a while and takes it again. What the caller had looked at may have changed.",
            "- Do not let go of it there, or tell the caller that it must look again, and let it unpin first.",
        ),
        Code::HeldFreed => (
            "A lock is destroyed or initialised anew by a thread that holds it. Whoever waits for it waits for something that is gone.",
            "- Release it first. A guard that is forgotten (mem::forget) keeps its lock held.",
        ),
        Code::HeldAtExit => (
            "A thread has ended and holds a lock, which nobody will ever get again.",
            "- Keep no guard in a thread-local or in a leaked object; do not forget one.",
        ),
        Code::NotHeld => (
            "A place that is right only under a lock was reached without it, or with it held too weakly (for reading, where it must be\n\
             for writing).",
            "- Take the lock in the caller; the report names who called.",
        ),
        // `Code` may grow.
        _ => ("A rule of locking is broken.", "- See the report."),
    }
}

const fn of_grade(grade: Grade) -> (&'static str, &'static str) {
    match grade {
        Grade::Concurrent => (
            "As many threads as the deadlock takes were seen to take part.",
            "Nothing but luck kept this run from hanging.",
        ),
        Grade::FewThreads => (
            "Fewer threads were seen than the deadlock takes, as is usual in tests.",
            "The order is just as broken: it only waits for a second thread.",
        ),
        Grade::Gated => (
            "One lock, which the report names, was held around all dependencies of the circle.",
            "As long as everybody holds it the circle cannot close. It is printed, and does not fail a run unless LOCKDEP=fail=all\n\
             says so: whoever takes the locks without the gate brings the deadlock.",
        ),
        Grade::Ordered => (
            "The threads cannot meet: one was started after the other had finished its part, or was joined before.",
            "It is printed, and does not fail a run unless LOCKDEP=fail=all says so: the day that the two overlap it is a deadlock.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_report_can_say_is_explained() {
        let listed = list();
        for code in Code::ALL {
            assert!(named(code.as_str()).is_some_and(|text| !text.contains("See the report.")), "{code}");
            assert!(listed.contains(code.as_str()), "{code}");
        }
        for grade in Grade::ALL {
            assert!(named(grade.as_str()).is_some_and(|text| !text.contains("See the report.")), "{grade}");
        }
        assert_eq!(named("deadlock"), None);
    }
}
