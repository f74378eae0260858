//! What a server offers, and what of it may be used.

use std::collections::{BTreeMap, BTreeSet};

use launcher_core::spec::{ToolServerSpec, ToolUse};
use rmcp::{
    Peer, RoleClient, ServiceError,
    model::{PaginatedRequestParams, Tool as Theirs},
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::llm::provider::Tool;

/// How many pages of tools are read.
const MOST_PAGES: usize = 20;

/// How many tools of a server are read, offered or not.
const MOST_LISTED: usize = 1000;

/// How many tools of a server are offered.
const MOST_OFFERED: usize = 100;

/// How many different tools of a server are remembered.
const MOST_SEEN: usize = 2000;

/// How long a tool's own name may be, in bytes.
const LONGEST_OWN_NAME: usize = 128;

/// How long a tool's name for a model may be: what every provider takes.
const LONGEST_NAME: usize = 64;

/// How long what is said about a tool may be, in bytes.
const LONGEST_DESCRIPTION: usize = 8 * 1024;

/// How large the schema of its arguments may be, in bytes.
const LARGEST_SCHEMA: usize = 32 * 1024;

/// How large the list of a server's tools may be, in bytes, with all that is
/// said in it.
const LARGEST_LIST: usize = 4 << 20;

/// How much a model may be told of the tools of one server, in bytes. It is told
/// again with every question.
const LARGEST_OFFER: usize = 256 * 1024;

/// What a server has.
#[derive(Debug, Default)]
pub(super) struct Listed {
    tools: Vec<Theirs>,
    /// How large they are together.
    bytes: usize,
    /// There are more.
    cut: bool,
}

/// Asks a server for its tools, page by page, and not for ever.
///
/// # Errors
///
/// It does not answer, or not as it should.
///
/// # Cancel safety
///
/// Dropping this tells the server that nobody waits for it any more.
pub(super) async fn all(peer: &Peer<RoleClient>) -> Result<Listed, ServiceError> {
    let mut listed = Listed::default();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let page = peer.list_tools(Some(params)).await?;
        if !listed.take(page.tools) {
            break;
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(listed);
        }
    }
    listed.cut = true;
    Ok(listed)
}

impl Listed {
    /// Takes in what there is room for; says whether that was everything.
    fn take(&mut self, tools: Vec<Theirs>) -> bool {
        for tool in tools {
            // What cannot be written down is larger than anything.
            let bytes = serde_json::to_vec(&tool).map_or(LARGEST_LIST, |text| text.len());
            self.bytes = self.bytes.saturating_add(bytes);
            if self.tools.len() >= MOST_LISTED || self.bytes > LARGEST_LIST {
                return false;
            }
            self.tools.push(tool);
        }
        true
    }
}

/// A tool that may be used.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    /// The server's name for it.
    pub(super) own_name: String,
    /// What a model is told of it.
    pub(super) tool: Tool,
    /// What has to be before it is called.
    pub(super) how: ToolUse,
}

/// What of a server's tools may be used.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Accepted {
    /// By their names for a model.
    pub(super) tools: BTreeMap<String, Known>,
    /// Which are allowed and not used, by harmless names, and why.
    pub(super) refused: Vec<(String, &'static str)>,
    /// How many it has, of those that were read.
    pub(super) listed: usize,
    /// It has more than were read.
    pub(super) cut: bool,
}

/// What a server's tools looked like when they were first seen. A tool that
/// looks different later is not the one that the operator allowed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    looks: BTreeMap<String, [u8; 32]>,
    changed: BTreeSet<String>,
}

impl Seen {
    /// Chooses what may be used. `prefix` is put before the names.
    pub(super) fn accept(
        &mut self,
        prefix: &str,
        spec: &ToolServerSpec,
        listed: Listed,
    ) -> Accepted {
        let mut accepted =
            Accepted { listed: listed.tools.len(), cut: listed.cut, ..Accepted::default() };
        let mut told: usize = 0;
        for theirs in listed.tools {
            let Some(how) = spec.tool_use(&theirs.name) else { continue };
            let name = offered_name(prefix, &theirs.name);
            let result = if accepted.tools.contains_key(&name) {
                Err("another tool has this name")
            } else if accepted.tools.len() >= MOST_OFFERED {
                accepted.cut = true;
                break;
            } else {
                self.look(theirs)
            };
            match result {
                Ok((_, description, schema))
                    if told + description.len() + schema.to_string().len() > LARGEST_OFFER =>
                {
                    accepted.refused.push((name, "too much is said about the server's tools"));
                }
                Ok((own_name, description, schema)) => {
                    told += description.len() + schema.to_string().len();
                    let tool = Tool { name: name.clone(), description, schema };
                    accepted.tools.insert(name, Known { own_name, tool, how });
                }
                Err(reason) => accepted.refused.push((name, reason)),
            }
        }
        accepted
    }

    fn look(&mut self, theirs: Theirs) -> Result<(String, String, Value), &'static str> {
        let name = theirs.name.into_owned();
        if name.is_empty() || name.len() > LONGEST_OWN_NAME {
            return Err("its name is too long");
        }
        let description = theirs.description.map(|text| text.into_owned()).unwrap_or_default();
        if description.len() > LONGEST_DESCRIPTION {
            return Err("its description is too long");
        }
        let mut hash = Sha256::new();
        feed(&mut hash, &description);
        let schema = canonical(&theirs.input_schema);
        feed(&mut hash, &schema);
        if schema.len() > LARGEST_SCHEMA {
            return Err("its schema is too large");
        }
        let look: [u8; 32] = hash.finalize().into();
        match self.looks.get(&name) {
            Some(first) if *first != look => {
                self.changed.insert(name.clone());
            }
            Some(_) => {}
            None if self.looks.len() >= MOST_SEEN => return Err("the server has had too many"),
            None => {
                self.looks.insert(name.clone(), look);
            }
        }
        if self.changed.contains(&name) {
            return Err("it was changed after it was first seen: reload the agent to accept that");
        }
        Ok((name, description, Value::Object(theirs.input_schema.as_ref().clone())))
    }
}

/// A length before each text, so that none can pass for a part of another.
fn feed(hash: &mut Sha256, text: &str) {
    hash.update(text.len().to_le_bytes());
    hash.update(text);
}

/// JSON text that is the same for the same object, whatever the order of its
/// keys.
fn canonical(object: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_object(object, &mut text);
    text
}

fn write_object(object: &Map<String, Value>, text: &mut String) {
    text.push('{');
    let sorted: BTreeMap<&String, &Value> = object.iter().collect();
    for (key, value) in sorted {
        text.push_str(&Value::from(key.as_str()).to_string());
        text.push(':');
        write_value(value, text);
        text.push(',');
    }
    text.push('}');
}

/// As deep as what was parsed, which is at most 128 (`serde_json`).
fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => write_object(object, text),
        Value::Array(values) => {
            text.push('[');
            for value in values {
                write_value(value, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// A tool's name for a model: of the characters that every provider takes, and
/// not too long. What is changed or cut has a hash of the whole at its end.
fn offered_name(prefix: &str, own: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if !own.is_empty() && own.chars().all(plain) && prefix.len() + own.len() <= LONGEST_NAME {
        return format!("{prefix}{own}");
    }
    let letters = own.chars().map(|letter| if plain(letter) { letter } else { '_' });
    let room = LONGEST_NAME.saturating_sub(prefix.len() + 9);
    let start: String = letters.take(room).collect();
    let hash: [u8; 32] = Sha256::digest(own).into();
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{start}-{hash}")
}

#[cfg(test)]
mod tests;
