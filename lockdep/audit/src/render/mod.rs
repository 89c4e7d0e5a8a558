//! Renderers of an [`Audit`](crate::Audit): `text` fits a terminal of 100 columns, `json` is the audit as it is,
//! `markdown` is for reviews, `html` a page that shows the documented lines beside the observed graph.

mod html;
mod json;
mod markdown;
mod text;

pub use html::html;
pub use json::json;
pub use markdown::markdown;
pub use text::text;
