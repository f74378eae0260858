//! Follows one verification to its end: shows each stage, and asks where an
//! operator has to answer.

use std::{
    future::Future,
    mem::{Discriminant, discriminant, take},
    pin::Pin,
    time::Duration,
};

use launcher_control::wire::{AnswerWord, Refusal, StageReply, VerificationReply};
use launcher_core::spec::AgentSpec;

use crate::{
    ask::{self, Lines},
    commands::json,
    exit::{self, Exit},
    pictures,
    table::harmless,
    way::Way,
};

/// How long the other side may take to be told that it is cancelled.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// How stages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people; in colors, so that a code is dark on light, if they are shown.
    Text { colored: bool },
    /// For scripts: an object a line.
    Json,
}

/// What whoever started the command looks at.
pub(super) trait Screen: Send {
    /// What was asked for.
    fn print(&mut self, text: &str);
    /// What happens meanwhile.
    fn say(&mut self, line: &str);
    /// A question; the answer is typed behind it.
    fn prompt(&mut self, question: &str);
}

/// Standard output and standard error.
#[derive(Debug)]
pub(super) struct Terminal;

impl Screen for Terminal {
    fn print(&mut self, text: &str) {
        exit::print(text);
    }

    fn say(&mut self, line: &str) {
        exit::say(line);
    }

    fn prompt(&mut self, question: &str) {
        ask::prompt(question);
    }
}

/// Between the agent, the other side and whoever answers for the agent.
pub(super) struct Conversation<'a> {
    pub(super) spec: &'a AgentSpec,
    pub(super) way: &'a dyn Way,
    pub(super) form: Form,
    pub(super) screen: &'a mut dyn Screen,
    pub(super) answers: Lines,
    /// Whether a question stands at the end of the screen, and no answer behind it.
    pub(super) is_asking: bool,
    /// Ends when the command is told to end.
    pub(super) interrupted: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

/// What can happen while a verification goes on.
enum Event {
    Interrupted,
    Typed(Option<String>),
    Changed(Result<VerificationReply, Refusal>),
}

