//! The main job: the story of the mail, told by runs.
//!
//! Runs the scenario under every protocol, shows the report of January 2023, looks for the deadlock that it warns of,
//! and holds a documented order against what was observed. [`tell`] returns text and files; the binary prints and
//! writes them, a test compares them with the copies under `reports/mm-sim`.

use std::fmt::Write as _;

use lockdep_audit::{Aliases, Audit, Document, InputError, Observation};

use crate::{
    protocol::Protocol,
    run::{Outcome, run},
    scenario,
};

/// The seed of the story's runs.
pub const SEED: u64 = 2;
/// Seeds that are tried to find the deadlock.
const DEADLOCK_SEEDS: u64 = 60;
/// The documented order: names and nesting as of Linux 6.1.
const ORDER: &str = include_str!("../data/rmap-order-6.1.txt");
const ORDER_FILE: &str = "mm-sim/data/rmap-order-6.1.txt";

/// The story, told.
#[derive(Clone, Debug)]
pub struct Story {
    /// What the binary prints.
    pub text: String,
    /// Files to keep: name and contents.
    pub files: Vec<(&'static str, String)>,
    /// Whether every verdict was the expected one.
    pub is_expected: bool,
}

/// Runs everything and tells the story.
///
/// # Errors
///
/// If the documented order cannot be read.
pub fn tell() -> Result<Story, InputError> {
    let mail = &scenario::ALL[0];
    let outcomes: Vec<Outcome> = Protocol::ALL.into_iter().map(|protocol| run(mail, protocol, SEED)).collect();
    let of = |protocol: Protocol| outcomes.iter().find(|outcome| outcome.protocol == protocol.name);
    let hunt = find_deadlock();
    let audits = [Protocol::V6_1, Protocol::JAN_2023, Protocol::V6_4]
        .into_iter()
        .filter_map(of)
        .map(|outcome| audit(outcome).map(|audit| (outcome.protocol, audit)))
        .collect::<Result<Vec<_>, _>>()?;
    let is_expected = outcomes.iter().all(|outcome| outcome.is_expected) && hunt.is_expected();

    let bug = of(Protocol::JAN_2023).map_or(&[][..], |outcome| &outcome.reports);
    let report: String = bug.iter().map(lockdep_report::text::render).collect();
    let mut text = String::new();
    verdicts(&mut text, &outcomes, is_expected);
    the_bug(&mut text, mail.story, &report);
    the_cures(&mut text, &outcomes);
    the_deadlock(&mut text, &hunt);
    the_document(&mut text, &audits);
    let full: String = audits.iter().map(|(name, audit)| format!("== {name} ==\n{}\n", render(audit))).collect();
    let journal = of(Protocol::JAN_2023).map(|outcome| outcome.journal.to_text()).unwrap_or_default();
    let files = vec![
        ("story.txt", text.clone()),
        ("mail-jan2023.txt", report),
        ("mail-jan2023.json", lockdep_report::json::render(bug)),
        ("mail-jan2023.jsonl", journal),
        ("mail-deadlock.txt", hunt.text()),
        ("audit.txt", full),
    ];
    Ok(Story { text, files, is_expected })
}

fn verdicts(text: &mut String, outcomes: &[Outcome], is_expected: bool) {
    let line = if is_expected { "every verdict is the expected one" } else { "NOT EVERY VERDICT IS THE EXPECTED ONE" };
    let _ = writeln!(text, "{line}\n");
    for (outcome, protocol) in outcomes.iter().zip(Protocol::ALL) {
        let mark = if outcome.is_expected { "  " } else { "! " };
        let _ = writeln!(text, "{mark}{:<14}{}", protocol.name, protocol.title);
        outcome.verdict.split("; ").for_each(|part| {
            let _ = writeln!(text, "  {:<14}=> {part}", "");
        });
        if !outcome.is_expected {
            let _ = writeln!(text, "! {:<14}but expected: {}", "", outcome.expected);
        }
    }
}

fn the_bug(text: &mut String, story: &str, report: &str) {
    let _ = writeln!(text, "\n## January 2023: khugepaged against a page fault, by way of reclaim\n\n{story}\n");
    text.push_str(
        "No page fault takes i_mmap_rwsem itself. But a fault that holds a VMA lock allocates, an\n\
         allocation may wait for reclaim, and reclaim waits for i_mmap_rwsem. retract_page_tables holds\n\
         that and waits for a VMA lock:\n\n",
    );
    text.push_str(report);
}

fn the_cures(text: &mut String, outcomes: &[Outcome]) {
    text.push_str("\n## What was done about it\n\n");
    let cures = [
        (Protocol::V6_4, "6.4 only tries the VMA lock: nothing leads to it any more. Silent"),
        (Protocol::V6_5_RC0, "For six days in July 2023 mmap brought the inversion back; lockdep complained"),
        (Protocol::V6_6, "6.6 takes neither the mmap lock nor the VMA lock there and frees by RCU. Silent"),
    ];
    for (protocol, words) in cures {
        let Some(outcome) = outcomes.iter().find(|outcome| outcome.protocol == protocol.name) else { continue };
        let count = |name: &str| outcome.stats.get(name).copied().unwrap_or(0);
        let _ = writeln!(
            text,
            "{words}: {} reports, {} broken\n  invariants; {} tables retracted, {} page faults under the VMA \
             lock,\n  {} accesses checked against the memory model.",
            outcome.reports.len(),
            outcome.findings.len(),
            count("tables_retracted"),
            count("faults_under_vma_lock"),
            count("accesses"),
        );
    }
}

/// The search for a schedule that really deadlocks.
struct Hunt {
    tried: u64,
    found: Option<Outcome>,
    /// The same scenario and seed with the trylock.
    cured: Option<Outcome>,
}

fn find_deadlock() -> Hunt {
    let Some(scenario) = scenario::named("mail-deadlock") else { return Hunt { tried: 0, found: None, cured: None } };
    for seed in 1..=DEADLOCK_SEEDS {
        let outcome = run(scenario, Protocol::JAN_2023_FILE, seed);
        if outcome.deadlock.is_some() {
            let cured = Some(run(scenario, Protocol::V6_4, seed));
            return Hunt { tried: seed, found: Some(outcome), cured };
        }
    }
    Hunt { tried: DEADLOCK_SEEDS, found: None, cured: None }
}

impl Hunt {
    fn is_expected(&self) -> bool {
        [&self.found, &self.cured].into_iter().all(|outcome| outcome.as_ref().is_some_and(|run| run.is_expected))
    }

