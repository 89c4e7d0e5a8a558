//! The rules of a run on the command line: a protocol, and what is decided otherwise.

use clap::Args;
use mm_sim::{Protocol, SWITCHES, WhatIf};

use super::{paint, unknown};

/// Columns for the values of a switch, which the help indents.
const VALUES_WIDTH: usize = 84;

/// Which kernel's rules, and what if it had decided otherwise.
#[derive(Args)]
pub(crate) struct Rules {
    /// The protocol, that is, which kernel's rules; `mm-sim list` has them.
    #[arg(long)]
    pub(crate) protocol: Option<String>,
    /// Decides otherwise than the protocol, such as `retract=trylock`; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", long_help = long_help())]
    pub(crate) what_if: Vec<WhatIf>,
}

impl Rules {
    /// Returns whether nothing was asked for.
    pub(crate) fn are_default(&self) -> bool {
        self.protocol.is_none() && self.what_if.is_empty()
    }

    /// Returns the protocol, which is `usual` if none is named, with what is decided otherwise.
    pub(crate) fn protocol(&self, usual: Protocol) -> Result<Protocol, String> {
        let names = Protocol::ALL.iter().map(|protocol| protocol.name);
        let named = |name: &String| Protocol::named(name).ok_or_else(|| unknown("protocol", name, names));
        let protocol = self.protocol.as_ref().map_or(Ok(usual), named)?;
        Ok(self.what_if.iter().fold(protocol, Protocol::what_if))
    }
}

/// Returns the rules as the command line takes them: `6.12`, or `6.12 --what-if retract=trylock`.
pub(crate) fn arguments(protocol: &Protocol) -> String {
    let what_ifs = protocol.what_ifs();
    what_ifs.iter().fold(protocol.name.to_owned(), |text, what_if| format!("{text} --what-if {what_if}"))
}

fn long_help() -> String {
    let mut text = "Decides otherwise than the protocol; may be given several times:\n".to_owned();
    for switch in SWITCHES {
        text += &format!("\n{}: {}\n", switch.key(), switch.about);
        for line in paint::lines(&switch.values().join(", "), VALUES_WIDTH) {
            text += &format!("    {line}\n");
        }
    }
    text
}
