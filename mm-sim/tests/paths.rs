//! The operations against the documented code paths of the kernel.

use mm_sim::paths;

#[test]
fn every_documented_path_is_taken_or_excepted_and_every_exception_is_needed() {
    let table = paths::check(None).unwrap();
    println!("{table}");
    assert!(table.is_complete(), "{table}");
}
