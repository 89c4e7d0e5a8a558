//! Accesses against the model, each at the very step that performs it.

use super::{Model, state::Expected};
use crate::op::Signal;

impl Model {
    /// Checks what a system call has read of a file.
    pub(crate) fn check_file(&self, id: u64, index: u64, word: u64) -> Result<(), String> {
        if self.is_off() {
            return Ok(());
        }
        let mut state = self.0.lock();
        let Some(file) = state.files.get_mut(&id).filter(|file| file.is_certain(index)) else { return Ok(()) };
        let expected = file.words_at(index);
        if index < file.size && !expected.contains(&word) {
            return Err(format!("page {index} of file {id} is read as {word:#x}, but must be one of {expected:#x?}"));
        }
        file.collapse(index, word);
        Ok(())
    }

    /// Checks a load that returned `word`.
    pub(crate) fn check_load(&self, mm: u64, page: u64, word: u64) -> Result<(), String> {
        if self.is_off() {
            return Ok(());
        }
        let mut state = self.0.lock();
        let Some(expected) = state.expected(mm, page) else {
            return Err(format!("page {page:#x} reads {word:#x}, but is not mapped"));
        };
        if expected != Expected::Unsettled && !state.mms[&mm][&page].may_allow(false) {
            return Err(format!("page {page:#x} reads {word:#x}, but may not be read"));
        }
        match expected {
            Expected::Unsettled => Ok(()),
            Expected::Word(expected) if expected == word => Ok(()),
            Expected::OneOf(words) if words.contains(&word) => {
                state.collapse(mm, page, word);
                Ok(())
            }
            Expected::OneOf(words) => Err(format!("page {page:#x} reads {word:#x}, but must read one of {words:#x?}")),
            Expected::Word(expected) => Err(format!("page {page:#x} reads {word:#x}, but must read {expected:#x}")),
            Expected::Bus => Err(format!("page {page:#x} reads {word:#x}, but is beyond the end of its file")),
        }
    }

    /// Checks and records a store.
    pub(crate) fn check_store(&self, mm: u64, page: u64, word: u64) -> Result<(), String> {
        if self.is_off() {
            return Ok(());
        }
        let mut state = self.0.lock();
        let expected = state.expected(mm, page);
        if state.mms.get(&mm).and_then(|pages| pages.get(&page)).is_some_and(|mapped| state.is_lent(mapped)) {
            return Err(format!("page {page:#x} is written, but swap is on its file"));
        }
        let Some(mapped) = state.mms.entry(mm).or_default().get_mut(&page) else {
            return Err(format!("page {page:#x} is written, but is not mapped"));
        };
        if mapped.settled && !mapped.may_allow(true) {
            return Err(format!("page {page:#x} is written, but is read-only"));
        }
        state.store(mm, page, word);
        match expected {
            Some(Expected::Bus) => Err(format!("page {page:#x} is written, but is beyond the end of its file")),
            _ => Ok(()),
        }
    }

    /// Records a store that no rights of the process stop: by a device.
    pub(crate) fn record_store(&self, mm: u64, page: u64, word: u64) {
        if !self.is_off() {
            self.0.lock().store(mm, page, word);
        }
    }

    /// Checks that an access had to get this signal.
    pub(crate) fn check_signal(&self, mm: u64, page: u64, store: bool, signal: Signal) -> Result<(), String> {
        if self.is_off() {
            return Ok(());
        }
        let state = self.0.lock();
        let mapped = state.mms.get(&mm).and_then(|pages| pages.get(&page));
        let is_right = match (signal, state.expected(mm, page)) {
            (Signal::OutOfMemory | Signal::Kill, _) | (_, Some(Expected::Unsettled)) => true,
            (Signal::Segv, None) => true,
            (Signal::Segv, Some(_)) => mapped.is_some_and(|page| page.may_refuse(store)),
            (Signal::Bus, expected) => expected == Some(Expected::Bus),
        };
        if is_right { Ok(()) } else { Err(format!("an access to page {page:#x} gets {signal:?}")) }
    }
}
