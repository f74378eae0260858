//! How much a question is, before a provider has counted it.

use launcher_core::llm::estimate::{Estimator, IMAGE, MESSAGE};
use serde_json::Value;

use super::provider::{Said, Tool, Turn};

/// What each tool is beside its texts, in tokens.
const TOOL: u64 = 16;

/// What providers tell a model about tools by themselves, in tokens: up to
/// about so much, and some nothing.
const TOOLS: u64 = 600;

/// What is weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Text.
    bytes: usize,
    /// What is no text.
    tokens: u64,
    /// What there may be more.
    more: u64,
}

impl Weight {
    /// What a model is told about itself and its tools.
    pub(super) fn fixed(system: &str, tools: &[Tool]) -> Self {
        let texts = tools
            .iter()
            .map(|tool| tool.name.len() + tool.description.len() + tool.schema.to_string().len());
        let count = u64::try_from(tools.len()).unwrap_or(u64::MAX);
        Self {
            bytes: system.len() + texts.sum::<usize>(),
            tokens: count.saturating_mul(TOOL),
            more: if tools.is_empty() { 0 } else { TOOLS },
        }
    }

    /// What was said.
    pub(super) fn of(turns: &[Turn]) -> Self {
        turns.iter().map(Self::turn).fold(Self::default(), Self::plus)
    }

    fn turn(turn: &Turn) -> Self {
        let (bytes, tokens) = match turn {
            Turn::User { text, images } => (text.len(), IMAGE * images.len() as u64 + MESSAGE),
            Turn::Assistant(said) => (said.bytes(), MESSAGE),
            Turn::Results(results) => {
                let bytes =
                    results.iter().map(|one| one.name.len() + one.id.len() + one.text.len());
                (bytes.sum(), MESSAGE * results.len() as u64)
            }
        };
        Self { bytes, tokens, more: 0 }
    }

    /// Both.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            tokens: self.tokens.saturating_add(other.tokens),
            more: self.more.saturating_add(other.more),
        }
    }

    /// About how many tokens that is.
    pub(super) fn tokens(self, estimator: &Estimator) -> u64 {
        estimator.tokens(self.bytes).saturating_add(self.tokens)
    }

    /// How many tokens that is at most, or nearly so.
    pub(super) fn at_most(self, estimator: &Estimator) -> u64 {
        let tokens = estimator.at_most(self.bytes).saturating_add(self.tokens);
        tokens.saturating_add(self.more)
    }
}

impl Said {
    /// How much it is as it is given back: in the provider's words, if those
    /// are known.
    pub(super) fn bytes(&self) -> usize {
        let calls = self.calls.iter().map(|call| {
            let arguments = Value::Object(call.arguments.clone()).to_string();
            call.id.len() + call.name.len() + arguments.len()
        });
        let ours = self.text.len() + calls.sum::<usize>();
        ours.max(self.native_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_of_a_tool_has_its_weight() {
        let estimator = Estimator::default();
        let tool = |name: &str, description: &str, schema: Value| Tool {
            name: name.into(),
            description: description.into(),
            schema,
        };
        let weigh = |tool: Tool| Weight::fixed("", &[tool]).at_most(&estimator);
        let least = weigh(tool("", "", json!(null)));
        assert!(least > TOOLS && Weight::fixed("", &[]).at_most(&estimator) == 0);
        let long = "x".repeat(300);
        for tool in [
            tool(&long, "", json!(null)),
            tool("", &long, json!(null)),
            tool("", "", json!({"description": long})),
        ] {
            assert!(weigh(tool) >= least + 100);
        }
    }

    #[test]
    fn what_was_learnt_makes_nothing_lighter_where_money_is_at_stake() {
        let mut estimator = Estimator::default();
        (0..50).for_each(|_| estimator.learn(1000, 1));
        let weight = Weight::fixed(&"x".repeat(3000), &[]);
        assert!(weight.tokens(&estimator) < 600);
        assert_eq!(weight.at_most(&estimator), 1000);
    }
}
