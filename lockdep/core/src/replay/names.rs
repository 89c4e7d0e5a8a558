//! [`Names`]: what the numbers that the validator works with stand for in a trace.

use rustc_hash::FxHashMap;

use crate::{
    class::{ClassId, ClassKey, ClassRegistry, Site},
    context::{ContextId, ContextSet},
    explain::Evidence,
    held::Point,
    report::Frame,
};

/// The names of everything that the validator knows by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    classes: ClassRegistry,
    pub(super) threads: Vec<String>,
    contexts: Vec<String>,
    spans: Vec<String>,
    pub(super) sites: FxHashMap<Point, Site>,
    /// The class that a lock was last acquired in.
    pub(super) locks: FxHashMap<u64, ClassId>,
}

impl Names {
    pub(super) fn class_named(&mut self, name: &str) -> ClassId {
        let site = Site { file: name.to_owned(), line: 0, column: 0 };
        self.classes.register(ClassKey::Site(site), name, None)
    }

    /// Returns every class at its default level.
    pub(super) fn classes(&self) -> impl Iterator<Item = ClassId> {
        (0..self.classes.len()).filter_map(|base| u32::try_from(base).ok().map(ClassId::new))
    }

    pub(super) fn context_named(&mut self, name: &str) -> Result<ContextId, String> {
        if let Some(known) = ContextId::named(name) {
            return Ok(known);
        }
        let index = self.contexts.iter().position(|known| known == name).unwrap_or_else(|| {
            self.contexts.push(name.to_owned());
            self.contexts.len() - 1
        });
        let declared = u8::try_from(index).ok().and_then(ContextId::declared);
        declared.ok_or_else(|| format!("more than {} contexts", ContextId::MAX_CONTEXTS))
    }

    pub(super) fn contexts_named(&mut self, names: &[String]) -> Result<ContextSet, String> {
        names.iter().map(|name| self.context_named(name)).collect()
    }

    pub(super) fn span_number(&mut self, span: &str) -> u32 {
        let index = self.spans.iter().position(|known| known == span).unwrap_or_else(|| {
            self.spans.push(span.to_owned());
            self.spans.len() - 1
        });
        u32::try_from(index + 1).unwrap_or(0)
    }
}

impl Evidence for Names {
    fn class(&self, class: ClassId) -> String {
        self.classes.label(class)
    }

    fn site(&self, point: Point) -> Option<Site> {
        self.sites.get(&point).cloned()
    }

    fn stack(&self, _point: Point) -> Vec<Frame> {
        Vec::new()
    }

    fn thread(&self, thread: u32) -> String {
        self.threads.get(thread as usize).cloned().unwrap_or_else(|| format!("thread-{thread}"))
    }

    fn span(&self, span: u32) -> Option<String> {
        self.spans.get((span as usize).checked_sub(1)?).cloned()
    }

    fn context(&self, context: ContextId) -> String {
        let declared = (0u8..).zip(&self.contexts).find(|(index, _)| ContextId::declared(*index) == Some(context));
        declared.map_or_else(|| context.to_string(), |(_, name)| name.clone())
    }
}
