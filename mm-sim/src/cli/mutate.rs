//! `mm-sim mutate`.

use std::process::ExitCode;

use mm_sim::{
    Protocol,
    mutate::{self, Effort},
};

use super::{FINDINGS, paint, rules::Rules};

pub(crate) fn campaign(rules: &Rules, quick: bool, only: Option<&str>, json: bool) -> Result<ExitCode, String> {
    let protocol = rules.protocol(Protocol::V6_12)?;
    let effort = if quick { Effort::Quick } else { Effort::Full };
    let campaign = mutate::campaign(protocol, effort, only)?;
    let is_good = campaign.unexplained() == 0;
    if json {
        let text = serde_json::to_string_pretty(&campaign).map_err(|error| error.to_string())?;
        anstream::println!("{text}");
    } else {
        paint::print(&campaign.to_string(), is_good);
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}
