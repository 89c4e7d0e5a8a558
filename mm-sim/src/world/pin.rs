//! A page that is pinned for a device.

use super::Process;
use crate::op;

/// A page of a process that a device writes to past the page tables.
pub struct Pin {
    pub(super) process: Process,
    pub(super) addr: u64,
    pub(super) page: Option<op::gup::UserPage>,
}

impl Pin {
    /// Writes the word. The process sees it, as long as it keeps the page mapped.
    pub fn write(&self, word: u64) {
        if let Some(page) = &self.page {
            op::gup::write_behind(&self.process.machine, &self.process.mm, self.addr, page, word);
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(page) = self.page.take() {
            op::gup::put_user_page(&self.process.machine, page);
        }
    }
}
