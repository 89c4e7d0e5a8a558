//! A campaign as text: the verdict, each area, what has found the mutants, and those that nothing has found.

use std::{collections::BTreeMap, fmt};

use super::{Campaign, Fate};

#[derive(Default)]
struct Area {
    all: usize,
    detected: usize,
    equivalent: usize,
    seconds: f64,
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, detected, equivalent) = (self.trials.len(), self.detected(), self.equivalent());
        writeln!(
            f,
            "{detected} of {} mutants detected under {} ({:.1}%)",
            all - equivalent,
            self.protocol,
            self.rate() * 100.0
        )?;
        writeln!(
            f,
            "{all} mutants in {:.1} s; {equivalent} change neither order nor exclusion; {} survive, {} unexplained",
            self.seconds,
            all - equivalent - detected,
            self.unexplained()
        )?;
        self.areas(f)?;
        self.finders(f)?;
        self.list(f, "survivors", |fate| if let Fate::Survives(reason) = fate { Some(reason) } else { None })?;
        if !self.unneeded.is_empty() {
            writeln!(f, "\n## have a reason to survive, and do not under {}\n", self.protocol)?;
            self.unneeded.iter().try_for_each(|name| writeln!(f, "{name}"))?;
        }
        self.list(f, "no change", |fate| if let Fate::Equivalent(reason) = fate { Some(reason) } else { None })
    }
}

impl Campaign {
    fn areas(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut areas: BTreeMap<String, Area> = BTreeMap::new();
        for trial in &self.trials {
            let area = areas.entry(trial.mutant.area()).or_default();
            area.all += 1;
            area.detected += usize::from(matches!(trial.fate, Fate::Detected(_)));
            area.equivalent += usize::from(matches!(trial.fate, Fate::Equivalent(_)));
            area.seconds += trial.seconds;
        }
        writeln!(f, "\n## areas\n")?;
        let title = ["detected", "of", "no change", "survive", "rate", "seconds"];
        writeln!(
            f,
            "{:<28}{:>9}{:>6}{:>11}{:>9}{:>8}{:>9}",
            "", title[0], title[1], title[2], title[3], title[4], title[5]
        )?;
        for (name, Area { all, detected, equivalent, seconds }) in areas {
            let changing = all - equivalent;
            let rate = if changing == 0 { 100.0 } else { detected as f64 / changing as f64 * 100.0 };
            let survive = changing - detected;
            writeln!(f, "{name:<28}{detected:>9}{changing:>6}{equivalent:>11}{survive:>9}{rate:>7.1}%{seconds:>9.1}")?;
        }
        Ok(())
    }

    fn finders(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_how: BTreeMap<&str, usize> = BTreeMap::new();
        for trial in &self.trials {
            if let Fate::Detected(how) = &trial.fate {
                let how = if how.starts_with("declared") { "declared order" } else { how };
                *by_how.entry(how.split(" in ").next().unwrap_or(how)).or_default() += 1;
            }
        }
        writeln!(f, "\n## detected by\n")?;
        by_how.iter().try_for_each(|(how, count)| writeln!(f, "{count:>5} {how}"))
    }

    fn list(&self, f: &mut fmt::Formatter<'_>, title: &str, reason: impl Fn(&Fate) -> Option<&String>) -> fmt::Result {
        let listed: Vec<_> = self.trials.iter().filter_map(|trial| Some((&trial.name, reason(&trial.fate)?))).collect();
        if listed.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n## {title}\n")?;
        listed.iter().try_for_each(|(name, reason)| writeln!(f, "{name}\n    {reason}"))
    }
}
