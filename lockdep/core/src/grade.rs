//! [`Grade`]: how near a cycle is to a deadlock, by what is known of those who made its dependencies.
//!
//! A cycle is graded by the best choice of one witness for each of its dependencies. Two witnesses of a choice exclude
//! each other if both were made under one lock that two threads cannot hold at once (the choice is gated), or if spawn
//! and join put one before the other (it is ordered). What remains can happen; whether it has been seen on as many
//! threads as it takes is the last question. After Bensalem and Havelund, *Dynamic deadlock analysis of multi-threaded
//! programs* (2005). Nothing is dropped for its grade.
//!
//! A dependency that is implied by a chain is not recorded; so the parts of a cycle that one witness holds all together
//! are first made one. Cost: a bounded number of choices; if there are more, the best grade so far counts.

use serde::{Deserialize, Serialize};

use crate::{
    class::ClassId,
    segment::Segments,
    witness::{HeldSets, Witness},
};

/// How many choices of witnesses are tried, for a short cycle.
const CHOICES: usize = 4096;
/// How many pairs of witnesses are compared, whatever the length of the cycle (one choice is always judged).
const PAIRS: usize = 1 << 20;

/// How near a finding is to happening. The greatest is the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// A common lock keeps its parts apart in all that was seen.
    Gated,
    /// Its parts were always one before the other, by spawn and join.
    Ordered,
    /// This run had fewer threads than it takes, as tests often have. The order is just as broken.
    #[default]
    FewThreads,
    /// As many threads as it takes took part, and nothing keeps them apart; or it is a fact, not a prediction.
    Concurrent,
}

impl Grade {
    /// All grades, the mildest first.
    pub const ALL: [Self; 4] = [Self::Gated, Self::Ordered, Self::FewThreads, Self::Concurrent];

    /// Returns the stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gated => "gated",
            Self::Ordered => "ordered",
            Self::FewThreads => "few-threads",
            Self::Concurrent => "concurrent",
        }
    }
}

impl std::fmt::Display for Grade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which grades make a run fail.
///
/// ```
/// use lockdep_core::{FailOn, Grade};
///
/// assert!(FailOn::default().fails(Grade::FewThreads));
/// assert!(!FailOn::default().fails(Grade::Gated));
/// assert!("all".parse::<FailOn>().unwrap().fails(Grade::Gated));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailOn(Option<Grade>);

impl FailOn {
    /// Every finding.
    pub const ALL: Self = Self(Some(Grade::Gated));
    /// None.
    pub const NONE: Self = Self(None);

    /// This grade and the worse ones.
    pub const fn from(grade: Grade) -> Self {
        Self(Some(grade))
    }

    /// Returns whether a finding of this grade makes a run fail.
    pub fn fails(self, grade: Grade) -> bool {
        self.0.is_some_and(|mildest| grade >= mildest)
    }
}

impl Default for FailOn {
    fn default() -> Self {
        Self(Some(Grade::FewThreads))
    }
}

impl std::str::FromStr for FailOn {
    type Err = UnknownGrade;

    fn from_str(text: &str) -> Result<Self, UnknownGrade> {
        match text {
            "all" => Ok(Self::ALL),
            "none" => Ok(Self::NONE),
            _ => Grade::ALL.into_iter().find(|grade| grade.as_str() == text).map(Self::from).ok_or(UnknownGrade(())),
        }
    }
}

/// A word that names no grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownGrade(());

impl std::fmt::Display for UnknownGrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such grade (known: gated, ordered, few-threads, concurrent, all, none)")
    }
}

impl std::error::Error for UnknownGrade {}

/// A grade, with the lock that gates if it is that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graded {
    /// The grade.
    pub grade: Grade,
    /// The class of the lock that keeps the parts of a gated cycle apart.
    pub gate: Option<ClassId>,
}

impl Graded {
    /// A fact.
    pub const FACT: Self = Self { grade: Grade::Concurrent, gate: None };
}

/// Grades a cycle, given the witnesses of each of its dependencies (of none empty).
pub(crate) fn grade(witnesses: &[Vec<Witness>], sets: &HeldSets, segments: &Segments) -> Graded {
    let mut best: Option<Graded> = None;
    let mut choice = vec![0; witnesses.len()];
    for _ in 0..(PAIRS / (witnesses.len() * witnesses.len()).max(1)).clamp(1, CHOICES) {
        let chosen: Vec<&Witness> = choice.iter().zip(witnesses).filter_map(|(&index, all)| all.get(index)).collect();
        let graded = judge(&merged(&chosen, sets), sets, segments);
        if best.is_none_or(|best| graded.grade > best.grade) {
            best = Some(graded);
        }
        if graded.grade == Grade::Concurrent || !advance(&mut choice, witnesses) {
            break;
        }
    }
    best.unwrap_or(Graded::FACT)
}

