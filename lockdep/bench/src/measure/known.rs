//! Known order, one thread: all locks side by side.

use std::collections::BTreeMap;

use crate::{
    child::{Child, Variant},
    locks::{PlainMutex, PlainRead, PlainWrite, WatchedMutex, WatchedRead, WatchedWrite},
    measure::Effort,
    peers::*,
    report::{Section, figure},
    sample::{Family, Op, Sampler, Shape},
    sites,
    stats::{median, median_ratio},
};

/// How long a sample should take, in nanoseconds.
const SAMPLE_NS: f64 = 200_000.0;
const DEPTHS: [usize; 4] = [1, 2, 4, 8];

/// Name, and how its locks are reached.
type Subject<'a> = (&'static str, Box<dyn Sampler + 'a>);

/// The ratios to parking_lot by subject and depth, for the chart.
pub type Ratios = Vec<(&'static str, Vec<(usize, f64)>)>;

/// What is compared with: the first subject.
const BASE: usize = 0;

/// Measures, and returns a section an operation, and what the chart of the first shows.
pub fn run(effort: Effort) -> anyhow::Result<(Vec<Section>, Ratios)> {
    start()?;
    let off = Child::start(Variant::Off)?;
    let absent = Child::start(Variant::Absent)?;
    let detecting = Child::start(Variant::DeadlockDetection)?;
    let subjects: Vec<Subject> = vec![
        ("parking_lot", Box::new(Family::<PlainMutex, PlainRead, PlainWrite>::new())),
        ("**lockdep**", Box::new(Family::<WatchedMutex, WatchedRead, WatchedWrite>::new())),
        ("lockdep, `LOCKDEP=off` (a)", Box::new(off.locks("lockdep"))),
        ("lockdep without `enabled` (a)", Box::new(absent.locks("lockdep"))),
        ("std", Box::new(Family::<StdMutex, StdRead, StdWrite>::new())),
        ("parking_lot, `deadlock_detection` (a)", Box::new(detecting.locks("parking_lot"))),
        ("tracing-mutex", Box::new(Family::<TracingMutex, TracingRead, TracingWrite>::new())),
        ("deloxide", Box::new(Family::<DeloxideMutex, DeloxideRead, DeloxideWrite>::new())),
        ("keepcalm", Box::new(Family::<KeepcalmMutex, KeepcalmRead, KeepcalmWrite>::new())),
        ("no_deadlocks", Box::new(Family::<NoDeadlocksMutex, NoDeadlocksRead, NoDeadlocksWrite>::new())),
    ];
    let mut sections = Vec::new();
    let mut ratios = Ratios::new();
    for op in Op::ALL {
        let shapes = DEPTHS.map(|depth| Shape { op, depth, sites: 1 });
        let figures = measure(&subjects, &shapes, effort);
        if op == Op::Mutex {
            let points = |row: &Vec<Figure>| DEPTHS.into_iter().zip(row.iter().map(|figure| figure.ratio)).collect();
            ratios = subjects.iter().zip(&figures).map(|(subject, row)| (subject.0, points(row))).collect();
        }
        let mut section = table(title(op), TEXT, &subjects, &shapes, &figures);
        section.chart = (op == Op::Mutex).then_some(super::KNOWN_CHART);
        sections.push(section);
    }
    let shapes = DEPTHS.map(|depth| Shape { op: Op::Mutex, depth, sites: sites::COUNT });
    let title = format!("Known order, one thread, {} call sites in turn", sites::COUNT);
    sections.push(table(&title, SITES_TEXT, &subjects, &shapes, &measure(&subjects, &shapes, effort)));
    Ok((sections, ratios))
}

const TEXT: &str = "Nanoseconds per lock + unlock of the innermost of *depth* held locks, and in brackets the ratio to \
    parking_lot in the same round. Median of interleaved rounds. A lock alone waits for its own atomics, whatever else is done \
    meanwhile; whether what checking does fits into that wait depends on how much of a core the machine gives at the \
    moment, so the ratios of all checkers vary between runs more than parking_lot's figures do.\n\n\
    (a) The build or the setting excludes the others, so a process of its own takes these samples, in the same rounds.";

const SITES_TEXT: &str = "As above for the mutex, but the acquisitions come from many lines of the program, as in real \
    programs; parking_lot is called from as many. Here the size of the inlined code counts.";

const fn title(op: Op) -> &'static str {
    match op {
        Op::Mutex => "Known order, one thread: mutex",
        Op::Read => "Known order, one thread: readers-writer lock, read",
        Op::Write => "Known order, one thread: readers-writer lock, write",
    }
}

/// Medians.
#[derive(Clone, Copy, Debug)]
struct Figure {
    ns: f64,
    ratio: f64,
}

/// Takes samples of all subjects and shapes in turn, round after round. Returns a row a subject, a column a shape.
fn measure(subjects: &[Subject], shapes: &[Shape], effort: Effort) -> Vec<Vec<Figure>> {
    let times = |sampler: &dyn Sampler, shape: Shape| {
        let ns = sampler.sample(shape, 200);
        (SAMPLE_NS / ns).clamp(64.0, 100_000.0) as u64
    };
    let times: Vec<u64> = subjects.iter().map(|subject| times(&*subject.1, shapes[0])).collect();
    let mut samples: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for _ in 0..effort.rounds(101) {
        for (column, &shape) in shapes.iter().enumerate() {
            for (row, subject) in subjects.iter().enumerate() {
                samples.entry((row, column)).or_default().push(subject.1.sample(shape, times[row]));
            }
        }
    }
    let figure = |row: usize, column: usize| {
        let own = &samples[&(row, column)];
        Figure { ns: median(own.iter().copied()), ratio: median_ratio(own, &samples[&(BASE, column)]) }
    };
    (0..subjects.len()).map(|row| (0..shapes.len()).map(|column| figure(row, column)).collect()).collect()
}

fn table(title: &str, text: &str, subjects: &[Subject], shapes: &[Shape], figures: &[Vec<Figure>]) -> Section {
    let mut section = Section::new(title, text);
    let depths = shapes.iter().map(|shape| format!("depth {}", shape.depth));
    section.row(["ns (ratio)".to_owned()].into_iter().chain(depths));
    for (subject, row) in subjects.iter().zip(figures) {
        let cells = row.iter().map(|cell| format!("{} ({})", figure(cell.ns), figure(cell.ratio)));
        section.row([subject.0.to_owned()].into_iter().chain(cells));
    }
    section
}
