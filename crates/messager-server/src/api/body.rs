//! Bodies of requests.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use serde_json::Value;

use super::shape::Shape;
use crate::{
    refusal::Refusal,
    wire::{Input, Limits},
};

/// A body that has to be there.
#[derive(Clone, Debug)]
pub(super) struct Body<T>(pub T);

/// A body that may be left out.
#[derive(Clone, Debug)]
pub(super) struct MaybeBody<T>(pub T);

impl<S: Send + Sync, T: Input> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let is_json = says_json(request.headers());
        let bytes = bytes(request, state).await?;
        read(&bytes, is_json).map(Self)
    }
}

impl<S: Send + Sync, T: Input + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let is_json = says_json(request.headers());
        let bytes = bytes(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        read(&bytes, is_json).map(Self)
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Refusal> {
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(|rejection: BytesRejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::bad("The body did not arrive as a whole."),
    })
}

/// A page of another site can make a browser send texts and forms with its
/// cookies, but not JSON.
fn says_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn read<T: Input>(bytes: &[u8], is_json: bool) -> Result<T, Refusal> {
    if !is_json {
        return Err(Refusal::NotJson);
    }
    let value = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::field("$", format!("is no JSON: {error}")))?;
    value_of(value)
}

/// Reads a body, cleans it and checks its fields.
///
/// # Errors
///
/// [`Refusal::Invalid`] with everything that is wrong, or with the first thing
/// that is of another type.
pub(crate) fn value_of<T: Input>(value: Value) -> Result<T, Refusal> {
    if !value.is_object() {
        return Err(Refusal::field("$", "has to be an object"));
    }
    let value = Shape::of::<T>().fit(value, T::CAMEL_CASE_TOO);
    let mut read: T = serde_path_to_error::deserialize(value).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { "$".to_owned() } else { place };
        Refusal::field(&place, error.into_inner().to_string())
    })?;
    let mut limits = Limits::default();
    read.check(&mut limits);
    let problems = limits.into_problems();
    match problems.is_empty() {
        true => Ok(read),
        false => Err(Refusal::Invalid(problems)),
    }
}
