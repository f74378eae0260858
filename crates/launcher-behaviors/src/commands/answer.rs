//! What is said about a run.

use launcher_core::spec::{CommandSpec, OutputForm, StatusShown};
use launcher_runtime::ports::{Action, Response, outbox::Attachment};

use super::running::{Ending, Finished};

/// What a command wrote, and how it ended unless it ended well.
pub(super) fn answer(name: &str, command: &CommandSpec, finished: &Finished) -> Response {
    let ending = ending(command, finished.ending);
    if command.output == OutputForm::File
        && let Some((bytes, cut)) = finished.output.as_file()
    {
        let cut = cut.then(|| "there was more output than fits into the file".to_owned());
        let said: Vec<String> = cut.into_iter().chain(ending).collect();
        let caption = (!said.is_empty()).then(|| said.join("\n"));
        let file = Attachment {
            name: format!("{}.txt", file_name(name)),
            content_type: "text/plain".to_owned(),
            bytes,
            caption,
            voice: false,
        };
        return Response { actions: vec![Action::File(file)], memories: Vec::new() };
    }
    let shown = finished.output.shown();
    let mut lines = Vec::new();
    if shown.text.is_empty() {
        lines.push("no output".to_owned());
    } else if command.output == OutputForm::Text {
        lines.push(shown.text);
    } else {
        lines.push(block(&shown.text));
    }
    if shown.cut {
        lines.push("there was more output than can be shown".to_owned());
    }
    lines.extend(ending);
    // In Markdown a line of text goes on with the next one.
    let between = if command.output == OutputForm::Text { "\n\n" } else { "\n" };
    Response::say(lines.join(between))
}

fn ending(command: &CommandSpec, ending: Ending) -> Option<String> {
    match ending {
        Ending::TimedOut => {
            let limit = command.timeout.as_secs_f64();
            Some(format!("timed out after {limit} s and was ended"))
        }
        _ if ending.is_good() && command.status == StatusShown::Failure => None,
        _ => Some(ending.to_string()),
    }
}

/// Text as a block whose end is not in it.
pub(super) fn block(text: &str) -> String {
    let (mut longest, mut run) = (0, 0);
    for letter in text.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}\n{text}\n{fence}")
}

/// A command's name as the name of a file.
fn file_name(name: &str) -> String {
    let plain = |letter: &char| letter.is_alphanumeric() || matches!(letter, '-' | '_');
    let plain: String = name.chars().filter(plain).collect();
    if plain.is_empty() { "output".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_not_ended_by_what_is_in_it() {
        assert_eq!(block("a"), "```\na\n```");
        assert_eq!(block("a\n```\nb"), "````\na\n```\nb\n````");
    }

    #[test]
    fn a_file_has_a_harmless_name() {
        for (name, file) in
            [("!deploy", "deploy"), ("/../x", "x"), ("!!", "output"), ("!ü-1", "ü-1")]
        {
            assert_eq!(file_name(name), file);
        }
    }
}
