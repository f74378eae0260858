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

/// A file that may be sent.
pub(super) struct Opened {
    file: File,
    size: u32,
    name: String,
    content_type: String,
    caption: Option<String>,
}

/// Opens a file of at most `most` bytes below `folder`. A robot that is talked
/// into sending another one is not obeyed.
///
/// # Errors
///
/// Why not, in a sentence for the robot. Nothing in it is from the file.
pub(super) async fn open(folder: &Path, wanted: Wanted, most: u32) -> Result<Opened, String> {
    let (folder, path) = (folder.to_owned(), folder.join(&wanted.path));
    let found = aside(move || found(&folder, &path, most)).await;
    let (place, file, size) = found?;
    let own = place.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = wanted.name.or(own).unwrap_or_default();
    if name.is_empty() || name.contains(['/', '\\']) || name.contains(char::is_control) {
        return Err("its name is not one".to_owned());
    }
    let content_type = wanted.content_type.unwrap_or_else(|| {
        mime_guess::from_path(&name).first_or_octet_stream().essence_str().to_owned()
    });
    Ok(Opened { file, size, name, content_type, caption: wanted.caption })
}

impl Opened {
    /// How many bytes it has.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// As for [`open`]; and it has another size by now.
    pub(super) async fn read(self) -> Result<Attachment, String> {
        let Self { file, size, name, content_type, caption } = self;
        let bytes = aside(move || bytes(file, size)).await?;
        Ok(Attachment { name, content_type, bytes, caption, voice: false })
    }
}

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err("it could not be read".to_owned()))
}

fn found(folder: &Path, path: &Path, most: u32) -> Result<(PathBuf, File, u32), String> {
    let gone = |_| "it is not there, or cannot be read".to_owned();
    let folder = folder.canonicalize().map_err(gone)?;
    let place = path.canonicalize().map_err(gone)?;
    if !place.starts_with(&folder) {
        return Err("it is not below the program's folder".to_owned());
    }
    if !place.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(&place).map_err(gone)?;
    let size = u32::try_from(file.metadata().map_err(gone)?.len());
    match size.ok().filter(|size| *size <= most) {
        Some(size) => Ok((place, file, size)),
        None => Err(format!("it is larger than {most} bytes")),
    }
}

fn bytes(file: File, size: u32) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = file.take(u64::from(size) + 1).read_to_end(&mut bytes);
    read.map_err(|_| "it is not there, or cannot be read".to_owned())?;
    match u32::try_from(bytes.len()) == Ok(size) {
        true => Ok(bytes),
        false => Err("it was changed while it was read".to_owned()),
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

    async fn read(folder: &Path, wanted: Wanted, most: u32) -> Result<Attachment, String> {
        open(folder, wanted, most).await?.read().await
    }

    #[tokio::test]
    async fn a_file_that_grows_is_not_sent_in_part() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a");
        for change in ["longer", ""] {
            fs::write(&path, "abc").unwrap();
            let opened = open(folder.path(), wanted("a"), 9).await.unwrap();
            assert_eq!(opened.size(), 3);
            fs::write(&path, change).unwrap();
            let read = opened.read().await;
            assert_eq!(read, Err("it was changed while it was read".to_owned()));
        }
    }

    #[tokio::test]
    async fn a_file_is_sent_if_it_is_below_the_folder() {
        let folder = TempDir::new().unwrap();
        let inside = folder.path().join("work");
        fs::create_dir(&inside).unwrap();
        fs::write(folder.path().join("secret.txt"), "x").unwrap();
        fs::write(inside.join("plot.png"), "picture").unwrap();
        symlink("../secret.txt", inside.join("link")).unwrap();

        let found = read(&inside, wanted("plot.png"), 7).await.unwrap();
        assert_eq!((found.name.as_str(), found.content_type.as_str()), ("plot.png", "image/png"));
        assert_eq!(found.bytes, b"picture");
        for (path, most, fault) in [
            ("plot.png", 6, "it is larger than 6 bytes"),
            ("../secret.txt", 9, "it is not below the program's folder"),
            ("link", 9, "it is not below the program's folder"),
            ("/etc/passwd", 9, "it is not below the program's folder"),
            (".", 9, "it is not a regular file"),
            ("nothing", 9, "it is not there, or cannot be read"),
        ] {
            assert_eq!(read(&inside, wanted(path), most).await, Err(fault.to_owned()));
        }
        let odd = Wanted { name: Some("a/b".into()), ..wanted("plot.png") };
        assert_eq!(read(&inside, odd, 7).await, Err("its name is not one".to_owned()));
    }
}
