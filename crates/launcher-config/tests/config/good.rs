//! Files that are right, and what they mean.

use std::{collections::BTreeMap, path::Path, time::Duration};

use launcher_config::{LogFormat, LogLevel};
use launcher_core::{
    children::Limits,
    commands::{
        parameter::{Parameter, ParameterKind},
        template::Template,
    },
    llm::{
        model::Provider,
        spending::{Limits as Spending, Price},
    },
    spec::{
        AgentSpec, ApprovalSpec, BehaviorSpec, CommandSpec, Confirmation, HistorySpec, LlmSpec,
        Network, OutputForm, ProcessSpec, Requirement, StatusShown, ToolServerAt, ToolUse,
        TrustMode,
    },
};

use crate::case::Case;

const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

const SMALL: &str = r#"
=== config.yaml
homeserver: https://matrix.example.org
=== .env
PASS=correct-horse
KEY=0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0
=== agents/a/config.yaml
matrix: { user_id: "@a:Example.org:8448", password: "${PASS}" }
encryption: { pickle_key: "${KEY}" }
behavior: { echo: }"#;

fn agent(case: &Case, id: &str) -> AgentSpec {
    let mut loaded = case.load();
    assert!(loaded.diagnostics.is_empty(), "{}", case.outcome());
    loaded.agents.remove(&id.parse().unwrap()).unwrap().unwrap()
}

fn prefix(spec: &AgentSpec) -> &str {
    match &spec.behaviors[0] {
        BehaviorSpec::Echo { prefix, .. } => prefix,
        _ => "no echo",
    }
}

fn commands(spec: AgentSpec) -> BTreeMap<String, CommandSpec> {
    match &spec.behaviors[0] {
        BehaviorSpec::Commands { commands } => commands.clone(),
        _ => BTreeMap::new(),
    }
}

#[test]
fn a_small_file_gets_the_defaults() {
    let case = Case::new(SMALL);
    let directory = fs_err::canonicalize(case.folder.path()).unwrap();
    let spec = agent(&case, "a");
    assert!(spec.enabled);
    assert_eq!(spec.folder, directory.join("agents/a"));
    assert_eq!(spec.account.homeserver.as_str(), "https://matrix.example.org/");
    assert_eq!(spec.account.password.unwrap().expose(), "correct-horse");
    assert_eq!(spec.account.access_token, None);
    assert_eq!(spec.encryption.store_path, directory.join("agents/a/data/crypto"));
    assert_eq!(spec.encryption.pickle_key.expose()[..2], [0x0f, 0x1e]);
    assert_eq!(spec.encryption.recovery_key, None);
    assert_eq!(spec.encryption.trust_mode, TrustMode::Tofu);
    assert_eq!(spec.invites.from, ["@*:Example.org:8448"]);
    assert_eq!(spec.invites.max_members, None);
    assert!(!spec.invites.require_encryption && spec.invites.auto_leave_empty);
    assert_eq!(spec.catch_up.max_age, Duration::from_secs(86_400));
    assert_eq!(spec.undecryptable.notice_after, Some(Duration::from_secs(30)));
    assert_eq!(
        spec.behaviors,
        [BehaviorSpec::Echo { prefix: "echo: ".to_owned(), delay: Duration::ZERO, files: false }]
    );

    let root = case.load().root.unwrap();
    assert_eq!(root.directory, directory);
    assert_eq!(root.agents_dir, directory.join("agents"));
    assert_eq!((root.log.format, root.log.level), (LogFormat::Pretty, LogLevel::Info));
    assert_eq!(root.admin, None);
    let names = ["config.yaml", ".env", "agents/a/config.yaml"];
    assert_eq!(case.load().files, names.map(|name| directory.join(name)));
}

