//! The moment of an access: a word is read or written, or a signal is due, and the model of memory judges it.

use super::Signal;
use crate::{
    finding::Invariant,
    machine::Machine,
    mem::{Folio, Mm, PAGE_SIZE},
    sched,
};

/// Reads or writes a word at this very step, and checks it against the model.
pub(crate) fn perform(m: &Machine, mm: &Mm, addr: u64, folio: &Folio, pfn: u64, word: Option<u64>) -> u64 {
    let page = addr / PAGE_SIZE;
    let (value, check) = match word {
        None => {
            let value = folio.read(pfn);
            (value, m.model.check_load(mm.id, page, value))
        }
        Some(word) => {
            folio.write(pfn, word);
            (word, m.model.check_store(mm.id, page, word))
        }
    };
    if let Err(text) = check {
        sched::finding(Invariant::WrongRead, format!("process {}: {text}", mm.id));
    }
    value
}

/// Records that an access gets a signal, at the moment that decides it.
pub(crate) fn signal(m: &Machine, mm: &Mm, addr: u64, store: bool, signal: Signal) -> Signal {
    if let Err(text) = m.model.check_signal(mm.id, addr / PAGE_SIZE, store, signal) {
        sched::finding(Invariant::WrongSignal, format!("process {}: {text}", mm.id));
    }
    signal
}
