//! What stands behind the question mark.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use url::form_urlencoded::parse;

use crate::refusal::Refusal;

/// Names and values; names in any case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the question mark.
    pub(super) fn of(query: Option<&str>) -> Self {
        let pairs = parse(query.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect())
    }

    /// A value; one without letters is none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A number, brought into a range.
    ///
    /// # Errors
    ///
    /// When it is no number.
    pub(super) fn number(&self, name: &str, usual: i64, most: i64) -> Result<i64, Refusal> {
        let Some(text) = self.text(name) else { return Ok(usual) };
        let number: i64 =
            text.parse().map_err(|_| Refusal::field(name, "has to be a whole number"))?;
        Ok(number.clamp(0, most))
    }

    /// Yes or no.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub(super) fn flag(&self, name: &str, usual: bool) -> Result<bool, Refusal> {
        match self.text(name).map(str::to_lowercase).as_deref() {
            None => Ok(usual),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Refusal::field(name, "has to be true or false")),
        }
    }

    /// How many rows of a list, and behind how many.
    ///
    /// # Errors
    ///
    /// When one of them is no number.
    pub(super) fn page(&self) -> Result<(i64, i64), Refusal> {
        Ok((self.number("take", 20, 500)?, self.number("offset", 0, i64::MAX)?))
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.query()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_in_any_case_and_numbers_are_brought_into_range() {
        let query = Query::of(Some("Take=7&consumeOneTimePreKey=False&offset=-3&x="));
        assert_eq!(query.page(), Ok((7, 0)));
        assert_eq!(query.flag("consumeonetimeprekey", true), Ok(false));
        assert_eq!(query.text("x"), None);
        assert_eq!(Query::of(Some("take=9999")).page(), Ok((500, 0)));
        assert_eq!(Query::of(None).page(), Ok((20, 0)));
        Query::of(Some("take=many")).page().unwrap_err();
        Query::of(Some("a=maybe")).flag("a", true).unwrap_err();
    }
}
