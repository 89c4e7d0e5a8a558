//! Instructions per lock and unlock, counted by callgrind: they repeat, whatever else the machine is doing.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

use crate::{
    child::Variant,
    report::Section,
    sample::{Op, Shape},
    sites,
};

const DEPTHS: [usize; 2] = [1, 8];
/// Two runs, so that everything but the loop cancels out; whole rounds through all lines.
const TIMES: [u64; 2] = [200 * sites::COUNT as u64, 400 * sites::COUNT as u64];

/// Measures, if valgrind is there.
pub fn run() -> anyhow::Result<Section> {
    let mut section = Section::new(
        "Instructions",
        "Instructions per lock + unlock of a known acquisition, counted by `valgrind --tool=callgrind`: the difference of \
         two runs, by the difference of their lengths. The loop around takes some of them.",
    );
    if Command::new("valgrind").arg("--version").output().is_err() {
        section.text.push_str("\n\nSkipped: valgrind is not installed.");
        return Ok(section);
    }
    let subjects = [
        ("parking_lot", Variant::On, "parking_lot"),
        ("lockdep without `enabled`", Variant::Absent, "lockdep"),
        ("lockdep, `LOCKDEP=off`", Variant::Off, "lockdep"),
        ("**lockdep**", Variant::On, "lockdep"),
    ];
    let shapes: Vec<Shape> = Op::ALL
        .into_iter()
        .flat_map(|op| DEPTHS.map(|depth| Shape { op, depth, sites: 1 }))
        .chain(DEPTHS.map(|depth| Shape { op: Op::Mutex, depth, sites: sites::COUNT }))
        .collect();
    let heads = shapes.iter().map(|shape| match shape.sites {
        1 => format!("{}, depth {}", shape.op, shape.depth),
        sites => format!("{}, depth {}, {sites} sites", shape.op, shape.depth),
    });
    section.row(["".to_owned()].into_iter().chain(heads));
    for (name, variant, locks) in subjects {
        let (child, mut row) = (variant.command()?, vec![name.to_owned()]);
        for &shape in &shapes {
            let [short, long] = TIMES.map(|times| count(&child, locks, shape, times));
            let (short, long) = (short?, long?);
            row.push(format!("{:.1}", (long - short) as f64 / (TIMES[1] - TIMES[0]) as f64));
        }
        section.row(row);
    }
    Ok(section)
}

fn count(child: &Command, locks: &str, shape: Shape, times: u64) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(child.get_program()).arg("answer");
    for (name, value) in child.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let request = format!("{locks} {times} {shape}\n");
    let output = run_with(&mut command, &request)?;
    let line = output.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = line.with_context(|| format!("callgrind says no count: {output}"))?;
    Ok(count.trim().parse()?)
}

fn run_with(command: &mut Command, input: &str) -> anyhow::Result<String> {
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    process.stdin.take().context("no pipe to valgrind")?.write_all(input.as_bytes())?;
    let output = process.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "valgrind fails: {text}");
    Ok(text)
}