    fn text(&self) -> String {
        let Some(deadlock) = self.found.as_ref().and_then(|found| found.deadlock.as_ref()) else {
            return format!("no deadlock in {} seeds\n", self.tried);
        };
        format!("deadlock after {} steps with seed {}:\n\n{deadlock}", deadlock.steps, self.tried)
    }
}

fn the_deadlock(text: &mut String, hunt: &Hunt) {
    text.push_str("\n## What the mail foresees: file faults under the VMA lock\n\n");
    text.push_str(
        "In January 2023 only anonymous memory faulted under the VMA lock, and khugepaged waited only for\n\
         the locks of file mappings, so no two threads could really meet. With file faults they do:\n",
    );
    text.push_str(&hunt.text());
    let _ = writeln!(
        text,
        "\nReplay: mm-sim run mail-deadlock --protocol jan2023-file --seed {}\nThe same seed under 6.4 runs to its end.",
        hunt.tried
    );
}

fn the_document(text: &mut String, audits: &[(&str, Audit)]) {
    let _ = writeln!(text, "\n## The documented order ({ORDER_FILE}) against what was observed");
    for (protocol, audit) in audits {
        let _ = writeln!(text, "\nagainst the run of {protocol}:");
        audit.documents.iter().for_each(|document| summarise(text, document));
    }
    text.push_str(
        "\nSo the VMA lock is missing from the document. January 2023 leaves no place for it; with the\n\
         trylock there is one: before mapping->i_mmap_rwsem.\n",
    );
}

fn summarise(text: &mut String, document: &lockdep_audit::DocumentAudit) {
    use lockdep_audit::Verdict;
    let count = |verdict| document.with_verdict(verdict).count();
    let _ = writeln!(
        text,
        "  {} rules: {} confirmed, {} contradicted, {} unobserved",
        document.rules.len(),
        count(Verdict::Confirmed),
        count(Verdict::Contradicted),
        count(Verdict::Unobserved),
    );
    for missing in &document.missing {
        let name = |end: &Option<(String, _)>| end.as_ref().map_or("nothing", |(name, _)| name).to_owned();
        let (outer, inner) = (name(&missing.place.outer), name(&missing.place.inner));
        let _ = writeln!(text, "  missing: {}, after {outer} and before {inner}", missing.lock);
        if !missing.both_sides.is_empty() {
            let _ =
                writeln!(text, "           no place is right: seen before and after {}", missing.both_sides.join(", "));
        }
    }
}

fn audit(outcome: &Outcome) -> Result<Audit, InputError> {
    let document = Document::parse(ORDER_FILE, ORDER.as_bytes())?;
    let observed = Observation::from_journal(&format!("mm-sim {}", outcome.protocol), &outcome.journal);
    Ok(lockdep_audit::audit(&[document], &[observed], &Aliases::builtin()))
}

fn render(audit: &Audit) -> String {
    lockdep_audit::render::text(audit)
}
