//! What went wrong with a model, in our words.

use std::{fmt, ops::Deref, time::Duration};

use launcher_core::llm::{fault::FaultKind, spending::Usage};
use rig_core::{
    ProviderError, completion::CompletionResponse, completion::FinishReason, http_client,
};

use super::{
    classify::{self, Refusal},
    transport::TransportFault,
};

/// Why there is no answer. Shows the kind, the status and the provider's codes,
/// and nothing that it wrote.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelFault(Box<Facts>);

/// What is known of a fault.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// What kind of fault it is.
    pub(crate) kind: FaultKind,
    /// The status of the provider's answer, if it gave one.
    pub(crate) status: Option<u16>,
    /// The provider's own word for it.
    pub(crate) code: Option<String>,
    /// What the provider's support asks for.
    pub(crate) request_id: Option<String>,
    /// How long the provider wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the provider may have charged for it.
    pub(crate) charged: bool,
    /// What the provider counted before it ended.
    pub(crate) usage: Option<Usage>,
    detail: Detail,
}

/// What more there is to say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Detail {
    /// Nothing.
    None,
    /// The provider answered with an error.
    Refused,
    /// There was no such address or model.
    NotFound,
    /// What happened on the way.
    Transport(TransportFault),
    /// The answer was no event stream, but something else.
    NoStream,
    /// A part of the answer could not be read.
    Unreadable,
    /// The answer ended before it was at its end.
    Truncated,
    /// The request cannot be written in this format.
    Unspeakable,
    /// The answer ended for a reason that nobody knows.
    UnknownEnd,
    /// The model said nothing and called nothing.
    Nothing,
    /// All that the answer may have was used up before it began.
    AllThought,
    /// The answer came to no end.
    Endless,
    /// The answer wants more called than any question needs.
    TooMuch,
    /// The answer has been read to its end before.
    Over,
}

