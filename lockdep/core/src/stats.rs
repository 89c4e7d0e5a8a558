//! [`LockStats`]: how often locks are waited for and how long they are held, per class; a value that a runtime feeds.
//!
//! Nothing here reads a clock: times come in as nanoseconds. Per class, and apart for readers and others: acquisitions,
//! contentions, wait and hold times, and the sites that wait most and that are most often in the way, as the kernel's
//! `lock_stat` has them. The sites kept are the most frequent ones of a bounded table (Metwally, Agrawal, El Abbadi,
//! *Space-Saving*, 2005): a count may be too high by what it took over, which it tells, and is not too low. Merged tables
//! know of each other's sites only what was kept.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{
    class::{ClassId, Site},
    held::Point,
    mode::HoldKind,
};

/// How many sites each table keeps.
pub const SITES: usize = 8;

/// Durations, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// The shortest, in nanoseconds; 0 if there is none.
    pub ns_min: u64,
    /// The longest.
    pub ns_max: u64,
    /// All together; it stops at the largest number.
    pub ns_total: u64,
}

impl Times {
    /// Counts one.
    pub fn add(&mut self, ns: u64) {
        self.merge(&Self { count: 1, ns_min: ns, ns_max: ns, ns_total: ns });
    }

    /// Counts those of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.ns_min = if self.count == 0 { other.ns_min } else { self.ns_min.min(other.ns_min) };
        self.ns_max = self.ns_max.max(other.ns_max);
        self.count += other.count;
        self.ns_total = self.ns_total.saturating_add(other.ns_total);
    }

    /// Returns the average, in nanoseconds; 0 if there is none.
    pub fn ns_avg(&self) -> u64 {
        self.ns_total.checked_div(self.count).unwrap_or(0)
    }
}

/// A site and how often it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteCount {
    /// The site.
    pub point: Point,
    /// How often, at the most.
    pub count: u64,
    /// How much of that may be other sites'.
    pub error: u64,
}

/// The most frequent sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopSites(Vec<SiteCount>);

impl TopSites {
    /// Counts a site.
    pub fn add(&mut self, point: Point) {
        self.add_count(SiteCount { point, count: 1, error: 0 });
    }

    fn add_count(&mut self, new: SiteCount) {
        if let Some(known) = self.0.iter_mut().find(|known| known.point == new.point) {
            known.count += new.count;
            known.error += new.error;
        } else if self.0.len() < SITES {
            self.0.push(new);
        } else if let Some(least) = self.0.iter_mut().min_by_key(|known| known.count) {
            let error = least.count + new.error;
            *least = SiteCount { point: new.point, count: least.count + new.count, error };
        }
    }

    /// Returns the sites, the most frequent first.
    pub fn sites(&self) -> Vec<SiteCount> {
        let mut sites = self.0.clone();
        sites.sort_by_key(|site| (std::cmp::Reverse(site.count), site.point));
        sites
    }
}

/// What is counted of a class in one way of holding it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How often it had to be waited for, and how long.
    pub wait: Times,
    /// How often it was held, and how long.
    pub hold: Times,
    /// How often it was acquired; those still held are in it.
    pub acquisitions: u64,
    /// The sites that waited.
    pub waiters: TopSites,
    /// The sites that had acquired what was waited for.
    pub holders: TopSites,
}

impl Usage {
    fn merge(&mut self, other: &Self) {
        self.wait.merge(&other.wait);
        self.hold.merge(&other.hold);
        self.acquisitions += other.acquisitions;
        other.waiters.0.iter().for_each(|site| self.waiters.add_count(*site));
        other.holders.0.iter().for_each(|site| self.holders.add_count(*site));
    }
}

/// The statistics of all classes.
///
/// ```
/// use lockdep_core::{ClassId, HoldKind, LockStats, Point};
///
/// let (class, hold) = (ClassId::new(1), HoldKind::Exclusive);
/// let mut stats = LockStats::new();
/// stats.contended(class, hold, 300, Point::new(1), Some(Point::new(2)));
/// stats.acquired(class, hold);
/// stats.released(class, hold, 1_000);
/// let usage = stats.get(class, hold).unwrap();
/// assert_eq!((usage.acquisitions, usage.wait.ns_avg(), usage.hold.ns_max), (1, 300, 1_000));
/// ```
#[derive(Clone, Debug, Default)]
pub struct LockStats {
    classes: FxHashMap<(ClassId, bool), Usage>,
}

