//! Reads what may be written behind the name of a command.

use launcher_core::commands::{
    parameter::{Parameter, ParameterKind, Pattern},
    template::{Template, is_name},
};

use crate::{
    reading::Reading,
    values::{Fault, command},
    yaml::{Entry, Node, Value},
};

const PARAMETERS: &str = "parameters";

/// The least `integer` if nothing else is said: a negative one looks like an
/// option of the program.
const LEAST: i64 = 0;

/// What a parameter is by its `type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Rest,
    Integer,
    User,
    /// It has words to choose from.
    Choice,
}

/// The parameters in their order.
pub(super) fn parameters(reading: &mut Reading<'_>) -> Vec<Parameter> {
    let entries = reading.tree().at(PARAMETERS).map(Node::entries).unwrap_or_default();
    let mut all: Vec<Parameter> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{PARAMETERS}.{}", command::shown(&entry.key));
        let prefix = reading.shown_path(&path);
        let mut below = reading.below(&entry.value, &prefix);
        let parameter = parameter(&mut below, &entry.key);
        reading.found.append(&mut below.found);
        let Some(parameter) = parameter else { continue };
        let mut wrong = |message: &str, label: &str| {
            reading.report(&path, &entry.key_place, message, label);
        };
        if !parameter.optional && all.last().is_some_and(|before| before.optional) {
            wrong("this has to be written, and the one before it may be left out", "put it first");
        }
        if matches!(parameter.kind, ParameterKind::Rest { .. }) && index + 1 < entries.len() {
            wrong("this takes all that follows, so it has to be the last one", "put it last");
        }
        all.push(parameter);
    }
    all
}

fn parameter(reading: &mut Reading<'_>, name: &str) -> Option<Parameter> {
    let kind = kind(reading)?;
    let check = |text: &str| kind.check(text).map_err(Fault::new);
    let default = reading.parsed("default", check).map(|found| found.value);
    let optional = reading.flag("optional").map(|flag| flag.value);
    Some(Parameter {
        name: name.to_owned(),
        kind: kind.clone(),
        optional: optional.unwrap_or_default() || default.is_some(),
        default,
    })
}

fn kind(reading: &mut Reading<'_>) -> Option<ParameterKind> {
    let types = [
        ("text", Type::Text),
        ("rest", Type::Rest),
        ("integer", Type::Integer),
        ("user", Type::User),
    ];
    let has = |key: &str, reading: &Reading<'_>| reading.tree().at(key).is_some();
    let is_choice = has("choice", reading);
    let is = match is_choice {
        true => Type::Choice,
        false => match has("type", reading) {
            true => reading.choice("type", &types)?,
            false => Type::Text,
        },
    };
    for (key, fits) in [
        ("type", is != Type::Choice),
        ("pattern", is == Type::Text),
        ("leading_dash", matches!(is, Type::Text | Type::Rest)),
        ("min", is == Type::Integer),
        ("max", is == Type::Integer),
    ] {
        if let Some(node) = reading.tree().at(key).filter(|_| !fits) {
            let message = "this means nothing for a parameter of this type";
            reading.report(key, &node.place, message, "remove it, or change `type`");
        }
    }
    let leading_dash = reading.flag("leading_dash").is_some_and(|flag| flag.value);
    Some(match is {
        Type::Text => {
            let pattern = reading.parsed("pattern", pattern).map(|found| found.value);
            ParameterKind::Text { pattern, leading_dash }
        }
        Type::Rest => ParameterKind::Rest { leading_dash },
        Type::Integer => integer(reading),
        Type::User => ParameterKind::User,
        Type::Choice => ParameterKind::Choice { words: words(reading)? },
    })
}

fn pattern(text: &str) -> Result<Pattern, Fault> {
    Pattern::new(text).map_err(|problem| {
        // Its text has several lines.
        let problem = problem.lines().last().unwrap_or_default().to_owned();
        Fault::new("is not a regular expression").label(problem)
    })
}