impl fmt::Display for ModelFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.kind)?;
        match &self.detail {
            Detail::None | Detail::Refused => {}
            Detail::NotFound => formatter.write_str(": no such model, or no such address")?,
            Detail::Transport(fault) => write!(formatter, ": {fault}")?,
            Detail::NoStream => formatter.write_str(": it is no event stream")?,
            Detail::Unreadable => formatter.write_str(": a part of it cannot be read")?,
            Detail::Truncated => formatter.write_str(": it ended too early")?,
            Detail::Unspeakable => formatter.write_str(": it cannot be written down")?,
            Detail::UnknownEnd => formatter.write_str(": it ended for an unknown reason")?,
            Detail::Nothing => formatter.write_str(": no text, and nothing was called")?,
            Detail::AllThought => {
                formatter.write_str(": `max_tokens` was used up before the first word")?;
            }
            Detail::Endless => formatter.write_str(": it is longer than it may be")?,
            Detail::TooMuch => formatter.write_str(": it wants too much called at once")?,
            Detail::Over => formatter.write_str(": it was read to its end")?,
        }
        if let Some(status) = self.status {
            write!(formatter, ", status {status}")?;
        }
        if let Some(code) = &self.code {
            write!(formatter, ", code {code}")?;
        }
        if let Some(id) = &self.request_id {
            write!(formatter, ", request {id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ModelFault {}

impl Deref for ModelFault {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl From<Facts> for ModelFault {
    fn from(facts: Facts) -> Self {
        Self(Box::new(facts))
    }
}

impl Facts {
    fn new(kind: FaultKind, detail: Detail) -> Self {
        Self {
            kind,
            status: None,
            code: None,
            request_id: None,
            retry_after: None,
            charged: true,
            usage: None,
            detail,
        }
    }

    fn refused(refusal: Refusal, status: Option<u16>) -> Self {
        let detail = if status == Some(404) && refusal.kind == FaultKind::BadRequest {
            Detail::NotFound
        } else {
            Detail::Refused
        };
        Self {
            status,
            code: refusal.code,
            retry_after: refusal.retry_after,
            charged: status.is_none_or(|status| status < 300),
            ..Self::new(refusal.kind, detail)
        }
    }
}

impl ModelFault {
    fn new(kind: FaultKind, detail: Detail) -> Self {
        Facts::new(kind, detail).into()
    }

    /// An answer that cannot be used.
    pub(super) fn broken(detail: Detail) -> Self {
        Self::new(FaultKind::Broken, detail)
    }

    /// An answer with nothing in it.
    pub(super) fn empty(detail: Detail) -> Self {
        Self::new(FaultKind::Empty, detail)
    }

    /// A question that is not asked because it does not fit.
    pub(crate) fn too_long(tokens: u64, limit: u64) -> Self {
        let kind = FaultKind::TooLong { tokens: Some(tokens), limit: Some(limit) };
        Facts { charged: false, ..Facts::new(kind, Detail::None) }.into()
    }

    /// A request that was not sent, or not taken.
    pub(super) fn bad_request(detail: Detail) -> Self {
        Facts { charged: false, ..Facts::new(FaultKind::BadRequest, detail) }.into()
    }

    /// The same fault, after the answer had `begun` and with what was counted.
    pub(super) fn after(mut self, begun: bool, usage: Option<Usage>) -> Self {
        self.0.charged |= begun;
        self.0.usage = usage;
        self
    }
}

#[cfg(test)]
impl ModelFault {
    /// A fault of which this is known.
    pub(crate) fn for_test(kind: FaultKind, charged: bool, usage: Option<Usage>) -> Self {
        Facts { charged, usage, ..Facts::new(kind, Detail::None) }.into()
    }
}

/// What an error of `rig-core` means.
pub(super) fn of(error: &ProviderError) -> ModelFault {
    match error {
        ProviderError::Http(error) => of_transport(error),
        ProviderError::ProviderResponse(response)
        | ProviderError::InvalidAuthentication(response) => {
            let status = response.status.map(|status| status.as_u16());
            let refusal = classify::refusal(
                status,
                &response.body,
                response.headers.as_ref(),
                response.code.as_deref(),
                response.refusal,
            );
            let id = response.provider_request_id.as_deref();
            let id = id.or_else(|| classify::request_id(response.headers.as_ref()?));
            let request_id = id.and_then(classify::word);
            Facts { request_id, ..Facts::refused(refusal, status) }.into()
        }
        ProviderError::Provider(body) => {
            Facts::refused(classify::refusal(None, body, None, None, false), None).into()
        }
        ProviderError::Truncated => ModelFault::broken(Detail::Truncated),
        ProviderError::Json(_) | ProviderError::Response(_) => {
            ModelFault::broken(Detail::Unreadable)
        }
        ProviderError::Request(_) | ProviderError::Url(_) | ProviderError::UnsupportedOption(_) => {
            ModelFault::bad_request(Detail::Unspeakable)
        }
        _ => ModelFault::broken(Detail::None),
    }
}

fn of_transport(error: &http_client::Error) -> ModelFault {
    match error {
        http_client::Error::Instance(inner) => match inner.downcast_ref::<TransportFault>() {
            Some(fault) => of_connection(fault),
            None => ModelFault::new(FaultKind::Network, Detail::None),
        },
        http_client::Error::InvalidContentType(_) => ModelFault::broken(Detail::NoStream),
        http_client::Error::StreamEnded => ModelFault::broken(Detail::Truncated),
        http_client::Error::InvalidStatusCodeWithDetails { status, body, headers } => {
            let refusal =
                classify::refusal(Some(status.as_u16()), body, Some(headers), None, false);
            Facts::refused(refusal, Some(status.as_u16())).into()
        }
        // The key has a line break in it, or the address is none.
        http_client::Error::Protocol(_)
        | http_client::Error::InvalidHeaderValue(_)
        | http_client::Error::NoHeaders => ModelFault::bad_request(Detail::Unspeakable),
    }
}

fn of_connection(fault: &TransportFault) -> ModelFault {
    let detail = Detail::Transport(fault.clone());
    match fault {
        TransportFault::NotConnected { .. } => {
            Facts { charged: false, ..Facts::new(FaultKind::Network, detail) }.into()
        }
        TransportFault::NoAnswer { .. }
        | TransportFault::Silent { .. }
        | TransportFault::Lost { .. } => ModelFault::new(FaultKind::Network, detail),
        TransportFault::TooLarge { .. } | TransportFault::TooSlow { .. } => {
            ModelFault::broken(detail)
        }
        TransportFault::Unusable => ModelFault::bad_request(detail),
    }
}

/// What the end of a complete answer means that is no good one.
pub(super) fn of_end(response: &CompletionResponse) -> ModelFault {
    match response.finish_reason() {
        Some(FinishReason::ContentFilter) => ModelFault::new(FaultKind::Filtered, Detail::None),
        Some(FinishReason::Other(reason)) => {
            let fault = Facts::new(FaultKind::Broken, Detail::UnknownEnd);
            Facts { code: classify::word(&reason), ..fault }.into()
        }
        _ if response.error.is_some() => ModelFault::new(FaultKind::Filtered, Detail::None),
        _ => ModelFault::broken(Detail::UnknownEnd),
    }
}
