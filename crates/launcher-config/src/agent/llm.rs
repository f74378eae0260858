//! Reads the behavior `llm`.

mod models;
mod prompts;
mod tools;

use std::{collections::BTreeMap, time::Duration};

use launcher_core::{
    llm::{mode::FORGET, spending::Limits},
    spec::{BehaviorSpec, HistorySpec, LlmSpec, ModeSpec},
};

use self::{
    models::models,
    prompts::{DEFAULT, prompt},
    tools::tools,
};
use crate::{
    reading::Reading,
    values::{
        Fault,
        amount::{micros, size_or_off, whole},
        command::shown,
        duration::duration,
        time_zone::time_zone,
    },
    yaml::Node,
};

/// Where the models are.
const MODELS: &str = "behavior.llm.models";

/// Where the modes are.
const MODES: &str = "behavior.llm.modes";

/// The largest picture and the largest file.
const IMAGE: u64 = 20 << 20;
const FILE: u64 = 4 << 20;

/// How long an answer may take when nobody says otherwise, and at most.
const TIME: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// How long is remembered when nobody says otherwise.
const KEEP: Duration = Duration::from_secs(30 * 86_400);

/// The assistant, or `None` if something is wrong.
pub(super) fn llm(reading: &mut Reading<'_>) -> Option<BehaviorSpec> {
    let models = models(reading);
    let names: Vec<String> = reading
        .tree()
        .at(MODELS)
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|entry| entry.key.clone())
        .collect();
    let model = named(reading, "behavior.llm.use", &names).or_else(|| names.first().cloned());
    let fallback = fallback(reading, &names);
    let prompt = prompt(reading, "behavior.llm.prompt");
    let modes = modes(reading, &names);
    let number = |reading: &mut Reading<'_>, path: &str, most: u64| {
        let least = u64::from(path.ends_with("rounds") || path.ends_with("per_day"));
        reading.parsed(path, |text| whole(text, least..=most)).map(|found| found.value)
    };
    let tokens = number(reading, "behavior.llm.history.tokens", 1_000_000);
    let keep = reading.parsed("behavior.llm.history.keep", duration);
    let summary = reading.flag("behavior.llm.history.summary");
    let images = reading.parsed("behavior.llm.images", |text| size_or_off(text, IMAGE));
    let files = reading.parsed("behavior.llm.files", |text| size_or_off(text, FILE));
    let tokens_per_day = number(reading, "behavior.llm.spending.tokens_per_day", 1 << 40);
    let money = reading.parsed("behavior.llm.spending.money_per_day", micros);
    let timezone =
        reading.parsed("behavior.llm.timezone", |name| time_zone(name).map(|()| name.to_owned()));
    let tools = tools(reading);
    let rounds = number(reading, "behavior.llm.rounds", 50);
    let timeout = reading.parsed("behavior.llm.timeout", |text| time(text, LONGEST));
    let spec = LlmSpec {
        models: models?,
        model: model?,
        fallback: fallback?,
        prompt: prompt.unwrap_or(Some(DEFAULT.to_owned()))?,
        modes: modes?,
        history: HistorySpec {
            tokens: tokens.and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(6000),
            keep: keep.map_or(KEEP, |found| found.value),
            summary: summary.is_none_or(|flag| flag.value),
        },
        images: images.and_then(|found| found.value),
        files: files.and_then(|found| found.value),
        spending: Limits { tokens: tokens_per_day, money: money.map(|found| found.value) },
        timezone: timezone.map_or_else(|| "UTC".to_owned(), |found| found.value),
        tools: tools?,
        rounds: rounds.and_then(|rounds| u32::try_from(rounds).ok()).unwrap_or(8),
        timeout: timeout.map_or(TIME, |found| found.value),
    };
    can_spend(reading, &spec).then(|| BehaviorSpec::Llm(Box::new(spec)))
}

/// Whether the limits allow one answer, and say what money is.
fn can_spend(reading: &mut Reading<'_>, spec: &LlmSpec) -> bool {
    if spec.spending.money.is_some() {
        let free = spec.models.iter().find(|(_, model)| model.price.is_none());
        if let (Some((name, _)), Some(node)) = (free, reading.tree().at(MODELS)) {
            let place = node.entry(name).map_or(&node.place, |entry| &entry.key_place);
            let path = format!("{MODELS}.{}.price", shown(name));
            let message = "this key is missing, and `spending.money_per_day` needs it";
            reading.report(&path, place, message, "write `price: { input: 3.0, output: 15.0 }`");
            return false;
        }
    }
    let path = "behavior.llm.spending.tokens_per_day";
    let longest = spec.models.values().map(|model| u64::from(model.max_tokens)).max();
    let (Some(limit), Some(longest)) = (spec.spending.tokens, longest) else { return true };
    if limit > longest {
        return true;
    }
    if let Some(node) = reading.tree().at(path) {
        let message = format!("this is not more than one answer may have, {longest} tokens");
        reading.report(path, &node.place, message, "write more, or lower `max_tokens`");
    }
    false
}

/// The name of a model at `path`, if it is one.
fn named(reading: &mut Reading<'_>, path: &str, names: &[String]) -> Option<String> {
    reading
        .parsed(path, |text| known(text, names).map(|()| text.to_owned()))
        .map(|found| found.value)
}

fn known(text: &str, names: &[String]) -> Result<(), Fault> {
    match names.iter().any(|name| name == text) {
        true => Ok(()),
        false => Err(Fault::new("is not one of `models`").label("write a name that is there")),
    }
}

fn fallback(reading: &mut Reading<'_>, names: &[String]) -> Option<Vec<String>> {
    let path = "behavior.llm.fallback";
    match reading.tree().at(path) {
        Some(_) => reading.list(path, |text| known(text, names)),
        None => Some(Vec::new()),
    }
}

/// Every mode, or `None` if something is wrong with one.
fn modes(reading: &mut Reading<'_>, names: &[String]) -> Option<BTreeMap<String, ModeSpec>> {
    let Some(node) = reading.tree().at(MODES) else { return Some(BTreeMap::new()) };
    let mut modes = BTreeMap::new();
    for entry in node.entries() {
        let prefix = reading.shown_path(&format!("{MODES}.{}", shown(&entry.key)));
        let mut below = reading.below(&entry.value, &prefix);
        if entry.key == FORGET {
            let message = "this word is there by itself, for forgetting";
            below.report("", &entry.key_place, message, "choose another word");
        }
        let about = below.text("about").map(|text| text.value.value).unwrap_or_default();
        let model = named(&mut below, "model", names);
        let prompt = prompt(&mut below, "prompt");
        let good = below.found.is_empty();
        reading.found.append(&mut below.found);
        let mode = good.then(|| ModeSpec { about, model, prompt: prompt.flatten() });
        modes.insert(entry.key.clone(), mode);
    }
    modes.into_iter().map(|(prefix, mode)| Some((prefix, mode?))).collect()
}

/// A time from a second on.
fn time(text: &str, most: Duration) -> Result<Duration, Fault> {
    let time = duration(text)?;
    match (Duration::from_secs(1)..=most).contains(&time) {
        true => Ok(time),
        false => Err(Fault::new("is not a possible time")
            .label(format!("from `1s` to `{}m`", most.as_secs() / 60))),
    }
}
