//! Whose token a request has.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{
        HeaderMap,
        header::{AUTHORIZATION, COOKIE},
        request::Parts,
    },
};
use sha2::{Digest, Sha256};

use super::Query;
use crate::{
    app::App,
    refusal::Refusal,
    store::accounts::by_token,
    values::{AccountId, DeviceId},
};

/// What a token is kept as. Tokens are random: nothing slower is needed.
pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The schemes that a header may name.
const SCHEMES: [&str; 3] = ["Bearer", "AtField", "AkField"];

/// The account and the device that a token is for.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub account: AccountId,
    pub device: DeviceId,
}

/// The token of a request: from the address, from its header, from a cookie.
/// The first that is there counts.
fn token(query: &Query, headers: &HeaderMap) -> Option<String> {
    let header = || {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        let is_known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
        is_known.then(|| token.trim().to_owned())
    };
    let cookie = || {
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = values.flat_map(|value| value.split(';')).map(str::trim);
        pairs.find_map(|pair| pair.strip_prefix("AuthToken=")).map(str::to_owned)
    };
    query.text("tk").map(str::to_owned).or_else(header).or_else(cookie)
}

async fn find(parts: &mut Parts, app: &Arc<App>) -> Result<Option<Login>, Refusal> {
    let query = Query::of(parts.uri.query());
    let Some(token) = token(&query, &parts.headers) else { return Ok(None) };
    // Found by its hash: how long that takes says nothing about any token.
    let hash = hash(&token);
    let found = app.store.read(move |connection| Ok(by_token(connection, &hash)?)).await?;
    Ok(found.map(|(account, device)| Login { account, device }))
}

impl FromRequestParts<Arc<App>> for Login {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        find(parts, app).await?.ok_or(Refusal::Login)
    }
}

impl OptionalFromRequestParts<Arc<App>> for Login {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Option<Self>, Refusal> {
        find(parts, app).await
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn the_address_counts_before_the_header_and_the_header_before_the_cookie() {
        let read = |query: &str, headers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name: HeaderName = name.parse().unwrap();
                map.append(name, value.parse().unwrap());
            }
            token(&Query::of(Some(query)), &map)
        };
        let all = [("authorization", "Bearer b"), ("cookie", "x=1; AuthToken=c")];
        assert_eq!(read("tk=a", &all).as_deref(), Some("a"));
        assert_eq!(read("TK=a", &all).as_deref(), Some("a"));
        assert_eq!(read("", &all).as_deref(), Some("b"));
        assert_eq!(read("", &all[1..]).as_deref(), Some("c"));
        for scheme in ["AtField", "AkField", "bearer"] {
            let header = format!("{scheme} t");
            assert_eq!(read("", &[("authorization", &header)]).as_deref(), Some("t"));
        }
        assert_eq!(read("", &[("authorization", "Basic b")]), None);
        assert_eq!(read("", &[]), None);
    }
}
