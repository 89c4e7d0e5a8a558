//! The model holds what it promises, and nothing else.

use super::*;
use crate::Signal;

const FILE: Backing = Backing::File { file: 1, index: 0, shared: false };

#[test]
fn a_private_mapping_reads_the_file_until_it_is_written() {
    let model = Model::default();
    model.create(1, 2);
    model.map(7, 0..2, FILE, Access::READ_WRITE);
    assert!(model.check_load(7, 0, 99).is_ok(), "unsettled: anything goes");
    model.settle(7, 0..2);
    assert!(model.check_load(7, 0, 99).is_err());
    assert!(model.check_store(7, 0, 5).is_ok());
    assert!(model.check_load(7, 0, 5).is_ok());
    model.fork(7, 8, 0..2);
    assert!(model.check_store(7, 0, 6).is_ok());
    assert!(model.check_load(8, 0, 5).is_ok(), "the child keeps what was there");
}

#[test]
fn a_truncation_takes_private_copies_along() {
    let model = Model::default();
    model.create(1, 2);
    model.map(7, 0..2, FILE, Access::READ_WRITE);
    model.settle(7, 0..2);
    assert!(model.check_store(7, 1, 5).is_ok());
    model.begin_truncate(1, 1);
    assert!(model.check_load(7, 1, 5).is_ok() && model.check_signal(7, 1, false, Signal::Bus).is_ok());
    model.end_truncate(1, 1);
    assert!(model.check_load(7, 1, 5).is_err());
    assert!(model.check_signal(7, 1, false, Signal::Bus).is_ok());
    model.end_truncate(1, 2);
    assert!(model.check_load(7, 1, 0).is_ok(), "a file that grows again is zero there");
    assert_eq!(model.size(1), 2);
}

#[test]
fn what_is_moved_is_elsewhere_and_its_old_place_is_gone_or_empty() {
    let model = Model::default();
    model.map(7, 0..2, Backing::Anon, Access::READ_WRITE);
    model.settle(7, 0..2);
    assert!(model.check_store(7, 1, 5).is_ok());
    model.relocate(7, 0..2, 10, true);
    assert!(model.check_load(7, 11, 5).is_ok() && model.check_load(7, 1, 0).is_ok());
    model.relocate(7, 10..12, 20, false);
    assert!(model.check_load(7, 21, 5).is_ok() && model.check_load(7, 11, 5).is_err());
}

#[test]
fn what_is_written_while_it_moves_goes_along_or_comes_back() {
    let model = Model::default();
    model.map(7, 0..3, Backing::Anon, Access::READ_WRITE);
    model.settle(7, 0..3);
    for there in [10, 20] {
        model.begin_relocate(7, 0..3, there);
        // The first page is used where it was, the second one where it goes, and the third by nobody.
        assert!(model.check_store(7, 0, there).is_ok() && model.check_store(7, there + 1, there).is_ok());
        assert!(model.check_load(7, there, 99).is_ok(), "unsettled: anything goes");
        if there == 10 {
            model.cancel_relocate(7, 0..3, there);
            model.settle(7, 0..3);
            assert!([10, 10, 0].into_iter().zip(0..).all(|(word, page)| model.check_load(7, page, word).is_ok()));
            assert!(model.check_load(7, 11, 10).is_err() && model.check_load(7, 1, 0).is_err());
        }
    }
    model.relocate(7, 0..3, 20, false);
    assert!([20, 20, 0].into_iter().zip(20..).all(|(word, page)| model.check_load(7, page, word).is_ok()));
    assert!(model.check_load(7, 21, 10).is_err() && model.check_load(7, 1, 20).is_err());
}

#[test]
fn signals_are_right_only_where_the_model_says_so() {
    let model = Model::default();
    model.map(7, 0..1, Backing::Anon, Access::READ);
    model.settle(7, 0..1);
    assert!(model.check_signal(7, 0, false, Signal::Segv).is_err());
    assert!(model.check_signal(7, 0, true, Signal::Segv).is_ok());
    assert!(model.check_signal(7, 9, false, Signal::Segv).is_ok());
    assert!(model.check_signal(7, 0, false, Signal::Bus).is_err());
}

