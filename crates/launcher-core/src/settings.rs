//! Settings of a room: what they are called, what they may be, and what holds
//! in a room when all is said.
//!
//! The agent's file says what holds everywhere, its key `rooms` what differs in
//! a room, and who is allowed to can change it there with `!set`.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    conversation::{Message, matches},
    duration,
    names::RoomId,
    spec::{
        AgentSpec, AnswerPolicy, BehaviorSpec, LlmSpec, Occasion, QuietHours, Rate, Requirement,
    },
    trust::Assurance,
};

/// The word that changes a setting.
pub const SET: &str = "!set";

/// The word that shows the settings.
pub const CONFIG: &str = "!config";

/// What takes a setting back.
const DEFAULT: &str = "default";

/// What switches something off.
const OFF: &str = "off";

/// The longest value that is kept, in bytes.
const LONGEST: usize = 2_000;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it is called.
    pub name: &'static str,
    /// What it is for, and what it may be.
    pub about: &'static str,
}

/// The settings of every agent, by their names.
pub const ANSWERING: [Setting; 7] = [
    Setting {
        name: "debounce",
        about: "how long to wait for more before answering, such as `2s`, or `off`",
    },
    Setting {
        name: "per_room",
        about: "how often is answered in this room, such as `30/1m`, or `off`",
    },
    Setting {
        name: "per_user",
        about: "how often one person is answered, such as `10/1m`, or `off`",
    },
    Setting { name: "prefix", about: "what a message starts with that is meant for me, or `off`" },
    Setting {
        name: "quiet_hours",
        about: "when I am silent, such as `22:00-07:00 Europe/Madrid`, or `off`",
    },
    Setting { name: "typing", about: "whether you see that I am at work: `on` or `off`" },
    Setting {
        name: "when",
        about: "what I answer: `always`, or some of `direct, mentioned, thread`",
    },
];

/// What an assistant has beside those.
pub const ASSISTING: [Setting; 2] = [
    Setting { name: MODE, about: "how I answer: one of my modes, such as `!s`, or `off`" },
    Setting { name: MODEL, about: "which of my models I ask" },
];

/// The setting that chooses a mode of an assistant.
pub const MODE: &str = "mode";

/// The setting that chooses a model of an assistant.
pub const MODEL: &str = "model";

/// The settings that an agent has, by name.
pub fn known(spec: &AgentSpec) -> Vec<Setting> {
    let mut all = ANSWERING.to_vec();
    if assistant(spec).is_some() {
        all.extend(ASSISTING);
        all.sort_by_key(|setting| setting.name);
    }
    all
}

fn assistant(spec: &AgentSpec) -> Option<&LlmSpec> {
    spec.behaviors.iter().find_map(|behavior| match behavior {
        BehaviorSpec::Llm(llm) => Some(&**llm),
        _ => None,
    })
}

/// What is wrong with a value of an assistant's own settings.
fn assisting(llm: &LlmSpec, name: &str, value: &str) -> Result<(), String> {
    let names = |names: Vec<&String>| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        }
    };
    match name {
        MODE if value != OFF && !llm.modes.contains_key(value) => {
            Err(format!("is no mode of mine; {}", names(llm.modes.keys().collect())))
        }
        MODEL if !llm.models.contains_key(value) => {
            Err(format!("is no model of mine; {}", names(llm.models.keys().collect())))
        }
        _ => Ok(()),
    }
}

/// Whether a setting may have this value.
///
/// # Errors
///
/// Why not, and what it may be.
pub fn check(spec: &AgentSpec, name: &str, value: &str) -> Result<(), String> {
    let Some(setting) = known(spec).into_iter().find(|setting| setting.name == name) else {
        let names: Vec<String> =
            known(spec).iter().map(|setting| format!("`{}`", setting.name)).collect();
        return Err(format!("there is no setting of that name; there are {}", names.join(", ")));
    };
    if value.len() > LONGEST {
        return Err(format!("the value has more than {LONGEST} bytes"));
    }
    let of_assistant = assistant(spec).map_or(Ok(()), |llm| assisting(llm, name, value));
    of_assistant
        .and_then(|()| apply(&mut spec.answer.clone(), name, value))
        .map_err(|problem| format!("`{name}` {problem}; it is {}", setting.about))
}

/// The policy in a room, with what was set there.
pub fn policy(spec: &AgentSpec, room: &RoomId, set: &BTreeMap<String, String>) -> AnswerPolicy {
    let mut policy = spec.answer.clone();
    for (name, value) in in_room(spec, room, set) {
        // Checked before it was kept. A value of another version means nothing.
        drop(apply(&mut policy, &name, &value));
    }
    policy
}

/// What is set in a room, by its config and by `set`, which wins.
pub fn in_room(
    spec: &AgentSpec,
    room: &RoomId,
    set: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = spec.rooms.get(room).cloned().unwrap_or_default();
    all.extend(set.clone());
    all
}

fn apply(policy: &mut AnswerPolicy, name: &str, value: &str) -> Result<(), String> {
    let is_off = value == OFF;
    match name {
        "when" => policy.when = when(value)?,
        "prefix" if is_off => policy.prefix = None,
        "prefix" if value.is_empty() => return Err("is empty".to_owned()),
        "prefix" => policy.prefix = Some(value.to_owned()),
        "debounce" if is_off => policy.debounce = Duration::ZERO,
        "debounce" => policy.debounce = debounce(value)?,
        "per_user" => policy.per_user = if is_off { None } else { Some(rate(value)?) },
        "per_room" => policy.per_room = if is_off { None } else { Some(rate(value)?) },
        "quiet_hours" => {
            let later = policy.quiet_hours.as_ref().is_none_or(|hours| hours.answer_later);
            let hours = |hours| QuietHours { answer_later: later, ..hours };
            policy.quiet_hours = if is_off { None } else { Some(quiet_hours(value).map(hours)?) };
        }
        "typing" => policy.typing = on_or_off(value)?,
        _ => {}
    }
    Ok(())
}

