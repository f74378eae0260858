//! Reads which messages an agent answers, and who may change that.

use launcher_core::{
    settings,
    spec::{AnswerPolicy, BotPolicy, Occasion, QuietHours, Rate, Requirement, SettingsPolicy},
};

use crate::{
    reading::Reading,
    values::{Fault, time_zone::time_zone, user_id},
};

/// The policy; what is not said is as by default.
pub(super) fn answer(reading: &mut Reading<'_>) -> AnswerPolicy {
    let policy = AnswerPolicy::default();
    let bots = BotPolicy::default();
    let turns = reading.parsed("answer.bots.turns", turns).map(|found| found.value);
    AnswerPolicy {
        when: when(reading).unwrap_or(policy.when),
        prefix: reading.parsed("answer.prefix", prefix).map(|found| found.value),
        names: reading.list("answer.names", |name| word("a name", name)).unwrap_or_default(),
        users: reading.list("answer.users", user_id::user_glob).unwrap_or(policy.users),
        debounce: reading
            .parsed("answer.debounce", |text| settings::debounce(text).map_err(fault))
            .map_or(policy.debounce, |found| found.value),
        per_user: rate(reading, "answer.per_user"),
        per_room: rate(reading, "answer.per_room"),
        quiet_hours: quiet_hours(reading),
        bots: BotPolicy {
            users: reading.list("answer.bots.users", user_id::user_glob).unwrap_or(bots.users),
            turns: turns.unwrap_or(bots.turns),
        },
        typing: reading.flag("answer.typing").map_or(policy.typing, |flag| flag.value),
    }
}

/// Who may change settings.
pub(super) fn settings(reading: &mut Reading<'_>) -> SettingsPolicy {
    let requirements = [("trusted", Requirement::Trusted), ("verified", Requirement::Verified)];
    SettingsPolicy {
        users: reading.list("settings.users", user_id::user_glob).unwrap_or_default(),
        require: reading.choice("settings.require", &requirements).unwrap_or_default(),
    }
}

fn when(reading: &mut Reading<'_>) -> Option<Vec<Occasion>> {
    let known = |word: &str| Occasion::WORDS.iter().find(|(name, _)| *name == word);
    let words =
        reading.list("answer.when", |word| match known(word) {
            Some(_) => Ok(()),
            None => Err(Fault::new("is no occasion")
                .label("write `always`, `direct`, `mentioned` or `thread`")),
        })?;
    Some(words.iter().filter_map(|word| known(word)).map(|(_, occasion)| *occasion).collect())
}

fn prefix(text: &str) -> Result<String, Fault> {
    word("a prefix", text).map(|()| text.to_owned())
}

fn word(what: &str, text: &str) -> Result<(), Fault> {
    match text.trim().is_empty() {
        true => Err(Fault::new(format!("is empty, and {what} is not"))),
        false => Ok(()),
    }
}

fn rate(reading: &mut Reading<'_>, path: &str) -> Option<Rate> {
    let rate = |text: &str| {
        settings::rate(text).map_err(|problem| fault(problem).label("write `10/1m` or `100/1d`"))
    };
    reading.parsed(path, rate).map(|found| found.value)
}

fn quiet_hours(reading: &mut Reading<'_>) -> Option<QuietHours> {
    let later = [("answer", true), ("skip", false)];
    let answer_later = reading.choice("answer.after_quiet_hours", &later).unwrap_or(true);
    let hours = reading.parsed("answer.quiet_hours", |text| {
        let example = "write `\"22:00-07:00 Europe/Madrid\"`";
        let hours = settings::quiet_hours(text).map_err(|problem| fault(problem).label(example))?;
        time_zone(&hours.timezone)?;
        Ok(hours)
    })?;
    Some(QuietHours { answer_later, ..hours.value })
}

fn turns(text: &str) -> Result<u32, Fault> {
    let number = text.parse().ok().filter(|number| (1..=1_000).contains(number));
    number.ok_or_else(|| Fault::new("is not a whole number from 1 to 1000"))
}

fn fault(problem: String) -> Fault {
    Fault::new(problem)
}
