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
    assert_eq!(code(&["run", "mail", "--protocol", "6.4", "--forget", "vma-lock"]), Some(100));
    assert_eq!(code(&["bogus"]), Some(2));
    assert_eq!(code(&["run", "mail", "--seed", "x"]), Some(2));
}

#[test]
fn bad_input_gets_one_clear_line() {
    for (args, words) in [
        (&["run", "nope"][..], "no such scenario: nope (known: mail,"),
        (&["run", "mail", "--protocol", "2.4"], "no such protocol: 2.4 (known: 6.1,"),
        (&["run", "mail", "--forget", "keys"], "no such exclusion: keys (known: mmap-lock,"),
        (&["--out", "/dev/null/nowhere"], "failed to make /dev/null/nowhere"),
    ] {
        let output = mm_sim(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(101), "{args:?}");
        assert!(text.contains(words) && text.lines().count() == 1, "{args:?}: {text}");
    }
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
    for scenario in mm_sim::scenario::ALL {
        assert!(text.contains(scenario.id) && text.contains(scenario.title));
    }
}
