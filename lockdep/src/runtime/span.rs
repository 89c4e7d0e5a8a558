//! [`SpanLayer`]: the context that tracing knows, for the witnesses of dependencies.

use std::{cell::RefCell, fmt::Write, sync::Arc};

use rustc_hash::FxHashMap;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

thread_local! {
    /// The spans that this thread is in, outermost first.
    static ENTERED: RefCell<Vec<(span::Id, Arc<str>)>> = const { RefCell::new(Vec::new()) };
}

/// A layer that tells lockdep in which spans a thread is, so that every dependency says what its threads were doing
/// (`in page_fault{addr=0x7f00}`).
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(lockdep::SpanLayer::new());
/// # drop(subscriber);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanLayer(());

impl SpanLayer {
    /// The layer. It has no state of its own.
    pub const fn new() -> Self {
        Self(())
    }
}

/// The text of a span, kept with it.
struct Text(Arc<str>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        let name = attributes.metadata().name();
        let text = if fields.0.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", fields.0) };
        span.extensions_mut().insert(Text(text.into()));
    }

    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        let text = context.span(id).and_then(|span| span.extensions().get::<Text>().map(|text| text.0.clone()));
        if let Some(text) = text {
            let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((id.clone(), text)));
        }
    }

    fn on_exit(&self, id: &span::Id, _: Context<'_, S>) {
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            if let Some(index) = entered.iter().rposition(|(other, _)| other == id) {
                entered.remove(index);
            }
        });
    }
}

/// `name=value name=value`
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = write!(self.0, "{space}{field}={value:?}");
    }
}

/// Returns the spans that this thread is in, outermost first.
pub(super) fn current() -> Option<String> {
    let spans = |entered: &RefCell<Vec<(span::Id, Arc<str>)>>| {
        let entered = entered.try_borrow().ok()?;
        let texts: Vec<&str> = entered.iter().map(|(_, text)| &**text).collect();
        (!texts.is_empty()).then(|| texts.join(":"))
    };
    ENTERED.try_with(spans).ok().flatten()
}

/// The texts of spans, numbered from 1.
#[derive(Debug, Default)]
pub(super) struct Spans {
    texts: Vec<Arc<str>>,
    numbers: FxHashMap<Arc<str>, u32>,
}

impl Spans {
    /// Returns the number of a text.
    pub(super) fn intern(&mut self, text: String) -> u32 {
        let text: Arc<str> = text.into();
        let next = u32::try_from(self.texts.len() + 1).unwrap_or(0);
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            next
        })
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Forgets the texts beyond the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        for text in self.texts.drain(len.min(self.texts.len())..) {
            self.numbers.remove(&text);
        }
    }

    /// Returns the text of a number.
    pub(super) fn text(&self, number: u32) -> Option<String> {
        let index = (number as usize).checked_sub(1)?;
        self.texts.get(index).map(|text| text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbered_and_the_latest_can_be_forgotten() {
        let mut spans = Spans::default();
        assert_eq!(["a", "b", "a"].map(|text| spans.intern(text.to_owned())), [1, 2, 1]);
        let len = spans.len();
        spans.intern("c".to_owned());
        spans.truncate(len);
        assert_eq!((spans.text(1).as_deref(), spans.text(3), spans.text(0)), (Some("a"), None, None));
        assert_eq!(spans.intern("d".to_owned()), 3);
        assert_eq!(spans.text(3).as_deref(), Some("d"));
    }
}
