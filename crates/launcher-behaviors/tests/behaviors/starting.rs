//! What a child gets, and what it does not.

use std::{collections::BTreeMap, path::Path, time::Duration};

use launcher_behaviors::child::{Ending, Streams};
use launcher_core::{
    children::{Limits, Variables},
    secret::Secret,
};
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    case,
    processes::{all_of, start, start_in},
};

pub(crate) fn cases() -> Vec<Trial> {
    vec![
        case("no shell sees the arguments", no_shell),
        case("both outputs come in their order and the status is told", order_and_status),
        case("a program or folder that is not there is told", not_there),
        case("a child works in its folder", in_its_folder),
        case("only the variables that it may have are inherited", variables),
        case("no open file is inherited", open_files),
        case("a child with three pipes answers until its input ends", three_pipes),
        case("memory, files and processor time are limited", limited),
    ]
}

async fn no_shell() {
    let arguments = ["printf", "%s|", "$HOME", "a b", "; ls", "`id`", "*", "", "__child"];
    let mut child = start(&arguments, Limits::default()).await.unwrap();
    assert_eq!(all_of(&mut child).await, "$HOME|a b|; ls|`id`|*||__child|");
    assert_eq!(child.wait().await, Ending::Exited(0));
}

async fn order_and_status() {
    let script = "echo 1; echo 2 >&2; echo 3; cat; exit 7";
    let mut child = start(&["sh", "-c", script], Limits::default()).await.unwrap();
    assert_eq!(all_of(&mut child).await, "1\n2\n3\n");
    assert_eq!(child.wait().await, Ending::Exited(7));
    assert_eq!(child.wait().await, Ending::Exited(7));
    for (script, ending) in [
        ("kill -KILL $$", Ending::Signaled(9)),
        ("kill -TERM $$", Ending::Signaled(15)),
        ("exit 255", Ending::Exited(255)),
    ] {
        let mut child = start(&["sh", "-c", script], Limits::default()).await.unwrap();
        assert_eq!(child.wait().await, ending, "{script}");
    }
}

async fn not_there() {
    let error = start(&["no-such-program-here"], Limits::default()).await.unwrap_err();
    assert!(error.to_string().starts_with("No such file"), "{error}");
    let error = start(&["/etc/passwd"], Limits::default()).await.unwrap_err();
    assert!(error.to_string().starts_with("Permission denied"), "{error}");
    let nowhere = Path::new("/no-such-folder");
    let variables = Variables::default();
    let started =
        start_in(nowhere, &["true"], &variables, Limits::default(), Streams::Joined).await;
    assert_eq!(started.unwrap_err().to_string(), "its folder is not there");
}

async fn in_its_folder() {
    let folder = TempDir::new().unwrap();
    let there = folder.path().canonicalize().unwrap();
    std::os::unix::fs::symlink("/bin/pwd", there.join("own")).unwrap();
    for run in [["pwd", "-P"], ["./own", "-P"]] {
        let variables = Variables::default();
        let started = start_in(&there, &run, &variables, Limits::default(), Streams::Joined).await;
        let said = all_of(&mut started.unwrap()).await;
        assert_eq!(said, format!("{}\n", there.display()));
    }
}

async fn variables() {
    // Cargo sets some for its tests, so there is something to inherit.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
    let variables = Variables {
        allow: vec!["CARGO_PKG_NAME".into(), "NOT_SET_ANYWHERE".into()],
        set: BTreeMap::from([
            ("TOKEN".to_owned(), Secret::new("a b\nc".to_owned())),
            ("LANG".to_owned(), Secret::new("xx".to_owned())),
        ]),
    };
    let run = ["env", "-0"];
    let started =
        start_in(Path::new("/"), &run, &variables, Limits::default(), Streams::Joined).await;
    let said = all_of(&mut started.unwrap()).await;
    let found: BTreeMap<&str, &str> =
        said.split('\0').filter_map(|line| line.split_once('=')).collect();
    assert_eq!(found["TOKEN"], "a b\nc");
    assert_eq!(found["LANG"], "xx");
    assert_eq!(found["CARGO_PKG_NAME"], "launcher-behaviors");
    let known = ["PATH", "LANG", "HOME", "TZ", "TOKEN", "CARGO_PKG_NAME"];
    assert!(found.keys().all(|name| known.contains(name)), "{said}");
}

async fn open_files() {
    let folder = TempDir::new().unwrap();
    let _held = std::fs::File::create(folder.path().join("held")).unwrap();
    let mut child = start(&["ls", "-l", "/proc/self/fd"], Limits::default()).await.unwrap();
    let text = all_of(&mut child).await;
    assert!(text.contains("0 -> /dev/null"), "{text}");
    // Whoever started the tests may have left files open for all.
    let is_ours = |number: &str, file: &str| {
        let own = std::fs::read_link(format!("/proc/self/fd/{number}"));
        own.is_ok_and(|own| own.as_os_str() == file)
    };
    for (before, file) in text.lines().filter_map(|line| line.split_once(" -> ")) {
        let number = before.rsplit(' ').next().unwrap();
        let given = ["0", "1", "2"].contains(&number);
        let looked = file.ends_with("/fd");
        assert!(given || looked || is_ours(number, file), "{text}");
        assert!(!file.contains("held"), "{text}");
    }
}

async fn three_pipes() {
    let script = "while read line; do echo \"$line\"; echo \"no $line\" >&2; done; exit 3";
    let (run, variables) = (["sh", "-c", script], Variables::default());
    let started =
        start_in(Path::new("/"), &run, &variables, Limits::default(), Streams::Piped).await;
    let mut child = started.unwrap();
    let mut input = child.input.take().unwrap();
    let (mut output, mut errors) = (child.output.take().unwrap(), child.errors.take().unwrap());
    for line in ["a\n", "b\n"] {
        input.write_all(line.as_bytes()).await.unwrap();
        let mut answer = [0; 2];
        output.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, line.as_bytes());
    }
    drop(input);
    assert_eq!(child.wait().await, Ending::Exited(3));
    let mut rest = String::new();
    errors.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "no a\nno b\n");
    assert_eq!(output.read_to_string(&mut rest).await.unwrap(), 0);
}

async fn limited() {
    let limits = Limits {
        memory: 64 << 20,
        open_files: 40,
        cpu: Some(Duration::from_secs(1)),
        ..Limits::default()
    };
    let asked = "ulimit -d; ulimit -n; ulimit -c; ulimit -t; ulimit -Hn";
    let mut child = start(&["sh", "-c", asked], limits).await.unwrap();
    assert_eq!(all_of(&mut child).await, "65536\n40\n0\n1\n40\n");

    let hoard = "x = bytearray(80 << 20); print(len(x))";
    let mut child = start(&["python3", "-c", hoard], limits).await.unwrap();
    let said = all_of(&mut child).await;
    assert!(said.contains("MemoryError"), "{said}");
    let mut child = start(&["python3", "-c", hoard], Limits::default()).await.unwrap();
    assert_eq!(all_of(&mut child).await, "83886080\n");

    let mut child = start(&["sh", "-c", "while :; do :; done"], limits).await.unwrap();
    let ending = child.wait().await;
    assert_eq!(ending.to_string(), "used up its processor time");
}
