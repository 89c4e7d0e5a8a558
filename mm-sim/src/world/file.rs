//! What a scenario holds of a file or a directory.

use std::sync::Arc;

use crate::mem::{self, Inode};

/// A file of the simulated machine.
#[derive(Clone)]
pub struct File(pub(crate) Arc<Inode>);

/// A directory of the simulated machine.
#[derive(Clone)]
pub struct Directory(pub(super) Arc<mem::Directory>);

/// A directory whose lock is of the same class as those of files.
#[derive(Clone)]
pub struct PlainDirectory(pub(super) Arc<mem::Directory>);

/// How a file of hugetlbfs is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Huge {
    /// Shared; its pages are promised.
    Shared,
    /// Shared; nothing is promised.
    SharedNoreserve,
    /// Private; its pages are promised.
    Private,
    /// Private; nothing is promised.
    PrivateNoreserve,
}
