//! Documented lock orders held against observed ones.
//!
//! A lock order lives in a comment that nothing checks. This crate reads the comment ([`Document`]), reads what really
//! happened ([`Observation`]: a lockdep journal, `/proc/lockdep` of a running kernel), matches the names of the two
//! ([`Aliases`]) and says of every claim what is true ([`audit`]). The modules in the order of the data's way:
//!
//! * [`document`]: the grammar of ordering comments; rules `before -> after`.
//! * [`observe`]: lock classes and dependencies, whatever file they come from.
//! * [`alias`]: which name in a comment and which class in a dump mean the same lock.
//! * [`compare`]: the verdicts.
//! * [`patch`]: the smallest edit of a document that makes it agree.
//! * [`render`]: an [`Audit`] as text, JSON, Markdown, HTML.
//!
//! ```
//! use lockdep_audit::{Aliases, Document, Observation, Verdict, audit, render};
//!
//! let comment = "/*\n * Lock ordering:\n *\n * accounts\n *   ledger\n *     disk\n */";
//! let document = Document::parse("bank.rs", comment.as_bytes()).unwrap();
//!
//! let journal = r#"{"type":"header","version":1,"program":"bank"}
//! {"type":"class","id":0,"name":"accounts","explicit":true}
//! {"type":"class","id":256,"name":"ledger","explicit":true}
//! {"type":"class","id":512,"name":"disk","explicit":true}
//! {"type":"dependency","outer":0,"inner":256,"hold":"exclusive","wait":"normal","thread":"main"}
//! {"type":"dependency","outer":512,"inner":256,"hold":"exclusive","wait":"normal","thread":"main"}
//! "#;
//! let journal = lockdep_core::Journal::parse("bank.jsonl", journal.as_bytes()).unwrap();
//! let observed = Observation::from_journal("bank.jsonl", &journal);
//!
//! let audit = audit(&[document], &[observed], &Aliases::builtin());
//! let verdict = |before, after| audit.documents[0].rule(before, after).unwrap().verdict;
//! assert_eq!(verdict("accounts", "ledger"), Verdict::Confirmed);
//! assert_eq!(verdict("ledger", "disk"), Verdict::Contradicted);
//! assert_eq!(verdict("accounts", "disk"), Verdict::Unobserved);
//! assert!(audit.has_findings());
//! assert!(render::text(&audit).contains("disk -> ledger"));
//! ```

pub mod alias;
pub mod compare;
pub mod document;
mod error;
pub mod observe;
pub mod patch;
pub mod render;

pub use alias::Aliases;
pub use compare::{Audit, DocumentAudit, Verdict, audit, history};
pub use document::Document;
pub use error::InputError;
pub use observe::Observation;
