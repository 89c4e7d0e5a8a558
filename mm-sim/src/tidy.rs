//! Stacks as a reader wants them: the kernel's code path, without the scheduler and the locks' own insides.

use lockdep::Report;

/// Modules whose frames say nothing about memory management.
const INSIDES: [&str; 4] = ["mm_sim::sync::", "mm_sim::sched::", "mm_sim::run::", "mm_sim::world::"];

/// Drops the frames of the simulator's machinery from all stacks of a report.
pub(crate) fn tidy(mut report: Report) -> Report {
    let ends = report.cycle.iter_mut().flat_map(|dependency| [&mut dependency.outer, &mut dependency.inner]);
    let others = report.held.iter_mut().chain(&mut report.conflict).chain([&mut report.wanted]);
    for acquisition in ends.chain(others) {
        acquisition.stack.retain(|frame| {
            let function = frame.function.trim_start_matches('<');
            function.starts_with("mm_sim::") && !INSIDES.iter().any(|inside| function.starts_with(inside))
        });
    }
    report
}
