//! A language model, as an operator describes it.

use std::{fmt, time::Duration};

use url::Url;

use super::spending::Price;
use crate::secret::Secret;

/// Which of the wire formats a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// `/chat/completions`, as OpenAI made it and many others offer it.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Ollama's own API.
    Ollama,
    /// The server of llama.cpp.
    LlamaCpp,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 5] =
        [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Ollama, Self::LlamaCpp];

    /// Its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::LlamaCpp => "llamacpp",
        }
    }

    /// The provider of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }

    /// Where it is if nothing else is said.
    pub fn default_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Gemini => "https://generativelanguage.googleapis.com",
            Self::Ollama => "http://127.0.0.1:11434",
            Self::LlamaCpp => "http://127.0.0.1:8080/v1",
        }
    }

    /// The base of its addresses, from what an operator wrote, which often is
    /// a bit more or a bit less: `/v1` where the path needs it, and not where
    /// the provider's paths have it already.
    pub fn base(self, url: &Url) -> String {
        let text = url.as_str().trim_end_matches('/');
        let ends: &[&str] = match self {
            Self::OpenAi | Self::LlamaCpp => &["/chat/completions"],
            Self::Anthropic => &["/v1/messages", "/messages", "/v1"],
            Self::Gemini => &["/v1beta/models", "/v1beta", "/v1"],
            Self::Ollama => &["/api/chat", "/api", "/v1"],
        };
        let base = ends.iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
        match self {
            Self::OpenAi | Self::LlamaCpp if url.path() == "/" => format!("{base}/v1"),
            _ => base.to_owned(),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One model that an agent may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// What its server speaks.
    pub provider: Provider,
    /// Where it is, `http` or `https`.
    pub url: Url,
    /// Proves who pays; local servers need none.
    pub key: Option<Secret<String>>,
    /// The model's name at the provider.
    pub model: String,
    /// How long an answer may become, in tokens.
    pub max_tokens: u32,
    /// How much fits into the model, question and answer together, in tokens.
    pub context: u32,
    /// How adventurous it is, in thousandths; `None`: as the provider likes.
    pub temperature: Option<u16>,
    /// How long it may be silent: before its answer begins, and in between.
    pub timeout: Duration,
    /// What it costs; `None`: nobody knows, or nothing.
    pub price: Option<Price>,
}

impl ModelSpec {
    /// How many tokens a question may have, so that an answer still fits.
    pub fn room_for_question(&self) -> u64 {
        u64::from(self.context.saturating_sub(self.max_tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_found_by_its_name() {
        for provider in Provider::ALL {
            assert_eq!(Provider::named(provider.name()), Some(provider));
            assert!(Url::parse(provider.default_url()).is_ok());
        }
        assert_eq!(Provider::named("OpenAI"), None);
    }

    #[test]
    fn an_address_may_be_written_with_more_or_less_of_its_path() {
        for (provider, written, base) in [
            (Provider::OpenAi, "https://h", "https://h/v1"),
            (Provider::OpenAi, "https://h/v1/", "https://h/v1"),
            (Provider::OpenAi, "https://h/api/v1/chat/completions", "https://h/api/v1"),
            (Provider::OpenAi, "https://h/proxy", "https://h/proxy"),
            (Provider::LlamaCpp, "http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
            (Provider::Anthropic, "https://h/v1/messages", "https://h"),
            (Provider::Anthropic, "https://h/", "https://h"),
            (Provider::Gemini, "https://h/v1beta", "https://h"),
            (Provider::Ollama, "http://h:1/api", "http://h:1"),
            (Provider::Ollama, "http://h:1/ollama/", "http://h:1/ollama"),
        ] {
            assert_eq!(provider.base(&Url::parse(written).unwrap()), base, "{written}");
        }
        for provider in Provider::ALL {
            let url = Url::parse(provider.default_url()).unwrap();
            assert_eq!(provider.base(&url), provider.default_url());
        }
    }
}
