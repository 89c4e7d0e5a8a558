//! The command line: exit codes, one line for bad input, JSON that parses.

use std::process::{Command, Output};

fn mm_sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mm-sim")).args(args).output().expect("the binary starts")
}

fn code(args: &[&str]) -> Option<i32> {
    mm_sim(args).status.code()
}

#[test]
fn exit_codes_say_how_it_went() {
    assert_eq!(code(&["run", "mail", "--protocol", "6.4"]), Some(0));
    assert_eq!(code(&["run", "mail", "--protocol", "jan2023"]), Some(100));
    assert_eq!(code(&["run", "mail", "--protocol", "6.4", "--what-if", "forgets=vma-lock"]), Some(100));
    assert_eq!(code(&["bogus"]), Some(2));
    assert_eq!(code(&["run", "mail", "--seed", "x"]), Some(2));
}

#[test]
fn bad_input_gets_one_clear_line() {
    for (args, words) in [
        (&["run", "nope"][..], "no such scenario: nope (known: mail,"),
        (&["run", "v11"], "V11 cannot be shown: the VMA lock here"),
        (&["run", "mail", "--protocol", "2.4"], "no such protocol: 2.4 (known: 6.1,"),
        (&["paths", "nope"], "kernels: nope"),
        (&["--out", "/dev/null/nowhere"], "failed to make /dev/null/nowhere"),
    ] {
        let output = mm_sim(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(101), "{args:?}");
        assert!(text.contains(words) && text.lines().count() == 1, "{args:?}: {text}");
    }
}

#[test]
fn a_seed_that_does_not_show_the_bug_says_which_do() {
    let pair = mm_sim::catalogue::named("H7").expect("it is in the catalogue");
    let silent = (1..=pair.seeds).find(|&seed| !pair.run_buggy(seed).has_findings()).expect("not every seed shows it");
    let output = mm_sim(&["run", "H7", "--seed", &silent.to_string()]);
    let text = String::from_utf8(output.stdout).unwrap().replace('\n', " ");
    assert_eq!(output.status.code(), Some(0), "nothing was found, and nothing is wrong");
    assert!(
        text.contains(&format!("does not show with seed {silent}; one of the seeds 1 to {}", pair.seeds)),
        "{text}"
    );
    let shown = String::from_utf8(mm_sim(&["run", "H7"]).stdout).unwrap();
    assert!(shown.contains("\nas expected: silent without the bug"), "without a seed one is looked for: {shown}");
}

#[test]
fn json_is_json() {
    for args in [&["list", "--json"][..], &["run", "mail", "--json"]] {
        let output = mm_sim(args).stdout;
        let value: serde_json::Value = serde_json::from_slice(&output).expect("it parses");
        assert!(value.is_object());
    }
}

#[test]
fn list_names_every_scenario_with_its_verdicts() {
    let text = String::from_utf8(mm_sim(&["list"]).stdout).unwrap();
    for scenario in mm_sim::scenario::ALL.iter().chain(mm_sim::scenario::DIRECTED) {
        assert!(text.contains(&format!("\n  {} ", scenario.id)), "{}", scenario.id);
    }
    for pair in mm_sim::catalogue::all() {
        assert!(text.contains(&format!("\n  {} ", pair.id)), "{}", pair.id);
    }
    assert!(text.contains("silent: under 6.1") && text.contains("retract ") && text.contains("source "));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "it fits a terminal of 100 columns");
}

#[test]
fn a_wrong_what_if_is_wrong_usage_and_the_right_ones_are_listed() {
    for (what_if, words) in [
        ("retract", "not KEY=VALUE (keys: vma-lock, retract,"),
        ("retrakt=none", "no such key: retrakt (keys: vma-lock, retract,"),
        ("retract=politely", "no such value of retract: politely (values: none, blocking, trylock, rcu)"),
        ("bug=none-such", "values: none, mincore-under-lock,"),
    ] {
        for command in [&["run", "mail"][..], &["explore", "small-fork"], &["stress"], &["mutate"]] {
            let output = mm_sim(&[command, &["--what-if", what_if]].concat());
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command:?} {what_if}");
            assert!(text.contains(words), "{text}");
        }
    }
}

#[test]
fn a_what_if_is_told_and_does_what_it_says() {
    let output = mm_sim(&["run", "mail", "--protocol", "6.4", "--what-if", "retract=blocking"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().take(2).collect();
    assert_eq!(lines[0], "circular-dependency {mapping->i_mmap_rwsem, vma->vm_lock, fs_reclaim}");
    assert_eq!(lines[1], "what if: mail under 6.4 --what-if retract=blocking, seed 1");
    assert_eq!(output.status.code(), Some(100));
}

#[test]
fn a_bug_is_told_with_its_verdict_first() {
    let output = mm_sim(&["run", "v2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let first: Vec<_> = text.lines().take(2).collect();
    assert!(first[0].starts_with("V2: circular-dependency {"), "{first:?}");
    assert_eq!(first[1], "as expected: silent without the bug");
    assert!(text.contains("## With the bug") && text.contains("fix: 1c7873e33645"), "{text}");
}

/// Colour is for terminals, and not for those who do not want it.
#[test]
fn there_is_no_colour_but_on_a_terminal() {
    let run = |envs: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mm-sim"));
        command.args(["run", "mail", "--protocol", "6.4"]).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command.envs(envs.iter().copied()).output().unwrap().stdout
    };
    let has_colour = |bytes: Vec<u8>| bytes.contains(&0x1b);
    assert!(!has_colour(run(&[])) && has_colour(run(&[("CLICOLOR_FORCE", "1")])));
    assert!(!has_colour(run(&[("NO_COLOR", "1")])));
}
