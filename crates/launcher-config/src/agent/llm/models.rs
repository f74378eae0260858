//! Reads the models of an assistant.

use std::{collections::BTreeMap, time::Duration};

use launcher_core::{
    llm::{
        model::{ModelSpec, Provider},
        spending::Price,
    },
    secret::Secret,
};
use url::Url;

use super::{MODELS, time};
use crate::{
    reading::Reading,
    values::{
        Fault, address,
        amount::{micros, whole},
        command::shown,
    },
    yaml::Entry,
};

/// How long an answer may be when nobody says otherwise, in tokens.
const ANSWER: u64 = 1024;

/// How much fits into a model, in a provider's house and in one's own.
const LARGE: u64 = 128_000;
const SMALL: u64 = 8192;

/// How long a model may be silent when nobody says otherwise, and at most.
const SILENCE: Duration = Duration::from_secs(2 * 60);
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// The longest name of a model.
const NAME: usize = 128;

/// Every model, or `None` if something is wrong with one, or there is none.
pub(super) fn models(reading: &mut Reading<'_>) -> Option<BTreeMap<String, ModelSpec>> {
    let entries = reading.tree().at(MODELS).map(|node| node.entries()).unwrap_or_default();
    if entries.is_empty() {
        if reading.folder().is_some()
            && let Some(node) = reading.tree().at("behavior.llm")
        {
            let label = "write `models: { main: { provider: ollama, model: \"…\" } }`";
            reading.report(MODELS, &node.place, "there is no model", label);
        }
        return None;
    }
    let mut models = BTreeMap::new();
    for entry in entries {
        let prefix = reading.shown_path(&format!("{MODELS}.{}", shown(&entry.key)));
        let mut below = reading.below(&entry.value, &prefix);
        let model = model(&mut below, entry);
        let good = below.found.is_empty();
        reading.found.append(&mut below.found);
        models.insert(entry.key.clone(), model.filter(|_| good));
    }
    models.into_iter().map(|(name, model)| Some((name, model?))).collect()
}

fn model(reading: &mut Reading<'_>, entry: &Entry) -> Option<ModelSpec> {
    for (key, example) in
        [("provider", "write `provider: openai`"), ("model", "write `model: \"…\"`")]
    {
        if reading.tree().at(key).is_none() {
            reading.report(key, &entry.key_place, "this key is missing", example);
        }
    }
    let providers = Provider::ALL.map(|provider| (provider.name(), provider));
    let provider = reading.choice("provider", &providers);
    let url = reading.parsed("url", address).map(|found| found.value);
    let key = reading.secret("api_key", key);
    let number = |reading: &mut Reading<'_>, path: &str| {
        let found = reading.parsed(path, |text| whole(text, 1..=100_000_000));
        found.map(|found| found.value)
    };
    let max_tokens = number(reading, "max_tokens").unwrap_or(ANSWER);
    let context = number(reading, "context");
    let temperature = reading.parsed("temperature", temperature).map(|found| found.value);
    let timeout = reading.parsed("timeout", |text| time(text, LONGEST));
    let price = price(reading);
    let name = reading.parsed("model", name);
    let provider = provider?;
    let is_local = matches!(provider, Provider::Ollama | Provider::LlamaCpp);
    let own = url.is_none() && !is_local;
    if own && reading.tree().at("api_key").is_none() {
        let label = "write `api_key: \"${NAME}\"`, and put the key into `.env`";
        reading.report("api_key", &entry.key_place, "this key is missing", label);
    }
    let context = context.unwrap_or(if is_local { SMALL } else { LARGE });
    if max_tokens >= context {
        let path = if reading.tree().at("max_tokens").is_some() { "max_tokens" } else { "context" };
        let place = reading.tree().at(path).map_or(&entry.key_place, |node| &node.place).clone();
        let message = format!("an answer of {max_tokens} tokens leaves no room in {context}");
        reading.report(path, &place, message, "`max_tokens` has to be less than `context`");
    }
    Some(ModelSpec {
        provider,
        url: match url {
            Some(url) => url,
            None => Url::parse(provider.default_url()).ok()?,
        },
        key,
        model: name?.value,
        max_tokens: u32::try_from(max_tokens).ok()?,
        context: u32::try_from(context).ok()?,
        temperature,
        timeout: timeout.map_or(SILENCE, |found| found.value),
        price,
    })
}

fn price(reading: &mut Reading<'_>) -> Option<Price> {
    let node = reading.tree().at("price")?;
    for key in ["input", "output"] {
        if node.entry(key).is_none() {
            let path = format!("price.{key}");
            reading.report(
                &path,
                &node.place,
                "this key is missing",
                format!("write `{key}: 3.0`"),
            );
        }
    }
    let amount = |reading: &mut Reading<'_>, path: &str| {
        reading.parsed(path, micros).map(|found| found.value)
    };
    let input = amount(reading, "price.input");
    let output = amount(reading, "price.output");
    let cached = amount(reading, "price.cached");
    Some(Price { input: input?, output: output?, cached })
}

/// A model's name as it may stand in an address.
fn name(text: &str) -> Result<String, Fault> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._:/@+-".contains(letter);
    let fits = !text.is_empty() && text.len() <= NAME && text.chars().all(plain);
    match fits && !text.contains("..") {
        true => Ok(text.to_owned()),
        false => Err(Fault::new("is not the name of a model")),
    }
}

/// A server's address. What it says about credentials is about another key.
fn address(text: &str) -> Result<Url, Fault> {
    address::homeserver(text).map_err(|fault| {
        let hint = fault.hint.is_some().then(|| "its key belongs into `api_key`".to_owned());
        Fault {
            hint,
            label: fault.label.replace("matrix.example.org", "llm.example.org/v1"),
            ..fault
        }
    })
}

/// A key as it can stand in a header.
fn key(text: &str) -> Result<Secret<String>, Fault> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Secret::new(text.to_owned())),
        false => Err(Fault::new("is not a key: it has white space or letters outside of ASCII")),
    }
}

/// A number from 0 to 2, in thousandths.
fn temperature(text: &str) -> Result<u16, Fault> {
    let wrong = || Fault::new("is not a number from 0 to 2");
    let milli = micros(text).map_err(|_| wrong())? / 1000;
    u16::try_from(milli).ok().filter(|milli| *milli <= 2000).ok_or_else(wrong)
}
