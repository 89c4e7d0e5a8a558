//! The two tables together: what is looked for and where, and whether they fit each other and the simulator.

use std::collections::BTreeSet;

use lockdep_audit::InputError;

use super::{
    documented::{self, Documented, Step},
    places::{Place, Places},
    search::{Search, Wanted},
};
use crate::{catalogue, protocol::Protocol};

const PATHS_FILE: &str = "mm-sim/data/paths.txt";
const PATHS: &str = include_str!("../../data/paths.txt");
const PLACES_FILE: &str = "mm-sim/data/paths-places.txt";
const PLACES: &str = include_str!("../../data/paths-places.txt");

/// What stands for a kernel that the simulator has no protocol of.
const NONE: &str = "none";

/// The documented paths, and where the simulator takes them.
#[derive(Clone, Debug)]
pub struct Tables {
    documented: Vec<Documented>,
    places: Places,
}

impl Tables {
    /// The tables of `data/`.
    ///
    /// # Panics
    ///
    /// If they cannot be read, which a test sees.
    pub fn builtin() -> Self {
        Self::read((PATHS_FILE, PATHS), (PLACES_FILE, PLACES)).expect("the built-in tables are read by the tests")
    }

    /// Reads tables, each a file's name and its text; `None` is the one of `data/`. The built-in files say on top what their
    /// lines may be.
    ///
    /// # Errors
    ///
    /// With file and line, if a line cannot be read; if it names a lock, kernel, protocol, bug or path that is not known; if
    /// it excepts a path that is not looked for anywhere, so that nothing could show that the exception is not needed.
    pub fn read_or_builtin(paths: Option<(&str, &str)>, places: Option<(&str, &str)>) -> Result<Self, InputError> {
        Self::read(paths.unwrap_or((PATHS_FILE, PATHS)), places.unwrap_or((PLACES_FILE, PLACES)))
    }

    fn read(paths: (&str, &str), places: (&str, &str)) -> Result<Self, InputError> {
        let tables =
            Self { documented: documented::parse(paths.0, paths.1)?, places: Places::parse(places.0, places.1)? };
        tables.check_documented(paths.0)?;
        tables.check_places(places.0)?;
        Ok(tables)
    }

    /// Checks that the places have what the paths need.
    fn check_documented(&self, file: &str) -> Result<(), InputError> {
        let is_named =
            |step: &Step| self.places.locks.contains_key(&step.lock) || self.places.without.contains_key(&step.lock);
        for Documented { kernel, steps, line, .. } in &self.documented {
            if let Some(step) = steps.iter().find(|step| !is_named(step)) {
                return Err(InputError::at(file, *line, format!("no class and no reason for the lock {}", step.lock)));
            }
            if !self.places.kernels.contains_key(kernel) {
                return Err(InputError::at(file, *line, format!("no protocol for the kernel {kernel}")));
            }
        }
        Ok(())
    }

    /// Checks that what the places name is there.
    fn check_places(&self, file: &str) -> Result<(), InputError> {
        for (kernel, said) in &self.places.kernels {
            let unknown = said.what.iter().find(|name| *name != NONE && Protocol::of_history(name).is_none());
            if let Some(unknown) = unknown {
                return Err(InputError::at(file, said.line, format!("no such protocol: {unknown}")));
            }
            let first = kernel.split(['+', '/', ' ']).next().unwrap_or_default();
            if said.what.iter().any(|name| name == NONE) && Protocol::of_history(first).is_some() {
                return Err(InputError::at(file, said.line, format!("there is a protocol {first}")));
            }
        }
        for (name, said) in &self.places.paths {
            self.check_path(name).map_err(|reason| InputError::at(file, said.line, reason))?;
            if let Some(unknown) = said.what.pair.as_ref().filter(|pair| catalogue::named(pair).is_none()) {
                return Err(InputError::at(file, said.line, format!("no such bug: {unknown}")));
            }
        }
        for (name, said) in &self.places.given {
            self.check_path(name).map_err(|reason| InputError::at(file, said.line, reason))?;
        }
        let searches = self.searches();
        let used: BTreeSet<_> = searches.iter().filter_map(Search::exception).collect();
        for (name, said) in &self.places.exceptions {
            if !used.contains(name.as_str()) {
                return Err(InputError::at(file, said.line, format!("no such path under such a protocol: {name}")));
            }
        }
        let hidden = searches.iter().find(|search| search.exception().is_some() && search.is_hidden());
        if let Some((name, said)) =
            hidden.and_then(Search::exception).and_then(|name| self.places.exceptions.get_key_value(name))
        {
            let reason = format!("no `path` line for {name}: nothing could show that the exception is not needed");
            return Err(InputError::at(file, said.line, reason));
        }
        Ok(())
    }

    fn check_path(&self, name: &str) -> Result<(), String> {
        let is_it = |known: &Documented| known.path == name || format!("{} @ {}", known.path, known.kernel) == name;
        if self.documented.iter().any(is_it) { Ok(()) } else { Err(format!("no such path: {name}")) }
    }

    /// Returns the rows, nothing looked for yet, in the order of the file.
    pub(super) fn searches(&self) -> Vec<Search<'_>> {
        self.documented.iter().flat_map(|path| self.rows(path)).collect()
    }

    fn rows<'a>(&'a self, documented: &'a Documented) -> impl Iterator<Item = Search<'a>> {
        let Documented { path, kernel, steps, .. } = documented;
        let place = self.places.of(path, kernel);
        let protocols: Vec<Option<&str>> = match place.and_then(pair) {
            Some(pair) => vec![Some(pair.buggy.name)],
            None => {
                let names = self.places.kernels.get(kernel).map_or(&[][..], |said| &said.what);
                names.iter().map(|name| (name != NONE).then_some(name.as_str())).collect()
            }
        };
        let (mut steps, without): (Vec<_>, Vec<_>) =
            steps.iter().cloned().partition(|step| self.places.locks.contains_key(&step.lock));
        if self.places.given.contains_key(path)
            && let Some(first) = steps.iter_mut().find(|step| step.lock == "folio_lock")
        {
            first.given = true;
        }
        let without: BTreeSet<_> = without.into_iter().map(|step| step.lock).collect();
        protocols.into_iter().map(move |protocol| {
            let (steps, without) = (steps.clone(), without.iter().cloned().collect());
            Search::new(Wanted { path, kernel, protocol, steps, without, place }, &self.places)
        })
    }

    /// Returns the lines that the runs do not bear out: of a lock that nobody has taken, or somebody has taken after all; of
    /// an operation that nobody was in.
    pub(super) fn stale(&self, searches: &[Search<'_>], classes: &BTreeSet<&'static str>) -> Vec<String> {
        let unmet = self.places.classes().into_iter().filter(|class| !classes.contains(class));
        let mut stale: Vec<_> = unmet.map(|class| format!("lock ... {class}: no run takes it")).collect();
        for name in self.places.without.keys() {
            if let Some(class) = classes.iter().find(|class| class.contains(name.as_str())) {
                stale.push(format!("without {name}: runs take {class}"));
            }
        }
        for (name, said) in &self.places.paths {
            let entered: BTreeSet<_> = searches.iter().flat_map(|search| search.entered(&said.what)).collect();
            let missed = (0..).zip(&said.what.scopes).filter(|(at, _)| !entered.contains(at));
            stale.extend(missed.map(|(_, scope)| format!("path {name}: no run enters {}", scope.join(" > "))));
        }
        stale
    }
}

fn pair(place: &Place) -> Option<&'static catalogue::Pair> {
    catalogue::named(place.pair.as_deref()?)
}
