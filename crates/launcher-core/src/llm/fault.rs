//! Why a model gave no answer, and what is done about it.
//!
//! A fault has a kind, and the kind decides: wait and ask again, ask with
//! less, ask another model, or give up and say so. There is no kind after
//! which nothing is said.

use std::{fmt, time::Duration};

use crate::backoff;

/// How often one model is asked for one step of an answer.
pub const TRIES: u32 = 3;

/// The longest wait for a model that wants to be left alone for a while. For
/// longer ones another model is asked, or the asker is told.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The key is wrong, or may not do this.
    Auth,
    /// Nothing is left on the account at the provider.
    Money,
    /// Too many questions in too short a time.
    RateLimit,
    /// The provider has too much to do, or something broke there.
    Overloaded,
    /// The question does not fit into the model.
    TooLong {
        /// How many tokens it has, if the provider said so.
        tokens: Option<u64>,
        /// How many it may have.
        limit: Option<u64>,
    },
    /// The provider does not want to answer this.
    Filtered,
    /// The provider does not understand the request, or has no such model.
    BadRequest,
    /// There was no connection, or it was silent for too long.
    Network,
    /// The answer broke off, or is no answer.
    Broken,
    /// The answer has nothing in it.
    Empty,
}

impl FaultKind {
    /// One of each kind.
    pub const ALL: [Self; 10] = [
        Self::Auth,
        Self::Money,
        Self::RateLimit,
        Self::Overloaded,
        Self::TooLong { tokens: None, limit: None },
        Self::Filtered,
        Self::BadRequest,
        Self::Network,
        Self::Broken,
        Self::Empty,
    ];

    /// The kind in one word, for machines: stable, `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Money => "out_of_money",
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::TooLong { .. } => "too_long",
            Self::Filtered => "filtered",
            Self::BadRequest => "bad_request",
            Self::Network => "network",
            Self::Broken => "broken_answer",
            Self::Empty => "empty_answer",
        }
    }

    /// Whether only the operator can do something about it.
    pub fn is_for_operator(self) -> bool {
        match self {
            Self::Auth | Self::Money | Self::BadRequest => true,
            Self::RateLimit
            | Self::Overloaded
            | Self::TooLong { .. }
            | Self::Filtered
            | Self::Network
            | Self::Broken
            | Self::Empty => false,
        }
    }

    /// What is said in the room when there is no answer at all.
    pub fn apology(self) -> &'static str {
        match self {
            Self::Auth => {
                "My model's provider does not accept my key. My operator has to look at it."
            }
            Self::Money => {
                "My account at the model's provider is used up. My operator has to look at it."
            }
            Self::RateLimit => {
                "I have asked my model too often in a short time. Please ask again in a few minutes."
            }
            Self::Overloaded => {
                "My model's provider cannot answer at the moment. Please ask again in a few minutes."
            }
            Self::TooLong { .. } => {
                "This is too long for my model. Please ask with less, or begin anew with `!forget`."
            }
            Self::Filtered => "My model's provider does not want to answer this.",
            Self::BadRequest => {
                "My model's provider does not understand my request. My operator has to look at it."
            }
            Self::Network => "I cannot reach my model. Please ask again in a few minutes.",
            Self::Broken => "My model's answer broke off, more than once. Please ask again.",
            Self::Empty => "My model had nothing to say. Please ask in other words.",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth => formatter.write_str("the provider does not accept the key"),
            Self::Money => formatter.write_str("the account at the provider is used up"),
            Self::RateLimit => formatter.write_str("too many requests for the provider"),
            Self::Overloaded => formatter.write_str("the provider cannot answer now"),
            Self::TooLong { tokens: Some(tokens), limit: Some(limit) } => {
                write!(formatter, "the question has {tokens} tokens, and {limit} fit")
            }
            Self::TooLong { .. } => formatter.write_str("the question does not fit into the model"),
            Self::Filtered => formatter.write_str("the provider refuses the content"),
            Self::BadRequest => formatter.write_str("the provider refuses the request"),
            Self::Network => formatter.write_str("no connection to the provider"),
            Self::Broken => formatter.write_str("the answer broke off or is no answer"),
            Self::Empty => formatter.write_str("the answer is empty"),
        }
    }
}

/// What has been tried for one step of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// How often the present model has failed.
    pub failures: u32,
    /// Whether the question has been shortened for it.
    pub shortened: bool,
    /// Whether some of its answer has been shown.
    pub shown: bool,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same model is asked again after this wait.
    Again(Duration),
    /// The same model is asked at once, with less of what was said before.
    Shorter,
    /// The next model is asked.
    OtherModel,
    /// Nobody is asked any more.
    GiveUp,
}