fn integer(reading: &mut Reading<'_>) -> ParameterKind {
    let number = |text: &str| text.parse::<i64>().map_err(|_| Fault::new("is not a whole number"));
    let min = reading.parsed("min", number);
    let max = reading.parsed("max", number);
    let least = min.as_ref().map_or(LEAST, |found| found.value);
    // A `min` that is no number has been reported.
    let is_clear = min.is_some() || reading.tree().at("min").is_none();
    if let Some(max) = max.as_ref().filter(|max| is_clear && max.value < least) {
        let (message, label) = match min {
            Some(_) => ("this is less than `min`", ""),
            None => ("this is less than 0, which is the least without a `min`", "add a `min`"),
        };
        reading.report("max", &max.place, message, label);
    }
    ParameterKind::Integer { min: least, max: max.map_or(i64::MAX, |found| found.value) }
}

fn words(reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let words = reading.list("choice", |word| match word.trim().is_empty() {
        true => Err(Fault::new("is empty, and nobody can write that")),
        false => Ok(()),
    })?;
    if words.is_empty() {
        let node = reading.tree().at("choice")?;
        reading.report("choice", &node.place, "there is nothing to choose from", "write `[a, b]`");
        return None;
    }
    Some(words)
}

/// Checks that what is run uses every parameter, and no other, and that none of
/// them becomes a part of a program's text.
pub(super) fn check(run: &[Template], reading: &mut Reading<'_>) {
    let Some(Node { value: Value::List(items), .. }) = reading.tree().at("run") else { return };
    let entries: &[Entry] = reading.tree().at(PARAMETERS).map(Node::entries).unwrap_or_default();
    if let (Some(program), Some(item)) = (run.first(), items.first())
        && program.plain().is_none()
    {
        let message = "what people write cannot choose the program";
        reading.report("run[0]", &item.place, message, "write the program's name");
    }
    for (index, (argument, item)) in run.iter().zip(items).enumerate() {
        let path = format!("run[{index}]");
        let is_known = |name: &str| entries.iter().any(|entry| entry.key == name);
        if let Some(name) = argument.parameters().find(|name| !is_known(name)) {
            let written =
                matches!(&item.value, Value::Scalar(scalar) if scalar.text.contains(name));
            let (message, label) = match written {
                true => (
                    format!("there is no parameter `{name}`"),
                    format!("add it to `parameters`, or write `{{{{{name}}}}}` for the text"),
                ),
                false => {
                    ("a variable has a parameter in it".to_owned(), "use another one".to_owned())
                }
            };
            reading.report(&path, &item.place, message, label);
        }
        if argument.plain().is_none() && is_script(run, index) {
            let message = "what people write would become a part of a program";
            let label = "give it as an argument of its own";
            reading.report(&path, &item.place, message, label);
            if let Some(last) = reading.found.last_mut() {
                last.hint = Some(
                    "for a shell: `[\"sh\", \"-c\", \"deploy \\\"$1\\\"\", \"sh\", \"{name}\"]`"
                        .to_owned(),
                );
            }
        }
    }
    let is_used = |name: &str| run.iter().any(|one| one.parameters().any(|used| used == name));
    // What is no name has been reported.
    let unused = |entry: &&Entry| is_name(&entry.key) && !is_used(&entry.key);
    for entry in entries.iter().filter(unused) {
        let path = format!("{PARAMETERS}.{}", command::shown(&entry.key));
        let label = format!("write `{{{}}}` in `run`", command::shown(&entry.key));
        reading.report(&path, &entry.key_place, "nothing is done with this", label);
    }
}

/// Whether an argument is the text of a program for an interpreter.
fn is_script(run: &[Template], index: usize) -> bool {
    let interpreters = [
        ("-c", ["sh", "bash", "dash", "zsh", "ksh", "fish", "su", "python", "python3"].as_slice()),
        ("-e", ["perl", "ruby", "node", "lua"].as_slice()),
    ];
    let plain = |place: usize| run.get(place).and_then(Template::plain);
    let Some(option) = index.checked_sub(1).and_then(plain) else { return false };
    // `-ec` and `-xc` are options as well.
    let is_option = |wanted: &str| {
        option.starts_with('-')
            && !option.starts_with("--")
            && option.ends_with(wanted.trim_start_matches('-'))
    };
    let names = |known: &[&str]| {
        (0..index)
            .filter_map(plain)
            .any(|word| known.contains(&word.rsplit('/').next().unwrap_or(word)))
    };
    interpreters.iter().any(|(wanted, known)| is_option(wanted) && names(known))
}
