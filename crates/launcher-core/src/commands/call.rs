//! From what somebody wrote behind a command's name to a program's arguments.

use std::{collections::BTreeMap, fmt};

use super::{
    parameter::{Parameter, ParameterKind},
    splitting,
};
use crate::spec::CommandSpec;

/// A command with values for its parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// The program and its arguments.
    pub run: Vec<String>,
    /// The values, by the names of the parameters, in their order. Of those
    /// that were left out, the default.
    pub values: Vec<(String, String)>,
}

impl fmt::Debug for Call {
    /// Leaves out what somebody wrote.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Call").finish_non_exhaustive()
    }
}

/// Binds what was written to a command's parameters.
///
/// # Errors
///
/// What does not fit: a sentence without its end.
pub(super) fn bind(command: &CommandSpec, text: &str) -> Result<Call, String> {
    let mut rest = text;
    let mut values = BTreeMap::new();
    for parameter in &command.parameters {
        let given = take(parameter, &mut rest)?;
        let checked = given.map(|given| parameter.kind.check(&given)).transpose();
        let name = &parameter.name;
        let checked = checked.map_err(|fault| format!("`{name}` {fault}"))?;
        match checked.or_else(|| parameter.default.clone()) {
            Some(value) => {
                values.insert(name.as_str(), value);
            }
            None if parameter.optional => {}
            None => return Err(format!("`{name}` is missing")),
        }
    }
    if !rest.trim().is_empty() {
        return Err(match command.parameters.is_empty() {
            true => "it takes no arguments".to_owned(),
            false => "there are more words than it takes".to_owned(),
        });
    }
    let run = command.run.iter().filter_map(|argument| argument.fill(&values)).collect();
    let of = |parameter: &Parameter| values.get_key_value(parameter.name.as_str());
    let values = command.parameters.iter().filter_map(of);
    let values = values.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Ok(Call { run, values })
}

/// The part of the text that is a parameter's.
fn take(parameter: &Parameter, rest: &mut &str) -> Result<Option<String>, String> {
    if matches!(parameter.kind, ParameterKind::Rest { .. }) {
        let all = std::mem::take(rest).trim();
        return Ok((!all.is_empty()).then(|| all.to_owned()));
    }
    let taken = splitting::first(rest).map_err(|_| "a quotation mark is not closed".to_owned())?;
    Ok(taken.map(|(word, after)| {
        *rest = after;
        word
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::parameter::Pattern;

    fn parameter(name: &str, kind: ParameterKind) -> Parameter {
        Parameter { name: name.into(), kind, optional: false, default: None }
    }

    fn deploy() -> CommandSpec {
        let words = vec!["staging".into(), "production".into()];
        let pattern = Some(Pattern::new("[0-9.]+|latest").unwrap());
        let text = ParameterKind::Text { pattern, leading_dash: false };
        CommandSpec {
            parameters: vec![
                parameter("env", ParameterKind::Choice { words }),
                Parameter {
                    optional: true,
                    default: Some("latest".into()),
                    ..parameter("version", text.clone())
                },
                Parameter { optional: true, ..parameter("tag", text) },
            ],
            ..CommandSpec::running(&["deploy", "--env={env}", "{version}", "--tag={tag}", "{tag}"])
        }
    }

    fn run(command: &CommandSpec, text: &str) -> Result<String, String> {
        bind(command, text).map(|call| call.run.join("|"))
    }

    #[test]
    fn words_become_arguments_and_absent_ones_defaults_or_nothing() {
        let deploy = deploy();
        for (text, outcome) in [
            (" staging", Ok("deploy|--env=staging|latest")),
            ("staging 1.2", Ok("deploy|--env=staging|1.2")),
            (" 'staging' \"1.2\"  3 ", Ok("deploy|--env=staging|1.2|--tag=3|3")),
            ("", Err("`env` is missing")),
            ("test", Err("`env` has to be one of `staging`, `production`")),
            ("staging {env}", Err("`version` has to match `[0-9.]+|latest`")),
            ("staging \"1", Err("a quotation mark is not closed")),
            ("staging 1 2 3", Err("there are more words than it takes")),
        ] {
            let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(run(&deploy, text), outcome, "{text:?}");
        }
        let call = bind(&deploy, "production").unwrap();
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(call.values, [named("env", "production"), named("version", "latest")]);
    }

    #[test]
    fn the_rest_is_taken_as_it_is_written() {
        let rest = parameter("text", ParameterKind::Rest { leading_dash: false });
        let note = CommandSpec {
            parameters: vec![parameter("who", ParameterKind::User), rest],
            ..CommandSpec::running(&["note", "{who}: {text}"])
        };
        assert_eq!(
            run(&note, "@a:hs don't \"do\"\n  it ").unwrap(),
            "note|@a:hs: don't \"do\"\n  it"
        );
        assert_eq!(run(&note, "@a:hs "), Err("`text` is missing".into()));
        assert_eq!(run(&note, "@a:hs -v"), Err("`text` may not begin with `-`".into()));
    }

    #[test]
    fn without_parameters_there_are_no_arguments() {
        let plain = CommandSpec::running(&["x", "{}"]);
        assert_eq!(run(&plain, " \n").unwrap(), "x|{}");
        assert_eq!(run(&plain, " now"), Err("it takes no arguments".into()));
    }
}
