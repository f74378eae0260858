//! Assistants that call tools of servers.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use launcher_behaviors::{
    Llm,
    child::{Child, Streams},
};
use launcher_core::{
    children::{Limits, Variables},
    conversation::Message,
    llm::{
        model::{ModelSpec, Provider},
        spending,
    },
    names::UserId,
    secret::Secret,
    spec::{
        ApprovalSpec, HistorySpec, LlmSpec, Requirement, ToolServerAt, ToolServerSpec, ToolsSpec,
    },
};
use launcher_runtime::ports::{
    Action, Answered, Behavior as _, BehaviorFault, Initiative, Memory, Task,
};
use launcher_testbed::models::{Format, ModelServer, Reply};
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    agents::message,
    case,
    processes::{mark, start_in, until, with_argument},
    props::Props,
};

pub(crate) fn cases() -> Vec<Trial> {
    vec![
        case("the time server is asked what time it is elsewhere", time),
        case("a tool that acts is called when somebody agrees", approval_by_somebody),
        case("without anybody who could agree nothing is offered that acts", nobody),
        case("a tool that is not allowed is not offered, and not called", not_allowed),
        case("a tool that is described otherwise later is dropped", changing),
        case("a server cannot take the name of another one's tool", names),
        case("a tool that says nothing is given up, and told so", silent),
        case("a server that dies in a call is there again later", dying),
        case("a server that is killed in the middle is there again later", killed),
        case("a line without an end ends the server and not the agent", endless),
        case("a huge result, a picture and a failure are told to the model", results),
        case("a server that wants something of us is refused", wanting),
        case("ten thousand tools are not offered", many),
        case("a list of tools without an end is cut", pages),
        case("an assistant works without a server that does not start", absent),
        case("an assistant does not wait for a server that does not begin", mute),
        case("a server has the variables that it may have and no other", environment),
        case("much noise of a server is no trouble", noise),
        case("a server ends with its agent, and is there in the next life", ending),
        case("a server at an address gets its headers", http),
        case("a server at an address that sends elsewhere is not followed", elsewhere),
        case("a server at an address that is away is not offered", away),
    ]
}

/// An assistant with its servers, in a folder of its own.
struct Bench {
    folder: Arc<TempDir>,
    model: ModelServer,
    llm: Arc<Llm>,
    running: JoinHandle<Result<(), BehaviorFault>>,
}

/// One of whose tools all may be used, and none is asked about.
fn free(at: ToolServerAt) -> ToolServerSpec {
    let all = || vec!["*".to_owned()];
    ToolServerSpec {
        allow: all(),
        read: all(),
        timeout: Duration::from_secs(20),
        ..ToolServerSpec::new(at)
    }
}

fn program(run: &[&str]) -> ToolServerAt {
    ToolServerAt::Program {
        run: run.iter().map(ToString::to_string).collect(),
        folder: PathBuf::new(),
        variables: Variables::default(),
        limits: Limits::default(),
    }
}

/// The server of this folder, with these arguments.
fn odd(arguments: &[&str]) -> ToolServerAt {
    program(&[&["python3", script()], arguments].concat())
}

fn script() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/behaviors/tool_server.py")
}

fn approval() -> ApprovalSpec {
    ApprovalSpec {
        users: vec!["@ops:hs".into()],
        require: Requirement::Verified,
        timeout: Duration::from_secs(60),
    }
}

impl Bench {
    fn one(server: ToolServerSpec) -> Self {
        Self::with([("odd", server)], Some(approval()))
    }

    fn with<const N: usize>(
        servers: [(&str, ToolServerSpec); N],
        approval: Option<ApprovalSpec>,
    ) -> Self {
        Self::within(Arc::new(TempDir::new().unwrap()), servers, approval)
    }

    fn within<const N: usize>(
        folder: Arc<TempDir>,
        servers: [(&str, ToolServerSpec); N],
        approval: Option<ApprovalSpec>,
    ) -> Self {
        let servers = servers.into_iter().map(|(name, server)| (name.to_owned(), server));
        let tools = ToolsSpec { servers: servers.collect(), approval };
        let model = ModelServer::start().unwrap();
        let llm = Arc::new(Llm::new(spec(&model, tools), "@tested:hs".into(), folder.path()));
        let running = run(&llm);
        Self { folder, model, llm, running }
    }

    /// What is said to this.
    async fn said(&self, body: &str) -> String {
        self.said_on(body, &Props::default()).await
    }