/// Goes on to the next choice, if there is one.
fn advance(choice: &mut [usize], witnesses: &[Vec<Witness>]) -> bool {
    for (index, all) in choice.iter_mut().zip(witnesses) {
        *index += 1;
        if *index < all.len() {
            return true;
        }
        *index = 0;
    }
    false
}

/// Makes one of neighbouring dependencies where the last one's thread held the first one's outer lock as well, just so.
fn merged<'a>(chosen: &[&'a Witness], sets: &HeldSets) -> Vec<&'a Witness> {
    let mut merged = Vec::new();
    let mut first = 0;
    while let Some(start) = chosen.get(first) {
        let held = (start.outer_instance, start.outer_mode.hold());
        let rest = &chosen[first + 1..];
        let last = rest.iter().take_while(|other| sets.contains(other.held, held)).count();
        merged.push(chosen[first + last]);
        first += last + 1;
    }
    merged
}

fn judge(chosen: &[&Witness], sets: &HeldSets, segments: &Segments) -> Graded {
    let mut grade = Grade::Concurrent;
    for (index, a) in chosen.iter().enumerate() {
        for b in &chosen[index + 1..] {
            if let Some(gate) = sets.gate(a.held, b.held) {
                return Graded { grade: Grade::Gated, gate: Some(gate) };
            }
            let apart = if a.thread == b.thread {
                Grade::FewThreads
            } else if segments.is_before(a.segment, b.segment) || segments.is_before(b.segment, a.segment) {
                Grade::Ordered
            } else {
                Grade::Concurrent
            };
            grade = grade.min(apart);
        }
    }
    Graded { grade, gate: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acquired, HeldStack, Mode, Point, Request, SegmentId};

    /// A dependency `outer -> inner` by `thread`, which also holds `others`.
    fn witness(
        thread: u32,
        segment: SegmentId,
        others: &[u64],
        outer: u64,
        inner: u64,
        sets: &mut HeldSets,
    ) -> Witness {
        let how = Acquired::new(ClassId::new(1), Mode::Exclusive, false);
        let held = HeldStack::new();
        others.iter().chain([&outer]).for_each(|&lock| held.push(how, lock, Point::new(1)));
        let request = Request { thread, segment, ..Request::new(how, inner, Point::new(1)) };
        Witness::of(held.find(outer).unwrap(), &request, sets.intern(&held))
    }

    #[test]
    fn the_four_grades_of_an_inversion() {
        let mut sets = HeldSets::default();
        let mut segments = Segments::new();
        let root = segments.root();
        let (main, one) = segments.spawn(root);
        let joined = segments.join(main, one);
        let (_, two) = segments.spawn(joined);
        let mut graded = |a: (u32, SegmentId, &[u64]), b: (u32, SegmentId, &[u64])| {
            let first = witness(a.0, a.1, a.2, 1, 2, &mut sets);
            let second = witness(b.0, b.1, b.2, 2, 1, &mut sets);
            grade(&[vec![first], vec![second]], &sets, &segments)
        };
        assert_eq!(graded((1, one, &[]), (2, main, &[])).grade, Grade::Concurrent);
        assert_eq!(graded((1, one, &[]), (1, one, &[])).grade, Grade::FewThreads);
        assert_eq!(graded((1, one, &[]), (2, two, &[])).grade, Grade::Ordered);
        assert_eq!(graded((1, one, &[7]), (2, two, &[7])), Graded { grade: Grade::Gated, gate: Some(ClassId::new(1)) });
        assert_eq!(graded((1, one, &[7]), (2, main, &[8])).grade, Grade::Concurrent);
    }

    #[test]
    fn one_unguarded_witness_lifts_a_cycle_out_of_its_gate() {
        let mut sets = HeldSets::default();
        let segments = Segments::new();
        let unknown = SegmentId::UNKNOWN;
        let forth = witness(1, unknown, &[7], 1, 2, &mut sets);
        let back = witness(2, unknown, &[7], 2, 1, &mut sets);
        let unguarded = witness(2, unknown, &[], 2, 1, &mut sets);
        assert_eq!(grade(&[vec![forth], vec![back]], &sets, &segments).grade, Grade::Gated);
        assert_eq!(grade(&[vec![forth], vec![back, unguarded]], &sets, &segments).grade, Grade::Concurrent);
    }

    #[test]
    fn what_one_thread_holds_together_is_no_gate_of_its_own_cycle() {
        let mut sets = HeldSets::default();
        let segments = Segments::new();
        let unknown = SegmentId::UNKNOWN;
        // 1, 2, 3 nested, of which only neighbours are recorded; then 3, 1 elsewhere.
        let first = witness(1, unknown, &[], 1, 2, &mut sets);
        let second = witness(1, unknown, &[1], 2, 3, &mut sets);
        let back = witness(2, unknown, &[], 3, 1, &mut sets);
        assert_eq!(grade(&[vec![back], vec![first], vec![second]], &sets, &segments).grade, Grade::Concurrent);
    }
}
