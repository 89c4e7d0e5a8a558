//! [`Verdict`] of a documented rule.

use std::fmt;

use lockdep_core::HoldKind;
use serde::Serialize;

use super::{Evidence, Seen, Together};
use crate::{
    Aliases, Document,
    document::{DeclaredMode, Rule},
};

/// What observations say of a rule `before -> after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The locks were seen in this order, and never in the other.
    Confirmed,
    /// They were seen in the other order, or whoever followed the rule would close a circle.
    Contradicted,
    /// They were never seen in any order.
    Unobserved,
    /// One of them is not tracked by validators and was not seen.
    Invisible,
    /// Some classes that the names stand for follow the rule, others the opposite; or a name stands for more than one
    /// lock.
    Ambiguous,
}

impl Verdict {
    /// All verdicts, the most serious first.
    pub const ALL: [Self; 5] =
        [Self::Contradicted, Self::Ambiguous, Self::Confirmed, Self::Unobserved, Self::Invisible];

    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Contradicted => "contradicted",
            Self::Unobserved => "unobserved",
            Self::Invisible => "invisible",
            Self::Ambiguous => "ambiguous",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A documented rule with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleAudit {
    /// The rule.
    pub rule: Rule,
    /// The lock that `before` means.
    pub before: String,
    /// The lock that `after` means.
    pub after: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the rule allows the inner lock to be trylocked and forbids to wait for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_trylock_only: bool,
    /// What speaks for the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_for: Option<Evidence>,
    /// What speaks against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_against: Option<Evidence>,
    /// Of an unobserved rule between neighbouring lines: the nearest lock around them under which the inner one was seen
    /// all the same, so that it may belong beside the outer one instead of below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<(String, Evidence)>,
    /// How the locks were held together as documented, where no dependency tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<Together>,
    /// How they were held together the other way round, by trylock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together_reversed: Option<Together>,
}

pub(super) fn judge_all(document: &Document, seen: &Seen<'_>, aliases: &Aliases) -> Vec<RuleAudit> {
    let orders = document.rules().into_iter().filter_map(|rule| judge(rule, seen, aliases));
    let mut orders: Vec<RuleAudit> = orders.collect();
    for at in 0..orders.len() {
        orders[at].instead = instead(&orders, at).filter(|(_, evidence)| evidence.is_direct());
    }
    orders
        .into_iter()
        .chain(document.trylock_rules().into_iter().map(|rule| judge_trylock(rule, seen, aliases)))
        .collect()
}

/// The nearest confirmed rule of the same inner lock, of a rule that was never observed although both locks were seen.
fn instead(rules: &[RuleAudit], at: usize) -> Option<(String, Evidence)> {
    let unobserved = &rules[at];
    if unobserved.verdict != Verdict::Unobserved || !unobserved.rule.adjacent {
        return None;
    }
    let here: Vec<&RuleAudit> = rules.iter().filter(|audit| audit.rule.after == unobserved.rule.after).collect();
    let mut confirmed = here.into_iter().filter(|audit| audit.verdict == Verdict::Confirmed);
    // The nearest outer line comes first. If it is this one, an alternative on it does: `a or b`.
    let nearest = confirmed.next().filter(|audit| audit.rule.before.site != unobserved.rule.before.site)?;
    Some((nearest.rule.before.name.clone(), nearest.evidence_for.clone()?))
}

/// Judges a rule that forbids to wait: a dependency breaks it, a trylock confirms it.
fn judge_trylock(rule: Rule, seen: &Seen<'_>, aliases: &Aliases) -> RuleAudit {
    let scope = rule.scope.as_deref();
    let before = aliases.of_document(&rule.before.name, scope).to_owned();
    let after = aliases.of_document(&rule.after.name, scope).to_owned();
    let evidence_against = seen.evidence(&before, &after).filter(Evidence::is_direct);
    let together = seen.together(&before, &after).filter(|together| together.by_trylock);
    let verdict = match (&evidence_against, &together) {
        (Some(evidence), _) if evidence.is_doubtful => Verdict::Ambiguous,
        (Some(_), _) => Verdict::Contradicted,
        (None, Some(_)) => Verdict::Confirmed,
        (None, None) => Verdict::Unobserved,
    };
    let (evidence_for, together_reversed, is_trylock_only) = (None, None, true);
    RuleAudit {
        rule,
        before,
        after,
        verdict,
        is_trylock_only,
        evidence_for,
        evidence_against,
        instead: None,
        together,
        together_reversed,
    }
}

/// Whether evidence is about a lock held in this mode, as far as it tells.
fn is_about(evidence: &Evidence, mode: Option<DeclaredMode>) -> bool {
    let kinds = &evidence.steps[0].kinds;
    let holds = |mode| kinds.iter().any(|kind| (kind.hold == HoldKind::Exclusive) == (mode == DeclaredMode::Write));
    kinds.is_empty() || mode.is_none_or(holds)
}

/// Judges a rule; nothing to say of one that names a lock twice.
fn judge(rule: Rule, seen: &Seen<'_>, aliases: &Aliases) -> Option<RuleAudit> {
    let scope = rule.scope.as_deref();
    let before = aliases.of_document(&rule.before.name, scope).to_owned();
    let after = aliases.of_document(&rule.after.name, scope).to_owned();
    if before == after {
        return None;
    }
    let evidence_for = seen.evidence(&before, &after).filter(|evidence| is_about(evidence, rule.before.mode));
    let evidence_against = seen.evidence(&after, &before).filter(|evidence| is_about(evidence, rule.after.mode));
    let is_invisible = |lock: &str| aliases.info(lock).is_some_and(|info| info.is_invisible) && !seen.has(lock);
    let together = seen.together(&before, &after).filter(|_| evidence_for.is_none());
    let together_reversed = seen.together(&after, &before).filter(|_| evidence_against.is_none());
    let is_order = |together: &Option<Together>| together.as_ref().is_some_and(|together| !together.by_trylock);
    let verdict = match (&evidence_for, &evidence_against) {
        (None, None) if is_order(&together) && !is_order(&together_reversed) => Verdict::Confirmed,
        (None, None) if is_order(&together) => Verdict::Ambiguous,
        (None, None) if is_invisible(&before) || is_invisible(&after) => Verdict::Invisible,
        (None, None) => Verdict::Unobserved,
        (Some(evidence), None) if !evidence.is_doubtful => Verdict::Confirmed,
        (None, Some(evidence)) if !evidence.is_doubtful => Verdict::Contradicted,
        (Some(_), Some(_)) if seen.is_circular(&before, &after) => Verdict::Contradicted,
        _ => Verdict::Ambiguous,
    };
    let is_trylock_only = false;
    Some(RuleAudit {
        rule,
        before,
        after,
        verdict,
        is_trylock_only,
        evidence_for,
        evidence_against,
        instead: None,
        together,
        together_reversed,
    })
}
