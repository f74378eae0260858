//! Whether a client says that it can encrypt.

use http::HeaderMap;

use crate::{
    refusal::{EncryptionRule, Refusal},
    values::Mode,
};

/// The header, and the name that clients gave it later.
const HEADERS: [&str; 2] = ["x-dyson-client-capabilities", "x-client-ability"];

/// What it has to name.
const E2EE: &str = "chat-e2ee-v1";

/// Whether a client says that it can encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// It does.
    Encrypts,
    /// It does not.
    None,
}

impl Ability {
    /// Reads the headers of a request. Several may be there, each with several
    /// names between commas, in any case.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = HEADERS.iter().flat_map(|name| headers.get_all(*name));
        let mut names = values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
        match names.any(|name| name.trim().eq_ignore_ascii_case(E2EE)) {
            true => Self::Encrypts,
            false => Self::None,
        }
    }

    /// Refuses a client that cannot encrypt in a room that is encrypted.
    pub(crate) fn suits(self, mode: Mode) -> Result<(), Refusal> {
        match (self, mode) {
            (Self::Encrypts, _) | (Self::None, Mode::Plain) => Ok(()),
            (Self::None, Mode::Direct | Mode::SenderKeys) => Err(Refusal::Encryption(
                EncryptionRule::Required,
                "This room requires E2EE-capable clients.",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Ability {
        let pairs = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        Ability::of(&pairs.fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        }))
    }

    #[test]
    fn one_name_among_several_in_any_case_is_enough() {
        for headers in [
            &[("x-dyson-client-capabilities", "chat-e2ee-v1")][..],
            &[("x-client-ability", " a , CHAT-e2ee-V1 ,")],
            &[("x-client-ability", "a"), ("x-client-ability", "chat-e2ee-v1")],
            &[("x-dyson-client-capabilities", ""), ("x-client-ability", "chat-e2ee-v1")],
        ] {
            assert_eq!(of(headers), Ability::Encrypts, "{headers:?}");
        }
    }

    #[test]
    fn a_name_that_only_contains_it_does_not_count() {
        for value in ["", "chat-e2ee-v10", "xchat-e2ee-v1", "chat-e2ee-v1;q=1", "chat e2ee v1"] {
            assert_eq!(of(&[("x-dyson-client-capabilities", value)]), Ability::None, "{value}");
        }
        assert_eq!(of(&[("x-other", "chat-e2ee-v1")]), Ability::None);
    }
}
