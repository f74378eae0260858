//! Shows that a small disk gets full, and for those inside only.

use std::process::{Command, Output, Stdio};

use launcher_testbed::SmallDisk;

/// A disk of 256 KiB on a folder that is deleted with it.
fn disk() -> (SmallDisk, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SmallDisk::start(folder.path(), 256).unwrap(), folder)
}

/// Runs a script of the shell on the disk, in its folder.
fn run(disk: &SmallDisk, script: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(disk.folder());
    disk.wrap(&command).output().unwrap()
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap().trim_end()
}

#[test]
fn a_small_disk_is_full_until_room_is_made() {
    let (disk, _folder) = disk();
    assert!(run(&disk, "echo before > file").status.success());
    assert_eq!(disk.fill().unwrap(), 252, "all but the page of the file");
    assert_eq!(disk.fill().unwrap(), 0);

    let full = run(&disk, "cat file > other");
    assert!(!full.status.success());
    let complaint = String::from_utf8(full.stderr).unwrap();
    assert!(complaint.contains("No space left on device"), "{complaint}");

    disk.free().unwrap();
    assert!(run(&disk, "echo after > other").status.success());
    assert_eq!(said(&run(&disk, "cat file other")), "before\nafter");
    assert!(disk.free().is_err(), "there is no ballast left");
}

#[test]
fn a_small_disk_is_seen_by_those_inside_and_through_the_kernel() {
    let (disk, folder) = disk();
    std::fs::write(folder.path().join("outside"), "").unwrap();
    assert_eq!(said(&run(&disk, "ls -A")), "");
    assert!(run(&disk, "echo text > inside").status.success());
    let entries = std::fs::read_dir(folder.path()).unwrap();
    assert_eq!(entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>(), ["outside"]);
    let text = std::fs::read_to_string(disk.inside(&disk.folder().join("inside"))).unwrap();
    assert_eq!(text, "text\n");
}

#[test]
fn a_wrapped_command_is_the_program_itself() {
    let (disk, folder) = disk();
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$; echo $VARIABLE; echo $HOME; pwd", "sh", "an argument"])
        .env("VARIABLE", "its value")
        .env_remove("HOME")
        .current_dir(folder.path());
    let child = disk.wrap(&command).stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    let expected = format!("{id}\nits value\n\n{}", disk.folder().display());
    assert_eq!(said(&output), expected);
}

#[test]
fn a_small_disk_needs_a_folder_to_be_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = SmallDisk::start(&file, 64).unwrap_err().to_string();
    assert!(error.starts_with(&format!("mounting a small disk on {}", file.display())), "{error}");
}