impl LockStats {
    /// Statistics of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn usage(&mut self, class: ClassId, hold: HoldKind) -> &mut Usage {
        self.classes.entry((class, hold == HoldKind::Shared)).or_default()
    }

    /// Counts a wait of `ns` nanoseconds at `waiter`; `holder` is where the lock had been acquired, if that is known.
    pub fn contended(&mut self, class: ClassId, hold: HoldKind, ns: u64, waiter: Point, holder: Option<Point>) {
        let usage = self.usage(class, hold);
        usage.wait.add(ns);
        usage.waiters.add(waiter);
        holder.into_iter().for_each(|holder| usage.holders.add(holder));
    }

    /// Counts an acquisition.
    pub fn acquired(&mut self, class: ClassId, hold: HoldKind) {
        self.usage(class, hold).acquisitions += 1;
    }

    /// Counts a release after `ns` nanoseconds.
    pub fn released(&mut self, class: ClassId, hold: HoldKind, ns: u64) {
        self.usage(class, hold).hold.add(ns);
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        for (key, usage) in &other.classes {
            self.classes.entry(*key).or_default().merge(usage);
        }
    }

    /// Returns what was counted of a class: for readers if `hold` is shared, else for all others.
    pub fn get(&self, class: ClassId, hold: HoldKind) -> Option<&Usage> {
        self.classes.get(&(class, hold == HoldKind::Shared))
    }

    /// Returns all classes with their usage and whether it is that of readers, the longest waits first.
    pub fn iter(&self) -> impl Iterator<Item = (ClassId, bool, &Usage)> {
        let mut all: Vec<_> = self.classes.iter().map(|(&(class, readers), usage)| (class, readers, usage)).collect();
        all.sort_by_key(|(class, readers, usage)| (std::cmp::Reverse(usage.wait.ns_total), *class, *readers));
        all.into_iter()
    }

    /// Returns how many classes there are, readers apart from others.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Returns whether nothing has been counted.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.classes.clear();
    }
}

/// The statistics of one class in one way of holding it, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassStats {
    /// The class.
    pub class: String,
    /// Whether it is readers that are counted.
    pub readers: bool,
    /// How often it had to be waited for, and how long.
    pub wait: Times,
    /// How often it was held, and how long.
    pub hold: Times,
    /// How often it was acquired.
    pub acquisitions: u64,
    /// Where it was waited for, most often first, with the number of times.
    pub waiters: Vec<(Site, u64)>,
    /// Where those had acquired it who were waited for.
    pub holders: Vec<(Site, u64)>,
}

impl Usage {
    /// Returns it in words, for a class of this name.
    pub fn named(&self, class: String, readers: bool, site: impl Fn(Point) -> Option<Site>) -> ClassStats {
        let sites = |top: &TopSites| top.sites().iter().filter_map(|one| Some((site(one.point)?, one.count))).collect();
        ClassStats {
            class,
            readers,
            wait: self.wait,
            hold: self.hold,
            acquisitions: self.acquisitions,
            waiters: sites(&self.waiters),
            holders: sites(&self.holders),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The twin keeps every number.
        #[test]
        fn times_and_sites_agree_with_full_lists(
            waits in prop::collection::vec((0u64..1000, 0u64..20), 0..200), cut in 0usize..200,
        ) {
            let class = ClassId::new(3);
            let mut halves = [LockStats::new(), LockStats::new()];
            for (index, &(ns, site)) in waits.iter().enumerate() {
                let half = &mut halves[usize::from(index >= cut)];
                half.contended(class, HoldKind::Exclusive, ns, Point::new(site), None);
            }
            let [mut stats, rest] = halves;
            stats.merge(&rest);
            let Some(usage) = stats.get(class, HoldKind::Exclusive) else {
                prop_assert!(waits.is_empty());
                return Ok(());
            };
            let all = || waits.iter().map(|wait| wait.0);
            prop_assert_eq!(usage.wait.count, waits.len() as u64);
            prop_assert_eq!(usage.wait.ns_min, all().min().unwrap());
            prop_assert_eq!(usage.wait.ns_max, all().max().unwrap());
            prop_assert_eq!(usage.wait.ns_avg(), all().sum::<u64>() / waits.len() as u64);
            let mut exact = BTreeMap::<u64, u64>::new();
            waits.iter().for_each(|wait| *exact.entry(wait.1).or_default() += 1);
            if exact.len() <= SITES {
                prop_assert!(usage.waiters.sites().iter().all(|site| site.error == 0));
            }
            for site in usage.waiters.sites() {
                let count = exact[&site.point.as_u64()];
                prop_assert!((site.count - site.error..=site.count).contains(&count) || cut > 0);
                prop_assert!(site.count - site.error <= count, "never less than what is certain");
            }
        }
    }

    #[test]
    fn readers_are_counted_apart_and_the_longest_wait_comes_first() {
        let (a, b) = (ClassId::new(1), ClassId::new(2));
        let mut stats = LockStats::new();
        stats.contended(a, HoldKind::Exclusive, 10, Point::new(1), Some(Point::new(2)));
        stats.contended(b, HoldKind::Shared, 90, Point::new(1), None);
        stats.acquired(a, HoldKind::Shared);
        let order: Vec<_> = stats.iter().map(|(class, readers, _)| (class, readers)).collect();
        assert_eq!(order, [(b, true), (a, false), (a, true)]);
        assert_eq!(stats.get(a, HoldKind::Upgradable).unwrap().holders.sites()[0].point, Point::new(2));
        stats.clear();
        assert_eq!(stats.iter().count(), 0);
    }
}
