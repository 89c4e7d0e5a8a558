//! A page that is pinned for a device.

use super::Process;
use crate::op::{self, Signal};

/// A page of a process that a device writes to past the page tables.
pub struct Pin {
    process: Process,
    addr: u64,
    page: Option<op::gup::UserPage>,
}

impl Process {
    /// Pins the page at an address for a device that writes to it. It stays pinned until [`Pin::drop`].
    ///
    /// # Errors
    ///
    /// The signal that a store would get.
    pub fn pin(&self, addr: u64) -> Result<Pin, Signal> {
        let foll = op::gup::Foll { write: true, pin: true };
        let page = op::gup_fast::get_user_page_fast(&self.machine, &self.mm, addr, foll)?;
        Ok(Pin { process: self.clone(), addr, page: Some(page) })
    }
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
