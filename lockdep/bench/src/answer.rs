//! The answering side: takes samples in this process for the comparison in another. A request a line, an answer a line.

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
};

use crate::{
    locks::{PlainMutex, PlainRead, PlainWrite, WatchedMutex, WatchedRead, WatchedWrite},
    program::Program,
    sample::{Family, Sampler, Shape},
};

/// Answers requests until there are no more.
pub fn serve() -> ExitCode {
    let plain = Family::<PlainMutex, PlainRead, PlainWrite>::new();
    let watched = Family::<WatchedMutex, WatchedRead, WatchedWrite>::new();
    for line in io::stdin().lock().lines() {
        let answer = line.map_err(|err| err.to_string()).and_then(|line| answer(&plain, &watched, &line));
        match answer {
            Ok(answer) if writeln!(io::stdout(), "{answer}").is_ok() => {}
            Ok(_) => break,
            Err(reason) => {
                eprintln!("lockdep-bench: {reason}");
                return ExitCode::from(101);
            }
        }
    }
    ExitCode::SUCCESS
}

fn answer(plain: &dyn Sampler, watched: &dyn Sampler, request: &str) -> Result<String, String> {
    let (verb, rest) = request.split_once(' ').unwrap_or((request, ""));
    let sampler = match verb {
        "parking_lot" => plain,
        "lockdep" => watched,
        "program" => {
            let cost = rest.parse::<Program>()?.run();
            return Ok(format!("{} {}", cost.wall, cost.cpu));
        }
        _ => return Err(format!("no request {request:?}")),
    };
    let (times, shape) = rest.split_once(' ').ok_or_else(|| format!("no sample {rest:?}"))?;
    let times = times.parse().map_err(|err| format!("{times:?}: {err}"))?;
    Ok(sampler.sample(shape.parse::<Shape>()?, times).to_string())
}
