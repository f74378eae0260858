//! Decides how often is answered.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    conversation::Message,
    moment::Moment,
    names::{RoomId, UserId},
    spec::{AnswerPolicy, Rate},
};

/// Users and rooms that are remembered at most; those without recent answers
/// are forgotten first.
const REMEMBERED: usize = 10_000;

/// Who is limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whom {
    User(UserId),
    Room(RoomId),
}

/// The answers of late, of one agent.
#[derive(Debug, Default)]
pub struct Rates {
    answers: BTreeMap<Whom, Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    at: VecDeque<Moment>,
    /// The longest period of which anybody asked: rooms can have limits of their own.
    longest: Duration,
    told: bool,
}

/// One message too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// When the next one is answered.
    pub wait: Duration,
    /// What is said about it; nothing if it was said already.
    pub text: Option<String>,
}

impl Rates {
    /// Counts an answer to `message`.
    ///
    /// # Errors
    ///
    /// There were too many, and this one is not counted.
    pub fn take(
        &mut self,
        policy: &AnswerPolicy,
        message: &Message,
        now: Moment,
    ) -> Result<(), TooMany> {
        let limits = [
            (policy.per_user, Whom::User(message.sender.clone())),
            (policy.per_room, Whom::Room(message.room.clone())),
        ];
        let limits = limits.into_iter().filter_map(|(rate, whom)| Some((rate?, whom)));
        let limits: Vec<(Rate, Whom)> = limits.collect();
        for (rate, whom) in &limits {
            let Some(answers) = self.answers.get_mut(whom) else { continue };
            answers.forget(now, rate.per);
            let Some(wait) = answers.wait(now, *rate) else { continue };
            let first = !std::mem::replace(&mut answers.told, true);
            let text = first.then(|| refusal(*rate, whom, wait));
            return Err(TooMany { wait, text });
        }
        for (rate, whom) in limits {
            let answers = self.answers.entry(whom).or_default();
            answers.longest = answers.longest.max(rate.per);
            answers.at.push_back(now);
            answers.told = false;
        }
        self.shrink();
        Ok(())
    }

    fn shrink(&mut self) {
        while self.answers.len() > REMEMBERED {
            let oldest = self.answers.iter().min_by_key(|(_, answers)| answers.at.back().copied());
            let Some(whom) = oldest.map(|(whom, _)| whom.clone()) else { return };
            self.answers.remove(&whom);
        }
    }
}

impl Answers {
    fn forget(&mut self, now: Moment, per: Duration) {
        self.longest = self.longest.max(per);
        while self.at.front().is_some_and(|&oldest| now.since(oldest) >= self.longest) {
            self.at.pop_front();
        }
    }

    /// How long until one more is within the rate; `None` if it is now.
    fn wait(&self, now: Moment, rate: Rate) -> Option<Duration> {
        let within = self.at.iter().rev().take_while(|&&at| now.since(at) < rate.per);
        // The one that has to get old first.
        let first = within.take(usize::try_from(rate.count).unwrap_or(usize::MAX));
        let (count, oldest) = first.fold((0, None), |(count, _), at| (count + 1, Some(*at)));
        let oldest = oldest.filter(|_| count >= rate.count)?;
        Some(rate.per.saturating_sub(now.since(oldest)))
    }
}

fn refusal(rate: Rate, whom: &Whom, wait: Duration) -> String {
    let whom = match whom {
        Whom::User(_) => "one person",
        Whom::Room(_) => "one room",
    };
    let messages = if rate.count == 1 { "message" } else { "messages" };
    format!(
        "That is more than I may answer: {} {messages} of {whom} in {}. Please ask again in {}.",
        rate.count,
        crate::duration::shown(rate.per),
        crate::duration::shown(Duration::from_secs(wait.as_secs() + 1)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::EventId;

    fn message(sender: &str, room: &str) -> Message {
        Message::text(RoomId::new(room), EventId::new("$e"), UserId::new(sender), "hi")
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn two_a_minute() -> AnswerPolicy {
        let rate = Rate { count: 2, per: Duration::from_secs(60) };
        AnswerPolicy { per_user: Some(rate), ..AnswerPolicy::default() }
    }

    #[test]
    fn who_asks_too_often_is_told_once_and_answered_again_later() {
        let (mut rates, policy) = (Rates::default(), two_a_minute());
        let alice = message("@alice:hs", "!r:hs");
        assert_eq!(rates.take(&policy, &alice, at(0)), Ok(()));
        assert_eq!(rates.take(&policy, &alice, at(10)), Ok(()));
        let refused = rates.take(&policy, &alice, at(20)).unwrap_err();
        assert_eq!(refused.wait, Duration::from_secs(40));
        assert!(refused.text.unwrap().contains("2 messages of one person in 1m"));
        assert_eq!(rates.take(&policy, &alice, at(30)).unwrap_err().text, None);
        assert_eq!(rates.take(&policy, &message("@bob:hs", "!r:hs"), at(30)), Ok(()));
        assert_eq!(rates.take(&policy, &alice, at(60)), Ok(()));
        assert!(rates.take(&policy, &alice, at(61)).unwrap_err().text.is_some());
    }

    #[test]
    fn a_short_period_in_one_room_does_not_shorten_the_long_one_of_another() {
        let (mut rates, long) = (Rates::default(), two_a_minute());
        let rate = Rate { count: 5, per: Duration::from_secs(1) };
        let short = AnswerPolicy { per_user: Some(rate), ..AnswerPolicy::default() };
        let alice = message("@alice:hs", "!r:hs");
        assert_eq!(rates.take(&long, &alice, at(0)), Ok(()));
        assert_eq!(rates.take(&short, &message("@alice:hs", "!s:hs"), at(10)), Ok(()));
        assert_eq!(rates.take(&long, &alice, at(20)).unwrap_err().wait, Duration::from_secs(40));
    }

    #[test]
    fn a_room_has_its_own_limit_and_a_refusal_counts_nowhere() {
        let rate = Rate { count: 1, per: Duration::from_secs(60) };
        let policy = AnswerPolicy { per_room: Some(rate), ..two_a_minute() };
        let mut rates = Rates::default();
        assert_eq!(rates.take(&policy, &message("@alice:hs", "!r:hs"), at(0)), Ok(()));
        let refused = rates.take(&policy, &message("@bob:hs", "!r:hs"), at(1)).unwrap_err();
        assert!(refused.text.unwrap().contains("1 message of one room"));
        assert_eq!(rates.take(&policy, &message("@bob:hs", "!s:hs"), at(2)), Ok(()));
        assert_eq!(rates.take(&policy, &message("@bob:hs", "!t:hs"), at(3)), Ok(()));
        assert!(rates.take(&policy, &message("@bob:hs", "!u:hs"), at(4)).is_err());
    }
}
