//! Renderers of an [`Audit`](crate::Audit): `text` fits a terminal of 100 columns.

mod text;

pub use text::text;
