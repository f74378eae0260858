//! What is done around each request: its id, the time that it may take, what is
//! logged and counted of it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use super::answer::rendered;
use crate::{app::App, refusal::Refusal, values::random};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, headers) = (request.method().clone(), request.headers().clone());
    // The pattern and not the address: that can have a token in it.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_default();
    let id = request_id(&headers);
    let running = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match tokio::time::timeout(app.limits.patience, running).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => Refusal::Broken.into_response(),
        Err(_) => Refusal::Unavailable.into_response(),
    };
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = rendered(&refusal, &headers, &id);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.hub.counts().request(method.as_str(), &route, status, took.as_secs_f64());
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if status >= 500 {
        tracing::warn!(request_id = %id, %method, route, status, millis, "a request was not answered");
    } else {
        tracing::debug!(request_id = %id, %method, route, status, millis, "request");
    }
    response
}

/// The client's own id, if it is one that can stand in a log.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_good = |id: &&str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !id.is_empty() && id.len() <= 128 && id.bytes().all(is_good)
    };
    match given.filter(is_good) {
        Some(id) => id.to_owned(),
        // Without randomness requests share an id.
        None => {
            uuid::Builder::from_random_bytes(random().unwrap_or_default()).into_uuid().to_string()
        }
    }
}
