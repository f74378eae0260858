//! Files that a robot sends.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use launcher_runtime::ports::outbox::Attachment;

/// What a robot says about a file.
pub(super) struct Wanted {
    pub(super) path: String,
    pub(super) name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) caption: Option<String>,
}

/// Reads a file below `folder`. A robot that is talked into sending another one
/// is not obeyed.
///
/// # Errors
///
/// Why not, in a sentence for the robot. Nothing in it is from the file.
pub(super) async fn read(folder: &Path, wanted: Wanted, most: u64) -> Result<Attachment, String> {
    let (folder, path) = (folder.to_owned(), folder.join(&wanted.path));
    let read = tokio::task::spawn_blocking(move || bytes(&folder, &path, most));
    let (place, bytes) = read.await.map_err(|_| "it could not be read".to_owned())??;
    let own = place.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = wanted.name.or(own).unwrap_or_default();
    if name.is_empty() || name.contains(['/', '\\']) || name.contains(char::is_control) {
        return Err("its name is not one".to_owned());
    }
    let content_type = wanted.content_type.unwrap_or_else(|| {
        mime_guess::from_path(&name).first_or_octet_stream().essence_str().to_owned()
    });
    Ok(Attachment { name, content_type, bytes, caption: wanted.caption, voice: false })
}

fn bytes(folder: &Path, path: &Path, most: u64) -> Result<(PathBuf, Vec<u8>), String> {
    let gone = |_| "it is not there, or cannot be read".to_owned();
    let folder = folder.canonicalize().map_err(gone)?;
    let place = path.canonicalize().map_err(gone)?;
    if !place.starts_with(&folder) {
        return Err("it is not below the program's folder".to_owned());
    }
    if !place.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(&place).map_err(gone)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(gone)?;
    match u64::try_from(bytes.len()).is_ok_and(|size| size <= most) {
        true => Ok((place, bytes)),
        false => Err(format!("it is larger than {most} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use tempfile::TempDir;

    use super::*;

    fn wanted(path: &str) -> Wanted {
        Wanted { path: path.into(), name: None, content_type: None, caption: None }
    }

    #[tokio::test]
    async fn a_file_is_sent_if_it_is_below_the_folder() {
        let folder = TempDir::new().unwrap();
        let inside = folder.path().join("work");
        fs::create_dir(&inside).unwrap();
        fs::write(folder.path().join("secret.txt"), "x").unwrap();
        fs::write(inside.join("plot.png"), "picture").unwrap();
        symlink("../secret.txt", inside.join("link")).unwrap();

        let read = read(&inside, wanted("plot.png"), 7).await.unwrap();
        assert_eq!((read.name.as_str(), read.content_type.as_str()), ("plot.png", "image/png"));
        assert_eq!(read.bytes, b"picture");
        for (path, most, fault) in [
            ("plot.png", 6, "it is larger than 6 bytes"),
            ("../secret.txt", 9, "it is not below the program's folder"),
            ("link", 9, "it is not below the program's folder"),
            ("/etc/passwd", 9, "it is not below the program's folder"),
            (".", 9, "it is not a regular file"),
            ("nothing", 9, "it is not there, or cannot be read"),
        ] {
            assert_eq!(super::read(&inside, wanted(path), most).await, Err(fault.to_owned()));
        }
        let odd = Wanted { name: Some("a/b".into()), ..wanted("plot.png") };
        assert_eq!(super::read(&inside, odd, 7).await, Err("its name is not one".to_owned()));
    }
}