#[test]
fn a_full_file_means_what_it_says() {
    let case = Case::new(&format!(
        r#"
=== config.yaml
agents_dir: bots
log: {{ format: json, level: debug }}
admin: {{ listen: "0.0.0.0:8470", public: true }}
=== environment
ON=false
=== bots/full/config.yaml
enabled: ${{ON}}
matrix:
  homeserver: http://127.0.0.1:8008/base
  user_id: "@full:example.org"
  password: 1234
  access_token: syt_token
encryption:
  enabled: true
  store_path: "./stores/./full/"
  pickle_key: {KEY}
  recovery_key: "EsTc 1234"
  trust_mode: cross-signing
invites:
  from: ["@alice:*", "@bob:example.net"]
  max_members: 20
  require_encryption: true
  auto_leave_empty: false
catch_up: {{ max_age: 1h30m }}
undecryptable: {{ notice_after: off }}
behavior: {{ echo: {{ prefix: 5 }} }}"#
    ));
    let directory = fs_err::canonicalize(case.folder.path()).unwrap();
    let spec = agent(&case, "full");
    assert!(!spec.enabled);
    assert_eq!(spec.account.homeserver.as_str(), "http://127.0.0.1:8008/base");
    assert_eq!(spec.account.password.as_ref().unwrap().expose(), "1234");
    assert_eq!(spec.account.access_token.as_ref().unwrap().expose(), "syt_token");
    assert_eq!(spec.encryption.store_path, directory.join("stores/full"));
    assert_eq!(spec.encryption.recovery_key.as_ref().unwrap().expose(), "EsTc 1234");
    assert_eq!(spec.encryption.trust_mode, TrustMode::CrossSigning);
    assert_eq!(spec.invites.from, ["@alice:*", "@bob:example.net"]);
    assert_eq!(spec.invites.max_members, Some(20));
    assert!(spec.invites.require_encryption && !spec.invites.auto_leave_empty);
    assert_eq!(spec.catch_up.max_age, Duration::from_secs(5_400));
    assert_eq!(spec.undecryptable.notice_after, None);
    assert_eq!(prefix(&spec), "5");

    let root = case.load().root.unwrap();
    assert_eq!(root.agents_dir, directory.join("bots"));
    assert_eq!((root.log.format, root.log.level), (LogFormat::Json, LogLevel::Debug));
    assert_eq!(root.admin, Some(([0, 0, 0, 0], 8470).into()));
}

#[test]
fn what_an_agent_says_wins_over_the_defaults() {
    let text = SMALL.replace(
        "matrix.example.org\n",
        r#"matrix.example.org
defaults:
  matrix: { homeserver: "https://default.example.org" }
  encryption: { trust_mode: manual, recovery_key: "${PASS}" }
  invites: { from: ["@x:y", "@z:y"] }
  catch_up: { max_age: 2h }
  behavior: { echo: { prefix: "default " } }
=== agents/b/config.yaml
matrix: { user_id: "@b:example.org", password: "${PASS}", homeserver: "https://own.example.org" }
encryption: { pickle_key: "${KEY}", trust_mode: tofu }
invites: { from: [] }
catch_up:
behavior: { echo: { prefix: "own " } }
"#,
    );
    let case = Case::new(&text);
    let spec = agent(&case, "a");
    assert_eq!(spec.account.homeserver.as_str(), "https://default.example.org/");
    assert_eq!(spec.encryption.trust_mode, TrustMode::Manual);
    assert_eq!(spec.invites.from, ["@x:y", "@z:y"]);
    // The agent names the behavior but not the prefix.
    assert_eq!(prefix(&spec), "default ");
    let spec = agent(&case, "b");
    assert_eq!(spec.account.homeserver.as_str(), "https://own.example.org/");
    assert_eq!(spec.encryption.trust_mode, TrustMode::Tofu);
    assert_eq!(spec.encryption.recovery_key.as_ref().unwrap().expose(), "correct-horse");
    assert!(spec.invites.from.is_empty());
    assert_eq!(spec.catch_up.max_age, Duration::from_secs(7_200));
    assert_eq!(prefix(&spec), "own ");
}