#[test]
fn while_rights_change_old_and_new_ones_hold() {
    let model = Model::default();
    model.map(7, 0..1, Backing::Anon, Access::READ_WRITE);
    model.settle(7, 0..1);
    model.begin_protect(7, 0..1, Access::READ);
    assert!(model.check_store(7, 0, 1).is_ok() && model.check_signal(7, 0, true, Signal::Segv).is_ok());
    model.end_protect(7, 0..1);
    assert!(model.check_store(7, 0, 2).is_err() && model.check_load(7, 0, 1).is_ok());
    model.begin_protect(7, 0..1, Access::NONE);
    model.end_protect(7, 0..1);
    assert!(model.check_load(7, 0, 1).is_err() && model.check_signal(7, 0, false, Signal::Segv).is_ok());
}

#[test]
fn what_is_thrown_away_is_zero_again_or_what_was_written_meanwhile() {
    let model = Model::default();
    model.map(7, 0..3, Backing::Anon, Access::READ_WRITE);
    model.settle(7, 0..3);
    (0..3).for_each(|page| assert!(model.check_store(7, page, 5).is_ok()));
    model.begin_discard(7, 0..3);
    assert!(model.check_load(7, 0, 5).is_ok() && model.check_load(7, 0, 0).is_ok());
    assert!(model.check_store(7, 1, 6).is_ok());
    model.end_discard(7, 0..3);
    assert!(model.check_load(7, 1, 9).is_err() && model.check_load(7, 1, 6).is_ok());
    assert!(model.check_load(7, 1, 0).is_err(), "it has shown itself");
    assert!(model.check_load(7, 0, 0).is_ok() && model.check_load(7, 0, 5).is_err());
    assert!(model.check_store(7, 2, 8).is_ok() && model.check_load(7, 2, 0).is_err());
}

#[test]
fn what_may_go_at_any_time_goes_once() {
    let model = Model::default();
    model.map(7, 0..1, Backing::Anon, Access::READ_WRITE);
    model.settle(7, 0..1);
    assert!(model.check_store(7, 0, 5).is_ok());
    model.discard_lazily(7, 0..1);
    assert!(model.check_load(7, 0, 5).is_ok() && model.check_load(7, 0, 5).is_ok());
    assert!(model.check_load(7, 0, 0).is_ok() && model.check_load(7, 0, 5).is_err(), "it is gone");
    assert!(model.check_store(7, 0, 6).is_ok() && model.check_load(7, 0, 0).is_err(), "and is written again");
}

#[test]
fn a_hole_is_zeros() {
    let model = Model::default();
    model.create(1, 4);
    model.map(7, 0..4, Backing::File { file: 1, index: 0, shared: true }, Access::READ_WRITE);
    model.settle(7, 0..4);
    (0..4).for_each(|page| assert!(model.check_store(7, page, 5).is_ok()));
    model.begin_hole(1, 1..3);
    assert!(model.check_load(7, 0, 0).is_err() && model.check_load(7, 1, 0).is_ok());
    assert!(model.check_store(7, 2, 6).is_ok());
    model.end_hole(1);
    assert!(model.check_load(7, 1, 0).is_ok() && model.check_load(7, 1, 5).is_err());
    assert!(model.check_load(7, 2, 6).is_ok() && model.check_load(7, 2, 0).is_err());
    assert!(model.check_load(7, 3, 5).is_ok());
}

#[test]
fn what_breaks_while_it_is_thrown_away_is_written_again() {
    let model = Model::default();
    model.map(7, 0..2, Backing::Anon, Access::READ_WRITE);
    model.settle(7, 0..2);
    assert!(model.check_store(7, 0, 5).is_ok() && model.check_store(7, 1, 5).is_ok());
    model.begin_discard(7, 0..1);
    (0..2).for_each(|page| model.lose(7, page));
    assert!(model.check_signal(7, 0, false, Signal::Bus).is_ok() && model.check_load(7, 0, 0).is_ok());
    model.end_discard(7, 0..1);
    assert!(model.check_store(7, 0, 6).is_ok() && model.check_load(7, 0, 6).is_ok());
    assert!(model.check_load(7, 0, 7).is_err() && model.check_signal(7, 0, false, Signal::Bus).is_err());
    assert!(model.check_load(7, 1, 5).is_err() && model.check_signal(7, 1, false, Signal::Bus).is_ok());
}