/// `always`, or a list of occasions.
///
/// # Errors
///
/// What is wrong with it.
pub fn when(text: &str) -> Result<Vec<Occasion>, String> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let occasion = |word: &str| {
        let found = Occasion::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, occasion)| *occasion).ok_or(format!("has an unknown word, `{word}`"))
    };
    let occasions: Vec<Occasion> = words.map(occasion).collect::<Result<_, _>>()?;
    if occasions.is_empty() { Err("is empty".to_owned()) } else { Ok(occasions) }
}

/// How long to wait for more; at most a minute.
///
/// # Errors
///
/// What is wrong with it.
pub fn debounce(text: &str) -> Result<Duration, String> {
    let found = duration::parse(text).map_err(|error| error.to_string())?;
    if found > Duration::from_secs(60) { Err("is longer than `1m`".to_owned()) } else { Ok(found) }
}

/// A number and a time, `10/1m`.
///
/// # Errors
///
/// What is wrong with it.
pub fn rate(text: &str) -> Result<Rate, String> {
    let Some((count, per)) = text.split_once('/') else {
        return Err("is not a number and a time with `/` between them".to_owned());
    };
    let count = count.trim().parse().ok().filter(|count| (1..=100_000).contains(count));
    let count = count.ok_or("has no number from 1 to 100000 before the `/`")?;
    let per = duration::parse(per).map_err(|error| format!("has a time that {error}"))?;
    if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&per) {
        return Err("has a time that is not between `1s` and `1d`".to_owned());
    }
    Ok(Rate { count, per })
}

/// Two times of a day and a time zone, `22:00-07:00 Europe/Madrid`. Whether the
/// zone exists is not looked at. What is said meanwhile is answered later.
///
/// # Errors
///
/// What is wrong with it.
pub fn quiet_hours(text: &str) -> Result<QuietHours, String> {
    let wrong = || "is not two times and a time zone".to_owned();
    let (times, timezone) = text.trim().split_once(' ').ok_or_else(wrong)?;
    let (from, to) = times.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (minutes(from).ok_or_else(wrong)?, minutes(to).ok_or_else(wrong)?);
    if from == to {
        return Err("begins when it ends".to_owned());
    }
    Ok(QuietHours { from, to, timezone: timezone.trim().to_owned(), answer_later: true })
}

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        OFF => Ok(false),
        _ => Err("is neither `on` nor `off`".to_owned()),
    }
}

/// What a message wants with settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To see them.
    Show,
    /// To change one.
    Set {
        /// Its name.
        name: String,
        /// Its value; `None` takes back what was set in the room.
        value: Option<String>,
    },
    /// It is not done, and this is said.
    Refused(String),
}

/// What `message` wants with settings, if it is about them and the agent lets
/// anybody change them.
pub fn order(spec: &AgentSpec, message: &Message) -> Option<Order> {
    if spec.settings.users.is_empty() {
        return None;
    }
    let body = message.body.trim();
    let (word, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
    if word == CONFIG {
        return Some(Order::Show);
    }
    if word != SET {
        return None;
    }
    Some(change(spec, message, rest.trim()).unwrap_or_else(Order::Refused))
}

fn change(spec: &AgentSpec, message: &Message, rest: &str) -> Result<Order, String> {
    let allowed = &spec.settings;
    if !allowed.users.iter().any(|glob| matches(glob, &message.sender)) {
        return Err("You may not change settings here.".to_owned());
    }
    if allowed.require == Requirement::Verified && message.assurance != Assurance::Verified {
        return Err("Nothing was changed: this needs a verified sender. My operator can verify \
                    you."
            .to_owned());
    }
    let Some((name, value)) = rest.split_once(char::is_whitespace) else {
        return Err(format!(
            "Write `{SET} NAME VALUE`, or `{SET} NAME {DEFAULT}`. `{CONFIG}` \
                            shows what there is."
        ));
    };
    let value = value.trim();
    let value = (value != DEFAULT).then(|| value.to_owned());
    match &value {
        Some(value) => {
            check(spec, name, value)
                .map_err(|problem| format!("Nothing was changed: {problem}."))?;
        }
        None if known(spec).iter().all(|setting| setting.name != name) => {
            return Err(format!("Nothing was changed: there is no setting `{name}`."));
        }
        None => {}
    }
    Ok(Order::Set { name: name.to_owned(), value })
}

/// The settings of a room, as a text in Markdown.
pub fn shown(spec: &AgentSpec, room: &RoomId, set: &BTreeMap<String, String>) -> String {
    let configured = spec.rooms.get(room);
    let lines = known(spec).into_iter().map(|setting| {
        let own = set.get(setting.name).map(|value| (value, "set here"));
        let from_file = || {
            let value = configured.and_then(|values| values.get(setting.name));
            value.map(|value| (value, "by the agent's file"))
        };
        match own.or_else(from_file) {
            Some((value, whence)) => {
                let value = value.replace('`', "'");
                format!("- `{}`: `{value}` ({whence})", setting.name)
            }
            None => format!("- `{}`: as everywhere. {}", setting.name, sentence(setting.about)),
        }
    });
    let lines: Vec<String> = lines.collect();
    format!("Settings of this room:\n\n{}", lines.join("\n"))
}

fn sentence(about: &str) -> String {
    let mut letters = about.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).chain(['.']).collect()
}

#[cfg(test)]
mod tests;