impl Conversation<'_> {
    /// Until both sides are done, or one has enough.
    pub(super) async fn follow(mut self, begun: VerificationReply) -> anyhow::Result<Exit> {
        let mut now = begun;
        let mut told: Option<Discriminant<StageReply>> = None;
        let mut answered = None;
        loop {
            let stage = discriminant(&now.stage);
            let question = question(&now.stage).filter(|_| answered != Some(stage));
            if told != Some(stage) {
                told = Some(stage);
                if let Err(refusal) = self.show(&now) {
                    self.cancel(&now).await?;
                    return Err(refusal);
                }
                if now.stage.is_over() {
                    return Ok(self.conclude(&now)?);
                }
                self.prompt(question);
            }
            let event = tokio::select! {
                biased;
                () = &mut self.interrupted => Event::Interrupted,
                line = self.answers.next(), if question.is_some() => Event::Typed(line),
                found = self.way.follow_verification(&now) => Event::Changed(found),
            };
            match event {
                Event::Changed(found) => now = found?,
                Event::Typed(Some(line)) => {
                    self.is_asking = false;
                    let Some(is_yes) = ask::yes_or_no(&line) else {
                        self.screen.say("type `yes` or `no`");
                        self.prompt(question);
                        continue;
                    };
                    answered = Some(stage);
                    let word = if is_yes { AnswerWord::Match } else { AnswerWord::Mismatch };
                    now = self.way.answer_verification(now.number, word).await?;
                }
                Event::Typed(None) => {
                    self.begin_line();
                    self.screen.say("there is no answer on standard input; cancelling");
                    now = self.cancel(&now).await?;
                }
                Event::Interrupted => {
                    self.begin_line();
                    self.screen.say("cancelling");
                    let last = self.cancel(&now).await?;
                    self.show(&last)?;
                    return Ok(self.conclude(&last)?);
                }
            }
        }
    }

    fn prompt(&mut self, question: Option<&str>) {
        if let Some(question) = question.filter(|_| self.form != Form::Json) {
            self.screen.prompt(question);
            self.is_asking = true;
        }
    }

    /// Leaves the line of a question that nobody has answered.
    fn begin_line(&mut self) {
        if take(&mut self.is_asking) {
            self.screen.say("");
        }
    }

    async fn cancel(&self, now: &VerificationReply) -> Result<VerificationReply, Refusal> {
        let cancel = self.way.answer_verification(now.number, AnswerWord::Cancel);
        tokio::time::timeout(CANCEL_LIMIT, cancel).await.unwrap_or_else(|_| {
            let reason = "the launcher did not cancel the verification in time";
            Err(Refusal::new(reason, "it ends by itself after a while; `--requests` shows it"))
        })
    }

    /// Shows a stage that was not shown yet.
    fn show(&mut self, now: &VerificationReply) -> anyhow::Result<()> {
        let Form::Text { colored } = self.form else {
            self.screen.print(&json(now)?);
            return Ok(());
        };
        self.begin_line();
        let user = harmless(&now.user);
        match &now.stage {
            StageReply::Requested => self.screen.say(&format!("taking up what {user} asked for")),
            StageReply::Waiting => {
                let line = match (now.we_asked, self.is_own(now)) {
                    (true, true) => format!(
                        "asked {} of {user}; waiting for it to be accepted there",
                        now.device.as_deref().map_or("every other device".to_owned(), harmless)
                    ),
                    (true, false) => {
                        format!("asked {user}; waiting for them to accept in their client")
                    }
                    (false, _) => {
                        format!("took up what {user} asked for; waiting for their client")
                    }
                };
                self.screen.say(&line);
            }
            StageReply::Emojis(emojis) => {
                self.screen.say(&format!("compare these with what {user} sees:"));
                self.screen.print(&format!("\n{}\n", pictures::emojis(emojis)));
            }
            StageReply::Code(code) => {
                let drawn = pictures::code(&code.0, colored).ok_or_else(|| Refusal {
                    reason: "the code is too long to be drawn".to_owned(),
                    action: None,
                })?;
                self.screen.print(&format!("{drawn}\n"));
                self.screen.say(&format!("waiting for {user} to scan this with their client"));
            }
            StageReply::Scanned => self.screen.say(&format!("{user} has scanned the code")),
            StageReply::Confirmed => {
                self.screen.say(&format!("confirmed here; waiting for {user} to confirm, too"));
            }
            StageReply::Done | StageReply::Cancelled { .. } => {}
        }
        Ok(())
    }

    /// How it ended.
    fn conclude(&mut self, now: &VerificationReply) -> Result<Exit, Refusal> {
        let (id, user) = (&self.spec.id, &now.user);
        match &now.stage {
            StageReply::Done => {
                let who = match (&now.device, self.is_own(now)) {
                    (Some(device), true) => format!("{device} of {user}"),
                    (None, true) => format!("another device of {user}"),
                    (_, false) => user.clone(),
                };
                if self.form != Form::Json {
                    self.screen.print(&format!("{} is verified now\n", harmless(&who)));
                }
                Ok(Exit::Done)
            }
            StageReply::Cancelled { by_us, code, reason } => {
                let by = if *by_us { "here" } else { "by the other side" };
                let reason = format!("nobody was verified; cancelled {by}: {reason} ({code})");
                let action = match is_mismatch(code) {
                    true => format!(
                        "do not trust the keys of {user} before you know why: somebody may stand \
                         between"
                    ),
                    false => format!("`launcher verify {id} --with {user}` begins again"),
                };
                Err(Refusal::new(harmless(&reason), harmless(&action)))
            }
            _ => Err(Refusal::new(
                "the verification was not cancelled",
                format!("`launcher verify {id} --requests` shows how far it is"),
            )),
        }
    }

    fn is_own(&self, now: &VerificationReply) -> bool {
        now.user == self.spec.account.user_id
    }
}

/// What has to be answered in a stage.
fn question(stage: &StageReply) -> Option<&'static str> {
    match stage {
        StageReply::Emojis(_) => Some("Do they match? [yes/no] "),
        StageReply::Scanned => Some("Does the other client say that it worked? [yes/no] "),
        StageReply::Requested
        | StageReply::Waiting
        | StageReply::Code(_)
        | StageReply::Confirmed
        | StageReply::Done
        | StageReply::Cancelled { .. } => None,
    }
}

/// Whether the two sides saw different things.
fn is_mismatch(code: &str) -> bool {
    matches!(code, "m.mismatched_sas" | "m.mismatched_commitment" | "m.key_mismatch")
}
