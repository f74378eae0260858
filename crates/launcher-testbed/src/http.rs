//! Speaks JSON to the homeserver, and nothing more.
//!
//! Only what the users of the testbed cannot do themselves goes this way:
//! registration, raw requests of a test, and the question whether the
//! homeserver is up yet.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Request;

use crate::TestbedError;

/// The longest a single request may take. A loaded Synapse may need seconds to
/// log somebody in.
const LIMIT: Duration = Duration::from_secs(60);

/// A client for one homeserver.
#[derive(Debug)]
pub(crate) struct Http {
    agent: ureq::Agent,
    base_url: String,
}

impl Http {
    pub(crate) fn new(base_url: String) -> Self {
        let agent = ureq::Agent::config_builder()
            // A refusal is an answer; many tests want to see one.
            .http_status_as_error(false)
            .timeout_global(Some(LIMIT))
            // The loopback address is never behind a proxy.
            .proxy(None)
            .build()
            .into();
        Self { agent, base_url }
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The status and the JSON of whatever is answered.
    ///
    /// An answer without JSON becomes a string, or null if it is empty.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, Value), TestbedError> {
        let url = format!("{}{path}", self.base_url);
        self.exchange(method, &url, token, body).map_err(|source| TestbedError::NoAnswer {
            method: method.to_owned(),
            url,
            source: Box::new(source),
        })
    }

    /// As [`Self::request`], for a request that must succeed.
    pub(crate) fn demand(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, TestbedError> {
        let (status, answer) = self.request(method, path, token, body)?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        Err(TestbedError::Refused {
            method: method.to_owned(),
            path: path.to_owned(),
            status,
            answer: Box::new(answer),
        })
    }

    fn exchange(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, Value), ureq::Error> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string())?)?
            }
            None => self.agent.run(request.body(())?)?,
        };
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string()?;
        Ok((status, parse(text)))
    }
}

fn parse(text: String) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
