//! Which requests a rule is about.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::Request;

type Predicate = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// Picks requests: those that all conditions hold for and, of those, the ones
/// that [`Self::nth`] and [`Self::times`] leave.
#[derive(Clone, Default)]
pub struct Matcher {
    request: Vec<Predicate>,
    response: Vec<Predicate>,
    skipped: usize,
    limit: Option<usize>,
}

impl Matcher {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests with this text in their path, which has no query.
    pub fn path_contains(text: &str) -> Self {
        Self::any().and_path_contains(text)
    }

    /// Requests for which `predicate` holds.
    pub fn when(predicate: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        Self::any().and(predicate)
    }

    /// Of these, only those with this text in their path.
    #[must_use]
    pub fn and_path_contains(self, text: &str) -> Self {
        let text = text.to_owned();
        self.and(move |request| request.path.contains(&text))
    }

    /// Of these, only those with this verb.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        let method = method.to_owned();
        self.and(move |request| request.method == method)
    }

    /// Of these, only those of this owner.
    #[must_use]
    pub fn owner(self, owner: &str) -> Self {
        let owner = owner.to_owned();
        self.and(move |request| request.owner.as_deref() == Some(&owner))
    }

    /// Of these, only those whose JSON `predicate` holds for.
    #[must_use]
    pub fn body(self, predicate: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.and(move |request| request.json().is_some_and(|json| predicate(&json)))
    }

    /// Of these, only those for which `predicate` holds when they arrive.
    #[must_use]
    pub fn and(mut self, predicate: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.request.push(Arc::new(predicate));
        self
    }

    /// Of these, only those whose answer `predicate` holds for.
    ///
    /// The rule is decided when the homeserver has answered. An action that is
    /// meant for before that then happens between the answer and the client.
    #[must_use]
    pub fn response(self, predicate: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.answered(move |request| request.response_json().is_some_and(|json| predicate(&json)))
    }

    /// As [`Self::response`], with the whole exchange, so also with the status.
    #[must_use]
    pub fn answered(
        mut self,
        predicate: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.response.push(Arc::new(predicate));
        self
    }

    /// Of these, only the `n`th, counted from 1. [`Self::times`] after this adds
    /// the ones that follow it.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.skipped = n.saturating_sub(1);
        self.limit = Some(1);
        self
    }

    /// Of these, at most so many.
    #[must_use]
    pub fn times(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(super) fn needs_response(&self) -> bool {
        !self.response.is_empty()
    }

    /// Whether all conditions hold.
    pub(super) fn holds(&self, request: &Request) -> bool {
        self.request.iter().chain(&self.response).all(|predicate| predicate(request))
    }

    /// Whether the request that so many others came before is among the ones
    /// that are left.
    pub(super) fn takes(&self, before: usize) -> bool {
        before >= self.skipped && self.limit.is_none_or(|limit| before - self.skipped < limit)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Matcher")
            .field("skipped", &self.skipped)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nth_and_times_pick_from_those_that_match() {
        let taken = |matcher: Matcher| (0..5).filter(|n| matcher.takes(*n)).collect::<Vec<_>>();
        assert_eq!(taken(Matcher::any()), [0, 1, 2, 3, 4]);
        assert_eq!(taken(Matcher::any().times(2)), [0, 1]);
        assert_eq!(taken(Matcher::any().nth(2)), [1]);
        assert_eq!(taken(Matcher::any().nth(2).times(3)), [1, 2, 3]);
    }
}