    async fn said_on(&self, body: &str, props: &Props) -> String {
        let message = Message { direct: true, ..message("$1", body) };
        let response = self.llm.on_message(&message, props).await.unwrap().unwrap();
        match response.actions.as_slice() {
            [Action::Say { text }] => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// What the model was offered at last.
    fn offered(&self) -> Vec<String> {
        self.model.calls().pop().unwrap().tools
    }

    /// Asks until this is said.
    async fn until_said(&self, body: &str, wanted: &str) {
        let started = Instant::now();
        loop {
            let said = self.said(body).await;
            if said.contains(wanted) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Lets it do what it does while its agent runs.
#[expect(clippy::disallowed_methods, reason = "a case is its owner, and ends it")]
fn run(llm: &Arc<Llm>) -> JoinHandle<Result<(), BehaviorFault>> {
    let llm = llm.clone();
    tokio::spawn(async move { llm.run(Arc::new(NoInitiative)).await })
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn spec(model: &ModelServer, tools: ToolsSpec) -> LlmSpec {
    let main = ModelSpec {
        provider: Provider::named(Format::OpenAi.name()).unwrap(),
        url: model.url(Format::OpenAi).parse().unwrap(),
        key: None,
        model: "main-1".into(),
        max_tokens: 500,
        context: 32_000,
        temperature: None,
        timeout: Duration::from_secs(20),
        price: None,
    };
    LlmSpec {
        models: BTreeMap::from([("main".to_owned(), main)]),
        model: "main".into(),
        fallback: Vec::new(),
        prompt: "You help.".into(),
        modes: BTreeMap::new(),
        history: HistorySpec { tokens: 0, keep: Duration::from_secs(60), summary: false },
        images: None,
        files: None,
        spending: spending::Limits::default(),
        timezone: "UTC".into(),
        tools,
        rounds: 4,
        timeout: Duration::from_secs(60),
    }
}

/// Assistants begin nothing by themselves.
struct NoInitiative;

#[async_trait]
impl Initiative for NoInitiative {
    async fn begin(&self, _: Task, _: Vec<Memory>) -> Result<bool, BehaviorFault> {
        Err(BehaviorFault::new("nothing is begun"))
    }

    async fn recall(&self, _: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
        Ok(None)
    }

    async fn remember(&self, _: Vec<Memory>) -> Result<(), BehaviorFault> {
        Ok(())
    }
}

async fn time() {
    let program_path = launcher_testbed::mcp_server_time().unwrap();
    let run = [program_path.to_str().unwrap(), "--local-timezone", "UTC"];
    let server = ToolServerSpec {
        allow: vec!["*".into()],
        read: vec!["get_*".into(), "convert_time".into()],
        ..ToolServerSpec::new(program(&run))
    };
    let bench = Bench::with([("time", server)], None);
    let said = bench
        .said(
            "use time__convert_time {\"source_timezone\": \"UTC\", \"time\": \"12:00\", \
             \"target_timezone\": \"Asia/Tokyo\"}",
        )
        .await;
    assert!(said.starts_with("The tools said:") && said.contains("+9.0h"), "{said}");
    assert_eq!(bench.offered(), ["time__convert_time", "time__get_current_time"]);
    let said = bench.said("use time__get_current_time {\"timezone\": \"Moon/Crater\"}").await;
    assert!(said.contains("Invalid timezone"), "{said}");
}

async fn approval_of(answer: Option<Answered>, wanted: &str) -> (bool, usize) {
    let mut server = free(odd(&[]));
    server.read = vec!["look".into()];
    let bench = Bench::one(server);
    let props = Props::default();
    props.answers.lock().unwrap().extend(answer);
    let said = bench.said_on("use odd__act {\"text\": \"now\"}", &props).await;
    assert!(said.contains(wanted), "{said}");
    let asked = props.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|question| {
        question.users == ["@ops:hs"]
            && question.require == Requirement::Verified
            && question.text.contains("`odd__act`")
            && question.text.contains("\"text\": \"now\"")
    }));
    (bench.file("acted").exists(), asked.len())
}

async fn approval_by_somebody() {
    let ops = || UserId::new("@ops:hs");
    assert_eq!(approval_of(Some(Answered::Yes(ops())), "acted").await, (true, 1));
    assert_eq!(approval_of(Some(Answered::No(ops())), "declined").await, (false, 1));
    assert_eq!(approval_of(None, "did not answer in time").await, (false, 1));
}

async fn nobody() {
    let mut server = free(odd(&[]));
    (server.allow, server.read) = (vec!["look".into(), "act".into()], vec!["look".into()]);
    let bench = Bench::with([("odd", server)], None);
    let said = bench.said("use odd__look {\"text\": \"it\"}").await;
    assert_eq!(said, "The tools said: look saw it");
    // What the server says of itself, that all of it only reads, does not count.
    assert_eq!(bench.offered(), ["odd__look"]);
}

async fn not_allowed() {
    let mut server = free(odd(&[]));
    server.allow = vec!["look".into()];
    let bench = Bench::one(server);
    bench.model.push(Reply::raw_call("odd__secret", "{}"));
    let said = bench.said("tell me").await;
    assert!(said.contains("There is no tool of this name."), "{said}");
    assert_eq!(bench.offered(), ["odd__look"]);
    assert!(!bench.file("told").exists());
}

async fn changing() {
    let bench = Bench::one(free(odd(&[])));
    assert_eq!(bench.said("use odd__look {}").await, "The tools said: look saw None");
    assert_eq!(bench.said("use odd__change {}").await, "The tools said: changed");
    let started = Instant::now();
    loop {
        bench.said("hello").await;
        let offered = bench.offered();
        if !offered.contains(&"odd__look".to_owned()) {
            assert!(offered.contains(&"odd__new".to_owned()), "{offered:?}");
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{offered:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.model.push(Reply::raw_call("odd__look", "{}"));
    let said = bench.said("look again").await;
    assert!(said.contains("There is no tool of this name."), "{said}");
}

async fn names() {
    let servers = [("odd", free(odd(&[]))), ("two", free(odd(&[])))];
    let bench = Bench::with(servers, None);
    for (name, said) in [("two__look", "look"), ("odd__two__look", "two__look")] {
        bench.model.push(Reply::raw_call(name, "{}"));
        assert_eq!(bench.said("look").await, format!("The tools said: {said} saw None"));
    }
    let mut offered = bench.offered();
    let all = offered.len();
    offered.sort();
    offered.dedup();
    assert_eq!(offered.len(), all);
}

async fn silent() {
    let mut server = free(odd(&[]));
    server.timeout = Duration::from_secs(1);
    let bench = Bench::one(server);
    let said = bench.said("use odd__silent {}").await;
    assert!(said.contains("There was no answer in time. It is not known"), "{said}");
    assert_eq!(bench.said("use odd__cancelled {}").await, "The tools said: 1");
}

async fn dying() {
    let bench = Bench::one(free(odd(&[])));
    let said = bench.said("use odd__die {}").await;
    assert!(said.contains("The connection to the tool broke. It is not known"), "{said}");
    bench.until_said("use odd__look {\"text\": \"it\"}", "look saw it").await;
}

async fn killed() {
    let mark = mark();
    let bench = Bench::one(free(odd(&["plain", &mark])));
    assert_eq!(bench.said("use odd__look {}").await, "The tools said: look saw None");
    let kill = async {
        let [server] = with_argument(&mark)[..] else { panic!("there is one server") };
        let started = Instant::now();
        while bench.model.calls().len() < 3 {
            assert!(started.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The call is with it now, or will be; it does not answer either way.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let server = rustix::process::Pid::from_raw(server).unwrap();
        rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
    };
    let (said, ()) = tokio::join!(bench.said("use odd__silent {}"), kill);
    assert!(said.contains("The connection to the tool broke. It is not known"), "{said}");
    bench.until_said("use odd__look {}", "look saw None").await;
    assert_eq!(with_argument(&mark).len(), 1);
}

async fn endless() {
    let bench = Bench::one(free(odd(&[])));
    let said = bench.said("use odd__endless {}").await;
    assert!(said.contains("The connection to the tool broke."), "{said}");
    bench.until_said("use odd__look {}", "look saw None").await;
}

async fn results() {
    let bench = Bench::one(free(odd(&["prose"])));
    bench.said("use odd__huge {}").await;
    let told = bench.model.calls().pop().unwrap().results.pop().unwrap().text;
    assert!(told.len() < 48 * 1024 && told.ends_with("[cut: there was more]"), "{}", told.len());
    let said = bench.said("use odd__picture {}").await;
    assert!(said.contains("[a picture, image/png, about 3 bytes"), "{said}");
    assert_eq!(bench.said("use odd__fails {}").await, "The tools said: it is raining");
    let said = bench.said("use odd__refused {}").await;
    assert_eq!(said, "The tools said: The call was refused: no such\u{fffd}tool");
}

async fn wanting() {
    let bench = Bench::one(free(odd(&[])));
    let said = bench.said("use odd__more {}").await;
    assert!(said.contains("wants more than arguments"), "{said}");
    let said = bench.said("use odd__back {}").await;
    assert!(said.contains("\"error\""), "{said}");
}

async fn many() {
    let bench = Bench::one(free(odd(&["many"])));
    assert_eq!(bench.said("hello").await, "You said: hello");
    assert_eq!(bench.offered().len(), 100);
}

async fn pages() {
    let bench = Bench::one(free(odd(&["pages"])));
    assert_eq!(bench.said("hello").await, "You said: hello");
    assert_eq!(bench.offered().len(), 20);
}

async fn absent() {
    let there = free(odd(&[]));
    let servers = [
        ("none", free(program(&["/nonexistent/server"]))),
        ("cat", free(program(&["false"]))),
        ("no", free(odd(&["refuses"]))),
        ("odd", there),
    ];
    let bench = Bench::with(servers, None);
    let started = Instant::now();
    assert_eq!(bench.said("use odd__look {}").await, "The tools said: look saw None");
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    assert!(bench.offered().iter().all(|name| name.starts_with("odd__")));
}

async fn mute() {
    let servers = [("mute", free(odd(&["mute"]))), ("odd", free(odd(&[])))];
    let bench = Bench::with(servers, None);
    assert_eq!(bench.said("use odd__look {}").await, "The tools said: look saw None");
}

async fn environment() {
    let ToolServerAt::Program { run, folder, limits, .. } = odd(&[]) else { panic!() };
    let set = BTreeMap::from([("TOKEN".to_owned(), Secret::new("hunter2".to_owned()))]);
    let variables = Variables { allow: Vec::new(), set };
    let bench = Bench::one(free(ToolServerAt::Program { run, folder, variables, limits }));
    let said = bench.said("use odd__environment {}").await;
    let names = said.strip_prefix("The tools said: ").unwrap().split(' ');
    let known = ["HOME", "LANG", "LC_CTYPE", "PATH", "TOKEN", "TZ"];
    // A wrapper around Python that is a shell script adds its own.
    let wrapper = ["PWD", "OLDPWD", "SHLVL", "_"];
    let is_wrapper = |name: &str| wrapper.contains(&name) || name.contains("PYENV");
    let names: Vec<&str> = names.filter(|name| !is_wrapper(name)).collect();
    assert!(names.contains(&"TOKEN") && names.iter().all(|name| known.contains(name)), "{said}");
}

async fn noise() {
    let bench = Bench::one(free(odd(&[])));
    assert_eq!(bench.said("use odd__noise {}").await, "The tools said: made");
    assert_eq!(bench.said("use odd__look {}").await, "The tools said: look saw None");
}

async fn ending() {
    let mark = mark();
    let bench = Bench::one(free(odd(&["plain", &mark])));
    assert_eq!(bench.said("use odd__look {}").await, "The tools said: look saw None");
    assert_eq!(with_argument(&mark).len(), 1);
    bench.running.abort();
    until("the server has ended", || with_argument(&mark).is_empty()).await;
    // The agent's next life begins with a message.
    let next = run(&bench.llm);
    assert_eq!(bench.said("use odd__look {}").await, "The tools said: look saw None");
    next.abort();
    until("the server has ended", || with_argument(&mark).is_empty()).await;
}

/// The server of this folder at an address, and that.
async fn listening(folder: &Path, how: &str) -> (Child, ToolServerAt) {
    fs::remove_file(folder.join("port")).ok();
    let run = ["python3", script(), how, "--http"];
    let (variables, limits) = (Variables::default(), Limits::default());
    let child = start_in(folder, &run, &variables, limits, Streams::Joined).await.unwrap();
    let port = folder.join("port");
    until("the server listens", || port.exists()).await;
    let url = format!("http://127.0.0.1:{}/mcp", fs::read_to_string(port).unwrap());
    let token = Secret::new("Bearer hunter2".to_owned());
    let headers = BTreeMap::from([("Authorization".to_owned(), token)]);
    (child, ToolServerAt::Url { url: Secret::new(url), headers })
}

async fn http() {
    let folder = Arc::new(TempDir::new().unwrap());
    let (_server, at) = listening(folder.path(), "plain").await;
    let mut without = at.clone();
    if let ToolServerAt::Url { headers, .. } = &mut without {
        headers.clear();
    }
    let servers = [("odd", free(at)), ("no", free(without))];
    let bench = Bench::within(folder, servers, None);
    let said = bench.said("use odd__look {\"text\": \"it\"}").await;
    assert_eq!(said, "The tools said: look saw it");
    assert!(bench.offered().iter().all(|name| name.starts_with("odd__")));
}

async fn elsewhere() {
    let folder = Arc::new(TempDir::new().unwrap());
    let (_server, at) = listening(folder.path(), "elsewhere").await;
    let bench = Bench::within(folder, [("odd", free(at))], None);
    assert_eq!(bench.said("hello").await, "You said: hello");
    assert!(bench.offered().is_empty());
    assert!(!bench.file("followed").exists());
}

async fn away() {
    let folder = Arc::new(TempDir::new().unwrap());
    let (server, at) = listening(folder.path(), "plain").await;
    let bench = Bench::within(folder.clone(), [("odd", free(at.clone()))], None);
    assert_eq!(bench.said("use odd__look {}").await, "The tools said: look saw None");
    server.kill().await;
    let said = bench.said("use odd__look {}").await;
    assert!(said.contains("The connection to the tool broke."), "{said}");
    bench.model.push(Reply::raw_call("odd__look", "{}"));
    let said = bench.said("look").await;
    assert!(said.contains("There is no tool of this name."), "{said}");
}
