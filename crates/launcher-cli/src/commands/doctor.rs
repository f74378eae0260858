//! `launcher doctor`: everything that can be wrong about agents, and what helps.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use launcher_config::Diagnostic;
use launcher_control::wire::{CheckReply, Grade};
use launcher_core::{agent::AgentId, spec::AgentSpec};
use serde::Serialize;

use super::{json, wait_for};
use crate::{
    args::Doctor,
    configured::Configured,
    exit::{self, Exit},
    progress::patiently,
    table::harmless,
    way::Purpose,
};

/// Agents that are examined at once: most of the time goes into waiting for servers.
const AT_ONCE: usize = 8;

pub(crate) fn run(options: &Doctor) -> anyhow::Result<Exit> {
    let configured = Configured::read(&options.files)?;
    if let Some(id) = &options.id {
        configured.agent(id)?;
    }
    let chosen = |id: &AgentId| options.id.as_ref().is_none_or(|wanted| wanted == id);
    let agents = configured.loaded.agents.iter().filter(|(id, _)| chosen(id));
    wait_for(async {
        let configured = &configured;
        let mut found = stream::iter(agents)
            .map(|(id, said)| async move { (id, examine(configured, said).await) })
            .buffered(AT_ONCE);
        let mut reports = Vec::new();
        let mut all_well = true;
        while let Some((id, checks)) = patiently("still looking", found.next()).await {
            all_well &= !checks.iter().any(|check| check.outcome == Grade::Bad);
            match options.json {
                true => reports.push(Page { id: id.to_string(), checks }),
                false => exit::print(&page(id, &checks)),
            }
        }
        if options.json {
            exit::print(&json(&BTreeMap::from([("agents", &reports)]))?);
        }
        Ok(if all_well { Exit::Done } else { Exit::Failed })
    })
}

/// One agent in the JSON.
#[derive(Debug, Serialize)]
struct Page {
    id: String,
    checks: Vec<CheckReply>,
}

/// What is wrong with one agent is no reason to say nothing about the others.
async fn examine(
    configured: &Configured,
    said: &Result<AgentSpec, Vec<Diagnostic>>,
) -> Vec<CheckReply> {
    let spec = match said {
        Ok(spec) => spec,
        Err(problems) => return vec![invalid(problems)],
    };
    let examined = match configured.way(spec, Purpose::Look).await {
        Ok(way) => way.examine().await,
        Err(refusal) => Err(refusal),
    };
    examined.unwrap_or_else(|refusal| {
        vec![CheckReply {
            name: "access".to_owned(),
            outcome: Grade::Bad,
            finding: refusal.reason,
            action: refusal.action,
        }]
    })
}

fn invalid(problems: &[Diagnostic]) -> CheckReply {
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    CheckReply {
        name: "config".to_owned(),
        outcome: Grade::Bad,
        finding: first.lines().next().unwrap_or_default().to_owned(),
        action: Some("correct the file; `launcher check` shows every problem".to_owned()),
    }
}

fn page(id: &AgentId, checks: &[CheckReply]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{id}\n");
    for check in checks {
        let mark = match check.outcome {
            Grade::Good => "ok",
            Grade::Notable => "!",
            Grade::Bad => "FAIL",
        };
        let (name, finding) = (&check.name, harmless(&check.finding));
        text.push_str(&format!("  {mark:4}  {name:width$}  {finding}\n"));
        if let Some(action) = &check.action {
            text.push_str(&format!("        {:width$}  do: {}\n", "", harmless(action)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_mark_and_its_way_out() {
        let check = |name: &str, outcome, finding: &str, action: Option<&str>| CheckReply {
            name: name.to_owned(),
            outcome,
            finding: finding.to_owned(),
            action: action.map(str::to_owned),
        };
        let checks = [
            check("state", Grade::Good, "running", None),
            check("clock", Grade::Notable, "4 s off", Some("set the clock")),
            check("recovery", Grade::Bad, "no key\u{7}", Some("`launcher recovery a --set`")),
        ];
        assert_eq!(
            page(&"a".parse().unwrap(), &checks),
            "a\n\
             \x20 ok    state     running\n\
             \x20 !     clock     4 s off\n\
             \x20                 do: set the clock\n\
             \x20 FAIL  recovery  no key\u{fffd}\n\
             \x20                 do: `launcher recovery a --set`\n"
        );
    }
}
