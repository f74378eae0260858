//! What was said, how it was protected, and whether that is good enough.

use launcher_testbed::Message;

/// How far texts stand from the left.
const INDENT: &str = "      ";

/// A message and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) question: Spoken,
    /// None if nothing came in time.
    pub(crate) answer: Option<Heard>,
}

/// A message as it went over the wire, with the text that was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) sender: String,
    pub(crate) text: String,
    /// What it was encrypted with; none if everybody could read it.
    pub(crate) algorithm: Option<String>,
    /// The root of its thread, if it is in one.
    pub(crate) thread: Option<String>,
}

/// A message from an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) spoken: Spoken,
    /// Why the person cannot read it.
    pub(crate) unreadable: Option<String>,
    /// The device that sent it, by its key.
    pub(crate) device: Option<String>,
    /// Whether the owner of that device has signed it.
    pub(crate) signed: bool,
}

impl Spoken {
    pub(crate) fn of(message: &Message) -> Self {
        let algorithm = message.wire_content["algorithm"].as_str().unwrap_or("unknown");
        Self {
            sender: message.sender.clone(),
            text: message.body.clone().unwrap_or_default(),
            algorithm: message.encrypted.then(|| algorithm.to_owned()),
            thread: message.thread_root().map(ToOwned::to_owned),
        }
    }

    fn lines(&self) -> String {
        let place = if self.thread.is_some() { " (in a thread)" } else { "" };
        let text = indented(&self.text, INDENT);
        let encrypted = match &self.algorithm {
            Some(algorithm) => format!("yes ({})", printable(algorithm)),
            None => "NO".to_owned(),
        };
        format!("  {}{place}\n{INDENT}{text}\n{INDENT}- encrypted: {encrypted}\n", self.sender)
    }
}

impl Exchange {
    /// What a person sees of it.
    pub(crate) fn lines(&self) -> String {
        let mut lines = self.question.lines();
        let Some(answer) = &self.answer else {
            return lines + "  (no answer)\n";
        };
        lines += &answer.spoken.lines();
        let readable = match &answer.unreadable {
            None => "yes".to_owned(),
            Some(reason) => format!("NO ({})", printable(reason)),
        };
        let device = answer.device.as_deref().map_or("an unknown device".to_owned(), |device| {
            format!("device {}", printable(device))
        });
        let signed = if answer.signed { "yes" } else { "NO" };
        lines + &format!("{INDENT}- readable: {readable}; {device} signed by its owner: {signed}\n")
    }

    /// What is wrong with it; empty if it was answered, encrypted and readable.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.question.algorithm.is_none() {
            problems.push("the question was not encrypted".to_owned());
        }
        let Some(answer) = &self.answer else {
            problems.push("there was no answer".to_owned());
            return problems;
        };
        if answer.spoken.algorithm.is_none() {
            problems.push("the answer was not encrypted".to_owned());
        }
        match &answer.unreadable {
            Some(reason) => problems.push(format!("the answer cannot be read ({reason})")),
            None if !answer.spoken.text.contains(&self.question.text) => {
                problems.push("the answer is not an echo of the question".to_owned());
            }
            None => {}
        }
        if answer.spoken.thread != self.question.thread {
            problems.push("the answer is not in the thread of the question".to_owned());
        }
        problems
    }
}

/// A text of several lines, all but the first of which begin with `indent`.
pub(crate) fn indented(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join(&format!("\n{indent}"))
}

/// A text that cannot move the cursor or change colors: others may send to
/// this terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(sender: &str, text: &str, thread: Option<&str>) -> Spoken {
        Spoken {
            sender: sender.to_owned(),
            text: text.to_owned(),
            algorithm: Some("m.megolm.v1.aes-sha2".to_owned()),
            thread: thread.map(ToOwned::to_owned),
        }
    }

    fn good(thread: Option<&str>) -> Exchange {
        let heard = Heard {
            spoken: spoken("@echo:hs", "echo: one\ntwo", thread),
            unreadable: None,
            device: Some("DEV".to_owned()),
            signed: true,
        };
        Exchange { question: spoken("@you:hs", "one\ntwo", thread), answer: Some(heard) }
    }

    fn bad(change: impl FnOnce(&mut Exchange, &mut Heard)) -> Exchange {
        let mut exchange = good(None);
        let mut heard = exchange.answer.take().unwrap();
        change(&mut exchange, &mut heard);
        exchange.answer = Some(heard);
        exchange
    }

    #[test]
    fn a_good_exchange_is_shown_with_its_protection() {
        let exchange = good(Some("$root"));
        assert_eq!(
            exchange.lines(),
            "  @you:hs (in a thread)\n      one\n      two\n      - encrypted: yes (m.megolm.v1.aes-sha2)\n  \
             @echo:hs (in a thread)\n      echo: one\n      two\n      - encrypted: yes (m.megolm.v1.aes-sha2)\n      \
             - readable: yes; device DEV signed by its owner: yes\n"
        );
        assert_eq!(exchange.problems(), [""; 0]);
    }

    #[test]
    fn silence_is_a_problem() {
        let exchange = Exchange { answer: None, ..good(None) };
        assert!(exchange.lines().ends_with("\n  (no answer)\n"));
        assert_eq!(exchange.problems(), ["there was no answer"]);
    }

    #[test]
    fn every_lack_of_protection_is_shown_and_named() {
        let exchange = bad(|exchange, answer| {
            exchange.question.algorithm = None;
            answer.spoken.algorithm = None;
            answer.unreadable = Some("UNKNOWN_SESSION".to_owned());
            answer.device = None;
            answer.signed = false;
        });
        assert!(exchange.lines().contains("- encrypted: NO\n"));
        assert!(exchange.lines().ends_with(
            "- readable: NO (UNKNOWN_SESSION); an unknown device signed by its owner: NO\n"
        ));
        assert_eq!(
            exchange.problems(),
            [
                "the question was not encrypted",
                "the answer was not encrypted",
                "the answer cannot be read (UNKNOWN_SESSION)",
            ]
        );
    }

    #[test]
    fn another_text_or_another_place_is_a_problem() {
        let exchange = bad(|_, answer| {
            answer.spoken.text = "echo: one".to_owned();
            answer.spoken.thread = Some("$other".to_owned());
        });
        assert_eq!(
            exchange.problems(),
            [
                "the answer is not an echo of the question",
                "the answer is not in the thread of the question",
            ]
        );
    }

    #[test]
    fn a_message_cannot_control_the_terminal() {
        assert_eq!(indented("a\u{1b}[2J\r\nb\u{7}", "> "), "a\u{fffd}[2J\n> b\u{fffd}");
    }
}
