//! Reads the tools of an assistant.

use std::{collections::BTreeMap, time::Duration};

use launcher_core::{
    secret::Secret,
    spec::{ApprovalSpec, Requirement, ToolServerAt, ToolServerSpec, ToolsSpec},
};

use super::time;
use crate::{
    agent::children,
    reading::Reading,
    values::{Fault, address, command::shown, user_id},
    yaml::{Entry, Node},
};

/// Where the servers are.
const SERVERS: &str = "behavior.llm.tools.servers";

/// Where it stands who agrees.
const APPROVAL: &str = "behavior.llm.tools.approval";

/// Keys of a server that is a program, beside `run`.
const OF_PROGRAMS: [&str; 3] = ["folder", "environment", "limits"];

/// How long somebody who is asked may take at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// How many servers an agent may have.
const MOST: usize = 16;

/// Headers that belong to the protocol, or to the connection.
const OURS: [&str; 7] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "mcp-session-id",
    "mcp-protocol-version",
];

/// The tools, or `None` if something is wrong with them.
pub(super) fn tools(reading: &mut Reading<'_>) -> Option<ToolsSpec> {
    let before = reading.found.len();
    let approval = approval(reading);
    let servers = servers(reading);
    (reading.found.len() == before).then_some(ToolsSpec { servers: servers?, approval })
}

fn approval(reading: &mut Reading<'_>) -> Option<ApprovalSpec> {
    let node = reading.tree().at(APPROVAL)?;
    let path = format!("{APPROVAL}.users");
    let users = reading.list(&path, user_id::user_glob);
    if reading.tree().at(&path).is_none() {
        let label = "write `users: [\"@ops:example.org\"]`";
        reading.report(&path, &node.place, "this key is missing", label);
    } else if users.as_ref().is_some_and(Vec::is_empty) {
        reading.report(&path, &node.place, "nobody could agree", "name at least one");
    }
    let words = [("trusted", Requirement::Trusted), ("verified", Requirement::Verified)];
    let require = reading.choice(&format!("{APPROVAL}.require"), &words);
    let timeout = reading.parsed(&format!("{APPROVAL}.timeout"), |text| time(text, LONGEST_WAIT));
    Some(ApprovalSpec {
        users: users?,
        require: require.unwrap_or_default(),
        timeout: timeout.map_or(ApprovalSpec::TIMEOUT, |found| found.value),
    })
}

fn servers(reading: &mut Reading<'_>) -> Option<BTreeMap<String, ToolServerSpec>> {
    let Some(node) = reading.tree().at(SERVERS) else { return Some(BTreeMap::new()) };
    let mut servers = BTreeMap::new();
    for (index, entry) in node.entries().iter().enumerate() {
        let prefix = reading.shown_path(&format!("{SERVERS}.{}", shown(&entry.key)));
        let mut below = reading.below(&entry.value, &prefix);
        if !ToolsSpec::is_name(&entry.key) {
            let most = ToolsSpec::LONGEST_NAME;
            let message = "this name would not do in the names of its tools";
            let label = format!("at most {most} characters, no `__`, and no `_` at the end");
            below.report("", &entry.key_place, message, label);
        }
        if index == MOST {
            let message = format!("an agent has at most {MOST} tool servers");
            below.report("", &entry.key_place, message, "");
        }
        let server = server(&mut below, entry);
        reading.found.append(&mut below.found);
        servers.insert(entry.key.clone(), server);
    }
    servers.into_iter().map(|(name, server)| Some((name, server?))).collect()
}

fn server(reading: &mut Reading<'_>, entry: &Entry) -> Option<ToolServerSpec> {
    let at = at(reading, entry);
    if reading.tree().at("allow").is_none() {
        let label = "write `allow: [\"*\"]`, or name single tools";
        reading.report("allow", &entry.key_place, "this key is missing", label);
    }
    let [allow, read, act, ask] =
        ["allow", "read", "act", "ask"].map(|key| reading.list(key, tool_glob));
    let timeout = reading.parsed("timeout", |text| time(text, ToolServerSpec::LONGEST_TIMEOUT));
    let default = ToolServerSpec::new(at?);
    Some(ToolServerSpec {
        allow: allow?,
        read: read.unwrap_or_default(),
        act: act.unwrap_or_default(),
        ask: ask.unwrap_or_default(),
        timeout: timeout.map_or(default.timeout, |found| found.value),
        ..default
    })
}

fn at(reading: &mut Reading<'_>, entry: &Entry) -> Option<ToolServerAt> {
    let tree = reading.tree();
    let is_program = tree.at("run").is_some();
    if is_program == tree.at("url").is_some() {
        let message = "exactly one of `run` and `url` is needed";
        reading.report("", &entry.key_place, message, "");
        return None;
    }
    // What would have no effect is a mistake.
    let odd: Vec<(&str, &Node)> = match is_program {
        true => tree.at("headers").map(|node| ("headers", node)).into_iter().collect(),
        false => {
            let there = |key: &&'static str| tree.at(key).map(|node| (*key, node));
            OF_PROGRAMS.iter().filter_map(there).collect()
        }
    };
    for (key, node) in odd {
        let of = if is_program { "an address" } else { "a program" };
        reading.report(key, &node.place, format!("this is for a server that is {of}"), "remove it");
    }
    if is_program {
        let run = children::program(reading);
        let (folder, variables) = (children::folder(reading), children::variables(reading));
        let limits = children::limits(reading);
        return Some(ToolServerAt::Program { run: run?, folder, variables, limits });
    }
    let url = reading.secret("url", address::webhook);
    let headers = children::secrets(reading, "headers", header, value);
    Some(ToolServerAt::Url { url: url?, headers: headers.unwrap_or_default() })
}

fn tool_glob(text: &str) -> Result<(), Fault> {
    match text.is_empty() || text.chars().any(|letter| letter.is_control()) {
        true => Err(Fault::new("is not a tool's name").label("write `\"get_*\"`")),
        false => Ok(()),
    }
}

/// The name of a header (RFC 9110, 5.1), not one of ours.
fn header(name: &str) -> Result<(), Fault> {
    let is_token =
        |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    if name.is_empty() || !name.chars().all(is_token) {
        return Err(Fault::new("is not the name of a header").label("write `Authorization`"));
    }
    match OURS.contains(&name.to_ascii_lowercase().as_str()) {
        true => Err(Fault::new("is a header of the protocol itself").label("remove it")),
        false => Ok(()),
    }
}

/// The value of a header (RFC 9110, 5.5), of visible characters.
fn value(text: &str) -> Result<Secret<String>, Fault> {
    let good =
        text.chars().all(|letter| letter == '\t' || letter == ' ' || letter.is_ascii_graphic());
    match good && text.trim() == text {
        true => Ok(Secret::new(text.to_owned())),
        false => Err(Fault::new("cannot be sent as a header")
            .label("printable characters only, and no space around them")
            .hidden()),
    }
}
