//! `mm-sim` without a command.

use std::{fs, path::Path, process::ExitCode, time::Instant};

use super::{FAILURE, paint};

pub(crate) fn tell(out: &Path) -> Result<ExitCode, String> {
    let start = Instant::now();
    let story = mm_sim::story::tell().map_err(|error| error.to_string())?;
    paint::print(&story.text, story.is_expected);
    fs::create_dir_all(out).map_err(|error| format!("failed to make {}: {error}", out.display()))?;
    for (name, contents) in &story.files {
        let path = out.join(name);
        fs::write(&path, contents).map_err(|error| format!("failed to write {}: {error}", path.display()))?;
    }
    let names: Vec<_> = story.files.iter().map(|(name, _)| *name).collect();
    anstream::println!("\nwritten to {}: {}", out.display(), names.join(", "));
    anstream::println!("in {:.1} s", start.elapsed().as_secs_f64());
    Ok(if story.is_expected { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}