/// What to do after a fault.
///
/// `failures` in `tried` counts this fault. `asked` is how long the provider
/// wants to be left alone, `left` how much time the answer still has, `others`
/// whether there is another model, and `jitter` goes from 0 to 1.
///
/// A refusal of the content is not taken to another model: a fall-back is for
/// faults, not for a second opinion.
pub fn next(
    kind: FaultKind,
    tried: Tried,
    asked: Option<Duration>,
    left: Duration,
    others: bool,
    jitter: f64,
) -> Next {
    let other = if others { Next::OtherModel } else { Next::GiveUp };
    let tries = if tried.shown { 2 } else { TRIES };
    match kind {
        FaultKind::Filtered => Next::GiveUp,
        FaultKind::Auth | FaultKind::Money | FaultKind::BadRequest => other,
        FaultKind::TooLong { .. } if tried.shortened => other,
        FaultKind::TooLong { .. } => Next::Shorter,
        FaultKind::RateLimit
        | FaultKind::Overloaded
        | FaultKind::Network
        | FaultKind::Broken
        | FaultKind::Empty => {
            let wait = backoff::wait(tried.failures.saturating_sub(1), jitter, asked);
            let soon = wait <= LONGEST_WAIT && wait < left;
            if tried.failures < tries && soon { Next::Again(wait) } else { other }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Duration = Duration::from_secs(300);

    fn failures(failures: u32) -> Tried {
        Tried { failures, ..Tried::default() }
    }

    #[test]
    fn what_passes_is_tried_again_with_growing_waits_and_then_elsewhere() {
        for kind in [FaultKind::Overloaded, FaultKind::Network, FaultKind::Broken, FaultKind::Empty]
        {
            let next = |count| next(kind, failures(count), None, LEFT, true, 0.0);
            assert_eq!(next(1), Next::Again(Duration::from_secs(1)));
            assert_eq!(next(2), Next::Again(Duration::from_secs(2)));
            assert_eq!(next(3), Next::OtherModel);
        }
        assert_eq!(next(FaultKind::Broken, failures(3), None, LEFT, false, 0.0), Next::GiveUp);
    }

    #[test]
    fn an_answer_that_was_seen_is_begun_again_once() {
        let seen = |failures| Tried { failures, shown: true, shortened: false };
        let next = |count| next(FaultKind::Broken, seen(count), None, LEFT, false, 0.0);
        assert_eq!(next(1), Next::Again(Duration::from_secs(1)));
        assert_eq!(next(2), Next::GiveUp);
    }

    #[test]
    fn a_provider_is_left_alone_for_as_long_as_it_wants_or_not_asked_again() {
        let limited = |asked, left, others| {
            next(FaultKind::RateLimit, failures(1), Some(asked), left, others, 0.5)
        };
        let (soon, late) = (Duration::from_secs(20), Duration::from_secs(31));
        assert_eq!(limited(soon, LEFT, true), Next::Again(soon));
        assert_eq!(limited(late, LEFT, true), Next::OtherModel);
        assert_eq!(limited(late, LEFT, false), Next::GiveUp);
        assert_eq!(limited(soon, soon, false), Next::GiveUp);
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        for kind in [FaultKind::Auth, FaultKind::Money, FaultKind::BadRequest] {
            assert!(kind.is_for_operator());
            assert_eq!(next(kind, failures(1), None, LEFT, true, 0.0), Next::OtherModel);
            assert_eq!(next(kind, failures(1), None, LEFT, false, 0.0), Next::GiveUp);
        }
        let refused = next(FaultKind::Filtered, failures(1), None, LEFT, true, 0.0);
        assert_eq!(refused, Next::GiveUp);
    }

    #[test]
    fn what_is_too_long_is_shortened_once() {
        let long = FaultKind::TooLong { tokens: Some(9000), limit: Some(8192) };
        assert_eq!(long.to_string(), "the question has 9000 tokens, and 8192 fit");
        assert_eq!(next(long, failures(1), None, LEFT, true, 0.0), Next::Shorter);
        let again = Tried { shortened: true, ..failures(2) };
        assert_eq!(next(long, again, None, LEFT, true, 0.0), Next::OtherModel);
        assert_eq!(next(long, again, None, LEFT, false, 0.0), Next::GiveUp);
    }

    #[test]
    fn every_kind_has_words_of_its_own() {
        let mut codes: Vec<&str> = FaultKind::ALL.into_iter().map(FaultKind::code).collect();
        let mut said: Vec<&str> = FaultKind::ALL.into_iter().map(FaultKind::apology).collect();
        for list in [&mut codes, &mut said] {
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), FaultKind::ALL.len());
        }
    }
}
