//! The operations against the documented code paths of the kernel.

use mm_sim::paths::{self, Query, Tables};

#[test]
fn every_documented_path_is_taken_or_excepted_and_every_exception_is_needed() {
    let table = paths::check(&Tables::builtin(), &Query::default());
    assert!(table.is_complete(), "{table}");
}
