//! Values of this machine in a text that another program reads as configuration.

use phoenix_config::Provider as _;

use crate::agent_provider::{AgentProvider, SCHEME};

/// Replaces each `${agent:NAME}`; every other reference is left to who reads the text.
pub(super) fn fill(text: &str) -> Result<String, String> {
    let open = format!("${{{SCHEME}:");
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&open) {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let inside = &from[open.len()..];
        // `$${…}` means the text itself.
        let is_escaped = before.bytes().rev().take_while(|byte| *byte == b'$').count() % 2 == 1;
        if is_escaped {
            filled.push_str(&open);
            rest = inside;
            continue;
        }
        let (name, after) = inside.split_once('}').ok_or_else(|| format!("a reference {open} has no end"))?;
        let found = AgentProvider.retrieve(&format!("{SCHEME}:{name}")).map_err(|error| error.to_string())?;
        filled.push_str(&found.text);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_of_the_agent_are_replaced() {
        let os = std::env::consts::OS;
        for (text, expected) in [
            ("a: ${agent:os}-${env:X}", format!("a: {os}-${{env:X}}")),
            ("a: $${agent:os}", "a: $${agent:os}".to_owned()),
            ("a: $$${agent:os}", format!("a: $${os}")),
            ("${agent:os}${agent:os}", format!("{os}{os}")),
            ("a: 1", "a: 1".to_owned()),
        ] {
            assert_eq!(fill(text), Ok(expected), "{text}");
        }
        assert!(fill("${agent:os").is_err_and(|error| error.contains("no end")));
        assert!(fill("${agent:nothing}").is_err_and(|error| error.contains("knows no")));
    }
}
