//! Deliberate bugs: what an operation forgets or does in the wrong order, where that is no decision of a whole kernel.
//!
//! A [`Protocol`](crate::Protocol) carries at most one. An operation asks for it at the place where history's code went
//! wrong.

use serde::Serialize;

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A bug that an operation has when the protocol says so.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Bug {
            $($(#[$doc])* $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns what goes wrong, in a few words.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

bugs! {
    /// `mincore` stores its answer to user memory while it holds the mmap lock (CVE-2006-4814).
    MincoreUnderLock = "mincore copies its answer out under the mmap lock",
}
