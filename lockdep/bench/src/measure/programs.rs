//! Whole programs, with checking and without.

use crate::{
    child::{Child, Variant},
    measure::Effort,
    program::{Cost, Program},
    report::{Section, figure},
    stats::{median, median_ratio},
};

const TEXT: &str = "Processes that run a program again and again, with checking on and with `LOCKDEP=off`, in turn; the first \
    run of each does not count. Medians; a ratio is that of on to off in the same round, \"without\" a build without the \
    feature `enabled`.\n\n\
    * `map`: a sharded map of readers-writer locks, 90% reads, 2% under two locks of the one class, four threads.\n\
    * `pool`: a work-stealing pool of four workers, mutexes and a condition variable, that sorts.\n\
    * `cache`: a cache server of four threads: sixteen shards that forget what is oldest, one account of their bytes.\n\
    * `pipeline`: five threads joined by bounded queues of a mutex and two condition variables, and a shared sum a line.\n\
    * `tree`: a B+ tree with a readers-writer lock a node and lock coupling, 90% reads, four threads; levels are subclasses.\n\
    * `mm-sim soak`: random operations of several simulated processes whose threads take turns; four seeds.\n\
    * `mm-sim stress`: the same on threads that run at the same time, per 100,000 page faults. Every run of the two \
    simulations begins with nothing learnt, so they measure learning as much as checking.";

/// Measures.
pub fn run(effort: Effort) -> anyhow::Result<Section> {
    let mut section = Section::new("Whole programs", TEXT);
    section.row([
        "program",
        "on, wall ms",
        "off, wall ms",
        "wall ratio",
        "on, CPU ms",
        "off, CPU ms",
        "CPU ratio",
        "off / without, wall",
    ]);
    let (on, off, absent) = (Child::start(Variant::On)?, Child::start(Variant::Off)?, Child::start(Variant::Absent)?);
    for &program in Program::ALL {
        let is_everywhere = !matches!(program, Program::Soak | Program::Stress);
        let mut costs: [Vec<Cost>; 3] = Default::default();
        for round in 0..=effort.rounds(15) {
            for (child, costs) in
                [&on, &off, &absent].into_iter().zip(&mut costs).take(if is_everywhere { 3 } else { 2 })
            {
                let cost = child.run(program)?;
                if round > 0 {
                    costs.push(cost);
                }
            }
        }
        let wall = costs.each_ref().map(|costs| costs.iter().map(|cost| cost.wall * 1e3).collect::<Vec<_>>());
        let cpu = costs.each_ref().map(|costs| costs.iter().map(|cost| cost.cpu * 1e3).collect::<Vec<_>>());
        let middle = |samples: &[f64]| figure(median(samples.iter().copied()));
        section.row([
            program.to_string(),
            middle(&wall[0]),
            middle(&wall[1]),
            figure(median_ratio(&wall[0], &wall[1])),
            middle(&cpu[0]),
            middle(&cpu[1]),
            figure(median_ratio(&cpu[0], &cpu[1])),
            if is_everywhere { figure(median_ratio(&wall[1], &wall[2])) } else { "-".to_owned() },
        ]);
    }
    Ok(section)
}
