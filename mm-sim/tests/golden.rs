//! The story's files are those under `reports/mm-sim`. `LOCKDEP_UPDATE=1 cargo test -p mm-sim --test golden` renews them.

use std::{env, fs, path::Path};

use mm_sim::story;

#[test]
fn the_story_is_told_as_it_was() {
    let story = story::tell().unwrap();
    assert!(story.is_expected, "{}", story.text);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/mm-sim");
    for (name, now) in &story.files {
        let path = directory.join(name);
        if env::var_os("LOCKDEP_UPDATE").is_some() {
            fs::write(&path, now).unwrap();
        }
        let then = fs::read_to_string(&path).unwrap_or_default();
        let differs = then.lines().zip(now.lines()).position(|(then, now)| then != now);
        assert!(
            then == *now,
            "{name} differs from line {} on; if that is right: LOCKDEP_UPDATE=1 cargo test -p mm-sim --test golden",
            differs.unwrap_or_else(|| then.lines().count().min(now.lines().count())) + 1
        );
    }
}

#[test]
fn the_story_fits_the_page() {
    let story = story::tell().unwrap();
    let report: &str = &story.files.iter().find(|(name, _)| *name == "mail-jan2023.txt").unwrap().1;
    for line in story.text.lines().filter(|line| !report.contains(*line)) {
        assert!(line.chars().count() <= 100, "too long: {line}");
    }
}
