//! The keys of the behavior `llm`.

use super::{
    Key,
    Kind::{
        Address, Choice, Decimal, Duration, Flag, Named, Number, Secret, Section, SizeOrOff, Text,
        Texts, TimeZone,
    },
    Naming,
    Presence::{Default, Needed},
};

/// How an assistant answers.
pub(super) static KEYS: &[Key] = &[
    Key {
        path: "behavior.llm",
        kind: Section,
        presence: Default("no language model"),
        about: "Answers with the help of a language model. See the \
                [guide](../guide/assistants.md).",
        example: "llm: { models: { main: { provider: ollama, model: \"qwen3\" } } }",
    },
    Key {
        path: "behavior.llm.models",
        kind: Named(Naming::Word),
        presence: Needed,
        about: "The models that can be asked, under names of your choice; at least one.",
        example: "models: { main: { provider: ollama, model: \"qwen3\" } }",
    },
    Key {
        path: "behavior.llm.models.<name>",
        kind: Section,
        presence: Needed,
        about: "One model.",
        example: "main: { provider: openai, api_key: \"${OPENAI_API_KEY}\", model: \"gpt-5-mini\" }",
    },
    Key {
        path: "behavior.llm.models.<name>.provider",
        kind: Choice(&["openai", "anthropic", "gemini", "ollama", "llamacpp"]),
        presence: Needed,
        about: "What its server speaks. `openai`: chat completions, as many servers offer them. \
                `ollama`: Ollama's own API. `llamacpp`: the server of llama.cpp, which needs \
                `--jinja` for tools.",
        example: "provider: anthropic",
    },
    Key {
        path: "behavior.llm.models.<name>.url",
        kind: Address,
        presence: Default("the provider's own; for `ollama` and `llamacpp` this machine"),
        about: "Where the server is. What is said in rooms goes there: use `https` for anything \
                but this machine.",
        example: "url: \"https://llm.example.org/v1\"",
    },
    Key {
        path: "behavior.llm.models.<name>.api_key",
        kind: Secret,
        presence: Default("none; the providers' own addresses need one"),
        about: "Proves who pays. Write a variable, and put its value into `.env`.",
        example: "api_key: \"${OPENAI_API_KEY}\"",
    },
    Key {
        path: "behavior.llm.models.<name>.model",
        kind: Text,
        presence: Needed,
        about: "The model's name at the provider.",
        example: "model: \"gpt-5-mini\"",
    },
    Key {
        path: "behavior.llm.models.<name>.max_tokens",
        kind: Number,
        presence: Default("`1024`"),
        about: "How long an answer may become, in tokens of about four letters. Models that think \
                first need more.",
        example: "max_tokens: 4096",
    },
    Key {
        path: "behavior.llm.models.<name>.context",
        kind: Number,
        presence: Default("`128000`; `8192` for `ollama` and `llamacpp`"),
        about: "How much fits into the model, question and answer together, in tokens. Ollama is \
                told this number and takes memory for it.",
        example: "context: 32000",
    },
    Key {
        path: "behavior.llm.models.<name>.temperature",
        kind: Decimal,
        presence: Default("as the provider likes"),
        about: "How adventurous it is, from `0` to `2`. Not sent to models that take none.",
        example: "temperature: 0.3",
    },
    Key {
        path: "behavior.llm.models.<name>.timeout",
        kind: Duration,
        presence: Default("`2m`"),
        about: "How long it may be silent, before its answer begins and in between; `1s` to `10m`. \
                A local model may have to be loaded first.",
        example: "timeout: 5m",
    },
    Key {
        path: "behavior.llm.models.<name>.price",
        kind: Section,
        presence: Default("unknown"),
        about: "What a million tokens cost, in any currency, as long as it is the same for all \
                models. Needed with `spending.money_per_day`; free models have `0`.",
        example: "price: { input: 3.0, output: 15.0 }",
    },
    Key {
        path: "behavior.llm.models.<name>.price.input",
        kind: Decimal,
        presence: Needed,
        about: "For a million tokens that it reads.",
        example: "input: 3.0",
    },
    Key {
        path: "behavior.llm.models.<name>.price.output",
        kind: Decimal,
        presence: Needed,
        about: "For a million tokens that it writes.",
        example: "output: 15.0",
    },
    Key {
        path: "behavior.llm.models.<name>.price.cached",
        kind: Decimal,
        presence: Default("as `input`"),
        about: "For a million tokens that it has read before, and that the provider still knew.",
        example: "cached: 0.3",
    },
    Key {
        path: "behavior.llm.use",
        kind: Text,
        presence: Default("the first in `models`"),
        about: "Which model is asked.",
        example: "use: main",
    },
    Key {
        path: "behavior.llm.fallback",
        kind: Texts,
        presence: Default("none"),
        about: "Which models are asked, in this order, when that one fails. Not when its provider \
                does not want to answer something.",
        example: "fallback: [cheap]",
    },
    Key {
        path: "behavior.llm.prompt",
        kind: Text,
        presence: Default("a few friendly sentences"),
        about: "A file with what a model is told about itself, in the agent's folder, UTF-8, at \
                most 64 KiB. `{agent}`, `{user}`, `{room}`, `{date}` and `{time}` are replaced; \
                `{{` is one brace. A change of the file is noticed.",
        example: "prompt: prompt.md",
    },
    Key {
        path: "behavior.llm.modes",
        kind: Named(Naming::Command),
        presence: Default("none"),
        about: "Other ways to answer, by what a message begins with. `!help` lists them.",
        example: "modes: { \"!s\": { about: \"a short answer\", prompt: short.md } }",
    },
    Key {
        path: "behavior.llm.modes.<name>",
        kind: Section,
        presence: Needed,
        about: "One way to answer.",
        example: "\"!d\": { about: \"a detailed answer\", model: main, prompt: detailed.md }",
    },
    Key {
        path: "behavior.llm.modes.<name>.about",
        kind: Text,
        presence: Default("empty"),
        about: "What it is good for, for `!help`.",
        example: "about: \"a short answer\"",
    },
    Key {
        path: "behavior.llm.modes.<name>.model",
        kind: Text,
        presence: Default("as `use`"),
        about: "Which model is asked first.",
        example: "model: cheap",
    },
    Key {
        path: "behavior.llm.modes.<name>.prompt",
        kind: Text,
        presence: Default("as `prompt`"),
        about: "A file with what the model is told about itself.",
        example: "prompt: short.md",
    },
    Key {
        path: "behavior.llm.history",
        kind: Section,
        presence: Default("as below"),
        about: "What is remembered of each room and thread, sealed with the agent's pickle key. \
                Whoever is answered can write `!forget` in a room.",
        example: "history: { tokens: 6000, keep: 30d, summary: true }",
    },
    Key {
        path: "behavior.llm.history.tokens",
        kind: Number,
        presence: Default("`6000`"),
        about: "How much of it a model is told with each question. `0`: nothing is remembered.",
        example: "tokens: 12000",
    },
    Key {
        path: "behavior.llm.history.keep",
        kind: Duration,
        presence: Default("`30d`"),
        about: "How long it is remembered.",
        example: "keep: 7d",
    },
    Key {
        path: "behavior.llm.history.summary",
        kind: Flag,
        presence: Default("`true`"),
        about: "Whether the model of `use` sums up what is over `tokens`. If not, it is forgotten.",
        example: "summary: false",
    },
    Key {
        path: "behavior.llm.images",
        kind: SizeOrOff,
        presence: Default("`off`"),
        about: "How large a picture may be that a model is shown: PNG, JPEG, GIF, WebP; at most \
                `20MiB`. The model has to be one that sees. `off`: it is shown none.",
        example: "images: 4MiB",
    },
    Key {
        path: "behavior.llm.files",
        kind: SizeOrOff,
        presence: Default("`off`"),
        about: "How large a file may be that a model reads, as text; at most `4MiB`. `off`: it \
                reads none.",
        example: "files: 256KiB",
    },
    Key {
        path: "behavior.llm.spending",
        kind: Section,
        presence: Default("no limits"),
        about: "What the agent may spend in a day, with summaries and everything that failed. When \
                it is used up, rooms are told so.",
        example: "spending: { tokens_per_day: 200000 }",
    },
    Key {
        path: "behavior.llm.spending.tokens_per_day",
        kind: Number,
        presence: Default("no limit"),
        about: "How many tokens may be read and written.",
        example: "tokens_per_day: 200000",
    },
    Key {
        path: "behavior.llm.spending.money_per_day",
        kind: Decimal,
        presence: Default("no limit"),
        about: "How much money, in the currency of the prices. Every model needs a `price` then.",
        example: "money_per_day: 2.50",
    },
    Key {
        path: "behavior.llm.timezone",
        kind: TimeZone,
        presence: Default("`UTC`"),
        about: "When a day begins, and what time it is in prompts.",
        example: "timezone: Europe/Madrid",
    },
    Key {
        path: "behavior.llm.rounds",
        kind: Number,
        presence: Default("`8`"),
        about: "How often the model may call tools for one answer; at most `50`.",
        example: "rounds: 4",
    },
    Key {
        path: "behavior.llm.timeout",
        kind: Duration,
        presence: Default("`5m`"),
        about: "How long an answer may take with all attempts, from `1s` to `30m`; not counted is \
                the time in which somebody is asked whether a tool may be called.",
        example: "timeout: 2m",
    },
];
