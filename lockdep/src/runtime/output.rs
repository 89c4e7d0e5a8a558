//! What a report does: a tracing event in any case, then what the policy says.

use lockdep_core::Report;
use lockdep_report::text;

use crate::Policy;

/// What the acquisition that made a report must do, once the thread is outside of the runtime again.
#[must_use]
pub(super) enum Verdict {
    /// Go on.
    GoOn,
    /// Panic with this message.
    Panic(String),
}

impl Verdict {
    /// Does it, in the name of the caller.
    #[inline]
    #[track_caller]
    pub(super) fn carry_out(self) {
        if let Self::Panic(text) = self {
            fail(&text);
        }
    }
}

#[cold]
#[track_caller]
fn fail(text: &str) -> ! {
    panic!("{text}");
}

/// Tells everybody of new reports.
pub(super) fn tell(reports: &[Report], policy: Policy) -> Verdict {
    if reports.is_empty() {
        return Verdict::GoOn;
    }
    reports.iter().for_each(event);
    let text: String = reports.iter().map(text::render).collect();
    match policy {
        Policy::Collect => Verdict::GoOn,
        Policy::Panic if !std::thread::panicking() => Verdict::Panic(format!("\n{text}")),
        Policy::Panic | Policy::Print => {
            eprint!("{text}");
            Verdict::GoOn
        }
        Policy::Abort => {
            eprint!("{text}");
            std::process::abort();
        }
    }
}

fn event(report: &Report) {
    tracing::error!(
        target: "lockdep",
        code = report.code.as_str(),
        fingerprint = %report.fingerprint,
        thread = report.thread,
        wanted = report.wanted.class,
        "{}",
        text::title(report.code)
    );
}

/// Says that something inside has failed. Once per cause is enough, so callers switch the cause off.
pub(super) fn complain(message: &str) {
    eprintln!("lockdep: {message}");
}