#[test]
fn an_account_on_messager_takes_the_place_of_one_on_matrix() {
    let case = Case::new(
        r#"=== config.yaml
homeserver: https://matrix.example.org
defaults:
  matrix: { password: "${KEY}" }
=== .env
TOKEN=abc
KEY=0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0
=== agents/a/config.yaml
messager: { server: "https://chat.example.org", token: "${TOKEN}" }
encryption: { pickle_key: "${KEY}", trust_mode: manual }
behavior: { echo: {} }
"#,
    );
    let spec = agent(&case, "a");
    let account = &spec.account;
    assert_eq!(account.network, Network::Messager);
    assert_eq!(account.homeserver.as_str(), "https://chat.example.org/");
    assert_eq!(account.access_token.as_ref().unwrap().expose(), "abc");
    assert_eq!((account.user_id.as_str(), &account.password), ("", &None));
    assert_eq!(spec.name(), "a");
    assert_eq!(spec.invites.from, ["*"]);
    assert_eq!(spec.verification.accept_from, ["*"]);
}

#[test]
fn commands_have_names_programs_and_users() {
    let text = SMALL.replace(
        "behavior: { echo: }",
        r#"behavior:
  commands:
    "!uptime": { run: [uptime] }
    ".restart-1.web":
      run: ["systemctl", "restart", "${PASS}", 5, ""]
      users: ["@*:ops.example.org"]
      require: verified
      timeout: 1m30s
    "/nobody": { run: [./x], users: [] }"#,
    );
    let commands = commands(agent(&Case::new(&text), "a"));
    let uptime = CommandSpec::running(&["uptime"]);
    let restart = CommandSpec {
        users: vec!["@*:ops.example.org".to_owned()],
        require: Requirement::Verified,
        timeout: Duration::from_secs(90),
        ..CommandSpec::running(&["systemctl", "restart", "correct-horse", "5", ""])
    };
    let nobody = CommandSpec { users: Vec::new(), ..CommandSpec::running(&["./x"]) };
    assert!(!format!("{restart:?}").contains("horse"));
    let expected = [("!uptime", uptime), (".restart-1.web", restart), ("/nobody", nobody)];
    assert_eq!(commands, expected.map(|(name, command)| (name.to_owned(), command)).into());
}

#[test]
fn commands_have_parameters_limits_and_variables() {
    let text = SMALL.replace(
        "behavior: { echo: }",
        r#"behavior:
  commands:
    "!deploy":
      run: ["./deploy.sh", "--env={env}", "-n{count}", "{version}", "{{env}}", "{note}", "sh", "-c", "$1"]
      about: "deploys a version"
      parameters:
        env: { choice: [staging, production] }
        version: { pattern: "[0-9.]+|latest", default: "latest" }
        count: { type: integer, min: 1, max: 9, default: 3 }
        note: { type: rest, optional: true, leading_dash: true }
      rooms: ["!ops:example.org"]
      confirm_by: ["@lead:example.org"]
      folder: work
      environment: { allow: [LC_ALL], set: { TOKEN: "${PASS}" } }
      output: file
      status: always
      at_once: 3
      limits: { memory: 256 MiB, processes: 32, cpu: 1m30s, open_files: 64 }
    "!log": { run: [tail, "{count}"], confirm: true, parameters: { count: { type: integer } } }
    "!move": { run: [move, "{by}"], parameters: { by: { type: integer, min: -9, max: -1, default: -2 } } }"#,
    );
    let commands = commands(agent(&Case::new(&text), "a"));
    let deploy = &commands["!deploy"];
    let usage: Vec<String> = deploy.parameters.iter().map(Parameter::usage).collect();
    assert_eq!(usage, ["<staging|production>", "[version]", "[count]", "[note…]"]);
    let defaults: Vec<Option<&str>> =
        deploy.parameters.iter().map(|one| one.default.as_deref()).collect();
    assert_eq!(defaults, [None, Some("latest"), Some("3"), None]);
    assert_eq!(deploy.run[4], Template::parse("{{env}}"));
    assert_eq!(deploy.about.as_deref(), Some("deploys a version"));
    assert_eq!(deploy.rooms, ["!ops:example.org"]);
    let lead = Confirmation { users: Some(vec!["@lead:example.org".to_owned()]) };
    assert_eq!(deploy.confirm, Some(lead));
    assert_eq!(commands["!log"].confirm, Some(Confirmation { users: None }));
    let count = &commands["!log"].parameters[0].kind;
    assert_eq!(*count, ParameterKind::Integer { min: 0, max: i64::MAX });
    let by = &commands["!move"].parameters[0];
    assert_eq!(by.kind, ParameterKind::Integer { min: -9, max: -1 });
    assert_eq!(by.default.as_deref(), Some("-2"));
    assert_eq!(deploy.folder, Path::new("work"));
    assert_eq!(deploy.variables.allow, ["LC_ALL"]);
    assert_eq!(deploy.variables.set["TOKEN"].expose(), "correct-horse");
    assert_eq!((deploy.output, deploy.status), (OutputForm::File, StatusShown::Always));
    let limits = Limits {
        memory: 256 << 20,
        processes: 32,
        cpu: Some(Duration::from_secs(90)),
        open_files: 64,
    };
    assert_eq!((deploy.at_once, deploy.limits), (3, limits));
    assert!(!format!("{deploy:?}").contains("horse"));
}

#[test]
fn programs_and_addresses_say_what_an_agent_says() {
    let robot = SMALL.replace(
        "{ echo: }",
        "{ process: { run: [python3, robot.py], timeout: 5s, at_once: 1, limits: { processes: 9 } } }",
    );
    let BehaviorSpec::Process(robot) = agent(&Case::new(&robot), "a").behaviors.remove(0) else {
        panic!("it is no program");
    };
    let expected = ProcessSpec {
        timeout: Duration::from_secs(5),
        at_once: 1,
        limits: Limits { processes: 9, ..Limits::default() },
        ..ProcessSpec::running(vec!["python3".to_owned(), "robot.py".to_owned()])
    };
    assert_eq!(robot, expected);

    let hook = SMALL.replace(
        "{ echo: }",
        r#"{ webhook: { url: "https://hook.test:8443/${PASS}", signing_key: "${PASS}" } }"#,
    );
    let BehaviorSpec::Webhook(hook) = agent(&Case::new(&hook), "a").behaviors.remove(0) else {
        panic!("it is no address");
    };
    assert_eq!(hook.url.expose(), "https://hook.test:8443/correct-horse");
    assert_eq!((hook.shown().as_str(), hook.timeout.as_secs()), ("hook.test:8443", 20));
    assert!(!format!("{hook:?}").contains("horse"));
    assert_eq!(hook.signing_key.unwrap().expose(), b"correct-horse");
}

#[test]
fn commands_of_the_defaults_are_there_too() {
    let text = SMALL
        .replace(
            "matrix.example.org\n",
            r#"matrix.example.org
defaults:
  behavior:
    commands:
      "!uptime": { run: [uptime] }
      "!restart": { run: [restart, all], timeout: 1m }
"#,
        )
        .replace(
            "echo: }",
            r#"commands: { "!restart": { run: [restart] }, "!own": { run: [x] } } }"#,
        );
    let commands = commands(agent(&Case::new(&text), "a"));
    let names: Vec<&str> = commands.keys().map(String::as_str).collect();
    assert_eq!(names, ["!own", "!restart", "!uptime"]);
    assert_eq!(commands["!restart"].run, CommandSpec::running(&["restart"]).run);
    assert_eq!(commands["!restart"].timeout, Duration::from_secs(60));
}

#[test]
fn the_environment_wins_over_the_file() {
    let mut case = Case::new(SMALL);
    case.environment.insert("PASS".to_owned(), "from-outside".to_owned());
    assert_eq!(agent(&case, "a").account.password.unwrap().expose(), "from-outside");
}

#[test]
fn references_and_escapes_are_replaced_in_any_text() {
    for (written, meant) in [
        (r#""a${PASS}b${PASS}""#, "acorrect-horsebcorrect-horse"),
        (r#""$${PASS}""#, "${PASS}"),
        (r#""$$${PASS}""#, "$${PASS}"),
        (r#""$PASS $ {PASS}""#, "$PASS $ {PASS}"),
        (r#""\x24{PASS}""#, "correct-horse"),
        ("'it''s ${PASS}'", "it's correct-horse"),
        ("|\n    ${PASS}\n    more", "correct-horse\nmore\n"),
    ] {
        let text = SMALL
            .replace("behavior: { echo: }", &format!("behavior:\n  echo:\n   prefix: {written}"));
        assert_eq!(prefix(&agent(&Case::new(&text), "a")), meant, "{written}");
    }
}

#[test]
fn anchors_and_a_byte_order_mark_are_no_problem() {
    let case = Case::new(SMALL);
    let text = "\u{feff}matrix: { user_id: \"@a:b\", password: &p \"${PASS}\", access_token: *p }\r\n\
                encryption: { pickle_key: \"${KEY}\" }\r\nbehavior: { echo: { prefix: !!str 5 } }\r\n";
    case.write("agents/a/config.yaml", text.as_bytes());
    let spec = agent(&case, "a");
    assert_eq!(spec.account.access_token, spec.account.password);
    assert_eq!(prefix(&spec), "5");
}

#[cfg(unix)]
#[test]
fn a_folder_may_be_a_link() {
    let case = Case::new(&SMALL.replace("agents/a/", "elsewhere/a/"));
    let folder: &Path = case.folder.path();
    std::os::unix::fs::symlink(folder.join("elsewhere/a"), folder.join("agents/a")).unwrap();
    assert_eq!(agent(&case, "a").id.as_str(), "a");
    // Two names of one folder are two agents with one account and one store.
    std::os::unix::fs::symlink(folder.join("elsewhere/a"), folder.join("agents/b")).unwrap();
    let loaded = case.load();
    let paths: Vec<_> = loaded.diagnostics.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["encryption.store_path", "matrix.user_id"]);
}

#[test]
fn a_broken_agent_leaves_the_others_alone() {
    let case = Case::new(SMALL);
    case.write("agents/b/config.yaml", b"matrix: [");
    let loaded = case.load();
    assert!(loaded.root.is_some());
    let good: Vec<bool> = loaded.agents.values().map(Result::is_ok).collect();
    assert_eq!(good, [true, false]);
}

fn llm(config: &str) -> LlmSpec {
    let case = Case::new(&SMALL.replace("behavior: { echo: }", config));
    let behavior = agent(&case, "a").behaviors.remove(0);
    let llm = if let BehaviorSpec::Llm(llm) = behavior { Some(*llm) } else { None };
    llm.unwrap()
}

#[test]
fn an_assistant_needs_a_model_and_nothing_else() {
    let spec = llm("behavior: { llm: { models: { own: { provider: ollama, model: \"q:8b\" } } } }");
    let model = &spec.models["own"];
    assert_eq!((model.provider, model.model.as_str()), (Provider::Ollama, "q:8b"));
    assert_eq!(model.url.as_str(), "http://127.0.0.1:11434/");
    assert_eq!((model.max_tokens, model.context, model.temperature), (1024, 8192, None));
    assert!(model.key.is_none() && model.price.is_none());
    assert_eq!((spec.model.as_str(), spec.fallback.len()), ("own", 0));
    assert!(spec.prompt.contains("{agent}"));
    let keep = Duration::from_secs(30 * 86_400);
    assert_eq!(spec.history, HistorySpec { tokens: 6000, keep, summary: true });
    assert_eq!((spec.images, spec.files, spec.rounds), (None, None, 8));
    assert_eq!(spec.spending, Spending::default());
    assert_eq!((spec.timezone.as_str(), spec.timeout), ("UTC", Duration::from_secs(300)));
}

#[test]
fn an_assistant_means_what_its_file_says() {
    let spec = llm(r#"behavior:
  llm:
    models:
      main:
        provider: openai
        url: "https://llm.example.org/v1"
        api_key: "${PASS}"
        model: m-1
        max_tokens: 500
        context: 16000
        temperature: 0.3
        timeout: 30s
        price: { input: 3, output: 15.5, cached: 0.3 }
      cheap: { provider: llamacpp, model: m-2, price: { input: 0, output: 0 } }
    use: cheap
    fallback: [main]
    prompt: prompt.md
    modes: { "!d": { about: "in detail", model: main, prompt: prompt.md } }
    history: { tokens: 0, keep: 1d, summary: false }
    images: 4MiB
    files: 256KiB
    spending: { tokens_per_day: 100000, money_per_day: 2.50 }
    timezone: Europe/Madrid
    rounds: 2
    timeout: 1m
=== agents/a/prompt.md
You are {agent}."#);
    let main = &spec.models["main"];
    assert_eq!(main.key.as_ref().unwrap().expose(), "correct-horse");
    assert_eq!((main.temperature, main.timeout), (Some(300), Duration::from_secs(30)));
    let price = Price { input: 3_000_000, output: 15_500_000, cached: Some(300_000) };
    assert_eq!(main.price, Some(price));
    assert_eq!(spec.models["cheap"].url.as_str(), "http://127.0.0.1:8080/v1");
    let mode = &spec.modes["!d"];
    assert_eq!(mode.about, "in detail");
    assert_eq!(spec.order(None), ["cheap", "main"]);
    assert_eq!(spec.order(Some(mode)), ["main"]);
    for prompt in [&spec.prompt, mode.prompt.as_ref().unwrap()] {
        assert_eq!(prompt, "You are {agent}.\n");
    }
    assert_eq!((spec.images, spec.files), (Some(4 << 20), Some(256 << 10)));
    assert_eq!(spec.spending, Spending { tokens: Some(100_000), money: Some(2_500_000) });
    assert_eq!((spec.rounds, spec.timeout), (2, Duration::from_secs(60)));
    assert!(!spec.history.summary && spec.history.tokens == 0);
}

#[test]
fn tools_are_what_the_file_says() {
    let spec = llm(r#"behavior:
  llm:
    models: { own: { provider: ollama, model: m } }
    tools:
      approval: { users: ["@ops:example.org"], require: verified, timeout: 2m }
      servers:
        time:
          run: [mcp-server-time, --local-timezone, UTC]
          allow: ["*"]
          read: ["get_*"]
          act: [convert_time]
          ask: [get_rid]
          timeout: 10s
          environment: { set: { TOKEN: "${PASS}" } }
          limits: { processes: 9 }
        wiki: { url: "https://wiki.example.org/mcp", headers: { Authorization: "Bearer ${PASS}" }, allow: [] }"#);
    let approval = ApprovalSpec {
        users: vec!["@ops:example.org".to_owned()],
        require: Requirement::Verified,
        timeout: Duration::from_secs(120),
    };
    assert_eq!(spec.tools.approval, Some(approval));
    let time = &spec.tools.servers["time"];
    assert_eq!(time.timeout, Duration::from_secs(10));
    let uses = ["get_time", "convert_time", "get_rid"].map(|name| time.tool_use(name));
    assert_eq!(uses, [Some(ToolUse::Reads), Some(ToolUse::Acts), Some(ToolUse::Asks)]);
    let ToolServerAt::Program { run, variables, limits, .. } = &time.at else { panic!("{time:?}") };
    assert_eq!(run, &["mcp-server-time", "--local-timezone", "UTC"]);
    assert_eq!(variables.set["TOKEN"].expose(), "correct-horse");
    assert_eq!(limits.processes, 9);
    let wiki = &spec.tools.servers["wiki"];
    let ToolServerAt::Url { url, headers } = &wiki.at else { panic!("{wiki:?}") };
    assert_eq!(url.expose(), "https://wiki.example.org/mcp");
    assert_eq!(headers["Authorization"].expose(), "Bearer correct-horse");
    assert_eq!((wiki.tool_use("search"), wiki.timeout), (None, Duration::from_secs(30)));
    assert!(!format!("{spec:?} {:?}", spec.tools).contains("horse"));
}

#[test]
fn models_of_the_defaults_can_be_shared() {
    let case = Case::new(&SMALL.replace("behavior: { echo: }", "behavior: { llm: { prompt: p.md } }
=== agents/a/p.md
Hello.").replace("homeserver: https://matrix.example.org", "homeserver: https://matrix.example.org
defaults: { behavior: { llm: { models: { own: { provider: ollama, model: m } }, prompt: elsewhere.md } } }"));
    let spec = agent(&case, "a");
    let BehaviorSpec::Llm(llm) = &spec.behaviors[0] else { panic!("{spec:?}") };
    assert_eq!((llm.model.as_str(), llm.prompt.as_str()), ("own", "Hello.\n"));
}
